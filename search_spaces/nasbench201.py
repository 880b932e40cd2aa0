"""NAS-Bench-201: cells of four nodes and six operations (Dong and Yang 2020)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nasproxy.checks import Whole, check
from nasproxy.drawing import Drawing, Vertex, dag
from nasproxy.errors import ArchitectureError, DataError
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import (
    Add,
    AveragePool3x3,
    BNReLU,
    ConvBN,
    Dense,
    GlobalAverage,
    HalveByMean,
    PointwiseConv,
    ProjectAdd,
    Shape,
    Zero,
)
from search_spaces.product import NamedSpace

NONE, SKIP, CONV1X1, CONV3X3, POOL = OPS = (
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to), in the order in which a key lists their operations."""
STAGES = 3
_DRAWN = {
    CONV1X1: Vertex("1×1 conv", "conv1"),
    CONV3X3: Vertex("3×3 conv", "conv3"),
    POOL: Vertex("3×3 avg pool", "pool"),
}
_OP = f"({'|'.join(OPS)})"
_KEY = re.compile(rf"\|{_OP}~0\|\+\|{_OP}~0\|{_OP}~1\|\+\|{_OP}~0\|{_OP}~1\|{_OP}~2\|")


@dataclass(frozen=True)
class NASBench201(NamedSpace):
    """15,625 cells of six operations, each repeated to a CIFAR network of three stages.

    A key is the official string, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``: for each of three nodes,
    what is done to each earlier one before their sum. Cells that compute the same have keys of
    their own, as in the benchmark's table. A stage doubles the channels of the last and halves its
    image, by a residual block between. Parameters are the table's. Scoring the whole space at one
    image shape takes 30 programs (as many again for the batch-norm pass).

    A cell whose output no operation reaches makes zeros, and with it the network: it cannot be
    scored, and says so.

    Attributes:
        width: channels of the stem; 16 is the benchmark's.
        cells: cells a stage; 5 is the benchmark's.
    """

    width: int = 16
    cells: int = 5

    name: ClassVar[str] = "nasbench201"
    columns: ClassVar[tuple[str, ...]] = ("arch_str",)

    def __post_init__(self) -> None:
        check(self.name, self, width=Whole(), cells=Whole())

    @property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        return (OPS,) * len(EDGES)

    @property
    def positions(self) -> tuple[str, ...]:
        return tuple(f"edge{source}to{target}" for source, target in EDGES)

    def assemble(self, values: Sequence[str]) -> str:
        named = [f"{op}~{source}" for op, (source, _) in zip(values, EDGES, strict=True)]
        nodes = named[:1], named[1:3], named[3:]
        return "+".join(f"|{'|'.join(node)}|" for node in nodes)

    def values(self, architecture: str) -> tuple[str, ...]:
        match = _KEY.fullmatch(architecture)
        if match is None:
            raise ArchitectureError(
                f"{architecture!r} is no cell of {self.name}: write "
                f"|op~0|+|op~0|op~1|+|op~0|op~1|op~2| with operations {', '.join(OPS)}"
            )
        return match.groups()

    def find(self, key: str) -> str:
        """The key again; raises ArchitectureError unless it is an official string."""
        self.values(key)
        return key

    def counts(self, architecture: str) -> dict[str, int]:
        """Of the cell, on paths from its input to its output: convolutions, pools, skips."""
        live = [op for _, _, op in _live(self.values(architecture))]
        return {
            "convolutions": live.count(CONV1X1) + live.count(CONV3X3),
            "conv3x3": live.count(CONV3X3),
            "pools": live.count(POOL),
            "skips": live.count(SKIP),
        }

    def draw(self, architecture: str) -> Drawing:
        """The cell as a graph: operations in boxes, sums in circles, skips as bare edges.

        What lies on no path from the input to the output is faint.
        """
        live = _live(self.values(architecture))
        nodes = {end for edge in live for end in edge[:2]}
        vertices = [
            Vertex("input", "end"),
            *(Vertex("+", "sum", node in nodes) for node in (1, 2)),
            Vertex("output", "end"),
        ]
        edges = []
        for (source, target), op in zip(EDGES, self.values(architecture), strict=True):
            if op == SKIP:
                edges.append((source, target))
            elif op != NONE:
                on = (source, target, op) in live
                edges += [(source, len(vertices)), (len(vertices), target)]
                vertices.append(_DRAWN[op]._replace(live=on))
        return dag(vertices, edges, f"NAS-Bench-201 cell {architecture}")

    def graph(self, architecture: str, image_shape: Shape, classes: int) -> Graph:
        """The cell's network for images of a shape.

        Raises:
            DataError: height or width is no multiple of 4, so that its halves differ between a
                residual block's two paths.
        """
        ops = self.values(architecture)
        multiple = 2 ** (STAGES - 1)
        if any(side % multiple or not side for side in image_shape[:2]):
            raise DataError(
                f"images of {image_shape[0]}×{image_shape[1]} pixels cannot be halved "
                f"{STAGES - 1} times: use images whose sides are multiples of {multiple}"
            )
        builder = Builder(image_shape)
        channels = self.width
        stem = ConvBN(3, image_shape[2], channels, activation="none")
        x = builder.add(stem, builder.image, name="stem")
        for stage in range(STAGES):
            with builder.scope(f"stage{stage + 1}"):
                if stage:
                    with builder.scope("reduction"):
                        x = _add_reduction(builder, x, channels)
                    channels *= 2
                for cell in range(self.cells):
                    with builder.scope(f"cell{cell + 1}"):
                        x = _add_cell(builder, ops, x, channels)
        x = builder.add(BNReLU(channels), x, name="head")
        x = builder.add(GlobalAverage(), x, name="mean")
        builder.add(Dense(channels, classes), x, name="readout")
        return builder.graph()


def _live(ops: Sequence[str]) -> list[tuple[int, int, str]]:
    """(from, to, operation) of the edges on paths from the cell's input to its output."""
    edges = [(*edge, op) for edge, op in zip(EDGES, ops, strict=True) if op != NONE]
    ahead, behind = {0}, {3}
    for source, target, _ in edges:  # In the order of their targets.
        ahead |= {target} if source in ahead else set()
    for source, target, _ in reversed(edges):
        behind |= {source} if target in behind else set()
    return [edge for edge in edges if edge[0] in ahead and edge[1] in behind]


def _add_cell(builder: Builder, ops: Sequence[str], x: int, channels: int) -> int:
    """Appends one cell that reads value ``x``; returns the value it makes.

    ``edge0to2`` is the convolution on the edge from node 0, the cell's input, to node 2.
    """
    zeros: int | None = None
    nodes: list[int | None] = [x]  # None for a node that nothing reaches
    pooled: dict[int, int] = {}  # a node that several edges pool is pooled once
    for target in range(1, 4):
        node: int | None = None
        incoming = [(s, op) for op, (s, t) in zip(ops, EDGES, strict=True) if t == target]
        for origin, op in incoming:
            source = nodes[origin]
            if source is None or op not in (SKIP, POOL):
                continue
            if op == POOL:
                if source not in pooled:
                    pool = AveragePool3x3(channels)
                    pooled[source] = builder.add(pool, source, name=f"pool{origin}")
                source = pooled[source]
            if node is None:
                node = source
            else:
                node = builder.add(Add(channels), node, source, name=f"add{origin}to{target}")
        for origin, op in incoming:
            if op not in (CONV1X1, CONV3X3):
                continue
            source = nodes[origin]
            if source is None:  # zeros in, but its bias out once it is trained
                zeros = builder.add(Zero(channels), x, name="zeros") if zeros is None else zeros
                source = zeros
            conv = ProjectAdd(
                3 if op == CONV3X3 else 1, channels, channels, activation="none", preactivation=True
            )
            others = () if node is None else (node,)
            node = builder.add(conv, source, *others, name=f"edge{origin}to{target}")
        nodes.append(node)
    return builder.add(Zero(channels), x, name="nothing") if nodes[-1] is None else nodes[-1]


def _add_reduction(builder: Builder, x: int, channels: int) -> int:
    """Appends the residual block that halves the image and doubles the channels."""
    doubled = 2 * channels
    halved = builder.add(HalveByMean(), x, name="halve")
    shortcut = builder.add(PointwiseConv(channels, doubled), halved, name="shortcut")
    first = ConvBN(3, channels, doubled, stride=2, activation="none", preactivation=True)
    second = ProjectAdd(3, doubled, doubled, activation="none", preactivation=True)
    return builder.add(second, builder.add(first, x, name="conv1"), shortcut, name="conv2")
