"""Intervals: architectures and seeds resampled together, two scores by the same resamples."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasproxy.errors import SettingError
from nasproxy.metrics import resamples
from nasproxy.metrics.arrays import MetricError, Vector, of_seeds, vectors, whole
from nasproxy.metrics.correlation import kendall_tau


class Interval(NamedTuple):
    """A confidence interval; both ends are NaN where it is undefined."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A statistic with its confidence interval.

    Attributes:
        value: the mean over seeds.
        low, high: of the interval over architectures and seeds; over architectures alone where
            there is one seed. NaN where it is undefined.
        seed_deviation: sample standard deviation of the seeds' own values; NaN of one seed.
    """

    value: float
    low: float
    high: float
    seed_deviation: float = float("nan")


def bootstrap(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile-bootstrap interval of ``statistic(*arrays)`` over the architectures.

    Each resample draws n architectures with replacement, the same ones from every array.
    Of more than 10,000 architectures τ is by its linear part, see ``nasproxy.metrics.resamples``,
    which keeps all but some 10/n of an interval's width.
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
    _check_confidence(confidence)
    n_resamples = whole("n_resamples", n_resamples, 1)
    rng = np.random.default_rng(whole("seed", seed, 0))
    given = vectors(**{f"array {i}": array for i, array in enumerate(arrays)})
    n = given[0].size
    draws = (rng.integers(n, size=n) for _ in range(n_resamples))
    return _interval(resamples.values(statistic, given, draws), confidence)


def over_seeds(
    statistic: Callable[..., float],
    scores: ArrayLike,
    *arrays: ArrayLike,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The mean over seeds of ``statistic(score, *arrays)``, its interval over both.

    Each resample draws n architectures and, independently, as many seeds as there are, both with
    replacement (Owen, "The pigeonhole bootstrap", 2007). What seeds add to the spread is stretched
    by √(seeds / (seeds − 1)), since so few draws show too little of it. An interval of two or three
    seeds still rests on those: ``seed_deviation`` says how far apart they are. Of one seed it is
    that of ``bootstrap``, over architectures alone, which is too narrow for what another seed does.

    Args:
        statistic: a function of (n,) arrays that returns a float, such as ``kendall_tau``.
        scores: (seeds, n), or (n,) of one seed.
        arrays: further (n,) arrays, the same for all seeds: the truth.
        n_resamples, confidence, seed: as of ``bootstrap``.

    Raises:
        MetricError, SettingError: as of ``bootstrap``.
    """
    (matrix,), given = of_seeds(
        {"score": scores}, **{f"array {i}": array for i, array in enumerate(arrays)}
    )
    return _estimate(statistic, [matrix], given, lambda s: s, n_resamples, confidence, seed)


def paired_gain(
    score: ArrayLike,
    other: ArrayLike,
    truth: ArrayLike,
    *,
    statistic: Callable[[Vector, Vector], float] = kendall_tau,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """How much better one score ranks than another: the difference of their τ, and its interval.

    Both are of the same architectures and resampled alike, so that what the two share, which
    architectures were drawn above all, cancels. Where both have as many seeds, these are drawn
    alike too. ``seed_deviation`` is of the difference then, otherwise NaN.

    Args:
        score, other: (n,) or (seeds, n); each may have seeds of its own.
        truth: (n,).
        statistic: what is compared.
        n_resamples, confidence, seed: as of ``bootstrap``; intervals as of ``over_seeds``.

    Raises:
        MetricError, SettingError: as of ``bootstrap``.
    """
    return _compared(score, other, truth, np.subtract, statistic, n_resamples, confidence, seed)


def share_of_ceiling(
    score: ArrayLike,
    ceiling: ArrayLike,
    truth: ArrayLike,
    *,
    statistic: Callable[[Vector, Vector], float] = kendall_tau,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The score's τ as a share of that of a ceiling, such as a repeated or a shorter training.

    Arguments and intervals as of ``paired_gain``. NaN where the ceiling's τ is not positive, since
    a share of that says nothing.
    """

    def share(own: Vector, best: Vector) -> Vector:
        return np.divide(own, best, out=np.full_like(own, np.nan), where=best > 0)

    return _compared(score, ceiling, truth, share, statistic, n_resamples, confidence, seed)


def _compared(
    score: ArrayLike,
    other: ArrayLike,
    truth: ArrayLike,
    combine: Callable[..., Vector],
    statistic: Callable[[Vector, Vector], float],
    n_resamples: int,
    confidence: float,
    seed: int,
) -> Estimate:
    matrices, given = of_seeds({"score": score, "other": other}, truth=truth)
    return _estimate(statistic, matrices, given, combine, n_resamples, confidence, seed)


def _estimate(
    statistic: Callable[..., float],
    matrices: list[Vector],
    arrays: list[Vector],
    combine: Callable[..., Vector],
    n_resamples: int,
    confidence: float,
    seed: int,
) -> Estimate:
    """``combine`` of the mean statistic of each matrix's seeds, with its interval."""
    _check_confidence(confidence)
    n_resamples = whole("n_resamples", n_resamples, 1)
    seed = whole("seed", seed, 0)
    # Architectures are those of `bootstrap`, whatever the number of seeds.
    n = matrices[0].shape[1]
    # By matrix, (1 + resamples, seeds).
    values = [
        np.column_stack(
            [
                resamples.values(statistic, [s, *arrays], _draws(n, n_resamples, seed))
                for s in matrix
            ]
        )
        for matrix in matrices
    ]
    chosen = {
        seeds: np.random.default_rng((seed, seeds)).integers(seeds, size=(n_resamples, seeds))
        for seeds in {len(matrix) for matrix in matrices}
    }
    whole_value = float(combine(*(of[:1].mean(1) for of in values))[0])
    resampled = combine(*(_seed_means(of[1:], chosen[of.shape[1]]) for of in values))
    deviation = float("nan")
    alike = {of.shape[1] for of in values}
    if len(alike) == 1 and alike != {1}:
        deviation = float(np.std(combine(*(of[0] for of in values)), ddof=1))
    return Estimate(whole_value, *_interval(resampled, confidence), deviation)


def _draws(n: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """All, then the resamples; drawn again for every score, as all at once are n times as many."""
    yield np.arange(n)
    rng = np.random.default_rng(seed)
    for _ in range(n_resamples):
        yield rng.integers(n, size=n)


def _seed_means(values: Vector, drawn: NDArray[np.int64]) -> Vector:
    """Means over the drawn seeds, (resamples,), with the spread that infinitely many would have."""
    seeds = values.shape[1]
    centre = values.mean(1)
    if seeds == 1:
        return centre
    means = np.take_along_axis(values, drawn, 1).mean(1)
    return centre + np.sqrt(seeds / (seeds - 1)) * (means - centre)


def _interval(values: Vector, confidence: float) -> Interval:
    defined = values[~np.isnan(values)]
    if 2 * defined.size < values.size:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise SettingError(f"confidence={confidence!r} is not between 0 and 1; pass .95 for 95 %")
