"""A graph as a Flax module, to train it or to take it into code of one's own."""

from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array
from jax.core import Tracer

from nasproxy.networks import execution
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph, Step
from nasproxy.networks.layers import Arrays


class Network(nnx.Module):
    """The network of a graph, its weights drawn by NumPy from the ``params`` stream of ``rngs``.

    It runs layer by layer through the programs of :mod:`nasproxy.networks.execution`, so that
    calling it compiles nothing for one architecture. Under ``nnx.jit`` the whole network is one
    program: that pays where one network is trained for long, and for nothing else.

    Attributes:
        graph: what it computes.
        params: an ``nnx.Dict`` of ``nnx.Param`` a step of the graph.
        statistics: an ``nnx.Dict`` of ``nnx.BatchStat`` a step, moved by passes in training mode.
        momentum: weight of the old statistics in a move; NAS-Bench-101's by default.
    """

    def __init__(self, graph: Graph, rngs: nnx.Rngs, momentum: float = 0.997):
        self.graph = graph
        self.momentum = momentum
        weights = _draw(graph, jax.random.key_data(rngs.params()))
        params = [
            fixed | drawn for fixed, drawn in zip(execution.constants(graph), weights, strict=True)
        ]
        self.params = _variables(nnx.Param, execution.place(graph, params))
        stats = jax.device_put(execution.initial_statistics(graph))
        self.statistics = _variables(nnx.BatchStat, stats)

    def features(self, x: Array, train: bool = False) -> Array:
        """Penultimate features ``[n, d]`` of standardised images ``[n, h, w, c]``.

        With ``train``, batches are normalised by their own statistics, which also move
        :attr:`statistics`: ``momentum`` · old + (1 − ``momentum``) · batch, the variance biased.
        """
        params, stats = _arrays(self.params), _arrays(self.statistics)
        if not train:
            return execution.features(self.graph, params, stats, x)
        features, batch = execution.train(self.graph, params, x)
        weight = np.float32(self.momentum)
        for variables, old, seen in zip(self.statistics, stats, batch, strict=True):
            for name, value in (_move(old, seen, weight) if seen else {}).items():
                variables[name][...] = value
        return features

    def __call__(self, x: Array, train: bool = False) -> Array:
        """Logits ``[n, classes]``; arguments as for :meth:`features`."""
        features = self.features(x, train)
        readout = Graph((Step(self.graph.steps[-1].layer, (0,)),), features.shape[1:])
        return execution.logits(readout, _arrays(self.params)[-1:], [{}], features)


def _draw(graph: Graph, seed: Array) -> Variables:
    def draw(seed: Array | np.ndarray) -> Variables:
        return execution.initialise(graph, np.random.default_rng(np.asarray(seed)))

    if not isinstance(seed, Tracer):
        return draw(seed)
    # Made inside nnx.eval_shape, nnx.jit or nnx.vmap, where NumPy has to be called back.
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), draw(np.zeros(2, int)))
    return jax.pure_callback(draw, like, seed, vmap_method="sequential")


def _variables(kind: type[nnx.Variable[Array]], arrays: Variables) -> nnx.List[Any]:
    return nnx.List([nnx.Dict({name: kind(a) for name, a in step.items()}) for step in arrays])


def _arrays(variables: nnx.List[Any]) -> Variables:
    return [{name: variable[...] for name, variable in step.items()} for step in variables]


@jax.jit
def _move(old: Arrays, seen: Arrays, momentum: np.float32) -> Arrays:
    return {name: momentum * old[name] + (1 - momentum) * seen[name] for name in seen}
