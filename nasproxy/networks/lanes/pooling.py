"""Pools of 3×3 pixels, for the images of one vector at a time."""

from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import types
from numba.core import cgutils

from nasproxy.networks.lanes.layers import (
    HEIGHT,
    MAX_POOL,
    ONE32,
    OP,
    OUTPUTS,
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
    larger,
)
from nasproxy.networks.lanes.tile import I64, LANES, VECTOR, helper, written


@written
def largest_of_nine(context, maps, up, here, down, y, width):
    """A row of the largest of each 3×3 vectors, ends repeated; whether ``here`` all are numbers.

    The largest of two is one instruction, which forgets what is no number.

    Args:
        context: Numba's.
        maps: float32, read and written.
        up, here, down: places of three rows, in floats.
        y: place of the row that is written.
        width: vectors of a row.
    """

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        maps = context.make_array(signature.args[0])(context, b, args[0]).data
        *rows, y, width = args[1:]
        before, now, bad = (
            cgutils.alloca_once(b, kind)
            for kind in (VECTOR, VECTOR, ir.VectorType(ir.IntType(1), LANES))
        )

        def at(place: Any, column: Any) -> Any:
            further = b.add(place, b.mul(column, I64(LANES)))
            return b.bitcast(b.gep(maps, [further]), VECTOR.as_pointer())

        def larger(one: Any, two: Any) -> Any:
            return b.select(b.fcmp_ordered(">", one, two), one, two)

        def of_column(column: Any) -> Any:
            upper, middle, lower = (b.load(at(row, column), align=4) for row in rows)
            odd = b.fcmp_unordered("uno", middle, middle)
            b.store(b.or_(b.load(bad), odd), bad)
            return larger(larger(upper, middle), lower)

        b.store(ir.Constant(bad.type.pointee, [0] * LANES), bad)
        first = of_column(I64(0))
        b.store(first, before)
        b.store(first, now)
        last = b.sub(width, I64(1))
        with cgutils.for_range(b, last) as loop:
            middle, after = b.load(now), of_column(b.add(loop.index, I64(1)))
            made = larger(larger(b.load(before), middle), after)
            b.store(made, at(y, loop.index), align=4)
            b.store(middle, before)
            b.store(after, now)
        middle = b.load(now)
        b.store(larger(larger(b.load(before), middle), middle), at(y, last), align=4)
        bits = b.bitcast(b.load(bad), ir.IntType(LANES))
        return b.icmp_unsigned("==", bits, ir.IntType(LANES)(0))

    return types.boolean(maps, up, here, down, y, width), code


@helper
def pool(maps: Any, op: Any, scratch: Any) -> None:
    """Largest or mean of each 3×3 neighbourhood: over rows, then columns.

    For the largest the border is repeated. The frame's zeros are no part of a mean, only its sum.
    """
    largest = op[OP] == MAX_POOL
    if largest and op[STRIDE] == 1:
        _largest(maps, op, scratch)
    else:
        _pool(maps, op, largest, 0, op[OUTPUTS], scratch)


@helper
def _largest(maps: Any, op: Any, scratch: Any) -> None:
    """At stride 1; where something is no number it is done again with care."""
    for c in range(op[OUTPUTS]):
        numbers = True
        for r in range(op[HEIGHT]):
            x = op[X] + c * op[X_PLANE] + r * op[X_ROW]
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            up = x - op[X_ROW] if r > 0 else x
            down = x + op[X_ROW] if r < op[HEIGHT] - 1 else x
            numbers &= largest_of_nine(maps, up, x, down, y, op[WIDTH])
        if not numbers:
            _pool(maps, op, True, c, c + 1, scratch)


@helper
def _pool(maps: Any, op: Any, largest: bool, first: int, last: int, scratch: Any) -> None:
    n = op[X_WIDTH] * LANES
    across = scratch[: n + 2 * LANES]
    inside = across[LANES : LANES + n]
    left, right = across[:n], across[2 * LANES :]
    for c in range(first, last):
        for r in range(op[HEIGHT]):
            row = r * op[STRIDE]
            x = op[X] + c * op[X_PLANE] + row * op[X_ROW]
            y = op[Y] + c * op[Y_PLANE] + r * op[Y_ROW]
            above = row > 0
            below = row < op[X_HEIGHT] - 1
            up = x - op[X_ROW] if above or not largest else x
            down = x + op[X_ROW] if below or not largest else x
            here, upper, lower = maps[x : x + n], maps[up : up + n], maps[down : down + n]
            if largest:
                for j in range(n):
                    inside[j] = larger(larger(upper[j], here[j]), lower[j])
                for j in range(LANES):
                    across[j] = inside[j]
                    across[n + LANES + j] = inside[n - LANES + j]
            else:
                for j in range(n):
                    inside[j] = upper[j] + here[j] + lower[j]
                for j in range(LANES):
                    across[j] = ZERO32
                    across[n + LANES + j] = ZERO32
            for u in range(op[WIDTH]):
                column = u * op[STRIDE]
                v = column * LANES
                one, two, three = left[v : v + LANES], inside[v : v + LANES], right[v : v + LANES]
                made = maps[y + u * LANES : y + (u + 1) * LANES]
                if largest:
                    for j in range(LANES):
                        made[j] = larger(larger(one[j], two[j]), three[j])
                else:
                    pixels = (1 + above + below) * (1 + (column > 0) + (column < op[X_WIDTH] - 1))
                    share = ONE32 / np.float32(pixels)
                    for j in range(LANES):
                        made[j] = (one[j] + two[j] + three[j]) * share
