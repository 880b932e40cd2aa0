"""Correlations of a score with the truth."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nasproxy.metrics.checked import MetricError, Vector, is_constant, vectors


def kendall_tau(score: ArrayLike, truth: ArrayLike) -> float:
    """Kendall's τ_b of two (n,) arrays, in [-1, 1]; pairs tied in either count for neither side.

    NaN where an array is constant. O(n log n). Kendall (1945), through ``scipy.stats.kendalltau``.
    """
    score, truth = vectors(score=score, truth=truth)
    if is_constant(score) or is_constant(truth):
        return float("nan")
    tau, _p_value = np.asarray(stats.kendalltau(score, truth))
    return float(tau)


def pearson(score: ArrayLike, truth: ArrayLike) -> float:
    """Pearson's r of two (n,) arrays, in [-1, 1]; NaN where an array is constant."""
    score, truth = vectors(score=score, truth=truth)
    if is_constant(score) or is_constant(truth):
        return float("nan")
    r = np.dot(_standardized(score), _standardized(truth))
    return float(np.clip(r, -1.0, 1.0))


def spearman(score: ArrayLike, truth: ArrayLike) -> float:
    """Spearman's ρ: Pearson's r of the ranks, tied entries sharing their mean rank.

    NaN where an array is constant.
    """
    score, truth = vectors(score=score, truth=truth)
    return pearson(stats.rankdata(score), stats.rankdata(truth))


def _standardized(vector: Vector) -> Vector:
    """Centred and of unit norm; scaled first, so that no square over- or underflows."""
    centred = vector / np.abs(vector).max()
    centred -= centred.mean()
    centred -= centred.mean()  # what rounding left of the mean, where the spread is tiny
    return centred / np.linalg.norm(centred)


class Given(NamedTuple):
    """A rank correlation among architectures that baselines do not tell apart.

    Attributes:
        tau: NaN where there is no pair that both the score and the truth could order.
        pairs: of architectures with equal baselines.
    """

    tau: float
    pairs: int


def kendall_tau_given(score: ArrayLike, truth: ArrayLike, *baselines: ArrayLike) -> Given:
    """Kendall's τ_b over the pairs of architectures that agree in every baseline.

    What a score knows beyond counts: pairs that the counts already order are left out. Of baselines
    that seldom tie, such as parameters, few pairs are left; :func:`partial_kendall_tau` uses all.

    Args:
        score, truth: ``[n]``.
        baselines: ``[n]`` each, one or more; compared exactly.

    Raises:
        MetricError: bad arrays, or no baseline.
    """
    if not baselines:
        raise MetricError("kendall_tau_given got no baseline: give one array or more")
    named = {f"baseline {i}": b for i, b in enumerate(baselines)}
    score, truth, *given = vectors(score=score, truth=truth, **named)
    _, group = np.unique(np.column_stack(given), axis=0, return_inverse=True)
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order], append=-1)) + 1
    pairs = surplus = by_score = by_truth = 0.0
    for members in np.split(order, ends[:-1]):
        x, y = score[members], truth[members]
        every = len(members) * (len(members) - 1) / 2
        in_x, in_y = (every - _tied_pairs(v) for v in (x, y))
        pairs, by_score, by_truth = pairs + every, by_score + in_x, by_truth + in_y
        if in_x and in_y:
            surplus += kendall_tau(x, y) * np.sqrt(in_x * in_y)
    defined = by_score > 0 and by_truth > 0
    tau = surplus / np.sqrt(by_score * by_truth) if defined else float("nan")
    return Given(float(tau), int(pairs))


def partial_kendall_tau(score: ArrayLike, truth: ArrayLike, baseline: ArrayLike) -> float:
    """Kendall's partial τ: of score and truth, with what both share with a baseline taken out.

    (τ_xy − τ_xz τ_yz) / √((1 − τ_xz²)(1 − τ_yz²)) by τ_b; Kendall (1942). NaN where an array is
    constant, or the baseline orders as the score or the truth does.
    """
    xy, xz, yz = (
        kendall_tau(a, b) for a, b in ((score, truth), (score, baseline), (truth, baseline))
    )
    left = (1 - xz**2) * (1 - yz**2)
    return float((xy - xz * yz) / np.sqrt(left)) if left > 0 else float("nan")


def reliability(trials: ArrayLike) -> float:
    """Of a mean of k repeated measurements ``[n, k]``: the share of its variance that is not noise.

    1 − (mean within-architecture variance / k) / (variance of the means), by one-way analysis of
    variance (Shrout and Fleiss 1979, ICC(1, k)); at most 1, negative where noise is all there is.

    Raises:
        MetricError: bad arrays, or fewer than two measurements each.
    """
    table = np.asarray(trials, np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise MetricError(f"trials have the shape {list(table.shape)}: give [n, k], k at least 2")
    columns = vectors(**{f"trial {i}": column for i, column in enumerate(table.T)})
    table = np.column_stack(columns)
    between = table.mean(1).var(ddof=1)
    noise = table.var(1, ddof=1).mean() / table.shape[1]
    return float(1 - noise / between) if between > 0 else float("nan")


def noise_corrected_pearson(score: ArrayLike, trials: ArrayLike) -> float:
    """Pearson's r with the truth that repeated trainings ``[n, k]`` are noisy measurements of.

    r with their mean over the root of its reliability (Spearman 1904): what the score would reach
    against truth without noise. It may exceed 1 by chance; NaN where the trials are all noise.
    """
    share = reliability(trials)
    observed = pearson(score, np.asarray(trials, np.float64).mean(1))
    return float(observed / np.sqrt(share)) if share > 0 else float("nan")


def _tied_pairs(vector: Vector) -> float:
    _, counts = np.unique(vector, return_counts=True)
    return float((counts * (counts - 1) / 2).sum())
