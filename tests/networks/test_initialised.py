"""A drawn network is named by its seed, runs as its definition says, and comes back from Flax."""

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from nasproxy.networks import execution
from nasproxy.networks.graph import Builder
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import (
    Add,
    AveragePool3x3,
    BNReLU,
    Concatenate,
    ConvBN,
    Dense,
    DepthwiseBN,
    GlobalAverage,
    Halve,
    HalveByMean,
    MaxPool3x3,
    PointwiseConv,
    ProjectAdd,
    SqueezeExcite,
    Zero,
)
from nasproxy.networks.module import Network
from nasproxy.plugins import SPACES
from search_spaces import NASBench101, NASBench201
from tests.conftest import network_of
from tests.support import reference
from tests.support.networks import close, far_variables, module_of, moved_statistics, some, weights

GRAPH = network_of(NASBench101(width=9, stacks=2, cells=1), seed=0)
RNG = np.random.default_rng(0)
IMAGES, BATCH = some(RNG, 5, 8, 8, 3), some(RNG, 16, 8, 8, 3)


def same(a: Any, b: Any) -> bool:
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_a_seed_names_the_draw() -> None:
    drawn = Initialised.draw(GRAPH, (3, 1))
    assert drawn.seed == (3, 1)
    assert same(drawn.given, weights(GRAPH, (3, 1)))
    assert not same(drawn.given, Initialised.draw(GRAPH, (3, 2)).given)
    generated = Initialised.draw(GRAPH, np.random.default_rng(0))
    assert generated.seed is None
    assert same(generated.given, execution.initialise(GRAPH, np.random.default_rng(0)))
    by_flax = Initialised.draw(GRAPH, nnx.Rngs(params=5))
    assert same(by_flax.given, Initialised.draw(GRAPH, nnx.Rngs(5)).given)


def test_complete_adds_the_constants() -> None:
    drawn = Initialised.draw(GRAPH, (0, 0))
    assert sum(a.size for arrays in drawn.complete for a in arrays.values()) == GRAPH.parameters
    for given, complete in zip(drawn.given, drawn.complete, strict=True):
        assert given.items() <= complete.items()
    placed = [drawn.own(i, arrays) for i, arrays in enumerate(drawn.params)]
    assert same(placed, drawn.complete)


def test_it_runs_as_its_definition_says() -> None:
    drawn = Initialised.draw(GRAPH, (0, 0))
    assert drawn.padded != GRAPH
    d, images = GRAPH.features, jax.device_put(IMAGES)
    features, logits, _ = reference.forward(GRAPH, drawn.given, [{} for _ in GRAPH.steps], IMAGES)
    close(drawn.features(images)[:, :d], features, 2e-5)
    close(drawn.logits(images), logits, 2e-5)
    close(drawn.values(images)[-1], logits, 2e-5)
    trained, _, _ = reference.forward(GRAPH, drawn.given, None, IMAGES)
    close(drawn.train(images)[0][:, :d], trained, 2e-5)


@pytest.mark.parametrize("momentum", [0.997, 0.0])
def test_settling_moves_the_statistics(momentum: float) -> None:
    drawn = Initialised.draw(GRAPH, (0, 0))
    settled = drawn.settled(jax.device_put(BATCH), momentum)
    assert settled.weights is drawn.weights
    expected = moved_statistics(GRAPH, drawn.given, BATCH, momentum)
    for found, moved in zip(settled.statistics, expected, strict=True):
        assert found.keys() == moved.keys()
        for name, value in moved.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5)
    assert same(drawn.statistics, execution.initial_statistics(GRAPH))
    assert drawn.settled(jax.device_put(BATCH), 1) is drawn


def test_there_and_back_is_the_same_network() -> None:
    """Bit by bit, with parameters and statistics away from their first values."""
    params, stats = far_variables(GRAPH, 1)
    back = Initialised.from_module(module_of(GRAPH, params, stats))
    assert back.graph == GRAPH
    assert back.seed is None
    assert same(back.complete, params)
    assert same(back.statistics, stats)
    images = jax.device_put(IMAGES)
    features, logits, _ = reference.forward(GRAPH, params, stats, IMAGES)
    close(back.features(images)[:, : GRAPH.features], features, 2e-5)
    close(back.logits(images), logits, 2e-5)
    again = Initialised.from_module(Network(back))
    assert same((again.complete, again.statistics), (params, stats))


def test_steps_without_effect_come_back_too() -> None:
    cell = "|none~0|+|nor_conv_3x3~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
    graph = NASBench201(width=3, cells=1).graph(cell, (8, 8, 3), 3)
    assert not all(graph.live)
    drawn = Initialised.draw(graph, (0, 0))
    settled = drawn.settled(jax.device_put(BATCH), 0.5)
    back = Initialised.from_module(Network(settled))
    assert same(back.complete, drawn.complete)
    assert same(back.statistics, settled.statistics)


SMALL = {"nasbench101": {"cells": 1}, "nasbench201": {"cells": 1}, "nasbench301": {"cells": 3}}


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 12])
@pytest.mark.parametrize("name", [*SMALL, "nasbench_macro", "mnas"])
def test_images_of_any_number_of_channels(name: str, channels: int) -> None:
    """Padding knows the image by what reads it, not by three channels."""
    side = 32 if name == "mnas" else 8
    space = SPACES[name](width=8, **SMALL.get(name, {}))
    graph = space.graph(space.sample(1, 3)[0], (side, side, channels), 4)
    images = jax.device_put(some(np.random.default_rng(channels), 3, side, side, channels))
    network = Initialised.draw(graph, (0, 0))
    expected, logits, _ = reference.forward(
        graph, network.given, [{} for _ in graph.steps], np.asarray(images)
    )
    scale = float(abs(expected).max())
    np.testing.assert_allclose(
        network.features(images)[:, : graph.features], expected, atol=1e-5 * scale
    )
    np.testing.assert_allclose(network.logits(images), logits, atol=1e-4 * float(abs(logits).max()))


@pytest.mark.parametrize("channels", [3, 4, 5])
@pytest.mark.parametrize(
    "first",
    [
        lambda c: Halve(),
        lambda c: HalveByMean(),
        lambda c: MaxPool3x3(c),
        lambda c: AveragePool3x3(c),
        lambda c: DepthwiseBN(3, c),
        lambda c: BNReLU(c),
        lambda c: PointwiseConv(c, 5),
        lambda c: SqueezeExcite(c, 2),
        lambda c: Zero(c),
        lambda c: Concatenate((c, 2)),
    ],
)
def test_whatever_reads_the_image_first(first: Any, channels: int) -> None:
    """Also beside it: a sum and a residual that the image itself goes into."""
    builder = Builder((8, 8, channels))
    layer = first(channels)
    reads = (0, 0) if isinstance(layer, Concatenate) else (0,)
    value = builder.add(layer, *reads)
    own = layer.shape(*[(8, 8, channels)] * len(reads))[-1]
    value = builder.add(ConvBN(3, own, 5), value)
    if not isinstance(layer, Halve):
        value = builder.add(ProjectAdd(3, 5, channels), value, builder.image)
        value = builder.add(Add(channels), value, builder.image)
        value = builder.add(ConvBN(1, channels, 6), value)
    width = 5 if isinstance(layer, Halve) else 6
    builder.add(Dense(width, 4), builder.add(GlobalAverage(), value))
    graph = builder.graph()
    images = jax.device_put(some(np.random.default_rng(channels), 3, 8, 8, channels))
    network = Initialised.draw(graph, (1,))
    expected, _, _ = reference.forward(
        graph, network.given, [{} for _ in graph.steps], np.asarray(images)
    )
    np.testing.assert_allclose(
        network.features(images)[:, : graph.features],
        expected,
        atol=1e-5 * float(abs(expected).max()) + 1e-12,
    )
    found, _ = network.train(images)
    trained, _, _ = reference.forward(graph, network.given, None, np.asarray(images))
    np.testing.assert_allclose(
        found[:, : graph.features], trained, atol=2e-4 * float(abs(trained).max()) + 1e-12
    )
