"""A statistic of many bootstrap resamples: τ of all at once, others one by one.

How often each architecture was drawn, w, is all that τ_b needs to know of a resample. Its surplus
of concordant pairs is Σ w_i w_j sign(x_i − x_j) sign(y_i − y_j) over pairs, one matrix product for
all resamples; its untied pairs are those of n less those of equal values, from sums of w. All are
integers, and so exact.

Of more than ``LINEAR`` architectures, groups of more than ``MOST`` count their discordant pairs (or
concordant ones, whichever are fewer) by the linear part in w: Σ w_i d_i less its value at w = 1,
where d_i are i's own: O(n) a resample. What that leaves out, Σ (w_i − 1)(w_j − 1) over these pairs,
is uncorrelated with it and 2/√n of its deviation at τ = 0, 6/√n at .95, so that an interval's width
loses 2/n to 20/n of itself (Serfling, "Approximation Theorems of Mathematical Statistics", 1980,
section 5.3).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float32, Float64, Int8, Int64
from numpy.typing import NDArray

from nasproxy.metrics.arrays import Vector
from nasproxy.metrics.baselines import joint_groups, tau_within
from nasproxy.metrics.concordance import partners
from nasproxy.metrics.correlation import kendall_tau

MOST = 2000
"""Architectures up to which n² products a resample take less time than sorting it."""
LINEAR = 10_000
"""Architectures up to which every resample's τ is exact."""
PACKED = 512
"""Architectures of small groups in one product."""
CHUNK, HELD = 1024, 2**24
"""Resamples at once, and counts."""

Draw = NDArray[np.int64]
Counts = Float32[np.ndarray, "r n"]
OfCounts = Callable[[Counts], Float64[np.ndarray, " r"]]


def values(
    statistic: Callable[..., float], arrays: Sequence[Vector], draws: Iterable[Draw]
) -> Vector:
    """The statistic of the arrays at each draw, NaN where it is undefined; (draws,).

    Args:
        statistic: of (n,) arrays.
        arrays: checked already.
        draws: positions, as many as there are architectures.
    """
    n = len(arrays[0])
    within = statistic is tau_within
    group = np.zeros(n, np.int64)
    if within and len(arrays) == 3:
        group = joint_groups(arrays[2], n)
    together = statistic in (kendall_tau, tau_within) and len(arrays) == 2 + within
    if not together or (n <= LINEAR and np.bincount(group).max() > MOST):
        return np.array([float(statistic(*(array[i] for array in arrays))) for i in draws])
    x, y = (np.unique(array, return_inverse=True)[1].reshape(-1) for array in arrays[:2])
    surplus = _surplus(x, y, group)
    pairs, *tied = (_alike(codes) for codes in (group, _codes(group, x), _codes(group, y)))
    left, found = iter(draws), [np.empty(0)]
    while len(counts := _counts(islice(left, min(CHUNK, max(1, HELD // n))), n)):
        untied = [pairs(counts) - alike(counts) for alike in tied]
        with np.errstate(divide="ignore", invalid="ignore"):
            taus = surplus(counts) / np.sqrt(untied[0]) / np.sqrt(untied[1])
        found.append(np.where(np.minimum(*untied) > 0, np.clip(taus, -1.0, 1.0), np.nan))
    return np.concatenate(found)


def _counts(draws: Iterable[Draw], n: int) -> Counts:
    """How often each was drawn."""
    rows = [np.bincount(i, minlength=n).astype(np.float32) for i in draws]
    return np.array(rows, np.float32).reshape(-1, n)


def _surplus(x: Draw, y: Draw, group: Draw) -> OfCounts:
    """Concordant pairs less discordant ones, of groups."""
    of_blocks = [
        (block, (_linear if len(block) > MOST else _exact)(x[block], y[block], group[block]))
        for block in _blocks(group)
    ]

    def of(counts: Counts) -> Float64[np.ndarray, " r"]:
        return np.sum([surplus(counts[:, block]) for block, surplus in of_blocks], axis=0)

    return of


def _exact(x: Draw, y: Draw, group: Draw) -> OfCounts:
    def of(counts: Counts) -> Float64[np.ndarray, " r"]:
        # Integers below 2²⁴, which float32 holds exactly; sums of their products are float64's.
        product = counts @ _agreement(x, y, group)
        return np.einsum("rn,rn->r", product, counts, dtype=np.float64) / 2

    return of


def _linear(x: Draw, y: Draw, _one: Draw) -> OfCounts:
    """Of the fewer, discordant or concordant, by their linear part; of both together exactly."""
    concordant, discordant = partners(x, y)
    sign = 1 if discordant.sum() < concordant.sum() else -1
    fewer = discordant if sign == 1 else concordant
    whole = fewer.sum() / 2
    pairs, *tied, both = map(_alike, (np.zeros_like(x), x, y, _codes(x, y)))

    def of(counts: Counts) -> Float64[np.ndarray, " r"]:
        untied = pairs(counts) - sum(alike(counts) for alike in tied) + both(counts)
        linear = np.einsum("rn,n->r", counts, fewer, dtype=np.float64) - whole
        return sign * (untied - 2 * np.maximum(linear, 0))

    return of


def _blocks(group: Draw) -> Iterator[Draw]:
    """Positions of whole groups: of a large one, or of small ones up to ``PACKED`` together."""
    order = np.argsort(group, kind="stable")
    if len(order) <= MOST:
        yield order
        return
    start = last = 0
    for end in np.cumsum(np.bincount(group)).tolist():
        if last > start and end - start > PACKED:
            yield order[start:last]
            start = last
        last = end
    yield order[start:]


def _agreement(x: Draw, y: Draw, group: Draw) -> Float32[np.ndarray, "n n"]:
    """1 for concordant pairs of a group, −1 for discordant ones, 0 for others."""
    agree = _signs(x)
    agree *= _signs(y)
    agree *= group[:, None] == group
    return agree.astype(np.float32)


def _signs(values: Draw) -> Int8[np.ndarray, "n n"]:
    ranks = np.unique(values, return_inverse=True)[1].astype(np.int16)  # a quarter of the traffic
    after = (ranks[:, None] > ranks).view(np.int8)
    return after - after.T


def _codes(group: Draw, ranks: Draw) -> Draw:
    return group * (ranks.max() + 1) + ranks


def _alike(codes: Int64[np.ndarray, " n"]) -> OfCounts:
    """Pairs of each resample that have one code."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(starts, append=len(codes))
    several = sizes > 1
    shared, alone = (order[np.repeat(of, sizes)] for of in (several, ~several))
    starts = np.cumsum(sizes[several]) - sizes[several]

    def of(counts: Counts) -> Float64[np.ndarray, " r"]:
        pairs = np.zeros(len(counts))
        if len(starts):
            together = np.add.reduceat(counts.take(shared, 1), starts, axis=1).astype(np.float64)
            pairs += (together * (together - 1)).sum(1) / 2
        if len(alone):
            own = counts.take(alone, 1) if len(starts) else counts
            squares = np.einsum("rn,rn->r", own, own, dtype=np.float64)
            pairs += (squares - own.sum(1, dtype=np.float64)) / 2
        return pairs

    return of
