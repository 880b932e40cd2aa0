"""Solvers of kernel systems.

Estimators with scikit-learn's contract, a regressor and a classifier of each: ``KernelRidge``
solves directly, ``ConjugateGradient`` by iteration, ``EigenPro`` by preconditioned stochastic
gradients, ``SubsetOfRegressors``, ``Nystrom``, ``BlockDiagonal`` and ``Committee`` approximately;
``GaussianProcess`` says how sure it is. ``sweep`` solves for several ridges by iteration, ``save``
and ``load`` keep what was fitted. The module ``ridge`` sweeps many regularisers with one
factorisation: ``ridge.sweep`` on features, ``ridge.KernelSweep`` on a kernel.
"""

import lazy_loader

# scikit-learn takes most of a second to import, and proxies need the sweeps alone.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
