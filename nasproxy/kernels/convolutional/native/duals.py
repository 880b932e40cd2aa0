"""What nonlinearities do to an entry, for Numba: polynomials, one square root, no branch.

s is the covariance of two inputs and q, q' their variances. An activation is given by two vectors
made of q, which come in as (a, b) of the one input and (a', b') of the other, and by what makes
E[φφ'] and E[φ̇φ̇'] of s, a·a' and b·b'. ReLU's are kept at twice their size.

Numba chooses code by types, not values: an activation goes in as a tuple of its own length.
"""

import math
from collections.abc import Callable
from inspect import unwrap
from typing import Any

import numpy as np
from numba.extending import intrinsic, overload
from numpy.polynomial import chebyshev

from nasproxy.kernels.convolutional.native.options import OPTIONS, helper
from nasproxy.kernels.dual_activations import arc_polynomials

DEGREES = {"float32": 7, "float64": 16}
"""Of the polynomials; further terms are below the dtype's rounding."""
MARKS = {
    "relu": (0,),
    "erf": (0, 0),
    "gelu": (0, 0, 0),
    "exponential": (0, 0, 0, 0),
    "relu_signed": (0, 0, 0, 0, 0),
}
"""By activation; ``relu_signed`` where correlations may be negative, as those of inputs are."""
NORMED = len(MARKS)
"""So much longer is the mark of an activation that layer normalisation comes before."""
TINY = 1e-300


def vectors_of(activation: str, normed: bool) -> Callable[[Any, Any], tuple[Any, Any]]:
    """What makes (a, b) of variances."""
    return normed_vectors if normed else VECTORS[activation]


def relu_vectors(mark: Any, q: Any) -> tuple[Any, Any]:
    """1/√q, 0 where q is 0, and √q."""
    root = np.sqrt(q)
    return (q > 0) / np.maximum(root, TINY), root


def erf_vectors(mark: Any, q: Any) -> tuple[Any, Any]:
    """√(2/(1 + 2q)) and √(1/(1 + 2q))."""
    inverse = 1 / np.sqrt(1 + 2 * q)
    return math.sqrt(2) * inverse, inverse


def gelu_vectors(mark: Any, q: Any) -> tuple[Any, Any]:
    """1/√(1 + q) and q/√(1 + q)."""
    inverse = 1 / np.sqrt(1 + q)
    return inverse, q * inverse


def normed_vectors(mark: Any, q: Any) -> tuple[Any, Any]:
    """1/√q, 0 where q is 0, and whether it is not."""
    return (q > 0) / np.maximum(np.sqrt(q), TINY), (q > 0) * 1.0


VECTORS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "relu": relu_vectors,
    "relu_signed": relu_vectors,
    "erf": erf_vectors,
    "gelu": gelu_vectors,
    "exponential": relu_vectors,
}
"""(a, b) of a variance, a number in Numba, an array in NumPy; the mark is Numba's."""


def _exponential_polynomial(degree: int) -> tuple[float, ...]:
    """Coefficients of exp(c − 1) on [−1, 1]."""
    nodes = chebyshev.chebpts1(degree + 2)
    found = chebyshev.chebfit(nodes, np.exp(nodes - 1), degree + 1)
    return tuple(chebyshev.cheb2poly(found).tolist())


def _polynomial(coefficients: Callable[[int], tuple[float, ...]]) -> Any:
    def polynomial(context: Any, y: Any) -> Any:
        found = coefficients(DEGREES[y.name])

        def code(context: Any, b: Any, signature: Any, args: Any) -> Any:
            terms = [context.get_constant(y, float(c)) for c in found]
            value = terms[-1]
            for term in terms[-2::-1]:
                value = b.fadd(b.fmul(value, args[0]), term)
            return value

        return y(y), code

    return intrinsic(unwrap(polynomial))


def _scaled(which: int) -> Callable[[int], tuple[float, ...]]:
    return lambda degree: tuple(c * 2 / np.pi for c in arc_polynomials(degree)[which])


# Of y = 4z − 1, z in [0, ½]: arcsin(√z)/√z, and what goes with it, both times 2/π.
_angle, _excess = _polynomial(_scaled(0)), _polynomial(_scaled(1))
_exp = _polynomial(_exponential_polynomial)


def _relu(mark, s, a, b):
    T = type(s)
    z = max(T(0.5) - T(0.5) * (s * a), T(0))
    u = math.sqrt(z)
    y = T(4) * z - T(1)
    return s + b * (u * z * _excess(y)), T(1) - u * _angle(y)


def _relu_signed(mark, s, a, b):
    T = type(s)
    c = s * a
    z = max(T(0.5) - T(0.5) * abs(c), T(0))
    u = math.sqrt(z)
    y = T(4) * z - T(1)
    w = u * _angle(y)
    return b * (max(c, T(0)) + u * z * _excess(y)), w if c < T(0) else T(1) - w


def _erf(mark, s, a, b):
    T = type(s)
    c = s * a
    size = min(abs(c), T(1))
    # (1 − c)(1 + c) is at least b²b'², by Cauchy and Schwarz.
    rest = math.sqrt(max((T(1) - size) * (T(1) + size), b * b))
    angle = _arcsine(size)
    return (angle if c > T(0) else -angle), T(4 / math.pi) * b / rest


def _gelu(mark, s, a, b):
    T = type(s)
    c = s * a
    size = min(abs(c), T(1))
    squared = max((T(1) - size) * (T(1) + size), a * a)
    inverse = T(1) / math.sqrt(squared)
    angle = _arcsine(size) * T(0.25)  # arcsin(c) / 2π
    angle = angle if c > T(0) else -angle
    # a·b' b·a' is qq'/((1 + q)(1 + q')), and b·b' is q·q'·a·a'.
    over = T(0.5 / math.pi) * inverse
    k = s * (T(0.25) + angle) + over * (c * c * a + b * squared)
    rest = a * a * inverse * inverse + a * a - a * b + T(1)
    return k, T(0.25) + angle + over * c * rest


def _exponential(mark, s, a, b):
    T = type(s)
    gain = _exp(max(min(s * a, T(1)), T(-1)))
    return b * gain, gain


def arcsine(size):
    """2/π·arcsin of a number in [0, 1], to all of its digits."""
    T = type(size)
    squared, near = size * size, T(0.5) - T(0.5) * size
    small = squared < T(0.5)
    z = squared if small else near
    w = (size if small else math.sqrt(near)) * _angle(T(4) * z - T(1))
    return w if small else T(1) - T(2) * w


_arcsine = helper(arcsine)


def dual(mark, s, a, b) -> Any:
    """E[φφ'] and E[φ̇φ̇'] of an entry; ``a`` and ``b`` are products of both inputs'."""
    raise NotImplementedError


def own(mark, s, a, b) -> Any:
    """The same of an input with itself, whose variance is s."""
    raise NotImplementedError


def vectors(mark, q) -> Any:
    """(a, b) of a variance."""
    raise NotImplementedError


def _kept(mark, s, a, b):
    return s, type(s)(1)  # ReLU's are twice their size, and the exponential is normalised so.


def _normed(mark, s, a, b):
    T, inner = type(s), mark[NORMED:]
    x, p = vectors(inner, T(1))
    k, gain = dual(inner, s * a, T(x * x), T(p * p))
    return b * k, a * gain


def _own_normed(mark, s, a, b):
    T, inner = type(s), mark[NORMED:]
    x, p = vectors(inner, T(1))
    k, gain = own(inner, s * a, T(x * x), T(p * p))
    return b * k, a * gain


def _numbered(found: dict[str, Callable[..., Any]]) -> dict[int, Callable[..., Any]]:
    return {len(MARKS[name]): unwrap(code) for name, code in found.items()}


_DUALS = _numbered(
    {
        "relu": _relu,
        "relu_signed": _relu_signed,
        "erf": _erf,
        "gelu": _gelu,
        "exponential": _exponential,
    }
)
_OWN = _DUALS | _numbered(dict.fromkeys(("relu", "relu_signed", "exponential"), _kept))
_VECTORS = _numbered(VECTORS)


@overload(dual, jit_options=OPTIONS)
def _dual_of(mark, s, a, b):
    return _DUALS.get(len(mark), unwrap(_normed))


@overload(own, jit_options=OPTIONS)
def _own_of(mark, s, a, b):
    return _OWN.get(len(mark), unwrap(_own_normed))


@overload(vectors, jit_options=OPTIONS)
def _vectors_of(mark: Any, q: Any):
    return _VECTORS.get(len(mark), unwrap(normed_vectors))
