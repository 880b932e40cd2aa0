"""What the experiments share: images, kernels of a pool of them, and draws of training points."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.kernels import FullyConnected, Myrtle
from nasproxy.named import data_of
from nasproxy.reproduce.plan import Planned
from nasproxy.reproduce.suites import Options

POINTS = 3000
"""Training points of a draw, three quarters of the pool."""
QUICK_POINTS, EMBEDDED_POINTS = 300, 600
DRAWS = 5
KERNELS = ("FC3", "Myrtle10")
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""What solvers choose from, by squared error on the images kept apart for it."""


class Draw(NamedTuple):
    """Training points of a draw, and the pool's matrix of them, with whom, and their targets.

    Attributes:
        gram: ``[n, n]``.
        cross: of the validation points, ``[m, n]``; those for choosing come first.
        own: of the validation points with each other, ``[m, m]``.
        y: one-hot labels minus 1/classes, ``[n, c]``.
    """

    gram: NDArray[Any]
    cross: NDArray[Any]
    own: NDArray[Any]
    y: NDArray[np.float64]


class Judged(NamedTuple):
    """Predictions on the test images, of the regulariser that was chosen on others.

    Attributes:
        right: whether an image is, ``[images]``.
        error: squared, of an image, ``[images]``.
        chosen: its place among those tried.
        failed: regularisers at which there were no predictions.
    """

    right: NDArray[np.bool_]
    error: NDArray[np.float64]
    chosen: int
    failed: int = 0


@dataclass(eq=False)
class Study:
    """See :mod:`nasproxy.reproduce.suites`.

    Attributes:
        name: the folder of results.
        data: what images are drawn from.
        points: training points of a draw.
        draws: how often they are drawn.
        seed: of the pool and the draws.
    """

    name: str
    data: Dataset
    points: int
    draws: int = DRAWS
    seed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    """What each kernel of the pool took."""

    ranked: ClassVar[None] = None

    def __post_init__(self) -> None:
        self._matrices: dict[str, NDArray[Any]] = {}

    def close(self) -> None:
        self._matrices.clear()

    def plan(self, needs: Sequence[str], shard: tuple[int, int]) -> list[Planned]:
        return []  # No scores: each experiment computes what it reads.

    def compute(self, needs: Sequence[str], shard: tuple[int, int]) -> None: ...

    @property
    def pool(self) -> int:
        """Training images that draws are from."""
        return self.points * 4 // 3

    @property
    def valid(self) -> int:
        """Images that nothing is fitted to."""
        return self.points * 2 // 3

    @property
    def chosen_on(self) -> int:
        """How many of these regularisers are chosen on; the others are the test images."""
        return self.valid // 4

    @cached_property
    def images(self) -> NDArray[np.float32]:
        """Those of the pool, then those of validation."""
        return np.concatenate([part for part, _ in self._parts])

    @cached_property
    def labels(self) -> NDArray[np.integer]:
        return np.concatenate([part for _, part in self._parts])

    @cached_property
    def _parts(self) -> list[tuple[NDArray[np.float32], NDArray[np.integer]]]:
        sizes = (("train", self.pool), ("valid", self.valid))
        return [self.data.subset(split, n, self.seed, balanced=False) for split, n in sizes]

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """One-hot labels minus 1/classes of all images, ``[n, c]``."""
        return np.eye(self.data.classes)[self.labels] - 1 / self.data.classes

    def matrix(self, kernel: str) -> NDArray[np.float32]:
        """A kernel of all images with each other."""
        if kernel not in self._matrices:
            start = time.perf_counter()
            self._matrices[kernel] = np.asarray(function(kernel)(self.images))
            self.seconds[kernel] = time.perf_counter() - start
        return self._matrices[kernel]

    def chosen(self, draw: int) -> NDArray[np.intp]:
        """The training points of a draw, in the pool."""
        rng = np.random.default_rng((self.seed, draw))
        return np.sort(rng.choice(self.pool, self.points, replace=False))

    def draw(self, kernel: str, number: int) -> Draw:
        matrix, points = self.matrix(kernel), self.chosen(number)
        rest = slice(self.pool, None)
        return Draw(
            matrix[np.ix_(points, points)],
            matrix[rest, points],
            matrix[rest, rest],
            self.targets[points],
        )

    def judge(self, predictions: NDArray[np.float64]) -> Judged:
        """Of predictions ``[r, m, c]``, one for each regulariser, for the validation points.

        Where they are NaN a solve failed: it says nothing of any class, which is chance.
        """
        failed = int(np.isnan(predictions).any((1, 2)).sum())
        predictions = np.nan_to_num(predictions)
        wanted, labels = self.targets[self.pool :], self.labels[self.pool :]
        errors = np.square(predictions - wanted).mean(2)
        chosen = int(errors[:, : self.chosen_on].mean(1).argmin())
        right = predictions[chosen].argmax(1) == labels
        return Judged(right[self.chosen_on :], errors[chosen, self.chosen_on :], chosen, failed)

    def describe(self, needs: Sequence[str]) -> list[str]:
        return [
            f"Data: {self.data.name}, images {list(self.data.image_shape)}, standardised by "
            f"channel; {self.points:,} training points, {self.draws} draws from {self.pool:,}; "
            f"{self.chosen_on:,} validation images to choose regularisers on, "
            f"{self.valid - self.chosen_on:,} others to judge on; seed {self.seed}. Kernels: NTK, "
            "float32, FC3 with σ_w² = 2, σ_b² = .01, Myrtle10 with σ_w² = 2, σ_b = 0. Targets: "
            "one-hot labels minus 1/classes. Regularisers are fractions of the mean eigenvalue; "
            f"those that a method chooses from are {', '.join(f'{ridge:g}' for ridge in RIDGES)}.",
            "",
        ]


def function(kernel: str, dtype: str = "float32") -> Any:
    """The kernel of a name."""
    if kernel == "FC3":
        return FullyConnected(depth=3, kind="ntk", dtype=dtype)
    return Myrtle(10, kind="ntk", dtype=dtype)


def prepare(options: Options) -> Study:
    """The study that the options describe.

    Raises:
        SettingError, DataError: before anything is computed.
    """
    if options.truth is not None:
        raise SettingError("kernel_solvers has no published truth: leave --truth out")
    embedded = options.data is None and options.data_dir is None
    data = data_of(options.data or ("digits" if embedded else "cifar10:pool=4"), options.data_dir)
    usual = EMBEDDED_POINTS if embedded else POINTS
    points = options.points or (QUICK_POINTS if options.quick else usual)
    most = min(len(data.train_labels) * 3 // 4, len(data.valid_labels) * 3 // 2)
    if not 60 <= points <= most:
        raise SettingError(f"points={points} of kernel_solvers: {data.name} allows 60 to {most}")
    name = options.folder("kernel_solvers_embedded" if embedded else "kernel_solvers")
    return Study(name, data, points, seed=options.seed)
