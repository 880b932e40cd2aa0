"""What a search by a score would find."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasproxy.metrics.arrays import Vector, vectors, whole

N_SUBSETS = 10
"""Parts that discovered performance is averaged over, as many as the paper's subsets."""


class DiscoveredPerformance(NamedTuple):
    """``mean`` and ``standard_error`` of ``values``, one for each subset; truth's units.

    ``standard_error`` (sample deviation over √subsets) is NaN where there is one value only.
    """

    mean: float
    standard_error: float
    values: Vector


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

    Subsets are disjoint: those that overlap, as random halves, would repeat each other, and their
    deviation over √subsets would be about √subsets too small for an error.

    Args:
        score, truth: (n,) arrays.
        top: k, at most the size of the subset.
        subset: size of disjoint random subsets; None takes all n, once.
        n_subsets: how many at most; fewer where the architectures do not suffice.
        seed: which subsets; unused where ``subset`` is None.

    Raises:
        MetricError: bad arrays.
        SettingError: a setting out of its range.
    """
    score, truth = vectors(score=score, truth=truth)
    n = score.size
    size = n if subset is None else whole("subset", subset, 2, n)
    top = whole("top", top, 1, size)
    if subset is None:
        values = np.array([_expected_best(score, truth, top)])
    else:
        count = min(whole("n_subsets", n_subsets, 1), n // size)
        parts = disjoint_parts(n, size, count, seed)
        values = np.array([_expected_best(score[i], truth[i], top) for i in parts])
    error = values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else np.nan
    return DiscoveredPerformance(float(values.mean()), float(error), values)


def disjoint_parts(n: int, size: int, count: int, seed: int = 0) -> list[NDArray[np.int64]]:
    """Positions of ``count`` random parts of n, of ``size`` each, that share none.

    Raises:
        SettingError: they do not fit into n, or a setting is out of its range.
    """
    size = whole("size", size, 1, n)
    count = whole("count", count, 1, n // size)
    order = np.random.default_rng(whole("seed", seed, 0)).permutation(n)
    return [order[i * size : (i + 1) * size] for i in range(count)]


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
