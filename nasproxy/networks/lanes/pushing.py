"""How values move with weights, in one call: forward mode along a pass that was kept.

It is a module of its own so that it is compiled for who asks for curvature only.
"""

from typing import Any

import numpy as np
from numba import types

from nasproxy.networks.lanes import adjoint, convolutions, layers, normalising, pooling
from nasproxy.networks.lanes.adjoint import COPY_VALUES
from nasproxy.networks.lanes.layers import (
    ADD,
    AVERAGE_POOL,
    CHANNEL,
    CONVOLVE,
    COPY,
    EPSILON,
    HALVE_BY_MEAN,
    HEIGHT,
    LINEAR,
    MEAN,
    NORMALISE,
    OP,
    OUTPUTS,
    UNLOAD,
    WIDTH,
    ZERO,
)
from nasproxy.networks.lanes.passes import FLOATS, INTEGERS, MOMENTS, PROGRAM, ROWS, meet
from nasproxy.networks.lanes.tile import LANES, entrance


@entrance(
    PROGRAM, ROWS, ROWS, FLOATS, types.float64[:, ::1], FLOATS, FLOATS, types.int64, ROWS, MOMENTS,
    ROWS, INTEGERS, types.int64, types.int64,
)  # fmt: skip
def push(
    program: Any, maps: Any, moves: Any, weights: Any, moments: Any, gains: Any, shifts: Any,
    count: int, features: Any, table: Any, scratch: Any, counter: Any, me: int, threads: int,
) -> None:  # fmt: skip
    """What the values of a pass move by, laid out as they are; of the features, ``[n, d]``.

    Arguments as for :func:`nasproxy.networks.lanes.returning.back`; ``program`` has the rows of the
    pass forward, of values that move.
    """
    groups = (count + LANES - 1) // LANES
    arrivals = 0
    for i in range(len(program)):
        op = program[i]
        code = op[OP]
        for g in range(me, groups, threads):
            own, moved = maps[g], moves[g]
            if code == CONVOLVE:
                convolutions.convolve(moved, weights, op, True)
            elif code == adjoint.MASK_MOVES:
                adjoint.mask_moves(own, moved, op)
            elif code == COPY_VALUES:
                adjoint.copy_values(own, moved, op, count - g * LANES)
            elif code == NORMALISE:
                normalising.norm_sums(
                    own, moved, op, LINEAR, moments, gains, shifts, scratch[me], table[g]
                )
            elif code in (ADD, COPY, ZERO):
                layers.add(moved, op)
            elif code == AVERAGE_POOL:
                pooling.pool(moved, op, scratch[me])
            elif code == HALVE_BY_MEAN:
                layers.halve(moved, op)
            elif code == MEAN:
                layers.mean(moved, op, scratch[me])
            elif code == UNLOAD:
                layers.unload(moved, op, features, g * LANES)
        if code != NORMALISE:
            continue
        arrivals += threads
        meet(counter, arrivals)
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
                normalising.norm_push(
                    maps[g], moves[g], op, c, count - g * LANES,
                    mean, gains[channel], shifts[channel], first, second,
                )  # fmt: skip
