"""What is found by taking the architectures of the best scores."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nasproxy.errors import SettingError
from nasproxy.metrics.checked import Vector, vectors, whole

N_SUBSETS = 10
"""Random subsets that discovered performance is averaged over, as in the paper."""


class DiscoveredPerformance(NamedTuple):
    """``mean`` and ``standard_error`` of ``values``, one for each subset; truth's units.

    ``standard_error`` is what other architectures of the same kind would change: of disjoint
    subsets the sample deviation over √subsets; of overlapping ones the deviation times
    √(m / (n − m)), m being a subset's size (delete-d jackknife; Shao and Wu 1989). NaN of one
    value, and of subsets that are everything.
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

    Args:
        score, truth: (n,) arrays.
        top: k, at most the size of the subset.
        subset: size of the random subsets; None takes all n, once. They are disjoint where so many
            fit into n; otherwise each is drawn by itself, and they overlap.
        n_subsets, seed: how many subsets, and which; unused where ``subset`` is None.

    Raises:
        MetricError: bad arrays.
        SettingError: a setting out of its range.
    """
    score, truth = vectors(score=score, truth=truth)
    n = score.size
    size = n if subset is None else whole("subset", subset, 2, n)
    top = whole("top", top, 1, size)
    shrink = np.nan
    if subset is None:
        values = np.array([expected_best(score, truth, top)])
    else:
        rng = np.random.default_rng(whole("seed", seed, 0))
        count = whole("n_subsets", n_subsets, 1)
        if count * size <= n:
            draws = list(rng.permutation(n)[: count * size].reshape(count, size))
            shrink = 1 / np.sqrt(count)
        else:
            draws = [rng.choice(n, size, replace=False, shuffle=False) for _ in range(count)]
            shrink = np.sqrt(size / (n - size)) if size < n else np.nan
        values = np.array([expected_best(score[i], truth[i], top) for i in draws])
    error = values.std(ddof=1) * shrink if values.size > 1 else np.nan
    return DiscoveredPerformance(float(values.mean()), float(error), values)


def expected_best(score: Vector, truth: Vector, top: int) -> float:
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


def search_space_reduction(
    score: ArrayLike,
    truth: ArrayLike,
    then: ArrayLike,
    *,
    keep: float = 0.3,
    top: int = 1,
    orders: int = 20,
    seed: int = 0,
) -> float:
    """Best truth among the ``top`` by a second measure, of the share that a score keeps.

    A cheap score screens a space, and a dear one, such as shortened training, is spent on what is
    left. A constant score keeps a random share: that is what to compare with. Ties of ``then`` are
    exact expectations, as in :func:`discovered_performance`; where the score ties across the share
    that is kept, the mean over random orders.

    Args:
        score, truth, then: ``[n]``; larger is better for all.
        keep: share of the architectures that the score keeps, over 0 and at most 1; two at least.
        top: how many of them the second measure may pick.
        orders, seed: of ties at the boundary.

    Returns:
        in truth's units.

    Raises:
        MetricError: bad arrays.
        SettingError: a setting out of its range.

    Park et al. (2020), 3.5.
    """
    score, truth, then = vectors(score=score, truth=truth, then=then)
    if isinstance(keep, bool) or not 0 < keep <= 1:
        raise SettingError(f"keep={keep!r} is no share: give one over 0 and at most 1, such as 0.3")
    kept = max(2, round(keep * score.size))
    top = min(whole("top", top, 1), kept)
    orders = whole("orders", orders, 1)
    rng = np.random.default_rng(whole("seed", seed, 0))
    boundary = np.partition(score, -kept)[-kept]
    sure, tied = np.flatnonzero(score > boundary), np.flatnonzero(score == boundary)
    room = kept - sure.size
    found = []
    for _ in range(1 if room == tied.size else orders):
        chosen = np.concatenate([sure, rng.permutation(tied)[:room]])
        found.append(expected_best(then[chosen], truth[chosen], top))
    return float(np.mean(found))
