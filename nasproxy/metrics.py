"""How well a score ranks architectures: pure functions of two arrays, the score and the truth.

Scores of few distinct values are the rule (an NNGP accuracy is k / n_v), so every metric says what
ties do to it. What is undefined (a constant array, a single class) is NaN, without a warning; what
is wrong (NaN, infinite, unequal lengths) raises ``MetricError``. Signs are kept: a score that ranks
backwards has a negative correlation and an AUROC below one half.

The set is that of Park et al., "Towards NNGP-guided Neural Architecture Search" (2020), 2.2.
"""

import operator
from collections.abc import Callable
from numbers import Real
from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from nasproxy.errors import NasproxyError, SettingError

Vector = NDArray[np.float64]

N_SUBSETS = 10
"""Random subsets that discovered performance is averaged over, as in the paper."""


class MetricError(NasproxyError, ValueError):
    """Arrays that no metric is defined for."""


class DiscoveredPerformance(NamedTuple):
    """``mean`` and ``standard_error`` of ``values``, one for each subset; truth's units.

    ``standard_error`` (sample deviation over √subsets) is NaN where there is one value only.
    """

    mean: float
    standard_error: float
    values: Vector


class Interval(NamedTuple):
    """A confidence interval; both ends are NaN where it is undefined."""

    low: float
    high: float


def kendall_tau(score: ArrayLike, truth: ArrayLike) -> float:
    """Kendall's τ_b of two (n,) arrays, in [-1, 1]; pairs tied in either count for neither side.

    NaN where an array is constant. O(n log n). Kendall (1945), through ``scipy.stats.kendalltau``.
    """
    score, truth = _vectors(score=score, truth=truth)
    if _is_constant(score) or _is_constant(truth):
        return float("nan")
    tau, _p_value = np.asarray(stats.kendalltau(score, truth))
    return float(tau)


def pearson(score: ArrayLike, truth: ArrayLike) -> float:
    """Pearson's r of two (n,) arrays, in [-1, 1]; NaN where an array is constant."""
    score, truth = _vectors(score=score, truth=truth)
    if _is_constant(score) or _is_constant(truth):
        return float("nan")
    r = np.dot(_standardized(score), _standardized(truth))
    return float(np.clip(r, -1.0, 1.0))


def spearman(score: ArrayLike, truth: ArrayLike) -> float:
    """Spearman's ρ: Pearson's r of the ranks, tied entries sharing their mean rank.

    NaN where an array is constant.
    """
    score, truth = _vectors(score=score, truth=truth)
    return pearson(stats.rankdata(score), stats.rankdata(truth))


def pqetp(
    score: ArrayLike,
    truth: ArrayLike,
    threshold: float | None = None,
    *,
    percentile: float | None = None,
) -> float:
    """Prediction quality for exceedance of threshold performance (PQETP-λ).

    The AUROC of the score as classifier of truth > λ: the probability that an architecture better
    than λ scores above one that is not, a tie counting one half. From the ranks, in O(n log n).

    Args:
        score, truth: (n,) arrays.
        threshold: λ, in truth's units; or
        percentile: λ is this percentile (0 to 100) of ``truth``, interpolated linearly.

    Returns:
        a float in [0, 1]; NaN where all or none of the architectures exceed λ.

    Raises:
        MetricError: bad arrays.
        SettingError: not exactly one λ is given.
    """
    score, truth = _vectors(score=score, truth=truth)
    better = truth > _threshold(truth, threshold, percentile)
    n_better = int(better.sum())
    n_pairs = n_better * (better.size - n_better)
    if n_pairs == 0:
        return float("nan")
    rank_sum = float(stats.rankdata(score)[better].sum())
    return (rank_sum - n_better * (n_better + 1) / 2) / n_pairs


def pqetp_curve(score: ArrayLike, truth: ArrayLike, thresholds: ArrayLike) -> Vector:
    """``pqetp`` at many thresholds λ, from one ranking: O(n log n) for all of them.

    Args:
        score, truth: (n,) arrays.
        thresholds: (k,) values of λ, in truth's units.

    Returns:
        (k,); NaN where all or none of the architectures exceed λ.

    Raises:
        MetricError: bad arrays.
    """
    score, truth = _vectors(score=score, truth=truth)
    levels = np.atleast_1d(np.asarray(thresholds, np.float64))
    order = np.argsort(truth, kind="stable")
    n_worse = np.searchsorted(truth[order], levels, side="right")
    n_better = truth.size - n_worse
    rank_sums = np.concatenate([[0.0], np.cumsum(stats.rankdata(score)[order])])
    beyond = rank_sums[-1] - rank_sums[n_worse]
    n_pairs = n_better * n_worse
    with np.errstate(invalid="ignore"):
        return (beyond - n_better * (n_better + 1) / 2) / np.where(n_pairs > 0, n_pairs, np.nan)


def discovered_performance(
    score: ArrayLike,
    truth: ArrayLike,
    *,
    top: int = 10,
    subset: int | None = None,
    n_subsets: int = N_SUBSETS,
    seed: int = 0,
) -> DiscoveredPerformance:
    """Best truth among the ``top`` architectures by score: what a search by this score would find.

    Where the score ties across the k-th place, the value is the exact expectation over breaking
    that tie uniformly at random. With m the best truth strictly above the tie, r places left, and
    the tied truths ascending y_1 ≤ … ≤ y_t, the best of r drawn from t is y_i with probability
    C(i-1, r-1) / C(t, r), hence Σ_i C(i-1, r-1) / C(t, r) · max(m, y_i). A constant score thus
    earns the expected best of ``top`` random architectures, whatever the order in the file.

    Args:
        score, truth: (n,) arrays.
        top: k, at most the size of the subset.
        subset: size of the random subsets, drawn without replacement; None takes all n, once.
        n_subsets, seed: how many subsets, and which; unused where ``subset`` is None.

    Raises:
        MetricError: bad arrays.
        SettingError: a setting out of its range.
    """
    score, truth = _vectors(score=score, truth=truth)
    n = score.size
    size = n if subset is None else _whole("subset", subset, 2, n)
    top = _whole("top", top, 1, size)
    if subset is None:
        values = np.array([_expected_best(score, truth, top)])
    else:
        rng = np.random.default_rng(_whole("seed", seed, 0))
        draws = (
            rng.choice(n, size, replace=False, shuffle=False)
            for _ in range(_whole("n_subsets", n_subsets, 1))
        )
        values = np.array([_expected_best(score[i], truth[i], top) for i in draws])
    error = values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else np.nan
    return DiscoveredPerformance(float(values.mean()), float(error), values)


def mnas_reward(
    accuracy: ArrayLike, latency_ms: ArrayLike, target: float = 75.0, exponent: float = -0.07
) -> Vector:
    """MNAS's trade of accuracy against latency, ACC·(LAT/TAR)^w, an entry an architecture.

    Args:
        accuracy: (n,), in whatever unit; its reward has the same.
        latency_ms: (n,) milliseconds, positive (a ``latency`` proxy's scores are minus these).
        target: TAR, milliseconds.
        exponent: w, the same above and below the target: −.07 is the soft constraint of Tan et
            al. (2019), under which twice the latency must buy 5 % more accuracy.

    Raises:
        MetricError: arrays that are not finite or of unequal length, or a latency that is not
            positive.
        SettingError: a target that is none.
    """
    if not (np.isfinite(target) and target > 0 and np.isfinite(exponent)):
        raise SettingError(
            f"target={target!r}, exponent={exponent!r}: give positive milliseconds and a number"
        )
    accuracy, latency = _vectors(accuracy=accuracy, latency_ms=latency_ms)
    if (latency <= 0).any():
        first = int((latency <= 0).argmax())
        raise MetricError(
            f"latency_ms[{first}] is {latency[first]:g}; pass positive milliseconds (a latency "
            "proxy's scores with the sign turned)"
        )
    return accuracy * (latency / target) ** exponent


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
    n_resamples = _whole("n_resamples", n_resamples, 1)
    rng = np.random.default_rng(_whole("seed", seed, 0))
    vectors = _vectors(**{f"array {i}": array for i, array in enumerate(arrays)})
    n = vectors[0].size
    draws = (rng.integers(n, size=n) for _ in range(n_resamples))
    values = np.array([float(statistic(*(vector[i] for vector in vectors))) for i in draws])
    defined = values[~np.isnan(values)]
    if 2 * defined.size < n_resamples:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _expected_best(score: Vector, truth: Vector, top: int) -> float:
    """E[best truth among the top k by score] over random tie-breaking, by the formula above."""
    boundary = np.partition(score, -top)[-top]
    above = truth[score > boundary]
    tied = np.sort(truth[score == boundary])
    best_above = above.max(initial=-np.inf)
    t, r = tied.size, top - above.size
    # C(i-1, r-1) / C(t, r) from i = t downwards: first r / t, then times (i - r) / (i - 1)
    # a step, which leaves 0 below i = r.
    i = np.arange(t, 1, -1)
    probability = np.cumprod(np.concatenate([[r / t], (i - r) / (i - 1)]))
    # Offsets from the largest keep a constant truth exact.
    best = np.maximum(tied[::-1], best_above)
    return float(best[0] + probability @ (best - best[0]))


def _threshold(truth: Vector, threshold: float | None, percentile: float | None) -> float:
    if (threshold is None) == (percentile is None):
        raise SettingError(
            f"pqetp got threshold={threshold!r} and percentile={percentile!r}; pass exactly one: "
            "threshold in truth's units, or percentile from 0 to 100"
        )
    for name, value in (("threshold", threshold), ("percentile", percentile)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise SettingError(f"{name}={value!r:.80} is no number; pass one")
    if threshold is not None:
        if np.isnan(threshold):
            raise SettingError(
                "threshold=nan compares with nothing; pass a number in truth's units"
            )
        return threshold
    assert percentile is not None
    if not 0 <= percentile <= 100:
        raise SettingError(
            f"percentile={percentile!r} is not in [0, 100]; pass 90 for the best 10 %"
        )
    return float(np.percentile(truth, percentile))


def _is_constant(vector: Vector) -> bool:
    return bool((vector == vector[0]).all())


def _standardized(vector: Vector) -> Vector:
    """Centred and of unit norm; scaled first, so that no square over- or underflows."""
    centred = vector / np.abs(vector).max()
    centred -= centred.mean()
    centred -= centred.mean()  # what rounding left of the mean, where the spread is tiny
    return centred / np.linalg.norm(centred)


def _whole(name: str, value: SupportsIndex, low: int, high: int | None = None) -> int:
    """The integer setting ``name``, checked against its inclusive range."""
    accepted = f"an integer of at least {low}" + ("" if high is None else f" and at most {high}")
    try:
        number = operator.index(value)
    except TypeError:
        raise SettingError(f"{name}={value!r} is not an integer; pass {accepted}") from None
    if number < low or (high is not None and number > high):
        raise SettingError(f"{name}={value!r} is out of range; pass {accepted}")
    return number


def _vectors(**arrays: ArrayLike) -> list[Vector]:
    """The arrays as float64 vectors of one length n ≥ 2 and finite entries, or ``MetricError``."""
    vectors = {name: _vector(name, array) for name, array in arrays.items()}
    lengths = {name: vector.size for name, vector in vectors.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise MetricError(f"lengths differ: {listed}; join the tables on their keys first")
    if min(lengths.values()) < 2:
        name, length = next(iter(lengths.items()))
        raise MetricError(f"{name} has {length} entries; a ranking needs at least 2 architectures")
    return list(vectors.values())


def _vector(name: str, array: ArrayLike) -> Vector:
    try:
        raw = np.asarray(array)
    except ValueError as error:
        raise MetricError(f"{name} is no array ({error}); pass a flat list of numbers") from None
    if raw.ndim != 1:
        raise MetricError(
            f"{name} has shape {raw.shape}; pass one number for each architecture, (n,)"
        )
    # Text and times would convert without complaint, alone or as objects.
    boxed = raw.dtype.kind == "O"
    if raw.dtype.kind in "SUmMc" or (boxed and not all(isinstance(entry, Real) for entry in raw)):
        raise MetricError(f"{name} holds {raw.dtype} entries such as {raw[:1]}; pass real numbers")
    vector = raw.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise MetricError(
            f"{name}[{bad[0]}] is {vector[bad[0]]}; {bad.size} of {vector.size} entries are not "
            "finite: drop those architectures from every array, and report how many they were"
        )
    return vector
