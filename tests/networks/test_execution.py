"""Layer by layer equals the whole, frees what it has used, and starts from the right weights."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import numpy as np
import pytest
from jax import Array

from nasproxy.networks import execution
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import Arrays, ConvBN, Dense, GlobalAverage, Layer, Shape
from search_spaces import NASBench101
from tests.conftest import network_of
from tests.support import reference
from tests.support.networks import close, far_variables

SMALL = NASBench101(width=12, stacks=2, cells=1)
IMAGES = np.random.default_rng(9).normal(size=(5, 8, 8, 3)).astype(np.float32)


def near(actual: Array | np.ndarray, expected: Array | np.ndarray) -> None:
    """float32 rounding accumulates over layers; it is small against the largest feature."""
    close(actual, expected, tolerance=2e-5)


def grown_statistics(graph: Graph, stats: Variables) -> Variables:
    like = execution.initial_statistics(graph)
    return [
        {
            name: np.resize(np.pad(a, (0, len(to[name]) - len(a))), len(to[name]))
            for name, a in s.items()
        }
        for s, to in zip(stats, like, strict=True)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_equals_one_jit_of_the_whole(seed: int) -> None:
    graph = network_of(NASBench101(width=8, stacks=1, cells=1), seed)
    params, stats = far_variables(graph, seed)

    @jax.jit
    def whole(params: Variables, stats: Variables, images: Array) -> list[Array]:
        values = [images]
        for step, given, moved in zip(graph.steps, params, stats, strict=True):
            values.append(step.layer.infer(given, moved, *(values[i] for i in step.inputs)))
        return values

    expected = whole(params, stats, jax.numpy.asarray(IMAGES))
    images = jax.device_put(IMAGES)
    near(execution.features(graph, params, stats, images), expected[-2])
    near(execution.logits(graph, params, stats, images), expected[-1])


@pytest.mark.parametrize("width", [12, 20])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition_padded_or_not(width: int, seed: int) -> None:
    """In inference and training mode; 12 and 20 channels are no multiples of a vector."""
    space = NASBench101(width=width, stacks=2, cells=1)
    graph = network_of(space, seed)
    padded = execution.pad(graph)
    params, stats = far_variables(graph, seed)
    placed = execution.place(padded, params)
    images = jax.device_put(IMAGES)
    d = graph.features
    assert d == 2 * width

    features, logits, _ = reference.forward(graph, params, stats, IMAGES)
    wide = grown_statistics(padded, stats)
    near(execution.features(graph, params, stats, images), features)
    near(execution.features(padded, placed, wide, images)[:, :d], features)
    near(execution.logits(graph, params, stats, images), logits)
    near(execution.logits(padded, placed, wide, images), logits)

    features, _, _ = reference.forward(graph, params, None, IMAGES)
    near(execution.train(graph, params, images)[0], features)
    near(execution.train(padded, placed, images)[0][:, :d], features)


def test_padding_leaves_the_real_channels_of_every_array() -> None:
    graph = network_of(SMALL, 0)
    padded = execution.pad(graph)
    for step, wide in zip(graph.steps, padded.steps, strict=True):
        assert step.inputs == wide.inputs
        for name, shape in wide.layer.parameters().items():
            assert all(
                new >= old for new, old in zip(shape, step.layer.parameters()[name], strict=True)
            )
    assert padded.parameters > graph.parameters


@dataclass(frozen=True)
class Probe(Layer):
    """The identity; counts the large arrays alive when it is first run."""

    number: int
    seen: ClassVar[list[int]] = []

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def infer(self, params: Arrays, stats: Arrays, *inputs: Array) -> Array:
        # Each number is a program of its own, so tracing meets every step once, in order.
        self.seen.append(sum(a.size > 10_000 for a in jax.live_arrays()))
        return inputs[0] + 1


def probes(training: bool) -> list[int]:
    builder = Builder((64, 64, 3))
    value = builder.image
    for number in range(12):
        value = builder.add(Probe(number + 100 * training), value)
    builder.add(Dense(3, 2), builder.add(GlobalAverage(), value))
    graph = builder.graph()
    params = execution.place(graph, execution.initialise(graph, np.random.default_rng(0)))
    Probe.seen.clear()
    images = jax.device_put(np.ones((1, 64, 64, 3), np.float32))
    if training:
        execution.train(graph, params, images)[0]
    else:
        execution.features(graph, params, [{} for _ in graph.steps], images)
    return Probe.seen.copy()


@pytest.mark.parametrize("training", [False, True])
def test_activations_are_freed_after_their_last_use(training: bool) -> None:
    alive = probes(training)
    assert len(alive) == 12
    assert alive[-1] <= alive[2], f"large arrays alive at each of 12 layers: {alive}"


def test_weights_are_drawn_by_fan_in() -> None:
    """Variance 1/fan-in, mean 0, nothing beyond two deviations of the normal that was cut."""
    graph = network_of(NASBench101(width=32), 3)
    params = execution.initialise(graph, np.random.default_rng(0))
    pooled = []
    for given in params:
        assert given.keys() <= {"kernel"}
        if given:
            kernel = given["kernel"]
            assert kernel.dtype == np.float32
            pooled.append(kernel.ravel() * np.prod(kernel.shape[:-1]) ** 0.5)
            if kernel.size > 5_000:
                np.testing.assert_allclose(pooled[-1].std(), 1, atol=6 * kernel.size**-0.5)
    values = np.concatenate(pooled)
    np.testing.assert_allclose(values.std(), 1, atol=0.01)
    np.testing.assert_allclose(values.mean(), 0, atol=0.01)
    np.testing.assert_allclose(abs(values).max(), 2 / 0.87962566, rtol=1e-3)


def test_a_seed_names_the_weights() -> None:
    graph = network_of(SMALL, 0)
    one, same, other = (
        execution.initialise(graph, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    for a, b, c in zip(one, same, other, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
            assert not np.isin(a[name], c[name]).any()


@pytest.mark.parametrize("momentum", [0.997, 0.4, 0.0])
def test_blended_statistics_move_by_the_batch(momentum: float) -> None:
    graph = network_of(SMALL, 1)
    params, _ = far_variables(graph, 1)
    blended = execution.blended_statistics(graph, params, jax.device_put(IMAGES), momentum)
    _, _, batch = reference.forward(graph, params, None, IMAGES)
    assert [moved.keys() for moved in blended] == [seen.keys() for seen in batch]
    for moved, seen in zip(blended, batch, strict=True):
        if seen:
            mean, variance = (1 - momentum) * seen["mean"], (1 - momentum) * seen["variance"]
            np.testing.assert_allclose(moved["mean"], mean, rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(moved["variance"], momentum + variance, rtol=1e-3, atol=1e-6)


def test_momentum_zero_on_one_batch_is_training_mode() -> None:
    graph = network_of(SMALL, 2)
    params, _ = far_variables(graph, 2)
    images = jax.device_put(IMAGES)
    stats = execution.blended_statistics(graph, params, images, 0.0)
    trained = execution.train(graph, params, images)[0]
    near(execution.features(graph, params, stats, images), trained)
    assert (
        np.abs(execution.features(graph, params, [{} for _ in stats], images) - trained).max()
        > 1e-2
    )


def test_a_network_without_batch_norm_has_no_statistics() -> None:
    builder = Builder((4, 4, 3))
    builder.add(Dense(3, 2), builder.add(GlobalAverage(), builder.image))
    graph = builder.graph()
    params = execution.initialise(graph, np.random.default_rng(0))
    images = jax.device_put(IMAGES[:, :4, :4])
    assert execution.blended_statistics(graph, params, images, 0.5) == [{}, {}]
    np.testing.assert_allclose(
        execution.train(graph, params, images)[0], images.mean((1, 2)), rtol=1e-5
    )


def test_constants_and_draws_make_every_parameter() -> None:
    graph = network_of(SMALL, 0)
    drawn = execution.initialise(graph, np.random.default_rng(0))
    arrays = [a | b for a, b in zip(drawn, execution.constants(graph), strict=True)]
    assert sum(a.size for step in arrays for a in step.values()) == graph.parameters
    stem = graph.steps[0].layer
    assert isinstance(stem, ConvBN)
    assert execution.initial_statistics(graph)[0]["variance"].tolist() == [1.0] * stem.outputs
