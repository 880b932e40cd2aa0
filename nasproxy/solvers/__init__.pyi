from . import ridge
from .direct import KernelRidge, KernelRidgeClassifier
from .eigenpro import EigenPro, EigenProClassifier
from .iterative import ConjugateGradient, ConjugateGradientClassifier, sweep
from .kernel import Precomputed

__all__ = [
    "ConjugateGradient",
    "ConjugateGradientClassifier",
    "EigenPro",
    "EigenProClassifier",
    "KernelRidge",
    "KernelRidgeClassifier",
    "Precomputed",
    "ridge",
    "sweep",
]
