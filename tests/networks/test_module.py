"""The Flax module: plain nnx under the steps' names, equal to the layer-wise engine in every space.

The module's arithmetic is Flax's, so either implementation checks the other; both stand against the
definition in NumPy, float64, too.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from jax import Array

from nasproxy.kernels import empirical_ntk
from nasproxy.networks.features import BatchNorm
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import (
    Add,
    Arrays,
    ConvBN,
    Dense,
    Draw,
    GlobalAverage,
    Layer,
    Shape,
)
from nasproxy.networks.module import Network
from nasproxy.plugins import SPACES
from nasproxy.space import network as network_of_space
from search_spaces import NASBench101
from tests.conftest import network_of
from tests.networks.test_layers import LAYERS, names
from tests.support import reference
from tests.support.networks import close, far_variables, jacobian, module_of, some

pytestmark = pytest.mark.usefixtures("lenient")

GRAPH = network_of(NASBench101(width=8, stacks=1, cells=1), seed=0, image_shape=(4, 4, 3))
RNG = np.random.default_rng(0)
IMAGES = jax.device_put(some(RNG, 12, 4, 4, 3))
LABELS = jax.device_put(np.arange(12) % 4)

EXACT = 2e-5
"""Of the largest entry: float32's 6e-8 after some hundred sums; 2e-6 is what is seen."""
NORMALISED = 2e-3
"""Likewise in training mode, where MNAS normalises by eight values: 1e-4 is what is seen."""


def network(momentum: float = 0.997, seed: int = 0) -> Network:
    return Network(Initialised.draw(GRAPH, nnx.Rngs(seed)), momentum)


def arrays(module: Network, kind: type) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(module, kind))]


@nnx.jit(static_argnames="train")
def run(module: Network, x: Array, train: bool = False) -> tuple[Array, Array]:
    """Features, and the logits of the same pass."""
    return module.features(x, train=train), module(x)


# Every space

SMALL: dict[str, dict[str, int]] = {
    "nasbench101": {"width": 9, "stacks": 2, "cells": 1},
    "nasbench201": {"width": 6, "cells": 1},
    "nasbench301": {"width": 3, "cells": 3},
    "nasbench_macro": {"width": 8},
    "mnas": {"width": 8},
    "accel_nasbench": {"width": 8},
    "fully_connected": {"width": 9},
    "convolutional": {"width": 9},
}
"""Settings that make a space's networks small; widths that no vector divides where there may be."""
SIDES = {"mnas": 32, "accel_nasbench": 32}
N = 4


@dataclass(frozen=True, eq=False)
class Case:
    """One architecture: its fresh network, and images."""

    drawn: Initialised
    module: Network
    images: np.ndarray
    batch: np.ndarray


@cache
def cases(name: str) -> list[Case]:
    """The shallowest of a few architectures, which compile in seconds; one of deep spaces."""
    space: Any = SPACES[name](**SMALL.get(name, {}))
    side = SIDES.get(name, 8)
    shape, rng = (side, side, 3), np.random.default_rng(1)
    images, batch = some(rng, N, *shape), some(rng, 8, *shape)
    sampled = space.sample(6, 1)
    found = []
    for architecture in sorted(sampled, key=lambda a: len(space.graph(a, shape, 4).steps))[
        : 1 if name in SIDES else 2
    ]:
        drawn = Initialised.draw(space.graph(architecture, shape, 4), (0, 0))
        module = network_of_space(space, architecture, shape, 4)
        found.append(Case(drawn, module, images, batch))
    return found


every_space = pytest.mark.parametrize("name", sorted(SPACES))


@every_space
def test_it_equals_the_engine_in_inference_mode(name: str) -> None:
    """Features and logits with moved statistics, and the definition."""
    for case in cases(name):
        settled = case.drawn.settled(jax.device_put(case.batch), 0.3)
        images = jax.device_put(case.images)
        features, logits = run(Network(settled), images)
        close(features, settled.features(images)[:, : settled.graph.features], EXACT)
        close(logits, settled.logits(images), EXACT)
        defined = reference.forward(
            settled.graph, settled.complete, settled.statistics, case.images
        )
        close(features, defined[0], EXACT)
        close(logits, defined[1], EXACT)


@every_space
def test_it_equals_the_engine_in_training_mode(name: str) -> None:
    """Features of a batch, and the statistics that it moves by Flax's own batch norm."""
    for case in cases(name):
        module, batch = Network(case.drawn, momentum=0.3), jax.device_put(case.batch)
        features, _ = run(module, batch, train=True)
        close(features, case.drawn.train(batch)[0][:, : case.drawn.graph.features], NORMALISED)
        ours = case.drawn.settled(batch, 0.3).statistics
        for position, theirs in enumerate(module.variables()[1]):
            assert theirs.keys() == ours[position].keys()
            if theirs:  # Means are as good as the deviations that they are sums of.
                deviation = float(np.sqrt(ours[position]["variance"].max()))
                close_to = {"mean": EXACT * deviation, "variance": NORMALISED * deviation**2}
                for statistic, atol in close_to.items():
                    np.testing.assert_allclose(
                        theirs[statistic], ours[position][statistic], rtol=0, atol=atol
                    )


@every_space
def test_a_trained_module_runs_in_the_engine(name: str) -> None:
    """Its features, its logits and, through ``jax.jacobian``, its empirical NTK."""
    case = cases(name)[0]
    module, images = Network(case.drawn, momentum=0.5), jax.device_put(case.images)
    labels = jax.device_put(np.arange(len(case.batch)) % 4)
    train(module, jax.device_put(case.batch), labels, steps=2)
    trained = Initialised.from_module(module)
    for old, new in zip(case.drawn.complete, trained.complete, strict=True):
        assert old.keys() == new.keys()
    features, logits = run(module, images)
    assert np.abs(logits - case.drawn.logits(images)).max() > 1e-3
    close(trained.features(images)[:, : trained.graph.features], features, EXACT)
    close(trained.logits(images), logits, EXACT)

    by_logit = jacobian(module, case.images)
    functions = {"sum": by_logit.sum(1, keepdims=True) / 2, "trace": by_logit / 2}
    batches = empirical_ntk.split(case.images, trained.graph)
    for output, j in functions.items():
        norm, batch = BatchNorm(1, images=8), jax.device_put(case.batch)
        kernel = empirical_ntk.ntk(trained, batches, 3, batch, norm, output)[:N]
        # Gradients are float32 on both sides; those of kernels are sums over pixels and images,
        # up to 4e-5 apart on processors whose sums have another order.
        close(kernel, np.einsum("nkp,mkp->nm", j, j[:3]), 5 * EXACT)


def train(module: Network, x: Array, labels: Array, steps: int) -> list[float]:
    """The losses of so many steps."""
    optimiser = nnx.Optimizer(module, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)

    @nnx.jit
    def step(module: Network, optimiser: nnx.Optimizer) -> Array:
        def loss(module: Network) -> Array:
            logits = module(x, train=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, gradients = nnx.value_and_grad(loss)(module)
        optimiser.update(module, gradients)
        return value

    return [float(step(module, optimiser)) for _ in range(steps)]


@pytest.mark.parametrize(("layer", "shapes"), LAYERS, ids=names)
def test_every_layer_has_its_counterpart(layer: Layer, shapes: list[Shape]) -> None:
    """In both modes, several inputs summed and truncated, against the definition."""
    graph = alone(layer, shapes)
    params, stats = far_variables(graph, 2)
    (height, width, channels) = graph.image_shape
    images = some(np.random.default_rng(3), 3, height, width, channels)
    module = module_of(graph, params, stats, momentum=0.25)
    assert np.isfinite(arrays(module, nnx.Param)[0]).all()
    for training, given in ((False, stats), (True, None)):
        expected, _, used = reference.forward(graph, params, given, images)
        close(module.features(jax.device_put(images), train=training), expected, 1e-4)
    for theirs, old, seen in zip(module.variables()[1], stats, used, strict=True):
        for statistic, value in theirs.items():
            moved = 0.25 * old[statistic] + 0.75 * seen[statistic]
            np.testing.assert_allclose(value, moved, rtol=1e-4, atol=1e-5)


def alone(layer: Layer, shapes: list[Shape]) -> Graph:
    """A layer that reads what 1×1 convolutions make of one image; then mean and readout."""
    if len(shapes[0]) == 1:  # of features
        builder = Builder((1, 1, shapes[0][0]))
        value = builder.add(layer, builder.add(GlobalAverage(), builder.image), name="tested")
    else:
        builder = Builder((*shapes[0][:2], 4))
        read = []
        for *side, channels in shapes:
            stride = 1 if tuple(side) == shapes[0][:2] else 2
            conv = ConvBN(1, 4, channels, stride, activation="none")
            read.append(builder.add(conv, builder.image))
        value = builder.add(layer, *read, name="tested")
        if len(layer.shape(*shapes)) == 3:
            value = builder.add(GlobalAverage(), value)
    builder.add(Dense(layer.shape(*shapes)[-1], 2), value)
    return builder.graph()


# As Flax knows it


def test_modules_go_by_the_steps_names() -> None:
    module: Any = network_of_space(
        NASBench101(width=8), NASBench101().sample(1, 0)[0], (8, 8, 3), 4
    )
    assert isinstance(module.stem.conv, nnx.Conv)
    assert isinstance(module.stack1.cell2.vertex3.norm, nnx.BatchNorm)
    assert isinstance(module.readout.linear, nnx.Linear)
    assert module.stem.conv.kernel.shape == (3, 3, 3, 8)
    for step in module.graph.steps:
        if step.layer.parameters():
            assert f"{step.name}." in "".join(
                f"{'.'.join(map(str, path))}." for path, _ in nnx.to_flat_state(nnx.state(module))
            )


@dataclass(frozen=True)
class Scaled(Layer):
    """A layer of one's own: channels by a factor each, less the batch's mean."""

    channels: int

    def parameters(self) -> dict[str, Shape]:
        return {"factor": (self.channels,)}

    def initialise(self, draw: Draw) -> Arrays:
        return {"factor": draw.truncated_normal((self.channels,), 1.0)}

    def statistics(self) -> Arrays:
        return {"mean": np.zeros(self.channels, np.float32)}

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def infer(self, params: Arrays, stats: Arrays, *inputs: Array) -> Array:
        return (inputs[0] - stats["mean"][None, None, None]) * params["factor"][None, None, None]

    def train(self, params: Arrays, *inputs: Array) -> tuple[Array, Arrays]:
        mean = inputs[0].mean((0, 1, 2))
        return self.infer(params, {"mean": mean}, *inputs), {"mean": mean}


def test_a_layer_of_ones_own_runs_by_its_own_code() -> None:
    builder = Builder((4, 4, 3))
    value = builder.add(Scaled(3), builder.image, name="scaled")
    builder.add(Dense(3, 2), builder.add(GlobalAverage(), value), name="readout")
    drawn = Initialised.draw(builder.graph(), (0, 0))
    module: Any = Network(drawn, momentum=0.25)
    factor, mean = drawn.given[0]["factor"], np.asarray(IMAGES).mean((0, 1, 2))
    assert np.array_equal(module.scaled.params.factor[...], factor)
    images = np.asarray(IMAGES)
    close(module.features(IMAGES, train=True), (images - mean).mean((1, 2)) * factor, EXACT)
    close(module.features(IMAGES), (images - 0.75 * mean).mean((1, 2)) * factor, EXACT)
    back = Initialised.from_module(module)
    close(back.logits(IMAGES), module(IMAGES), EXACT)


def test_a_subclass_is_no_known_layer() -> None:
    """It may compute something else, and does."""

    @dataclass(frozen=True)
    class Doubled(Add):
        def infer(self, params: Arrays, stats: Arrays, *inputs: Array) -> Array:
            return 2 * super().infer(params, stats, *inputs)

    builder = Builder((4, 4, 3))
    value = builder.add(Doubled(3), builder.image)
    builder.add(Dense(3, 2), builder.add(GlobalAverage(), value))
    module = Network(Initialised.draw(builder.graph(), (0, 0)))
    close(module.features(IMAGES), 2 * np.asarray(IMAGES).mean((1, 2)), EXACT)


@pytest.mark.parametrize("taken", ["train", "graph", "features", "eval.conv"])
def test_names_of_flaxs_own_are_refused(taken: str) -> None:
    builder = Builder((4, 4, 3))
    value = builder.add(ConvBN(1, 3, 4), builder.image, name=taken)
    builder.add(Dense(4, 2), builder.add(GlobalAverage(), value))
    drawn = Initialised.draw(builder.graph(), (0, 0))
    with pytest.raises(ValueError, match="attribute of every module"):
        Network(drawn)


def test_variables_are_the_graphs() -> None:
    module = network()
    assert sum(a.size for a in arrays(module, nnx.Param)) == GRAPH.parameters
    assert len(jax.tree.leaves(nnx.state(module))) == len(
        arrays(module, nnx.Param) + arrays(module, nnx.BatchStat)
    )


def test_weights_are_named_by_the_params_stream_or_by_a_seed() -> None:
    one, same, other, default = (
        arrays(Network(Initialised.draw(GRAPH, rngs)), nnx.Param)
        for rngs in (nnx.Rngs(params=1), nnx.Rngs(params=1, dropout=5), nnx.Rngs(2), nnx.Rngs(1))
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert len(default) == len(one)


def test_a_second_network_of_the_same_rngs_is_another() -> None:
    rngs = nnx.Rngs(0)
    one, two = (arrays(Network(Initialised.draw(GRAPH, rngs)), nnx.Param) for _ in range(2))
    assert not all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_space_and_an_architecture_make_a_network() -> None:
    """By Flax's generator, and by the seed and number of a member of an ensemble."""
    space = NASBench101(width=8, stacks=1, cells=1)
    architecture = space.sample(1, seed=0)[0]
    module = network_of_space(space, architecture, (4, 4, 3), 4, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(module(IMAGES), network()(IMAGES))
    member: Any = network_of_space(space, architecture, (4, 4, 3), 4, rngs=(3, 1), momentum=0.5)
    drawn = Initialised.draw(GRAPH, (3, 1))
    np.testing.assert_array_equal(member.stem.conv.kernel[...], drawn.given[0]["kernel"])
    assert member.stem.norm.momentum == 0.5


@pytest.mark.parametrize("momentum", [0.997, 0.25])
def test_training_passes_move_the_statistics(momentum: float) -> None:
    """Two passes: features by the batch, then old · momentum + batch · (1 − momentum), twice."""
    module = network(momentum)
    params, _ = module.variables()
    features, logits, batch = reference.forward(GRAPH, params, None, np.asarray(IMAGES))
    np.testing.assert_allclose(module.features(IMAGES, train=True), features, atol=1e-4)
    np.testing.assert_allclose(module(IMAGES, train=True), logits, atol=1e-4)
    kept = momentum**2
    for moving, seen in zip(module.variables()[1], batch, strict=True):
        assert moving.keys() == seen.keys()
        for name, value in seen.items():
            expected = (name == "variance") * kept + value * (1 - kept)
            np.testing.assert_allclose(moving[name], expected, rtol=1e-3, atol=1e-5)


def test_the_default_momentum_is_the_benchmarks() -> None:
    module: Any = network()
    assert module.stem.norm.momentum == 0.997


def test_inference_moves_nothing_and_reads_the_statistics() -> None:
    module = network(momentum=0.0)
    before = arrays(module, nnx.BatchStat)
    fresh = module(IMAGES)
    assert all(
        np.array_equal(a, b) for a, b in zip(before, arrays(module, nnx.BatchStat), strict=True)
    )
    trained = module(IMAGES, train=True)
    np.testing.assert_allclose(module(IMAGES), trained, atol=1e-4)
    assert np.abs(module(IMAGES) - fresh).max() > 1e-2


def test_split_and_merge() -> None:
    module = network()
    definition, params, stats = nnx.split(module, nnx.Param, nnx.BatchStat)
    merged = nnx.merge(definition, params, stats)
    np.testing.assert_array_equal(merged(IMAGES), module(IMAGES))
    other = network(seed=1)
    assert np.abs(other(IMAGES) - module(IMAGES)).max() > 1e-3
    nnx.update(other, params, stats)
    np.testing.assert_array_equal(other(IMAGES), module(IMAGES))


def test_it_learns_under_jit_with_optax() -> None:
    """The loss falls, and the jitted step moves parameters and statistics of the module outside."""
    module = network()
    before = arrays(module, nnx.Param), arrays(module, nnx.BatchStat)
    losses = train(module, IMAGES, LABELS, steps=25)
    assert losses[-1] < 0.5 * losses[0]
    for old, kind in zip(before, (nnx.Param, nnx.BatchStat), strict=True):
        moved = [not np.array_equal(a, b) for a, b in zip(old, arrays(module, kind), strict=True)]
        assert all(moved)


def test_jit_and_eager_agree() -> None:
    module = network()
    np.testing.assert_allclose(run(module, IMAGES)[1], module(IMAGES), atol=1e-5)


def test_it_takes_numpy() -> None:
    module = network()
    np.testing.assert_array_equal(module(np.asarray(IMAGES)), module(IMAGES))


def test_it_can_be_made_inside_transformations() -> None:
    """As checkpoints are restored (nnx.eval_shape) and ensembles are drawn (nnx.vmap)."""
    abstract = nnx.eval_shape(network)
    shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.state(abstract, nnx.Param))]
    assert shapes == [a.shape for a in arrays(network(), nnx.Param)]

    @nnx.split_rngs(splits=2)
    @nnx.vmap
    def ensemble(rngs: nnx.Rngs) -> Network:
        return Network(Initialised.draw(GRAPH, rngs))

    stem: Any = ensemble(nnx.Rngs(0)).stem  # type: ignore[attr-defined]  # named by the graph
    kernels = stem.conv.kernel[...]
    assert kernels.shape == (2, *GRAPH.steps[0].layer.parameters()["kernel"])
    assert not np.array_equal(kernels[0], kernels[1])


def test_it_is_displayed(capsys: pytest.CaptureFixture[str]) -> None:
    text = repr(network())
    assert all(part in text for part in ("stack1", "vertex1", "conv=Conv(", "norm=BatchNorm("))
