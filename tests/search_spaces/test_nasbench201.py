"""NAS-Bench-201: published counts, cells against their definition, edges that lead nowhere."""

import math
from itertools import product
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from nasproxy import NNGP, score
from nasproxy.data import Dataset
from nasproxy.errors import ArchitectureError, DataError
from nasproxy.networks import execution
from nasproxy.networks.differentiation import value_and_grad
from nasproxy.networks.layers import ProjectAdd
from nasproxy.store import Store
from search_spaces import NASBench201
from search_spaces.nasbench201 import CONV1X1, CONV3X3, EDGES, NONE, OPS, POOL, SKIP
from tests.support import reference
from tests.support.networks import programs as programs_of

SPACE = NASBench201()
IMAGE = (32, 32, 3)


def key(*ops: str) -> str:
    return SPACE.assemble(ops)


def test_table_parameters(shared: Path) -> None:
    """Every row, to the precision given."""
    path = shared / "data" / "truth" / "nasbench201.parquet"
    if not path.is_file():
        pytest.skip("shared/ holds no nasbench201.parquet")
    table = pd.read_parquet(path)
    assert len(table) == table["arch_str"].nunique() == 5**6
    for row in table.to_dict("records"):
        graph = SPACE.graph(SPACE.find(SPACE.row_key(row)), IMAGE, 10)
        assert graph.parameters / 1e6 == pytest.approx(row["params_M"], abs=1e-9)


def test_extremes_of_the_table() -> None:
    """Published counts, for a checkout without the table."""
    assert SPACE.graph(key(*[NONE] * 6), IMAGE, 10).parameters == 73_306
    assert SPACE.graph(key(*[CONV3X3] * 6), IMAGE, 10).parameters == 1_531_546


def test_programs_of_the_whole_space() -> None:
    """As the docstring says; width and cells change their shapes, not their number."""
    space = NASBench201(cells=1)
    programs = set()
    for ops in product(OPS, repeat=6):
        programs |= programs_of(space.graph(space.assemble(ops), IMAGE, 10))
    assert len(programs) == 30
    assert " 30 programs" in (NASBench201.__doc__ or "")


def defined(ops: tuple[str, ...], x: np.ndarray, convolutions: list) -> np.ndarray:
    """A cell at initialisation by its definition; ``convolutions`` in the order of edges."""
    nodes = [x]
    for target in range(1, 4):
        node = np.zeros_like(x)
        for op, (source, end) in zip(ops, EDGES, strict=True):
            if end != target or op == NONE:
                continue
            if op == SKIP:
                node = node + nodes[source]
            elif op == POOL:
                node = node + reference.averaged(nodes[source])
            else:
                layer, params = convolutions.pop(0)
                assert layer.size == (3 if op == CONV3X3 else 1)
                node = node + reference.conv_bn(layer, params, {}, nodes[source])[0]
        nodes.append(node)
    return nodes[-1]


@pytest.mark.parametrize(
    "ops",
    [
        (CONV3X3, POOL, CONV1X1, SKIP, POOL, CONV3X3),
        (NONE, POOL, CONV1X1, POOL, CONV3X3, SKIP),
        (SKIP, SKIP, SKIP, SKIP, SKIP, SKIP),
        (POOL, POOL, POOL, POOL, POOL, POOL),
        (CONV1X1, CONV3X3, NONE, NONE, CONV1X1, CONV1X1),
    ],
)
def test_a_cell_is_what_its_key_says(ops: tuple[str, ...]) -> None:
    rng = np.random.default_rng(1)
    graph = NASBench201(width=8, cells=1).graph(key(*ops), (8, 8, 3), 4)
    params = execution.initialise(graph, rng)
    images = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    features = execution.features(graph, params, [{} for _ in params], jax.device_put(images))

    learnt = [(s.layer, p) for s, p in zip(graph.steps, params, strict=True) if p]
    x, _ = reference.apply(*learnt.pop(0), {}, [images.astype(np.float64)])
    convolutions = sum(op in (CONV1X1, CONV3X3) for op in ops)
    for stage in range(3):
        if stage:
            shortcut, first, second = (learnt.pop(0) for _ in range(3))
            n, h, w, c = x.shape
            halved = x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))
            y, _ = reference.apply(*first, {}, [x])
            y, _ = reference.apply(*second, {}, [y])
            x = y + halved @ shortcut[1]["kernel"][0, 0]
        cell = [learnt.pop(0) for _ in range(convolutions)]
        x = defined(ops, x, cell)
        assert not cell
    expected = np.maximum(x / math.sqrt(1 + 1e-5), 0).mean((1, 2))
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_a_cell_that_makes_nothing_fails_with_a_reason(tiny_data: Dataset) -> None:
    """No crash, no accuracy at chance, and the others are scored."""
    good, unreached = key(*[SKIP] * 6), key(CONV3X3, CONV3X3, CONV3X3, NONE, NONE, NONE)
    space, store = NASBench201(width=8, cells=1), Store(None)
    nngp = NNGP(n_train=16, n_valid=16)
    architectures = [key(*[NONE] * 6), unreached, good]
    table = score(architectures, space, nngp, tiny_data, store=store, progress=False)
    assert table["nngp"].isna().tolist() == [True, True, False]
    reasons = {r.error for r in store.records() if r.error}
    assert len(reasons) == 1
    assert "vanish" in reasons.pop()


def test_what_no_path_reads_counts_and_is_not_run() -> None:
    """The convolution into a node that nothing reads: parameters, but zero gradients."""
    space = NASBench201(width=8, cells=1)
    graph = space.graph(key(CONV3X3, SKIP, NONE, SKIP, NONE, CONV1X1), (8, 8, 3), 4)
    idle = [i for i, live in enumerate(graph.live) if not live]
    assert [graph.steps[i].layer for i in idle] == [
        ProjectAdd(3, c, c, activation="none", preactivation=True) for c in (8, 16, 32)
    ]
    rng = np.random.default_rng(0)
    params = [
        c | d
        for c, d in zip(execution.constants(graph), execution.initialise(graph, rng), strict=True)
    ]
    images = jax.device_put(rng.normal(size=(8, 8, 8, 3)).astype(np.float32))
    labels = jax.device_put(np.arange(8) % 4)
    grads = value_and_grad(graph, jax.device_put(params), images, labels).grads
    for i, step in enumerate(graph.steps):
        assert grads[i].keys() == step.layer.parameters().keys()
        assert any(np.any(g) for g in grads[i].values()) == (bool(params[i]) and i not in idle)


@pytest.mark.parametrize(
    "text", ["|none~0|", "|none~0|+|none~0|none~1|+|none~0|none~1|none~1|", "none", "|x~0|"]
)
def test_no_cell(text: str) -> None:
    with pytest.raises(ArchitectureError, match="no cell of nasbench201: write"):
        SPACE.find(text)


@pytest.mark.parametrize("shape", [(30, 32, 3), (32, 2, 3)])
def test_images_that_cannot_be_halved(shape: tuple[int, int, int]) -> None:
    with pytest.raises(DataError, match="multiples of 4"):
        SPACE.graph(key(*[SKIP] * 6), shape, 10)
