from . import ridge
from .conjugate_gradient import ConjugateGradient, ConjugateGradientClassifier
from .direct import KernelRidge, KernelRidgeClassifier
from .eigenpro import EigenPro, EigenProClassifier
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
]
