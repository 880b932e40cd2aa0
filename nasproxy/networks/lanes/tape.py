"""Programs of passes that are looked into: all values kept, and what these move by."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nasproxy.networks.graph import Graph
from nasproxy.networks.lanes import adjoint
from nasproxy.networks.lanes import layers as ops
from nasproxy.networks.lanes.plan import ACTIVATIONS, Place, Plan, Planner, Stage, knows
from nasproxy.networks.layers import (
    Add,
    AveragePool3x3,
    BatchNormed,
    BNReLU,
    Concatenate,
    ConvBN,
    Dense,
    GlobalAverage,
    Halve,
    HalveByMean,
    Layer,
    MaxPool3x3,
    PlainBN,
    PointwiseConv,
    ProjectAdd,
    Zero,
)

DERIVED = {
    *(Add, AveragePool3x3, BNReLU, Concatenate, ConvBN, GlobalAverage, Halve, HalveByMean),
    *(MaxPool3x3, PlainBN, PointwiseConv, ProjectAdd, Zero),
}
"""Layers with a way back; by exact class, as in ``plan.KNOWN``."""


def derives(graph: Graph) -> bool:
    """Whether there is a way back through every step that the logits depend on."""
    return (
        knows(graph)
        and type(graph.steps[-1].layer) is Dense
        and all(
            _derived(step.layer)
            for step, live in zip(graph.steps[:-1], graph.live, strict=False)
            if live
        )
    )


def _derived(layer: Layer) -> bool:
    one_by_one = getattr(layer, "stride", 1) == 1 or not isinstance(
        layer, MaxPool3x3 | AveragePool3x3
    )
    return type(layer) in DERIVED and getattr(layer, "activation", "none") != "swish" and one_by_one


class Signs(NamedTuple):
    """Where the signs of what a ReLU reads are kept: a step's words from the first on."""

    step: int
    first: int
    words: int
    units: int


@dataclass(frozen=True)
class Tape:
    """A pass forward whose values stay.

    Attributes:
        graph: the network.
        plan: its program.
        places: where each value lies, or the value that it is a part of.
        within: of a value that is a part of another: that, and its first channel there.
        read: by step, what its product is of.
        products: by step, what batch norm reads, or what a layer without it makes.
        normed: by step, batch norm's first channel.
        signs: of ReLUs, if they are wanted.
        positions: of each row of the program, its step's.
        spare: by size of maps, planes that nothing is kept in.
    """

    graph: Graph
    plan: Plan
    places: dict[int, Place]
    read: dict[int, Place]
    products: dict[int, Place]
    normed: dict[int, int]
    signs: list[Signs]
    positions: list[int]
    spare: dict[Stage, Place]


def tape(graph: Graph, *, signs: bool, keep: bool = True) -> Tape:
    """The program of a graph that :func:`derives`; without ``keep`` values go after their use,
    but for the maps that the features are means of."""
    recorder = Recorder(graph, signs=signs, keep=keep)
    made = recorder.made()
    values = {i: recorder.places_of(i) for i in recorder.placed}
    return Tape(
        graph,
        made,
        values,
        recorder.read,
        recorder.products,
        recorder.normed,
        recorder.signs,
        recorder.positions,
        recorder.spare,
    )


class Recorder(Planner):
    """Keeps what :class:`Planner` frees, and products apart from what is made of them."""

    def __init__(self, graph: Graph, *, signs: bool, keep: bool):
        super().__init__(graph)
        self.keep, self.wants_signs = keep, signs
        self.products: dict[int, Place] = {}
        self.normed: dict[int, int] = {}
        self.signs: list[Signs] = []
        self.spare: dict[Stage, Place] = {}
        self.words = 0

    @property
    def placed(self) -> list[int]:
        """Values that have a place."""
        last = len(self.graph.steps) - 2
        made = [0, *(i + 1 for i, _ in self.live if i != last)]
        return made if self.keep else [i for i in made if i in self.graph.steps[last].inputs]

    def _free(self, place: Place, planes: int) -> None:
        if not self.keep:
            super()._free(place, planes)

    def _weighted(
        self, op: int, position: int, layer: Any, x: Place, y: Place, z: Place | None = None
    ) -> None:
        if self.wants_signs and getattr(layer, "preactivation", False):
            self._agree(position, x, layer.inputs)
        self.products[position] = y
        if isinstance(layer, BatchNormed):
            self.normed[position] = self.channels
            if self.keep and op == ops.CONVOLVE:
                self._apart(position, layer, x, y, z)
            else:
                super()._weighted(op, position, layer, x, y, z)
                self.products[position] = x
        else:
            super()._weighted(op, position, layer, x, y, z)
        if self.wants_signs and getattr(layer, "activation", "none") in ("relu", "relu6"):
            if self.keep or op == ops.NORMALISE:
                self._agree(position, self.products[position], layer.outputs, self.normed[position])
            else:  # The product is overwritten by what ReLU makes of it: above 0 where it was.
                self._agree(position, y, layer.outputs)

    def made(self) -> Plan:
        """The program; what is read before a ReLU has spare planes beside it."""
        if self.keep:
            self._spare()
        return super().made()

    def _spare(self) -> None:
        most: dict[Stage, int] = {}
        for _, step in self.live:
            if getattr(step.layer, "preactivation", False):
                height, width, _ = self.graph.shapes[step.inputs[0]]
                stage = Stage(height, width, self.frame)
                channels: int = step.layer.inputs  # type: ignore[attr-defined]
                most[stage] = max(most.get(stage, 0), channels)
        self.spare = {stage: self._take(stage, channels) for stage, channels in most.items()}

    def _apart(self, position: int, layer: Any, x: Place, y: Place, z: Place | None) -> None:
        product = self.products[position] = self._take(y.stage, layer.outputs)
        self._emit(
            ops.CONVOLVE,
            x,
            product,
            inputs=layer.inputs,
            outputs=layer.outputs,
            size=layer.size,
            stride=layer.stride,
            kernel=(position, "kernel"),
            preactivation=layer.preactivation,
        )
        self.normed[position] = self.channels
        self.norms.append((position, self.channels))
        self._emit(
            ops.NORMALISE,
            product,
            y,
            z,
            outputs=layer.outputs,
            normed=True,
            activation=ACTIVATIONS[layer.activation],
        )

    def _agree(self, position: int, x: Place, channels: int, normed: int | None = None) -> None:
        pixels = x.stage.height * x.stage.width
        words = channels * -(-pixels // ops.WORD)
        self._emit(ops.AGREE, x, x, outputs=channels, normed=normed is not None)
        self.rows[-1][ops.KERNEL] = self.words
        self.rows[-1][ops.CHANNEL] = normed or 0
        self.signs.append(Signs(position, self.words, words, channels * pixels))
        self.words += words


def at(bases: dict[Stage, int], place: Place) -> int:
    """A place in a memory in which stages begin at ``bases``, in floats."""
    return bases[place.stage] + place.stage.origin + place.plane * place.stage.plane


def pushes(forward: Tape, layers_moved: frozenset[int]) -> bool:
    """Whether what these steps' values move by can be computed: no largest is among them."""
    steps = forward.graph.steps
    return not any(
        type(steps[i].layer) in (MaxPool3x3, Halve) for i in layers_moved if i < len(steps) - 1
    )


def push_program(
    forward: Tape, bases: dict[Stage, int], moved: frozenset[int], moving: frozenset[int]
) -> np.ndarray:
    """Rows of the pass forward for what values move by, in a memory laid out as theirs.

    Args:
        forward: the pass.
        bases: where stages begin.
        moved: values that move.
        moving: steps whose kernel moves, by itself.
    """
    graph = forward.graph
    made: list[np.ndarray] = []
    cleared: set[int] = set()
    program = forward.plan.program(bases)
    for row, position in zip(program, forward.positions, strict=True):
        if position + 1 not in moved or row[ops.OP] == ops.AGREE:
            continue
        for value in graph.steps[position].inputs:
            if value not in moved and value not in cleared:
                cleared.add(value)
                made.append(_clearing(forward, bases, value))
        row = np.concatenate([row, np.zeros(adjoint.ADJOINT_COLUMNS - len(row), np.int64)])
        if row[ops.OP] == ops.CONVOLVE and row[ops.PREACTIVATION]:
            masked = row.copy()
            masked[ops.OP] = adjoint.MASK_MOVES
            masked[adjoint.V], masked[adjoint.V_ROW] = row[ops.X], row[ops.X_ROW]
            masked[adjoint.V_PLANE] = row[ops.X_PLANE]
            spare = at(bases, forward.spare[forward.read[position].stage])
            masked[adjoint.T] = row[ops.X] = spare
            row[ops.PREACTIVATION] = 0
            made.append(masked)
        if row[ops.OP] == ops.NORMALISE:
            row[adjoint.V], row[adjoint.V_ROW] = row[ops.X], row[ops.X_ROW]
            row[adjoint.V_PLANE] = row[ops.X_PLANE]
        made.append(row)
        if row[ops.OP] == ops.CONVOLVE and position in moving:
            own = row.copy()
            own[ops.OP] = adjoint.COPY_VALUES
            made.append(own)
    return np.array(made, np.int64).reshape(-1, adjoint.ADJOINT_COLUMNS)


def _clearing(forward: Tape, bases: dict[Stage, int], value: int) -> np.ndarray:
    """A row of zeros for what a value does not move by."""
    place, row = forward.places[value], np.zeros(adjoint.ADJOINT_COLUMNS, np.int64)
    row[ops.OP], row[ops.X], row[ops.Z] = ops.ZERO, -1, -1
    row[ops.Y], row[ops.Y_ROW], row[ops.Y_PLANE] = (
        at(bases, place),
        place.stage.row,
        place.stage.plane,
    )
    row[ops.HEIGHT], row[ops.WIDTH] = place.stage.height, place.stage.width
    row[ops.OUTPUTS] = forward.graph.shapes[value][-1]
    return row
