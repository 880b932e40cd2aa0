"""Correlations of a score with the truth: τ, r and ρ."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nasproxy.metrics.arrays import Vector, is_constant, vectors


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
