"""The size of a network as a proxy: the baseline that any other must beat to be worth its cost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from nasproxy.data import Dataset
from nasproxy.networks.graph import Graph
from nasproxy.proxies.base import Card, Score, Scorer
from nasproxy.space import SearchSpace


@dataclass(frozen=True)
class Params:
    """Number of trainable parameters of the space's network, counted without building it."""

    name: ClassVar[str] = "params"
    card: ClassVar[Card] = Card("none", "none", "none", "0", "a baseline")
    seeded: ClassVar[bool] = False

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        return _counting(lambda graph: graph.parameters, space, data)


@dataclass(frozen=True)
class Flops:
    """Forward floating-point operations a sample, two for each multiply-add of a weight."""

    name: ClassVar[str] = "flops"
    card: ClassVar[Card] = Card("none", "none", "none", "0", "a baseline")
    seeded: ClassVar[bool] = False

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        return _counting(lambda graph: graph.flops, space, data)


@dataclass(frozen=True)
class Macs:
    """Forward multiply-adds of weights a sample, half of ``flops``: the mobile measure."""

    name: ClassVar[str] = "macs"
    card: ClassVar[Card] = Card("none", "none", "none", "0", "a baseline")
    seeded: ClassVar[bool] = False

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        return _counting(lambda graph: graph.flops // 2, space, data)


def _counting(count: Callable[[Graph], int], space: SearchSpace, data: Dataset) -> Scorer:
    def score(architecture: object) -> Score:
        graph = space.graph(architecture, data.image_shape, data.classes)
        return Score(float(count(graph)), flops=0.0)

    return score
