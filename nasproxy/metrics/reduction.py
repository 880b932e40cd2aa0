"""Search-space reduction: a cheap score keeps a share, a dearer measure picks of what is kept."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from nasproxy.errors import SettingError
from nasproxy.metrics.arrays import Vector, vectors


class Reduction(NamedTuple):
    """What is found, in the truth's units.

    Attributes:
        found: expected truth of the one picked among the best by score.
        random: the same among a random share of the same size.
        everywhere: the same among all, which costs 1 / ``keep`` as much.
        kept: how many architectures are kept.
    """

    found: float
    random: float
    everywhere: float
    kept: int


def search_space_reduction(
    score: ArrayLike, second: ArrayLike, truth: ArrayLike, *, keep: float
) -> Reduction:
    """Keeps a share by score, picks the best of it by a second measure: the expected truth found.

    Exact in ties: the value is the expectation over breaking those at the edge of what is kept, and
    those of the second measure, uniformly at random; so neither depends on the order in the file,
    and a constant score is the random share.

    Args:
        score, second, truth: (n,) arrays, larger means better.
        keep: share in (0, 1]; of n architectures round(keep · n) are kept, one at least.

    Raises:
        MetricError: bad arrays.
        SettingError: a share out of its range.

    Park et al. (2020), 3.4.
    """
    score, second, truth = vectors(score=score, second=second, truth=truth)
    if isinstance(keep, bool) or not 0 < keep <= 1:
        raise SettingError(f"keep={keep!r} is no share; pass a number above 0 and at most 1, as .3")
    n = score.size
    kept = max(1, round(keep * n))
    alike = np.zeros(n)
    return Reduction(
        _expected_pick(score, second, truth, kept),
        _expected_pick(alike, second, truth, kept),
        _expected_pick(alike, second, truth, n),
        kept,
    )


def _expected_pick(score: Vector, second: Vector, truth: Vector, kept: int) -> float:
    """E[truth of the best by ``second`` among the ``kept`` best by ``score``]."""
    boundary = np.partition(score, -kept)[-kept]
    sure, tied = score > boundary, score == boundary
    order = np.argsort(-second, kind="stable")
    order = order[sure[order] | tied[order]]
    starts = np.flatnonzero(np.diff(second[order], prepend=np.inf))
    left, places = int(tied.sum()), kept - int(sure.sum())
    expected, reached, base = 0.0, 1.0, float(truth.mean())
    # Level by level of the second measure, best first, as long as it may be that none was kept.
    for group in np.split(order, starts[1:]):
        certain, chance = group[sure[group]], group[tied[group]]
        a, t = len(certain), len(chance)
        drawn = np.arange(max(0, places - (left - t)), min(t, places) + 1)
        ways = _log_choose(t, drawn) + _log_choose(left - t, places - drawn)
        probability = reached * np.exp(ways - _log_choose(left, np.array(places)))
        total = float((truth[certain] - base).sum())
        mean = float((truth[chance] - base).mean()) if t else 0.0
        some = a + drawn > 0
        values = (total + drawn[some] * mean) / (a + drawn[some])
        expected += float(probability[some] @ values)
        if some.all():
            break
        reached = float(probability[~some].sum())
        left -= t
        if reached < 1e-15:
            break
    return base + expected


def _log_choose(n: int, k: NDArray[np.int64]) -> Vector:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
