from . import ridge
from .approximation import (
    Nystrom,
    NystromClassifier,
    SubsetOfRegressors,
    SubsetOfRegressorsClassifier,
)
from .direct import KernelRidge, KernelRidgeClassifier
from .eigenpro import EigenPro, EigenProClassifier
from .iterative import ConjugateGradient, ConjugateGradientClassifier, sweep
from .kernel import Precomputed
from .partition import BlockDiagonal, BlockDiagonalClassifier, Committee, CommitteeClassifier

__all__ = [
    "BlockDiagonal",
    "BlockDiagonalClassifier",
    "Committee",
    "CommitteeClassifier",
    "ConjugateGradient",
    "ConjugateGradientClassifier",
    "EigenPro",
    "EigenProClassifier",
    "KernelRidge",
    "KernelRidgeClassifier",
    "Nystrom",
    "NystromClassifier",
    "Precomputed",
    "SubsetOfRegressors",
    "SubsetOfRegressorsClassifier",
    "ridge",
    "sweep",
]
