"""A graph's counts and shapes against independent ones."""

import math
import re

import jax
import numpy as np
import pytest

from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import Add, ConvBN, Dense, GlobalAverage, Halve, MaxPool3x3
from nasproxy.plugins import SPACES
from search_spaces import NASBench101
from search_spaces.nasbench101 import Cell
from tests.conftest import network_of


def chain() -> Graph:
    """conv 3 → 4, then a pool and a conv of it added up, mean, readout."""
    builder = Builder((6, 6, 3))
    stem = builder.add(ConvBN(3, 3, 4), builder.image)
    pool = builder.add(MaxPool3x3(4), stem)
    conv = builder.add(ConvBN(1, 4, 4), stem)
    both = builder.add(Add(4), pool, conv, stem)
    builder.add(Dense(4, 5), builder.add(GlobalAverage(), both))
    return builder.graph()


def test_counts_of_a_graph_by_hand() -> None:
    graph = chain()
    square = (6, 6, 4)
    assert graph.shapes == ((6, 6, 3), square, square, square, square, (4,), (5,))
    assert graph.features == 4
    assert graph.parameters == (27 * 4 + 8) + (16 + 8) + (4 * 5 + 5)
    assert graph.flops == 2 * (36 * 27 * 4 + 36 * 16 + 4 * 5)
    assert graph.last_use == ((0,), (), (), (1, 2, 3), (4,), (5,))


@pytest.mark.parametrize("seed", range(12))
def test_every_value_but_the_logits_is_given_up_by_its_last_reader(seed: int) -> None:
    graph = network_of(NASBench101(width=8), seed)
    gone: set[int] = set()
    for step, dead in zip(graph.steps, graph.last_use, strict=True):
        assert not gone & set(step.inputs), "a value is read after it went"
        assert set(dead) <= set(step.inputs)
        gone |= set(dead)
    assert gone == set(range(len(graph.steps)))


@pytest.mark.parametrize("seed", range(12))
def test_shapes_are_those_of_the_arrays(seed: int) -> None:
    """JAX's abstract evaluation against what every layer says of itself."""
    graph = network_of(NASBench101(width=12, stacks=2, cells=1), seed, (9, 8, 3))
    values = [jax.ShapeDtypeStruct((2, *graph.image_shape), np.float32)]
    for step in graph.steps:
        params = {
            name: jax.ShapeDtypeStruct(shape, np.float32)
            for name, shape in step.layer.parameters().items()
        }
        inputs = [values[i] for i in step.inputs]
        values.append(jax.eval_shape(step.layer.infer, params, step.layer.statistics(), *inputs))
    assert [v.shape for v in values] == [(2, *shape) for shape in graph.shapes]


def test_flops_of_the_smallest_cell_by_hand() -> None:
    """Input to output alone: stem, nine projections, readout."""
    cell = Cell.create([[0, 1], [0, 0]], ["input", "output"])
    graph = NASBench101(width=16).graph(cell, (8, 8, 3), 10)
    stem = 64 * 27 * 16
    stacks = 64 * 3 * 16 * 16 + 16 * (16 * 32 + 2 * 32 * 32) + 4 * (32 * 64 + 2 * 64 * 64)
    assert graph.flops == 2 * (stem + stacks + 64 * 10)


@pytest.mark.parametrize("seed", range(6))
def test_flops_equal_a_count_over_kernels(seed: int) -> None:
    """Each weight of a kernel is used once for every output pixel."""
    graph = network_of(NASBench101(width=20), seed)
    pixels = [math.prod(shape[:-1]) for shape in graph.shapes[1:]]
    kernels = [step.layer.parameters().get("kernel", (0,)) for step in graph.steps]
    assert graph.flops == 2 * sum(math.prod(k) * p for k, p in zip(kernels, pixels, strict=True))


def test_equal_graphs_hash_alike() -> None:
    """What makes a graph a key of caches, and a layer a static argument of jit."""
    assert chain() == chain()
    assert hash(chain()) == hash(chain())
    assert network_of(NASBench101(width=8), 0) != network_of(NASBench101(width=8), 1)


def test_names_are_nested_by_scopes() -> None:
    builder = Builder((4, 4, 3))
    x = builder.add(ConvBN(3, 3, 4), builder.image, name="stem")
    with builder.scope("stack1"):
        with builder.scope("cell1"):
            x = builder.add(ConvBN(1, 4, 4), x, name="vertex1")
        x = builder.add(Halve(), x)
    builder.add(Dense(4, 2), builder.add(GlobalAverage(), x), name="readout")
    names = [step.name for step in builder.graph().steps]
    assert names == ["stem", "stack1.cell1.vertex1", "stack1.layer3", "layer4", "readout"]


def test_without_names_steps_are_numbered() -> None:
    assert [step.name for step in chain().steps] == [f"layer{i}" for i in range(1, 7)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["stem", "stem"], "2 steps are named 'stem'"),
        (["layer2", None], "2 steps are named 'layer2'"),
        (["stack1", "stack1.cell1.conv"], "'stack1' as a scope is"),
        (["stack1.cell1", "stack1.cell1.conv"], "'stack1.cell1' as a scope is"),
        (["3x3"], "'3x3': give identifiers"),
        (["stack1..conv"], "give identifiers"),
        ([""], "'': give identifiers"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(names: list[str | None], message: str) -> None:
    builder = Builder((4, 4, 4))
    for name in names:
        builder.add(Add(4), builder.image, name=name)
    with pytest.raises(ValueError, match=message):
        builder.graph()


def test_a_scope_ends_when_it_fails() -> None:
    builder = Builder((4, 4, 4))
    with pytest.raises(RuntimeError), builder.scope("inner"):
        raise RuntimeError
    builder.add(Add(4), builder.image, name="outer")
    assert builder.graph().steps[0].name == "outer"


@pytest.mark.parametrize("name", sorted(SPACES))
def test_spaces_name_every_step(name: str) -> None:
    """Readably: none is left to its number."""
    space = SPACES[name]()
    for architecture in space.sample(20, 0):
        for step in space.graph(architecture, (32, 32, 3), 4).steps:
            assert re.fullmatch(r"[a-z_]+[0-9to_]*(\.[a-z_]+[0-9to_]*)*", step.name)
            last = step.name.rpartition(".")[2]
            assert not last.startswith("layer"), step.name
