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
from nasproxy.errors import DataError
from nasproxy.networks import features
from nasproxy.proxies.base import NoScore, Score
from nasproxy.solvers.ridge import KernelSweep, RidgeSweep

REGULARISERS = np.logspace(-7, 2, 20)
"""ε of Park et al. 2020, as fractions of the kernel's mean eigenvalue."""

Sizes: TypeAlias = int | tuple[int, ...]
Fit: TypeAlias = tuple[RidgeSweep | KernelSweep, Float64[np.ndarray, "n_v d"]]
"""A factorised kernel of training images, and what it predicts validation images from."""
Predictions: TypeAlias = Float64[np.ndarray, "r m classes"]

MEASURES = ("", "loo_accuracy", "negative_mse")
"""Of every combination of sizes; the first goes by the sizes' own name."""
EPSILON = float(np.finfo(np.float64).eps)

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
            DataError: more images than the data has, or training images of one class alone.
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
        if len(set(y_train.tolist())) < 2:
            raise DataError(
                f"{data.name}: the training images, n_train={most_train} of {data.classes} "
                f"classes, are all of class {y_train[0]}, so that there is nothing to tell "
                "apart: give a larger n_train, or data of several classes"
            )
        return cls(images, np.eye(data.classes)[y_train] - 1 / data.classes, y_valid)


def judge(
    problem: Problem,
    fit: Callable[[int, int], Fit],
    flops: float,
    *,
    n_train: Sizes,
    n_valid: Sizes,
    ensemble: Sizes = 1,
    resolution: float = 0.0,
) -> Score:
    """The score of a kernel: the best validation accuracy over ``REGULARISERS``.

    Where a kernel tells no images apart at some sizes, their columns are NaN.

    Args:
        problem: the images that the kernel is of.
        fit: from n_train and ensemble to the kernel's fit on so many images and networks; may
            raise NoScore.
        flops: operations that the score is said to have taken.
        n_train, n_valid, ensemble: the sizes asked for; the value is of the largest, the others are
            columns.
        resolution: of the kernel, relative to its mean eigenvalue, if it is coarser than float64's.

    Raises:
        NoScore: there is none at the largest sizes, see :func:`check_told`.
    """
    n_trains, n_valids, ensembles = map(sizes, (n_train, n_valid, ensemble))
    targets, labels = problem.targets, problem.valid_labels
    valid_targets = np.eye(targets.shape[1])[labels] - 1 / targets.shape[1]
    curves: dict[tuple[int, int, int], np.ndarray] = {}
    columns: dict[str, float] = {}
    largest = max(n_trains), max(n_valids), max(ensembles)
    for images, networks in product(n_trains, ensembles):
        try:
            sweep, valid = _predicted(fit, images, networks, resolution)
        except NoScore:
            if (images, networks) == (largest[0], largest[2]):
                raise
            for unseen in n_valids:
                prefix = _label((images, unseen, networks))
                columns |= {",".join(filter(None, (prefix, m))): math.nan for m in MEASURES}
            continue
        missed = np.square(valid - valid_targets).mean(-1)
        correct = valid.argmax(-1) == labels
        left_out = _left_out(sweep, targets[:images], resolution)
        for unseen in n_valids:
            own = images, unseen, networks
            curves[own] = correct[:, :unseen].mean(1)
            measures = (curves[own].max(), left_out, -missed[:, :unseen].mean(1).min())
            prefix = "" if own == largest else _label(own)
            for measure, value in zip(MEASURES, measures, strict=True):
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


def _predicted(
    fit: Callable[[int, int], Fit], images: int, networks: int, resolution: float
) -> tuple[RidgeSweep | KernelSweep, Predictions]:
    """A fit and its predictions for validation images, if they say something."""
    try:
        sweep, described = fit(images, networks)
        valid = sweep.predict(described, REGULARISERS)
    except DataError as error:  # Of the kernel, and so of the architecture, not of the images.
        raise NoScore(str(error)) from error
    rounding = _rounding(images, resolution)
    # Where images have little in common, so little rounding comes from it.
    reach = min(1.0, sweep.reach(described))
    check_told(sweep.fitted(REGULARISERS), valid, rounding, reach * rounding)
    return sweep, valid


def check_told(
    fitted: Float64[np.ndarray, "r n classes"],
    valid: Float64[np.ndarray, "r m classes"],
    rounding: Float64[np.ndarray, " r"],
    valid_rounding: Float64[np.ndarray, " r"],
) -> None:
    """Refuses predictions that tell no images apart, whose accuracy is chance like any other.

    Ties are of class 0 by ``argmax``; where one class is ahead for every image, of the training
    ones too, the accuracy is that class's share; and differences within rounding name classes at
    random. What holds at one regulariser is enough.

    Args:
        fitted: predictions for training images, by regulariser.
        valid: for validation images.
        rounding, valid_rounding: differences of either that say nothing, by regulariser.

    Raises:
        NoScore: says which it is.
    """
    if not (np.isfinite(fitted).all() and np.isfinite(valid).all()):
        raise NoScore("predictions overflow: some are not finite")
    named = [
        np.where(_margins(predictions) > limit[:, None], predictions.argmax(-1), -1)
        for predictions, limit in ((fitted, rounding), (valid, valid_rounding))
    ]
    if (named[1] < 0).all():
        raise NoScore("predictions tie between classes, for all images and regularisers")
    contrast = valid - valid.mean(-1, keepdims=True)
    if valid.shape[1] > 1 and (np.ptp(contrast, axis=1).max(-1) <= valid_rounding).all():
        raise NoScore("predictions are the same for all validation images, at every regulariser")
    both = np.concatenate(named, axis=1)
    if not any(len(set(row[row >= 0].tolist())) > 1 for row in both):
        raise NoScore("predictions are of one class for all images, at every regulariser")


def _margins(predictions: Predictions) -> Float64[np.ndarray, "r m"]:
    """By how much the largest is ahead of the next."""
    ahead = np.partition(predictions, -2, axis=-1)
    return ahead[..., -1] - ahead[..., -2]


def _rounding(images: int, resolution: float) -> Float64[np.ndarray, " r"]:
    """What a kernel's resolution, or a float64 factorisation's, makes of targets of size 1."""
    return max(resolution, 4 * images * EPSILON) / REGULARISERS


def _left_out(
    sweep: RidgeSweep | KernelSweep, targets: Float64[np.ndarray, "n c"], resolution: float
) -> float:
    """The best leave-one-out accuracy, of the regularisers that have one; NaN if none has."""
    with np.errstate(divide="ignore", invalid="ignore"):  # Of an image that determines itself.
        predictions = sweep.leave_one_out(REGULARISERS)
    finite = np.isfinite(predictions).all((1, 2))
    margins = _margins(predictions).max(1)
    finite &= margins > 8 * EPSILON  # They are differences of numbers of size 1.
    told = margins > _rounding(len(targets), resolution)
    right = (predictions.argmax(-1) == targets.argmax(-1)).mean(1)
    return right[finite].max() if (finite & told).any() else math.nan


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
