"""A whole network in one call: weights packed, then images run in inference or training mode.

Several threads call a function at once and share its arrays; ``me`` is a thread's number. The
functions have signatures, so that on import they are compiled, or read from the disk.
"""

from typing import Any

import numpy as np
from numba import types

from nasproxy.networks.lanes import convolutions, layers, pooling, winograd
from nasproxy.networks.lanes.layers import (
    ACTIVATION,
    ADD,
    AGREE,
    AVERAGE_POOL,
    BLOCK,
    CHANNEL,
    CONVOLVE,
    COPY,
    DEPTHWISE,
    EPSILON,
    GATE,
    HALVE,
    HALVE_BY_MEAN,
    HEIGHT,
    INPUTS,
    KERNEL,
    LOAD,
    MAX_POOL,
    MEAN,
    NORMALISE,
    NORMED,
    ODD_PIXELS,
    ONE32,
    OP,
    OUTPUTS,
    SIZE,
    SWISH,
    UNLOAD,
    WEIGHTS,
    WIDTH,
    WORK,
    ZERO,
    ZERO32,
)
from nasproxy.networks.lanes.tile import LANES, add_atomically, entrance, helper

PATIENCE = 300
"""Looks at a barrier before the core is offered to others."""

_yield = types.ExternalFunction("sched_yield", types.int32())
INTEGERS, FLOATS = types.int64[::1], types.float32[::1]
PROGRAM, ROWS, MOMENTS = types.int64[:, ::1], types.float32[:, ::1], types.float64[:, :, ::1]
_IMAGES = types.Array(types.float32, 4, "C", readonly=True)
BITS = types.uint64[:, ::1]


@entrance(PROGRAM, FLOATS, FLOATS, FLOATS, FLOATS, INTEGERS)
def pack(program: Any, kernels: Any, gains: Any, shifts: Any, weights: Any, counter: Any) -> None:
    """Kernels times gains, and shifts, in the order in which tiles read them.

    Kernels are ``[row][column][input][channel]``, one layer's after the other's.
    """
    while True:
        i = add_atomically(counter, 1)
        if i >= len(program):
            return
        op = program[i]
        if op[OP] != CONVOLVE and op[OP] != DEPTHWISE:
            continue
        if op[OP] == CONVOLVE and op[WORK] >= 0:
            own, inputs, outputs = op[CHANNEL], op[INPUTS], op[OUTPUTS]
            winograd.pack(
                kernels, op[KERNEL], inputs, outputs, gains[own:], shifts[own:], weights,
                op[WEIGHTS],
            )  # fmt: skip
            continue
        taps = op[SIZE] * op[SIZE] * (op[INPUTS] if op[OP] == CONVOLVE else 1)
        blocks = (op[OUTPUTS] + op[BLOCK] - 1) // op[BLOCK]
        fewest = op[OUTPUTS] // blocks
        larger = op[OUTPUTS] - fewest * blocks
        w, first = op[WEIGHTS], 0
        for block in range(blocks):
            channels = fewest + 1 if block < larger else fewest
            own = op[CHANNEL] + first
            for c in range(channels):
                weights[w + c] = shifts[own + c]
            w += channels
            for tap in range(taps):
                source = op[KERNEL] + tap * op[OUTPUTS] + first
                for c in range(channels):
                    weights[w + c] = kernels[source + c] * gains[own + c]
                w += channels
            first += channels


@helper
def meet(counter: Any, arrivals: int) -> None:
    """Until so many threads have come to barriers."""
    add_atomically(counter, 1)
    looks = 0
    while add_atomically(counter, 0) < arrivals:
        looks += 1
        if looks > PATIENCE:
            _yield()


@helper
def _join(table: Any, c: int, images: int, pixels: int) -> Any:
    """Mean and biased variance of a channel from the moments of groups of images, in their order:
    they do not depend on the number of threads."""
    groups = (images + LANES - 1) // LANES
    mean, square = 0.0, 0.0
    for g in range(groups):
        mean += table[g, c, 0] * min(LANES, images - g * LANES)
    mean /= images
    for g in range(groups):
        off = table[g, c, 0] - mean
        square += table[g, c, 1] + off * off * min(LANES, images - g * LANES) * pixels
    return mean, square / (np.float64(images) * pixels)


@entrance(
    PROGRAM, ROWS, FLOATS, FLOATS, FLOATS, _IMAGES, ROWS, ROWS, INTEGERS,
    MOMENTS, MOMENTS, BITS, types.int64, types.int64,
)  # fmt: skip
def run(
    program: Any, maps: Any, weights: Any, gains: Any, shifts: Any, images: Any, features: Any,
    scratch: Any, counter: Any, table: Any, statistics: Any, bits: Any, me: int, threads: int,
) -> None:  # fmt: skip
    """Features of images, ``[n, d]``.

    In inference mode each thread takes the next ``LANES`` images until there are none. In training
    mode, which ``table`` stands for, it has groups ``me``, ``me + threads``, … and at every
    normalised layer waits for the others' moments.

    Args:
        program: the network, see :mod:`~nasproxy.networks.lanes.layers`.
        maps: where a thread's maps lie, in training mode a group's.
        weights: as :func:`pack` makes them; for training mode of gain 1 and shift 0.
        gains, shifts: of every channel; for training mode batch norm's scales and biases.
        images: standardised, ``[n, h, w, c]``.
        features: ``[n, d]``, written.
        scratch: a row for each thread.
        counter: 0.
        table: a group's and channel's mean and sum of squares about it, ``[groups, channels, 2]``;
            without groups in inference mode.
        statistics: mean and biased variance of channels, ``[threads, channels, 2]``, written.
        bits: signs of what ReLUs read, in training mode, ``[groups · LANES, words]``, written.
        me, threads: this thread's number, and how many there are.
    """
    training = len(table) > 0
    count = len(images)
    groups = (count + LANES - 1) // LANES
    begin, end, step, arrivals = me, groups, threads, 0
    while True:
        if not training:
            begin = add_atomically(counter, 1)
            if begin >= groups:
                return
            end, step = begin + 1, 1
        for i in range(len(program)):
            op = program[i]
            code = op[OP]
            normed = training and op[NORMED] == 1 and code != AGREE
            of_input = code == NORMALISE
            finished = not normed and op[ACTIVATION] != SWISH
            for g in range(begin, end, step):
                own = maps[g if training else me]
                if code == CONVOLVE:
                    convolutions.convolve(own, weights, op, finished)
                elif code == DEPTHWISE:
                    convolutions.convolve_depthwise(own, weights, op, finished)
                elif code in (ADD, COPY, ZERO):
                    layers.add(own, op)
                elif code in (MAX_POOL, AVERAGE_POOL):
                    pooling.pool(own, op, scratch[me])
                elif code in (HALVE, HALVE_BY_MEAN, ODD_PIXELS):
                    layers.halve(own, op)
                elif code == MEAN:
                    layers.mean(own, op, scratch[me])
                elif code == GATE:
                    layers.gate(own, op)
                elif code == LOAD:
                    layers.load(own, op, images, g * LANES)
                elif code == UNLOAD:
                    layers.unload(own, op, features, g * LANES)
                elif code == AGREE:
                    layers.agree(own, op, statistics[me], gains, shifts, bits, g * LANES)
                if normed:
                    layers.moments(
                        own, op, of_input, min(LANES, count - g * LANES), scratch[me], table[g]
                    )
            if normed:
                arrivals += threads
                meet(counter, arrivals)
            elif not of_input and (
                op[ACTIVATION] != SWISH or (code != CONVOLVE and code != DEPTHWISE)
            ):
                continue
            for c in range(op[OUTPUTS]):
                channel = op[CHANNEL] + c
                mean, gain, shift = ZERO32, ONE32, ZERO32
                if normed:
                    found, variance = _join(table, channel, count, op[HEIGHT] * op[WIDTH])
                    statistics[me, channel, 0] = found
                    statistics[me, channel, 1] = variance
                    mean, shift = np.float32(found), shifts[channel]
                    gain = np.float32(gains[channel] / np.sqrt(variance + EPSILON))
                elif of_input:
                    gain, shift = gains[channel], shifts[channel]
                for g in range(begin, end, step):
                    own = maps[g if training else me]
                    layers.finish(own, op, c, of_input, mean, gain, shift)
        if training:
            return
