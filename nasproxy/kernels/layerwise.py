"""Kernels layer by layer: inputs one by one in float64, and their pairs tile by tile.

On a CPU tiles go through the layers on all cores at once, and only those on or above the diagonal
where the kernel is of inputs with themselves. On an accelerator tiles are large and go in turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import NDArray

from nasproxy.errors import SettingError
from nasproxy.kernels.dual_activations import ACTIVATIONS, SMALLEST, affine
from nasproxy.threads import pool

if TYPE_CHECKING:
    from nasproxy.kernels.fully_connected import FullyConnected

Matrix: TypeAlias = NDArray[Any] | Array
"""A NumPy array on a CPU, otherwise one on the accelerator."""
Vector: TypeAlias = NDArray[np.float64]

TILE = 512
"""Side of a tile on a CPU: what a pass holds of it fits the cache of a core."""
ACCELERATOR_TILE = 8192
NEAR = {"float32": 0.05, "float64": 1e-6}
"""Deficits, by the dtype of the Gram matrix, that are computed again from the distance."""
NEAR_PAIRS = 1 / 16
"""Share of a tile from which its whole Gram matrix is computed again in float64."""
GATHERED = 2**21
"""Numbers in the inputs of pairs whose distances are computed at once."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs made ready once for any number of kernel blocks; slices of them are views.

    Attributes:
        values: ``[n, d]``, float32 or float64.
        norms: their lengths, ``[n]`` float64.
    """

    values: NDArray[Any]
    norms: Vector

    def __len__(self) -> int:
        return len(self.norms)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Inputs:
        return Inputs(self.values[rows], self.norms[rows])

    @cached_property
    def unit(self) -> Array:
        """All at length 1, ``[n, d]`` float32 on the device; those of length 0 stay 0."""
        inverse = 1 / np.where(self.norms > 0, self.norms, 1)
        return jax.device_put(
            self.values.astype(np.float32, copy=False) * inverse[:, None].astype(np.float32)
        )

    def exact_unit(self) -> NDArray[np.float64]:
        """The same in float64, on the host, computed anew every time."""
        return self.values / np.where(self.norms > 0, self.norms, 1)[:, None]


class Path:
    """What the layers of a network do to inputs one by one; the last entry is a reference.

    The reference is an input of mean length, from which differences between inputs are taken.
    """

    def __init__(self, kernel: FullyConnected, norms: Vector, size: int, depth: int) -> None:
        """Follows inputs of lengths ``[n]`` and of ``size`` numbers through all layers."""
        activation = ACTIVATIONS[kernel.activation]
        weight, bias = math.sqrt(kernel.weight_variance), math.sqrt(kernel.bias_variance)
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
                    gain = np.square(u) * activation.gain(self._variances[-1])
                    self._tangents.append(gain * self._tangents[-1] + 1)
                self._variances.append(variance)
                self._activation.append(activation.vectors(variance))
                before = np.sqrt(activation.variance(variance))
        self._weight_variance, self._limits = kernel.weight_variance, np.finfo(kernel.dtype)
        self._normalise = kernel.normalise

    def check(self, depth: int) -> None:
        """Raises SettingError if at this depth variances leave the kernel's dtype."""
        variance, limits = self._variances[depth], self._limits
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

    def diagonal(self, kind: str, depth: int) -> Vector:
        """k(x, x), ``[n + 1]``."""
        variance = self._variances[depth]
        return variance * self._tangents[depth] if kind == "ntk" else variance

    def factor(self, kind: str, normalise: bool, depth: int) -> Vector:
        """What turns a kernel over √(NNGP's diagonal) into what is asked for, from either side."""
        if not normalise:
            return np.sqrt(self._variances[depth])
        return 1 / np.sqrt(self._tangents[depth if kind == "ntk" else 0])

    def vectors(self, dtype: str) -> NDArray[Any]:
        """``[layers, k, n + 1]``: of the weights before each nonlinearity, then its own.

        As many layers as the next power of two, so that few programs serve all depths.
        """
        made = [np.concatenate(p) for p in zip(self._affine, self._activation, strict=True)]
        filled = max(8, 1 << (len(made) - 1).bit_length()) - len(made)
        return np.stack(made + made[-1:] * filled).astype(dtype)


@dataclass(eq=False)
class _Tile:
    """Entries of the kernel on their way through the layers.

    Attributes:
        rows, columns: numbers of the row of tiles and of the column of tiles.
        state: deficits, and tangent kernel over √(NNGP's diagonal).
    """

    rows: int
    columns: int
    state: tuple[Array, Array] | None = None


class Pass:
    """One pass of all pairs of inputs through the layers.

    Attributes:
        depth: where it has come to; 0 at first.
    """

    def __init__(self, kernel: FullyConnected, a: Inputs, b: Inputs | None, deepest: int) -> None:
        """Begins with pairs of ``a`` and ``b``, or of ``a`` with itself, on the way to a depth."""
        self._kernel, self._symmetric, self._deepest = kernel, b is None, deepest
        norms = a.norms if b is None else np.concatenate([a.norms, b.norms])
        self._path = Path(kernel, norms, a.values.shape[1], deepest)
        vectors = self._path.vectors(kernel.dtype)
        self._rows = _Side(a, vectors[..., : len(a)], 0)
        self._columns = self._rows
        if b is not None:
            self._columns = _Side(b, vectors[..., len(a) : -1], len(a))
        self._tiles = [
            _Tile(i, j)
            for i in range(self._rows.parts)
            for j in range(self._columns.parts)
            if not self._symmetric or j >= i
        ]
        self.depth = 0

    def blocks(self, depth: int, kinds: tuple[str, ...]) -> list[Matrix]:
        """Goes on to a depth, no smaller than the last; one matrix ``[n, m]`` for each kind.

        Raises:
            SettingError: as :meth:`Path.check`.
        """
        self._path.check(depth)
        if not on_cpu():
            with jax.enable_x64(self._kernel.dtype == "float64"):
                made = [self._go_on(tile, depth, kinds) for tile in self._tiles]
                self.depth = depth
                return [self._joined([blocks[k] for blocks in made]) for k in range(len(kinds))]
        shape = self._rows.size, self._columns.size
        out = [np.empty(shape, self._kernel.dtype) for _ in kinds]

        def fill(tile: _Tile) -> None:
            with jax.enable_x64(self._kernel.dtype == "float64"):
                blocks = self._go_on(tile, depth, kinds)
            rows, columns = self._rows.span(tile.rows), self._columns.span(tile.columns)
            for whole, block in zip(out, blocks, strict=True):
                own = np.asarray(block)[: rows.stop - rows.start, : columns.stop - columns.start]
                whole[rows, columns] = own
                if self._symmetric and tile.rows != tile.columns:
                    whole[columns, rows] = own.T

        list(pool().map(fill, self._tiles))  # A list, so that errors are raised.
        self.depth = depth
        return list(out)

    def _go_on(self, tile: _Tile, depth: int, kinds: tuple[str, ...]) -> list[Array]:
        rows, columns = self._rows.placed(tile.rows), self._columns.placed(tile.columns)
        name = self._kernel.activation
        state, start = tile.state, self.depth
        if state is None:
            a, b = self._rows.part(tile.rows), self._columns.part(tile.columns)
            state = _begin(name, deficits(a, b, self._kernel.dtype), rows, columns)
            start = 1
        state = _advance(name, *state, rows, columns, start, depth)
        tile.state = state if depth < self._deepest else None  # Two numbers a pair less to hold.
        blocks = []
        for kind in kinds:
            factor = self._path.factor(kind, self._kernel.normalise, depth)
            factor = factor.astype(self._kernel.dtype)
            r, c = self._rows.take(factor, tile.rows), self._columns.take(factor, tile.columns)
            block = _read(kind, *state, r, c)
            if self._symmetric and tile.rows == tile.columns:
                block = (block + block.T) / 2  # Rounding is not symmetric.
            blocks.append(block)
        return blocks

    def _joined(self, blocks: list[Array]) -> Array:
        """Tiles on an accelerator as one matrix."""
        at = {(t.rows, t.columns): b for t, b in zip(self._tiles, blocks, strict=True)}
        grid = [
            [at[i, j] if (i, j) in at else at[j, i].T for j in range(self._columns.parts)]
            for i in range(self._rows.parts)
        ]
        return jnp.block(grid)[: self._rows.size, : self._columns.size]


class _Side:
    """The rows or the columns of a kernel, in parts of one length.

    The last part is filled up by repeating its last input, so that one program serves all tiles.
    """

    def __init__(self, inputs: Inputs, vectors: NDArray[Any], first: int) -> None:
        self._inputs, self._vectors, self._first = inputs, vectors, first
        self.size = len(inputs)
        parts = math.ceil(self.size / (TILE if on_cpu() else ACCELERATOR_TILE))
        self._length = math.ceil(self.size / parts / 16) * 16  # Whole vectors of 16.
        self.parts = math.ceil(self.size / self._length)
        self._parts = [inputs[self._indices(part)] for part in range(self.parts)]
        self._placed: dict[int, Array] = {}

    def span(self, part: int) -> slice:
        return slice(part * self._length, min((part + 1) * self._length, self.size))

    def _indices(self, part: int) -> NDArray[np.intp]:
        start = part * self._length
        return np.minimum(np.arange(start, start + self._length), self.size - 1)

    def part(self, part: int) -> Inputs:
        """The inputs of a part; the same object every time."""
        return self._parts[part]

    def take(self, vector: NDArray[Any], part: int) -> NDArray[Any]:
        return vector[self._first + self._indices(part)]

    def placed(self, part: int) -> Array:
        """The vectors ``[layers, k, length]`` of a part, on the device."""
        if part not in self._placed:
            self._placed[part] = jax.device_put(self._vectors[..., self._indices(part)])
        return self._placed[part]


def deficits(a: Inputs, b: Inputs, dtype: str) -> Matrix:
    """Deficits ``[n, m]`` of the correlations between inputs; of one object, with itself.

    On an accelerator from a float64 Gram matrix; there, angles below 1e-8 are not resolved.
    """
    if not on_cpu():
        with jax.enable_x64(True):
            return _gram(a.exact_unit(), b.exact_unit()).astype(dtype)
    gram = dtype
    found = _on_host(a, b, gram)
    near = np.abs(found) < NEAR[gram]
    if gram == "float32" and np.count_nonzero(near) > NEAR_PAIRS * near.size:
        gram = "float64"
        found = _on_host(a, b, gram)
        near = np.abs(found) < NEAR[gram]
    if a is b:
        np.fill_diagonal(near, False)
        np.fill_diagonal(found, SMALLEST)
    rows, columns = np.nonzero(near)
    step = max(1, GATHERED // a.values.shape[1])
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        sign = np.where(found[i, j] < 0, -1, 1)
        apart = a[i].exact_unit() - sign[:, None] * b[j].exact_unit()
        found[i, j] = sign * np.maximum(np.square(apart).sum(1) / 2, SMALLEST)
    return found.astype(dtype, copy=False)


def _on_host(a: Inputs, b: Inputs, dtype: str) -> NDArray[Any]:
    if dtype == "float32":
        return np.array(_gram(a.unit, b.unit))
    with jax.enable_x64(True):
        return np.array(_gram(a.exact_unit(), b.exact_unit()))


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


@jax.jit
def _gram(a: Array, b: Array) -> Array:
    # On a GPU float32 products would be TF32.
    correlation = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    size = jnp.clip(1 - jnp.abs(correlation), SMALLEST, 1)
    return jnp.where(correlation < 0, -size, size)


def _at(vectors: Array, layer: Any) -> Array:
    return lax.dynamic_index_in_dim(vectors, layer, 0, keepdims=False)


def _layer(
    name: str, w: Array, tangent: Array, rows: Array, columns: Array, layer: Any, positive: bool
) -> tuple[Array, Array]:
    """Through a nonlinearity and the weights after it."""
    activation = ACTIVATIONS[name]
    # Read before the arithmetic, not again for every entry.
    r, c, r_next, c_next = lax.optimization_barrier(
        (_at(rows, layer), _at(columns, layer), _at(rows, layer + 1), _at(columns, layer + 1))
    )
    r, c, r_next, c_next = r[:, :, None], c[:, None], r_next[:, :, None], c_next[:, None]
    w, gain = activation.dual(w, r[4:], c[4:], positive=positive)
    w, correlation, kept = affine(
        w, r_next[:4], c_next[:4], positive=positive or activation.positive
    )
    return w, kept * gain * tangent + correlation


@partial(jax.jit, static_argnums=0)
def _begin(name: str, w: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """From correlations of inputs to depth 1."""
    r, c = rows[0, :4, :, None], columns[0, :4, None]
    w, correlation, _ = affine(w, r, c, positive=False)
    return _layer(name, w, correlation, rows, columns, 0, positive=False)


@partial(jax.jit, static_argnums=0)
def _advance(
    name: str, w: Array, tangent: Array, rows: Array, columns: Array, start: int, stop: int
) -> tuple[Array, Array]:
    positive = ACTIVATIONS[name].positive

    def body(layer: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        return _layer(name, *state, rows, columns, layer, positive)

    return lax.fori_loop(start, stop, body, (w, tangent))


@partial(jax.jit, static_argnums=0)
def _read(kind: str, w: Array, tangent: Array, rows: Array, columns: Array) -> Array:
    correlation = jnp.where(w < 0, -1, 1) - w
    return rows[:, None] * columns * (tangent if kind == "ntk" else correlation)
