# pyright: reportPossiblyUnboundVariable=false, reportOptionalSubscript=false
# Numba prunes the branches that ``None`` rules out: what is of the NTK is unbound there only.
"""Programs of Numba that take images through all stages, offset by offset; kept on the disk.

K and Θ of ReLU are kept at twice their size; ``scale``, σ_w²/2 for ReLU and σ_w² for others, comes
in with the next mean. After a ReLU correlations are not negative, so only the first layer looks at
signs, by a ``mark`` of its own.
"""

import hashlib
import shutil
from collections.abc import Callable
from functools import cache
from inspect import unwrap
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numba import config, njit, types

from nasproxy.cache import cache_dir, make_folder
from nasproxy.kernels import dual_activations
from nasproxy.kernels.convolutional.native.duals import MARKS, NORMED
from nasproxy.kernels.convolutional.native.options import OPTIONS
from nasproxy.kernels.convolutional.native.planes import (
    inputs,
    layer,
    load,
    own_layer,
    pool,
    ring,
    spread,
    total,
)

LANES = {"float32": 64, "float64": 32}
"""Images that go through at once."""
_lock = Lock()


def _rows(
    begin, mark, counts, reach, scale, bias, lanes, xi, ri, si, xj, rj, sj, first, outk, outt
):
    """Rows ``[i]`` against groups of columns ``[g, …·lane]``, from the i-th's first on.

    Args:
        begin, mark: the activation of the first convolution and of the others.
        counts, reach: convolutions and largest offset of each stage.
        scale, bias: see above, and σ_b².
        lanes: of a group.
        xi, ri, si: inputs ``[i, channel·row, column]`` times σ_w/√channels; the vectors of their
            variances, ``[i, convolution·row, column]``.
        xj, rj, sj: of the columns, ``[g, …, column·lane]``.
        first: of each row, the first group that is wanted.
        outk, outt: ``[i, g, lane]``; ``outt`` None for the NNGP alone.
    """
    T, side = xi.dtype, xi.shape[2]
    one = T.type(1)
    channels, stages = xi.shape[1] // side, len(counts)
    A = np.zeros((side + 2, (side + 2) * lanes), T)
    B = np.zeros_like(A)
    V = np.zeros((2, (side + 2) * lanes), T)
    h2 = side // 2 if stages > 1 else 1
    h4 = side // 4 if stages > 2 else 1
    P = np.zeros((h2 * h2 * h2, h2 * lanes), T)
    Q = np.zeros((h4 * h4 * h4, h4 * lanes), T)
    if outt is None:
        TA, TB, TP, TQ = None, None, None, None
    else:
        TA, TB = np.zeros_like(A), np.zeros_like(A)
        TP, TQ = np.zeros_like(P), np.zeros_like(Q)
    for i in range(xi.shape[0]):
        x, ir, iq = spread(xi[i], lanes), spread(ri[i], lanes), spread(si[i], lanes)
        for g in range(first[i], xj.shape[0]):
            y, jr, jq = xj[g], rj[g], sj[g]
            ok = outk[i, g]
            ok[:] = 0
            above = 0
            h0 = side
            for stage in range(stages):
                half, last = h0 // 2, stage == stages - 1
                IK, OK = (P, Q) if stage % 2 else (Q, P)
                if not last:
                    OK[: half * half * half, : half * lanes] = 0
                if outt is not None:
                    ot = outt[i, g]
                    IT, OT = (TP, TQ) if stage % 2 else (TQ, TP)
                    if stage == 0:
                        ot[:] = 0
                    if not last:
                        OT[: half * half * half, : half * lanes] = 0
                most = min(reach[stage], h0 - 1)
                for d1 in range(-most, most + 1):
                    for d2 in range(-most, most + 1):
                        h, w = h0 - abs(d1), h0 - abs(d2)
                        r0, c0 = max(0, -d1), max(0, -d2)
                        r1, c1 = r0 + d1, c0 + d2
                        m = w * lanes
                        X, Y, TX, TY = A, B, TA, TB
                        ring(X, h, m, lanes)
                        ring(Y, h, m, lanes)
                        if outt is not None:
                            ring(TX, h, m, lanes)
                            ring(TY, h, m, lanes)
                        ic, jc = c0 * lanes, c1 * lanes
                        if stage == 0:
                            inputs(X, x, y, side, channels, r0, ic, r1, jc, h, m, lanes)
                        else:
                            row = ((d1 % h0) * h0 + d2 % h0) * h0 + r0
                            load(X, IK, row, h, m, lanes, ic)
                            if outt is not None:
                                load(TX, IT, row, h, m, lanes, ic)
                        for step in range(counts[stage]):
                            i0, j0 = above + step * h0 + r0, above + step * h0 + r1
                            if stage == 0 and step == 0:
                                layer(
                                    begin, X, None, Y, TY, V, h, m, lanes,
                                    ir, iq, jr, jq, i0, j0, ic, jc, one, bias,
                                )  # fmt: skip
                            else:
                                layer(
                                    mark, X, TX, Y, TY, V, h, m, lanes,
                                    ir, iq, jr, jq, i0, j0, ic, jc, scale, bias,
                                )  # fmt: skip
                            X, Y, TX, TY = Y, X, TY, TX
                        if last:
                            total(ok, X, h, w, lanes)
                            if outt is not None:
                                total(ot, TX, h, w, lanes)
                        else:
                            pool(OK, X, h, w, lanes, half, r0, c0, r1, c1)
                            if outt is not None:
                                pool(OT, TX, h, w, lanes, half, r0, c0, r1, c1)
                above += counts[stage] * h0
                h0 = half
            h0 = side >> (stages - 1)
            entries = h0 * h0 if reach[stages - 1] == 0 else h0 * h0 * h0 * h0
            share = scale / T.type(entries)
            for k in range(lanes):
                ok[k] = ok[k] * share + bias
                if outt is not None:
                    ot[k] = ot[k] * share + ok[k]


def _selves(begin, mark, counts, reach, scale, bias, lanes, xj, q, outk, outt):
    """Images with themselves, a lane each, in float64; both kernels.

    Plane d is plane −d with its pixels exchanged, so half of the planes serve.

    Args:
        begin, mark, counts, reach, scale, bias, lanes, xj: as for :func:`_rows`.
        q: variances after every convolution, ``[g, convolution·row, column·lane]``, written.
        outk, outt: ``[g, lane]``, written.
    """
    channels = xj.shape[1] * lanes // xj.shape[2]
    side, stages = xj.shape[2] // lanes, len(counts)
    A = np.zeros((side + 2, (side + 2) * lanes))
    B, TA, TB = np.zeros_like(A), np.zeros_like(A), np.zeros_like(A)
    V = np.zeros((2, (side + 2) * lanes))
    h2 = side // 2 if stages > 1 else 1
    h4 = side // 4 if stages > 2 else 1
    P = np.zeros((h2 * h2 * h2, h2 * lanes))
    Q = np.zeros((h4 * h4 * h4, h4 * lanes))
    TP, TQ = np.zeros_like(P), np.zeros_like(Q)
    r, s = np.zeros(q.shape[1:]), np.zeros(q.shape[1:])
    for g in range(len(xj)):
        ok, ot = outk[g], outt[g]
        ok[:] = 0
        ot[:] = 0
        above, h0 = 0, side
        for stage in range(stages):
            half, last = h0 // 2, stage == stages - 1
            IK, OK = (P, Q) if stage % 2 else (Q, P)
            IT, OT = (TP, TQ) if stage % 2 else (TQ, TP)
            if not last:
                OK[: half * half * half, : half * lanes] = 0
                OT[: half * half * half, : half * lanes] = 0
            most = min(reach[stage], h0 - 1)
            for d1 in range(most + 1):
                for d2 in range(-most if d1 else 0, most + 1):
                    itself = d1 == 0 and d2 == 0
                    h, w = h0 - d1, h0 - abs(d2)
                    c0 = max(0, -d2)
                    c1 = c0 + d2
                    m, ic, jc = w * lanes, c0 * lanes, c1 * lanes
                    X, Y, TX, TY = A, B, TA, TB
                    ring(X, h, m, lanes)
                    ring(Y, h, m, lanes)
                    ring(TX, h, m, lanes)
                    ring(TY, h, m, lanes)
                    if stage == 0:
                        inputs(X, xj[g], xj[g], side, channels, 0, ic, d1, jc, h, m, lanes)
                        TX[1 : h + 1, lanes : lanes + m] = 0
                    else:
                        row = (d1 * h0 + d2 % h0) * h0
                        load(X, IK, row, h, m, lanes, ic)
                        load(TX, IT, row, h, m, lanes, ic)
                    for step in range(counts[stage]):
                        i0 = above + step * h0
                        if stage == 0 and step == 0:
                            if itself:
                                own_layer(
                                    begin, X, TX, Y, TY, h, m, lanes, q[g], r, s, i0, 1.0, bias
                                )
                            else:
                                layer(
                                    begin, X, None, Y, TY, V, h, m, lanes,
                                    r, s, r, s, i0, i0 + d1, ic, jc, 1.0, bias,
                                )  # fmt: skip
                        elif itself:
                            own_layer(mark, X, TX, Y, TY, h, m, lanes, q[g], r, s, i0, scale, bias)
                        else:
                            layer(
                                mark, X, TX, Y, TY, V, h, m, lanes,
                                r, s, r, s, i0, i0 + d1, ic, jc, scale, bias,
                            )  # fmt: skip
                        X, Y, TX, TY = Y, X, TY, TX
                    p0, q0, p1, q1 = 0, c0, d1, c1
                    for _ in range(1 if itself else 2):
                        if last:
                            total(ok, X, h, w, lanes)
                            total(ot, TX, h, w, lanes)
                        else:
                            pool(OK, X, h, w, lanes, half, p0, q0, p1, q1)
                            pool(OT, TX, h, w, lanes, half, p0, q0, p1, q1)
                        p0, q0, p1, q1 = p1, q1, p0, q0  # What plane −d adds.
            above += counts[stage] * h0
            h0 = half
        h0 = side >> (stages - 1)
        entries = h0 * h0 if reach[stages - 1] == 0 else h0 * h0 * h0 * h0
        share = scale / entries
        for k in range(lanes):
            ok[k] = ok[k] * share + bias
            ot[k] = ot[k] * share + ok[k]


@cache
def _folder() -> Path:
    """Numba looks at a function's own file only, so the folder is named after all it is made of."""
    files = (*sorted(Path(__file__).parent.glob("*.py")), Path(dual_activations.__file__ or ""))
    sources = b"".join(file.read_bytes() for file in files)
    return cache_dir() / "convolutional" / hashlib.sha256(sources).hexdigest()[:16]


def _made(own: Callable[..., None], signature: Any) -> Callable[..., None]:
    """Machine code, kept in the cache."""
    folder, own = _folder(), unwrap(own)
    try:
        make_folder(folder)
    except OSError:  # Where nothing can be kept it is compiled each time.
        return njit(signature, **OPTIONS)(own)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)  # type: ignore[attr-defined]
    try:
        try:
            return njit(signature, cache=True, **OPTIONS)(own)
        except Exception:  # A file that was cut short raises whatever pickle does.
            shutil.rmtree(folder, ignore_errors=True)
            return njit(signature, cache=True, **OPTIONS)(own)
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]


def marks(activation: str, normed: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the first convolution, whose inputs have any sign, and of the others."""
    longer = (0,) * NORMED if normed else ()
    first = "relu_signed" if activation == "relu" else activation
    return longer + MARKS[first], longer + MARKS[activation]


def _arguments(activation: str, normed: bool, T: Any) -> list[Any]:
    begin, mark = (types.UniTuple(types.int64, len(m)) for m in marks(activation, normed))
    whole = types.Array(types.int64, 1, "C")
    return [begin, mark, whole, whole, T, T, types.int64]


@cache
def _compiled(activation: str, normed: bool, dtype: str, ntk: bool) -> Callable[..., None]:
    T = types.float32 if dtype == "float32" else types.float64
    three, whole = types.Array(T, 3, "C"), types.Array(types.int64, 1, "C")
    sides = [three] * 6
    outs = [three, three if ntk else types.none]
    return _made(_rows, types.void(*_arguments(activation, normed, T), *sides, whole, *outs))


@cache
def _compiled_selves(activation: str, normed: bool) -> Callable[..., None]:
    T = types.float64
    three, two = types.Array(T, 3, "C"), types.Array(T, 2, "C")
    return _made(_selves, types.void(*_arguments(activation, normed, T), three, three, two, two))


def rows(activation: str, normed: bool, dtype: str, ntk: bool) -> Callable[..., None]:
    """:func:`_rows` as machine code, of both kernels or the NNGP alone; any thread may ask."""
    with _lock:
        return _compiled(activation, normed, dtype, ntk)


def selves(activation: str, normed: bool) -> Callable[..., None]:
    """:func:`_selves` as machine code."""
    with _lock:
        return _compiled_selves(activation, normed)
