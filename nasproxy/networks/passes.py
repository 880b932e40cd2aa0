"""A pass through a network and back that can be looked into: layer by layer, none compiled for one.

The layers of :class:`~nasproxy.networks.layers.Weighted` are taken apart: the forward pass keeps
their products, so that the reverse pass need not compute them again, and saliences are read off
them. What is seen of a layer is reduced in the layer's own program.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from nasproxy.networks.differentiation import reverse
from nasproxy.networks.execution import Variables
from nasproxy.networks.features import engine
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import TRAINING, Arrays, Layer, SqueezeExcite, Weighted, grow

if TYPE_CHECKING:
    from nasproxy.networks.lanes.recorded import Recorded

IMAGES = -1
"""The step under which :func:`backward` gives the cotangent of the images."""


@dataclass(frozen=True, eq=False)
class Forward:
    """What a pass through a network left; arrays are of the padded graph and on the device.

    Attributes:
        graph: padded.
        params: what it ran with.
        mode: of batch norm, one of :data:`~nasproxy.networks.layers.MODES`.
        values: from the images to the logits, ``[n, …]``; without ``keep`` the logits alone, the
            others being None, and so are those that no logit depends on where they were not run.
        products: of each step that has one; None for others, and without ``keep``.
        stats: each step's batch-norm statistics of the batch, in training mode.
        agreements: of each step with ReLUs, ``[n, n]``: for how many of its units two images are on
            the same side of 0, less those where they are not; None for others, and if not counted.
        recorded: where the pass was Numba's: that, whose way back serves, too. Products are None
            then, and values are read out of its memory.
    """

    graph: Graph
    params: Variables
    mode: str
    values: Sequence[Array | None]
    products: list[Array | None]
    stats: Variables
    agreements: Sequence[Any]
    recorded: "Recorded | None" = None

    @property
    def logits(self) -> Float[Array, "n classes"]:
        logits = self.values[-1]
        assert logits is not None
        return logits


def forward(
    network: Initialised,
    params: Variables,
    images: Float[Array, "n h w c"],
    mode: str,
    *,
    keep: bool = True,
    units: bool = False,
    dead: bool = False,
    maps: bool = False,
    looked: bool = False,
) -> Forward:
    """Runs a network, and sees what there is to see.

    On a CPU with Numba, passes in training mode are the engine's of
    :mod:`nasproxy.networks.lanes`, where it has a way back through every layer.

    Args:
        network: whose graph it is.
        params: a dictionary of arrays a step, of its padded graph, such as ``network.weights``.
        images: ``[n, h, w, c]``, standardised.
        mode: of batch norm.
        keep: what :func:`backward` needs.
        units: whether agreements of units are counted.
        dead: whether steps that the logits do not depend on are run, too.
        maps: whether what the last but one step reads, a global average, is kept in any case.
        looked: whether values and products are looked at step by step; then the pass is XLA's.
    """
    known = mode == TRAINING and not (dead or looked) and params is network.weights
    if known and images.dtype == np.float32 and engine() == "lanes":
        from nasproxy.networks.lanes.tape import derives

        if derives(network.graph):
            return _recorded(network, images, keep=keep, units=units)
    graph = network.padded
    count = len(graph.steps)
    values: list[Array | None] = [images, *[None] * count]
    products: list[Array | None] = [None] * count
    agreements: list[Array | None] = [None] * count
    stats: Variables = [{} for _ in graph.steps]
    last = _last_reads(graph, dead)
    for position, step in enumerate(graph.steps):
        if not (dead or graph.live[position]):
            continue
        inputs: Any = tuple(values[i] for i in step.inputs)
        own = network.graph.steps[position].layer
        counted = own.units() if units else {}
        limits = {name: np.int32(channels) for name, channels in counted.items()}
        value, product, seen, agreement = _run(
            step.layer, mode, keep, params[position], limits, inputs
        )
        values[position + 1], stats[position] = value, seen
        products[position], agreements[position] = product, agreement
        if not keep:
            for i in last[position]:
                if not (maps and i in graph.steps[-2].inputs):
                    values[i] = None
    return Forward(graph, params, mode, values, products, stats, agreements)


def _recorded(
    network: Initialised, images: Float[Array, "n h w c"], *, keep: bool, units: bool
) -> Forward:
    from nasproxy.networks.lanes.recorded import Recorded

    made = Recorded(network, np.asarray(images), signs=units, keep=keep)
    return Forward(
        network.padded,
        network.weights,
        TRAINING,
        _Values(network.padded, made),
        [None] * len(network.graph.steps),
        made.statistics,
        made.agreements,
        made,
    )


class _Values(Sequence[Any]):
    """Values out of the engine's memory, each placed on the device when it is asked for."""

    def __init__(self, padded: Graph, made: "Recorded"):
        self._padded, self._made = padded, made
        self._placed: dict[int, Array] = {}

    def __len__(self) -> int:
        return len(self._padded.steps) + 1

    def __getitem__(self, number: Any) -> Any:
        number = range(len(self))[number]
        if number not in self._placed:
            made = self._made
            if number == len(self) - 1:
                value = made.logits
            elif number == len(self) - 2:
                value = made.features
            elif not made.has(number):
                return None
            else:
                value = made.value(number)
            shape = (len(value), *self._padded.shapes[number])
            self._placed[number] = jax.device_put(grow(np.ascontiguousarray(value), shape))
        return self._placed[number]


@dataclass(frozen=True, eq=False)
class Pulled:
    """What a step gives back.

    Attributes:
        grads: cotangents of its parameters, padded; of the step ``IMAGES`` those of the images, as
            ``{"images": [n, h, w, c]}``.
        salience: ``[channels]`` by kernel, see :func:`backward`; none where none was wanted.
    """

    grads: Arrays
    salience: Arrays = field(default_factory=dict)


def backward(
    run: Forward,
    cotangent: Float[Array, "n classes"],
    *,
    salience: bool = False,
    to_params: bool = True,
    to_images: bool = False,
) -> Iterator[tuple[int, Pulled]]:
    """Jᵀ of a cotangent of the logits, step by step from the last to the first.

    Args:
        run: with its values kept; it serves any number of cotangents.
        cotangent: ``[n, classes]``.
        salience: of each channel of a product a with a kernel, whose cotangent is ā: the mean over
            images of half the square of Σ a·ā over pixels (Theis et al. 2018, equation 9).
        to_params: whether the parameters' are wanted, which take half of the time.
        to_images: whether the images' is, which comes last.

    Yields:
        A step's position and what it gives back; steps without effect on the logits are left out.
    """

    if run.recorded is not None:
        last = len(run.graph.steps)
        yield from backward_from(
            run, {last: cotangent}, salience=salience, to_params=to_params, to_images=to_images
        )
        return

    def pull(
        position: int, wanted: tuple[bool, ...], inputs: tuple[Array, ...], out: Array
    ) -> tuple[Pulled, list[Array]]:
        return pull_step(run, position, wanted, inputs, out, salience=salience, to_params=to_params)

    values: Any = run.values
    made = reverse(run.graph, values, cotangent, pull, to_images=to_images)
    for position, pulled in made:
        yield position, pulled if isinstance(pulled, Pulled) else Pulled({"images": pulled})


def backward_from(
    run: Forward,
    cotangents: Mapping[int, Array],
    *,
    salience: bool = False,
    to_params: bool = True,
    to_images: bool = False,
) -> Iterator[tuple[int, Pulled]]:
    """As :func:`backward`, from cotangents of any values, of a pass that was recorded."""
    made, last = run.recorded, len(run.graph.steps)
    assert made is not None
    graph = made.network.graph
    seeds = {i: np.asarray(c)[..., : graph.shapes[i][-1]] for i, c in cotangents.items()}
    if last in seeds:
        of_logits = seeds.pop(last)
        kernel = made.network.given[-1]["kernel"]
        grads = {"kernel": made.features.T @ of_logits} if to_params else {}
        salient: Arrays = {}
        if salience:
            salient = {"kernel": np.square(made.logits * of_logits).mean(0) / 2}
        yield last - 1, Pulled(grads, salient)
        of_features = of_logits @ kernel.T
        seeds[last - 1] = seeds[last - 1] + of_features if last - 1 in seeds else of_features
    if not seeds:
        return
    pulled = made.pull(seeds, salience=salience, to_params=to_params, to_images=to_images)
    for position in range(max(seeds) - 1, -1, -1):
        if graph.live[position]:
            own: list[Arrays] = [
                {"kernel": found[position]} if position in found else {}
                for found in (pulled.gradients, pulled.saliences)
            ]
            yield position, Pulled(*own)
    if to_images:
        yield IMAGES, Pulled({"images": pulled.images})


def pull_step(
    run: Forward,
    position: int,
    wanted: tuple[bool, ...],
    inputs: tuple[Array, ...],
    cotangent: Array,
    *,
    salience: bool = False,
    to_params: bool = True,
) -> tuple[Pulled, list[Array]]:
    """Through one step: what it gives back, and the cotangents of those inputs that want one."""
    layer, params = run.graph.steps[position].layer, run.params[position]
    salient = salience and bool(kernels(layer))
    product = run.products[position]
    asked = (to_params, salient)
    grads, found, back = _pull(layer, run.mode, wanted, asked, params, product, inputs, cotangent)
    return Pulled(grads, found), back


def kernels(layer: Layer) -> tuple[str, ...]:
    """Names of a layer's kernels: what inputs are multiplied with, as against scales and biases."""
    return tuple(name for name, shape in layer.parameters().items() if len(shape) > 1)


def sighted(layer: Layer) -> bool:
    """Whether passes see inside a layer, or there is nothing to see."""
    return isinstance(layer, Weighted | SqueezeExcite) or not layer.parameters()


def _last_reads(graph: Graph, dead: bool) -> list[list[int]]:
    """For each step, the values that nothing later reads."""
    if not dead:
        return [list(some) for some in graph.last_use]
    last: dict[int, int] = {}
    for position, step in enumerate(graph.steps):
        last |= dict.fromkeys(step.inputs, position)
    return [
        [i for i in set(step.inputs) if last[i] == position]
        for position, step in enumerate(graph.steps)
    ]


def whole(
    layer: Layer, mode: str, params: Arrays, inputs: tuple[Array, ...]
) -> tuple[Array, Arrays]:
    """A layer's output in a mode, and the batch's statistics in training mode."""
    if isinstance(layer, Weighted):
        return layer.finish(params, layer.product(params, *inputs), *inputs, mode=mode)
    if mode == TRAINING:
        return layer.train(params, *inputs)
    return layer.infer(params, {}, *inputs), {}


@partial(jax.jit, static_argnums=(0, 1, 2))
def _run(
    layer: Layer, mode: str, keep: bool, params: Arrays, units: Arrays, inputs: tuple[Array, ...]
) -> tuple[Array, Array | None, Arrays, Array | None]:
    product = None
    if isinstance(layer, Weighted):
        product = layer.product(params, *inputs)
        value, stats = layer.finish(params, product, *inputs, mode=mode)
    else:
        value, stats = whole(layer, mode, params, inputs)
    agreement = None
    if units:
        read = layer.before_relus(params, product, *inputs, mode=mode)
        agreement = reduce(jnp.add, (_agreement(read[name], n) for name, n in units.items()))
    return value, product if keep else None, stats, agreement


def _agreement(units: Float[Array, "n ..."], channels: Array) -> Float[Array, "n n"]:
    """Σ s·sᵀ over units, s = 1 where an image is above 0 and −1 where not; exact in float32."""
    own = jnp.arange(units.shape[-1]) < channels  # Padding has no sides.
    own = jax.lax.broadcast_to_rank(own, units.ndim)
    sides = jnp.where(own, jnp.where(units > 0, 1.0, -1.0), 0.0)
    flat = sides.astype(jnp.float32).reshape(len(units), -1)
    return flat @ flat.T


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _pull(
    layer: Layer,
    mode: str,
    wanted: tuple[bool, ...],
    asked: tuple[bool, bool],
    params: Arrays,
    product: Array | None,
    inputs: tuple[Array, ...],
    cotangent: Array,
) -> tuple[Arrays, Arrays, list[Array]]:
    named, salient = asked
    salience: Arrays = {}
    if isinstance(layer, Weighted):
        _, rest, _ = jax.vjp(
            lambda p, a, *x: layer.finish(p, a, *x, mode=mode),
            params,
            product,
            *inputs,
            has_aux=True,
        )
        to_params, to_product, *to_inputs = rest(cotangent)
        # The product itself is not computed: its derivative does not need it.
        _, back = jax.vjp(layer.product, params, *inputs)
        more, *others = back(to_product)
        to_params = {name: to_params[name] + more[name] for name in params}
        to_inputs = [a + b for a, b in zip(to_inputs, others, strict=True)]
        if salient:
            (kernel,) = kernels(layer)
            salience = {kernel: _salience(product, to_product)}
    elif salient and isinstance(layer, SqueezeExcite):
        widths = {"reduce": layer.squeeze, "expand": layer.channels}
        probes = {k: jnp.zeros((len(cotangent), w), cotangent.dtype) for k, w in widths.items()}
        _, back, made = jax.vjp(layer.probed, params, probes, *inputs, has_aux=True)
        to_params, to_made, *to_inputs = back(cotangent)
        salience = {name: _salience(made[name], to_made[name]) for name in made}
    else:
        _, back, _ = jax.vjp(lambda p, *x: whole(layer, mode, p, x), params, *inputs, has_aux=True)
        to_params, *to_inputs = back(cotangent)
    to_params = to_params if named else {}
    return to_params, salience, [x for x, asked in zip(to_inputs, wanted, strict=True) if asked]


def _salience(product: Any, cotangent: Array) -> Float[Array, " c"]:
    pixels = tuple(range(1, product.ndim - 1))
    return jnp.square((product * cotangent).sum(pixels)).mean(0) / 2
