"""Convolutions of maps, for the images of one vector at a time."""

from typing import Any

from nasproxy.networks.lanes import winograd
from nasproxy.networks.lanes.layers import (
    ACTIVATION,
    BLOCK,
    DILATION,
    HEIGHT,
    INFINITY,
    INPUTS,
    LINEAR,
    OUTPUTS,
    PREACTIVATION,
    SIZE,
    STRIDE,
    WEIGHTS,
    WIDTH,
    WORK,
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
    bounds,
)
from nasproxy.networks.lanes.tile import LANES, PIXELS, WIDE, helper, tile
from nasproxy.networks.lanes.winograd import PLANE


@helper
def convolve(maps: Any, weights: Any, op: Any, finished: bool) -> None:
    """Convolution; its product alone if it is not ``finished`` by activation and sum."""
    if op[WORK] >= 0:
        _by_tiles(maps, weights, op, finished)
    else:
        _directly(maps, weights, op, finished)


@helper
def _by_tiles(maps: Any, weights: Any, op: Any, finished: bool) -> None:
    """Of tiles of 2×2 pixels: see :mod:`~nasproxy.networks.lanes.winograd`."""
    inputs, outputs, across = op[INPUTS], op[OUTPUTS], op[WIDTH] // 2
    limits = bounds(op[ACTIVATION] if finished else LINEAR)
    least = ZERO32 if op[PREACTIVATION] else -INFINITY
    read = op[WORK]
    made = read + winograd.POINTS * inputs * PLANE
    tiles = across * (op[HEIGHT] // 2)
    for begin in range(0, tiles, winograd.TILES):
        count = min(winograd.TILES, tiles - begin)
        for t in range(count):
            r, u = 2 * ((begin + t) // across), 2 * ((begin + t) % across)
            x = op[X] + (r - 1) * op[X_ROW] + (u - 1) * LANES
            for c in range(inputs):
                v = read + c * PLANE + t * LANES
                winograd.transform(maps, x + c * op[X_PLANE], op[X_ROW], least, v, inputs * PLANE)
        w = op[WEIGHTS] + outputs
        for group in range((outputs + winograd.GROUP - 1) // winograd.GROUP):
            first, last = winograd.part(outputs, winograd.GROUP, group)
            channels = last - first
            for point in range(winograd.POINTS):
                v, m = read + point * inputs * PLANE, made + point * channels * PLANE
                for block in range((channels + winograd.BLOCK - 1) // winograd.BLOCK):
                    some, rest = winograd.part(channels, winograd.BLOCK, block)
                    winograd.product(
                        count, rest - some, maps, weights, v, w, m + some * PLANE, inputs, PLANE
                    )
                    w += inputs * (rest - some)
            for c in range(channels):
                shift = weights[op[WEIGHTS] + first + c]
                for t in range(count):
                    r, u = 2 * ((begin + t) // across), 2 * ((begin + t) % across)
                    further = (first + c) * op[Y_PLANE] + r * op[Y_ROW] + u * LANES
                    z = op[Z] + further if finished and op[Z] >= 0 else -1
                    m = made + c * PLANE + t * LANES
                    winograd.transform_back(
                        maps, m, channels * PLANE, shift, limits, (op[Y] + further, z), op[Y_ROW]
                    )


@helper
def _directly(maps: Any, weights: Any, op: Any, finished: bool) -> None:
    size, stride, inputs = op[SIZE], op[STRIDE], op[INPUTS]
    half = size // 2
    floor, ceiling = bounds(op[ACTIVATION] if finished else LINEAR)
    limits = (ZERO32 if op[PREACTIVATION] else -INFINITY, floor, ceiling)
    steps = (op[X_ROW], op[X_PLANE], stride * LANES, op[Y_PLANE])
    blocks = (op[OUTPUTS] + op[BLOCK] - 1) // op[BLOCK]
    fewest = op[OUTPUTS] // blocks
    larger_ones = op[OUTPUTS] - fewest * blocks
    for r in range(op[HEIGHT]):
        # Rows and columns of the kernel that only meet the frame are left out.
        top = max(0, half - r * stride)
        bottom = min(size, op[X_HEIGHT] + half - r * stride)
        for u in range(0, op[WIDTH], PIXELS):
            pixels = min(PIXELS, op[WIDTH] - u)
            left = max(0, half - (u + pixels - 1) * stride)
            right = min(size, op[X_WIDTH] + half - u * stride)
            kernel = (
                bottom - top,
                right - left,
                inputs,
                (top * size + left) * inputs,
                (size - right + left) * inputs,
            )
            x = op[X] + (r * stride + top - half) * op[X_ROW] + (u * stride + left - half) * LANES
            y = op[Y] + r * op[Y_ROW] + u * LANES
            z = op[Z] + y - op[Y] if finished and op[Z] >= 0 else -1
            w = op[WEIGHTS]
            for block in range(blocks):
                channels = fewest + 1 if block < larger_ones else fewest
                tile(pixels, channels, maps, weights, (x, w, y, z), kernel, steps, limits)
                w += channels * (1 + size * size * inputs)
                y += channels * op[Y_PLANE]
                if z >= 0:
                    z += channels * op[Y_PLANE]


@helper
def convolve_depthwise(maps: Any, weights: Any, op: Any, finished: bool) -> None:
    """As :func:`convolve`, every channel by itself; to a tile, a kernel's columns are inputs."""
    size, stride, dilation = op[SIZE], op[STRIDE], op[DILATION]
    half = size // 2 * dilation
    floor, ceiling = bounds(op[ACTIVATION] if finished else LINEAR)
    limits = (ZERO32 if op[PREACTIVATION] else -INFINITY, floor, ceiling)
    steps = (dilation * op[X_ROW], dilation * LANES, stride * LANES, op[Y_PLANE])
    for c in range(op[OUTPUTS]):
        w = op[WEIGHTS] + c * (1 + size * size)
        for r in range(op[HEIGHT]):
            # Of the kernel's rows, those that do not only meet the frame.
            top = (max(0, half - r * stride) + dilation - 1) // dilation
            bottom = min(size, (op[X_HEIGHT] + half - r * stride + dilation - 1) // dilation)
            kernel = (bottom - top, 1, size, top * size, 0)
            first = r * stride + top * dilation - half
            x = op[X] + c * op[X_PLANE] + first * op[X_ROW] - half * LANES
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            u = 0
            while u < op[WIDTH]:
                rest = op[WIDTH] - u
                pixels = WIDE if rest >= WIDE else min(PIXELS, rest)
                places = (x + u * stride * LANES, w, y + u * LANES, -1)
                tile(pixels, 1, maps, weights, places, kernel, steps, limits)
                u += pixels
