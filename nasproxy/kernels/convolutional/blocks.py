"""Blocks of convolutional kernels: pairs of images shared out to Numba's threads, or to XLA."""

import math
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from nasproxy.kernels.convolutional import planes
from nasproxy.kernels.convolutional.images import Images, batch, filled
from nasproxy.kernels.convolutional.layout import arguments, grouped, pixels
from nasproxy.kernels.inputs import on_cpu
from nasproxy.threads import cores, pool

COLUMNS = 512
"""Images whose vectors are spread out for Numba at once."""
PARTS = 8
"""Tasks a thread, so that none waits long for the last."""


def engine() -> str:
    """``numba`` on a CPU where it is installed, otherwise ``xla``."""
    return "numba" if on_cpu() and find_spec("numba") else "xla"


def blocks(
    a: Images, b: Images | None, ntk: bool, dtype: str, by: str
) -> list[Float[np.ndarray, "n m"]]:
    """NNGP and, with ``ntk``, NTK of ``a`` with ``b``, or with itself; one pass gives both."""
    other = a if b is None else b
    out = [np.empty((len(a), len(other)), dtype) for _ in range(1 + ntk)]
    (_native if by == "numba" else _planes)(a, other, b is None, out, dtype)
    if b is None:
        lower = np.tril_indices(len(a), -1)
        for block, own in zip(out, (a.nngp, a.ntk), strict=False):
            block[lower] = block.T[lower]
            np.fill_diagonal(block, own)
    return out


def _native(a: Images, b: Images, half: bool, out: list[NDArray[Any]], dtype: str) -> None:
    from nasproxy.kernels.convolutional.native import programs

    ntk, lanes = len(out) == 2, programs.LANES[dtype]
    run = programs.rows(a.stack.activation, a.stack.layer_norm, dtype, ntk)
    shared = arguments(a.stack, a.values.shape[1], dtype)
    for left in range(0, len(b), COLUMNS):
        columns = b[left : left + COLUMNS]
        groups = math.ceil(len(columns) / lanes)
        sides = [grouped(v, groups, lanes) for v in _vectors(columns, dtype)]
        most = min(len(a), left + len(columns)) if half else len(a)
        step = max(1, math.ceil(most / (PARTS * cores())))

        def fill(
            top: int,
            left: int = left,
            most: int = most,
            step: int = step,
            sides: Any = sides,
            groups: int = groups,
            count: int = len(columns),
        ) -> None:
            rows = np.arange(top, min(top + step, most))
            first = np.maximum(rows - left, 0) // lanes if half else np.zeros_like(rows)
            found = [np.zeros((len(rows), groups, lanes), dtype) for _ in out]
            own = _vectors(a[top : top + len(rows)], dtype)
            made = found[0], found[1] if ntk else None
            run(*shared, lanes, *own, *sides, first.astype(np.int64), *made)
            for whole, part in zip(out, found, strict=True):
                whole[rows, left : left + count] = part.reshape(len(rows), -1)[:, :count]

        list(pool().map(fill, range(0, most, step)))  # A list, so that errors are raised.


def _vectors(x: Images, dtype: str) -> list[NDArray[Any]]:
    """Pixels, and (a, b) of variances, ``[n, convolution·row, column]``."""
    from nasproxy.kernels.convolutional.native.duals import vectors_of

    n, side = x.values.shape[:2]
    q = np.zeros((n, sum(v.shape[1] * v.shape[2] for v in x.variances), side))
    row = 0
    for v in x.variances:
        flat = v.reshape(n, -1, v.shape[3])
        q[:, row : row + flat.shape[1], : v.shape[3]] = flat
        row += flat.shape[1]
    made = (pixels(x.stack, x.values), *vectors_of(x.stack.activation, x.stack.layer_norm)(None, q))
    return [np.ascontiguousarray(v, dtype) for v in made]


def _planes(a: Images, b: Images, half: bool, out: list[NDArray[Any]], dtype: str) -> None:
    if half:
        i, j = np.triu_indices(len(a))
    else:
        i, j = (v.ravel() for v in np.indices((len(a), len(b))))
    step = batch(a.stack, a.values.shape[1], len(i))
    with jax.enable_x64(dtype == "float64"):
        for start in range(0, len(i), step):
            rows, columns = i[start : start + step], j[start : start + step]
            x, y = (
                jax.tree.map(
                    lambda v: np.moveaxis(filled(v, step), 0, -1).astype(dtype),
                    (part.values, part.variances),
                )
                for part in (a[rows], b[columns])
            )
            found = planes.pairs(a.stack, len(out) == 2, x[0], y[0], x[1], y[1])
            for whole, part in zip(out, found, strict=False):
                whole[rows, columns] = np.asarray(part)[: len(rows)]
