"""What layers give back: cotangents of what they read, and of their kernels.

A program as in :mod:`~nasproxy.networks.lanes.layers`, run over cotangents, of which a row reads X
and writes Y, or adds to it where Z is Y. Three more columns say where the values lie that a
derivative needs, one where the kernel's gradient goes.

For the curvature (:mod:`~nasproxy.networks.lanes.pushing`) a row of a value that ``MOVED`` is run
over two arrays: over what cotangents move by, as every row is, and over the cotangents themselves.
T is where, among what values move by, that of a preactivation lies for a moment.
"""

from typing import Any

import numpy as np

from nasproxy.networks.lanes.layers import (
    CHANNEL,
    COLUMNS,
    HEIGHT,
    INPUTS,
    KERNEL,
    OUTPUTS,
    SIZE,
    STRIDE,
    WIDTH,
    X_HEIGHT,
    X_PLANE,
    X_ROW,
    X_WIDTH,
    Y_PLANE,
    Y_ROW,
    ZERO32,
    X,
    Y,
    Z,
)
from nasproxy.networks.lanes.outer import OUTPUTS as WIDEST
from nasproxy.networks.lanes.outer import TAPS, outer
from nasproxy.networks.lanes.tile import LANES, helper

V, V_ROW, V_PLANE, GRADIENT, MOVED, T = range(COLUMNS, COLUMNS + 6)
ADJOINT_COLUMNS = COLUMNS + 6
(
    SEED,
    KERNEL_GRADIENT,
    NORM,
    SALIENCE,
    COPY_BACK,
    MASKED,
    DILATE,
    SPREAD,
    MAX_POOL_BACK,
    AVERAGE_POOL_BACK,
    HALVE_BACK,
    HALVE_BY_MEAN_BACK,
    CLEAR,
    GIVE,
    MASK_MOVES,
    ADD_STILL,
    COPY_VALUES,
) = range(100, 117)
"""Operations, beside ``CONVOLVE``, of cotangents with a kernel that is turned."""
CHUNK = 64
"""Pixels whose cotangents of a tile's channels stay in the first cache."""
HALF32 = np.float32(0.5)
NOTHING = np.float32(-np.inf)


@helper
def mask_moves(maps: Any, moves: Any, op: Any) -> None:
    """What a preactivation moves by, at T."""
    n = op[X_WIDTH] * LANES
    for c in range(op[INPUTS]):
        for r in range(op[X_HEIGHT]):
            x = c * op[V_PLANE] + r * op[V_ROW]
            made = moves[op[T] + x : op[T] + x + n]
            values, moved = maps[op[V] + x : op[V] + x + n], moves[op[V] + x : op[V] + x + n]
            for j in range(n):
                made[j] = moved[j] if values[j] > ZERO32 else ZERO32


@helper
def copy_values(maps: Any, moves: Any, op: Any, images: int) -> None:
    """Adds the values themselves to what they move by: of a kernel that moves by itself.

    Lanes without an image do not move, and are no part of sums.
    """
    n = op[WIDTH] * LANES
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            moved, values = moves[y : y + n], maps[y : y + n]
            for j in range(n):
                moved[j] += values[j] if j % LANES < images else ZERO32


@helper
def add_still(cots: Any, still: Any, op: Any) -> None:
    n = op[WIDTH] * LANES
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            changed, given = cots[x : x + n], still[x : x + n]
            for j in range(n):
                changed[j] += given[j]


@helper
def salience(maps: Any, cots: Any, op: Any, scratch: Any, table: Any) -> None:
    """Of each channel the sum over images of the square of Σ product · cotangent over pixels."""
    n = op[WIDTH] * LANES
    sums = scratch[:n]
    for c in range(op[OUTPUTS]):
        for j in range(n):
            sums[j] = ZERO32
        for r in range(op[HEIGHT]):
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            v = op[V] + c * op[V_PLANE] + r * op[V_ROW]
            given, values = cots[x : x + n], maps[v : v + n]
            for j in range(n):
                sums[j] += given[j] * values[j]
        total = 0.0
        for j in range(LANES):
            of_image = ZERO32
            for u in range(op[WIDTH]):
                of_image += sums[u * LANES + j]
            total += np.float64(of_image) * of_image
        table[op[CHANNEL] + c] = total


@helper
def kernel_gradient(
    maps: Any, cots: Any, op: Any, place: int, least: Any, groups: int, grads: Any, me: int,
    threads: int,
) -> None:  # fmt: skip
    """Adds a layer's kernel's gradient; each thread has some tiles of it, for all images.

    Values lie from ``place`` on, and count as ``least`` where they are below it.

    Gradients are ``[kernel row][kernel column][input][output]``.
    """
    size, stride, inputs, outputs = op[SIZE], op[STRIDE], op[INPUTS], op[OUTPUTS]
    half = size // 2
    whole, rest = outputs // WIDEST, outputs % WIDEST
    blocks = whole
    for i in range(WIDEST):
        blocks += rest >> i & 1
    across = (size + TAPS - 1) // TAPS
    # Tiles of a block: (row, columns, input) of a kernel, or of a 1×1 kernel some inputs.
    tiles = (inputs + TAPS - 1) // TAPS if size == 1 else size * across * inputs
    first, last = blocks * tiles * me // threads, blocks * tiles * (me + 1) // threads
    height, width = op[X_HEIGHT], op[X_WIDTH]
    rows = max(1, CHUNK // width)
    steps = (stride * op[V_ROW], stride * LANES, op[X_ROW])
    # From one to the next of the values that a tile reads, and of their gradients.
    apart, g_apart = (op[V_PLANE], outputs) if size == 1 else (LANES, inputs * outputs)
    c, channels = 0, WIDEST
    for block in range(blocks):
        while outputs - c < channels:
            channels //= 2
        begin, end = max(first - block * tiles, 0), min(last - block * tiles, tiles)
        for g in range(groups):
            if begin >= end:
                break
            own, given = maps[g], cots[g]
            for r in range(0, height, rows):
                sizes = (min(rows, height - r), width)
                a = op[X] + c * op[X_PLANE] + r * op[X_ROW]
                v = place + (r * stride - half) * op[V_ROW] - half * LANES
                for i in range(begin, end):
                    if size == 1:
                        row, column, z = 0, 0, i * TAPS
                        taps = min(TAPS, inputs - z)
                    else:
                        row, column, z = (
                            i // (across * inputs), i // inputs % across * TAPS, i % inputs
                        )  # fmt: skip
                        taps = min(TAPS, size - column)
                    x = v + z * op[V_PLANE] + row * op[V_ROW] + column * LANES
                    y = op[GRADIENT] + ((row * size + column) * inputs + z) * outputs + c
                    at_once = TAPS if taps == TAPS else 1
                    for tap in range(0, taps, at_once):
                        outer(
                            at_once, channels, own, given, grads,
                            (x + tap * apart, a, y + tap * g_apart),
                            (apart, op[X_PLANE], g_apart), sizes, steps, least,
                        )  # fmt: skip
        c += channels


@helper
def seed(cots: Any, op: Any, given: Any, images: int, first: int) -> None:
    """Cotangents that come from outside, ``[n, h, w, c]``; zeros where there are no more images."""
    adds = op[Z] >= 0
    height, width, channels = op[HEIGHT], op[WIDTH], op[OUTPUTS]
    begin = op[KERNEL] * images
    for c in range(channels):
        for r in range(height):
            for u in range(width):
                y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW] + u * LANES
                for j in range(LANES):
                    one = ZERO32
                    if first + j < images:
                        place = (((first + j) * height + r) * width + u) * channels + c
                        one = given[begin + place]
                    cots[y + j] = cots[y + j] + one if adds else one


@helper
def give(cots: Any, op: Any, images: Any, first: int) -> None:
    """Writes the images' cotangents, ``[n, h, w, c]``."""
    for j in range(min(LANES, len(images) - first)):
        for c in range(op[INPUTS]):
            for r in range(op[X_HEIGHT]):
                for u in range(op[X_WIDTH]):
                    x = op[X] + c * op[X_PLANE] + r * op[X_ROW] + u * LANES
                    images[first + j, r, u, c] = cots[x + j]


@helper
def copy(maps: Any, cots: Any, op: Any) -> None:
    """X, for ``MASKED`` where the value is above 0; zeros for ``CLEAR``."""
    n = op[WIDTH] * LANES
    adds = op[Z] >= 0
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            made = cots[y : y + n]
            if op[0] == CLEAR:
                for j in range(n):
                    made[j] = ZERO32
                continue
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            given = cots[x : x + n]
            if op[0] == MASKED:
                v = op[V] + c * op[V_PLANE] + r * op[V_ROW]
                values = maps[v : v + n]
                if adds:
                    for j in range(n):
                        made[j] += given[j] if values[j] > ZERO32 else ZERO32
                else:
                    for j in range(n):
                        made[j] = given[j] if values[j] > ZERO32 else ZERO32
            elif adds:
                for j in range(n):
                    made[j] += given[j]
            else:
                for j in range(n):
                    made[j] = given[j]


@helper
def dilate(cots: Any, op: Any) -> None:
    """Pixels ``stride`` apart, zeros between."""
    n = op[WIDTH] * LANES
    stride = op[STRIDE]
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            made = cots[y : y + n]
            for j in range(n):
                made[j] = ZERO32
            if r % stride:
                continue
            x = op[X] + c * op[X_PLANE] + r // stride * op[X_ROW]
            for u in range(op[X_WIDTH]):
                for j in range(LANES):
                    made[u * stride * LANES + j] = cots[x + u * LANES + j]


@helper
def spread(cots: Any, op: Any) -> None:
    """Of a mean over all pixels, or over each 2×2 of them."""
    adds = op[Z] >= 0
    halved = op[0] == HALVE_BY_MEAN_BACK
    share = np.float32(0.25) if halved else np.float32(1 / (op[HEIGHT] * op[WIDTH]))
    height = 2 * op[X_HEIGHT] if halved else op[HEIGHT]
    width = 2 * op[X_WIDTH] if halved else op[WIDTH]
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            for u in range(op[WIDTH]):
                y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW] + u * LANES
                x = op[X] + c * op[X_PLANE]
                if halved:
                    x += r // 2 * op[X_ROW] + u // 2 * LANES
                inside = r < height and u < width
                for j in range(LANES):
                    one = cots[x + j] * share if inside else ZERO32
                    cots[y + j] = cots[y + j] + one if adds else one


@helper
def _larger(one: Any, other: Any) -> Any:
    return one if one > other else other


@helper
def share_of(one: Any, other: Any) -> Any:
    """What of a larger-of-two's cotangent is the first's: half where they are equal, as in JAX."""
    return (HALF32 if one >= other else ZERO32) + (HALF32 if one > other else ZERO32)


@helper
def halve_back(maps: Any, cots: Any, op: Any) -> None:
    """Of the largest of each 2×2 pixels, found over rows, then columns; what is dropped gets 0."""
    if op[Z] < 0:
        _clear(cots, op)
    for c in range(op[OUTPUTS]):
        for r in range(op[X_HEIGHT]):
            for u in range(op[X_WIDTH]):
                x = op[X] + c * op[X_PLANE] + r * op[X_ROW] + u * LANES
                y = op[Y] + c * op[Y_PLANE] + 2 * r * op[Y_ROW] + 2 * u * LANES
                v = op[V] + c * op[V_PLANE] + 2 * r * op[V_ROW] + 2 * u * LANES
                given = cots[x : x + LANES]
                values, lower = maps[v : v + 2 * LANES], maps[v + op[V_ROW] :]
                made, below = cots[y : y + 2 * LANES], cots[y + op[Y_ROW] :]
                for j in range(LANES):
                    one, two, three, four = (
                        values[j], values[LANES + j], lower[j], lower[LANES + j]
                    )  # fmt: skip
                    left = share_of(_larger(one, three), _larger(two, four)) * given[j]
                    right = given[j] - left
                    upper_left, upper_right = share_of(one, three), share_of(two, four)
                    made[j] += upper_left * left
                    made[LANES + j] += upper_right * right
                    below[j] += left - upper_left * left
                    below[LANES + j] += right - upper_right * right


@helper
def _clear(cots: Any, op: Any) -> None:
    n = op[WIDTH] * LANES
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            for j in range(n):
                cots[y + j] = ZERO32


@helper
def average_pool_back(cots: Any, op: Any, scratch: Any) -> None:
    """Of the mean of each 3×3 neighbourhood, at stride 1: each pixel the shares of those around."""
    width, height = op[WIDTH], op[HEIGHT]
    n = width * LANES
    adds = op[Z] >= 0
    across = scratch[: n + 2 * LANES]
    for c in range(op[OUTPUTS]):
        for r in range(height):
            inside = across[LANES : LANES + n]
            for j in range(n):
                inside[j] = ZERO32
            for row in range(max(0, r - 1), min(height, r + 2)):
                share = np.float32(1 / (1 + (row > 0) + (row < height - 1)))
                x = op[X] + c * op[X_PLANE] + row * op[X_ROW]
                given = cots[x : x + n]
                for j in range(n):
                    inside[j] += given[j] * share
            for u in range(width):
                share = np.float32(1 / (1 + (u > 0) + (u < width - 1)))
                for j in range(LANES):
                    inside[u * LANES + j] *= share
            for j in range(LANES):
                across[j] = ZERO32
                across[n + LANES + j] = ZERO32
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            made = cots[y : y + n]
            left, right = across[:n], across[2 * LANES : 2 * LANES + n]
            if adds:
                for j in range(n):
                    made[j] += left[j] + inside[j] + right[j]
            else:
                for j in range(n):
                    made[j] = left[j] + inside[j] + right[j]


@helper
def max_pool_back(maps: Any, cots: Any, op: Any, scratch: Any) -> None:
    """Of the largest of each 3×3 neighbourhood at stride 1, found over rows, then columns.

    Where two are equal each has half, as JAX has it for the larger of two. A loop writes one row:
    of more LLVM cannot tell that they are apart, and would not use vectors.
    """
    width, height = op[WIDTH], op[HEIGHT]
    n = width * LANES
    frame = n + 2 * LANES
    across, before, after = scratch[:frame], scratch[frame : 2 * frame], scratch[2 * frame :]
    none, given = scratch[3 * frame : 3 * frame + n], scratch[4 * frame : 4 * frame + n]
    left, inside, right = across[:n], across[LANES : LANES + n], across[2 * LANES : 2 * LANES + n]
    ahead, behind = before[LANES : LANES + n], after[LANES : LANES + n]
    for j in range(frame):
        across[j] = NOTHING
        before[j] = ZERO32
        after[j] = ZERO32
    for j in range(n):
        none[j] = NOTHING
    if op[Z] < 0:
        _clear(cots, op)
    for c in range(op[OUTPUTS]):
        for r in range(height):
            v = op[V] + c * op[V_PLANE] + r * op[V_ROW]
            here = maps[v : v + n]
            upper = maps[v - op[V_ROW] : v - op[V_ROW] + n] if r > 0 else none
            lower = maps[v + op[V_ROW] : v + op[V_ROW] + n] if r < height - 1 else none
            for j in range(n):
                inside[j] = _larger(_larger(upper[j], here[j]), lower[j])
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            from_out = cots[x : x + n]
            for j in range(n):
                of_two = share_of(_larger(left[j], inside[j]), right[j]) * from_out[j]
                ahead[j] = share_of(left[j], inside[j]) * of_two
            for j in range(n):
                of_two = share_of(_larger(left[j], inside[j]), right[j]) * from_out[j]
                given[j] = of_two - share_of(left[j], inside[j]) * of_two
            for j in range(n):
                of_two = share_of(_larger(left[j], inside[j]), right[j]) * from_out[j]
                behind[j] = from_out[j] - of_two
            # What a pixel gives the one on its left or right, that one gets.
            shifted, back = before[2 * LANES : 2 * LANES + n], after[:n]
            for j in range(n):
                given[j] += shifted[j] + back[j]
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            own = cots[y : y + n]
            for j in range(n):
                of_two = share_of(_larger(upper[j], here[j]), lower[j]) * given[j]
                own[j] += of_two - share_of(upper[j], here[j]) * of_two
            if r > 0:
                above = cots[y - op[Y_ROW] : y - op[Y_ROW] + n]
                for j in range(n):
                    of_two = share_of(_larger(upper[j], here[j]), lower[j]) * given[j]
                    above[j] += share_of(upper[j], here[j]) * of_two
            if r < height - 1:
                below = cots[y + op[Y_ROW] : y + op[Y_ROW] + n]
                for j in range(n):
                    of_two = share_of(_larger(upper[j], here[j]), lower[j]) * given[j]
                    below[j] += given[j] - of_two
