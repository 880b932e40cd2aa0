"""Three ways to draw cells of NAS-Bench-101. Say which one: a proxy ranks differently on each."""

import numpy as np

from nasproxy.checks import Whole, checked
from nasproxy.errors import ArchitectureError
from search_spaces.nasbench101.cell import INPUT, MAX_VERTICES, OPS, OUTPUT, Cell
from search_spaces.nasbench101.enumeration import all_cells

_EDGE_SPOTS = np.argwhere(np.triu(np.ones((MAX_VERTICES, MAX_VERTICES), bool), 1)).tolist()
_OP_SPOTS = MAX_VERTICES - 2


def uniform(n: int, seed: int) -> list[Cell]:
    """Draw ``n`` distinct cells, each subset of the 423,624 equally likely; 85 % have 7 vertices.

    Raises:
        SettingError: ``n`` is negative or exceeds the space.
    """
    return all_cells().sample(n, np.random.default_rng(seed))


def random_matrix(n: int, seed: int) -> list[Cell]:
    """Draw ``n`` cells as the official notebook's ``random_spec`` does, independent of each other.

    A fair coin for each of the 21 edges of seven vertices, one of three operations for each of the
    five interior vertices; pruned; drawn again unless a path joins input and output and at most
    nine edges are left. Most have three to five vertices, hardly any seven. Isomorphic cells
    repeat (1,000 draws hold about 500); the notebook's loop around it passes over those that it
    has drawn: keep the first of each ``Cell.key`` for that. The random stream is NumPy's
    ``default_rng(seed)``, so the law is the notebook's and its cells are not.

    Raises:
        SettingError: ``n`` is negative.
    """
    n = checked("nasbench101", "n", n, Whole(0))
    rng = np.random.default_rng(seed)
    cells = []
    while len(cells) < n:
        coins = rng.integers(2, size=(MAX_VERTICES, MAX_VERTICES))
        cell = _valid(np.triu(coins, 1), rng.integers(len(OPS), size=_OP_SPOTS))
        if cell is not None:
            cells.append(cell)
    return cells


def mutate(cell: Cell, rng: np.random.Generator) -> Cell:
    """Change one edge or operation, as regularised evolution does (Real et al. 2019).

    The cell is first laid back into seven vertices: its interior keeps its order at random
    positions, the others get random operations and no edge. Then one of 26 spots (21 edges, 5
    operations) is drawn at a time: an edge is flipped, an operation replaced by another. An edit
    that leaves the space is undone; one that pruning hides (an edge to a loose vertex) stays, so
    that the cell can grow; the first that shows is the result. Any cell is reached from any other
    by repeating this: an edge from input to output lets all else be removed, and the reverse.

    The official notebook's ``mutate_spec`` is coarser: it flips each edge with probability 1/7 and
    replaces each operation with probability 1/5, all at once, in the unpruned matrix it keeps, and
    may return its argument. Unselected, a chain of either drifts to small cells (ours to a mean of
    4.6 edges).

    Returns:
        A cell of the space with another ``key``.
    """
    matrix, labels = _laid_out(cell, rng)
    while True:
        spot = int(rng.integers(len(_EDGE_SPOTS) + _OP_SPOTS))
        edited, relabelled = matrix.copy(), labels.copy()
        if spot < len(_EDGE_SPOTS):
            source, target = _EDGE_SPOTS[spot]
            edited[source, target] ^= 1
        else:
            vertex = spot - len(_EDGE_SPOTS)
            relabelled[vertex] = (labels[vertex] + rng.integers(1, len(OPS))) % len(OPS)
        mutant = _valid(edited, relabelled)
        if mutant is None:
            continue
        matrix, labels = edited, relabelled
        if mutant.key != cell.key:
            return mutant


def _valid(matrix: np.ndarray, labels: np.ndarray) -> Cell | None:
    """The cell of a (7, 7) matrix and five indices into ``OPS``, or None outside the space."""
    try:
        return Cell.create(matrix, [INPUT, *(OPS[label] for label in labels.tolist()), OUTPUT])
    except ArchitectureError:
        return None


def _laid_out(cell: Cell, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``cell`` within seven vertices: its (7, 7) matrix and five indices into ``OPS``."""
    places = np.sort(rng.choice(_OP_SPOTS, cell.num_vertices - 2, replace=False))
    vertices = [0, *(places + 1).tolist(), MAX_VERTICES - 1]
    matrix = np.zeros((MAX_VERTICES, MAX_VERTICES), np.int8)
    matrix[np.ix_(vertices, vertices)] = cell.adjacency
    labels = rng.integers(len(OPS), size=_OP_SPOTS)
    labels[places] = [OPS.index(op) for op in cell.ops[1:-1]]
    return matrix, labels
