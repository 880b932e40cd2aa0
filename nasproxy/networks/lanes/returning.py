"""The way back through a whole network in one call, and how often ReLUs tell images apart.

As in :mod:`~nasproxy.networks.lanes.passes` several threads call a function at once. It is a module
of its own so that who only wants features does not wait for it to be compiled.
"""

from typing import Any

import numpy as np
from numba import types

from nasproxy.networks.lanes import adjoint, convolutions, normalising
from nasproxy.networks.lanes.adjoint import MOVED, V
from nasproxy.networks.lanes.layers import (
    ACTIVATION,
    CHANNEL,
    CONVOLVE,
    EPSILON,
    HEIGHT,
    OP,
    OUTPUTS,
    PREACTIVATION,
    WIDTH,
    ZERO32,
)
from nasproxy.networks.lanes.passes import (
    BITS,
    FLOATS,
    INTEGERS,
    MOMENTS,
    PROGRAM,
    ROWS,
    meet,
)
from nasproxy.networks.lanes.tile import LANES, add_atomically, entrance, helper


@helper
def _linear(
    own: Any, cots: Any, weights: Any, op: Any, seeds: Any, count: int, g: int, scratch: Any
) -> None:
    """Rows that do not depend on cotangents but as a linear map does."""
    code = op[OP]
    if code == CONVOLVE:
        convolutions.convolve(cots, weights, op, True)
    elif code in (adjoint.COPY_BACK, adjoint.MASKED, adjoint.CLEAR):
        adjoint.copy(own, cots, op)
    elif code == adjoint.DILATE:
        adjoint.dilate(cots, op)
    elif code in (adjoint.SPREAD, adjoint.HALVE_BY_MEAN_BACK):
        adjoint.spread(cots, op)
    elif code == adjoint.AVERAGE_POOL_BACK:
        adjoint.average_pool_back(cots, op, scratch)
    elif code == adjoint.MAX_POOL_BACK:
        adjoint.max_pool_back(own, cots, op, scratch)
    elif code == adjoint.HALVE_BACK:
        adjoint.halve_back(own, cots, op)
    elif code == adjoint.SEED:
        adjoint.seed(cots, op, seeds, count, g * LANES)


@entrance(
    PROGRAM, ROWS, ROWS, ROWS, ROWS, FLOATS, types.float64[:, ::1], FLOATS, FLOATS, FLOATS, FLOATS,
    types.int64, FLOATS, MOMENTS, types.float64[:, ::1], types.float32[:, :, :, ::1], ROWS,
    INTEGERS, types.int64, types.int64,
)  # fmt: skip
def back(
    program: Any, maps: Any, moves: Any, cots: Any, still: Any, weights: Any, moments: Any,
    gains: Any, shifts: Any, given: Any, given_still: Any, count: int, gradients: Any, table: Any,
    saliences: Any, images: Any, scratch: Any, counter: Any, me: int, threads: int,
) -> None:  # fmt: skip
    """Cotangents through a pass in training mode that was kept.

    Where the program has rows of values that ``MOVED``, ``cots`` are what cotangents move by, and
    ``still`` the cotangents; otherwise ``moves`` and ``still`` are not looked at.

    Args:
        program: the way back, see :mod:`~nasproxy.networks.lanes.adjoint`.
        maps, moves, cots, still: where a group's values, what they move by, its cotangents lie.
        weights: turned, as :func:`~nasproxy.networks.lanes.passes.pack` makes them.
        moments: mean and biased variance of channels, ``[channels, 2]``.
        gains, shifts: of batch norm: its scale over the deviation, and its bias.
        given, given_still: of the seeds, one after the other, each ``[n, h, w, c]``.
        count: images.
        gradients: of kernels, 0; added to.
        table: a group's and channel's sums, ``[groups, channels, 7]``, written.
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
        both = op[MOVED] == 1
        if code == adjoint.KERNEL_GRADIENT:
            arrivals += threads
            meet(counter, arrivals)
            for side in range(1 + both):
                least = ZERO32 if op[PREACTIVATION] and side == 0 else adjoint.NOTHING
                place = op[V]
                if side and op[PREACTIVATION]:
                    place = op[adjoint.T]
                adjoint.kernel_gradient(
                    moves if side else maps, still if side else cots, op, place, least, groups,
                    gradients, me, threads,
                )  # fmt: skip
            arrivals += threads
            meet(counter, arrivals)
            continue
        for g in range(me, groups, threads):
            own, moved, changed, fixed = maps[g], moves[g], cots[g], still[g]
            if code == adjoint.NORM:
                if both:
                    normalising.both_sums(
                        own, moved, changed, fixed, op, moments, gains, shifts, scratch[me],
                        table[g],
                    )  # fmt: skip
                else:
                    normalising.norm_sums(
                        own,
                        changed,
                        op,
                        op[ACTIVATION],
                        moments,
                        gains,
                        shifts,
                        scratch[me],
                        table[g],
                    )
            elif code == adjoint.SALIENCE:
                adjoint.salience(own, changed, op, scratch[me], saliences[g])
            elif code == adjoint.GIVE:
                adjoint.give(changed, op, images, g * LANES)
            elif code == adjoint.MASK_MOVES:
                adjoint.mask_moves(own, moved, op)
            elif code == adjoint.ADD_STILL:
                adjoint.add_still(changed, fixed, op)
            else:
                for side in range(1 + both):
                    seeds = given_still if side else given
                    _linear(own, fixed if side else changed, weights, op, seeds, count, g,
                            scratch[me])  # fmt: skip
        if code != adjoint.NORM:
            continue
        arrivals += threads
        meet(counter, arrivals)
        values = np.float64(count) * (op[HEIGHT] * op[WIDTH])
        sums = np.zeros(7)
        for c in range(op[OUTPUTS]):
            channel = op[CHANNEL] + c
            for k in range(7 if both else 2):
                sums[k] = 0.0
                for g in range(groups):
                    sums[k] += table[g, channel, k]
            mean, variance = np.float32(moments[channel, 0]), moments[channel, 1]
            first = np.float32(sums[0] / values)
            second = np.float32(sums[1] / values / (variance + EPSILON))
            for g in range(me, groups, threads):
                if both:
                    normalising.norm_both(
                        maps[g], moves[g], cots[g], still[g], op, c, count - g * LANES,
                        mean, gains[channel], shifts[channel], variance, values, sums,
                    )  # fmt: skip
                else:
                    normalising.norm(
                        maps[g], cots[g], op, c, count - g * LANES,
                        mean, gains[channel], shifts[channel], first, second,
                    )  # fmt: skip


@helper
def _ones(word: Any) -> Any:
    """How many bits are set, in operations that are vector instructions."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@entrance(BITS, types.int64[:, ::1], types.int64[:, :, ::1], INTEGERS)
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
