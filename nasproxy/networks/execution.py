"""Running a graph layer by layer: no program is ever compiled for one architecture.

``jax.jit`` sees one layer at a time, so a whole search space shares a few dozen programs, and
a new architecture costs what its arithmetic costs.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TypeAlias

import jax
import numpy as np
from jax import Array

from nasproxy.networks.graph import Graph, Step
from nasproxy.networks.layers import Arrays, Draw, Layer, Shape, grow

Variables: TypeAlias = list[Arrays]
"""One dictionary of arrays for every step of a graph."""

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
def _padded(layer: Layer) -> Layer:
    return layer.pad(VECTOR)


def pad(graph: Graph) -> Graph:
    """The graph with channels padded to the processor's vectors; arrays follow in :func:`place`.

    The padded network computes the same features and needs far fewer distinct programs, because the
    odd channel counts of a space fall together. Added channels are zero, or what a sum truncates:
    no layer reads them.
    """
    steps = tuple(Step(_padded(step.layer), step.inputs) for step in graph.steps)
    return Graph(steps, graph.image_shape)


def place(graph: Graph, params: Variables) -> Variables:
    """Parameters on the device, grown with zeros to the shapes that ``graph`` has."""
    grown: Variables = []
    for step, arrays in zip(graph.steps, params, strict=True):
        shapes = step.layer.parameters()
        grown.append({name: grow(array, shapes[name]) for name, array in arrays.items()})
    return jax.device_put(grown)


def features(graph: Graph, params: Variables, stats: Variables, images: Array) -> Array:
    """Penultimate features in inference mode.

    Args:
        graph: the network.
        params: a dictionary of arrays a step, as :func:`place` gives them.
        stats: batch-norm statistics a step; an empty dictionary stands for mean 0, variance 1.
        images: ``[n, h, w, c]``, standardised.

    Returns:
        ``[n, d]``.
    """
    return _run(graph, params, stats, images, len(graph.steps) - 1)


def logits(graph: Graph, params: Variables, stats: Variables, images: Array) -> Array:
    """Logits in inference mode, ``[n, classes]``; arguments as for :func:`features`."""
    return _run(graph, params, stats, images, len(graph.steps))


def _run(graph: Graph, params: Variables, stats: Variables, images: Array, steps: int) -> Array:
    values = {0: images}
    for position, (step, dead) in enumerate(zip(graph.steps[:steps], graph.last_use, strict=False)):
        if not graph.live[position]:
            continue
        inputs = [values[i] for i in step.inputs]
        for i in dead:
            del values[i]
        values[position + 1] = _infer(step.layer, params[position], stats[position], *inputs)
    return values[steps]


def values(graph: Graph, params: Variables, stats: Variables, images: Array) -> list[Array]:
    """Every value of a graph in inference mode, from the images to the logits.

    Arguments as for :func:`features`.
    """
    made = [images]
    for step, arrays, seen in zip(graph.steps, params, stats, strict=True):
        made.append(_infer(step.layer, arrays, seen, *(made[i] for i in step.inputs)))
    return made


def blended_statistics(
    graph: Graph, params: Variables, images: Array, momentum: float
) -> Variables:
    """Moving statistics of a fresh network after one batch in training mode.

    Mean ``(1 − momentum)·µ``, variance ``momentum + (1 − momentum)·σ²``, with σ² the batch's biased
    variance, as TensorFlow and Flax have it.
    """
    weight = np.float32(1 - momentum)
    _, stats = train(graph, params, images)
    return [_blend(arrays, weight) if arrays else arrays for arrays in stats]


def train(graph: Graph, params: Variables, images: Array) -> tuple[Array, Variables]:
    """Penultimate features in training mode, ``[n, d]``, and each layer's statistics of the batch.

    Batch norm is by the batch's own mean and (biased) variance. A step that is not live is not run
    and has no statistics.
    """
    values = {0: images}
    collected: Variables = []
    last = len(graph.steps) - 1
    for position, (step, dead) in enumerate(zip(graph.steps[:-1], graph.last_use, strict=False)):
        if not graph.live[position]:
            collected.append({})
            continue
        inputs = [values[i] for i in step.inputs]
        for i in dead:
            del values[i]
        values[position + 1], stats = _train(step.layer, params[position], *inputs)
        collected.append(stats)
    return values[last], [*collected, {}]


def programs(graph: Graph) -> set[tuple[Layer, tuple[Shape, ...]]]:
    """What :func:`features` compiles for a graph: padded layers with their inputs' shapes.

    One batch size is one program for each; the union over a space is what the space needs.
    """
    padded = pad(graph)
    return {
        (step.layer, tuple(padded.shapes[i] for i in step.inputs))
        for step, live in zip(padded.steps[:-1], padded.live, strict=False)
        if live
    }


def batches(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Consecutive batches that all hold ``size`` images, the last one filled up with zeros."""
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        if len(batch) < size:
            batch = np.concatenate(
                [batch, np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)]
            )
        yield batch


@partial(jax.jit, static_argnums=0)
def _infer(layer: Layer, params: Arrays, stats: Arrays, *inputs: Array) -> Array:
    return layer.infer(params, stats, *inputs)


@partial(jax.jit, static_argnums=0)
def _train(layer: Layer, params: Arrays, *inputs: Array) -> tuple[Array, Arrays]:
    return layer.train(params, *inputs)


@jax.jit
def _blend(stats: Arrays, weight: np.float32) -> Arrays:
    return {
        "mean": weight * stats["mean"],
        "variance": 1 - weight + weight * stats["variance"],
    }
