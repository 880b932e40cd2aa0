"""A whole network in one call: weights packed, then images run in inference or training mode.

Several threads call a function at once and share its arrays; ``me`` is a thread's number. The
functions have signatures, so that on import they are compiled, or read from the disk.
"""

from typing import Any

import numpy as np
from numba import types

from nasproxy.networks.lanes import adjoint, layers
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
    ZERO,
    ZERO32,
)
from nasproxy.networks.lanes.tile import LANES, add_atomically, entrance, helper

PATIENCE = 300
"""Looks at a barrier before the core is offered to others."""

_yield = types.ExternalFunction("sched_yield", types.int32())
_INTEGERS, _FLOATS = types.int64[::1], types.float32[::1]
_PROGRAM, _ROWS, _MOMENTS = types.int64[:, ::1], types.float32[:, ::1], types.float64[:, :, ::1]
_IMAGES = types.Array(types.float32, 4, "C", readonly=True)
_BITS = types.uint64[:, ::1]


@entrance(_PROGRAM, _FLOATS, _FLOATS, _FLOATS, _FLOATS, _INTEGERS)
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
def _wait(counter: Any, arrivals: int) -> None:
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
    _PROGRAM, _ROWS, _FLOATS, _FLOATS, _FLOATS, _IMAGES, _ROWS, _ROWS, _INTEGERS,
    _MOMENTS, _MOMENTS, _BITS, types.int64, types.int64,
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
                    layers.convolve(own, weights, op, finished)
                elif code == DEPTHWISE:
                    layers.convolve_depthwise(own, weights, op, finished)
                elif code in (ADD, COPY, ZERO):
                    layers.add(own, op)
                elif code in (MAX_POOL, AVERAGE_POOL):
                    layers.pool(own, op, scratch[me])
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
                _wait(counter, arrivals)
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


@entrance(
    _PROGRAM, _ROWS, _ROWS, _FLOATS, types.float64[:, ::1], _FLOATS, _FLOATS, _FLOATS, types.int64,
    _FLOATS, _MOMENTS, types.float64[:, ::1], types.float32[:, :, :, ::1], _ROWS, _INTEGERS,
    types.int64, types.int64,
)  # fmt: skip
def back(
    program: Any, maps: Any, cots: Any, weights: Any, moments: Any, gains: Any, shifts: Any,
    given: Any, count: int, gradients: Any, table: Any, saliences: Any, images: Any, scratch: Any,
    counter: Any, me: int, threads: int,
) -> None:  # fmt: skip
    """Cotangents through a pass in training mode that was kept.

    Args:
        program: the way back, see :mod:`~nasproxy.networks.lanes.adjoint`.
        maps, cots: where a group's values and its cotangents lie.
        weights: turned, as :func:`pack` makes them.
        moments: mean and biased variance of channels, ``[channels, 2]``.
        gains, shifts: of batch norm: its scale over the deviation, and its bias.
        given: cotangents of the seeds, one after the other, each ``[n, h, w, c]``.
        count: images.
        gradients: of kernels, 0; added to.
        table: as for :func:`run`.
        saliences: of a group's images and channels, ``[groups, channels]``, written.
        images: the images' cotangents, ``[n, h, w, c]``, written if the program says so.
        scratch: a row for each thread.
        counter: 0.
        me, threads: this thread's number, and how many there are.
    """
    groups = (count + LANES - 1) // LANES
    arrivals = 0
    for i in range(len(program)):
        op = program[i]
        code = op[OP]
        if code == adjoint.KERNEL_GRADIENT:
            arrivals += threads
            _wait(counter, arrivals)
            adjoint.kernel_gradient(maps, cots, op, groups, gradients, me, threads)
            arrivals += threads
            _wait(counter, arrivals)
            continue
        for g in range(me, groups, threads):
            own, given_back = maps[g], cots[g]
            if code == CONVOLVE:
                layers.convolve(given_back, weights, op, True)
            elif code in (adjoint.COPY_BACK, adjoint.MASKED, adjoint.CLEAR):
                adjoint.copy(own, given_back, op)
            elif code == adjoint.NORM:
                adjoint.norm_sums(own, given_back, op, moments, gains, shifts, scratch[me], table[g])
            elif code == adjoint.SALIENCE:
                adjoint.salience(own, given_back, op, saliences[g])
            elif code == adjoint.DILATE:
                adjoint.dilate(given_back, op)
            elif code in (adjoint.SPREAD, adjoint.HALVE_BY_MEAN_BACK):
                adjoint.spread(given_back, op)
            elif code == adjoint.AVERAGE_POOL_BACK:
                adjoint.average_pool_back(given_back, op, scratch[me])
            elif code == adjoint.MAX_POOL_BACK:
                adjoint.max_pool_back(own, given_back, op, scratch[me])
            elif code == adjoint.HALVE_BACK:
                adjoint.halve_back(own, given_back, op)
            elif code == adjoint.SEED:
                adjoint.seed(given_back, op, given, count, g * LANES)
            elif code == adjoint.GIVE:
                adjoint.give(given_back, op, images, g * LANES)
        if code != adjoint.NORM:
            continue
        arrivals += threads
        _wait(counter, arrivals)
        values = np.float64(count) * (op[HEIGHT] * op[WIDTH])
        for c in range(op[OUTPUTS]):
            channel = op[CHANNEL] + c
            one, two = 0.0, 0.0
            for g in range(groups):
                one += table[g, channel, 0]
                two += table[g, channel, 1]
            first = np.float32(one / values)
            second = np.float32(two / values / (moments[channel, 1] + EPSILON))
            mean = np.float32(moments[channel, 0])
            for g in range(me, groups, threads):
                adjoint.norm(
                    maps[g], cots[g], op, c, count - g * LANES,
                    mean, gains[channel], shifts[channel], first, second,
                )  # fmt: skip


@helper
def _ones(word: Any) -> int:
    """How many bits are set, in operations that are vector instructions."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@entrance(_BITS, types.int64[:, ::1], types.int64[:, :, ::1], _INTEGERS)
def disagree(bits: Any, words: Any, found: Any, counter: Any) -> None:
    """For how many of some words' bits two images differ, ``[parts, n, n]`` from ``[n, words]``.

    Each thread takes the next image; ``words`` are each part's first and last but one.
    """
    while True:
        i = add_atomically(counter, 1)
        if i >= found.shape[1]:
            return
        for part in range(len(words)):
            for j in range(i + 1, found.shape[1]):
                one = bits[i, words[part, 0] : words[part, 1]]
                other = bits[j, words[part, 0] : words[part, 1]]
                apart = 0
                for k in range(len(one)):
                    apart += _ones(one[k] ^ other[k])
                found[part, i, j] = apart
                found[part, j, i] = apart
