"""What a kernel machine is fitted by: mean losses over points, and their gradients at each."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

Matrix = NDArray[np.float64]


class Loss(Protocol):
    """A convex function of predictions ``[n, c]`` and targets ``[n, c]``."""

    @property
    def curvature(self) -> float:
        """The largest eigenvalue of its Hessian at a point, which bounds a step."""
        ...

    def value(self, predictions: Matrix, targets: Matrix) -> float:
        """Summed over points."""
        ...

    def gradient(self, predictions: Matrix, targets: Matrix) -> Matrix:
        """At each point, with respect to the predictions; ``[n, c]``."""
        ...


@dataclass(frozen=True)
class Squared:
    """½|f − y|²: half of what Bordelon et al. write, so that the gradient is f − y."""

    curvature: float = 1.0

    def value(self, predictions: Matrix, targets: Matrix) -> float:
        return float(np.square(predictions - targets).sum() / 2)

    def gradient(self, predictions: Matrix, targets: Matrix) -> Matrix:
        return predictions - targets


@dataclass(frozen=True)
class CrossEntropy:
    """−Σ_j y_j log σ(f)_j with the softmax σ; y are class probabilities.

    Its Hessian diag(σ) − σσᵀ has no eigenvalue beyond ½.
    """

    curvature: float = 0.5

    def value(self, predictions: Matrix, targets: Matrix) -> float:
        return float(-(targets * log_softmax(predictions, axis=1)).sum())

    def gradient(self, predictions: Matrix, targets: Matrix) -> Matrix:
        return softmax(predictions, axis=1) - targets


LOSSES: dict[str, Loss] = {"squared": Squared(), "cross_entropy": CrossEntropy()}
