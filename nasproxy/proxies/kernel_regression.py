"""What proxies share that judge a kernel by ridge regression: subsets, nested sizes, measures."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float64, Int

from nasproxy import checks
from nasproxy.checks import Flag, OneOf, Optional, Rule, Several, Whole
from nasproxy.data import Dataset
from nasproxy.data.dataset import Subset
from nasproxy.networks import features
from nasproxy.proxies.base import Score
from nasproxy.solvers.ridge import KernelSweep, RidgeSweep

REGULARISERS = np.logspace(-7, 2, 20)
"""ε of Park et al. 2020, as fractions of the kernel's mean eigenvalue."""

Sizes: TypeAlias = int | tuple[int, ...]
Fit: TypeAlias = tuple[RidgeSweep | KernelSweep, Float64[np.ndarray, "n_v d"]]
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


_SIZES = Several(Whole(), "100/200/400")
RULES: dict[str, Rule] = {
    "n_train": _SIZES,
    "n_valid": _SIZES,
    "ensemble": Several(Whole(), "1/4/16"),
    "width": Optional(Whole()),
    "momentum": features.MOMENTUM,
    "batch_norm": features.MODE,
    "norm_images": features.IMAGES,
    "balanced": Flag(),
    "valid_from": OneOf("valid", "train"),
}
"""Of the fields that such proxies share."""


def sizes(given: Sizes) -> tuple[int, ...]:
    """One size or several as a tuple."""
    return given if isinstance(given, tuple) else (given,)


def check(settings: Any) -> None:
    """Raises SettingError for a field out of its range, of those that such proxies have."""
    fields = {field.name for field in dataclasses.fields(settings)}
    checks.check(settings.name, settings, **{f: r for f, r in RULES.items() if f in fields})


@dataclass(frozen=True, eq=False)
class Problem:
    """What every architecture is judged on, at the largest sizes.

    Attributes:
        images: n_t training images, then n_v validation images, ``[n_t + n_v, h, w, c]``, made
            when they are sliced.
        targets: one-hot minus 1/classes, ``[n_t, classes]``.
        valid_labels: ``[n_v]``.
    """

    images: Subset
    targets: Float64[np.ndarray, "n_t classes"]
    valid_labels: Int[np.ndarray, " n_v"]

    @classmethod
    def of(
        cls,
        data: Dataset,
        seed: int,
        *,
        n_train: Sizes,
        n_valid: Sizes,
        balanced: bool,
        valid_from: str,
    ) -> "Problem":
        """The subsets that a proxy's settings and a seed name.

        Raises:
            DataError: more images than the data has.
        """
        most_train, most_valid = max(sizes(n_train)), max(sizes(n_valid))
        if valid_from == "valid":
            train, y_train = data.select("train", most_train, seed, balanced)
            valid, y_valid = data.select("valid", most_valid, seed, balanced)
            images = train + valid
        else:
            # In a shuffled order the next n_valid images are as random as the notebook's last ones.
            images, labels = data.select("train", most_train + most_valid, seed, balanced)
            y_train, y_valid = labels[:most_train], labels[most_train:]
        return cls(images, np.eye(data.classes)[y_train] - 1 / data.classes, y_valid)


def judge(
    problem: Problem,
    fit: Callable[[int, int], Fit],
    flops: float,
    *,
    n_train: Sizes,
    n_valid: Sizes,
    ensemble: Sizes = 1,
) -> Score:
    """The score of a kernel: the best validation accuracy over ``REGULARISERS``.

    Args:
        problem: the images that the kernel is of.
        fit: from n_train and ensemble to the kernel's fit on so many images and networks.
        flops: operations that the score is said to have taken.
        n_train, n_valid, ensemble: the sizes asked for; the value is of the largest, the others are
            columns.
    """
    n_trains, n_valids, ensembles = map(sizes, (n_train, n_valid, ensemble))
    targets, labels = problem.targets, problem.valid_labels
    valid_targets = np.eye(targets.shape[1])[labels] - 1 / targets.shape[1]
    curves: dict[tuple[int, int, int], np.ndarray] = {}
    columns: dict[str, float] = {}
    largest = max(n_trains), max(n_valids), max(ensembles)
    for images, networks in product(n_trains, ensembles):
        sweep, described = fit(images, networks)
        valid = sweep.predict(described, REGULARISERS)
        missed = np.square(valid - valid_targets).mean(-1)
        correct = valid.argmax(-1) == labels
        left_out = sweep.leave_one_out(REGULARISERS).argmax(-1)
        expected = targets[:images].argmax(-1)
        for unseen in n_valids:
            own = images, unseen, networks
            curves[own] = correct[:, :unseen].mean(1)
            measures = {
                "": curves[own].max(),
                "loo_accuracy": (left_out == expected).mean(1).max(),
                "negative_mse": -missed[:, :unseen].mean(1).min(),
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
