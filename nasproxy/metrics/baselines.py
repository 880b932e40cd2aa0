"""What a score tells that baselines do not: τ within groups of equal baselines, and partial τ."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from nasproxy.metrics.arrays import Vector, columns, vectors
from nasproxy.metrics.correlation import kendall_tau, spearman


class GivenTau(NamedTuple):
    """τ among architectures that baselines do not tell apart.

    Attributes:
        tau: NaN where no pair is untied in score and in truth.
        pairs: of architectures that share all baselines, which τ is over; tied ones among them.
    """

    tau: float
    pairs: int


def tau_given(score: ArrayLike, truth: ArrayLike, given: ArrayLike) -> GivenTau:
    """Kendall's τ_b over the pairs of architectures whose baselines are all equal.

    Σ (concordant − discordant) over √(Σ pairs untied in score · Σ pairs untied in truth), the sums
    over groups of equal rows of ``given``: what the score ranks that no function of the baselines
    could. Groups count by their pairs. O(n log n).

    Args:
        score, truth: (n,) arrays.
        given: (n,) or (n, k), numbers that are compared exactly: counts, not measurements.

    Raises:
        MetricError: bad arrays.
    """
    score, truth = vectors(score=score, truth=truth)
    group = joint_groups(given, score.size)
    within = group_pairs(group)
    # Ordered by group first, pairs of different groups are concordant, and their number is known.
    x, y = (_ranks(group, values) for values in (score, truth))
    untied = [_all_pairs(score.size) - _tied(ranks) for ranks in (x, y)]
    across = _all_pairs(score.size) - within
    own = [pairs - across for pairs in untied]
    if min(own) == 0:
        return GivenTau(float("nan"), within)
    tau, _p_value = np.asarray(stats.kendalltau(x, y))
    surplus = round(float(tau) * float(np.sqrt(untied[0]) * np.sqrt(untied[1]))) - across
    return GivenTau(surplus / float(np.sqrt(own[0]) * np.sqrt(own[1])), within)


def tau_within(score: ArrayLike, truth: ArrayLike, given: ArrayLike) -> float:
    """The τ of :func:`tau_given` alone, as intervals ask for it."""
    return tau_given(score, truth, given).tau


def group_pairs(given: ArrayLike) -> int:
    """Pairs of architectures whose baselines, (n,) or (n, k), are all equal."""
    return _tied(joint_groups(given, len(np.asarray(given))))


def partial_kendall(score: ArrayLike, truth: ArrayLike, given: ArrayLike) -> float:
    """Kendall's partial τ: what score and truth share beyond what both share with baselines.

    With one baseline (τ_st − τ_sg τ_tg) / √((1 − τ_sg²)(1 − τ_tg²)); with several, the same of the
    inverse of the matrix of all τ. A linear device on ranks: zero for scores that are independent
    of the truth given the baselines only where these relations are linear, so read ``tau_given``
    beside it.

    Args:
        score, truth: (n,) arrays.
        given: (n,) or (n, k).

    Returns:
        a float in [-1, 1]; NaN where an array is constant or the baselines leave nothing.

    Raises:
        MetricError: bad arrays.

    Kendall, "Partial rank correlation", Biometrika 32 (1942).
    """
    return _partial(kendall_tau, score, truth, given)


def partial_spearman(score: ArrayLike, truth: ArrayLike, given: ArrayLike) -> float:
    """As ``partial_kendall``, of Spearman's ρ: Pearson's r of what ranks of ``given`` leave."""
    return _partial(spearman, score, truth, given)


def _partial(
    statistic: Callable[[Vector, Vector], float],
    score: ArrayLike,
    truth: ArrayLike,
    given: ArrayLike,
) -> float:
    score, truth = vectors(score=score, truth=truth)
    all_columns = [score, truth, *columns("given", given, score.size).T]
    matrix = np.eye(len(all_columns))
    for i, j in zip(*np.triu_indices(len(all_columns), 1), strict=True):
        matrix[i, j] = matrix[j, i] = statistic(all_columns[i], all_columns[j])
    if np.isnan(matrix).any():
        return float("nan")
    # What is left of score and truth when the baselines are taken out: a Schur complement.
    others = matrix[2:, 2:]
    if np.linalg.matrix_rank(others) < len(others):
        others_inverse = np.linalg.pinv(others, hermitian=True)
    else:
        others_inverse = np.linalg.inv(others)
    left = matrix[:2, :2] - matrix[:2, 2:] @ others_inverse @ matrix[2:, :2]
    scale = left[0, 0] * left[1, 1]
    if min(left[0, 0], left[1, 1]) < 1e-12:
        return float("nan")
    return float(np.clip(left[0, 1] / np.sqrt(scale), -1.0, 1.0))


def joint_groups(given: ArrayLike, n: int) -> NDArray[np.int64]:
    """The number of each row's group of equal rows, (n,)."""
    rows = columns("given", given, n)
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def _ranks(group: NDArray[np.int64], values: Vector) -> NDArray[np.int64]:
    """Ranks by group, then by value; equal ones alike."""
    own = np.unique(values, return_inverse=True)[1]
    return np.unique(group * (own.max() + 1) + own, return_inverse=True)[1]


def _tied(ranks: NDArray[np.int64]) -> int:
    return sum(_all_pairs(int(count)) for count in np.bincount(ranks))


def _all_pairs(n: int) -> int:
    return n * (n - 1) // 2
