"""Gradients of a graph layer by layer: no program is ever compiled for one architecture.

Reverse mode by hand over the list of steps, with ``jax.vjp`` inside every step. A layer's backward
program runs the layer forward again instead of keeping what its derivative needs: on a processor
that is faster than carrying the residuals out of one program and into another (which also takes
``jit`` longer to dispatch), and only the values between layers stay in memory.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from search_spaces.execution import Variables
from search_spaces.graph import Graph
from search_spaces.layers import Arrays, Layer


class Gradient(NamedTuple):
    """What :func:`value_and_grad` finds on one batch.

    Attributes:
        loss: mean cross-entropy, a scalar.
        correct: how many images the largest logit classifies rightly, a scalar.
        grads: of the loss, a dictionary of arrays a step.
        stats: the batch's own batch-norm statistics, likewise.
    """

    loss: Array
    correct: Array
    grads: Variables
    stats: Variables


def value_and_grad(graph: Graph, params: Variables, images: Array, labels: Array) -> Gradient:
    """Cross-entropy in training mode, and its gradient with respect to all parameters.

    Args:
        graph: the network.
        params: every parameter of every step, on the device.
        images: ``[n, h, w, c]``, standardised.
        labels: ``[n]``, integers.
    """
    values, stats = forward(graph, params, images)
    loss, correct, cotangent = _cross_entropy(values[-1], labels)
    return Gradient(loss, correct, pullback(graph, params, values, cotangent), stats)


def forward(graph: Graph, params: Variables, images: Array) -> tuple[list[Array], Variables]:
    """Every value of a graph in training mode, the logits last, and each step's statistics."""
    values = [images]
    collected: Variables = []
    for step, arrays in zip(graph.steps, params, strict=True):
        output, stats = _forward(step.layer, arrays, *(values[i] for i in step.inputs))
        values.append(output)
        collected.append(stats)
    return values, collected


def pullback(graph: Graph, params: Variables, values: list[Array], cotangent: Array) -> Variables:
    """Jᵀ of a cotangent: from one of the logits to those of all parameters, in training mode.

    Args:
        graph: the network.
        params: what ``values`` were computed with.
        values: as :func:`forward` gives them; they serve any number of cotangents.
        cotangent: ``[n, classes]``.

    Returns:
        A dictionary of arrays a step, shaped as ``params``.
    """
    cotangents = {len(graph.steps): cotangent}
    grads: Variables = [{} for _ in graph.steps]
    for position in reversed(range(len(graph.steps))):
        layer, inputs = graph.steps[position].layer, graph.steps[position].inputs
        if not graph.live[position]:
            grads[position] = jax.tree.map(jnp.zeros_like, params[position])
            continue
        wanted = tuple(i > 0 for i in inputs)  # Nobody asks for the images' cotangent.
        read = tuple(values[i] for i in inputs)
        grads[position], to_inputs = _pull(
            layer, wanted, params[position], read, cotangents.pop(position + 1)
        )
        for i, part in zip((i for i in inputs if i), to_inputs, strict=True):
            cotangents[i] = _add(cotangents[i], part) if i in cotangents else part
    return grads


@partial(jax.jit, static_argnums=0)
def _forward(layer: Layer, params: Arrays, *inputs: Array) -> tuple[Array, Arrays]:
    return layer.train(params, *inputs)


@partial(jax.jit, static_argnums=(0, 1))
def _pull(
    layer: Layer,
    wanted: tuple[bool, ...],
    params: Arrays,
    inputs: tuple[Array, ...],
    cotangent: Array,
) -> tuple[Arrays, list[Array]]:
    _, pull, _ = jax.vjp(layer.train, params, *inputs, has_aux=True)
    to_params, *to_inputs = pull(cotangent)
    return to_params, [part for part, asked in zip(to_inputs, wanted, strict=True) if asked]


@jax.jit
def _add(a: Array, b: Array) -> Array:
    return a + b


@jax.jit
def _cross_entropy(logits: Array, labels: Array) -> tuple[Array, Array, Array]:
    def mean(logits: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, cotangent = jax.value_and_grad(mean)(logits)
    return loss, jnp.sum(logits.argmax(-1) == labels), cotangent
