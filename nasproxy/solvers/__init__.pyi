from . import ridge
from .approximation import (
    Nystrom,
    NystromClassifier,
    SubsetOfRegressors,
    SubsetOfRegressorsClassifier,
)
from .direct import KernelRidge, KernelRidgeClassifier
from .eigenpro import EigenPro, EigenProClassifier
from .gaussian_process import GaussianProcess, deviations
from .iterative import ConjugateGradient, ConjugateGradientClassifier, sweep
from .kernel import Precomputed
from .partition import BlockDiagonal, BlockDiagonalClassifier, Committee, CommitteeClassifier
from .saving import load, save

__all__ = [
    "BlockDiagonal",
    "BlockDiagonalClassifier",
    "Committee",
    "CommitteeClassifier",
    "ConjugateGradient",
    "ConjugateGradientClassifier",
    "EigenPro",
    "EigenProClassifier",
    "GaussianProcess",
    "KernelRidge",
    "KernelRidgeClassifier",
    "Nystrom",
    "NystromClassifier",
    "Precomputed",
    "SubsetOfRegressors",
    "SubsetOfRegressorsClassifier",
    "deviations",
    "load",
    "ridge",
    "save",
    "sweep",
]
