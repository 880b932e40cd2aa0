"""Solvers of kernel systems."""

from nasproxy.solvers.conjugate_gradient import ConjugateGradient
from nasproxy.solvers.direct import Ridge
from nasproxy.solvers.eigenpro import EigenPro
from nasproxy.solvers.estimator import Precomputed

__all__ = ["ConjugateGradient", "EigenPro", "Precomputed", "Ridge"]
