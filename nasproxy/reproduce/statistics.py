"""Intervals, paired differences and random subsets, as the experiments' tables state them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from nasproxy import metrics

RESAMPLES = 200
"""Bootstrap resamples of an interval: its ends are then good to about a tenth of its width."""
DISJOINT_FROM = 50
"""Subsets do not overlap if that leaves each so many architectures."""
DRAWS = 10
"""Draws of subsets that are averaged, so that a mean is not one draw's luck."""


class Estimate(NamedTuple):
    """A statistic with its 95 % interval: the bootstrap's over architectures unless said."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return format(self, ".3f")

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]" if spec else str(self)

    def __neg__(self) -> "Estimate":
        return Estimate(-self.value, -self.high, -self.low)


def estimate(statistic: Callable[..., float], *arrays: ArrayLike) -> Estimate:
    """The statistic of all architectures, and its interval."""
    low, high = metrics.bootstrap(statistic, *arrays, n_resamples=RESAMPLES)
    return Estimate(statistic(*arrays), low, high)


def resampled(statistic: Callable[..., ArrayLike], *arrays: np.ndarray) -> np.ndarray:
    """The statistic of all architectures, then of each bootstrap resample.

    Arrays of one length are resampled alike, call by call, so that differences of what comes back
    are paired. Returns ``[1 + RESAMPLES, ...]``.
    """
    rng = np.random.default_rng(0)
    n = len(arrays[0])
    draws = [np.arange(n), *(rng.integers(n, size=n) for _ in range(RESAMPLES))]
    return np.array([statistic(*(array[i] for array in arrays)) for i in draws])


def interval(values: np.ndarray) -> Estimate:
    """The first of what :func:`resampled` returns, with the 95 % interval of the rest."""
    defined = values[1:][~np.isnan(values[1:])]
    if 2 * len(defined) < len(values) - 1:
        return Estimate(float(values[0]), float("nan"), float("nan"))
    low, high = np.quantile(defined, [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))


def simultaneous(values: np.ndarray, count: int) -> Estimate:
    """As :func:`interval`, of ``count`` intervals that hold together (Bonferroni).

    Of the normal approximation: so far out, quantiles of a few hundred resamples say little.
    """
    defined = values[1:][~np.isnan(values[1:])]
    if 2 * len(defined) < len(values) - 1:
        return Estimate(float(values[0]), float("nan"), float("nan"))
    half = float(stats.norm.ppf(1 - 0.025 / count) * defined.std(ddof=1))
    return Estimate(float(values[0]), float(values[0]) - half, float(values[0]) + half)


def verdict(gain: Estimate) -> str:
    """What an interval of a difference says."""
    if np.isnan(gain.low):
        return "cannot be compared with"
    return (
        "beats" if gain.low > 0 else "is worse than" if gain.high < 0 else "is not told apart from"
    )


def columns(name: str, of: Estimate) -> dict[str, float]:
    """Columns of a table: the value and the ends of its interval."""
    return {name: of.value, f"{name} low": of.low, f"{name} high": of.high}


def settled(*gains: Estimate) -> str:
    """Whether a claim that all gains are positive holds, by their intervals."""
    if any(gain.high < 0 for gain in gains):
        return "does not hold"
    return "holds" if all(gain.low > 0 for gain in gains) else "is undecided"


def tau(score: ArrayLike, truth: ArrayLike) -> Estimate:
    """Kendall's τ_b."""
    return estimate(metrics.kendall_tau, score, truth)


def tau_gain(score: ArrayLike, other: ArrayLike, truth: ArrayLike) -> Estimate:
    """How much larger the score's τ is than the other's, on the same architectures."""
    return Estimate(*metrics.paired_gain(score, other, truth, n_resamples=RESAMPLES)[:3])


def correlations(score: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Columns of a table: number of architectures, τ and Pearson's r with their intervals."""
    named: dict[str, float] = {"cells": len(np.asarray(truth))}
    for name, statistic in (("τ", metrics.kendall_tau), ("r", metrics.pearson)):
        named |= columns(name, estimate(statistic, score, truth))
    return named


def subsets(n: int, count: int = 10, seed: int = 0) -> list[np.ndarray]:
    """Random subsets of n positions: disjoint where that leaves enough in each, else halves."""
    rng = np.random.default_rng(seed)
    if n >= count * DISJOINT_FROM:
        size = n // count
        order = rng.permutation(n)
        return [order[i * size : (i + 1) * size] for i in range(count)]
    return [rng.choice(n, n // 2, replace=False) for _ in range(count)]


def kind(n: int, count: int = 10) -> str:
    """The subsets in words."""
    if n >= count * DISJOINT_FROM:
        return f"{count} disjoint random subsets of {n // count} cells"
    return f"{count} random halves, {n // 2} cells each, which overlap"


def top(size: int) -> int:
    """How many architectures a search may look at: the paper's 10, fewer in small subsets."""
    return max(1, min(10, size // 5))


class Mean(NamedTuple):
    """Mean over subsets, with its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ± {self.error:.4f}"


def discovered(score: np.ndarray, truth: np.ndarray, drawn: list[np.ndarray]) -> Mean:
    """Discovered performance: the best truth of the top 10 by score, over subsets."""
    return mean(found(score, truth, drawn))


def mean(values: ArrayLike) -> Mean:
    """Of one value a subset; the error of one value alone is unknown (NaN)."""
    array = np.asarray(values, float)
    error = array.std(ddof=1) / np.sqrt(len(array)) if len(array) > 1 else np.nan
    return Mean(float(array.mean()), float(error))


def student(of: Mean, count: int) -> Estimate:
    """Student's t interval of a mean of so many values; unknown (NaN) of one."""
    half = float(stats.t.ppf(0.975, count - 1)) * of.error if count > 1 else np.nan
    return Estimate(of.value, of.value - half, of.value + half)


def subset_mean(values: ArrayLike, n: int) -> Mean:
    """Of one value a subset of n architectures, with the error that :func:`subsets` allows.

    Several draws of subsets, ``[draws, subsets]``, are averaged, so that the mean is not one
    draw's luck; they share their architectures, so the error stays one draw's. Halves overlap: the
    deviation itself, not over the root of their number, is the error (delete-half jackknife; Shao
    and Wu 1989).
    """
    drawn = np.atleast_2d(np.asarray(values, float))
    independent = drawn.shape[1] if n >= drawn.shape[1] * DISJOINT_FROM else 1
    variance = drawn.var(1, ddof=1).mean() / independent
    return Mean(float(drawn.mean()), float(np.sqrt(variance)))


def over_subsets(values: ArrayLike, n: int) -> Estimate:
    """:func:`subset_mean` with Student's t interval."""
    return student(subset_mean(values, n), np.shape(values)[-1])


def found(
    score: np.ndarray, truth: np.ndarray, drawn: list[np.ndarray], most: int | None = None
) -> np.ndarray:
    """Discovered performance of each subset, by as many as fit or at most so many."""
    tops = [min(most or top(len(s)), len(s)) for s in drawn]
    return np.array(
        [
            metrics.discovered_performance(score[s], truth[s], top=k).mean
            for s, k in zip(drawn, tops, strict=True)
        ]
    )


def sort(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The best first."""
    return table.sort_values(by, ascending=False, kind="stable").reset_index(drop=True)
