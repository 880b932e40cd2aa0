"""What solvers of kernel machines share: targets in, predictions out, as in scikit-learn."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasproxy.errors import DataError

Matrix: TypeAlias = NDArray[np.float64]
Kernel: TypeAlias = Callable[..., Any]
"""Called with inputs of n and m points, gives their block ``[n, m]``; with n alone, ``[n, n]``.

Its blocks are NumPy arrays or JAX arrays, float32 or float64. It may have ``prepare(x)``, called
once for data that is met again and again, and ``diagonal(x)``, ``[n]``.
"""

PREDICTED = 2**27
"""Entries of the kernel that predictions are made from at once."""


class Precomputed:
    """A kernel that reads its blocks from a matrix ``[n, n]``, a memory-mapped one for example.

    The inputs that it is called with are indices into the matrix.
    """

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix

    def __call__(self, rows: ArrayLike, columns: ArrayLike | None = None) -> NDArray[Any]:
        """The block of some rows and columns."""
        rows = np.asarray(rows)
        chosen = rows if columns is None else np.asarray(columns)
        return np.asarray(self._matrix[np.ix_(rows, chosen)])

    def diagonal(self, rows: ArrayLike) -> NDArray[Any]:
        rows = np.asarray(rows)
        return np.asarray(self._matrix[rows, rows])


class KernelMachine:
    """A function f(x) = Σ_i α_i k(x, x_i), one column a class or a target.

    Attributes:
        classes_: labels in the order of the columns; None for real targets.
        coefficients_: α, ``[n, c]`` float64, in the order of the points that it was fitted to.
    """

    classes_: NDArray[Any] | None
    coefficients_: Matrix
    _kernel: Kernel
    _inputs: Any

    def decision_function(self, x: Any) -> Matrix:
        """f at points, ``[m, c]``: a score a class, or the predicted targets.

        Raises:
            NotFittedError: scikit-learn's, before :meth:`fit`.
        """
        if not hasattr(self, "coefficients_"):
            from sklearn.exceptions import NotFittedError  # Slow to import, and rarely needed.

            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")
        x = prepared(self._kernel, x)
        step = max(1, PREDICTED // len(self.coefficients_))
        return np.concatenate(
            [
                product(self._kernel(x[start : start + step], self._inputs), self.coefficients_)
                for start in range(0, len(x), step)
            ]
        )

    def predict(self, x: Any) -> NDArray[Any]:
        """Labels ``[m]`` of the largest score; of real targets, f itself."""
        scores = self.decision_function(x)
        return scores if self.classes_ is None else self.classes_[scores.argmax(1)]

    def score(self, x: Any, y: ArrayLike) -> float:
        """Accuracy for labels ``[m]``; minus the mean squared error for targets ``[m, c]``."""
        predicted = self.predict(x)
        y = np.asarray(y)
        if self.classes_ is None:
            return -float(np.square(predicted - y.reshape(predicted.shape)).mean())
        return float((predicted == y).mean())

    def _take(self, kernel: Kernel, x: Any, y: ArrayLike, *, centred: bool) -> tuple[Any, Matrix]:
        """Inputs made ready, and targets ``[n, c]``: one-hot, minus 1/c if centred, or as given.

        Raises:
            DataError: numbers of inputs and targets differ, targets are not finite, or there is
                one class only.
        """
        inputs = prepared(kernel, x)
        targets = np.asarray(y)
        if len(inputs) != len(targets) or len(targets) == 0:
            raise DataError(
                f"{len(inputs)} inputs and {len(targets)} targets: give one target an input, and "
                "at least one"
            )
        if targets.ndim == 2:
            self.classes_ = None
            if np.iscomplexobj(targets):
                raise DataError(
                    "targets are complex: give real ones, such as both parts in columns"
                )
            targets = targets.astype(np.float64)
            if not np.isfinite(targets).all():
                raise DataError("targets hold NaN or infinity: leave those points out")
        elif targets.ndim == 1 and targets.dtype.kind in "iubUS":
            self.classes_, codes = np.unique(targets, return_inverse=True)
            n_classes = len(self.classes_)
            if n_classes < 2:
                raise DataError(
                    f"all {len(targets)} labels are {self.classes_[0].item()!r}: there is "
                    "nothing to tell apart; give at least two classes"
                )
            targets = np.eye(n_classes)[codes] - (1 / n_classes if centred else 0)
        else:
            raise DataError(
                f"targets of shape {targets.shape} and dtype {targets.dtype}: give labels [n] "
                "(whole numbers or text) or real targets [n, c]"
            )
        self._kernel, self._inputs = kernel, inputs
        return inputs, targets


def prepared(kernel: Kernel, x: Any) -> Any:
    """Inputs as the kernel wants to meet them again."""
    prepare = getattr(kernel, "prepare", None)
    return np.asarray(x) if prepare is None else prepare(x)


def diagonal(kernel: Kernel, x: Any) -> Matrix:
    """k(x, x), ``[n]``, from small blocks where the kernel has no diagonal of its own."""
    own = getattr(kernel, "diagonal", None)
    if own is not None:
        return np.asarray(own(x), np.float64)
    parts = [np.diagonal(np.asarray(kernel(x[i : i + 64]))) for i in range(0, len(x), 64)]
    return np.concatenate(parts).astype(np.float64)


def product(block: Any, coefficients: Matrix) -> Matrix:
    """A kernel block times coefficients, in the block's own dtype and on its own device.

    Raises:
        DataError: the block holds NaN or infinity.
    """
    with jax.default_matmul_precision("highest"):  # On GPUs float32 would be TF32.
        made = np.asarray(block @ coefficients.astype(block.dtype), np.float64)
    if not math.isfinite(made.sum()) and not np.isfinite(np.asarray(block)).all():
        raise DataError("the kernel gave NaN or infinity: look at its inputs and settings")
    return made
