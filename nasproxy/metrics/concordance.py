"""How each architecture agrees with all others: its concordant pairs and its discordant ones."""

import numpy as np
from jaxtyping import Int64

Ranks = Int64[np.ndarray, " n"]


def partners(x: Ranks, y: Ranks) -> tuple[Ranks, Ranks]:
    """With how many others every i is concordant, and discordant; O(n log² n) time, O(n) memory.

    Args:
        x, y: ranks from 0, ties equal.
    """
    less_x, equal_x = _less(x)
    less_y, equal_y = _less(y)
    below = _below(x, y)
    less_xy, equal = _less(x * (y.max() + 1) + y)
    less_yx, _ = _less(y * (x.max() + 1) + x)
    # Of those of equal y, the ones below in x, and the other way round.
    tied_y, tied_x = less_yx - less_y, less_xy - less_x
    above_left = less_x - below - tied_y
    below_right = less_y - below - tied_x
    level_right = equal_y - tied_y - equal
    above = len(x) - less_x - equal_x - below_right - level_right
    return below + above, above_left + below_right


def _less(codes: Ranks) -> tuple[Ranks, Ranks]:
    """Of every entry, how many are less and how many equal, itself among them."""
    _, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    starts = np.cumsum(counts) - counts
    return starts[places], counts[places]


def _below(x: Ranks, y: Ranks) -> Ranks:
    """Of every i, how many j have x_j < x_i and y_j < y_i: a merge sort, level by level."""
    n = len(x)
    order = np.lexsort((-y, x))  # of equal x none has a smaller y before it
    size = 1 << (n - 1).bit_length()
    values = np.full(size, y.max() + 1)
    values[:n] = y[order]
    ids = np.arange(size)
    found = np.zeros(size, np.int64)
    half = 1
    while half < size:
        blocks = np.arange(size // (2 * half))[:, None]
        # One sorted array of all left halves: a block's values are beyond those of the one before.
        apart = values.reshape(-1, 2, half) + blocks[:, :, None] * (y.max() + 2)
        places = np.searchsorted(apart[:, 0].ravel(), apart[:, 1].ravel()).reshape(-1, half)
        found[ids.reshape(-1, 2, half)[:, 1]] += places - blocks * half
        merged = np.argsort(values.reshape(-1, 2 * half), axis=1, kind="stable")
        merged += blocks * 2 * half
        values, ids = values[merged.ravel()], ids[merged.ravel()]
        half *= 2
    below = np.empty(n, np.int64)
    below[order] = found[:n]
    return below
