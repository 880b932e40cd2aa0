"""What is done to one plane, or to a group's: convolutions, pools, sums."""

import numpy as np

from nasproxy.kernels.convolutional.native.duals import dual, own, vectors
from nasproxy.kernels.convolutional.native.options import helper


@helper
def layer(mark, k0, t0, k1, t1, v, h, m, lanes, ri, si, rj, sj, i0, j0, ic, jc, scale, bias):
    """A convolution and a nonlinearity, from (k0, t0) to (k1, t1).

    Without ``t1`` of the NNGP alone; without ``t0`` and with ``t1``, of inputs, whose Θ is 0.
    """
    T = k0.dtype.type
    n = m + 2 * lanes
    vv, v0, v1, v2 = v[0, :n], v[0, :m], v[0, lanes : lanes + m], v[0, 2 * lanes : n]
    ww, w0, w1, w2 = v[1, :n], v[1, :m], v[1, lanes : lanes + m], v[1, 2 * lanes : n]
    ninth = T(scale / T(9))
    for r in range(h):
        a, b, c = k0[r, :n], k0[r + 1, :n], k0[r + 2, :n]
        for k in range(n):
            vv[k] = a[k] + b[k] + c[k]
        o = k1[r + 1, lanes : lanes + m]
        x, y = ri[i0 + r, ic : ic + m], rj[j0 + r, jc : jc + m]
        p, q = si[i0 + r, ic : ic + m], sj[j0 + r, jc : jc + m]
        if t1 is None:
            for k in range(m):
                s = (v0[k] + v1[k] + v2[k]) * ninth + bias
                o[k], _ = dual(mark, s, x[k] * y[k], p[k] * q[k])
        else:
            ot = t1[r + 1, lanes : lanes + m]
            if t0 is None:
                for k in range(m):
                    s = (v0[k] + v1[k] + v2[k]) * ninth + bias
                    o[k], gain = dual(mark, s, x[k] * y[k], p[k] * q[k])
                    ot[k] = s * gain
            else:
                a, b, c = t0[r, :n], t0[r + 1, :n], t0[r + 2, :n]
                for k in range(n):
                    ww[k] = a[k] + b[k] + c[k]
                for k in range(m):
                    s = (v0[k] + v1[k] + v2[k]) * ninth + bias
                    o[k], gain = dual(mark, s, x[k] * y[k], p[k] * q[k])
                    ot[k] = ((w0[k] + w1[k] + w2[k]) * ninth + s) * gain


@helper
def own_layer(mark, k0, t0, k1, t1, h, m, lanes, variances, r, s, at, scale, bias):
    """:func:`layer` of pixels with themselves; variances and their vectors are written at a row."""
    ninth = scale / 9
    for row in range(h):
        for k in range(m):
            mean = k0[row, k] + k0[row + 1, k] + k0[row + 2, k]
            tangent = t0[row, k] + t0[row + 1, k] + t0[row + 2, k]
            for c in range(1, 3):
                e = k + c * lanes
                mean += k0[row, e] + k0[row + 1, e] + k0[row + 2, e]
                tangent += t0[row, e] + t0[row + 1, e] + t0[row + 2, e]
            q = mean * ninth + bias
            x, p = vectors(mark, q)
            variances[at + row, k] = q
            r[at + row, k] = x
            s[at + row, k] = p
            k1[row + 1, lanes + k], gain = own(mark, q, x * x, p * p)
            t1[row + 1, lanes + k] = (tangent * ninth + q) * gain


@helper
def ring(a, h, m, lanes):
    n = m + 2 * lanes
    a[0, :n] = 0
    a[h + 1, :n] = 0
    for r in range(1, h + 1):
        a[r, :lanes] = 0
        a[r, m + lanes : n] = 0


@helper
def load(a, pooled, row, h, m, lanes, c0):
    for r in range(h):
        to, of = a[r + 1, lanes : lanes + m], pooled[row + r, c0 : c0 + m]
        for k in range(m):
            to[k] = of[k]


@helper
def pool(pooled, a, h, w, lanes, half, r0, c0, r1, c1):
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


@helper
def total(out, a, h, w, lanes):
    for r in range(h):
        for c in range(w):
            y = a[r + 1, (c + 1) * lanes : (c + 2) * lanes]
            for k in range(lanes):
                out[k] += y[k]


@helper
def inputs(a, xi, xj, side, channels, r0, c0, r1, c1, h, m, lanes):
    for r in range(h):
        to = a[r + 1, lanes : lanes + m]
        to[:] = 0
        for c in range(channels):
            x = xi[c * side + r0 + r, c0 : c0 + m]
            y = xj[c * side + r1 + r, c1 : c1 + m]
            for k in range(m):
                to[k] += x[k] * y[k]


@helper
def spread(a, lanes):
    rows, width = a.shape
    b = np.empty((rows, width * lanes), a.dtype)
    for r in range(rows):
        for c in range(width):
            b[r, c * lanes : (c + 1) * lanes] = a[r, c]
    return b
