"""What proxies share that judge a kernel by ridge regression: subsets, nested sizes, measures."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int

from nasproxy import checks
from nasproxy.checks import Flag, OneOf, Optional, Real, Rule, Several, Whole
from nasproxy.data import Dataset
from nasproxy.data.dataset import Subset
from nasproxy.errors import DataError, SettingError
from nasproxy.networks import features
from nasproxy.proxies.base import NoScore, Score
from nasproxy.solvers.cholesky import SOLVERS, CholeskySweep
from nasproxy.solvers.ridge import KernelSweep, RidgeSweep

REGULARISERS = np.logspace(-7, 2, 20)
"""ε of Park et al. 2020, as fractions of the kernel's mean eigenvalue."""

Sizes: TypeAlias = int | tuple[int, ...]
Regularisers: TypeAlias = float | tuple[float, ...] | None
"""One or several, as fractions of the kernel's mean eigenvalue; None for ``REGULARISERS``."""
Fitted: TypeAlias = RidgeSweep | KernelSweep | CholeskySweep
Fit: TypeAlias = tuple[Fitted, Float64[np.ndarray, "n_v d"]]
"""A factorised kernel of training images, and what it predicts validation images from."""
Predictions: TypeAlias = Float64[np.ndarray, "r m classes"]

Curves: TypeAlias = dict[str, Float64[np.ndarray, " r"]]
"""Measures by regulariser; NaN where one is undefined."""

ACCURACY = "accuracy"
OF_VALIDATION = (ACCURACY, "negative_mse")
MEASURES = (*OF_VALIDATION, "loo_accuracy", "negative_loo_mse", "negative_gcv", "log_evidence")
"""What a kernel is judged by, the first two on validation images; larger is better for all."""
FLOPS = "flops"
"""In a score's info: operations of columns that cost something else than the score."""
EPSILON = float(np.finfo(np.float64).eps)

NETWORKS: dict[str, Any] = {"momentum": 0.997, "norm_images": 128}
PAPER: dict[str, Any] = {
    "n_train": 512,
    "n_valid": 512,
    "ensemble": 1,
    "balanced": True,
    "valid_from": "valid",
    "measure": ACCURACY,
    "solver": "auto",
    "regularisers": None,
}
"""Settings in the manner of Park et al. 2020, who vary the sizes."""
COLAB = PAPER | {
    "n_train": 100,
    "n_valid": 200,
    "ensemble": 2,
    "balanced": False,
    "valid_from": "train",
}
"""Settings of the notebook of Park et al. 2020, whose subsets come out of one shuffled training
split, not balanced. Presets name every setting, so that no default changes what they are."""


_SIZES = Several(Whole(), "100/200/400")
RULES: dict[str, Rule] = {
    "n_train": _SIZES,
    "n_valid": Several(Whole(0), "100/200/400"),
    "ensemble": Several(Whole(), "1/4/16"),
    "width": Optional(Whole()),
    "momentum": features.MOMENTUM,
    "batch_norm": features.MODE,
    "norm_images": features.IMAGES,
    "balanced": Flag(),
    "valid_from": OneOf("valid", "train"),
    "measure": OneOf(*MEASURES),
    "solver": OneOf(*SOLVERS),
    "regularisers": Optional(Several(Real(above=0), "1e-4/1e-3/1e-2")),
}
"""Of the fields that such proxies share."""


def sizes(given: Sizes) -> tuple[int, ...]:
    """One size or several as a tuple."""
    return given if isinstance(given, tuple) else (given,)


def epsilons(given: Regularisers) -> Float64[np.ndarray, " r"]:
    """The regularisers that a setting names, ascending."""
    if given is None:
        return REGULARISERS
    return np.unique(np.asarray(given, np.float64))


def check(settings: Any, **own: Rule) -> None:
    """Raises SettingError for a field out of its range, of those that such proxies have.

    Args:
        settings: a proxy.
        own: rules of its own, in place of those that are shared.
    """
    fields = {field.name for field in dataclasses.fields(settings)}
    rules = {name: rule for name, rule in RULES.items() if name in fields}
    checks.check(settings.name, settings, **rules | own)
    unseen = sizes(settings.n_valid)
    if 0 not in unseen:
        return
    if len(unseen) > 1:
        raise SettingError(
            f"n_valid={'/'.join(map(str, unseen))} of {settings.name}: give 0 alone, or sizes"
        )
    if settings.measure in OF_VALIDATION:
        others = ", ".join(m for m in MEASURES if m not in OF_VALIDATION)
        raise SettingError(
            f"n_valid=0 of {settings.name} leaves nothing for measure={settings.measure}: give "
            f"validation images, or one of the measures {others}"
        )


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
        if valid_from == "valid" and most_valid:
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
    flops: Callable[[int, int, int], float],
    *,
    n_train: Sizes,
    n_valid: Sizes,
    ensemble: Sizes = 1,
    measure: str = ACCURACY,
    resolution: float = 0.0,
    regularisers: Regularisers = None,
) -> Score:
    """The score of a kernel by one of ``MEASURES``, each at the best of the regularisers.

    The value is of the largest sizes; the other measures and sizes are columns. Where a kernel
    tells no images apart at some sizes, their columns are NaN.

    Args:
        problem: the images that the kernel is of.
        fit: from n_train and ensemble to the kernel's fit on so many images and networks; may
            raise NoScore.
        flops: operations that a score takes, of n_train, n_valid and ensemble; a measure that needs
            no validation images is charged for none.
        n_train, n_valid, ensemble: the sizes asked for. With 0 validation images there are no
            measures that need them.
        measure: which is the value.
        resolution: of the kernel, relative to its mean eigenvalue, if it is coarser than float64's.
        regularisers: ε that are tried, as fractions of the mean eigenvalue.

    Raises:
        NoScore: there is none at the largest sizes, see :func:`check_told`; or the value's measure
            is undefined there, such as the leave-one-out error of images that determine themselves.
    """
    tried = epsilons(regularisers)
    n_trains, n_valids, ensembles = map(sizes, (n_train, n_valid, ensemble))
    largest = max(n_trains), max(n_valids), max(ensembles)
    columns: dict[str, float] = {}
    charged: dict[str, float] = {}
    costs = {own: flops(*own) for own in product(n_trains, {0, *n_valids}, ensembles)}
    found: dict[str, Curves] = {}
    for images, networks in product(n_trains, ensembles):
        try:
            sweep, valid = _predicted(fit, images, networks, tried, resolution)
        except NoScore:
            if (images, networks) == (largest[0], largest[2]):
                raise
            sweep = valid = None
        by_train = None
        if sweep is not None:
            by_train = _of_training(sweep, problem.targets[:images], tried, resolution)
        for unseen in n_valids:
            label = _label((images, unseen, networks))
            if by_train is None or valid is None:
                curves = dict.fromkeys(_measures(unseen), np.full(len(tried), np.nan))
            else:
                curves = _of_validation(problem, valid[:, :unseen]) | by_train
            found[label] = curves
            prefix = "" if (images, unseen, networks) == largest else label
            for name, curve in curves.items():
                own = "" if name == measure else name
                column = ",".join(filter(None, (prefix, own)))
                columns[column] = _best(curve)
                used = unseen if name in OF_VALIDATION else 0
                charged[column] = costs[images, used, networks]
    value, cost = columns.pop(""), charged.pop("")
    if math.isnan(value):
        raise NoScore(f"{measure} is undefined at every regulariser")
    curve = found[_label(largest)][measure]
    info: dict[str, Any] = {
        "epsilon": float(tried[np.flatnonzero(curve == value)[-1]]),
        # As the paper draws it; NaN is no JSON.
        "accuracy": {
            label: curves[ACCURACY].tolist()
            for label, curves in found.items()
            if ACCURACY in curves and not np.isnan(curves[ACCURACY]).any()
        },
        FLOPS: {column: one for column, one in charged.items() if one != cost},
    }
    return Score(value, cost, columns, {name: entry for name, entry in info.items() if entry})


def _measures(n_valid: int) -> tuple[str, ...]:
    return tuple(name for name in MEASURES if n_valid or name not in OF_VALIDATION)


def _best(curve: Float64[np.ndarray, " r"]) -> float:
    """The largest that is finite; NaN if none is."""
    finite = curve[np.isfinite(curve)]
    return float(finite.max()) if len(finite) else math.nan


def _of_training(
    sweep: Fitted,
    targets: Float64[np.ndarray, "n c"],
    tried: Float64[np.ndarray, " r"],
    resolution: float,
) -> Curves:
    """Measures of the training images alone."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Of an image that determines itself: its error is 0/0.
        predictions = sweep.leave_one_out(tried)
        missed = np.square(targets - predictions).mean(-1).mean(1)
        gcv, evidence = sweep.gcv(tried), sweep.log_evidence(tried)
    finite = np.asarray(np.isfinite(predictions).all((1, 2)))
    return {
        "loo_accuracy": _left_out(predictions, targets, tried, finite, resolution),
        "negative_loo_mse": np.where(finite, -missed, np.nan),
        "negative_gcv": -gcv,
        "log_evidence": evidence,
    }


def _of_validation(problem: Problem, valid: Predictions) -> Curves:
    if not valid.shape[1]:
        return {}
    labels = problem.valid_labels[: valid.shape[1]]
    classes = problem.targets.shape[1]
    targets = np.eye(classes)[labels] - 1 / classes
    return {
        ACCURACY: (valid.argmax(-1) == labels).mean(1),
        "negative_mse": -np.square(valid - targets).mean(-1).mean(1),
    }


def _predicted(
    fit: Callable[[int, int], Fit],
    images: int,
    networks: int,
    tried: Float64[np.ndarray, " r"],
    resolution: float,
) -> tuple[Fitted, Predictions]:
    """A fit and its predictions for validation images, if they say something."""
    try:
        sweep, described = fit(images, networks)
        fitted = sweep.fitted(tried)
        if not len(described):
            valid, reach = fitted[:, :0], 0.0
        else:
            valid = sweep.predict(described, tried)
            # Where images have little in common, so little rounding comes from it.
            reach = min(1.0, sweep.reach(described))
    except DataError as error:  # Of the kernel, and so of the architecture, not of the images.
        raise NoScore(str(error)) from error
    rounding = _rounding(images, tried, resolution)
    check_told(fitted, valid, rounding, reach * rounding)
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
    unseen = bool(valid.shape[1])
    if (named[int(unseen)] < 0).all():
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


def _rounding(
    images: int, tried: Float64[np.ndarray, " r"], resolution: float
) -> Float64[np.ndarray, " r"]:
    """What a kernel's resolution, or a float64 factorisation's, makes of targets of size 1."""
    return max(resolution, 4 * images * EPSILON) / tried


def _left_out(
    predictions: Predictions,
    targets: Float64[np.ndarray, "n c"],
    tried: Float64[np.ndarray, " r"],
    finite: Bool[np.ndarray, " r"],
    resolution: float,
) -> Float64[np.ndarray, " r"]:
    """Leave-one-out accuracy, of the regularisers that have one."""
    with np.errstate(invalid="ignore"):
        margins = _margins(predictions).max(1)
    finite = finite & (margins > 8 * EPSILON)  # They are differences of numbers of size 1.
    told = margins > _rounding(len(targets), tried, resolution)
    right = (predictions.argmax(-1) == targets.argmax(-1)).mean(1)
    return np.where(finite & (finite & told).any(), right, np.nan)


def solve_flops(
    n_train: int, n_valid: int, classes: int, regularisers: Regularisers = None
) -> float:
    """Operations of the solves as Park et al. 2020 count them (equation S2).

    The solves here cost less, see :mod:`nasproxy.solvers.ridge`; the paper's count keeps costs
    comparable with its figures.
    """
    a_solve = n_train**3 / 3 + 2 * n_train**2 * classes + 2 * n_train * n_valid * classes
    return len(epsilons(regularisers)) * a_solve


def _label(own: tuple[int, int, int]) -> str:
    n_train, n_valid, ensemble = own
    return f"n_train={n_train},n_valid={n_valid},ensemble={ensemble}"
