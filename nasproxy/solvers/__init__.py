"""Solvers of kernel systems.

``Ridge`` solves one; the module ``ridge`` sweeps many regularisers with one factorisation:
``ridge.sweep`` on features, ``ridge.KernelSweep`` on a kernel.
"""

from nasproxy.solvers import ridge
from nasproxy.solvers.conjugate_gradient import ConjugateGradient
from nasproxy.solvers.direct import Ridge
from nasproxy.solvers.eigenpro import EigenPro
from nasproxy.solvers.estimator import Precomputed

__all__ = ["ConjugateGradient", "EigenPro", "Precomputed", "Ridge", "ridge"]
