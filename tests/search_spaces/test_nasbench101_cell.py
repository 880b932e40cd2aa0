"""Cells are checked, pruned, hashed and given channels as the official code does it."""

import json
import random
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasproxy.errors import ArchitectureError, SettingError
from search_spaces.nasbench101.cell import (
    CONV1X1,
    CONV3X3,
    INPUT,
    MAX_EDGES,
    MAX_VERTICES,
    MAXPOOL3X3,
    OPS,
    OUTPUT,
    Cell,
    vertex_channels,
)

# SPEC.md, section 3: a cell of the official file and its module hash.
EDGES = [(0, 1), (0, 4), (0, 5), (1, 2), (2, 3), (2, 6), (3, 5), (4, 5), (5, 6)]
INTERIOR = [CONV3X3, MAXPOOL3X3, CONV3X3, CONV3X3, CONV1X1]
HASH = "00005c142e6f48ac74fdcf73e3439874"

Graph = tuple[np.ndarray, list[str]]


def matrix_of(edges: list[tuple[int, int]], size: int) -> np.ndarray:
    matrix = np.zeros((size, size), int)
    for source, target in edges:
        matrix[source, target] = 1
    return matrix


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A valid matrix of up to seven vertices: a path from end to end, up to three more edges."""
    size = draw(st.integers(2, MAX_VERTICES))
    path = [0, *(v for v in range(1, size - 1) if draw(st.booleans())), size - 1]
    pair = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).map(sorted)
    extra = draw(st.lists(pair.filter(lambda ends: ends[0] < ends[1]), max_size=3))
    edges = [*pairwise(path), *((u, v) for u, v in extra)]
    interior = draw(st.lists(st.sampled_from(OPS), min_size=size - 2, max_size=size - 2))
    return matrix_of(edges, size), [INPUT, *interior, OUTPUT]


cells = graphs().map(lambda graph: Cell.create(*graph))


def relabelled(cell: Cell, chooser: random.Random) -> Cell:
    """The same cell with its vertices in another order that keeps every edge forward."""
    order: list[int] = []
    while len(order) < cell.num_vertices:
        ready = [
            v
            for v in range(cell.num_vertices)
            if v not in order and set(cell.predecessors(v)) <= set(order)
        ]
        order.append(chooser.choice(ready))
    matrix = np.array(cell.adjacency)[np.ix_(order, order)]
    return Cell.create(matrix, [cell.ops[v] for v in order])


def test_published_cell() -> None:
    cell = Cell.create(matrix_of(EDGES, 7), [INPUT, *INTERIOR, OUTPUT])
    assert cell.key == HASH
    assert (cell.num_vertices, cell.num_edges) == (7, 9)
    assert cell.predecessors(5) == (0, 3, 4)
    assert vertex_channels(cell, 128, 256) == (128, 128, 128, 128, 128, 128, 256)


def test_pruning_drops_dangling_vertices_and_keeps_the_order() -> None:
    # 1 is not reached, 4 leads nowhere; the path is 0, 2, 3, 5.
    matrix = matrix_of([(0, 2), (1, 3), (2, 3), (2, 4), (3, 5)], 6)
    cell = Cell.create(matrix, [INPUT, CONV1X1, CONV3X3, MAXPOOL3X3, CONV1X1, OUTPUT])
    assert cell.ops == (INPUT, CONV3X3, MAXPOOL3X3, OUTPUT)
    assert cell.adjacency == ((0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0))


def test_limits_apply_after_pruning() -> None:
    dangling = [(0, v) for v in range(1, 11)]
    ops = [INPUT, *["unheard of"] * 10, OUTPUT]
    cell = Cell.create(matrix_of([*dangling, (0, 11)], 12), ops)
    assert cell == Cell(((0, 1), (0, 0)), (INPUT, OUTPUT))


@given(cells)
def test_pruning_is_idempotent(cell: Cell) -> None:
    assert Cell.create(cell.adjacency, cell.ops) == cell


@given(cells)
def test_cells_are_pruned_and_within_limits(cell: Cell) -> None:
    matrix = np.array(cell.adjacency)
    assert matrix[:-1].any(axis=1).all()
    assert matrix[:, 1:].any(axis=0).all()
    assert matrix.sum() == cell.num_edges <= MAX_EDGES
    assert cell.num_vertices <= MAX_VERTICES


@given(cells, st.randoms(use_true_random=False))
def test_key_ignores_the_order_of_vertices(cell: Cell, chooser: random.Random) -> None:
    assert relabelled(cell, chooser).key == cell.key


@given(cells)
def test_key_sees_the_operations(cell: Cell) -> None:
    for v in range(1, cell.num_vertices - 1):
        changed = list(cell.ops)
        changed[v] = OPS[(OPS.index(cell.ops[v]) + 1) % 3]
        assert Cell.create(cell.adjacency, changed).key != cell.key


@given(cells)
def test_json_round_trip(cell: Cell) -> None:
    text = cell.to_json()
    assert Cell.from_json(text) == cell
    assert hash(Cell.from_json(text)) == hash(cell)
    assert set(json.loads(text)) == {"adjacency", "ops"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a cell"),
        ("null", "not a cell"),
        ('{"ops": ["input", "output"]}', "not a cell"),
        ('{"adjacency": [[0, 1], [0, 0]], "ops": ["input", "output"], "x": 1}', "not a cell"),
        ('{"adjacency": null, "ops": ["input", "output"]}', "shape"),
        ('{"adjacency": [[0, 1], [0, 0]], "ops": null}', "list of names"),
        ('{"adjacency": [[0, 1], [0, 0]], "ops": [0, 1]}', "list of names"),
    ],
)
def test_from_json_rejects(text: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Cell.from_json(text)


EDGE = [[0, 1], [0, 0]]
ENDS = [INPUT, OUTPUT]
CHAIN = [(v, v + 1) for v in range(7)]
TEN = [(u, v) for u in range(5) for v in range(u + 1, 5)]


@pytest.mark.parametrize(
    ("adjacency", "ops", "message"),
    [
        ([[0, 1]], ENDS, r"shape \(1, 2\)"),
        ([0, 1], ENDS, r"shape \(2,\)"),
        ([[0]], [INPUT], r"shape \(1, 1\)"),
        ([], [], r"shape \(0,\)"),
        ([[0, 1], [0]], ENDS, "not rectangular"),
        ([[0, 2], [0, 0]], ENDS, "holds 2"),
        ([[0, -1], [0, 0]], ENDS, "holds -1"),
        ([[0, 0.5], [0, 0]], ENDS, r"holds 0\.5"),
        ([[0, float("nan")], [0, 0]], ENDS, "holds nan"),
        ([["0", "1"], ["0", "0"]], ENDS, "holds '0'"),
        ([[0, None], [0, 0]], ENDS, "holds None"),
        ([[0, 1], [1, 0]], ENDS, "edge 1 → 0"),
        ([[1, 1], [0, 0]], ENDS, "edge 0 → 0"),
        (EDGE, [INPUT], "1 entries for 2 vertices"),
        (EDGE, [INPUT, CONV3X3, OUTPUT], "3 entries for 2 vertices"),
        (EDGE, "io", "list of names"),
        (EDGE, None, "list of names"),
        (EDGE, [INPUT, 3], "list of names"),
        (EDGE, [OUTPUT, INPUT], "runs from 'output' to 'input'"),
        (EDGE, [INPUT, CONV3X3], "runs from 'input' to 'conv3x3-bn-relu'"),
        ([[0, 0], [0, 0]], ENDS, "not connected"),
        (matrix_of([(0, 1)], 3), [INPUT, CONV3X3, OUTPUT], "not connected"),
        (matrix_of(CHAIN[:2], 3), [INPUT, "conv5x5", OUTPUT], "unknown operation 'conv5x5'"),
        (matrix_of(CHAIN[:2], 3), [INPUT, INPUT, OUTPUT], "unknown operation 'input'"),
        (matrix_of(CHAIN, 8), [INPUT, *[CONV3X3] * 6, OUTPUT], "8 vertices after pruning"),
        (matrix_of(TEN, 5), [INPUT, *[CONV3X3] * 3, OUTPUT], "10 edges after pruning"),
    ],
)
def test_create_rejects(adjacency: list, ops: list[str], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Cell.create(adjacency, ops)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32])
def test_create_accepts_any_numeric_dtype(dtype: type) -> None:
    assert Cell.create(np.array(EDGE, dtype), ENDS) == Cell.create(EDGE, ENDS)


def test_channel_remainder_goes_to_the_earliest() -> None:
    matrix = matrix_of([(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)], 5)
    cell = Cell.create(matrix, [INPUT, *[CONV3X3] * 3, OUTPUT])
    assert vertex_channels(cell, 8, 11) == (8, 4, 4, 3, 11)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(0, 8), (8, 0), (8, 1)])
def test_channels_reject_too_narrow_a_network(in_channels: int, out_channels: int) -> None:
    matrix = matrix_of([(0, 1), (0, 2), (1, 3), (2, 3)], 4)
    cell = Cell.create(matrix, [INPUT, CONV3X3, CONV1X1, OUTPUT])
    with pytest.raises(SettingError, match="at least 1 and 2"):
        vertex_channels(cell, in_channels, out_channels)


# Parity with nasbench_pytorch, which carries the official model_spec.py and graph_util.py.


@pytest.fixture
def reference() -> SimpleNamespace:
    reason = "nasbench_pytorch is not installed: pip install 'nasproxy[parity]'"
    pytest.importorskip("nasbench_pytorch", reason=reason)
    from nasbench_pytorch.model import model, model_spec

    return SimpleNamespace(model=model, model_spec=model_spec)


def random_graph(rng: np.random.Generator) -> Graph:
    """Two to nine vertices, any density; now and then a back edge, bad name or op too many."""
    size = int(rng.integers(2, 10))
    matrix = np.triu(rng.random((size, size)) < rng.uniform(0.1, 0.9), 1).astype(int)
    ops = [INPUT, *rng.choice(OPS, size - 2).tolist(), OUTPUT]
    fault = rng.integers(12)
    if fault == 0:
        matrix[-1, 0] = 1
    elif fault == 1:
        ops[int(rng.integers(size))] = "conv5x5"
    elif fault == 2:
        ops.append(OUTPUT)
    return matrix, ops


def official(model_spec: ModuleType, graph: Graph):
    """The pruned ModelSpec, or None where it or the official `NASBench.is_valid` refuses."""
    matrix, ops = graph
    try:
        spec = model_spec.ModelSpec(matrix.copy(), list(ops))
    except (ValueError, TypeError, RuntimeError):  # torch.tensor(None) if the ends are not joined
        return None
    spec.matrix = spec.matrix.numpy()  # hash_spec sums it with NumPy, which torch no longer takes
    fits = len(spec.ops) <= MAX_VERTICES and spec.matrix.sum() <= MAX_EDGES
    known = all(op in OPS for op in spec.ops[1:-1])
    return spec if fits and known and (spec.ops[0], spec.ops[-1]) == (INPUT, OUTPUT) else None


def test_parity_of_validity_pruning_hash_and_channels(reference: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    valid = 0
    for _ in range(1500):
        graph = random_graph(rng)
        spec = official(reference.model_spec, graph)
        if spec is None:
            with pytest.raises(ArchitectureError):
                Cell.create(*graph)
            continue
        valid += 1
        cell = Cell.create(*graph)
        assert np.array_equal(cell.adjacency, spec.matrix)
        assert list(cell.ops) == spec.ops
        assert cell.key == spec.hash_spec(list(OPS))
        for widths in [(128, 128), (128, 256), (16, 16), (7, 11)]:
            expected = reference.model.compute_vertex_channels(*widths, spec.matrix)
            assert vertex_channels(cell, *widths) == tuple(expected)
    assert 400 < valid < 1100  # many of both kinds, or the comparison says little
