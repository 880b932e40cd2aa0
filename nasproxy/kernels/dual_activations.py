"""What a nonlinearity does to the kernel of its inputs: dual activations (Daniely et al. 2016).

Correlations C of deep kernels crowd near 1, where float32 keeps nothing of 1 − C and the angle
arccos C has lost half of its digits. So they are carried as **deficits** w: 1 − C where C ≥ 0, and
−(1 − |C|) where C < 0, so that both ends keep all digits. A layer's map is written in deficits, and
what it takes from its two inputs alone comes in as vectors made in float64.
"""

from functools import cache
from typing import NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from numpy.polynomial import chebyshev, polynomial


class Dual(NamedTuple):
    """After a nonlinearity φ.

    Attributes:
        deficit: of the correlation E[φφ'] / √(E[φ²] E[φ'²]).
        gain: E[φ̇φ̇'] · √(E[z²] E[z'²]) / √(E[φ²] E[φ'²]), by which a normalised tangent kernel is
            multiplied.
    """

    deficit: Float[Array, "n m"]
    gain: Float[Array, "n m"]


class DualActivation(Protocol):
    """What a nonlinearity makes of Gaussian inputs z, of variance q."""

    positive: bool
    """Whether correlations after it are never negative."""

    def variance(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """E[φ²]."""
        ...

    def gain(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The gain of an input with itself."""
        ...

    def vectors(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, "k n"]:
        """What :meth:`dual` needs of each input; the last entry is a reference.

        Differences between inputs are formed from what is stored less the reference, so that
        float32 keeps their digits.
        """
        ...

    def dual(
        self,
        w: Float[Array, "n m"],
        rows: Float[Array, "k n 1"],
        columns: Float[Array, "k 1 m"],
        *,
        positive: bool,
    ) -> Dual:
        """The map of deficits, given vectors of the rows' inputs and of the columns'.

        With ``positive``, all deficits are known to be of positive correlations.
        """
        ...


class ReLU:
    """max(z, 0): the arc-cosine kernels of degree 0 and 1 (Cho and Saul 2009).

    With t the angle to the nearer pole, sin(t/2)² = |w|/2 =: z. Then t/2 = √z·p(z) and
    sin t − t cos t = 2 z^{3/2}·g(z) for two functions that are analytic on [0, 1/2]: polynomials
    replace both, to the dtype's accuracy and without cancellation.
    """

    positive = True

    def variance(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return q / 2

    def gain(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.ones_like(q)

    def vectors(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, "k n"]:
        return np.empty((0, *q.shape))

    def dual(
        self,
        w: Float[Array, "n m"],
        rows: Float[Array, "k n 1"],
        columns: Float[Array, "k 1 m"],
        *,
        positive: bool,
    ) -> Dual:
        size = w if positive else jnp.abs(w)
        z, y = size / 2, 2 * size - 1
        p, g = arc_polynomials(24 if w.dtype == jnp.float64 else 8)
        root = jnp.sqrt(z) * (2 / np.pi)
        angle = root * horner(p, y)  # t / π
        excess = root * z * horner(g, y)  # (sin t − t cos t) / π
        if positive:
            return Dual(size - excess, 1 - angle)
        return Dual(jnp.where(w < 0, 1, size) - excess, jnp.where(w < 0, angle, 1 - angle))


class Erf:
    """erf(z): the arcsine kernel (Williams 1997), carried by differences of arcsines.

    With P = √(2q/(1+2q))·√(2q'/(1+2q')) and α, α' the arcsines of an input with itself,
    E[φφ'] = 2/π·arcsin(P·C). Of m = (α + α')/2 it falls short by an angle whose sine and cosine
    are sums of positive terms.
    """

    positive = False

    def variance(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return 2 / np.pi * self._arcsine(q)

    def gain(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return 4 / np.pi * q / self.variance(q) / np.sqrt(1 + 4 * q)

    def vectors(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, "k n"]:
        alpha, root = self._arcsine(q), np.sqrt(self.variance(q))
        slope = np.sqrt(4 / np.pi * q / (1 + 2 * q)) / root
        product = np.sqrt(2 * q / (1 + 2 * q))
        return np.stack(
            [alpha / 2, (alpha - alpha[-1]) / 2, product, root - root[-1], 1 / root, slope]
        )

    def dual(
        self,
        w: Float[Array, "n m"],
        rows: Float[Array, "k n 1"],
        columns: Float[Array, "k 1 m"],
        *,
        positive: bool,
    ) -> Dual:
        size = jnp.abs(w)
        middle = rows[0] + columns[0]
        sine, cosine = jnp.sin(middle), jnp.cos(middle)
        product = rows[2] * columns[2]
        # sin² m − (P·C)², of which sin²((α − α')/2) is the part that stays where C = 1.
        apart = jnp.square(jnp.sin(rows[1] - columns[1])) + product**2 * size * (2 - size)
        correlated = product * (1 - size)
        rest = jnp.sqrt(cosine**2 + apart)
        shortfall = jnp.arctan2(
            apart / (sine * rest + correlated * cosine), cosine * rest + sine * correlated
        )
        between = jnp.square(rows[3] - columns[3]) / 2
        deficit = (2 / np.pi * shortfall - between) * rows[4] * columns[4]
        deficit = jnp.clip(deficit, SMALLEST, 1)
        return Dual(jnp.where(w < 0, -deficit, deficit), rows[5] * columns[5] / rest)

    def _arcsine(self, q: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        # arcsin(2q / (1+2q)), without rounding the argument to 1.
        return np.arctan2(2 * q, np.sqrt(1 + 4 * q))


DUALS: dict[str, DualActivation] = {"relu": ReLU(), "erf": Erf()}

SMALLEST = 1e-30
"""The deficit that stands for 0, whose sign would be lost; its angle is 1e-15."""


def affine(
    w: Float[Array, "n m"],
    rows: Float[Array, "4 n 1"],
    columns: Float[Array, "4 1 m"],
    *,
    positive: bool,
) -> tuple[Float[Array, "n m"], Float[Array, "n m"], Float[Array, "n m"]]:
    """Deficits after weights and a bias: C' = u u' C + v v', with u² + v² = 1.

    Args:
        w: deficits.
        rows, columns: u, v, and both less a reference.
        positive: all deficits are known to be of positive correlations.

    Returns:
        New deficits, their correlations, and u u', ``[n, m]`` each.
    """
    u, v = rows[0] * columns[0], rows[1] * columns[1]
    apart = jnp.square(rows[2] - columns[2]) + jnp.square(rows[3] - columns[3])
    apart = apart / 2  # 1 − u u' − v v'
    same = apart + u * w
    if positive:
        return same, 1 - same, u
    kept = u * (1 + w)  # u u' |C| where C < 0
    opposed = jnp.where(v < kept, w * u - (apart + 2 * v), 1 - v + kept)
    deficit = jnp.where(w < 0, opposed, same)
    return deficit, jnp.where(deficit < 0, -1, 1) - deficit, u


@cache
def arc_polynomials(degree: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Coefficients of p and g in y = 4z − 1 on [−1, 1], interpolated from their power series."""
    terms = np.arange(1, 80)
    arcsine = np.cumprod(np.r_[1, (2 * terms - 1) ** 2 / (2 * terms * (2 * terms + 1))])
    root = np.cumprod(np.r_[1, (terms - 1.5) / terms])  # √(1 − z)
    rest = root[1:] - arcsine[1:] + 2 * arcsine[:-1]  # (√(1−z) − (1−2z)·p(z)) / z
    nodes = chebyshev.chebpts1(degree + 1)
    p, g = (
        chebyshev.cheb2poly(
            chebyshev.chebfit(nodes, polynomial.polyval((nodes + 1) / 4, series), degree)
        )
        for series in (arcsine, rest)
    )
    return tuple(p.tolist()), tuple(g.tolist())


def horner(coefficients: tuple[float, ...], y: Array) -> Array:
    value = jnp.full_like(y, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * y + coefficient
    return value
