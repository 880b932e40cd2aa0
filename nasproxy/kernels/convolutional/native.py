# pyright: reportPossiblyUnboundVariable=false, reportOptionalSubscript=false
# Numba prunes the branches that ``None`` rules out: what is of the NTK is unbound there only.
"""ReLU networks' planes on a CPU, in Numba: one image against a vector's worth of others.

Arrays are ``[row, column·lane]``: a shift by a pixel is one by ``lanes``, and inner loops run over
pairs and columns alike. A plane lies in a ring of zeros, which is the padding. K and Θ are kept at
twice their size after a ReLU; ``scale`` = σ_w²/2 comes in with the next mean.

What the speed hangs on: no index arithmetic within the inner loops (slices are taken before), work
arrays made once a thread, and no division, arc cosine or branch an entry. After a ReLU correlations
are not negative, so only the first layer looks at signs.
"""

import hashlib
import math
import shutil
from collections.abc import Callable
from functools import cache
from inspect import unwrap
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic

from nasproxy.cache import cache_dir, make_folder
from nasproxy.kernels import dual_activations

DEGREES = {"float32": 7, "float64": 16}
"""Of the polynomials; further terms are below the dtype's rounding."""
LANES = {"float32": 64, "float64": 32}
_OPTIONS: Any = {"fastmath": True, "error_model": "numpy", "nogil": True}
_lock = Lock()


def _helper(function: Callable[..., Any]) -> Any:
    # Tests wrap every function to check its arguments; Numba needs what is in the wrapping.
    return njit(**_OPTIONS)(unwrap(function))


def _polynomial(which: int) -> Any:
    def polynomial(context: Any, y: Any) -> Any:
        found = dual_activations.arc_polynomials(DEGREES[y.name])[which]

        def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
            terms = [context.get_constant(y, float(c * 2 / np.pi)) for c in found]
            value = terms[-1]
            for term in terms[-2::-1]:
                value = b.fadd(b.fmul(value, args[0]), term)
            return value

        return y(y), code

    return intrinsic(unwrap(polynomial))


_angle, _excess = _polynomial(0), _polynomial(1)


@_helper
def _first(k0, k1, t1, v, h, m, lanes, ri, si, rj, sj, i0, j0, ic, jc, bias):
    """The layer of inputs, whose correlations may be negative."""
    T = k0.dtype.type
    n = m + 2 * lanes
    vv, v0, v1, v2 = v[0, :n], v[0, :m], v[0, lanes : lanes + m], v[0, 2 * lanes : n]
    zero, half, one, four, ninth = T(0), T(0.5), T(1), T(4), T(1 / 9)
    for r in range(h):
        a, b, c = k0[r, :n], k0[r + 1, :n], k0[r + 2, :n]
        for k in range(n):
            vv[k] = a[k] + b[k] + c[k]
        o = k1[r + 1, lanes : lanes + m]
        x, y = ri[i0 + r, ic : ic + m], rj[j0 + r, jc : jc + m]
        p, q = si[i0 + r, ic : ic + m], sj[j0 + r, jc : jc + m]
        for k in range(m):
            c0 = ((v0[k] + v1[k] + v2[k]) * ninth + bias) * (x[k] * y[k])
            z = max(half - half * abs(c0), zero)
            u = math.sqrt(z)
            o[k] = (p[k] * q[k]) * (max(c0, zero) + u * z * _excess(four * z - one))
        if t1 is not None:
            ot = t1[r + 1, lanes : lanes + m]
            for k in range(m):
                s = (v0[k] + v1[k] + v2[k]) * ninth + bias
                c0 = s * (x[k] * y[k])
                z = max(half - half * abs(c0), zero)
                w = math.sqrt(z) * _angle(four * z - one)
                ot[k] = s * (w if c0 < zero else one - w)


@_helper
def _layer(k0, t0, k1, t1, v, h, m, lanes, ri, si, rj, sj, i0, j0, ic, jc, scale, bias):
    T = k0.dtype.type
    n = m + 2 * lanes
    vv, v0, v1, v2 = v[0, :n], v[0, :m], v[0, lanes : lanes + m], v[0, 2 * lanes : n]
    ww, w0, w1, w2 = v[1, :n], v[1, :m], v[1, lanes : lanes + m], v[1, 2 * lanes : n]
    zero, half, one, four, ninth = T(0), T(0.5), T(1), T(4), T(scale / T(9))
    for r in range(h):
        a, b, c = k0[r, :n], k0[r + 1, :n], k0[r + 2, :n]
        for k in range(n):
            vv[k] = a[k] + b[k] + c[k]
        o = k1[r + 1, lanes : lanes + m]
        x, y = ri[i0 + r, ic : ic + m], rj[j0 + r, jc : jc + m]
        p, q = si[i0 + r, ic : ic + m], sj[j0 + r, jc : jc + m]
        if t0 is None:
            for k in range(m):
                s = (v0[k] + v1[k] + v2[k]) * ninth + bias
                z = max(half - half * s * (x[k] * y[k]), zero)
                o[k] = s + (p[k] * q[k]) * (math.sqrt(z) * z * _excess(four * z - one))
        else:
            a, b, c = t0[r, :n], t0[r + 1, :n], t0[r + 2, :n]
            ot = t1[r + 1, lanes : lanes + m]
            for k in range(n):
                ww[k] = a[k] + b[k] + c[k]
            for k in range(m):
                s = (v0[k] + v1[k] + v2[k]) * ninth + bias
                z = max(half - half * s * (x[k] * y[k]), zero)
                u = math.sqrt(z)
                f = four * z - one
                o[k] = s + (p[k] * q[k]) * (u * z * _excess(f))
                ot[k] = ((w0[k] + w1[k] + w2[k]) * ninth + s) * (one - u * _angle(f))


@_helper
def _ring(a, h, m, lanes):
    n = m + 2 * lanes
    a[0, :n] = 0
    a[h + 1, :n] = 0
    for r in range(1, h + 1):
        a[r, :lanes] = 0
        a[r, m + lanes : n] = 0


@_helper
def _load(a, pooled, row, h, m, lanes, c0):
    for r in range(h):
        to, of = a[r + 1, lanes : lanes + m], pooled[row + r, c0 : c0 + m]
        for k in range(m):
            to[k] = of[k]


@_helper
def _pool(pooled, a, h, w, lanes, half, r0, c0, r1, c1):
    """Adds a plane to those of half its side: entry (p, p') to (p // 2, p' // 2)."""
    share = a.dtype.type(1 / 16)
    for r in range(h):
        p = (r0 + r) >> 1
        d = (((r1 + r) >> 1) - p) % half
        of = a[r + 1]
        for c in range(w):
            q = (c0 + c) >> 1
            e = (((c1 + c) >> 1) - q) % half
            x = pooled[(d * half + e) * half + p, q * lanes : (q + 1) * lanes]
            y = of[(c + 1) * lanes : (c + 2) * lanes]
            for k in range(lanes):
                x[k] += y[k] * share


@_helper
def _total(out, a, h, w, lanes):
    for r in range(h):
        for c in range(w):
            y = a[r + 1, (c + 1) * lanes : (c + 2) * lanes]
            for k in range(lanes):
                out[k] += y[k]


@_helper
def _inputs(a, xi, xj, side, channels, r0, c0, r1, c1, h, m, lanes):
    for r in range(h):
        to = a[r + 1, lanes : lanes + m]
        to[:] = 0
        for c in range(channels):
            x = xi[c * side + r0 + r, c0 : c0 + m]
            y = xj[c * side + r1 + r, c1 : c1 + m]
            for k in range(m):
                to[k] += x[k] * y[k]


@_helper
def _spread(a, lanes):
    rows, width = a.shape
    b = np.empty((rows, width * lanes), a.dtype)
    for r in range(rows):
        for c in range(width):
            b[r, c * lanes : (c + 1) * lanes] = a[r, c]
    return b


def _rows(counts, reach, scale, bias, lanes, xi, ri, si, xj, rj, sj, first, outk, outt):
    """Rows ``[i]`` against groups of columns ``[g, …·lane]``, from the i-th's first on.

    Args:
        counts, reach: convolutions and largest offset of each stage.
        scale, bias: σ_w²/2 and σ_b².
        lanes: of a group.
        xi, ri, si: inputs ``[i, channel·row, column]`` times σ_w/√channels; 1/√q and √q of the
            variances q, ``[i, convolution·row, column]``.
        xj, rj, sj: of the columns, ``[g, …, column·lane]``.
        first: of each row, the first group that is wanted.
        outk, outt: ``[i, g, lane]``; ``outt`` None for the NNGP alone.
    """
    T, side = xi.dtype, xi.shape[2]
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
        x, ir, js = _spread(xi[i], lanes), _spread(ri[i], lanes), _spread(si[i], lanes)
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
                        X, Y = A, B
                        _ring(X, h, m, lanes)
                        _ring(Y, h, m, lanes)
                        if outt is not None:
                            TX, TY = TA, TB
                            _ring(TX, h, m, lanes)
                            _ring(TY, h, m, lanes)
                        ic, jc = c0 * lanes, c1 * lanes
                        if stage == 0:
                            _inputs(X, x, y, side, channels, r0, ic, r1, jc, h, m, lanes)
                        else:
                            row = ((d1 % h0) * h0 + d2 % h0) * h0 + r0
                            _load(X, IK, row, h, m, lanes, ic)
                            if outt is not None:
                                _load(TX, IT, row, h, m, lanes, ic)
                        for layer in range(counts[stage]):
                            i0, j0 = above + layer * h0 + r0, above + layer * h0 + r1
                            if outt is None:
                                if stage == 0 and layer == 0:
                                    _first(
                                        X, Y, None, V, h, m, lanes,
                                        ir, js, jr, jq, i0, j0, ic, jc, bias,
                                    )  # fmt: skip
                                else:
                                    _layer(
                                        X, None, Y, None, V, h, m, lanes,
                                        ir, js, jr, jq, i0, j0, ic, jc, scale, bias,
                                    )  # fmt: skip
                            else:
                                if stage == 0 and layer == 0:
                                    _first(
                                        X, Y, TY, V, h, m, lanes,
                                        ir, js, jr, jq, i0, j0, ic, jc, bias,
                                    )  # fmt: skip
                                else:
                                    _layer(
                                        X, TX, Y, TY, V, h, m, lanes,
                                        ir, js, jr, jq, i0, j0, ic, jc, scale, bias,
                                    )  # fmt: skip
                                TX, TY = TY, TX
                            X, Y = Y, X
                        if last:
                            _total(ok, X, h, w, lanes)
                            if outt is not None:
                                _total(ot, TX, h, w, lanes)
                        else:
                            _pool(OK, X, h, w, lanes, half, r0, c0, r1, c1)
                            if outt is not None:
                                _pool(OT, TX, h, w, lanes, half, r0, c0, r1, c1)
                above += counts[stage] * h0
                h0 = half
            h0 = side >> (stages - 1)
            entries = h0 * h0 if reach[stages - 1] == 0 else h0 * h0 * h0 * h0
            share = scale / T.type(entries)
            for k in range(lanes):
                ok[k] = ok[k] * share + bias
                if outt is not None:
                    ot[k] = ot[k] * share + ok[k]


@cache
def _folder() -> Path:
    """Numba looks at a function's own file only, so the folder is named after all it is made of."""
    files = (Path(__file__), Path(dual_activations.__file__ or ""))
    sources = b"".join(file.read_bytes() for file in files)
    return cache_dir() / "convolutional" / hashlib.sha256(sources).hexdigest()[:16]


@cache
def _compiled(dtype: str, ntk: bool) -> Callable[..., None]:
    """The machine code of a dtype, of both kernels or of the NNGP alone, kept in the cache."""
    T = types.float32 if dtype == "float32" else types.float64
    three, out = types.Array(T, 3, "C"), types.Array(T, 3, "C")
    whole = types.Array(types.int64, 1, "C")
    signature = types.void(
        whole, whole, T, T, types.int64, *[three] * 6, whole, out, out if ntk else types.none
    )
    folder, own = _folder(), unwrap(_rows)
    try:
        make_folder(folder)
    except OSError:  # Where nothing can be kept it is compiled each time.
        return njit(signature, **_OPTIONS)(own)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)  # type: ignore[attr-defined]
    try:
        try:
            return njit(signature, cache=True, **_OPTIONS)(own)
        except Exception:  # A file that was cut short raises whatever pickle does.
            shutil.rmtree(folder, ignore_errors=True)
            return njit(signature, cache=True, **_OPTIONS)(own)
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]


def rows(dtype: str, ntk: bool) -> Callable[..., None]:
    """:func:`_rows` as machine code; any thread may ask for it."""
    with _lock:
        return _compiled(dtype, ntk)
