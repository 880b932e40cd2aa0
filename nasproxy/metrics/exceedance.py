"""How well a score tells architectures better than λ from the others."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nasproxy.errors import SettingError
from nasproxy.metrics.arrays import Vector, vectors


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
    score, truth = vectors(score=score, truth=truth)
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
    score, truth = vectors(score=score, truth=truth)
    levels = np.atleast_1d(np.asarray(thresholds, np.float64))
    order = np.argsort(truth, kind="stable")
    n_worse = np.searchsorted(truth[order], levels, side="right")
    n_better = truth.size - n_worse
    rank_sums = np.concatenate([[0.0], np.cumsum(stats.rankdata(score)[order])])
    beyond = rank_sums[-1] - rank_sums[n_worse]
    n_pairs = n_better * n_worse
    with np.errstate(invalid="ignore"):
        return (beyond - n_better * (n_better + 1) / 2) / np.where(n_pairs > 0, n_pairs, np.nan)


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
