"""Running a graph layer by layer: no program is ever compiled for one architecture.

``jax.jit`` sees one layer at a time, so a whole search space shares a few dozen programs, and
a new architecture costs what its arithmetic costs.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TypeAlias

import jax
import numpy as np
from jax import Array
from jaxtyping import Float

from nasproxy.networks.graph import Graph, Step
from nasproxy.networks.layers import Arrays, Draw, Layer, grow

Variables: TypeAlias = list[Arrays]
"""One dictionary of arrays for every step of a graph."""

_Run: TypeAlias = Callable[[int, list[Array]], Array]
"""From a step's position and what it reads to what it makes."""

VECTOR = 8
"""Channels are padded to multiples of this: float32 lanes of the narrowest vector unit in use."""


def initialise(graph: Graph, rng: np.random.Generator) -> Variables:
    """Fresh weights of every step: float32 NumPy arrays from one stream, in the order of steps."""
    draw = Draw(rng, graph.parameters)
    return [step.layer.initialise(draw) for step in graph.steps]


def constants(graph: Graph) -> Variables:
    """Parameters that start at 1 or 0 (batch norm's scale and bias, the readout's bias)."""
    return [step.layer.constants() for step in graph.steps]


def initial_statistics(graph: Graph) -> Variables:
    """Batch-norm statistics before any batch: mean 0, variance 1."""
    return [step.layer.statistics() for step in graph.steps]


@lru_cache(maxsize=1024)
def _padded(layer: Layer, channels: tuple[int, ...]) -> Layer:
    return layer.pad(VECTOR, *channels)


def pad(graph: Graph) -> Graph:
    """The graph with channels padded to the processor's vectors; arrays follow in :func:`place`.

    The padded network computes the same features and needs far fewer distinct programs, because the
    odd channel counts of a space fall together. Added channels are zero, or what a sum truncates:
    no layer reads them.
    """
    shapes, steps = [graph.image_shape], []
    for step in graph.steps:
        read = tuple(shapes[i] for i in step.inputs)
        layer = _padded(step.layer, tuple(shape[-1] for shape in read))
        shapes.append(layer.shape(*read))
        steps.append(Step(layer, step.inputs, step.name))
    return Graph(tuple(steps), graph.image_shape)


def place(graph: Graph, params: Variables) -> Variables:
    """Parameters on the device, grown with zeros to the shapes that ``graph`` has."""
    grown: Variables = []
    for step, arrays in zip(graph.steps, params, strict=True):
        shapes = step.layer.parameters()
        grown.append({name: grow(array, shapes[name]) for name, array in arrays.items()})
    return jax.device_put(grown)


def features(
    graph: Graph, params: Variables, stats: Variables, images: Float[Array, "n h w c"]
) -> Float[Array, "n d"]:
    """Penultimate features in inference mode.

    Args:
        graph: the network.
        params: a dictionary of arrays a step, as :func:`place` gives them.
        stats: batch-norm statistics a step; an empty dictionary stands for mean 0, variance 1.
        images: ``[n, h, w, c]``, standardised.

    Returns:
        ``[n, d]``.
    """
    return _last(graph, images, _inference(graph, params, stats), len(graph.steps) - 1)


def logits(
    graph: Graph, params: Variables, stats: Variables, images: Float[Array, "n h w c"]
) -> Float[Array, "n classes"]:
    """Logits in inference mode, ``[n, classes]``; arguments as for :func:`features`."""
    return _last(graph, images, _inference(graph, params, stats), len(graph.steps))


def values(
    graph: Graph, params: Variables, stats: Variables, images: Float[Array, "n h w c"]
) -> list[Float[Array, "n ..."]]:
    """Every value of a graph in inference mode, from the images to the logits.

    Arguments as for :func:`features`.
    """
    return _every(graph, images, _inference(graph, params, stats))


def blended_statistics(
    graph: Graph, params: Variables, images: Float[Array, "n h w c"], momentum: float
) -> Variables:
    """Moving statistics of a fresh network after one batch in training mode.

    Mean ``(1 − momentum)·µ``, variance ``momentum + (1 − momentum)·σ²``, with σ² the batch's biased
    variance, as TensorFlow and Flax have it.
    """
    weight = np.float32(1 - momentum)
    _, stats = train(graph, params, images)
    return [
        _moved(step.layer, arrays, weight) if arrays else arrays
        for step, arrays in zip(graph.steps, stats, strict=True)
    ]


def train(
    graph: Graph, params: Variables, images: Float[Array, "n h w c"]
) -> tuple[Float[Array, "n d"], Variables]:
    """Penultimate features in training mode, ``[n, d]``, and each layer's statistics of the batch.

    Batch norm is by the batch's own mean and (biased) variance. A step that is not live is not run
    and has no statistics.
    """
    run, stats = _training(graph, params)
    return _last(graph, images, run, len(graph.steps) - 1), stats


def train_values(
    graph: Graph, params: Variables, images: Float[Array, "n h w c"]
) -> tuple[list[Float[Array, "n ..."]], Variables]:
    """Every value in training mode, from the images to the logits, and each step's statistics."""
    run, stats = _training(graph, params)
    return _every(graph, images, run), stats


def _inference(graph: Graph, params: Variables, stats: Variables) -> _Run:
    def run(position: int, inputs: list[Array]) -> Array:
        return _infer(graph.steps[position].layer, params[position], stats[position], *inputs)

    return run


def _training(graph: Graph, params: Variables) -> tuple[_Run, Variables]:
    """What runs a step, and where it leaves the step's statistics."""
    stats: Variables = [{} for _ in graph.steps]

    def run(position: int, inputs: list[Array]) -> Array:
        layer = graph.steps[position].layer
        output, stats[position] = _train(layer, params[position], *inputs)
        return output

    return run, stats


def _last(graph: Graph, images: Array, run: _Run, steps: int) -> Array:
    """The last value of so many steps; steps without effect are not run, and memory is freed."""
    values = {0: images}
    for position, (step, dead) in enumerate(zip(graph.steps[:steps], graph.last_use, strict=False)):
        if not graph.live[position]:
            continue
        inputs = [values[i] for i in step.inputs]
        for i in dead:
            del values[i]
        values[position + 1] = run(position, inputs)
    return values[steps]


def _every(graph: Graph, images: Array, run: _Run) -> list[Array]:
    values = [images]
    for position, step in enumerate(graph.steps):
        values.append(run(position, [values[i] for i in step.inputs]))
    return values


@partial(jax.jit, static_argnums=0)
def _infer(layer: Layer, params: Arrays, stats: Arrays, *inputs: Array) -> Array:
    return layer.infer(params, stats, *inputs)


@partial(jax.jit, static_argnums=0)
def _train(layer: Layer, params: Arrays, *inputs: Array) -> tuple[Array, Arrays]:
    return layer.train(params, *inputs)


def _moved(layer: Layer, stats: Arrays, weight: np.float32) -> Arrays:
    if stats.keys() == {"mean", "variance"}:
        return _blend(stats, weight)
    start = layer.statistics()
    return {name: start[name] + weight * (stats[name] - start[name]) for name in stats}


@jax.jit
def _blend(stats: Arrays, weight: np.float32) -> Arrays:
    return {
        "mean": weight * stats["mean"],
        "variance": 1 - weight + weight * stats["variance"],
    }
