"""NAS-Bench-301: published counts, cells against their definition, one key for one network."""

import math
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy import truth
from nasproxy.errors import ArchitectureError, DataError, SettingError
from nasproxy.networks import execution
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import (
    AveragePool3x3,
    ConvBN,
    DepthwiseConv,
    MaxPool3x3,
    OddPixels,
    PlainBN,
)
from search_spaces import NASBench301
from tests.support import reference
from tests.support.networks import programs as programs_of

SPACE = NASBench301()
IMAGE = (32, 32, 3)
KEY = (
    "(((0, 0), (1, 5), (0, 1), (1, 1), (0, 3), (1, 3), (1, 3), (3, 2)), "
    "((0, 2), (1, 0), (0, 3), (1, 3), (0, 1), (3, 0), (2, 0), (3, 6)))"
)


@pytest.fixture(scope="module")
def table(shared: Path) -> Path:
    path = shared / "data" / "truth" / "nasbench301_surrogate_sample.parquet"
    if not path.is_file():
        pytest.skip("shared/ holds no nasbench301_surrogate_sample.parquet")
    return path


def test_table_parameters(table: Path) -> None:
    """Every row, exactly; read by the space's own column, each a network of its own."""
    series = truth.read(table, "params_millions", spaces=[SPACE])
    assert len(series) == 725
    counted = [SPACE.graph(key, IMAGE, 10).parameters for key in series.index]
    assert counted == np.rint(series.to_numpy() * 1e6).astype(int).tolist()


def test_table_operations(table: Path) -> None:
    """Multiply-adds, one for each value that ReLU and batch norm make, nine a pooled one: the
    table's count but for a constant, which is neither an operation's nor an edge's."""
    series = truth.read(table, "flops_millions", spaces=[SPACE])
    graphs = [SPACE.graph(key, IMAGE, 10) for key in series.index]
    ours = np.array([graph.flops // 2 + elementwise(graph) for graph in graphs])
    beyond = np.rint(series.to_numpy() * 1e6).astype(int) - ours
    assert beyond.min() == beyond.max()
    assert abs(beyond[0]) < 0.01 * ours.min()


def elementwise(graph: Graph) -> int:
    """Values that ReLU and batch norm make, and nine for each that a pool does.

    A pool that two nodes read counts twice, and the ReLU before a factorised reduction once.
    """
    readers = [0] * len(graph.shapes)
    for step in graph.steps:
        for value in step.inputs:
            readers[value] += 1
    found = 0
    for value, step in enumerate(graph.steps, start=1):
        before, made = (math.prod(graph.shapes[i]) for i in (step.inputs[0], value))
        match step.layer:
            case ConvBN(preactivation=preactivation):
                shifted = isinstance(graph.steps[step.inputs[0] - 1].layer, OddPixels)
                found += made + (before if preactivation and not shifted else 0)
            case DepthwiseConv():
                found += before
            case MaxPool3x3() | AveragePool3x3():
                found += 9 * made * readers[value + 1]
            case PlainBN():
                found += made * readers[value]
    return found


def test_rows_of_the_table() -> None:
    """Published counts, for a checkout without the table."""
    assert SPACE.graph(KEY, IMAGE, 10).parameters == 856_298
    smallest = SPACE.find(str(((((0, 0), (1, 0)) * 4),) * 2).replace("),)", "))"))
    only_pools = SPACE.graph(smallest, IMAGE, 10)
    inside = [s for s in only_pools.steps if ".input" not in s.name and s.layer.parameters()]
    assert [s.name for s in inside] == ["stem", "readout"]


def test_programs_of_the_space() -> None:
    """As the docstring says; width and cells change their shapes, not their number."""
    every = SPACE.sample(150, 0)
    found = set()
    for key in every:
        found |= programs_of(SPACE.graph(key, IMAGE, 10))
    assert len(found) == 70
    assert " 70 programs" in (NASBench301.__doc__ or "")


def factorised(steps: dict, name: str, x: np.ndarray) -> np.ndarray:
    """DARTS' FactorizedReduce: two strided 1×1 convolutions, the second a pixel further."""
    x = np.maximum(x, 0)
    halves = [
        x[:, i::2, i::2] @ steps[f"{name}.{half}"]["kernel"][0, 0]
        for i, half in enumerate(("even", "odd"))
    ]
    return reference.normalised(np.concatenate(halves, -1), {}, {}, "none")[0]


def projected(steps: dict, name: str, x: np.ndarray) -> np.ndarray:
    """ReLU, 1×1 convolution, batch norm at initialisation."""
    product = np.maximum(x, 0) @ steps[name]["kernel"][0, 0]
    return reference.normalised(product, {}, {}, "none")[0]


def operation(steps: dict, name: str, op: int, x: np.ndarray, stride: int) -> np.ndarray:
    """One edge as DARTS has it, ``x`` ``[n, h, w, c]``."""
    if op in (0, 1):
        pooled = (reference.pooled if op == 0 else reference.averaged)(x)[:, ::stride, ::stride]
        return reference.normalised(pooled, {}, {}, "none")[0]
    if op == 2:
        return x if stride == 1 else factorised(steps, name, x)
    size, dilated = (3 if op in (3, 5) else 5), op >= 5
    for half in (2,) if dilated else (1, 2):
        kernel = steps[f"{name}.depthwise{half}"]
        assert kernel["kernel"].shape[:2] == (size, size)
        spatial = (stride if half == 1 or dilated else 1), 1 + dilated
        x = reference.convolved(np.maximum(x, 0), reference.diagonal(kernel), *spatial)
        x = x @ steps[f"{name}.pointwise{half}"]["kernel"][0, 0]
        x = reference.normalised(x, {}, {}, "none")[0]
    return x


@pytest.mark.parametrize("seed", range(4))
def test_cells_are_what_their_key_says(seed: int) -> None:
    """Written a second time from DARTS' description, with the same weights."""
    space = NASBench301(width=4, cells=4)
    key = space.sample(1, seed)[0]
    rng = np.random.default_rng(seed)
    graph = space.graph(key, (16, 16, 3), 4)
    drawn = execution.initialise(graph, rng)
    images = rng.normal(size=(2, 16, 16, 3)).astype(np.float32)
    found = execution.features(graph, drawn, [{} for _ in drawn], jax.device_put(images))

    steps = {s.name: params for s, params in zip(graph.steps, drawn, strict=True)}
    normal, reduction = eval(key)
    stem = reference.convolved(images.astype(np.float64), steps["stem"]["kernel"])
    x = reference.normalised(stem, {}, {}, "none")[0]
    last, before, halved = x, x, False
    for number in range(4):
        reduces = number in (1, 2)  # at one and two thirds of four cells
        scope = f"cell{number + 1}"
        first = (factorised if halved else projected)(steps, f"{scope}.input0", before)
        values = [first, projected(steps, f"{scope}.input1", last)]
        edges = reduction if reduces else normal
        for node in range(4):
            total = 0.0
            for source, op in edges[2 * node : 2 * node + 2]:
                name = f"{scope}.edge{source}to{node + 2}"
                stride = 2 if reduces and source < 2 else 1
                total = total + operation(steps, name, op, values[source], stride)
            values.append(np.asarray(total))
        before, last, halved = last, np.concatenate(values[2:], -1), reduces
    expected = last.mean((1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * abs(expected).max())


@st.composite
def renamed(draw: st.DrawFn) -> tuple[str, str]:
    """Two genotypes of one network: edges of a node and nodes of a cell in another order."""
    key = SPACE.sample(1, draw(st.integers(0, 10_000)))[0]
    cells = []
    for cell in eval(key):
        nodes = [list(cell[2 * i : 2 * i + 2]) for i in range(4)]
        order: list[int] = []
        while len(order) < 4:  # any node whose sources have their places
            ready = [
                i
                for i in range(4)
                if i not in order and all(s < 2 or s - 2 in order for s, _ in nodes[i])
            ]
            order.append(draw(st.sampled_from(ready)))
        place = {0: 0, 1: 1} | {node + 2: at + 2 for at, node in enumerate(order)}
        moved = [draw(st.permutations([(place[s], op) for s, op in nodes[i]])) for i in order]
        cells.append(tuple(edge for node in moved for edge in node))
    return key, str(tuple(cells)).replace(" ", "")


@settings(max_examples=60, deadline=None)
@given(renamed())
def test_one_network_has_one_key(pair: tuple[str, str]) -> None:
    key, other = pair
    assert SPACE.find(other) == SPACE.find(key) == key
    assert SPACE.canonical(f" {other}\n") == key
    counted = [SPACE.graph(text, IMAGE, 10) for text in pair]
    assert counted[0].parameters == counted[1].parameters
    assert counted[0].flops == counted[1].flops


def test_operations_and_sources_tell_keys_apart() -> None:
    assert SPACE.find(KEY) == KEY
    others = {SPACE.mutate(KEY, np.random.default_rng(seed)) for seed in range(200)}
    assert KEY not in others
    assert len(others) > 80


CELL = "((0, 0), (1, 5), (0, 1), (1, 1), (0, 3), (1, 3), (1, 3), (3, 2))"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (CELL.replace("(0, 0), (1, 5)", "(0, 0), (0, 5)"), "node 2 .* cannot read 0 and 0"),
        (CELL.replace("(0, 1), (1, 1)", "(0, 1), (3, 1)"), "node 3 .* from 0 to 2"),
        (CELL.replace("(3, 2)", "(3, 7)"), "is no architecture of nasbench301: write"),
        (CELL.replace(", (3, 2)", ""), "is no architecture of nasbench301: write"),
    ],
)
def test_no_genotype(cell: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        SPACE.find(f"({CELL}, {cell})")
    assert SPACE.canonical(f"({cell}, {CELL})") is None


@pytest.mark.parametrize("shape", [(30, 32, 3), (32, 2, 3)])
def test_images_that_cannot_be_halved(shape: tuple[int, int, int]) -> None:
    with pytest.raises(DataError, match="multiples of 4"):
        SPACE.graph(KEY, shape, 10)


def test_two_cells_cannot_be_both_kinds() -> None:
    with pytest.raises(SettingError, match="cells"):
        NASBench301(cells=2)


def test_darts_own_network() -> None:
    """20 cells of 36 channels: the published DARTS (second order) has 3.3 million parameters, of
    which some forty thousand are scales and biases that this network does not learn."""
    normal = "((0, 3), (1, 3), (0, 3), (1, 3), (0, 2), (1, 3), (0, 2), (2, 5))"
    reduction = "((0, 0), (1, 0), (1, 0), (2, 2), (0, 0), (2, 2), (1, 0), (2, 2))"
    network = NASBench301(width=36, cells=20).graph(f"({normal}, {reduction})", IMAGE, 10)
    assert network.parameters == pytest.approx(3.3e6, rel=0.02)
