"""What fully-connected layers do to a kernel: inputs one by one in float64, pairs on the device."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float
from numpy.typing import NDArray

from nasproxy.errors import SettingError
from nasproxy.kernels.dual_activations import DUALS, affine
from nasproxy.kernels.inputs import Inputs, deficits

Vector = NDArray[np.float64]
State = tuple[Array, Array]
"""Of pairs ``[n, m]``: deficits, and tangent kernel over √(NNGP's diagonal)."""


class Layers:
    """A network's layers, and what they do to inputs of given lengths.

    The last entry of every vector is of a reference, an input of mean length, from which
    differences between inputs are taken.
    """

    def __init__(
        self,
        norms: Float[np.ndarray, " n"],
        size: int,
        depth: int,
        *,
        activation: str,
        weight_variance: float,
        bias_variance: float,
        normalise: bool,
        dtype: str,
    ) -> None:
        """Follows inputs of lengths ``[n]`` and of ``size`` numbers through all layers.

        The settings are those of :class:`~nasproxy.kernels.FullyConnected`.
        """
        self._name, self.dtype = activation, dtype
        self._weight_variance, self._normalise = weight_variance, normalise
        dual = DUALS[activation]
        weight, bias = math.sqrt(weight_variance), math.sqrt(bias_variance)
        before = np.append(norms, norms.mean()) / math.sqrt(size)
        self._variances: list[Vector] = []
        self._tangents: list[Vector] = [np.ones_like(before)]
        self._affine: list[Vector] = []
        self._activation: list[Vector] = []
        with np.errstate(all="ignore"):  # See check.
            for layer in range(depth + 1):
                variance = np.square(weight * before) + bias**2
                u, v = weight * before / np.sqrt(variance), bias / np.sqrt(variance)
                self._affine.append(np.stack([u, v, u - u[-1], v - v[-1]]))
                if layer:
                    gain = np.square(u) * dual.gain(self._variances[-1])
                    self._tangents.append(gain * self._tangents[-1] + 1)
                self._variances.append(variance)
                self._activation.append(dual.vectors(variance))
                before = np.sqrt(dual.variance(variance))

    @staticmethod
    def memory(inputs: int, depth: int, activation: str) -> int:
        """Bytes that the vectors of so many inputs take, as lists and as one array."""
        numbers = 6 + len(DUALS[activation].vectors(np.ones(1)))
        return 2 * 8 * inputs * numbers * _filled(depth + 1)

    def check(self, depth: int) -> None:
        """Raises SettingError if at this depth variances leave the kernel's dtype."""
        variance, limits = self._variances[depth], np.finfo(self.dtype)
        # Normalised kernels hold no product of the two.
        ntk = [] if self._normalise else [variance * self._tangents[depth]]
        scales = np.concatenate([variance, *ntk])
        outside = scales[~((scales < limits.max) & (scales > limits.tiny))]
        if len(outside):
            raise SettingError(
                f"weight_variance={self._weight_variance:g}: at depth {depth} the kernel reaches "
                f"{outside[0]:.1e}, beyond {limits.dtype}; give one nearer to 2, at which a ReLU "
                "network keeps its variances, or scale inputs to variances nearer to 1"
            )

    def diagonal(self, kind: str, depth: int) -> Float[np.ndarray, " n"]:
        """k(x, x) of each input."""
        variance = self._variances[depth]
        return (variance * self._tangents[depth] if kind == "ntk" else variance)[:-1]

    def vectors(self) -> NDArray[Any]:
        """``[layers, k, n]``: of the weights before each nonlinearity, then its own.

        As many layers as the next power of two, so that few programs serve all depths.
        """
        made = [np.concatenate(p) for p in zip(self._affine, self._activation, strict=True)]
        filled = _filled(len(made)) - len(made)
        return np.stack(made + made[-1:] * filled)[..., :-1].astype(self.dtype)

    def factor(self, kind: str, depth: int) -> NDArray[Any]:
        """What turns a kernel over √(NNGP's diagonal) into what is asked for, from either side."""
        if not self._normalise:
            found = np.sqrt(self._variances[depth])
        else:
            found = 1 / np.sqrt(self._tangents[depth if kind == "ntk" else 0])
        return found[:-1].astype(self.dtype)

    def begin(self, a: Inputs, b: Inputs, rows: Array, columns: Array) -> State:
        """Pairs of inputs at depth 1; of one object, with itself."""
        return _begin(self._name, deficits(a, b, self.dtype), rows, columns)

    def advance(self, state: State, rows: Array, columns: Array, start: int, stop: int) -> State:
        """From one depth to another."""
        return _advance(self._name, *state, rows, columns, start, stop)

    def read(
        self, kind: str, state: State, rows: NDArray[Any], columns: NDArray[Any]
    ) -> Float[Array, "n m"]:
        """The kernel, given factors ``[n]`` and ``[m]``."""
        return _read(kind, *state, rows, columns)


def _filled(layers: int) -> int:
    return max(8, 1 << (layers - 1).bit_length())


def _at(vectors: Array, layer: Any) -> Array:
    return lax.dynamic_index_in_dim(vectors, layer, 0, keepdims=False)


def _layer(
    name: str, w: Array, tangent: Array, rows: Array, columns: Array, layer: Any, positive: bool
) -> State:
    """Through a nonlinearity and the weights after it."""
    dual = DUALS[name]
    # Read before the arithmetic, not again for every entry.
    r, c, r_next, c_next = lax.optimization_barrier(
        (_at(rows, layer), _at(columns, layer), _at(rows, layer + 1), _at(columns, layer + 1))
    )
    r, c, r_next, c_next = r[:, :, None], c[:, None], r_next[:, :, None], c_next[:, None]
    w, gain = dual.dual(w, r[4:], c[4:], positive=positive)
    w, correlation, kept = affine(w, r_next[:4], c_next[:4], positive=positive or dual.positive)
    return w, kept * gain * tangent + correlation


@partial(jax.jit, static_argnums=0)
def _begin(name: str, w: Array, rows: Array, columns: Array) -> State:
    """From correlations of inputs to depth 1."""
    r, c = rows[0, :4, :, None], columns[0, :4, None]
    w, correlation, _ = affine(w, r, c, positive=False)
    return _layer(name, w, correlation, rows, columns, 0, positive=False)


@partial(jax.jit, static_argnums=0)
def _advance(
    name: str, w: Array, tangent: Array, rows: Array, columns: Array, start: int, stop: int
) -> State:
    positive = DUALS[name].positive

    def body(layer: Any, state: State) -> State:
        return _layer(name, *state, rows, columns, layer, positive)

    return lax.fori_loop(start, stop, body, (w, tangent))


@partial(jax.jit, static_argnums=0)
def _read(kind: str, w: Array, tangent: Array, rows: Array, columns: Array) -> Array:
    correlation = jnp.where(w < 0, -1, 1) - w
    return rows[:, None] * columns[None] * (tangent if kind == "ntk" else correlation)
