"""The innermost loop of a kernel's gradient: products of what is read with cotangents, summed.

As in :mod:`~nasproxy.networks.lanes.tile` the lanes of a vector are images, and a tile is as many
sums as there are registers for: up to three taps of a kernel, or input channels, by some output
channels. At its end the lanes are added up.
"""

from typing import Any

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils

from nasproxy.networks.lanes.tile import I64, LANES, VECTOR, either, splat, written

TAPS = 3
"""Most places read at once; otherwise it is one, so that there is less to compile."""
OUTPUTS = 8 if LANES == 16 else 4
"""Most output channels at once: sums, cotangents and values fill 32 or 16 registers. Fewer are a
power of two."""


@written
def outer(context, taps, channels, maps, cots, grads, places, spaces, sizes, steps, least):
    """Adds to ``taps`` by ``channels`` gradients what some rows of a map give.

    Places and steps are in floats.

    Args:
        context: Numba's.
        taps, channels: the tile's sides.
        maps, cots, grads: arrays of float32: values, cotangents, gradients.
        places: of the first value that is read, of the first cotangent, of the first gradient.
        spaces: from a tap's values to the next's, from a channel's cotangents to the next's, from
            a tap's gradients to the next's; channels' gradients are neighbours.
        sizes: rows and columns of cotangents.
        steps: of values to the next row and pixel, of cotangents to the next row.
        least: below which a value counts as this.
    """
    signature = types.void(taps, channels, maps, cots, grads, places, spaces, sizes, steps, least)

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        taps, channels, *arrays = args[:5]
        maps, cots, grads = (
            context.make_array(kind)(context, b, array).data
            for kind, array in zip(signature.args[2:5], arrays, strict=True)
        )
        (x, a, g), (x_tap, a_plane, g_tap), (rows, columns), (x_row, x_pixel, a_row) = (
            cgutils.unpack_tuple(b, numbers) for numbers in args[5:9]
        )
        floor = splat(b, args[9])
        fma = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
        )
        add_up = cgutils.get_or_insert_function(
            b.module,
            ir.FunctionType(ir.FloatType(), [ir.FloatType(), VECTOR]),
            f"llvm.vector.reduce.fadd.v{LANES}f32",
        )

        def loaded(array: Any, place: Any) -> Any:
            return b.load(b.bitcast(b.gep(array, [place]), VECTOR.as_pointer()), align=4)

        def case(k: int, m: int) -> None:
            sums = [[cgutils.alloca_once(b, VECTOR) for _ in range(m)] for _ in range(k)]
            for registers in sums:
                for register in registers:
                    b.store(ir.Constant(VECTOR, [0.0] * LANES), register)
            with cgutils.for_range(b, rows) as row:
                here = b.add(x, b.mul(row.index, x_row))
                there = b.add(a, b.mul(row.index, a_row))
                with cgutils.for_range(b, columns) as column:
                    read = b.add(here, b.mul(column.index, x_pixel))
                    given = b.add(there, b.mul(column.index, I64(LANES)))
                    values = [loaded(maps, b.add(read, b.mul(x_tap, I64(i)))) for i in range(k)]
                    # Keeps NaN, as everywhere here.
                    values = [b.select(b.fcmp_ordered("<", v, floor), floor, v) for v in values]
                    for j in range(m):
                        cotangent = loaded(cots, b.add(given, b.mul(a_plane, I64(j))))
                        for value, registers in zip(values, sums, strict=True):
                            register = registers[j]
                            b.store(b.call(fma, [value, cotangent, b.load(register)]), register)
            for i, registers in enumerate(sums):
                for j, register in enumerate(registers):
                    place = b.gep(grads, [b.add(b.add(g, b.mul(g_tap, I64(i))), I64(j))])
                    zero = ir.Constant(ir.FloatType(), 0.0)
                    summed = b.call(add_up, [zero, b.load(register)], fastmath=("reassoc",))
                    b.store(b.fadd(b.load(place), summed), place)

        sides = [(k, 2**i) for k in (1, TAPS) for i in range(OUTPUTS.bit_length())]
        either(b, taps, channels, sides, case)
        return context.get_dummy_value()

    return signature, code
