"""A statistic of many bootstrap resamples: τ of all at once, others one by one.

How often each architecture was drawn, w, is all that τ_b needs to know of a resample. Its surplus
of concordant pairs is Σ w_i w_j sign(x_i − x_j) sign(y_i − y_j) over pairs, one matrix product for
all resamples; its untied pairs are those of n less those of equal values, from sums of w. All are
integers, and so exact.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

from nasproxy.metrics.arrays import Vector
from nasproxy.metrics.baselines import joint_groups, tau_within
from nasproxy.metrics.correlation import kendall_tau

MOST = 2000
"""Architectures up to which n² products a resample take less time than sorting it."""
CHUNK = 1024
"""Resamples at once."""

Draw = NDArray[np.int64]
Counts = Float32[np.ndarray, "r n"]


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
    if statistic not in (kendall_tau, tau_within) or len(arrays) != 2 + within or n > MOST:
        return np.array([float(statistic(*(array[i] for array in arrays))) for i in draws])
    group = joint_groups(arrays[2], n) if within else np.zeros(n, np.int64)
    x, y = (np.unique(array, return_inverse=True)[1].reshape(-1) for array in arrays[:2])
    agree = _agreement(x, y, group)
    left, found = iter(draws), [np.empty(0)]
    while some := list(islice(left, CHUNK)):
        counts = np.array([np.bincount(i, minlength=n) for i in some], np.float32)
        # Integers below 2²⁴, which float32 holds exactly; sums of their products are float64's.
        surplus = np.einsum("rn,rn->r", counts @ agree, counts, dtype=np.float64) / 2
        pairs = _alike(counts, group)
        untied = [pairs - _alike(counts, _codes(group, ranks)) for ranks in (x, y)]
        with np.errstate(divide="ignore", invalid="ignore"):
            taus = surplus / np.sqrt(untied[0]) / np.sqrt(untied[1])
        found.append(np.where(np.minimum(*untied) > 0, np.clip(taus, -1.0, 1.0), np.nan))
    return np.concatenate(found)


def _agreement(x: Draw, y: Draw, group: Draw) -> Float32[np.ndarray, "n n"]:
    """1 for concordant pairs of a group, −1 for discordant ones, 0 for others."""
    agree = np.sign(x[:, None] - x).astype(np.float32)
    agree *= np.sign(y[:, None] - y)
    agree *= group[:, None] == group
    return agree


def _codes(group: Draw, ranks: Draw) -> Draw:
    return group * (ranks.max() + 1) + ranks


def _alike(counts: Counts, codes: Draw) -> Float64[np.ndarray, " r"]:
    """Pairs of each resample that have one code."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    together = np.add.reduceat(counts[:, order], starts, axis=1).astype(np.float64)
    return (together * (together - 1)).sum(1) / 2
