"""The Flax module: a good citizen of nnx, its weights and statistics those of the benchmark."""

from typing import Any

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from nasproxy.networks.module import Network
from nasproxy.space import network as network_of_space
from search_spaces import NASBench101
from tests.conftest import network_of
from tests.support import reference

GRAPH = network_of(NASBench101(width=8, stacks=1, cells=1), seed=0, image_shape=(4, 4, 3))
RNG = np.random.default_rng(0)
IMAGES = jax.device_put(RNG.normal(size=(12, 4, 4, 3)).astype(np.float32))
LABELS = jax.device_put(np.arange(12) % 4)


def arrays(module: Network, kind: type) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(module, kind))]


def test_variables_are_the_graphs() -> None:
    module = Network(GRAPH, nnx.Rngs(0))
    assert sum(a.size for a in arrays(module, nnx.Param)) == GRAPH.parameters
    assert len(jax.tree.leaves(nnx.state(module))) == len(
        arrays(module, nnx.Param) + arrays(module, nnx.BatchStat)
    )


def test_weights_are_named_by_the_params_stream() -> None:
    one, same, other, default = (
        arrays(Network(GRAPH, rngs), nnx.Param)
        for rngs in (nnx.Rngs(params=1), nnx.Rngs(params=1, dropout=5), nnx.Rngs(2), nnx.Rngs(1))
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert len(default) == len(one)


def test_a_second_network_of_the_same_rngs_is_another() -> None:
    rngs = nnx.Rngs(0)
    one, two = (arrays(Network(GRAPH, rngs), nnx.Param) for _ in range(2))
    assert not all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("momentum", [0.997, 0.25])
def test_training_passes_move_the_statistics(momentum: float) -> None:
    """Two passes: features by the batch, then old · momentum + batch · (1 − momentum), twice."""
    module = Network(GRAPH, nnx.Rngs(0), momentum)
    params = [{k: np.asarray(v[...]) for k, v in step.items()} for step in module.params]
    features, logits, batch = reference.forward(GRAPH, params, None, np.asarray(IMAGES))
    np.testing.assert_allclose(module.features(IMAGES, train=True), features, atol=1e-4)
    np.testing.assert_allclose(module(IMAGES, train=True), logits, atol=1e-4)
    kept = momentum**2
    for moving, seen in zip(module.statistics, batch, strict=True):
        assert moving.keys() == seen.keys()
        for name, value in seen.items():
            expected = (name == "variance") * kept + value * (1 - kept)
            np.testing.assert_allclose(moving[name][...], expected, rtol=1e-3, atol=1e-5)


def test_the_default_momentum_is_the_benchmarks() -> None:
    assert Network(GRAPH, nnx.Rngs(0)).momentum == 0.997


def test_inference_moves_nothing_and_reads_the_statistics() -> None:
    module = Network(GRAPH, nnx.Rngs(0), momentum=0.0)
    before = arrays(module, nnx.BatchStat)
    fresh = module(IMAGES)
    assert all(
        np.array_equal(a, b) for a, b in zip(before, arrays(module, nnx.BatchStat), strict=True)
    )
    trained = module(IMAGES, train=True)
    np.testing.assert_allclose(module(IMAGES), trained, atol=1e-4)
    assert np.abs(module(IMAGES) - fresh).max() > 1e-2


def test_split_and_merge() -> None:
    module = Network(GRAPH, nnx.Rngs(0))
    definition, params, stats = nnx.split(module, nnx.Param, nnx.BatchStat)
    merged = nnx.merge(definition, params, stats)
    np.testing.assert_array_equal(merged(IMAGES), module(IMAGES))
    other = Network(GRAPH, nnx.Rngs(1))
    assert np.abs(other(IMAGES) - module(IMAGES)).max() > 1e-3
    nnx.update(other, params, stats)
    np.testing.assert_array_equal(other(IMAGES), module(IMAGES))


def test_it_learns_under_jit_with_optax() -> None:
    """The loss falls, and the jitted step moves parameters and statistics of the module outside."""
    module = Network(GRAPH, nnx.Rngs(0))
    optimiser = nnx.Optimizer(module, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)
    before = arrays(module, nnx.Param), arrays(module, nnx.BatchStat)

    @nnx.jit
    def step(module: Network, optimiser: nnx.Optimizer) -> jax.Array:
        def loss(module: Network) -> jax.Array:
            logits = module(IMAGES, train=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

        value, gradients = nnx.value_and_grad(loss)(module)
        optimiser.update(module, gradients)
        return value

    losses = [float(step(module, optimiser)) for _ in range(25)]
    assert losses[-1] < 0.5 * losses[0]
    for old, kind in zip(before, (nnx.Param, nnx.BatchStat), strict=True):
        moved = [not np.array_equal(a, b) for a, b in zip(old, arrays(module, kind), strict=True)]
        assert all(moved)


def test_jit_and_eager_agree() -> None:
    module = Network(GRAPH, nnx.Rngs(0))
    whole = nnx.jit(lambda module, x: module(x))(module, IMAGES)
    np.testing.assert_allclose(whole, module(IMAGES), atol=1e-5)


def test_it_can_be_made_inside_transformations() -> None:
    """As checkpoints are restored (nnx.eval_shape) and ensembles are drawn (nnx.vmap)."""
    abstract = nnx.eval_shape(lambda: Network(GRAPH, nnx.Rngs(0)))
    shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.state(abstract, nnx.Param))]
    assert shapes == [a.shape for a in arrays(Network(GRAPH, nnx.Rngs(0)), nnx.Param)]

    @nnx.split_rngs(splits=2)
    @nnx.vmap
    def ensemble(rngs: nnx.Rngs) -> Network:
        return Network(GRAPH, rngs)

    kernels = ensemble(nnx.Rngs(0)).params[0]["kernel"][...]
    assert kernels.shape == (2, *GRAPH.steps[0].layer.parameters()["kernel"])
    assert not np.array_equal(kernels[0], kernels[1])


def test_a_space_and_an_architecture_make_a_network() -> None:
    space: Any = NASBench101(width=8, stacks=1, cells=1)
    architecture = space.sample(1, seed=0)[0]
    module = network_of_space(space, architecture, (4, 4, 3), 4, nnx.Rngs(0))
    np.testing.assert_array_equal(module(IMAGES), Network(GRAPH, nnx.Rngs(0))(IMAGES))
