"""A network drawn at a seed, padded and placed on the device: what every use of one starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import jax
import numpy as np
from flax import nnx
from jax import Array
from jax.core import Tracer
from jaxtyping import Float, UInt32

from nasproxy.networks import execution
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import Arrays, grow


class HasVariables(Protocol):
    """A network that can say what its weights are: :class:`nasproxy.networks.module.Network`."""

    @property
    def graph(self) -> Graph: ...

    def variables(self) -> tuple[Variables, Variables]:
        """Every parameter and every statistic, a dictionary of arrays a step, not padded."""
        ...


@dataclass(frozen=True, eq=False)
class Initialised:
    """A network with its weights, ready to run layer by layer.

    It is a value: :meth:`settled` gives another. Made by :meth:`draw` or :meth:`from_module`.

    Attributes:
        graph: the network.
        given: parameters a step, float32 in the network's own shapes and on the host; what is left
            out is a constant of its layer (batch norm's scale 1, biases 0).
        stats: batch-norm statistics a step, of ``padded`` and on the device; an empty dictionary
            stands for mean 0, variance 1.
        seed: numbers that name the draw; None where a generator or a module gave the weights.
    """

    graph: Graph
    given: Variables
    stats: Variables
    seed: tuple[int, ...] | None = None

    @classmethod
    def draw(cls, graph: Graph, seed: Sequence[int] | np.random.Generator | nnx.Rngs) -> Self:
        """A fresh network.

        Args:
            graph: the network.
            seed: numbers, the same of which give the same weights; a generator; or Flax's, whose
                stream ``params`` names the weights. Inside JAX's transformations only Flax's
                serves, and what is drawn there can only be made a module of.
        """
        named = None
        if isinstance(seed, nnx.Rngs):
            drawn = _draw_by_key(graph, jax.random.key_data(seed.params()))
        elif isinstance(seed, np.random.Generator):
            drawn = execution.initialise(graph, seed)
        else:
            named = tuple(seed)
            sequence = np.random.SeedSequence(list(named))
            drawn = execution.initialise(graph, np.random.Generator(np.random.SFC64(sequence)))
        return cls(graph, drawn, [{} for _ in graph.steps], named)

    @classmethod
    def from_module(cls, module: HasVariables) -> Self:
        """The network of a Flax module as it now is, its moved statistics included."""
        params, stats = module.variables()
        fresh = cls(module.graph, jax.device_get(params), [])
        shapes = [step.layer.statistics() for step in fresh.padded.steps]
        grown = [
            {name: grow(np.asarray(array), like[name].shape) for name, array in arrays.items()}
            for arrays, like in zip(stats, shapes, strict=True)
        ]
        return replace(fresh, stats=jax.device_put(grown))

    @cached_property
    def padded(self) -> Graph:
        """The graph that runs: channels padded to vectors, see :func:`execution.pad`."""
        return execution.pad(self.graph)

    @cached_property
    def weights(self) -> Variables:
        """What ``given`` holds, of ``padded`` and on the device.

        Layers compute with their constants where they are given none, and are faster for it.
        """
        return execution.place(self.padded, self.given)

    @cached_property
    def complete(self) -> Variables:
        """Every parameter, constants too, in the network's own shapes."""
        constants = execution.constants(self.graph)
        return [fixed | given for fixed, given in zip(constants, self.given, strict=True)]

    @cached_property
    def params(self) -> Variables:
        """Every parameter, of ``padded`` and on the device: what gradients are taken by."""
        return execution.place(self.padded, self.complete)

    @property
    def statistics(self) -> Variables:
        """Every batch-norm statistic in the network's own shapes, on the host."""
        fresh = execution.initial_statistics(self.graph)
        return [
            {name: np.asarray(stats.get(name, a))[: len(a)] for name, a in arrays.items()}
            for arrays, stats in zip(fresh, self.stats, strict=True)
        ]

    def settled(self, images: Float[Array, "n h w c"], momentum: float) -> Self:
        """The network after one batch has moved its statistics, see :func:`blended_statistics`.

        At momentum 1 nothing moves, and no pass is made. ``images`` are ``[n, h, w, c]``.
        """
        if momentum == 1:
            return self
        stats = execution.blended_statistics(self.padded, self.weights, images, momentum)
        settled = replace(self, stats=stats)
        # What is placed already need not be placed again.
        settled.__dict__.update(padded=self.padded, weights=self.weights)
        return settled

    def features(self, images: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """Penultimate features in inference mode, ``[n, d]``, d rounded up to vectors."""
        return execution.features(self.padded, self.weights, self.stats, images)

    def logits(self, images: Float[Array, "n h w c"]) -> Float[Array, "n classes"]:
        """Logits in inference mode, ``[n, classes]``."""
        return execution.logits(self.padded, self.weights, self.stats, images)

    def values(self, images: Float[Array, "n h w c"]) -> list[Float[Array, "n ..."]]:
        """Every value in inference mode, from the images to the logits."""
        return execution.values(self.padded, self.weights, self.stats, images)

    def train(self, images: Float[Array, "n h w c"]) -> tuple[Float[Array, "n d"], Variables]:
        """Features in training mode, ``[n, d]``, d rounded up, and the batch's statistics."""
        return execution.train(self.padded, self.weights, images)

    def own(self, step: int, arrays: Arrays) -> Arrays:
        """Arrays of one step's parameters, ``[…, *shape]``, without what padding added to them.

        In NumPy on a CPU: slicing in JAX would compile a program for every shape. Padding has to go
        before a sum over parameters: a kernel's added rows have gradients wherever their input has
        channels that the layer truncates.
        """
        shapes = self.graph.steps[step].layer.parameters()
        on_host = jax.default_backend() == "cpu"
        return {
            name: (np.asarray(array) if on_host else array)[(..., *map(slice, shapes[name]))]
            for name, array in arrays.items()
        }


def _draw_by_key(graph: Graph, key: UInt32[Array, " _"]) -> Variables:
    def draw(key: Array | np.ndarray) -> Variables:
        return execution.initialise(graph, np.random.default_rng(np.asarray(key)))

    if not isinstance(key, Tracer):
        return draw(key)
    # Inside nnx.eval_shape, nnx.jit or nnx.vmap NumPy has to be called back.
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), draw(np.zeros(2, int)))
    return jax.pure_callback(draw, like, key, vmap_method="sequential")
