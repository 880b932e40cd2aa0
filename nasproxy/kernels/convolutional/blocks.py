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
from nasproxy.kernels.inputs import on_cpu
from nasproxy.threads import cores, pool

COLUMNS = 512
"""Images whose vectors are spread out for Numba at once."""
PARTS = 8
"""Tasks a thread, so that none waits long for the last."""


def engine(activation: str) -> str:
    """``numba`` for ReLU on a CPU where it is installed, otherwise ``xla``."""
    return "numba" if activation == "relu" and on_cpu() and find_spec("numba") else "xla"


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
    from nasproxy.kernels.convolutional import native

    ntk, lanes = len(out) == 2, native.LANES[dtype]
    run = native.rows(dtype, ntk)
    stack, side = a.stack, a.values.shape[1]
    counts = np.array(stack.convolutions, np.int64)
    reach = np.array([stack.reach(s, side >> s) for s in range(len(counts))], np.int64)
    T = np.dtype(dtype).type
    scale, bias = T(stack.weight_variance / 2), T(stack.bias_variance)
    for left in range(0, len(b), COLUMNS):
        columns = b[left : left + COLUMNS]
        groups = math.ceil(len(columns) / lanes)
        xj, rj, sj = (_grouped(v, groups, lanes) for v in _vectors(columns, dtype))
        most = min(len(a), left + len(columns)) if half else len(a)
        step = max(1, math.ceil(most / (PARTS * cores())))

        def fill(
            top: int,
            left: int = left,
            most: int = most,
            step: int = step,
            sides: Any = (xj, rj, sj),
            groups: int = groups,
            count: int = len(columns),
        ) -> None:
            rows = np.arange(top, min(top + step, most))
            first = np.maximum(rows - left, 0) // lanes if half else np.zeros_like(rows)
            found = [np.zeros((len(rows), groups, lanes), dtype) for _ in out]
            own = _vectors(a[top : top + len(rows)], dtype)
            run(
                counts, reach, scale, bias, lanes, *own, *sides, first.astype(np.int64),
                found[0], found[1] if ntk else None,
            )  # fmt: skip
            for whole, part in zip(out, found, strict=True):
                whole[rows, left : left + count] = part.reshape(len(rows), -1)[:, :count]

        list(pool().map(fill, range(0, most, step)))  # A list, so that errors are raised.


def _vectors(x: Images, dtype: str) -> list[NDArray[Any]]:
    """Inputs times σ_w/√channels, 1/√q and √q, ``[n, channel or convolution·row, column]``."""
    n, side, _, channels = x.values.shape
    factor = math.sqrt(x.stack.weight_variance / channels)
    values = np.moveaxis(x.values * factor, -1, 1).reshape(n, channels * side, side)
    roots = np.zeros((n, sum(v.shape[1] * v.shape[2] for v in x.variances), side))
    row = 0
    for v in x.variances:
        flat = v.reshape(n, -1, v.shape[3])
        roots[:, row : row + flat.shape[1], : v.shape[3]] = np.sqrt(flat)
        row += flat.shape[1]
    inverse = np.divide(1, roots, out=np.zeros_like(roots), where=roots > 0)
    return [np.ascontiguousarray(v, dtype) for v in (values, inverse, roots)]


def _grouped(v: NDArray[Any], groups: int, lanes: int) -> NDArray[Any]:
    """``[n, row, column]`` as ``[group, row, column·lane]``, zeros after the last."""
    n, rows, width = v.shape
    full = np.zeros((groups * lanes, rows, width), v.dtype)
    full[:n] = v
    moved = np.moveaxis(full.reshape(groups, lanes, rows, width), 1, 3)
    return np.ascontiguousarray(moved).reshape(groups, rows, width * lanes)


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
