"""NAS-Bench-301: the cells of DARTS, a normal and a reduction one (Siems et al. 2020)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Any, ClassVar, TypeAlias

from nasproxy.checks import Whole, check
from nasproxy.drawing import Drawing, Vertex, dag, sheet
from nasproxy.errors import ArchitectureError, DataError
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import (
    Add,
    AveragePool3x3,
    Concatenate,
    ConvBN,
    Dense,
    DepthwiseConv,
    GlobalAverage,
    MaxPool3x3,
    OddPixels,
    PlainBN,
    ProjectAdd,
    Shape,
)
from search_spaces.product import NamedSpace

OPS = MAX_POOL, AVERAGE_POOL, SKIP, SEP3X3, SEP5X5, DIL3X3, DIL5X5 = tuple(range(7))
"""Operations by the table's numbers: pools, skip, separable and dilated separable convolutions."""
NODES = 4
INPUTS = 2
"""Values that a cell reads, what the last cell but one made and what the last made: 0 and 1."""
STEM = 3
"""The stem's channels over those of the first cell's nodes."""
SIZES = {SEP3X3: 3, SEP5X5: 5, DIL3X3: 3, DIL5X5: 5}

Edge: TypeAlias = tuple[int, int]
"""(source, operation): a source is 0 or 1 or, of node i, i + 2."""
Cell: TypeAlias = tuple[tuple[Edge, Edge], ...]
"""The two edges into each node."""

_DRAWN = {
    MAX_POOL: Vertex("3×3 max pool", "pool"),
    AVERAGE_POOL: Vertex("3×3 avg pool", "pool"),
    SEP3X3: Vertex("3×3 sep conv", "conv3"),
    SEP5X5: Vertex("5×5 sep conv", "conv5"),
    DIL3X3: Vertex("3×3 dil conv", "conv3"),
    DIL5X5: Vertex("5×5 dil conv", "conv5"),
}
_EDGE = r"\(\s*(\d)\s*,\s*([0-6])\s*\)"
_CELL = rf"\(\s*{_EDGE}(?:\s*,\s*{_EDGE}){{{2 * NODES - 1}}}\s*\)"
_KEY = re.compile(rf"\(\s*(?P<normal>{_CELL})\s*,\s*(?P<reduction>{_CELL})\s*\)")
_ORDERS = tuple(permutations(range(NODES)))


@dataclass(frozen=True)
class NASBench301(NamedSpace):
    """Some 10¹⁸ pairs of cells: each of four nodes sums two operations on two earlier values.

    A key is a genotype as the benchmark's table writes it, ``((normal), (reduction))``, each cell
    eight ``(source, operation)``, two a node. Sources 0 and 1 are the cell's inputs, 2 to 5 its
    nodes. Operations are 0 max pool 3×3, 1 average pool 3×3, 2 skip, 3 and 4 separable convolutions
    of 3×3 and 5×5, 5 and 6 dilated ones. Genotypes that differ in the order of edges or nodes are
    one network, whose key is the first of them.

    The network is the one whose parameters the table counts: 8 cells, 32 channels, reductions at
    one and two thirds of the depth, no auxiliary head. Batch norm learns scale and bias in the stem
    and in front of a cell, and neither within it, where pools have one too. ``width=36, cells=20``
    is DARTS' own network (Liu et al. 2019). Scoring any number of architectures at one image shape
    takes at most 70 programs (as many again for the batch-norm pass).

    Attributes:
        width: channels of the first cell's nodes; the stem has three times as many.
        cells: how many, at least 3.
    """

    width: int = 32
    cells: int = 8

    name: ClassVar[str] = "nasbench301"
    columns: ClassVar[tuple[str, ...]] = ("genotype",)

    def __post_init__(self) -> None:
        check(self.name, self, width=Whole(), cells=Whole(3, hint="two of them reduce"))

    @property
    def choices(self) -> tuple[tuple[Any, ...], ...]:
        """For each node of both cells: its two sources, and what is done to either."""
        sources = [tuple(combinations(range(node + INPUTS), 2)) for node in range(NODES)]
        return tuple(choice for pairs in sources for choice in (pairs, OPS, OPS)) * 2

    def assemble(self, values: Sequence[Any]) -> str:
        nodes = [values[i : i + 3] for i in range(0, len(values), 3)]
        edges = tuple(((pair[0], one), (pair[1], two)) for pair, one, two in nodes)
        return _written(edges[:NODES], edges[NODES:])

    def values(self, architecture: str) -> tuple[Any, ...]:
        nodes = [node for cell in self.read(architecture) for node in cell]
        chosen = [((one[0], two[0]), one[1], two[1]) for one, two in nodes]
        return tuple(value for node in chosen for value in node)

    def find(self, key: str) -> str:
        """The key of a genotype; raises ArchitectureError unless it is one."""
        return _written(*self.read(key))

    def read(self, architecture: str) -> tuple[Cell, Cell]:
        """Normal and reduction cell, edges in the order of their sources.

        Raises:
            ArchitectureError: a text that is no genotype, or whose edges cannot be.
        """
        match = _KEY.fullmatch(architecture)
        if match is None:
            raise ArchitectureError(
                f"{architecture[:80]!r} is no architecture of {self.name}: write "
                f"((normal), (reduction)), each {2 * NODES} pairs (source, operation), operations "
                f"0 to {len(OPS) - 1}"
            )
        normal, reduction = (
            self._cell(re.findall(_EDGE, match[name])) for name in ("normal", "reduction")
        )
        return normal, reduction

    def _cell(self, pairs: list[tuple[str, str]]) -> Cell:
        edges = [(int(source), int(op)) for source, op in pairs]
        nodes = []
        for node in range(NODES):
            one, two = sorted(edges[2 * node : 2 * node + 2])
            if one[0] == two[0] or two[0] >= node + INPUTS:
                raise ArchitectureError(
                    f"node {node + INPUTS} of {self.name} cannot read {one[0]} and {two[0]}: give "
                    f"two different sources from 0 to {node + INPUTS - 1}"
                )
            nodes.append((one, two))
        return tuple(nodes)

    def counts(self, architecture: str) -> dict[str, int]:
        """Of both cells' sixteen edges: convolutions, those of 3×3, pools, skips."""
        ops = [op for cell in self.read(architecture) for node in cell for _, op in node]
        return {
            "convolutions": sum(op in SIZES for op in ops),
            "conv3x3": ops.count(SEP3X3) + ops.count(DIL3X3),
            "pools": ops.count(MAX_POOL) + ops.count(AVERAGE_POOL),
            "skips": ops.count(SKIP),
        }

    def draw(self, architecture: str) -> Drawing:
        """The normal cell above the reduction cell; skips are bare edges, also where they halve."""
        drawn = [_drawn(cell) for cell in self.read(architecture)]
        both = sheet(drawn, ("normal", "reduction"), columns=1)
        return replace(both, title=f"NAS-Bench-301 cells {architecture}")

    def graph(self, architecture: str, image_shape: Shape, classes: int) -> Graph:
        """The cells' network for images of a shape.

        Raises:
            DataError: height or width is no multiple of 4, so that a factorised reduction's two
                halves differ.
        """
        normal, reduction = self.read(architecture)
        reductions = {self.cells // 3, 2 * self.cells // 3}
        multiple = 2 ** len(reductions)
        if any(side % multiple or not side for side in image_shape[:2]):
            raise DataError(
                f"images of {image_shape[0]}×{image_shape[1]} pixels cannot be halved "
                f"{len(reductions)} times: use images whose sides are multiples of {multiple}"
            )
        builder, channels = Builder(image_shape), self.width
        made = STEM * channels
        stem = builder.add(
            ConvBN(3, image_shape[2], made, activation="none"), builder.image, name="stem"
        )
        inputs = (stem, made), (stem, made)  # values and their channels
        halved = False
        for number in range(self.cells):
            reduces = number in reductions
            channels *= 2 if reduces else 1
            with builder.scope(f"cell{number + 1}"):
                older = _add_reduction if halved else _add_projection
                read = [
                    add(builder, value, own, channels, name)
                    for name, add, (value, own) in zip(
                        ("input0", "input1"), (older, _add_projection), inputs, strict=True
                    )
                ]
                cell = reduction if reduces else normal
                x = _CellBuilder(builder, channels, 2 if reduces else 1).add(cell, read)
            inputs, halved = (inputs[1], (x, NODES * channels)), reduces
        x = builder.add(GlobalAverage(), inputs[1][0], name="mean")
        builder.add(Dense(inputs[1][1], classes), x, name="readout")
        return builder.graph()


def _drawn(cell: Cell) -> Drawing:
    """A cell as a graph: operations in boxes, its nodes in circles."""
    vertices = [
        *(Vertex(f"input {source}", "end") for source in range(INPUTS)),
        *(Vertex("+", "sum") for _ in cell),
        Vertex("output", "end"),
    ]
    edges = [(node, INPUTS + NODES) for node in range(INPUTS, INPUTS + NODES)]
    for node, pair in enumerate(cell, start=INPUTS):
        for source, op in pair:
            if op == SKIP:
                edges.append((source, node))
            else:
                edges += [(source, len(vertices)), (len(vertices), node)]
                vertices.append(_DRAWN[op])
    return dag(vertices, edges)


class _CellBuilder:
    """Appends the steps of one cell; ``edge0to2`` is what node 2 does to value 0."""

    def __init__(self, builder: Builder, channels: int, stride: int):
        self.builder, self.channels, self.stride = builder, channels, stride
        self.pooled: dict[Edge, int] = {}  # what several nodes pool is pooled once

    def add(self, cell: Cell, inputs: Sequence[int]) -> int:
        """Reads two values; returns the four nodes' concatenation."""
        values = list(inputs)
        for node, edges in enumerate(cell, start=INPUTS):
            # Convolutions last: the last one's projection adds what came before.
            ordered = sorted(edges, key=lambda edge: (edge[1] in SIZES, edge))
            made: int | None = None
            for source, op in ordered:
                with self.builder.scope(f"edge{source}to{node}"):
                    if op in SIZES:
                        stride = self.stride if source < INPUTS else 1
                        made = self._convolution(op, values[source], stride, made)
                        continue
                value = self._other(source, op, values[source], f"edge{source}to{node}")
                add = Add(self.channels)
                made = (
                    value if made is None else self.builder.add(add, made, value, name=f"add{node}")
                )
            assert made is not None
            values.append(made)
        joined = Concatenate((self.channels,) * NODES)
        return self.builder.add(joined, *values[INPUTS:], name="nodes")

    def _convolution(self, op: int, x: int, stride: int, other: int | None) -> int:
        """ReLU, depthwise, 1×1, batch norm; a separable one twice; ``other`` added."""
        size, c = SIZES[op], self.channels
        if op in (SEP3X3, SEP5X5):
            x = self.builder.add(DepthwiseConv(size, c, stride), x, name="depthwise1")
            first = ConvBN(1, c, c, activation="none", affine=False)
            x = self.builder.add(first, x, name="pointwise1")
            x = self.builder.add(DepthwiseConv(size, c), x, name="depthwise2")
        else:
            x = self.builder.add(DepthwiseConv(size, c, stride, 2), x, name="depthwise2")
        last = ProjectAdd(1, c, c, activation="none", affine=False)
        others = () if other is None else (other,)
        return self.builder.add(last, x, *others, name="pointwise2")

    def _other(self, source: int, op: int, x: int, name: str) -> int:
        """A skip or a pool."""
        c, stride = self.channels, self.stride if source < INPUTS else 1
        if op == SKIP:
            return x if stride == 1 else _add_reduction(self.builder, x, c, c, name, affine=False)
        if (source, op) not in self.pooled:
            pool = MaxPool3x3(c, stride) if op == MAX_POOL else AveragePool3x3(c, stride)
            with self.builder.scope(f"{'max' if op == MAX_POOL else 'average'}{source}"):
                x = self.builder.add(pool, x, name="pool")
                self.pooled[source, op] = self.builder.add(PlainBN(c), x, name="norm")
        return self.pooled[source, op]


def _add_projection(builder: Builder, x: int, inputs: int, outputs: int, name: str) -> int:
    """ReLU, 1×1 convolution, batch norm: a cell's input brought to its channels."""
    conv = ConvBN(1, inputs, outputs, activation="none", preactivation=True)
    return builder.add(conv, x, name=name)


def _add_reduction(
    builder: Builder, x: int, inputs: int, outputs: int, name: str, affine: bool = True
) -> int:
    """ReLU, then half of the channels from the even pixels and half from the odd; batch norm."""
    half = outputs // 2
    with builder.scope(name):
        even = ConvBN(
            1, inputs, half, stride=2, activation="none", preactivation=True, affine=affine
        )
        odd = ConvBN(
            1, inputs, outputs - half, activation="none", preactivation=True, affine=affine
        )
        first = builder.add(even, x, name="even")
        second = builder.add(odd, builder.add(OddPixels(), x, name="pixels"), name="odd")
        return builder.add(Concatenate((half, outputs - half)), first, second, name="both")


def _written(*cells: Cell) -> str:
    """The key: each cell in that order of its nodes which comes first."""
    return str(tuple(tuple(edge for node in _ordered(cell) for edge in node) for cell in cells))


def _ordered(cell: Cell) -> Cell:
    """The first of a cell's forms, over all orders of nodes in which it can be computed."""
    forms = []
    for order in _ORDERS:
        place = {node + INPUTS: at + INPUTS for at, node in enumerate(order)} | {0: 0, 1: 1}
        form = tuple(
            tuple(sorted((place[source], op) for source, op in cell[node])) for node in order
        )
        if all(edge[0] < at + INPUTS for at, node in enumerate(form) for edge in node):
            forms.append(form)
    return min(forms)
