"""What proxies share that judge a kernel by ridge regression: subsets, nested sizes, measures."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Protocol, TypeAlias

import jax
import numpy as np
from numpy.typing import NDArray

from nasproxy.data import Dataset
from nasproxy.data.dataset import Labels, Subset
from nasproxy.errors import SettingError
from nasproxy.proxies.base import Score
from nasproxy.solvers.ridge import KernelSweep, RidgeSweep

REGULARISERS = np.logspace(-7, 2, 20)
"""ε of Park et al. 2020, as fractions of the kernel's mean eigenvalue."""

Sizes: TypeAlias = int | tuple[int, ...]
Fit: TypeAlias = tuple[RidgeSweep | KernelSweep, NDArray[np.float64]]
"""A factorised kernel of training images, and what it predicts validation images from."""

COLAB = {
    "n_train": 100,
    "n_valid": 200,
    "ensemble": 2,
    "balanced": False,
    "valid_from": "train",
}
"""Settings of the notebook of Park et al. 2020, whose subsets come out of one shuffled training
split, not balanced."""


class Settings(Protocol):
    """The fields that such a proxy has; :class:`~nasproxy.proxies.nngp.NNGP` says what they are."""

    name: ClassVar[str]

    @property
    def n_train(self) -> Sizes: ...
    @property
    def n_valid(self) -> Sizes: ...
    @property
    def ensemble(self) -> Sizes: ...
    @property
    def norm_images(self) -> int: ...
    @property
    def balanced(self) -> bool: ...
    @property
    def valid_from(self) -> str: ...


def sizes(given: Sizes) -> tuple[int, ...]:
    """One size or several as a tuple."""
    return given if isinstance(given, tuple) else (given,)


def check(settings: Settings) -> None:
    """Raises SettingError for a field out of its range."""
    for field in ("n_train", "n_valid", "ensemble"):
        given = sizes(getattr(settings, field))
        if not given or any(not isinstance(s, int) or s < 1 for s in given):
            raise SettingError(
                f"{field}={getattr(settings, field)!r} of {settings.name}: give whole numbers of "
                "at least 1, several as 100/200/400"
            )
    if settings.valid_from not in ("valid", "train"):
        raise SettingError(
            f"valid_from={settings.valid_from!r} of {settings.name}: choose valid or train"
        )
    if not isinstance(settings.balanced, bool):
        raise SettingError(
            f"balanced={settings.balanced!r} of {settings.name}: choose true or false"
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """What every architecture is judged on, at the largest sizes.

    Attributes:
        images: n_t training images, then n_v validation images, ``[n_t + n_v, h, w, c]``, made
            when they are sliced.
        targets: one-hot minus 1/classes, ``[n_t, classes]``.
        valid_labels: ``[n_v]``.
        norm_batch: images of the batch-norm pass, on the device.
    """

    images: Subset
    targets: NDArray[np.float64]
    valid_labels: NDArray[Any]
    norm_batch: jax.Array

    @classmethod
    def of(cls, settings: Settings, data: Dataset, seed: int) -> "Problem":
        """The subsets that settings and a seed name.

        Raises:
            DataError: more images than the data has.
        """
        images, y_train, y_valid = _subsets(settings, data, seed)
        size = min(settings.norm_images, len(data.train_images))
        batch, _ = data.subset("train", size, seed + 1, balanced=False)
        targets = np.eye(data.classes)[y_train] - 1 / data.classes
        return cls(images, targets, y_valid, jax.device_put(batch))


def _subsets(settings: Settings, data: Dataset, seed: int) -> tuple[Subset, Labels, Labels]:
    """Training, then validation images; the labels of either."""
    n_train, n_valid = max(sizes(settings.n_train)), max(sizes(settings.n_valid))
    if settings.valid_from == "valid":
        train, y_train = data.select("train", n_train, seed, settings.balanced)
        valid, y_valid = data.select("valid", n_valid, seed, settings.balanced)
        return train + valid, y_train, y_valid
    images, labels = data.select("train", n_train + n_valid, seed, settings.balanced)
    # In a shuffled order the next n_valid images are as random as the notebook's last ones.
    return images, labels[:n_train], labels[n_train:]


def judge(
    settings: Settings, problem: Problem, fit: Callable[[int, int], Fit], flops: float
) -> Score:
    """The score of a kernel: the best validation accuracy over ``REGULARISERS``.

    Args:
        settings: the sizes asked for; the value is of the largest, the others are columns.
        problem: the images that the kernel is of.
        fit: from n_train and ensemble to the kernel's fit on so many images and networks.
        flops: operations that the score is said to have taken.
    """
    n_trains, n_valids, ensembles = map(
        sizes, (settings.n_train, settings.n_valid, settings.ensemble)
    )
    targets, labels = problem.targets, problem.valid_labels
    valid_targets = np.eye(targets.shape[1])[labels] - 1 / targets.shape[1]
    curves: dict[tuple[int, int, int], NDArray[np.float64]] = {}
    columns: dict[str, float] = {}
    largest = max(n_trains), max(n_valids), max(ensembles)
    for n_train, ensemble in product(n_trains, ensembles):
        sweep, described = fit(n_train, ensemble)
        valid = sweep.predict(described, REGULARISERS)
        missed = np.square(valid - valid_targets).mean(-1)
        correct = valid.argmax(-1) == labels
        left_out = sweep.leave_one_out(REGULARISERS).argmax(-1)
        expected = targets[:n_train].argmax(-1)
        for n_valid in n_valids:
            own = n_train, n_valid, ensemble
            curves[own] = correct[:, :n_valid].mean(1)
            measures = {
                "": curves[own].max(),
                "loo_accuracy": (left_out == expected).mean(1).max(),
                "negative_mse": -missed[:, :n_valid].mean(1).min(),
            }
            prefix = "" if own == largest else _label(own)
            for measure, value in measures.items():
                columns[",".join(filter(None, (prefix, measure)))] = float(value)
    value = columns.pop("")
    best = np.flatnonzero(curves[largest] == value)[-1]
    return Score(
        value,
        flops,
        columns,
        {
            "epsilon": float(REGULARISERS[best]),
            "accuracy": {_label(own): curve.tolist() for own, curve in curves.items()},
        },
    )


def no_score() -> Score:
    """Of a kernel that vanished or overflowed, whose accuracy at chance would hide it."""
    return Score(math.nan, flops=0.0)


def solve_flops(n_train: int, n_valid: int, classes: int) -> float:
    """Operations of the solves as Park et al. 2020 count them (equation S2).

    The solves here cost less, see :mod:`nasproxy.solvers.ridge`; the paper's count keeps costs
    comparable with its figures.
    """
    a_solve = n_train**3 / 3 + 2 * n_train**2 * classes + 2 * n_train * n_valid * classes
    return len(REGULARISERS) * a_solve


def _label(own: tuple[int, int, int]) -> str:
    n_train, n_valid, ensemble = own
    return f"n_train={n_train},n_valid={n_valid},ensemble={ensemble}"
