"""Every cell of NAS-Bench-101, once: 423,624 codes of 32 bits, made in a tenth of a second."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache, cached_property
from hashlib import sha256
from itertools import permutations, product
from pathlib import Path

import numpy as np

from nasproxy import files
from nasproxy.cache import cache_dir, make_folder
from nasproxy.checks import Whole, checked
from nasproxy.errors import ArchitectureError
from search_spaces.nasbench101.cell import (
    INPUT,
    MAX_EDGES,
    MAX_VERTICES,
    OPS,
    OUTPUT,
    Cell,
    module_hash,
)

# A code holds, from its highest bit: 3 bits of vertices, 21 of edges, 8 of operations.
_VERTICES_SHIFT, _EDGES_SHIFT = 29, 8
_NO_GRAPH = np.uint32(2**32 - 1)


class CellTable:
    """Cells as a sorted array of codes, decoded when asked for.

    A code's edges are numbered by column, edge u → v at bit u + v(v − 1)/2; its operations are a
    number in base 3, the first interior vertex its highest digit. That is the order in which the
    authors' ``generate_graphs.py`` meets the graphs, and the cell that it meets first stands for
    its isomorphism class: the vertex order is the official file's, and so are the parameter counts.

    Attributes:
        codes: (N,) uint32, increasing, so by vertices first.
    """

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        self.codes.setflags(write=False)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: int) -> Cell:
        return decode(int(self.codes[index]))

    def __iter__(self) -> Iterator[Cell]:
        return map(decode, self.codes.tolist())

    def sample(self, n: int, rng: np.random.Generator) -> list[Cell]:
        """Draw ``n`` distinct cells uniformly, in random order.

        Raises:
            SettingError: ``n`` is negative or exceeds the table.
        """
        n = checked("nasbench101", "n", n, Whole(0, len(self), hint="as many as it holds"))
        return [self[index] for index in rng.choice(len(self), n, replace=False)]

    def find(self, module_hash: str) -> Cell:
        """The cell with an official module hash, in the official vertex order.

        The first call for a table hashes all of it (see ``hashes``); later ones take microseconds.

        Raises:
            ArchitectureError: no cell of the table has this hash.
        """
        order, ordered = self._by_hash
        row = int(np.searchsorted(ordered, module_hash.encode()))
        if row == len(self) or ordered[row] != module_hash.encode():
            raise ArchitectureError(
                f"no cell here has the module hash {module_hash!r}: give the 32 lower-case "
                "hexadecimal digits that the official file lists, or `Cell.key`."
            )
        return self[int(order[row])]

    @cached_property
    def hashes(self) -> np.ndarray:
        """Official module hashes, (N,) of dtype S32, in the order of ``codes``.

        The whole space takes 30 s on one core, once: they are kept under ``cache_dir()`` (7 MB),
        in a file that is replaced whole and made anew if it does not match its checksum.
        """
        table = sha256(self.codes.tobytes()).hexdigest()[:12]
        path = cache_dir() / f"nasbench101-hashes-{table}.bin"
        digests = _read(path, len(self))
        if digests is None:
            digests = bytes.fromhex("".join(_hash_all(self.codes)))
            with suppress(OSError):  # a cache that cannot be written costs time, not the answer
                _write(path, digests)
        return np.frombuffer(digests.hex().encode(), "S32")

    @cached_property
    def _by_hash(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.hashes)
        return order, self.hashes[order]


@cache
def all_cells(max_vertices: int = MAX_VERTICES) -> CellTable:
    """The unique cells of up to ``max_vertices``: 1, 7, 91, 2,532, 64,542, 423,624 for 2..7.

    Raises:
        SettingError: ``max_vertices`` is not 2 to 7.
    """
    most = checked("nasbench101", "max_vertices", max_vertices, Whole(2, MAX_VERTICES))
    return CellTable(np.concatenate([_codes(size) for size in range(2, most + 1)]))


def decode(code: int) -> Cell:
    """The cell of one code of ``CellTable.codes``."""
    size, bits, label = code >> _VERTICES_SHIFT, code >> _EDGES_SHIFT, code & 255
    adjacency = tuple(
        tuple(int(u < v and bits >> (u + v * (v - 1) // 2) & 1) for v in range(size))
        for u in range(size)
    )
    return Cell(adjacency, (INPUT, *(OPS[digit] for digit in _digits(label, size)), OUTPUT))


def _digits(label: int, size: int) -> list[int]:
    return [label // 3**place % 3 for place in range(size - 3, -1, -1)]


def _codes(size: int) -> np.ndarray:
    """Increasing codes of the unique cells with exactly ``size`` vertices.

    Graphs first, one for each unlabelled class; then all labelings of each, of which a labeling
    stays if no automorphism of its graph maps it to a smaller one. Both steps are exact.
    """
    orders = [(0, *order, size - 1) for order in permutations(range(1, size - 1))]
    bits = _full_graphs(size)
    graphs = _matrices(bits, size)
    smallest = np.min([_reordered(graphs, order) for order in orders], axis=0)
    bits, graphs = bits[bits == smallest], graphs[bits == smallest]

    labelings = np.array(list(product(range(3), repeat=size - 2)), np.uint32)
    places = 3 ** np.arange(size - 3, -1, -1, dtype=np.uint32)
    labels = np.arange(len(labelings), dtype=np.uint32)
    keep = np.ones((len(bits), len(labels)), bool)
    for order in orders:
        automorphic = _reordered(graphs, order) == bits
        moved = labelings[:, np.array(order[1:-1], int) - 1] @ places
        keep[automorphic] &= labels <= moved
    codes = (np.uint32(size << _VERTICES_SHIFT) | bits[:, None] << _EDGES_SHIFT) | labels
    return codes[keep]


def _pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets of the possible edges, in the order of their bits."""
    target, source = np.tril_indices(size, -1)
    return source, target


def _full_graphs(size: int) -> np.ndarray:
    """Edge bits of the graphs of at most nine edges that pruning leaves whole, (G,) uint32."""
    source, target = _pairs(size)
    weights = np.uint32(1) << np.arange(len(source), dtype=np.uint32)
    bits = np.arange(1 << len(source), dtype=np.uint32)
    bits = bits[np.bitwise_count(bits) <= MAX_EDGES]
    for v in range(size - 1):  # every vertex but the last has a successor, but the first, a source
        bits = bits[(bits & weights[source == v].sum(dtype=np.uint32)) != 0]
        bits = bits[(bits & weights[target == v + 1].sum(dtype=np.uint32)) != 0]
    return bits


def _matrices(bits: np.ndarray, size: int) -> np.ndarray:
    """(G,) edge bits to (G, V, V) booleans."""
    source, target = _pairs(size)
    matrices = np.zeros((len(bits), size, size), bool)
    matrices[:, source, target] = bits[:, None] >> np.arange(len(source), dtype=np.uint32) & 1
    return matrices


def _reordered(graphs: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Edge bits of graphs with the old ``order[i]`` as vertex i; all 1 if an edge points back."""
    source, target = _pairs(len(order))
    moved = graphs[:, order][:, :, order]
    bits = moved[:, source, target] @ (np.uint32(1) << np.arange(len(source), dtype=np.uint32))
    return np.where(moved[:, target, source].any(axis=1), _NO_GRAPH, bits)


def _hash_all(codes: np.ndarray) -> Iterator[str]:
    """Module hashes in order, finding each graph's neighbours once for all its labelings."""
    graph, before, after, size = -1, [], [], 0
    for code in codes.tolist():
        if code >> _EDGES_SHIFT != graph:
            graph, cell = code >> _EDGES_SHIFT, decode(code)
            size = cell.num_vertices
            before = [cell.predecessors(v) for v in range(size)]
            after = [tuple(v for v, edge in enumerate(row) if edge) for row in cell.adjacency]
        yield module_hash(before, after, [-1, *_digits(code & 255, size), -2])


def _read(path: Path, count: int) -> bytes | None:
    """``count`` digests of 16 bytes, or None if the file is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digests, checksum = data[:-32], data[-32:]
    whole = len(digests) == 16 * count and sha256(digests).digest() == checksum
    return digests if whole else None


def _write(path: Path, digests: bytes) -> None:
    make_folder(path.parent)
    with files.replacing(path) as file:
        file.write(digests + sha256(digests).digest())
