"""How a network's gradient changes along a direction of its weights, layer by layer.

Forward mode over reverse mode (Pearlmutter 1994): what moves with the weights is carried forward,
then the cotangents and what these move by are carried back. Where nothing moves yet, the way back
is linear, and one pull does.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from nasproxy.networks.convolution import derivable
from nasproxy.networks.differentiation import cross_entropy, reverse
from nasproxy.networks.execution import Variables
from nasproxy.networks.layers import Arrays, Layer
from nasproxy.networks.passes import Forward, backward_from, kernels, pull_step, whole

if TYPE_CHECKING:
    from nasproxy.networks.lanes.recorded import Moved, Recorded


def hessian_product(
    run: Forward, labels: Int[Array, " n"], direction: Variables
) -> Iterator[tuple[int, Arrays]]:
    """H·d, H being the Hessian of the mean cross-entropy by what the pass ran with.

    Args:
        run: a pass with its values kept.
        labels: ``[n]``.
        direction: d, a dictionary of arrays a step, shaped as ``run.params``; what is left out of
            it is 0.

    Yields:
        Steps' positions from the last to the first, and arrays shaped as their parameters; steps
        without effect on the logits are left out.
    """
    graph, values = run.graph, run.values
    if run.recorded is not None and (moving := _by_themselves(run, direction)) is not None:
        pushed = run.recorded.push(moving)
        if pushed is not None:
            yield from _recorded(run.recorded, pushed, labels)
            return
    moved: dict[int, Array] = {}  # of values, those that move
    for position, step in enumerate(graph.steps):
        moving = bool(direction[position]) or any(i in moved for i in step.inputs)
        if graph.live[position] and moving:
            moved[position + 1] = _push(
                step.layer, run.mode, *_tangents(run, position, direction, moved)
            )
    last = len(graph.steps)
    if last not in moved:
        return
    cotangent = _loss_cotangents(values[last], moved[last], labels)
    still: dict[int, Array] = {}  # cotangents of values that do not move, of a recorded pass

    def pull(
        position: int, wanted: tuple[bool, ...], inputs: tuple[Array, ...], out: Any
    ) -> tuple[Arrays, list[Any] | None]:
        cotangent, change = out
        if position + 1 not in moved:
            if run.recorded is not None:
                still[position + 1] = change
                return {}, None
            pulled, back = pull_step(run, position, wanted, inputs, change)
            return pulled.grads, [(None, part) for part in back]
        layer = graph.steps[position].layer
        tangents = _tangents(run, position, direction, moved)
        grads, fixed, back = _pull_both(layer, run.mode, wanted, *tangents, cotangent, change)
        asked = (i for i, want in zip(graph.steps[position].inputs, wanted, strict=True) if want)
        pairs = zip(asked, fixed, back, strict=True)
        return grads, [(part if i in moved else None, change) for i, part, change in pairs]

    every: Any = values
    made: Any = reverse(graph, every, cotangent, pull)
    for position, grads in made:
        if position + 1 not in still:
            yield position, grads
    if still:
        for position, pulled in backward_from(run, still):
            yield position, pulled.grads


def _by_themselves(run: Forward, direction: Variables) -> frozenset[int] | None:
    """Steps whose kernels are all that the direction has of them; None for other directions."""
    moving: set[int] = set()
    for position, given in enumerate(direction):
        params = run.params[position]
        if not given or not run.graph.live[position]:
            continue
        if not kernels(run.graph.steps[position].layer) == tuple(given) == ("kernel",):
            return None
        if given["kernel"] is not params["kernel"]:
            return None
        moving.add(position)
    return frozenset(moving)


def _recorded(
    made: "Recorded", moved: "Moved", labels: Int[Array, " n"]
) -> Iterator[tuple[int, Arrays]]:
    """H·d of kernels that move by themselves, in the engine that ran the pass."""
    readout = len(made.network.graph.steps) - 1
    kernel = made.network.given[readout]["kernel"]
    own = np.float32(readout in moved.moving)
    shifts = moved.features @ kernel + own * (made.features @ kernel)
    pair = _loss_cotangents(jax.device_put(made.logits), jax.device_put(shifts), labels)
    cotangent, change = map(np.asarray, pair)
    yield readout, {"kernel": moved.features.T @ cotangent + made.features.T @ change}
    changes = (change + own * cotangent) @ kernel.T
    pulled = made.pull_moved(moved, changes, cotangent @ kernel.T)
    for position in range(readout - 1, -1, -1):
        if position in pulled.gradients:
            yield position, {"kernel": pulled.gradients[position]}


def _tangents(run: Forward, position: int, direction: Variables, moved: dict[int, Array]) -> Any:
    """A step's parameters and inputs, and what each moves by."""
    params, given = run.params[position], direction[position]
    inputs: Any = tuple(run.values[i] for i in run.graph.steps[position].inputs)
    moves = {name: given.get(name, jnp.zeros_like(array)) for name, array in params.items()}
    places = run.graph.steps[position].inputs
    shifts = tuple(
        moved[i] if i in moved else jnp.zeros_like(x) for i, x in zip(places, inputs, strict=True)
    )
    return params, inputs, moves, shifts


@partial(jax.jit, static_argnums=(0, 1))
def _push(
    layer: Layer,
    mode: str,
    params: Arrays,
    inputs: tuple[Array, ...],
    moves: Arrays,
    shifts: tuple[Array, ...],
) -> Array:
    with derivable():
        return jax.jvp(lambda p, x: whole(layer, mode, p, x)[0], (params, inputs), (moves, shifts))[
            1
        ]


@partial(jax.jit, static_argnums=(0, 1, 2))
def _pull_both(
    layer: Layer,
    mode: str,
    wanted: tuple[bool, ...],
    params: Arrays,
    inputs: tuple[Array, ...],
    moves: Arrays,
    shifts: tuple[Array, ...],
    cotangent: Array,
    change: Array,
) -> tuple[Arrays, list[Array], list[Array]]:
    """How cotangents of parameters change; cotangents of inputs, and how those change."""

    def pull(params: Arrays, inputs: tuple[Array, ...], out: Array) -> tuple[Arrays, list[Array]]:
        _, back, _ = jax.vjp(lambda p, *x: whole(layer, mode, p, x), params, *inputs, has_aux=True)
        to_params, *to_inputs = back(out)
        return to_params, [x for x, asked in zip(to_inputs, wanted, strict=True) if asked]

    with derivable():
        (_, still), (grads, back) = jax.jvp(
            pull, (params, inputs, cotangent), (moves, shifts, change)
        )
    return grads, still, back


@jax.jit
def _loss_cotangents(
    logits: Float[Array, "n classes"], moved: Float[Array, "n classes"], labels: Int[Array, " n"]
) -> tuple[Array, Array]:
    return jax.jvp(lambda z: cross_entropy(z, labels)[2], (logits,), (moved,))
