"""Batch norm by a batch's own statistics: its way back, and how both move with the weights.

For a batch of N values a of a channel, with c = a − mean, w = 1/(variance + ε) and gain g, the
cotangent of a is g·(ȳ − ⟨ȳ⟩ − c·w·⟨ȳc⟩), ⟨·⟩ being means over the batch; and since that map is its
own transpose, so does y move with a. Sums over the batch are made first, group by group.
"""

from typing import Any

import numpy as np

from nasproxy.networks.lanes.adjoint import V_PLANE, V_ROW, V
from nasproxy.networks.lanes.layers import (
    ACTIVATION,
    CHANNEL,
    EPSILON,
    HEIGHT,
    LINEAR,
    OUTPUTS,
    WIDTH,
    X_PLANE,
    X_ROW,
    Y_PLANE,
    Y_ROW,
    ZERO32,
    X,
    Y,
    Z,
    bounds,
)
from nasproxy.networks.lanes.tile import LANES, helper


@helper
def norm_sums(
    maps: Any, cots: Any, op: Any, activation: int, moments: Any, gains: Any, shifts: Any,
    scratch: Any, table: Any,
) -> None:  # fmt: skip
    """Of each channel the sum of cotangents that pass the activation, and that times the product
    less its mean."""
    n = op[WIDTH] * LANES
    sums, products = scratch[:n], scratch[n : 2 * n]
    floor, ceiling = bounds(activation)
    all_pass = activation == LINEAR
    for c in range(op[OUTPUTS]):
        channel = op[CHANNEL] + c
        mean = np.float32(moments[channel, 0])
        gain, shift = gains[channel], shifts[channel]
        for j in range(n):
            sums[j] = ZERO32
            products[j] = ZERO32
        for r in range(op[HEIGHT]):
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            v = op[V] + c * op[V_PLANE] + r * op[V_ROW]
            given, values = cots[x : x + n], maps[v : v + n]
            if all_pass:
                for j in range(n):
                    sums[j] += given[j]
                    products[j] += given[j] * (values[j] - mean)
            else:
                for j in range(n):
                    apart = values[j] - mean
                    normed = apart * gain + shift
                    own = given[j] if floor < normed and normed < ceiling else ZERO32
                    sums[j] += own
                    products[j] += own * apart
        one, two = 0.0, 0.0
        for j in range(n):
            one += sums[j]
            two += products[j]
        table[channel, 0] = one
        table[channel, 1] = two


@helper
def norm(
    maps: Any, cots: Any, op: Any, c: int, images: int,
    mean: Any, gain: Any, shift: Any, first: Any, second: Any,
) -> None:  # fmt: skip
    """One channel's cotangent of the product, in place.

    ``first`` and ``second`` are what batch statistics take off: a constant, and a multiple of the
    product less its mean.
    """
    n = op[WIDTH] * LANES
    floor, ceiling = bounds(op[ACTIVATION])
    all_pass = op[ACTIVATION] == LINEAR
    for r in range(op[HEIGHT]):
        x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
        v = op[V] + c * op[V_PLANE] + r * op[V_ROW]
        given, values = cots[x : x + n], maps[v : v + n]
        if all_pass:
            for j in range(n):
                given[j] = gain * (given[j] - first - (values[j] - mean) * second)
        else:
            for j in range(n):
                apart = values[j] - mean
                normed = apart * gain + shift
                own = given[j] if floor < normed and normed < ceiling else ZERO32
                given[j] = gain * (own - first - apart * second)
        if images < LANES:  # Lanes without an image are no part of the batch.
            for u in range(op[WIDTH]):
                for j in range(images, LANES):
                    given[u * LANES + j] = ZERO32


@helper
def both_sums(
    maps: Any, moves: Any, cots: Any, still: Any, op: Any, moments: Any, gains: Any, shifts: Any,
    scratch: Any, table: Any,
) -> None:  # fmt: skip
    """Sums of each channel that :func:`norm_both` needs, c being the product less its mean: of ȳ
    and c·ȳ, of what ȳ moves by and c times that, of ȧ and c·ȧ, and of ȧ·ȳ."""
    n = op[WIDTH] * LANES
    floor, ceiling = bounds(op[ACTIVATION])
    sums = scratch[: 7 * n]
    one, two, three = sums[:n], sums[n : 2 * n], sums[2 * n : 3 * n]
    four, five, six = sums[3 * n : 4 * n], sums[4 * n : 5 * n], sums[5 * n : 6 * n]
    seven = sums[6 * n :]
    for c in range(op[OUTPUTS]):
        channel = op[CHANNEL] + c
        mean = np.float32(moments[channel, 0])
        gain, shift = gains[channel], shifts[channel]
        for j in range(7 * n):
            sums[j] = ZERO32
        for r in range(op[HEIGHT]):
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            v = op[V] + c * op[V_PLANE] + r * op[V_ROW]
            given, changed = still[x : x + n], cots[x : x + n]
            values, moved = maps[v : v + n], moves[v : v + n]
            # Loops of few arrays: of more LLVM cannot tell that they are apart.
            for j in range(n):
                apart = values[j] - mean
                normed = apart * gain + shift
                own = given[j] if floor < normed and normed < ceiling else ZERO32
                one[j] += own
                two[j] += own * apart
            for j in range(n):
                apart = values[j] - mean
                normed = apart * gain + shift
                change = changed[j] if floor < normed and normed < ceiling else ZERO32
                three[j] += change
                four[j] += change * apart
            for j in range(n):
                five[j] += moved[j]
                six[j] += moved[j] * (values[j] - mean)
            for j in range(n):
                normed = (values[j] - mean) * gain + shift
                own = given[j] if floor < normed and normed < ceiling else ZERO32
                seven[j] += moved[j] * own
        for k in range(7):
            total = 0.0
            for j in range(n):
                total += sums[k * n + j]
            table[channel, k] = total


@helper
def norm_both(
    maps: Any, moves: Any, cots: Any, still: Any, op: Any, c: int, images: int,
    mean: Any, gain: Any, shift: Any, variance: float, values_of: float, sums: Any,
) -> None:  # fmt: skip
    """One channel's cotangent of the product and what it moves by, in place.

    With c = a − mean a, w = 1/(variance + ε) and means over the batch ⟨·⟩ the cotangent is
    ā = g·(ȳ − ⟨ȳ⟩ − c·w·⟨ȳc⟩), of which every factor moves but the scale.
    """
    n = op[WIDTH] * LANES
    floor, ceiling = bounds(op[ACTIVATION])
    of_given, of_given_c = sums[0] / values_of, sums[1] / values_of
    of_change, of_change_c = sums[2] / values_of, sums[3] / values_of
    of_moved, of_moved_c, of_both = sums[4] / values_of, sums[5] / values_of, sums[6] / values_of
    inverse = 1 / (variance + EPSILON)
    # The variance moves by 2⟨cȧ⟩, w by −w²·that, and g by −w/2·that of itself.
    gain_moves = np.float32(-inverse * of_moved_c)
    first, second = np.float32(of_given), np.float32(inverse * of_given_c)
    changed_first = np.float32(of_change)
    changed_second = np.float32(
        inverse * (of_change_c + of_both - of_moved * of_given)
        - 2 * inverse * inverse * of_moved_c * of_given_c
    )
    centre = np.float32(of_moved)
    for r in range(op[HEIGHT]):
        x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
        v = op[V] + c * op[V_PLANE] + r * op[V_ROW]
        given, changed = still[x : x + n], cots[x : x + n]
        values, moved = maps[v : v + n], moves[v : v + n]
        for j in range(n):
            apart = values[j] - mean
            normed = apart * gain + shift
            passes = floor < normed and normed < ceiling
            own = given[j] if passes else ZERO32
            change = changed[j] if passes else ZERO32
            back = gain * (own - first - apart * second)
            given[j] = back
            changed[j] = gain_moves * back + gain * (
                change - changed_first - (moved[j] - centre) * second - apart * changed_second
            )
        if images < LANES:  # Lanes without an image are no part of the batch.
            for u in range(op[WIDTH]):
                for j in range(images, LANES):
                    given[u * LANES + j] = ZERO32
                    changed[u * LANES + j] = ZERO32


@helper
def norm_push(
    maps: Any, moves: Any, op: Any, c: int, images: int,
    mean: Any, gain: Any, shift: Any, first: Any, second: Any,
) -> None:  # fmt: skip
    """What one channel moves by after batch norm and activation, plus what ``z`` moves by."""
    n = op[WIDTH] * LANES
    floor, ceiling = bounds(op[ACTIVATION])
    for r in range(op[HEIGHT]):
        x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
        y = c * op[Y_PLANE] + r * op[Y_ROW]
        values, moved = maps[x : x + n], moves[x : x + n]
        made = moves[op[Y] + y : op[Y] + y + n]
        for j in range(n):
            apart = values[j] - mean
            normed = apart * gain + shift
            one = gain * (moved[j] - first - apart * second)
            made[j] = one if floor < normed and normed < ceiling else ZERO32
        if images < LANES:
            for u in range(op[WIDTH]):
                for j in range(images, LANES):
                    made[u * LANES + j] = ZERO32
        if op[Z] >= 0:
            added = moves[op[Z] + y : op[Z] + y + n]
            for j in range(n):
                made[j] += added[j]
