"""What layers compute, for the images of one vector at a time, on maps that lie in one array.

A layer is a row of a program, integers by the names below. Places are in floats, of a map's first
pixel; a map is framed by zeros that nobody writes. ``program`` says what each number is.
"""

from typing import Any

import numpy as np

from nasproxy.networks.lanes.tile import LANES, affine, float_of_bits, helper

(
    LOAD,
    CONVOLVE,
    DEPTHWISE,
    NORMALISE,
    ADD,
    MAX_POOL,
    AVERAGE_POOL,
    HALVE,
    HALVE_BY_MEAN,
    ODD_PIXELS,
    MEAN,
    GATE,
    ZERO,
    COPY,
    UNLOAD,
    AGREE,
) = range(16)
"""Operations."""
(
    OP,
    X,  # place of the input
    X_ROW,  # step to its next row
    X_PLANE,  # step to its next channel
    X_HEIGHT,
    X_WIDTH,
    INPUTS,  # channels read
    Z,  # place of a second input, in the output's stage; none where negative
    Z_PLANE,
    Y,  # place of the output
    Y_ROW,
    Y_PLANE,
    HEIGHT,
    WIDTH,
    OUTPUTS,  # channels made
    SIZE,  # of a kernel
    STRIDE,
    DILATION,  # between the pixels that a depthwise kernel's taps meet
    BLOCK,  # most output channels of a tile
    KERNEL,  # place in the kernels as they were drawn; of AGREE the first word
    WEIGHTS,  # place in the packed weights
    CHANNEL,  # the first output channel's number among all that have a gain and a shift
    NORMED,  # whether batch norm follows
    ACTIVATION,
    PREACTIVATION,
    WORK,  # place of a convolution's transformed maps; negative where it is computed directly
) = range(26)
"""Columns of a program."""
COLUMNS = 26
PLACES = [X, Z, Y, WORK]
LINEAR, RELU, RELU6, SWISH, SIGMOID, HARD_SIGMOID = range(6)
"""Activations and gates."""

ZERO32, ONE32, SIX32, INFINITY = np.float32(0), np.float32(1), np.float32(6), np.float32(np.inf)
EPSILON = 1e-5
WORD = 64
"""Pixels whose signs are one integer."""


@helper
def bounds(activation: int) -> Any:
    """Below and above, between which an activation is the identity and outside of it constant."""
    floor = ZERO32 if activation in (RELU, RELU6) else -INFINITY
    return floor, SIX32 if activation == RELU6 else INFINITY


@helper
def clamped(value: Any, floor: Any, ceiling: Any) -> Any:
    """NaN stays NaN, as everywhere here."""
    value = floor if value < floor else value
    return ceiling if value > ceiling else value


@helper
def larger(a: Any, b: Any) -> Any:
    return a if a > b or a != a else b


@helper
def exponential(x: Any) -> Any:
    """Cephes's expf, in operations that are vector instructions."""
    x = clamped(x, np.float32(-87), np.float32(88))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = (x - n * np.float32(0.693359375)) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    power = float_of_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))
    return (p * r * r + r + ONE32) * power


@helper
def finish(maps: Any, op: Any, c: int, of_input: bool, mean: Any, gain: Any, shift: Any) -> None:
    """One channel less ``mean``, times ``gain``, plus ``shift``; activation; plus ``z``.

    It is a channel of the input (``of_input``), or else of the product, where the output will be.
    """
    limits = bounds(op[ACTIVATION])
    swish = op[ACTIVATION] == SWISH
    n = op[WIDTH] * LANES
    for r in range(op[HEIGHT]):
        y = c * op[Y_PLANE] + r * op[Y_ROW]
        x = op[X] + c * op[X_PLANE] + r * op[X_ROW] if of_input else op[Y] + y
        z = op[Z] + y if op[Z] >= 0 and not swish else -1
        affine(maps, x, op[Y] + y, z, op[WIDTH], mean, gain, shift, limits)
        if swish:
            made = maps[op[Y] + y : op[Y] + y + n]
            for j in range(n):
                made[j] = made[j] / (ONE32 + exponential(-made[j]))
            if op[Z] >= 0:
                added = maps[op[Z] + y : op[Z] + y + n]
                for j in range(n):
                    made[j] += added[j]


@helper
def moments(maps: Any, op: Any, of_input: bool, images: int, scratch: Any, table: Any) -> None:
    """Each channel's mean over the first ``images``, and the sum of squares about it.

    Sums are of what an image has beyond its first pixel: float32 is enough for them, however far
    from 0 the mean is. Images are joined in float64.
    """
    n = op[WIDTH] * LANES
    sums, squares, origin = scratch[:n], scratch[n : 2 * n], scratch[2 * n : 3 * n]
    pixels = np.float64(op[HEIGHT] * op[WIDTH])
    place, plane, row = op[Y], op[Y_PLANE], op[Y_ROW]
    if of_input:
        place, plane, row = op[X], op[X_PLANE], op[X_ROW]
    for c in range(op[OUTPUTS]):
        x = place + c * plane
        for u in range(op[WIDTH]):
            for j in range(LANES):
                origin[u * LANES + j] = maps[x + j]
        for j in range(n):
            sums[j] = ZERO32
            squares[j] = ZERO32
        for r in range(op[HEIGHT]):
            values = maps[x + r * row : x + r * row + n]
            for j in range(n):
                beyond = values[j] - origin[j]
                sums[j] += beyond
                squares[j] += beyond * beyond
        for u in range(1, op[WIDTH]):
            for j in range(LANES):
                sums[j] += sums[u * LANES + j]
                squares[j] += squares[u * LANES + j]
        mean = 0.0
        for j in range(images):
            mean += origin[j] + sums[j] / pixels
        mean /= images
        square = 0.0
        for j in range(images):
            own = sums[j] / pixels
            off = origin[j] + own - mean
            square += squares[j] - own * sums[j] + pixels * off * off
        table[op[CHANNEL] + c, 0] = mean
        table[op[CHANNEL] + c, 1] = square


@helper
def load(maps: Any, op: Any, images: Any, first: int) -> None:
    """The images from ``first`` on; zeros where there are no more."""
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            for u in range(op[WIDTH]):
                y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW] + u * LANES
                for j in range(LANES):
                    there = first + j < len(images)
                    maps[y + j] = images[first + j, r, u, c] if there else ZERO32


@helper
def unload(maps: Any, op: Any, features: Any, first: int) -> None:
    for j in range(min(LANES, len(features) - first)):
        for c in range(op[INPUTS]):
            features[first + j, c] = maps[op[X] + c * op[X_PLANE] + j]


@helper
def halve(maps: Any, op: Any) -> None:
    """Largest, mean or last of each 2×2 pixels."""
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            for u in range(op[WIDTH]):
                x = op[X] + c * op[X_PLANE] + 2 * r * op[X_ROW] + 2 * u * LANES
                y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW] + u * LANES
                below = x + op[X_ROW]
                one, two = maps[x : x + LANES], maps[x + LANES : x + 2 * LANES]
                three, four = maps[below : below + LANES], maps[below + LANES : below + 2 * LANES]
                made = maps[y : y + LANES]
                if op[OP] == HALVE:
                    for j in range(LANES):
                        made[j] = larger(larger(one[j], three[j]), larger(two[j], four[j]))
                elif op[OP] == ODD_PIXELS:
                    for j in range(LANES):
                        made[j] = four[j]
                else:
                    for j in range(LANES):
                        made[j] = ((one[j] + three[j]) + (two[j] + four[j])) * np.float32(0.25)


@helper
def mean(maps: Any, op: Any, scratch: Any) -> None:
    """Mean over the pixels, a map of one."""
    n = op[X_WIDTH] * LANES
    sums = scratch[:n]
    share = ONE32 / np.float32(op[X_HEIGHT] * op[X_WIDTH])
    for c in range(op[INPUTS]):
        for j in range(n):
            sums[j] = ZERO32
        for r in range(op[X_HEIGHT]):
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            values = maps[x : x + n]
            for j in range(n):
                sums[j] += values[j]
        y = op[Y] + c * op[Y_PLANE]
        for j in range(LANES):
            total = ZERO32
            for u in range(op[X_WIDTH]):
                total += sums[u * LANES + j]
            maps[y + j] = total * share


@helper
def gate(maps: Any, op: Any) -> None:
    """Each channel times its gate, of which ``z`` holds what sigmoid is taken of."""
    for c in range(op[OUTPUTS]):
        z = op[Z] + c * op[Z_PLANE]
        gates = maps[z : z + LANES]
        for j in range(LANES):
            if op[ACTIVATION] == SIGMOID:
                gates[j] = ONE32 / (ONE32 + exponential(-gates[j]))
            else:
                gates[j] = clamped(gates[j] + np.float32(3), ZERO32, SIX32) / SIX32
        for r in range(op[HEIGHT]):
            for u in range(op[WIDTH]):
                x = op[X] + c * op[X_PLANE] + r * op[X_ROW] + u * LANES
                y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW] + u * LANES
                values, made = maps[x : x + LANES], maps[y : y + LANES]
                for j in range(LANES):
                    made[j] = values[j] * gates[j]


@helper
def add(maps: Any, op: Any) -> None:
    """The sum of two maps; of ``COPY`` the first of them, of ``ZERO`` neither."""
    n = op[WIDTH] * LANES
    for c in range(op[OUTPUTS]):
        for r in range(op[HEIGHT]):
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            y = c * op[Y_PLANE] + r * op[Y_ROW]
            if op[OP] == ADD:  # The first may be where the sum will be.
                places = (x, op[Y] + y, op[Z] + y)
                affine(maps, *places, op[WIDTH], ZERO32, ONE32, ZERO32, (-INFINITY, INFINITY))
                continue
            made = maps[op[Y] + y : op[Y] + y + n]
            if op[OP] == ZERO:
                for j in range(n):
                    made[j] = ZERO32
                continue
            one = maps[x : x + n]
            for j in range(n):
                made[j] = one[j]


@helper
def agree(
    maps: Any, op: Any, statistics: Any, gains: Any, shifts: Any, bits: Any, first: int
) -> None:
    """A bit a pixel and image: whether it is above 0, a product after batch norm where ``NORMED``.

    Pixels of a channel fill words of 64 bits, ``[image, word]``.
    """
    word = op[KERNEL]
    for c in range(op[OUTPUTS]):
        mean, gain, shift = ZERO32, ONE32, ZERO32
        if op[NORMED]:
            channel = op[CHANNEL] + c
            mean, shift = np.float32(statistics[channel, 0]), shifts[channel]
            gain = np.float32(gains[channel] / np.sqrt(statistics[channel, 1] + EPSILON))
        filled = np.zeros(LANES, np.uint64)
        bit = 0
        for r in range(op[HEIGHT]):
            for u in range(op[WIDTH]):
                x = op[X] + c * op[X_PLANE] + r * op[X_ROW] + u * LANES
                values = maps[x : x + LANES]
                for j in range(LANES):
                    above = (values[j] - mean) * gain + shift > ZERO32
                    filled[j] |= np.uint64(above) << np.uint64(bit)
                bit += 1
                if bit == WORD:
                    for j in range(LANES):
                        bits[first + j, word] = filled[j]
                        filled[j] = np.uint64(0)
                    word += 1
                    bit = 0
        if bit:
            for j in range(LANES):
                bits[first + j, word] = filled[j]
            word += 1
