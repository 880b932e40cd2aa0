"""Gradients of a graph layer by layer: no program is ever compiled for one architecture.

Reverse mode by hand over the list of steps, with ``jax.vjp`` inside every step. A layer's backward
program runs the layer forward again instead of keeping what its derivative needs: on a processor
that is faster than carrying the residuals out of one program and into another (which also takes
``jit`` longer to dispatch), and only the values between layers stay in memory.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int

from nasproxy.networks.execution import Variables, train_values
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import Arrays, Layer

_Pulled: TypeAlias = tuple[Arrays, list[Array]]
"""What a layer gives back: cotangents of its parameters, and of those inputs that want one."""


Given = TypeVar("Given")


class Gradient(NamedTuple):
    """What :func:`value_and_grad` finds on one batch.

    Attributes:
        loss: mean cross-entropy, a scalar.
        correct: how many images the largest logit classifies rightly, a scalar.
        grads: of the loss, a dictionary of arrays a step.
        stats: the batch's own batch-norm statistics, likewise.
    """

    loss: Float[Array, ""]
    correct: Int[Array, ""]
    grads: Variables
    stats: Variables


def value_and_grad(
    graph: Graph,
    params: Variables,
    images: Float[Array, "n h w c"],
    labels: Int[Array, " n"],
) -> Gradient:
    """Cross-entropy in training mode, and its gradient with respect to all parameters.

    Args:
        graph: the network.
        params: every parameter of every step, on the device.
        images: ``[n, h, w, c]``, standardised.
        labels: ``[n]``, integers.
    """
    values, stats = train_values(graph, params, images)
    loss, correct, cotangent = cross_entropy(values[-1], labels)
    return Gradient(loss, correct, pullback(graph, params, values, cotangent), stats)


def pullback(
    graph: Graph,
    params: Variables,
    values: list[Float[Array, "n ..."]],
    cotangent: Float[Array, "n classes"],
) -> Variables:
    """Jᵀ of a cotangent: from one of the logits to those of all parameters, in training mode.

    Args:
        graph: the network.
        params: what ``values`` were computed with.
        values: as :func:`nasproxy.networks.execution.train_values` gives them; they serve any
            number of cotangents.
        cotangent: ``[n, classes]``.

    Returns:
        A dictionary of arrays a step, shaped as ``params``.
    """
    # Steps that the logits do not depend on are not run backwards: their gradients are zeros.
    grads: Variables = [
        {} if live else jax.tree.map(jnp.zeros_like, arrays)
        for live, arrays in zip(graph.live, params, strict=True)
    ]

    def pull(
        position: int, wanted: tuple[bool, ...], inputs: tuple[Array, ...], out: Array
    ) -> _Pulled:
        return _pull(graph.steps[position].layer, wanted, params[position], inputs, out)

    for position, arrays in reverse(graph, values, cotangent, pull):
        grads[position] = cast(Arrays, arrays)
    return grads


def pullback_each(
    graph: Graph,
    params: Variables,
    stats: Variables,
    values: list[Float[Array, "n ..."]],
    cotangent: Float[Array, "n classes"],
) -> Iterator[tuple[int, Arrays]]:
    """Jᵀ of a cotangent image by image, in inference mode: no image meets another there.

    Args:
        graph: the network.
        params: every parameter of every step; those left out get no gradient.
        stats: batch-norm statistics a step, as for :func:`nasproxy.networks.execution.features`.
        values: as :func:`nasproxy.networks.execution.values` gives them.
        cotangent: ``[n, classes]``.

    Yields:
        Each step's position, from the last to the first, and a dictionary of arrays ``[n, …]``, a
        gradient for every image. Who stops early saves the steps before.
    """

    def pull(
        position: int, wanted: tuple[bool, ...], inputs: tuple[Array, ...], out: Array
    ) -> _Pulled:
        layer = graph.steps[position].layer
        return _pull_each(layer, wanted, params[position], stats[position], inputs, out)

    return cast(Iterator[tuple[int, Arrays]], reverse(graph, values, cotangent, pull))


def reverse(
    graph: Graph,
    values: list[Array],
    cotangent: Any,
    pull: Callable[[int, tuple[bool, ...], tuple[Array, ...], Any], tuple[Given, list[Any] | None]],
    *,
    to_images: bool = False,
) -> Iterator[tuple[int, Given | Array]]:
    """Reverse mode over the steps that the logits depend on, from the last to the first.

    Args:
        graph: the network.
        values: from the images to the logits.
        cotangent: of the logits; an array, or a tuple of some that are carried back together.
        pull: of a step: its position, which inputs want a cotangent, the inputs, and the output's
            cotangent; gives what is to be yielded for the step, and those inputs' cotangents, or
            None where it goes no further.
        to_images: whether the images' cotangent is asked for; most have no use for it.

    Yields:
        Positions with what ``pull`` gave; with ``to_images``, −1 with the images' cotangent at the
        end.
    """
    cotangents = {len(graph.steps): cotangent}
    for position in reversed(range(len(graph.steps))):
        inputs = graph.steps[position].inputs
        if position + 1 not in cotangents:  # without effect, or before where it went no further
            continue
        wanted = tuple(to_images or i > 0 for i in inputs)
        read = tuple(values[i] for i in inputs)
        given, to_inputs = pull(position, wanted, read, cotangents.pop(position + 1))
        yield position, given
        if to_inputs is None:
            continue
        asked = (i for i, want in zip(inputs, wanted, strict=True) if want)
        for i, part in zip(asked, to_inputs, strict=True):
            cotangents[i] = add(cotangents[i], part) if i in cotangents else part
    if to_images:
        yield -1, cotangents[0]


@partial(jax.jit, static_argnums=(0, 1))
def _pull(
    layer: Layer,
    wanted: tuple[bool, ...],
    params: Arrays,
    inputs: tuple[Array, ...],
    cotangent: Array,
) -> _Pulled:
    _, pull, _ = jax.vjp(layer.train, params, *inputs, has_aux=True)
    to_params, *to_inputs = pull(cotangent)
    return to_params, [part for part, asked in zip(to_inputs, wanted, strict=True) if asked]


@partial(jax.jit, static_argnums=(0, 1))
def _pull_each(
    layer: Layer,
    wanted: tuple[bool, ...],
    params: Arrays,
    stats: Arrays,
    inputs: tuple[Array, ...],
    cotangent: Array,
) -> _Pulled:
    def of_one(inputs: tuple[Array, ...], cotangent: Array) -> _Pulled:
        batch = (x[None] for x in inputs)
        _, pull = jax.vjp(lambda p, *x: layer.infer(p, stats, *x), params, *batch)
        to_params, *to_inputs = pull(cotangent[None])
        return to_params, [x[0] for x, asked in zip(to_inputs, wanted, strict=True) if asked]

    return jax.vmap(of_one)(inputs, cotangent)


@jax.jit
def add(a: Any, b: Any) -> Any:
    """The sum of two arrays, or of their tuples."""
    return jax.tree.map(jnp.add, a, b)


@jax.jit
def cross_entropy(
    logits: Float[Array, "n classes"], labels: Int[Array, " n"]
) -> tuple[Float[Array, ""], Int[Array, ""], Float[Array, "n classes"]]:
    """Mean cross-entropy, how many images it classifies rightly, and its cotangent of logits."""

    def mean(logits: Array) -> Array:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    loss, cotangent = jax.value_and_grad(mean)(logits)
    return loss, jnp.sum(logits.argmax(-1) == labels), cotangent
