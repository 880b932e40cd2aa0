"""A network drawn at a seed, padded and placed on the device: what every use of one starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import numpy as np
from jax import Array

from nasproxy.networks import execution
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import Arrays


@dataclass(frozen=True, eq=False)
class Initialised:
    """A network with its weights, ready to run layer by layer.

    Attributes:
        graph: the network.
        drawn: arrays a step, float32 NumPy in the network's own shapes: what is not a layer's
            constant, as :func:`nasproxy.networks.execution.initialise` draws it.
        stats: batch-norm statistics a step, of ``padded`` and on the device; an empty dictionary
            stands for mean 0, variance 1.
        seed: numbers that name the draw; None where a generator or a module gave the weights.
    """

    graph: Graph
    drawn: Variables
    stats: Variables
    seed: tuple[int, ...] | None = None

    @classmethod
    def draw(cls, graph: Graph, seed: Sequence[int] | np.random.Generator) -> Initialised:
        """A fresh network; the same numbers give the same weights."""
        named = None
        if not isinstance(seed, np.random.Generator):
            named = tuple(seed)
            seed = np.random.Generator(np.random.SFC64(np.random.SeedSequence(list(named))))
        nothing: Variables = [{} for _ in graph.steps]
        return cls(graph, execution.initialise(graph, seed), nothing, named)

    @cached_property
    def padded(self) -> Graph:
        """The graph that runs: channels padded to vectors, see :func:`execution.pad`."""
        return execution.pad(self.graph)

    @cached_property
    def weights(self) -> Variables:
        """What ``drawn`` holds, of ``padded`` and on the device.

        Layers compute with their constants where they are given none, and are faster for it.
        """
        return execution.place(self.padded, self.drawn)

    @cached_property
    def params(self) -> Variables:
        """Every parameter, constants too: what gradients are taken with respect to."""
        complete = [
            fixed | drawn
            for fixed, drawn in zip(execution.constants(self.graph), self.drawn, strict=True)
        ]
        return execution.place(self.padded, complete)

    def settled(self, images: Array, momentum: float) -> Initialised:
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

    def features(self, images: Array) -> Array:
        """Penultimate features in inference mode, ``[n, d]``, d rounded up to vectors."""
        return execution.features(self.padded, self.weights, self.stats, images)

    def logits(self, images: Array) -> Array:
        """Logits in inference mode, ``[n, classes]``."""
        return execution.logits(self.padded, self.weights, self.stats, images)

    def values(self, images: Array) -> list[Array]:
        """Every value in inference mode, from the images to the logits."""
        return execution.values(self.padded, self.weights, self.stats, images)

    def train(self, images: Array) -> tuple[Array, Variables]:
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
