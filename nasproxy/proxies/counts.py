"""What can be counted in an architecture: the baselines that cost nothing, and beat most rivals."""

import math
from dataclasses import dataclass
from typing import ClassVar

from nasproxy.data import Dataset
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import (
    AveragePool3x3,
    ConvBN,
    DepthwiseBN,
    DepthwiseConv,
    Layer,
    MaxPool3x3,
    ProjectAdd,
    Zero,
)
from nasproxy.proxies.base import Card, Score, Scorer
from nasproxy.space import Counted, SearchSpace

CONVOLUTIONS = (ConvBN, DepthwiseBN, DepthwiseConv)


@dataclass(frozen=True)
class Counts:
    """Number of weight layers that the output depends on, and further counts.

    A weight layer is a kernel: of a convolution, a depthwise one among them, or an affine map;
    squeeze-and-excitation has two. It counts if what it makes of an image reaches the logits, so
    none does whose inputs are zeros.

    Columns are ``depth``, the most weight layers on a path from image to logits, and what the space
    counts of its own (:class:`nasproxy.space.Counted`); of a space that counts nothing, and whose
    networks keep images, ``conv3x3``, the live convolutions of 3×3 and larger kernels, depthwise
    ones among them, and ``pools``, the live 3×3 pools. Fewer ``pools`` and ``skips`` are better:
    each stands where a weight might.
    """

    name: ClassVar[str] = "counts"
    card: ClassVar[Card] = Card("none", "none", "none", "0", "a baseline")
    unit: ClassVar[str] = "weight layers"
    seeded: ClassVar[bool] = False
    lower: ClassVar[tuple[str, ...]] = ("pools", "skips")

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        def score(architecture: object) -> Score:
            graph = space.graph(architecture, data.image_shape, data.classes)
            of_space = space.counts(architecture) if isinstance(space, Counted) else seen(graph)
            columns = {"depth": depth(graph), **of_space}
            return Score(
                float(weight_layers(graph)),
                flops=0.0,
                columns={column: float(count) for column, count in columns.items()},
            )

        return score


def weight_layers(graph: Graph) -> int:
    """Kernels that the logits depend on, for some image."""
    return sum(
        kernels(step.layer) for step, on in zip(graph.steps, reached(graph), strict=True) if on
    )


def depth(graph: Graph) -> int:
    """The most kernels on a path from the image to the logits; 0 where there is no path."""
    deepest = [0.0]  # of each value; −inf for one that is the same for every image
    for step in graph.steps:
        ways = [deepest[i] for i in step.inputs]
        own = kernels(step.layer)
        if isinstance(step.layer, Zero):
            deepest.append(-math.inf)
        elif isinstance(step.layer, ProjectAdd):  # The others are added to its convolution.
            deepest.append(max(ways[0] + own, *ways[1:], -math.inf))
        else:
            deepest.append(max(ways) + own)
    return int(max(deepest[-1], 0))


def seen(graph: Graph) -> dict[str, int]:
    """What can be counted of any network that keeps images; nothing of others."""
    if all(len(shape) < 3 for shape in graph.shapes[1:]):
        return {}
    layers = [step.layer for step, on in zip(graph.steps, reached(graph), strict=True) if on]
    return {
        "conv3x3": sum(isinstance(x, CONVOLUTIONS) and x.size >= 3 for x in layers),
        "pools": sum(isinstance(x, MaxPool3x3 | AveragePool3x3) for x in layers),
    }


def reached(graph: Graph) -> tuple[bool, ...]:
    """For each step, whether something of the image passes through it to the logits."""
    varies = [True]
    for step in graph.steps:
        varies.append(not isinstance(step.layer, Zero) and any(varies[i] for i in step.inputs))
    needed = {len(graph.steps)}
    for place in reversed(range(len(graph.steps))):
        if place + 1 in needed and not isinstance(graph.steps[place].layer, Zero):
            needed.update(graph.steps[place].inputs)
    steps = enumerate(graph.steps, start=1)
    return tuple(
        value in needed and _passes(step.layer, step.inputs, varies) for value, step in steps
    )


def _passes(layer: Layer, inputs: tuple[int, ...], varies: list[bool]) -> bool:
    """Whether a layer's own weights, if it has some, see the image."""
    if isinstance(layer, Zero):
        return False
    seeing = inputs[:1] if isinstance(layer, ProjectAdd) else inputs
    return any(varies[i] for i in seeing)


def kernels(layer: Layer) -> int:
    """Arrays of a layer that inputs are multiplied with; scales and biases are vectors."""
    return sum(len(shape) > 1 for shape in layer.parameters().values())
