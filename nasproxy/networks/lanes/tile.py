"""The innermost loops of a convolution as vector instructions, which plain loops do not become.

Maps are ``[channel][row][column][image]``: the lanes of a vector are images, so that any number of
channels is computed without padding, shuffles or remainders. A tile is some neighbouring pixels of
some output channels, as many sums as the processor has registers for: each weight that is loaded
serves all pixels, each pixel all channels.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from inspect import unwrap
from pathlib import Path
from typing import Any

import llvmlite.ir as ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from nasproxy.cache import cache_dir, make_folder

_target = cpu_target.target_context
FEATURES: str = _target.codegen().magic_tuple()[2]  # type: ignore[attr-defined]  # a lazy property
LANES, PIXELS, CHANNELS = (
    (16, 4, 4)
    if "+avx512f" in FEATURES
    else (8, 3, 4)
    if "+avx2" in FEATURES and "+fma" in FEATURES
    else (4, 4, 4)
)
"""Images of a vector, and the sides of a tile: sums that fill most of 32 or 16 registers."""
WIDE = 2 * PIXELS
"""Pixels of a tile of one channel."""

I32, I64 = ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(ir.FloatType(), LANES)
_UNDEFINED = ir.Constant(VECTOR, ir.Undefined)
_FIRST = ir.Constant(ir.VectorType(I32, LANES), [0] * LANES)


def helper(function: Callable[..., Any], *signature: Any, cache: bool = False) -> Any:
    """In machine code, within that of what calls it.

    Products may be fused with sums; NaN and infinity stay what they are.
    """
    # Tests wrap every function to check its arguments; Numba needs what is in the wrapping.
    own = unwrap(function)
    options = {"nogil": True, "cache": cache, "error_model": "numpy"}
    return njit(*signature, fastmath={"contract", "nsz"}, **options)(own)


def entrance(*arguments: Any) -> Callable[[Callable[..., Any]], Any]:
    """In machine code that is kept in the cache folder, and without Python's lock while it runs.

    Numba looks at a function's own file only, so the folder is named after all of them.
    """
    sources = (file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    folder = cache_dir() / "lanes" / hashlib.sha256(b"".join(sources)).hexdigest()[:16]

    def compile_(function: Callable[..., Any]) -> Any:
        before, config.CACHE_DIR = config.CACHE_DIR, str(folder)  # type: ignore[attr-defined]
        with suppress(OSError):  # Where nothing can be kept it is compiled each time.
            make_folder(folder)
        try:
            try:
                return helper(function, types.void(*arguments), cache=True)
            except Exception:  # A file that was cut short raises whatever pickle does.
                shutil.rmtree(folder, ignore_errors=True)
                return helper(function, types.void(*arguments), cache=True)
        finally:
            config.CACHE_DIR = before  # type: ignore[attr-defined]

    return compile_


def written(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose machine code is written instruction by instruction."""
    return intrinsic(unwrap(function))


def channels_of(width: int) -> int:
    """Most output channels of a tile of maps so many pixels wide."""
    return PIXELS * CHANNELS // min(width, PIXELS)


@written
def tile(context, pixels, channels, maps, weights, places, kernel, steps, bounds):
    """Convolution at neighbouring pixels for some output channels, clamped, and another map added.

    Places and steps are in floats. Weights are ``channels`` shifts, then
    ``[kernel row][kernel column][input][channel]``.

    Args:
        context: Numba's.
        pixels, channels: the tile's sides.
        maps, weights: arrays of float32.
        places: of the first pixel in the input, of the shifts, of the first pixel in the output,
            and in the map that is added (none where negative).
        kernel: rows, columns and inputs; inputs to skip before the first row, and after each.
        steps: to the input's next row, its next channel, the next pixel's input, and the output's
            next channel.
        bounds: below for what is read; below and above for the sum, before a map is added.
    """
    signature = types.void(pixels, channels, maps, weights, places, kernel, steps, bounds)

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        pixels, channels, *arrays = args[:4]
        maps, weights = (
            context.make_array(kind)(context, b, array).data
            for kind, array in zip(signature.args[2:4], arrays, strict=True)
        )
        (x, w, y, z), (rows, columns, inputs, first, skipped), (row, plane, step, out_plane) = (
            cgutils.unpack_tuple(b, numbers) for numbers in args[4:7]
        )
        least, floor, ceiling = (splat(b, bound) for bound in cgutils.unpack_tuple(b, args[7]))
        fma = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
        )

        def at(place: Any) -> Any:
            return b.bitcast(b.gep(maps, [place]), VECTOR.as_pointer())

        def weight(place: Any) -> Any:
            return splat(b, b.load(b.gep(weights, [place])))

        def clamped(value: Any, sign: str, bound: Any) -> Any:
            return b.select(b.fcmp_ordered(sign, value, bound), bound, value)  # keeps NaN

        def case(p: int, c: int) -> None:
            # What is allocated, and only stored and loaded, becomes a register.
            sums = [[cgutils.alloca_once(b, VECTOR) for _ in range(p)] for _ in range(c)]
            for i, registers in enumerate(sums):
                shift = weight(b.add(w, I64(i)))
                for register in registers:
                    b.store(shift, register)
            used, tap = cgutils.alloca_once(b, I64), cgutils.alloca_once(b, I64)
            b.store(b.add(w, b.mul(b.add(first, I64(1)), I64(c))), used)
            one_input = b.mul(inputs, I64(c))

            def taps(count: int) -> None:
                """Adds the products of so many neighbouring columns of the kernel with an input."""
                here, own = b.load(tap), b.load(used)
                seen = [
                    clamped(b.load(at(b.add(here, b.mul(step, I64(j)))), align=4), "<", least)
                    for j in range(p + count - 1)
                ]
                for k in range(count):
                    for i, registers in enumerate(sums):
                        factor = weight(b.add(own, I64(i)))
                        for pixel, register in zip(seen[k:], registers, strict=False):
                            b.store(b.call(fma, [pixel, factor, b.load(register)]), register)
                    own = b.add(own, one_input)
                b.store(b.add(here, plane), tap)
                b.store(b.add(b.load(used), I64(c)), used)

            with cgutils.for_range(b, rows) as ky:
                along = b.add(x, b.mul(ky.index, row))
                three = b.and_(
                    b.icmp_signed("==", columns, I64(3)), b.icmp_signed("==", step, I64(LANES))
                )
                by_one = b.select(three, I64(0), columns) if p == PIXELS else columns
                with cgutils.for_range(b, by_one) as kx:
                    b.store(b.add(along, b.mul(kx.index, I64(LANES))), tap)
                    with cgutils.for_range(b, inputs):
                        taps(1)
                if p == PIXELS:
                    with b.if_then(three):
                        b.store(along, tap)
                        with cgutils.for_range(b, inputs):
                            taps(3)
                        b.store(b.add(b.load(used), b.mul(one_input, I64(2))), used)
                b.store(b.add(b.load(used), b.mul(skipped, I64(c))), used)
            with b.if_else(b.icmp_signed("<", z, I64(0))) as (alone, added):
                for branch, adds in ((alone, False), (added, True)):
                    with branch:
                        for i, j in ((i, j) for i in range(c) for j in range(p)):
                            value = clamped(b.load(sums[i][j]), "<", floor)
                            value = clamped(value, ">", ceiling)
                            place = b.add(b.mul(out_plane, I64(i)), I64(j * LANES))
                            if adds:
                                value = b.fadd(value, b.load(at(b.add(z, place)), align=4))
                            b.store(value, at(b.add(y, place)), align=4)

        sides = [(p, c) for p in range(1, PIXELS + 1) for c in range(1, channels_of(p) + 1)]
        either(b, pixels, channels, [*sides, (WIDE, 1)], case)
        return context.get_dummy_value()

    return signature, code


@written
def affine(context, maps, x, y, z, count, mean, gain, shift, limits):
    """Vectors less ``mean``, times ``gain``, plus ``shift``; clamped; another map added.

    They may be written where they were read: of a plain loop that keeps LLVM from vectors.

    Args:
        context: Numba's.
        maps: float32, read from ``x`` and written from ``y`` on; ``z`` is where what is added
            begins, none if negative.
        count: of vectors.
        mean, gain, shift: of all of them.
        limits: below and above, before a map is added.
    """
    signature = types.void(maps, x, y, z, count, mean, gain, shift, limits)

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        maps = context.make_array(signature.args[0])(context, b, args[0]).data
        x, y, z, count = args[1:5]
        less, gain, shift = (splat(b, arg) for arg in args[5:8])
        floor, ceiling = (splat(b, bound) for bound in cgutils.unpack_tuple(b, args[8]))
        fma = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
        )

        def at(place: Any) -> Any:
            return b.bitcast(b.gep(maps, [place]), VECTOR.as_pointer())

        with b.if_else(b.icmp_signed("<", z, I64(0))) as (alone, added):
            for branch, adds in ((alone, False), (added, True)):
                with branch, cgutils.for_range(b, count) as loop:
                    further = b.mul(loop.index, I64(LANES))
                    value = b.fsub(b.load(at(b.add(x, further)), align=4), less)
                    value = b.call(fma, [value, gain, shift])
                    for sign, bound in (("<", floor), (">", ceiling)):
                        value = b.select(b.fcmp_ordered(sign, value, bound), bound, value)
                    if adds:
                        value = b.fadd(value, b.load(at(b.add(z, further)), align=4))
                    b.store(value, at(b.add(y, further)), align=4)
        return context.get_dummy_value()

    return signature, code


@written
def add_atomically(context, array, number):
    """Adds an integer to the first of an array; what it was before."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        place = context.make_array(signature.args[0])(context, b, args[0]).data
        return b.atomic_rmw("add", place, args[1], "seq_cst")

    return types.int64(array, types.int64), code


@written
def float_of_bits(context, bits):
    """The float32 that 32 bits stand for."""

    def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), code


def either(
    b: Any, one: Any, other: Any, sides: Iterable[tuple[int, int]], case: Callable[[int, int], None]
) -> None:
    """The case of a tile's two sides, each written for itself; nothing if there is none."""
    done = b.append_basic_block("done")
    switch = b.switch(b.add(b.mul(one, I64(256)), other), done)
    for first, second in sides:
        block = b.append_basic_block(f"sides_{first}_{second}")
        switch.add_case(I64(first * 256 + second), block)
        b.position_at_end(block)
        case(first, second)
        b.branch(done)
    b.position_at_end(done)


def splat(b: Any, scalar: Any) -> Any:
    """The scalar in every lane."""
    one = b.insert_element(_UNDEFINED, scalar, I32(0))
    return b.shuffle_vector(one, _UNDEFINED, _FIRST)
