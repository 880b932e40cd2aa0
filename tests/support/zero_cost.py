"""What tests of zero-cost proxies share: a case of a space, scored once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nasproxy.data import Dataset
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.module import Network
from nasproxy.proxies import passes
from nasproxy.proxies.suite import members
from search_spaces import NASBench101, NASBench201
from search_spaces.nasbench101.cell import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OUTPUT, Cell

BATCH = 8
SUITE = members("suite", {"batch": BATCH})
NAMES = [proxy.name for proxy in SUITE]


def cell(edges: str, *ops: str) -> Cell:
    """A cell of edges written as in the papers: ``01 12 02``."""
    matrix = np.zeros((len(ops) + 2, len(ops) + 2), int)
    for edge in edges.split():
        matrix[int(edge[0]), int(edge[1])] = 1
    return Cell.create(matrix, [INPUT, *ops, OUTPUT])


MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SPACES: dict[str, tuple[Any, Any]] = {
    "nasbench201": (NASBench201(width=8, cells=1), MIXED),
    "nasbench101": (
        NASBench101(width=12, stacks=1, cells=1),  # padded, split unevenly, truncated
        cell("01 02 12 14 23 34 24 04", CONV3X3, CONV1X1, MAXPOOL3X3),
    ),
}


@dataclass(frozen=True)
class Case:
    """One architecture, and all proxies of the suite scored together."""

    space: Any
    architecture: Any
    data: Dataset

    @cached_property
    def graph(self) -> Graph:
        return self.space.graph(self.architecture, self.data.image_shape, self.data.classes)

    @cached_property
    def drawn(self) -> Initialised:
        return Initialised.draw(self.graph, (0, 0))

    @cached_property
    def scores(self) -> dict[str, passes.Shared | Exception]:
        together = passes.prepare(SUITE, self.space, self.data, 0)
        made = together(self.architecture, tuple(range(len(SUITE))))
        return dict(zip(NAMES, made, strict=True))

    def value(self, name: str) -> float:
        made = self.scores[name]
        assert isinstance(made, passes.Shared), made
        return made.score.value

    def batch(self, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of a pass."""
        images, labels = self.data.subset("train", (number + 1) * BATCH, 0)
        return images[number * BATCH :], labels[number * BATCH :]

    @cached_property
    def flax(self) -> "ByFlax":
        return ByFlax(self)


class ByFlax:
    """Gradients of the same weights by JAX, of the Flax module as a whole."""

    def __init__(self, case: Case):
        self.module = Network(case.drawn)
        definition, params, rest = nnx.split(self.module, nnx.Param, ...)
        images, labels = map(jnp.asarray, case.batch())

        def logits(params: Any, x: Any) -> Any:
            return nnx.merge(definition, params, rest, copy=True)(x, train=True)

        def loss(params: Any) -> Any:
            made = jax.nn.log_softmax(logits(params, images))
            return -made[jnp.arange(len(labels)), labels].mean()

        self.params = params
        self.grads = jax.jit(jax.grad(loss))(params)
        self.jacobian = jax.jit(jax.grad(lambda x: logits(params, x).sum()))(images)
        kernels = jax.tree.map(lambda p: p * (1.0 if p.ndim > 1 else 0.0), params)
        self.product = jax.jit(lambda d: jax.jvp(jax.grad(loss), (params,), (d,))[1])(kernels)

    def kernels(self, tree: Any) -> list[np.ndarray]:
        """Those leaves that are kernels."""
        return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]
