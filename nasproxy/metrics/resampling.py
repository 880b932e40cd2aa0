"""Intervals over architectures and seeds."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nasproxy.errors import SettingError
from nasproxy.metrics.checked import MetricError, Vector, vectors, whole
from nasproxy.metrics.correlation import kendall_tau


class Interval(NamedTuple):
    """A confidence interval; both ends are NaN where it is undefined."""

    low: float
    high: float


def bootstrap(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile-bootstrap interval of ``statistic(*arrays)`` over the architectures.

    Each resample draws n architectures with replacement, the same ones from every array.
    A resample on which the statistic is NaN (one class for ``pqetp``, a constant array) is left
    out, so that the interval is conditional on the statistic being defined; where that happens to
    more than half of them, the interval is NaN.

    Args:
        statistic: a function of the arrays that returns a float, such as ``kendall_tau``.
        arrays: one or more (n,) arrays.
        n_resamples, seed: how many resamples, and which.
        confidence: between 0 and 1, exclusive.

    Raises:
        MetricError: bad arrays.
        SettingError: a setting out of its range.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    if not arrays:
        raise MetricError("bootstrap got no array to resample; pass the statistic's own arguments")
    if not 0 < confidence < 1:
        raise SettingError(f"confidence={confidence!r} is not between 0 and 1; pass .95 for 95 %")
    n_resamples = whole("n_resamples", n_resamples, 1)
    rng = np.random.default_rng(whole("seed", seed, 0))
    checked = vectors(**{f"array {i}": array for i, array in enumerate(arrays)})
    n = checked[0].size
    draws = (rng.integers(n, size=n) for _ in range(n_resamples))
    values = np.array([float(statistic(*(vector[i] for vector in checked))) for i in draws])
    return _ends(values, confidence)


class Estimate(NamedTuple):
    """A statistic of all architectures and seeds, with its 95 % interval.

    Attributes:
        value: the mean over seeds of the statistic of each.
        low, high: the interval's ends; NaN where it is undefined.
        deviation: between seeds, the sample's standard deviation; NaN of one seed.
        seeds: how many there are.
    """

    value: float
    low: float
    high: float
    deviation: float
    seeds: int


def over_seeds(
    statistic: Callable[..., float],
    scores: ArrayLike,
    *arrays: ArrayLike,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """A statistic of scores by several seeds, resampled over architectures and seeds together.

    Each resample draws architectures and, by themselves, seeds, both with replacement, and takes
    the mean over the drawn seeds: the interval says what other architectures *and* other images and
    weights would give (a crossed bootstrap; Owen 2007). Of one seed it is over architectures alone,
    and says nothing of other seeds. Of few seeds it is somewhat too narrow.

    Args:
        statistic: of one seed's scores and the arrays, such as ``kendall_tau``.
        scores: ``[seeds, n]``, or ``[n]`` of one seed.
        arrays: ``[n]`` each, the same for all seeds.
        n_resamples, seed: how many resamples, and which.

    Raises:
        MetricError: bad arrays.
        SettingError: a setting out of its range.
    """
    rows = np.atleast_2d(np.asarray(scores, np.float64))
    if rows.ndim != 2 or not len(rows):
        raise MetricError(f"scores have the shape {list(rows.shape)}: give [seeds, n]")
    n_resamples = whole("n_resamples", n_resamples, 1)
    named = {f"scores of seed {i}": row for i, row in enumerate(rows)}
    named |= {f"array {i}": array for i, array in enumerate(arrays)}
    checked = vectors(**named)
    by_seed, fixed = checked[: len(rows)], checked[len(rows) :]
    rng = np.random.default_rng(whole("seed", seed, 0))
    own = np.array([float(statistic(row, *fixed)) for row in by_seed])
    n, count = len(by_seed[0]), len(by_seed)
    values = np.empty(n_resamples)
    for i in range(n_resamples):
        chosen = rng.integers(n, size=n)
        drawn, times = np.unique(rng.integers(count, size=count), return_counts=True)
        taken = [array[chosen] for array in fixed]
        found = [float(statistic(by_seed[k][chosen], *taken)) for k in drawn]
        values[i] = np.average(found, weights=times)
    low, high = _ends(values)
    deviation = float(own.std(ddof=1)) if count > 1 else math.nan
    return Estimate(float(own.mean()), low, high, deviation, count)


def paired_gain(
    score: ArrayLike,
    other: ArrayLike,
    truth: ArrayLike,
    *,
    statistic: Callable[..., float] = kendall_tau,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """How much larger a score's statistic is than another's, on the same resamples.

    Args:
        score, other: ``[seeds, n]`` or ``[n]``; of one seed and several, the one is held against
            each of the several.
        truth: ``[n]``.
        statistic: of scores and the truth.
        n_resamples, seed: how many resamples, and which.

    Raises:
        MetricError, SettingError: as :func:`over_seeds`.
    """
    mine, others = (np.atleast_2d(np.asarray(a, np.float64)) for a in (score, other))
    if len(mine) != len(others) and 1 not in (len(mine), len(others)):
        raise MetricError(
            f"{len(mine)} seeds of one score and {len(others)} of the other: give as many of "
            "both, or one of either"
        )
    count = max(len(mine), len(others))
    mine, others = (np.broadcast_to(a, (count, a.shape[1])) for a in (mine, others))
    # A seed's two rows travel as one, so that a resample draws both.
    places = np.tile(np.arange(count, dtype=np.float64)[:, None], mine.shape[1])

    def gain(row: Vector, index: Vector, truth: Vector) -> float:
        own, chosen = int(row[0]), index.astype(int)
        return statistic(mine[own][chosen], truth) - statistic(others[own][chosen], truth)

    vectors(**{f"score, seed {i}": row for i, row in enumerate(mine)}, truth=truth)
    vectors(**{f"other, seed {i}": row for i, row in enumerate(others)}, truth=truth)
    index = np.arange(mine.shape[1], dtype=np.float64)
    return over_seeds(gain, places, index, truth, n_resamples=n_resamples, seed=seed)


def _ends(values: Vector, confidence: float = 0.95) -> Interval:
    """Of the resamples on which a statistic is defined, if those are half of them or more."""
    defined = values[~np.isnan(values)]
    if 2 * defined.size < values.size:
        return Interval(math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
