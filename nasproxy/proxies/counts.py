"""Counts of a network's layers: baselines that many proxies do not beat."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from nasproxy.data import Dataset
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import (
    AveragePool3x3,
    ConvBN,
    Dense,
    DepthwiseBN,
    MaxPool3x3,
    PointwiseConv,
)
from nasproxy.proxies.base import Score, Scorer
from nasproxy.space import SearchSpace

WEIGHTED = (ConvBN, DepthwiseBN, PointwiseConv, Dense)
POOLS = (MaxPool3x3, AveragePool3x3)


@runtime_checkable
class Counted(Protocol):
    """A space that counts more of an architecture than its network's layers show."""

    def counts(self, architecture: Any) -> Mapping[str, float]:
        """By name; of all architectures the same names."""
        ...


@dataclass(frozen=True)
class Counts:
    """Number of layers with weights that the logits depend on, the stem and the readout included.

    On NAS-Bench-101 and 201 such counts rank better than the number of parameters, and than most
    proxies, which is why a proxy should be read beside them. Columns, of the layers that the logits
    depend on: ``conv3x3``, convolutions of 3 × 3 or more, depthwise ones among them; ``pools``, of
    3 × 3, the fewer the better; ``depth``, layers with weights on the longest path. Each is there
    in spaces whose networks can have it. Spaces add their own: ``input_edges``, edges that leave
    the input of a NAS-Bench-101 cell; ``skips``, edges or layers that only copy, the fewer the
    better; ``expansion``, of MNAS's blocks, summed over layers.
    """

    name: ClassVar[str] = "counts"
    lower: ClassVar[tuple[str, ...]] = ("pools", "skips")

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        def score(architecture: object) -> Score:
            graph = space.graph(architecture, data.image_shape, data.classes)
            own = space.counts(architecture) if isinstance(space, Counted) else {}
            columns = of_graph(graph) | {name: float(count) for name, count in own.items()}
            return Score(columns.pop("layers"), flops=0.0, columns=columns)

        return score


def of_graph(graph: Graph) -> dict[str, float]:
    """``layers``, ``depth`` and, of networks that convolve, ``conv3x3`` and ``pools``."""
    live = [s for s, needed in zip(graph.steps, graph.live, strict=True) if needed]
    weighted = [s.layer for s in live if isinstance(s.layer, WEIGHTED)]
    counts = {"layers": float(len(weighted)), "depth": float(_depth(graph))}
    if any(isinstance(s.layer, (ConvBN, PointwiseConv)) for s in graph.steps):
        counts["conv3x3"] = float(sum(getattr(layer, "size", 1) >= 3 for layer in weighted))
        counts["pools"] = float(sum(isinstance(s.layer, POOLS) for s in live))
    return counts


def _depth(graph: Graph) -> int:
    """Layers with weights on the longest path from the image to the logits."""
    longest = [0]
    for step in graph.steps:
        own = isinstance(step.layer, WEIGHTED)
        longest.append(own + max((longest[i] for i in step.inputs), default=0))
    return longest[-1]
