"""3×3 convolution by Winograd's minimal filtering: 16 products for 2×2 pixels instead of 36.

Of 4×4 pixels ``d`` and a kernel ``g`` the 2×2 outputs are ``Aᵀ (Σ (Bᵀ d B) ∘ (G g Gᵀ)) A``, summed
over inputs (Lavin and Gray, 2016, F(2×2, 3×3)). ``B`` and ``A`` hold 0 and ±1 alone, ``G`` halves
besides, so that float32 loses little: no more than a sum of nine products has to lose. Larger tiles
would save more, and lose digits.

For each of 16 places of a transformed tile the sum over inputs is a matrix product, of tiles by
channels. Lanes are images, as in :mod:`~nasproxy.networks.lanes.tile`, so that transforms are sums
of whole vectors.
"""

from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import types
from numba.core import cgutils

from nasproxy.networks.lanes.tile import I64, LANES, PIXELS, VECTOR, either, helper, splat, written

SIDE = 4
"""Of a tile that is read; tiles that are written are half as wide."""
POINTS = SIDE * SIDE
TILES = PIXELS
"""Tiles of a matrix product, whose transforms are kept at once."""
GROUP = 16
"""Most output channels whose transforms are kept at once."""
PLANE = (TILES | 1) * LANES
"""Floats from one channel's transformed tiles to the next's."""
BLOCK = 6 if LANES == 16 else 4
"""Most output channels of a matrix product's innermost loop: sums fill the registers."""


def worthwhile(height: int, width: int, inputs: int, outputs: int) -> bool:
    """Whether transforms cost less than they save, for maps of so many pixels and channels."""
    even = height % 2 == 0 and width % 2 == 0 and min(height, width) >= SIDE
    return even and inputs * outputs > 2.9 * (inputs + outputs)


def floats(inputs: int, outputs: int) -> int:
    """Of packed weights: shifts, then the transformed kernels."""
    return outputs + POINTS * inputs * outputs


def planes(inputs: int) -> int:
    """Of ``TILES`` vectors each, for what is kept at once."""
    return POINTS * (inputs + GROUP)


HALF32 = np.float32(0.5)


@helper
def part(total: int, most: int, i: int) -> Any:
    """Bounds of the ``i``-th of the fewest parts, about equal, that have at most ``most``."""
    parts = (total + most - 1) // most
    return total * i // parts, total * (i + 1) // parts


@helper
def pack(
    kernels: Any, source: int, inputs: int, outputs: int, gains: Any, shifts: Any, weights: Any,
    w: int,
) -> None:  # fmt: skip
    """A kernel ``[3][3][input][channel]`` times gains, transformed, in the order of its use.

    That is ``outputs`` shifts, then by group, place of a tile and block ``[input][channel]``.
    """
    for c in range(outputs):
        weights[w + c] = shifts[c]
    w += outputs
    # All channels of an input at once, so that loops become vectors.
    rows, made = np.empty((3 * SIDE, outputs), np.float32), np.empty((POINTS, outputs), np.float32)
    for i in range(inputs):
        for column in range(3):
            g = source + (column * inputs + i) * outputs
            below = 3 * inputs * outputs
            one, two, three = kernels[g:], kernels[g + below :], kernels[g + 2 * below :]
            _times(one, two, three, rows[column * SIDE : (column + 1) * SIDE])
        for a in range(SIDE):
            left, middle, right = rows[a], rows[SIDE + a], rows[2 * SIDE + a]
            _times(left, middle, right, made[a * SIDE : (a + 1) * SIDE])
        at = w
        for group in range((outputs + GROUP - 1) // GROUP):
            first, last = part(outputs, GROUP, group)
            for block in range((last - first + BLOCK - 1) // BLOCK):
                begin, end = part(last - first, BLOCK, block)
                for point in range(POINTS):
                    place = at + (point * (last - first) + begin) * inputs + i * (end - begin)
                    for c in range(end - begin):
                        own = first + begin + c
                        weights[place + c] = made[point, own] * gains[own]
            at += POINTS * inputs * (last - first)


@helper
def _times(one: Any, two: Any, three: Any, made: Any) -> None:
    """G times three rows."""
    for c in range(made.shape[1]):
        both = HALF32 * (one[c] + three[c])
        half = HALF32 * two[c]
        made[0, c] = one[c]
        made[1, c] = both + half
        made[2, c] = both - half
        made[3, c] = three[c]


@written
def transform(context, maps, x, row, least, y, step):
    """``Bᵀ d B`` of the 4×4 vectors from ``x`` on.

    Args:
        context: Numba's.
        maps: float32, read and written.
        x, row: place of the first pixel, and from a row to the next, in floats.
        least: below which a value counts as this.
        y, step: place of the first result, and from one to the next of the sixteen.
    """
    signature = types.void(maps, x, row, least, y, step)

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        maps = context.make_array(signature.args[0])(context, b, args[0]).data
        x, row, y, step = args[1], args[2], args[4], args[5]
        floor = splat(b, args[3])

        def times(d: list[Any]) -> list[Any]:
            return [b.fsub(d[0], d[2]), b.fadd(d[1], d[2]), b.fsub(d[2], d[1]), b.fsub(d[1], d[3])]

        rows = []
        for i in range(SIDE):
            here = b.add(x, b.mul(row, I64(i)))
            read = [_load(b, maps, b.add(here, I64(j * LANES))) for j in range(SIDE)]
            # Keeps NaN, as everywhere here.
            rows.append([b.select(b.fcmp_ordered("<", d, floor), floor, d) for d in read])
        columns = [times([rows[i][j] for i in range(SIDE)]) for j in range(SIDE)]
        for i in range(SIDE):
            for j, value in enumerate(times([columns[j][i] for j in range(SIDE)])):
                place = b.add(y, b.mul(step, I64(i * SIDE + j)))
                b.store(value, _at(b, maps, place), align=4)
        return context.get_dummy_value()

    return signature, code


@written
def product(context, tiles, channels, maps, weights, x, w, y, inputs, plane):
    """Sums over inputs of vectors times weights, for some tiles and output channels.

    Args:
        context: Numba's.
        tiles, channels: at most ``TILES`` by ``BLOCK``.
        maps, weights: float32; weights are ``[input][channel]``, from ``w`` on.
        x, y: places of what is read, ``[input][tile]``, and written, ``[channel][tile]``.
        inputs: how many.
        plane: from an input or channel to the next, in floats.
    """
    signature = types.void(tiles, channels, maps, weights, x, w, y, inputs, plane)

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        tiles, channels, *arrays = args[:4]
        maps, weights = (
            context.make_array(kind)(context, b, array).data
            for kind, array in zip(signature.args[2:4], arrays, strict=True)
        )
        x, w, y, inputs, plane = args[4:]
        fma = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
        )

        def case(p: int, c: int) -> None:
            sums = [[cgutils.alloca_once(b, VECTOR) for _ in range(p)] for _ in range(c)]
            for register in (register for registers in sums for register in registers):
                b.store(ir.Constant(VECTOR, [0.0] * LANES), register)
            with cgutils.for_range(b, inputs) as loop:
                here, own = b.add(x, b.mul(loop.index, plane)), b.mul(loop.index, I64(c))
                own = b.add(w, own)
                seen = [_load(b, maps, b.add(here, I64(j * LANES))) for j in range(p)]
                for i, registers in enumerate(sums):
                    factor = splat(b, b.load(b.gep(weights, [b.add(own, I64(i))])))
                    for value, register in zip(seen, registers, strict=True):
                        b.store(b.call(fma, [value, factor, b.load(register)]), register)
            for i, registers in enumerate(sums):
                for j, register in enumerate(registers):
                    place = b.add(b.add(y, b.mul(plane, I64(i))), I64(j * LANES))
                    b.store(b.load(register), _at(b, maps, place), align=4)

        sides = [(p, c) for p in range(1, TILES + 1) for c in range(1, BLOCK + 1)]
        either(b, tiles, channels, sides, case)
        return context.get_dummy_value()

    return signature, code


@written
def transform_back(context, maps, x, step, shift, limits, places, row):
    """``Aᵀ m A`` plus ``shift``, 2×2 vectors; clamped; another map added.

    Args:
        context: Numba's.
        maps: float32, read and written.
        x, step: place of the first of sixteen, and from one to the next, in floats.
        shift: added to all.
        limits: below and above, before a map is added.
        places: of the first result, and in the map that is added (none where negative).
        row: of either, to the next.
    """
    signature = types.void(maps, x, step, shift, limits, places, row)

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        maps = context.make_array(signature.args[0])(context, b, args[0]).data
        x, step, row = args[1], args[2], args[6]
        shift = splat(b, args[3])
        floor, ceiling = (splat(b, bound) for bound in cgutils.unpack_tuple(b, args[4]))
        y, z = cgutils.unpack_tuple(b, args[5])

        def times(m: list[Any]) -> list[Any]:
            both, apart = b.fadd(m[1], m[2]), b.fsub(m[1], m[2])
            return [b.fadd(m[0], both), b.fsub(apart, m[3])]

        read = [
            [_load(b, maps, b.add(x, b.mul(step, I64(i * SIDE + j)))) for j in range(SIDE)]
            for i in range(SIDE)
        ]
        columns = [times([read[i][j] for i in range(SIDE)]) for j in range(SIDE)]
        made = []
        for i in range(2):
            for j, value in enumerate(times([columns[j][i] for j in range(SIDE)])):
                value = b.fadd(value, shift)
                for sign, bound in (("<", floor), (">", ceiling)):
                    value = b.select(b.fcmp_ordered(sign, value, bound), bound, value)
                made.append((b.add(b.mul(row, I64(i)), I64(j * LANES)), value))
        with b.if_else(b.icmp_signed("<", z, I64(0))) as (alone, added):
            for branch, adds in ((alone, False), (added, True)):
                with branch:
                    for further, value in made:
                        if adds:
                            value = b.fadd(value, _load(b, maps, b.add(z, further)))
                        b.store(value, _at(b, maps, b.add(y, further)), align=4)
        return context.get_dummy_value()

    return signature, code


def _at(b: Any, array: Any, place: Any) -> Any:
    return b.bitcast(b.gep(array, [place]), VECTOR.as_pointer())


def _load(b: Any, array: Any, place: Any) -> Any:
    return b.load(_at(b, array, place), align=4)
