"""Kernels of all pairs of inputs, tile by tile, through one layer after the other.

On a CPU tiles go through the layers on all cores at once, and only those on or above the diagonal
where the kernel is of inputs with themselves. On an accelerator tiles are large and go in turn.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from numpy.typing import NDArray

from nasproxy.kernels.inputs import Inputs, on_cpu
from nasproxy.threads import pool

Matrix: TypeAlias = Float[np.ndarray | Array, "n m"]
"""A NumPy array on a CPU, otherwise one on the accelerator."""

TILE = 512
"""Side of a tile on a CPU: what a pass holds of it fits the cache of a core."""
ACCELERATOR_TILE = 8192


class Recursion(Protocol):
    """How pairs of inputs go from layer to layer; its states are its own."""

    @property
    def dtype(self) -> str:
        """``float32`` or ``float64``."""
        ...

    def check(self, depth: int) -> None:
        """Raises SettingError if the kernel of this depth cannot be given."""
        ...

    def vectors(self) -> NDArray[Any]:
        """What it needs of each input, ``[..., n]``: the rows', then the columns'."""
        ...

    def factor(self, kind: str, depth: int) -> NDArray[Any]:
        """What it needs of each input to read a kernel, ``[n]``."""
        ...

    def begin(self, a: Inputs, b: Inputs, rows: Array, columns: Array) -> Any:
        """The state of pairs at depth 1; of one object, with itself."""
        ...

    def advance(self, state: Any, rows: Array, columns: Array, start: int, stop: int) -> Any:
        """The state at depth ``stop``."""
        ...

    def read(
        self, kind: str, state: Any, rows: NDArray[Any], columns: NDArray[Any]
    ) -> Float[Array, "n m"]:
        """The kernel at a state."""
        ...


@dataclass(eq=False)
class _Tile:
    """Entries of the kernel on their way through the layers.

    Attributes:
        rows, columns: numbers of the row of tiles and of the column of tiles.
        state: the recursion's; None before the first layer, and after the last.
    """

    rows: int
    columns: int
    state: Any = None


class Pass:
    """One pass of all pairs of inputs through the layers.

    Attributes:
        depth: where it has come to; 0 at first.
    """

    def __init__(self, recursion: Recursion, a: Inputs, b: Inputs | None, deepest: int) -> None:
        """Begins with pairs of ``a`` and ``b``, or of ``a`` with itself, on the way to a depth.

        The recursion is of the inputs ``a``, and then of those of ``b``.
        """
        self._recursion, self._symmetric, self._deepest = recursion, b is None, deepest
        vectors = recursion.vectors()
        self._rows = _Side(a, vectors[..., : len(a)], 0)
        self._columns = self._rows
        if b is not None:
            self._columns = _Side(b, vectors[..., len(a) :], len(a))
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
            SettingError: as :meth:`Recursion.check`.
        """
        self._recursion.check(depth)
        dtype = self._recursion.dtype
        if not on_cpu():
            with jax.enable_x64(dtype == "float64"):
                made = [self._go_on(tile, depth, kinds) for tile in self._tiles]
                self.depth = depth
                return [self._joined([blocks[k] for blocks in made]) for k in range(len(kinds))]
        out = [np.empty((self._rows.size, self._columns.size), dtype) for _ in kinds]

        def fill(tile: _Tile) -> None:
            with jax.enable_x64(dtype == "float64"):
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
        recursion = self._recursion
        rows, columns = self._rows.placed(tile.rows), self._columns.placed(tile.columns)
        state, start = tile.state, self.depth
        if state is None:
            a, b = self._rows.part(tile.rows), self._columns.part(tile.columns)
            state, start = recursion.begin(a, b, rows, columns), 1
        state = recursion.advance(state, rows, columns, start, depth)
        tile.state = state if depth < self._deepest else None  # Two numbers a pair less to hold.
        blocks = []
        for kind in kinds:
            factor = recursion.factor(kind, depth)
            r, c = self._rows.take(factor, tile.rows), self._columns.take(factor, tile.columns)
            block = recursion.read(kind, state, r, c)
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
