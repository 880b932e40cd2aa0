"""What tests of networks share: variables away from their first values, plain code, Jacobians."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from nasproxy.networks import execution
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import Layer, Shape
from nasproxy.networks.module import Network
from tests.support import reference


def some(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """float32 normals."""
    return rng.normal(size=shape).astype(np.float32)


def weights(graph: Graph, seed: Sequence[int]) -> Variables:
    """The weights that a seed names."""
    rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(list(seed))))
    return execution.initialise(graph, rng)


def far_variables(graph: Graph, seed: int) -> tuple[Variables, Variables]:
    """Drawn weights with other scales and shifts, and statistics far from mean 0, variance 1."""
    rng = np.random.default_rng(seed)
    params = execution.initialise(graph, rng)
    stats = []
    for given, step in zip(params, graph.steps, strict=True):
        for name, array in step.layer.constants().items():
            given[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        moved = {k: rng.uniform(0.1, 0.9, a.shape) for k, a in step.layer.statistics().items()}
        stats.append({k: a.astype(np.float32) for k, a in moved.items()})
    return params, stats


def moved_statistics(
    graph: Graph, params: Variables, batch: np.ndarray, momentum: float
) -> Variables:
    """Those of mean 0 and variance 1 after one batch in training mode, in float64."""
    _, _, seen = reference.forward(graph, params, None, batch)
    return [
        {
            name: (1 - momentum) * value + (momentum if name == "variance" else 0)
            for name, value in stats.items()
        }
        for stats in seen
    ]


def features(
    graph: Graph, images: np.ndarray, batch: np.ndarray, momentum: float, seed: Sequence[int]
) -> np.ndarray:
    """Park et al.'s recipe in float64: one training pass, statistics moved, then inference."""
    params = weights(graph, seed)
    stats = moved_statistics(graph, params, batch, momentum)
    return reference.forward(graph, params, stats, images)[0]


def lax_convolution(
    x: Any, kernel: Any, stride: int = 1, groups: int = 1, dilation: int = 1
) -> Array:
    """XLA's, framed by dilation · (k // 2) zeros."""
    side = dilation * (kernel.shape[0] // 2)
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((side, side), (side, side)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        rhs_dilation=(dilation, dilation),
        feature_group_count=groups,
    )


def programs(graph: Graph) -> set[tuple[Layer, tuple[Shape, ...]]]:
    """What features of a graph compile: padded layers with their inputs' shapes.

    One batch size is one program for each; the union over a space is what the space needs.
    """
    padded = execution.pad(graph)
    return {
        (step.layer, tuple(padded.shapes[i] for i in step.inputs))
        for step, live in zip(padded.steps[:-1], padded.live, strict=False)
        if live
    }


def module_of(
    graph: Graph, params: Variables, stats: Variables, momentum: float = 0.997
) -> Network:
    """The Flax module with such variables, in the graph's own shapes."""
    stats = jax.tree.map(lambda a: np.asarray(a, np.float32), stats)
    return Network(Initialised(graph, params, stats), momentum)


def jacobian(module: Network, images: np.ndarray) -> np.ndarray:
    """Of all logits by all parameters, ``[n, classes, P]``, by JAX's reverse mode."""
    definition, params, rest = nnx.split(module, nnx.Param, ...)
    x = jnp.asarray(images)
    found = jax.jit(jax.jacobian(lambda p: nnx.merge(definition, p, rest)(x)))(params)
    blocks = [np.asarray(block, np.float64) for block in jax.tree.leaves(found)]
    joined = np.concatenate([b.reshape(*b.shape[:2], -1) for b in blocks], axis=2)
    assert joined.shape[2] == module.graph.parameters
    return joined


def close(actual: Any, expected: Any, tolerance: float) -> None:
    """Up to a fraction of the largest entry; a wrong wire shows in the first digit."""
    assert actual.shape == expected.shape
    atol = tolerance * float(np.abs(expected).max())
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=atol)
