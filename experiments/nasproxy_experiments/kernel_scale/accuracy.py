"""Accuracies of kernels on images: what is computed for one kernel, one draw and one size."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray

from nasproxy.data import Dataset
from nasproxy.data.whitening import fit_whitening, normalised, whiten
from nasproxy.kernels import CNNVec, Flipped, FullyConnected, Myrtle
from nasproxy.proxies.kernel_regression import REGULARISERS
from nasproxy.solvers.ridge import KernelSweep

WHITENED = 1.0
"""ε where images are whitened, in units of the mean eigenvalue."""
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the RBF kernel, ℓ² in units of the mean squared distance, chosen by leave-one-out error."""


@dataclass(frozen=True)
class Gaussian:
    """exp(−|x − x'|² / (2 ℓ² s)), s the mean squared distance of training images.

    Attributes:
        width: ℓ².
        scale: s.
    """

    width: float
    scale: float

    def __call__(
        self, a: Float[np.ndarray, "n h w c"], b: Float[np.ndarray, "m h w c"]
    ) -> Float64[np.ndarray, "n m"]:
        """The block ``[n, m]`` of images."""
        return np.exp(-distances(a, b) / (2 * self.width * self.scale))


def distances(a: NDArray[Any], b: NDArray[Any]) -> Float64[np.ndarray, "n m"]:
    """Squared, between images, ``[n, m]``."""
    x, y = (v.reshape(len(v), -1).astype(np.float64) for v in (a, b))
    found = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T
    return np.maximum(found, 0)


@dataclass(frozen=True)
class Tried:
    """A kernel, and how far it is tried.

    Attributes:
        kernel: of two arrays of images; None for the RBF, whose width depends on the images.
        sizes: training images.
        flipped: the most of them at which mirror images are fitted, too.
        draws: of images; those of other kernels of one number are the same images.
    """

    kernel: Any
    sizes: tuple[int, ...]
    flipped: int
    draws: int


KERNELS = {
    "RBF": Tried(None, (500, 1000), 0, 8),
    "FC3": Tried(FullyConnected(3, "nngp"), (500, 1000), 1000, 8),
    "CV8": Tried(CNNVec(8, "nngp"), (500, 1000), 1000, 8),
    "Myrtle-10-flat": Tried(Myrtle(10, "nngp", end="flatten"), (500, 1000), 500, 4),
    "Myrtle-10": Tried(Myrtle(10, "nngp"), (500,), 0, 4),
}
"""NNGPs, as far as about twenty core-minutes carry. Myrtle-10-flat, not the paper's, reads the last
stage's pixels one by one."""
N_VALID = 500


class Case(NamedTuple):
    """What one kernel matrix of training images is made for; with flips, a second one."""

    kernel: str
    n: int
    draw: int
    whitened: bool


class Row(NamedTuple):
    """Of one fit.

    Attributes:
        flipped: whether mirror images were fitted.
        accuracy, mse: on the validation images, at the ε of the least leave-one-out error.
        loo_mse: that error.
        epsilon: ε.
        kernel_seconds: of the processor, for the kernel, of all threads together.
        pairs: of images that its time was spent on.
    """

    flipped: bool
    accuracy: float
    mse: float
    loo_mse: float
    epsilon: float
    kernel_seconds: float
    pairs: int


def rows(case: Case, images: Dataset, n_valid: int = N_VALID) -> Iterator[Row]:
    """The fits of a case, without flips and, where they are tried, with them."""
    tried = KERNELS[case.kernel]
    train, labels = images.subset("train", case.n, case.draw)
    valid, valid_labels = images.subset("valid", n_valid, case.draw)
    if case.whitened:
        fitted = fit_whitening(train, WHITENED)
        x, y = whiten(train, fitted), whiten(valid, fitted)
    else:  # Brought to the whitened ones' scale: variance 1 a pixel.
        root = np.sqrt(np.prod(images.image_shape))
        x, y = ((normalised(v) * root).astype(np.float32) for v in (train, valid))
    targets = np.eye(images.classes)[labels] - 1 / images.classes
    pairs = case.n * case.n // 2 + case.n * n_valid
    if tried.kernel is None:
        yield _best_width(x, y, targets, valid_labels, pairs)
        return
    tried.kernel(x[:8])  # The first call may compile, which is not the kernel's time.
    start = time.process_time()
    a, b = tried.kernel.prepare(x), tried.kernel.prepare(y)
    train_kernel, valid_kernel = np.asarray(tried.kernel(a)), np.asarray(tried.kernel(b, a))
    seconds = time.process_time() - start
    yield _judged(train_kernel, valid_kernel, targets, valid_labels)._replace(
        kernel_seconds=seconds, pairs=pairs
    )
    if case.n <= tried.flipped:
        both = Flipped(tried.kernel)
        start = time.process_time()
        a, b = both.prepare(x), both.prepare(y)
        train_kernel, valid_kernel = np.asarray(both(a)), np.asarray(both(b, a))
        seconds = time.process_time() - start
        yield _judged(train_kernel, valid_kernel, targets, valid_labels)._replace(
            flipped=True,
            kernel_seconds=seconds,
            pairs=pairs + case.n * case.n + case.n * n_valid,
        )


def _best_width(
    x: NDArray[Any], y: NDArray[Any], targets: NDArray[Any], labels: NDArray[Any], pairs: int
) -> Row:
    scale = float(distances(x, x).mean())
    found = []
    for width in WIDTHS:
        start = time.process_time()
        kernel = Gaussian(width, scale)
        train, valid = kernel(x, x), kernel(y, x)
        seconds = time.process_time() - start
        row = _judged(train, valid, targets, labels)
        found.append(row._replace(kernel_seconds=seconds, pairs=pairs))
    return min(found, key=lambda row: row.loo_mse)


def _judged(
    train: NDArray[Any], valid: NDArray[Any], targets: NDArray[Any], labels: NDArray[Any]
) -> Row:
    """By the regulariser of the least squared leave-one-out error: no validation image chooses."""
    sweep = KernelSweep(train.astype(np.float64), targets)
    errors = np.square(sweep.leave_one_out(REGULARISERS) - targets).mean((1, 2))
    best = int(np.nanargmin(errors))
    predicted = sweep.predict(valid.astype(np.float64), REGULARISERS[best : best + 1])[0]
    wanted = np.eye(targets.shape[1])[labels] - 1 / targets.shape[1]
    return Row(
        False,
        float((predicted.argmax(1) == labels).mean()),
        float(np.square(predicted - wanted).mean()),
        float(errors[best]),
        float(REGULARISERS[best]),
        0.0,
        0,
    )
