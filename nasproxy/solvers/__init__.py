"""Solvers of kernel systems."""

from nasproxy.solvers.direct import Ridge
from nasproxy.solvers.eigenpro import EigenPro
from nasproxy.solvers.estimator import Precomputed

__all__ = ["EigenPro", "Precomputed", "Ridge"]
