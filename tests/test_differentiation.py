"""Gradients layer by layer equal those of the whole network, and those of its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from search_spaces import NASBench101, execution
from search_spaces.differentiation import forward, pullback, value_and_grad
from search_spaces.execution import Variables
from search_spaces.graph import Builder, Graph
from search_spaces.layers import Add, ConvBN, Dense, GlobalAverage, Halve
from search_spaces.nasbench101.cell import CONV1X1, CONV3X3, MAXPOOL3X3, Cell
from tests import reference

SPACE = NASBench101(width=8, stacks=1, cells=1)
IMAGES = np.random.default_rng(3).normal(size=(6, 4, 4, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 0, 1], np.int32)

CELLS = {
    "two vertices": ([], "01"),
    "output fed by the input": ([CONV3X3], "01 02 12"),
    "uneven split": ([CONV3X3, CONV1X1, MAXPOOL3X3], "01 02 03 14 24 34"),
    "truncated, many readers": (
        [CONV1X1, CONV3X3, MAXPOOL3X3, CONV3X3, CONV1X1],
        "01 02 12 23 14 35 16 36 56",
    ),
    "a sum of three": ([CONV3X3, CONV1X1, CONV1X1, MAXPOOL3X3], "01 02 03 14 24 34 45 05"),
}


def graph_of(ops: list[str], edges: str) -> Graph:
    matrix = np.zeros((len(ops) + 2, len(ops) + 2), int)
    for edge in edges.split():
        matrix[int(edge[0]), int(edge[1])] = 1
    cell = Cell.create(matrix.tolist(), ["input", *ops, "output"])
    return SPACE.graph(cell, (4, 4, 3), 4)


def drawn(graph: Graph) -> Variables:
    """Weights, and scales and shifts away from the special points 1 and 0."""
    rng = np.random.default_rng(7)
    params = execution.initialise(graph, rng)
    for given, fixed in zip(params, execution.constants(graph), strict=True):
        for name, array in fixed.items():
            given[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
    return params


def whole(graph: Graph, params: Variables, images: Array) -> tuple[Array, Variables]:
    """Logits and batch statistics as one function."""
    values, collected = [images], []
    for step, given in zip(graph.steps, params, strict=True):
        output, stats = step.layer.train(given, *(values[i] for i in step.inputs))
        values.append(output)
        collected.append(stats)
    return values[-1], collected


def close(actual: Variables, expected: Variables) -> None:
    for got, want in zip(actual, expected, strict=True):
        assert got.keys() == want.keys()
        for name in want:
            assert got[name].shape == want[name].shape
            atol = 2e-5 * max(1.0, float(np.abs(want[name]).max()))
            np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=atol)


@pytest.mark.parametrize("name", CELLS)
def test_equals_grad_of_the_whole(name: str) -> None:
    graph = graph_of(*CELLS[name])
    params = jax.device_put(drawn(graph))
    images, labels = jax.device_put((IMAGES, LABELS))

    def loss(params: Variables) -> tuple[Array, Variables]:
        logits, stats = whole(graph, params, images)
        chosen = jax.nn.log_softmax(logits)[jnp.arange(len(LABELS)), labels]
        return -chosen.mean(), stats

    (expected, stats), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    found = value_and_grad(graph, params, images, labels)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
    close(found.grads, grads)
    close(found.stats, stats)
    logits = np.asarray(whole(graph, params, images)[0])
    assert int(found.correct) == np.sum(logits.argmax(1) == LABELS)


def test_equals_differences_of_the_definition() -> None:
    """The slope along a random direction, in float64, of a network that JAX has no part in."""
    graph = graph_of(*CELLS["truncated, many readers"])
    params = drawn(graph)
    rng = np.random.default_rng(1)
    direction = [{k: rng.normal(size=a.shape) for k, a in p.items()} for p in params]

    def loss(shift: float) -> float:
        moved = [
            {k: a + shift * d[k] for k, a in p.items()}
            for p, d in zip(params, direction, strict=True)
        ]
        _, logits, _ = reference.forward(graph, moved, None, IMAGES)
        shifted = logits - logits.max(1, keepdims=True)
        log_softmax = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        return float(-log_softmax[np.arange(len(LABELS)), LABELS].mean())

    found = value_and_grad(graph, jax.device_put(params), *jax.device_put((IMAGES, LABELS)))
    slope = sum(
        float(np.vdot(grads[k], along[k]))
        for grads, along in zip(found.grads, direction, strict=True)
        for k in along
    )
    step = 1e-7
    expected = (loss(step) - loss(-step)) / (2 * step)
    assert abs(expected) > 0.01
    assert slope == pytest.approx(expected, rel=1e-3)


def test_values_serve_several_cotangents() -> None:
    """A pullback is linear in the cotangent, and takes any cotangent of the logits."""
    graph = graph_of(*CELLS["output fed by the input"])
    params = jax.device_put(drawn(graph))
    values, _ = forward(graph, params, jax.device_put(IMAGES))
    first, second = np.random.default_rng(2).normal(size=(2, 6, 4)).astype(np.float32)
    pulls = [pullback(graph, params, values, jax.device_put(c)) for c in (first, second)]
    both = pullback(graph, params, values, jax.device_put(first + second))
    close(both, jax.tree.map(np.add, *pulls))
    _, expected = jax.vjp(lambda p: whole(graph, p, jax.device_put(IMAGES))[0], params)
    close(pulls[0], expected(jax.device_put(first))[0])


def test_a_step_may_read_a_value_twice() -> None:
    builder = Builder((4, 4, 3))
    x = builder.add(ConvBN(1, 3, 8), builder.image)
    x = builder.add(Add(8), x, x)
    x = builder.add(Halve(), x)
    builder.add(Dense(8, 4), builder.add(GlobalAverage(), x))
    graph = builder.graph()
    params = jax.device_put(drawn(graph))
    images = jax.device_put(IMAGES)
    values, _ = forward(graph, params, images)
    cotangent = jnp.ones_like(values[-1])
    _, expected = jax.vjp(lambda p: whole(graph, p, images)[0], params)
    close(pullback(graph, params, values, cotangent), expected(cotangent)[0])
