"""Images made ready once for any number of blocks of one convolutional kernel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike, NDArray

from nasproxy.arrays import numbers
from nasproxy.errors import DataError
from nasproxy.kernels.convolutional import planes
from nasproxy.kernels.convolutional.layout import arguments, grouped, pixels
from nasproxy.kernels.convolutional.planes import Stack
from nasproxy.kernels.memory import check_memory
from nasproxy.threads import cores, pool

WORK = 2**21
"""Entries of all planes that go through the layers at once, in XLA."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images, and what a network makes of each alone; slices of them are views.

    Attributes:
        stack: the network.
        values: ``[n, h, h, c]``, float32 or float64.
        variances: after every convolution, stage by stage, ``[n, convolutions, side, side]``.
        nngp, ntk: the kernels of each image with itself, ``[n]``.
    """

    stack: Stack
    values: Float[np.ndarray, "n h h c"]
    variances: tuple[Float64[np.ndarray, "n _ _ _"], ...]
    nngp: Float64[np.ndarray, " n"]
    ntk: Float64[np.ndarray, " n"]

    @classmethod
    def of(cls, stack: Stack, x: ArrayLike, by: str) -> "Images":
        """Images ``[n, h, h, c]``, checked, and run against themselves in float64.

        Args:
            stack: the network.
            x: they.
            by: ``numba`` or ``xla``.

        Raises:
            DataError: they are no square images whose side the network's pools halve evenly, or
                something is not finite, or so large that the network's variances overflow.
        """
        values = numbers(x, "images")
        if values.ndim != 4 or 0 in values.shape:
            raise DataError(f"images of shape {list(values.shape)}: give [n, h, w, c], none 0")
        n, side, width, channels = values.shape
        unit = 2 ** (len(stack.convolutions) - 1)
        if side != width or side % unit:
            raise DataError(
                f"images of {side}×{width} pixels, {channels} channels last: give square ones "
                f"[n, h, h, c], whose side is a multiple of {unit}"
            )
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise DataError(f"image {row} holds NaN or infinity: leave it out or repair it")
        sizes = [(c, side >> s) for s, c in enumerate(stack.convolutions)]
        check_memory(
            8 * n * sum(c * h * h for c, h in sizes),
            f"what a kernel needs of {n:,} images of {side}×{side} pixels",
            "fewer images at once",
        )
        run = _native if by == "numba" else _planes
        with np.errstate(over="ignore", invalid="ignore"):
            nngp, ntk, variances = run(stack, values)
        outside = ~(np.isfinite(nngp) & np.isfinite(ntk))
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise DataError(
                f"the kernel of image {row} with itself overflows: scale pixels to variances near "
                "1, or give a smaller weight_variance"
            )
        return cls(stack, values, variances, nngp, ntk)

    def __len__(self) -> int:
        return len(self.nngp)

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[Any]) -> "Images":
        return Images(
            self.stack,
            self.values[rows],
            tuple(v[rows] for v in self.variances),
            self.nngp[rows],
            self.ntk[rows],
        )


Selves = tuple[NDArray[Any], NDArray[Any], tuple[NDArray[Any], ...]]
"""NNGP and NTK of images with themselves, ``[n]``, and their variances, stage by stage."""


def _native(stack: Stack, values: NDArray[Any]) -> Selves:
    from nasproxy.kernels.convolutional.native import programs

    n, side = values.shape[:2]
    lanes, run = programs.LANES["float64"], programs.selves(stack.activation, stack.layer_norm)
    shared = arguments(stack, side, "float64")
    rows = sum(c * (side >> s) for s, c in enumerate(stack.convolutions))
    q, nngp, ntk = np.zeros((n, rows, side)), np.empty(n), np.empty(n)
    groups = math.ceil(n / lanes)
    share = math.ceil(groups / cores())

    def fill(start: int) -> None:
        # A group at a time, so that no more is held: rearranged, images are as large as variances.
        for top in range(start * lanes, min(n, (start + share) * lanes), lanes):
            part = slice(top, min(n, top + lanes))
            x = grouped(pixels(stack, values[part].astype(np.float64)), 1, lanes)
            made = np.zeros((1, rows, side * lanes))
            out = np.zeros((2, 1, lanes))
            run(*shared, lanes, x, made, out[0], out[1])
            count = part.stop - part.start
            q[part] = np.moveaxis(made.reshape(rows, side, lanes), -1, 0)[:count]
            nngp[part], ntk[part] = out[:, 0, :count]

    list(pool().map(fill, range(0, groups, share)))  # A list, so that errors are raised.
    variances, row = [], 0
    for stage, count in enumerate(stack.convolutions):
        h = side >> stage
        v = q[:, row : row + count * h, :h].reshape(n, count, h, h)
        variances.append(np.ascontiguousarray(v))
        row += count * h
    return nngp, ntk, tuple(variances)


def _planes(stack: Stack, values: NDArray[Any]) -> Selves:
    n, side = values.shape[:2]
    step = batch(stack, side, n)
    parts = []
    with jax.enable_x64(True):
        for start in range(0, n, step):
            part = filled(values[start : start + step].astype(np.float64), step)
            made = planes.selves(stack, np.moveaxis(part, 0, -1))
            real = min(step, n - start)
            parts.append([np.asarray(leaf)[..., :real] for leaf in jax.tree.leaves(made)])
    nngp, ntk, *variances = (np.concatenate(p, axis=-1) for p in zip(*parts, strict=True))
    moved = tuple(np.ascontiguousarray(np.moveaxis(v, -1, 0)) for v in variances)
    return nngp, ntk, moved


def batch(stack: Stack, side: int, pairs: int) -> int:
    """How many of some pairs go through at once, a power of two: ``WORK`` entries at most."""
    entries = len(stack.offsets(0, side)) * side * side
    most = min(64, max(1, WORK // entries), pairs)
    return 1 << (most - 1).bit_length()


def filled(a: NDArray[Any], count: int) -> NDArray[Any]:
    """So many rows, by repeating the last, so that one program serves all."""
    return a if len(a) == count else a[np.minimum(np.arange(count), len(a) - 1)]
