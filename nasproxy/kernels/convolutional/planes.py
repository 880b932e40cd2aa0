"""All offset planes of many pairs of images at once, in XLA.

Arrays are ``[d, row, column, pair]``. Entry p of plane d pairs pixel p with p + d, circularly, so
that all planes have one size; the filter is cut where p + d wraps. A nonlinearity φ takes K to
E[φφ'] and Θ to Θ·E[φ̇φ̇']; a convolution takes K to σ_w²·A(K) + σ_b², A the mean over 3×3 with
zeros outside, and Θ to σ_w²·A(Θ) + K.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from nasproxy.kernels.dual_activations import arc_polynomials, horner


class Stack(NamedTuple):
    """A network of 3×3 convolutions, each with a nonlinearity, and 2×2 pools between stages.

    Attributes:
        convolutions: of each stage.
        flat: whether the last stage's pixels are read one by one; otherwise their mean is.
        activation: φ.
        weight_variance, bias_variance: σ_w² and σ_b².
        layer_norm: whether each convolution's channels are normalised, pixel by pixel.
    """

    convolutions: tuple[int, ...]
    flat: bool
    activation: str
    weight_variance: float
    bias_variance: float
    layer_norm: bool = False

    def reach(self, stage: int, side: int) -> int:
        """The largest offset that the readout depends on, in a stage of so many rows."""
        later = len(self.convolutions) - 1 - stage
        return min(2**later - 1, side - 1) if self.flat else side - 1

    def entries(self, side: int) -> int:
        """Entries of all layers of a pair: of each offset, pixels that have a partner."""
        total = 0
        for stage, count in enumerate(self.convolutions):
            h = side >> stage
            reach = self.reach(stage, h)
            total += count * sum(h - abs(d) for d in range(-reach, reach + 1)) ** 2
        return total

    def offsets(self, stage: int, side: int) -> np.ndarray:
        """Offsets modulo the side that a stage needs, ``[d, 2]``, (0, 0) first."""
        reach = self.reach(stage, side)
        one = sorted({d % side for d in range(-reach, reach + 1)})
        return np.array([(a, b) for a in one for b in one])


def relu(s: Array, qi: Array, qj: Array, same: bool) -> tuple[Array, Array]:
    roots = jnp.sqrt(qi) * jnp.sqrt(qj)
    c = jnp.where(roots > 0, s / jnp.where(roots > 0, roots, 1), 0)
    z = jnp.maximum(0.5 - 0.5 * jnp.abs(c), 0)
    if same:  # Plane (0, 0) is of pixels with themselves.
        z = z.at[0].set(0)
    p, g = arc_polynomials(16 if s.dtype == jnp.float64 else 7)
    u, y = jnp.sqrt(z) * (2 / np.pi), 4 * z - 1
    angle, excess = u * horner(p, y), u * z * horner(g, y)
    found = roots * (jnp.maximum(c, 0) + excess)
    if same:
        found = found.at[0].set(qi[0])
    return found / 2, jnp.where(c < 0, angle, 1 - angle) / 2


def erf(s: Array, qi: Array, qj: Array, same: bool) -> tuple[Array, Array]:
    product = (1 + 2 * qi) * (1 + 2 * qj)
    root = jnp.sqrt(jnp.maximum(product - 4 * s**2, 1))  # At least 1, by Cauchy and Schwarz.
    return 2 / np.pi * jnp.arctan2(2 * s, root), 4 / np.pi / root


def gelu(s: Array, qi: Array, qj: Array, same: bool) -> tuple[Array, Array]:
    """z·Φ(z), Tsuchida et al. 2020."""
    product = (1 + qi) * (1 + qj)
    squared = jnp.maximum(product - s**2, 1)
    root = jnp.sqrt(squared)
    angle = jnp.arctan2(s, root)
    found = s / 4 + (s * angle + (s**2 + qi * qj * squared) / (product * root)) / (2 * np.pi)
    rest = (1 / squared + (1 - qi * qj) / product + 1) * s / root
    return found, 0.25 + (angle + rest) / (2 * np.pi)


def exponential(s: Array, qi: Array, qj: Array, same: bool) -> tuple[Array, Array]:
    """√(qq')·exp(c − 1), Shankar et al. 2020's, normalised to keep variances."""
    roots = jnp.sqrt(qi) * jnp.sqrt(qj)
    c = jnp.where(roots > 0, s / jnp.where(roots > 0, roots, 1), 0)
    gain = jnp.exp(jnp.minimum(c, 1) - 1)
    return roots * gain, gain


ACTIVATIONS = {"relu": relu, "erf": erf, "gelu": gelu, "exponential": exponential}


@partial(jax.jit, static_argnums=(0, 1))
def pairs(
    stack: Stack,
    ntk: bool,
    a: Float[Array, "h h c b"],
    b: Float[Array, "h h c b"],
    qa: Sequence[Array],
    qb: Sequence[Array],
) -> tuple[Array, Array]:
    """NNGP and NTK of pairs, ``[b]`` each, given variances after each convolution, by stage.

    Variances are ``[convolutions, row, column, b]``. Without ``ntk`` the second is zeros.
    """
    k, t, _ = _forward(stack, ntk, a, b, qa, qb)
    return k, t


@partial(jax.jit, static_argnums=0)
def selves(stack: Stack, x: Float[Array, "h h c b"]) -> tuple[Array, Array, tuple[Array, ...]]:
    """NNGP and NTK of images with themselves, and their variances after each convolution."""
    return _forward(stack, True, x, x, None, None)


def _forward(
    stack: Stack, ntk: bool, a: Array, b: Array, qa: Any, qb: Any
) -> tuple[Array, Array, tuple[Array, ...]]:
    same = qa is None
    weight, bias = stack.weight_variance, stack.bias_variance
    phi = ACTIVATIONS[stack.activation]
    side, channels = a.shape[0], a.shape[2]
    offsets = stack.offsets(0, side)
    partner = _partner(side, _key(offsets))
    k = (a[None] * b[partner]).sum(3) / channels
    t = jnp.zeros_like(k)
    kept = []
    for stage, count in enumerate(stack.convolutions):
        own = []
        masks = [jnp.asarray(m, k.dtype) for m in _masks(side, _key(offsets))]
        for layer in range(count):
            s = weight * _mean(k, masks) + bias
            u = weight * _mean(t, masks) + s
            qi = s[0] if same else qa[stage][layer]
            qj = qi if same else qb[stage][layer]
            own.append(qi)
            one, other = jnp.broadcast_to(qi[None], s.shape), qj[partner]
            factor = _inverse(one) * _inverse(other) if stack.layer_norm else None
            if factor is not None:
                one, other = (jnp.where(q > 0, 1, q) for q in (one, other))
                s, u = factor * s, factor * u
            k, slope = phi(s, one, other, same)
            if factor is not None:
                k = jnp.where(factor > 0, k, 0)
            t = slope * u if ntk else t
        kept.append(jnp.stack(own))
        if stage < len(stack.convolutions) - 1:
            coarse = stack.offsets(stage + 1, side // 2)
            index = _sources(side, _key(offsets), _key(coarse))
            k, t = _pool(k, index), _pool(t, index) if ntk else jnp.zeros((), k.dtype)
            side, offsets = side // 2, coarse
            t = t if ntk else jnp.zeros_like(k)
            partner = _partner(side, _key(offsets))
    k = weight * k.mean((0, 1, 2)) + bias
    t = weight * t.mean((0, 1, 2)) + k if ntk else jnp.zeros_like(k)
    return k, t, tuple(kept)


def _inverse(q: Array) -> Array:
    """1/√q, 0 where q is 0."""
    return jnp.where(q > 0, 1 / jnp.sqrt(jnp.where(q > 0, q, 1)), 0)


def _mean(k: Array, masks: list[Array]) -> Array:
    up, down, left, right = masks
    k = k + up[:, :, None, None] * jnp.roll(k, -1, 1) + down[:, :, None, None] * jnp.roll(k, 1, 1)
    left, right = left[:, None, :, None], right[:, None, :, None]
    k = k + left * jnp.roll(k, -1, 2) + right * jnp.roll(k, 1, 2)
    return k / 9


def _pool(k: Array, index: np.ndarray) -> Array:
    flat = k.reshape(-1, k.shape[-1])
    total = flat[index[0]]
    for part in index[1:]:
        total = total + flat[part]
    return total / 16


def _key(offsets: np.ndarray) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in offsets)


@cache
def _partner(side: int, offsets: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of p + d, ``[d, row, column]``."""
    d, p = np.array(offsets, np.int32), np.arange(side, dtype=np.int32)
    rows, columns = (d[:, :1] + p) % side, (d[:, 1:] + p) % side
    shape = (len(d), side, side)
    return (
        np.broadcast_to(rows[:, :, None], shape).copy(),
        np.broadcast_to(columns[:, None], shape).copy(),
    )


@cache
def _masks(side: int, offsets: tuple[tuple[int, int], ...]) -> list[np.ndarray]:
    """Whether a row has the next and the last, of both its pixels, and likewise columns."""
    found, p = [], np.arange(side)
    for axis in (0, 1):
        q = (np.array(offsets)[:, axis, None] + p) % side
        found += [(p < side - 1) & (q < side - 1), (p > 0) & (q > 0)]
    return found


@cache
def _sources(
    side: int, fine: tuple[tuple[int, int], ...], coarse: tuple[tuple[int, int], ...]
) -> np.ndarray:
    """Flat indices of the 16 entries that each pooled entry is the mean of, ``[16, D, P, P]``."""
    at = np.full((side, side), -1)
    for number, (d1, d2) in enumerate(fine):
        at[d1, d2] = number
    half = side // 2
    p, partner = np.arange(half), _partner(half, coarse)
    found = []
    for a1, a2, b1, b2 in np.ndindex(2, 2, 2, 2):
        rows, columns = (2 * p + a1)[None, :, None], (2 * p + a2)[None, None]
        plane = at[(2 * partner[0] + b1 - rows) % side, (2 * partner[1] + b2 - columns) % side]
        assert (plane >= 0).all()
        found.append((plane * side + rows) * side + columns)
    return np.stack(found).astype(np.int32)
