"""A NAS-Bench-101 cell: a small labelled DAG, its hash and its channels (Ying et al. 2019)."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5

import numpy as np
from numpy.typing import ArrayLike

from nasproxy.drawing import Drawing, Vertex, dag
from nasproxy.errors import ArchitectureError, SettingError

INPUT = "input"
OUTPUT = "output"
CONV3X3 = "conv3x3-bn-relu"
CONV1X1 = "conv1x1-bn-relu"
MAXPOOL3X3 = "maxpool3x3"
OPS = (CONV3X3, CONV1X1, MAXPOOL3X3)  # in the order that numbers them in the official hash

MAX_VERTICES = 7
MAX_EDGES = 9

_DRAWN = {
    INPUT: Vertex("input", "end"),
    OUTPUT: Vertex("output", "end"),
    CONV3X3: Vertex("3×3 conv", "conv3"),
    CONV1X1: Vertex("1×1 conv", "conv1"),
    MAXPOOL3X3: Vertex("3×3 max pool", "pool"),
}
_LABELS = {INPUT: -1, OUTPUT: -2} | {op: label for label, op in enumerate(OPS)}


@dataclass(frozen=True)
class Cell:
    """A pruned cell: every vertex lies on a path from the input (first) to the output (last).

    Make one with ``Cell.create``, which checks and prunes; the bare constructor trusts its caller.
    Equality is that of matrix and operations as written; ``key`` is equal for isomorphic cells.

    Attributes:
        adjacency: V rows of V entries, 0 or 1, upper triangular; ``adjacency[u][v]`` says u → v.
        ops: V operations, ``INPUT`` first and ``OUTPUT`` last.
    """

    adjacency: tuple[tuple[int, ...], ...]
    ops: tuple[str, ...]

    @classmethod
    def create(cls, adjacency: ArrayLike, ops: Sequence[str]) -> "Cell":
        """Check a matrix and its operations, and drop the vertices that cannot matter.

        As in the official ``ModelSpec`` and ``NASBench.is_valid``, limits and operations are
        checked on what pruning leaves: a larger matrix is fine if its live part fits the space. The
        order of the vertices that stay is kept, because channel rounding depends on it.

        Args:
            adjacency: (V, V) zeros and ones, upper triangular, of any V from 2 up.
            ops: V operations; those of pruned vertices are ignored.

        Raises:
            ArchitectureError: the matrix is not square, 0/1 and upper triangular; ``ops`` has
                another length, an unknown operation, or does not start with the input and end
                with the output; no path joins them; more than 7 vertices or 9 edges are left.
        """
        matrix, ops = _matrix(adjacency), _names(ops)
        if len(ops) != len(matrix):
            raise ArchitectureError(
                f"ops has {len(ops)} entries for {len(matrix)} vertices: give one a vertex, "
                f"{INPUT!r} first and {OUTPUT!r} last."
            )
        if ops[0] != INPUT or ops[-1] != OUTPUT:
            raise ArchitectureError(
                f"ops runs from {ops[0]!r} to {ops[-1]!r}: the first must be {INPUT!r} and the "
                f"last {OUTPUT!r}."
            )
        live = _live(matrix)
        if not live:
            raise ArchitectureError(
                "the input is not connected to the output: add edges that make a path from "
                "vertex 0 to the last vertex."
            )
        matrix, ops = matrix[np.ix_(live, live)], tuple(ops[v] for v in live)
        for op in ops[1:-1]:
            if op not in OPS:
                raise ArchitectureError(f"unknown operation {op!r}: use one of {', '.join(OPS)}.")
        if len(ops) > MAX_VERTICES:
            raise ArchitectureError(
                f"{len(ops)} vertices after pruning, at most {MAX_VERTICES}: remove some."
            )
        if matrix.sum() > MAX_EDGES:
            raise ArchitectureError(
                f"{matrix.sum()} edges after pruning, at most {MAX_EDGES}: remove some."
            )
        return cls(tuple(map(tuple, matrix.tolist())), ops)

    @property
    def num_vertices(self) -> int:
        """Vertices, input and output included: 2 to 7."""
        return len(self.ops)

    @property
    def num_edges(self) -> int:
        """Edges: 1 to 9."""
        return sum(map(sum, self.adjacency))

    def predecessors(self, vertex: int) -> tuple[int, ...]:
        """The vertices with an edge into ``vertex``, in increasing order."""
        return tuple(u for u, row in enumerate(self.adjacency) if row[vertex])

    @cached_property
    def key(self) -> str:
        """The official module hash, 32 hexadecimal digits, equal for isomorphic cells."""
        before = [self.predecessors(v) for v in range(self.num_vertices)]
        after = [tuple(v for v, edge in enumerate(row) if edge) for row in self.adjacency]
        return module_hash(before, after, [_LABELS[op] for op in self.ops])

    def draw(self) -> Drawing:
        """The graph, its input above."""
        matrix = enumerate(self.adjacency)
        edges = [(u, v) for u, row in matrix for v, edge in enumerate(row) if edge]
        title = f"NAS-Bench-101 cell {self.key}"
        return dag([_DRAWN[op] for op in self.ops], edges, title)

    def _repr_svg_(self) -> str:
        return self.draw().svg

    def to_json(self) -> str:
        """One line of JSON: ``{"adjacency": [[0, 1], [0, 0]], "ops": ["input", "output"]}``."""
        return json.dumps({"adjacency": self.adjacency, "ops": self.ops})

    @classmethod
    def from_json(cls, text: str) -> "Cell":
        """Read ``to_json``'s text, through ``create``.

        Raises:
            ArchitectureError: ``text`` is not such JSON, or not a cell of the space.
        """
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArchitectureError(f"{text[:80]!r} is not JSON: {error}.") from error
        if not isinstance(record, dict) or record.keys() != {"adjacency", "ops"}:
            raise ArchitectureError(
                f'{text[:80]!r} is not a cell: write {{"adjacency": [[...]], "ops": [...]}}.'
            )
        return cls.create(record["adjacency"], record["ops"])


def vertex_channels(cell: Cell, in_channels: int, out_channels: int) -> tuple[int, ...]:
    """Channels of every vertex, as the official ``compute_vertex_channels`` divides them.

    The output's channels are split over the interior vertices that feed it, the remainder one
    each to the earliest; any other interior vertex takes the largest of its successors.

    Raises:
        SettingError: fewer output channels than vertices to share them, or no input channel.
    """
    last = cell.num_vertices - 1
    feeding = [v for v in cell.predecessors(last) if v > 0]
    if in_channels < 1 or out_channels < max(1, len(feeding)):
        raise SettingError(
            f"in_channels={in_channels}, out_channels={out_channels}: this cell needs at least 1 "
            f"and {max(1, len(feeding))}; widen the network."
        )
    channels = [in_channels] + [0] * (last - 1) + [out_channels]
    for rank, v in enumerate(feeding):
        channels[v] = out_channels // len(feeding) + (rank < out_channels % len(feeding))
    for v in range(last - 1, 0, -1):
        if not cell.adjacency[v][last]:
            channels[v] = max(channels[w] for w in range(v + 1, last) if cell.adjacency[v][w])
    return tuple(channels)


def module_hash(
    before: Sequence[Sequence[int]], after: Sequence[Sequence[int]], labels: Sequence[int]
) -> str:
    """The official ``hash_module``: V rounds of neighbourhood hashing, then a hash of the multiset.

    Args:
        before: the predecessors of each of V vertices.
        after: the successors of each.
        labels: −1 for the input, −2 for the output, else the index in ``OPS``.
    """
    hashes = [
        _md5(str((len(outs), len(ins), label)))
        for ins, outs, label in zip(before, after, labels, strict=True)
    ]
    for _ in labels:
        hashes = [
            _md5(f"{_joined(hashes, ins)}|{_joined(hashes, outs)}|{own}")
            for ins, outs, own in zip(before, after, hashes, strict=True)
        ]
    return _md5(str(sorted(hashes)))


def _joined(hashes: Sequence[str], vertices: Sequence[int]) -> str:
    if len(vertices) == 1:  # one or two is the rule, and most of a key's time is spent here
        return hashes[vertices[0]]
    if len(vertices) == 2:
        one, two = hashes[vertices[0]], hashes[vertices[1]]
        return one + two if one < two else two + one
    return "".join(sorted([hashes[v] for v in vertices]))


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def _matrix(adjacency: ArrayLike) -> np.ndarray:
    try:
        matrix = np.asarray(adjacency)
    except (TypeError, ValueError) as error:
        raise ArchitectureError(f"the adjacency matrix is not rectangular: {error}.") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ArchitectureError(
            f"the adjacency matrix has shape {matrix.shape}: give a square one, a row and a "
            "column for each of two or more vertices."
        )
    if matrix.dtype.kind not in "biuf" or not np.isin(matrix, (0, 1)).all():
        raise ArchitectureError(
            f"the adjacency matrix holds {_first_odd(matrix)!r}: write 1 for an edge, 0 for none."
        )
    matrix = matrix.astype(np.int8)
    if np.tril(matrix).any():
        u, v = np.argwhere(np.tril(matrix))[0].tolist()
        raise ArchitectureError(
            f"edge {u} → {v} is not above the diagonal: number the vertices so that every edge "
            "leads to a later one."
        )
    return matrix


def _first_odd(matrix: np.ndarray) -> object:
    entries = matrix.ravel().tolist()
    return next((x for x in entries if isinstance(x, str) or x not in (0, 1)), entries[0])


def _names(ops: Sequence[str]) -> tuple[str, ...]:
    names = tuple(ops) if isinstance(ops, Iterable) and not isinstance(ops, str) else (ops,)
    if isinstance(ops, str) or not all(isinstance(name, str) for name in names):
        raise ArchitectureError(f"ops is {ops!r}: give a list of names, one for each vertex.")
    return names


def _live(matrix: np.ndarray) -> list[int]:
    """Vertices on a path from the first to the last, in order; none if there is no such path."""
    size = len(matrix)
    ahead, behind = {0}, {size - 1}
    for v in range(1, size):
        if any(matrix[u, v] for u in ahead):
            ahead.add(v)
    for u in range(size - 2, -1, -1):
        if any(matrix[u, v] for v in behind):
            behind.add(u)
    live = sorted(ahead & behind)
    return live if size - 1 in ahead else []
