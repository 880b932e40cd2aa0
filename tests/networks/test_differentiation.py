"""Gradients layer by layer equal those of the whole network, and those of its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from nasproxy.networks import execution
from nasproxy.networks.differentiation import pullback, value_and_grad
from nasproxy.networks.execution import Variables, train_values
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import Add, ConvBN, Dense, GlobalAverage, Halve
from search_spaces import NASBench101
from search_spaces.nasbench101.cell import CONV1X1, CONV3X3, MAXPOOL3X3, Cell
from tests.support import reference

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


def whole(graph: Graph, params: Variables, images: Array) -> Array:
    """Logits as one function."""
    values = [images]
    for step, given in zip(graph.steps, params, strict=True):
        output, _ = step.layer.train(given, *(values[i] for i in step.inputs))
        values.append(output)
    return values[-1]


def close(actual: Variables, expected: Variables) -> None:
    for got, want in zip(actual, expected, strict=True):
        assert got.keys() == want.keys()
        for name in want:
            assert got[name].shape == want[name].shape
            atol = 2e-5 * max(1.0, float(np.abs(want[name]).max()))
            np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=atol)


def defined_loss(graph: Graph, params: Variables) -> float:
    """In float64, of a network that JAX has no part in."""
    _, logits, _ = reference.forward(graph, params, None, IMAGES)
    shifted = logits - logits.max(1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float(-log_softmax[np.arange(len(LABELS)), LABELS].mean())


@pytest.mark.parametrize("name", CELLS)
def test_equals_differences_of_the_definition(name: str) -> None:
    """The slope along a random direction of each step's parameters; loss and statistics."""
    graph = graph_of(*CELLS[name])
    params = drawn(graph)
    found = value_and_grad(graph, jax.device_put(params), *jax.device_put((IMAGES, LABELS)))
    rng = np.random.default_rng(1)
    slopes = []
    for position, arrays in enumerate(params):
        direction = {k: rng.normal(size=a.shape) for k, a in arrays.items()}
        losses = []
        for shift in (1e-7, -1e-7):
            moved = {k: a + shift * direction[k] for k, a in arrays.items()}
            there = [*params[:position], moved, *params[position + 1 :]]
            losses.append(defined_loss(graph, there))
        slope = sum(float(np.vdot(found.grads[position][k], d)) for k, d in direction.items())
        slopes.append((slope, (losses[0] - losses[1]) / 2e-7))
    got, expected = np.array(slopes).T
    learning = [bool(arrays) for arrays in params]
    assert ((np.abs(expected) > 1e-4) == learning).all()
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())

    assert float(found.loss) == pytest.approx(defined_loss(graph, params), rel=1e-5)
    _, logits, stats = reference.forward(graph, params, None, IMAGES)
    close(found.stats, stats)
    assert int(found.correct) == np.sum(logits.argmax(1) == LABELS)


@pytest.mark.parametrize("name", ["uneven split", "truncated, many readers"])
def test_equals_grad_of_the_whole(name: str) -> None:
    graph = graph_of(*CELLS[name])
    params = jax.device_put(drawn(graph))
    images, labels = jax.device_put((IMAGES, LABELS))

    def loss(params: Variables) -> Array:
        logits = whole(graph, params, images)
        return -jax.nn.log_softmax(logits)[jnp.arange(len(LABELS)), labels].mean()

    close(value_and_grad(graph, params, images, labels).grads, jax.jit(jax.grad(loss))(params))


def test_values_serve_several_cotangents() -> None:
    """A pullback is linear in the cotangent, and takes any cotangent of the logits."""
    graph = graph_of(*CELLS["output fed by the input"])
    params = jax.device_put(drawn(graph))
    values, _ = train_values(graph, params, jax.device_put(IMAGES))
    first, second = np.random.default_rng(2).normal(size=(2, 6, 4)).astype(np.float32)
    pulls = [pullback(graph, params, values, jax.device_put(c)) for c in (first, second)]
    both = pullback(graph, params, values, jax.device_put(first + second))
    close(both, jax.tree.map(np.add, *pulls))
    _, expected = jax.vjp(lambda p: whole(graph, p, jax.device_put(IMAGES)), params)
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
    values, _ = train_values(graph, params, images)
    cotangent = jnp.ones_like(values[-1])
    _, expected = jax.vjp(lambda p: whole(graph, p, images), params)
    close(pullback(graph, params, values, cotangent), expected(cotangent)[0])
