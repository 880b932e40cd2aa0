"""From a graph to a program: integers that say which layer runs where, so that nothing compiles.

Maps of one height and width lie in one stage of the memory, a plane a channel. A map's planes are
free again after its last use, and the next map takes the first that are together.
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np

from nasproxy.networks.graph import Graph, Step
from nasproxy.networks.lanes import layers as ops
from nasproxy.networks.lanes import winograd
from nasproxy.networks.lanes.tile import LANES, channels_of
from nasproxy.networks.layers import (
    Add,
    AveragePool3x3,
    BatchNormed,
    BNReLU,
    Concatenate,
    ConvBN,
    DepthwiseBN,
    DepthwiseConv,
    GlobalAverage,
    Halve,
    HalveByMean,
    Layer,
    MaxPool3x3,
    OddPixels,
    PlainBN,
    PointwiseConv,
    ProjectAdd,
    SqueezeExcite,
    Zero,
)

ACTIVATIONS = {"none": ops.LINEAR, "relu": ops.RELU, "relu6": ops.RELU6, "swish": ops.SWISH}
GATES = {"sigmoid": ops.SIGMOID, "hard_sigmoid": ops.HARD_SIGMOID}
POOLS: dict[type[Layer], int] = {
    MaxPool3x3: ops.MAX_POOL,
    AveragePool3x3: ops.AVERAGE_POOL,
    Halve: ops.HALVE,
    HalveByMean: ops.HALVE_BY_MEAN,
    OddPixels: ops.ODD_PIXELS,
}
# By exact class: a subclass may compute something else.
KNOWN = {
    *POOLS,
    *(Add, BNReLU, Concatenate, ConvBN, DepthwiseBN, DepthwiseConv, PlainBN, PointwiseConv),
    *(ProjectAdd, SqueezeExcite, Zero),
}


class Stage(NamedTuple):
    """Maps of one size, framed by zeros; lengths are in floats."""

    height: int
    width: int
    frame: int

    @property
    def row(self) -> int:
        return (self.width + 2 * self.frame) * LANES

    @property
    def plane(self) -> int:
        """An odd number of vectors, which spreads the planes over the sets of a cache."""
        vectors = (self.height + 2 * self.frame) * (self.width + 2 * self.frame)
        return (vectors | 1) * LANES

    @property
    def origin(self) -> int:
        """From a plane's beginning to the first pixel."""
        return self.frame * (self.row + LANES)


class Place(NamedTuple):
    """Where a map lies: its first plane."""

    stage: Stage
    plane: int


@dataclass(frozen=True)
class Plan:
    """A network to be run, whatever its weights.

    Attributes:
        rows: the program with planes for places, ``[n, columns]``.
        stages: of each row's input, second input, output and work, ``[n, 4]``, numbers in
            ``planes``.
        planes: of each stage, how many are in use at most.
        kernels: (step, name) of the kernels in the program's order.
        biases: (step, name, channel) of shifts that no batch norm has.
        norms: (step, channel) of batch norms, channel being the first one's number.
        channels: that have a gain and a shift.
        weights: floats of packed weights.
        widest: pixels of a row.
    """

    rows: np.ndarray
    stages: np.ndarray
    planes: dict[Stage, int]
    kernels: list[tuple[int, str]]
    biases: list[tuple[int, str, int]]
    norms: list[tuple[int, int]]
    channels: int
    weights: int
    widest: int

    def program(self, bases: dict[Stage, int]) -> np.ndarray:
        """The program for a memory in which stages begin at ``bases``."""
        begin = np.array([bases[s] + s.origin for s in self.planes] + [0])
        plane = np.array([s.plane for s in self.planes] + [0])
        program = self.rows.copy()
        places = begin[self.stages] + plane[self.stages] * program[:, ops.PLACES]
        program[:, ops.PLACES] = np.where(self.stages < 0, -1, places)
        return program


def knows(graph: Graph) -> bool:
    """Whether every layer that features need is one of those that programs have."""
    last = len(graph.steps) - 2
    return last > 0 and all(
        type(step.layer) is GlobalAverage if i == last else _known(step.layer)
        for i, step in enumerate(graph.steps[:-1])
        if graph.live[i]
    )


def _known(layer: Layer) -> bool:
    activation = getattr(layer, "activation", "none")
    padded = getattr(layer, "padding", 0)
    return type(layer) in KNOWN and activation in ACTIVATIONS and not padded


def _reach(layer: Layer) -> int:
    """How far from its own pixel a layer looks."""
    return getattr(layer, "size", 1) // 2 * getattr(layer, "dilation", 1)


def plan(graph: Graph) -> Plan:
    """The program of a graph that is known, see :func:`knows`."""
    return Planner(graph).made()


class Planner:
    def __init__(self, graph: Graph):
        self.graph = graph
        live = [(i, s) for i, s in enumerate(graph.steps[:-1]) if graph.live[i]]
        self.frame = max(1, *(_reach(s.layer) for _, s in live))
        self.live = live
        self.rows: list[list[int]] = []
        self.positions: list[int] = []  # of each row's step; −1 of what loads the images
        self.position = -1
        self.stages: list[tuple[int, ...]] = []
        self.numbers: dict[Stage, int] = {}
        self.taken: dict[Stage, list[bool]] = {}
        self.kernels: list[tuple[int, str]] = []
        self.biases: list[tuple[int, str, int]] = []
        self.norms: list[tuple[int, int]] = []
        self.channels = self.weights = self.drawn = 0
        self.within = self._parts()
        self.places: dict[int, Place] = {}
        self.read: dict[int, Place] = {}  # by step, where what a layer of one input reads lies
        self.uses: dict[int, int] = {}
        for _, step in live:
            for value in step.inputs:
                owner, _ = self._owner(value)
                self.uses[owner] = self.uses.get(owner, 0) + 1

    def _parts(self) -> dict[int, tuple[int, int]]:
        """Values computed where a concatenation wants them: (its value, first channel)."""
        parts: dict[int, tuple[int, int]] = {}
        for i, step in self.live:
            if isinstance(step.layer, Concatenate):
                taken = step.layer.channels
                for value, c, first in zip(
                    step.inputs, taken, accumulate(taken, initial=0), strict=False
                ):
                    if value and value not in parts and self.graph.shapes[value][-1] == c:
                        parts[value] = (i + 1, first)
        return parts

    def _owner(self, value: int) -> tuple[int, int]:
        """The value whose planes hold this one, and from which of them on."""
        first = 0
        while value in self.within:
            value, further = self.within[value]
            first += further
        return value, first

    def made(self) -> Plan:
        shape = self.graph.image_shape
        self._emit(ops.LOAD, None, self._place(0), outputs=shape[2])
        for position, step in self.live:
            self.position = position
            self._step(position, step)
            for value in step.inputs:
                owner, _ = self._owner(value)
                self.uses[owner] -= 1
                if not self.uses[owner]:
                    self._free(self.places[owner], self.graph.shapes[owner][-1])
        return Plan(
            np.array(self.rows, np.int64),
            np.array(self.stages, np.int64),
            {stage: len(self.taken[stage]) for stage in self.numbers},
            self.kernels,
            self.biases,
            self.norms,
            self.channels,
            self.weights,
            max(stage.width for stage in self.numbers),
        )

    def _step(self, position: int, step: Step) -> None:
        layer: Any = step.layer
        kind = type(layer)
        value = position + 1
        if kind is GlobalAverage:
            c = self.graph.shapes[value][0]
            y = self._take(Stage(1, 1, self.frame), c)
            self._emit(ops.MEAN, self.places_of(step.inputs[0]), y, inputs=c)
            self._emit(ops.UNLOAD, y, None, inputs=c)
            return
        y = self._place(value)
        c = self.graph.shapes[value][-1]
        if kind is Concatenate:
            self._concatenate(step, value, y)
        elif kind is Add:
            self._sum(step.inputs, c, y)
        elif kind is Zero:
            self._emit(ops.ZERO, None, y, outputs=c)
        elif kind is ProjectAdd:
            first, *others = (self.places_of(i) for i in step.inputs)
            self.read[position] = first
            self._weighted(ops.CONVOLVE, position, layer, first, y, others[0] if others else None)
            for other in others[1:]:
                self._emit(ops.ADD, y, y, other, outputs=c)
        else:
            self._of_one(position, step, y, c)

    def _of_one(self, position: int, step: Step, y: Place, c: int) -> None:
        """Layers that read the sum of their inputs."""
        layer: Any = step.layer
        inputs = getattr(layer, "inputs", c)
        x = self.places_of(step.inputs[0])
        summed = len(step.inputs) > 1 and not isinstance(layer, Halve)
        if summed:
            x = self._sum(step.inputs, inputs, self._take(x.stage, inputs))
        self.read[position] = x
        match layer:
            case ConvBN() | PointwiseConv():
                self._weighted(ops.CONVOLVE, position, layer, x, y)
            case DepthwiseBN() | DepthwiseConv():
                self._weighted(ops.DEPTHWISE, position, layer, x, y)
            case BNReLU():
                self._weighted(ops.NORMALISE, position, layer, x, y)
            case SqueezeExcite():
                self._gated(position, layer, x, y)
            case _:
                stride = getattr(layer, "stride", 1)
                self._emit(POOLS[type(layer)], x, y, inputs=c, outputs=c, stride=stride)
        if summed:
            self._free(x, inputs)

    def _weighted(
        self, op: int, position: int, layer: Any, x: Place, y: Place, z: Place | None = None
    ) -> None:
        normed = isinstance(layer, BatchNormed)
        if normed:
            self.norms.append((position, self.channels))
        self._emit(
            op,
            x,
            y,
            z,
            inputs=getattr(layer, "inputs", layer.outputs),
            outputs=layer.outputs,
            size=getattr(layer, "size", 1),
            stride=getattr(layer, "stride", 1),
            dilation=getattr(layer, "dilation", 1),
            kernel=None if op == ops.NORMALISE else (position, "kernel"),
            normed=normed,
            activation=ACTIVATIONS[layer.activation if normed else "none"],
            preactivation=getattr(layer, "preactivation", isinstance(layer, DepthwiseConv)),
        )

    def _gated(self, position: int, layer: SqueezeExcite, x: Place, y: Place) -> None:
        """Two 1×1 convolutions of a map of one pixel, and a product."""
        small, own, hidden = Stage(1, 1, self.frame), layer.channels, layer.squeeze
        means, squeezed = self._take(small, own), self._take(small, hidden)
        self._emit(ops.MEAN, x, means, inputs=own, outputs=own)
        for name, source, to, inputs, outputs, activation in (
            ("reduce", means, squeezed, own, hidden, ops.RELU),
            ("expand", squeezed, means, hidden, own, ops.LINEAR),
        ):
            self.biases.append((position, f"{name}_bias", self.channels))
            self._emit(
                ops.CONVOLVE,
                source,
                to,
                inputs=inputs,
                outputs=outputs,
                kernel=(position, name),
                activation=activation,
            )
        self._emit(ops.GATE, x, y, means, outputs=own, activation=GATES[layer.gate])
        self._free(means, own)
        self._free(squeezed, hidden)

    def _concatenate(self, step: Step, value: int, y: Place) -> None:
        firsts = accumulate(step.layer.channels, initial=0)  # type: ignore[attr-defined]
        for source, (first, end) in zip(step.inputs, pairwise(firsts), strict=True):
            if self.within.get(source) != (value, first):
                to = Place(y.stage, y.plane + first)
                self._emit(ops.COPY, self.places_of(source), to, outputs=end - first)

    def _sum(self, values: tuple[int, ...], channels: int, y: Place) -> Place:
        first, *others = (self.places_of(value) for value in values)
        if not others:
            self._emit(ops.COPY, first, y, outputs=channels)
        for other in others:
            self._emit(ops.ADD, first, y, other, outputs=channels)
            first = y
        return y

    def _emit(
        self,
        op: int,
        x: Place | None,
        y: Place | None,
        z: Place | None = None,
        *,
        inputs: int = 0,
        outputs: int = 0,
        size: int = 1,
        stride: int = 1,
        dilation: int = 1,
        kernel: tuple[int, str] | None = None,
        normed: bool = False,
        activation: int = ops.LINEAR,
        preactivation: bool = False,
    ) -> None:
        row = [0] * ops.COLUMNS
        work: Place | None = None
        if op == ops.CONVOLVE and size == 3 and stride == 1 and y is not None:
            work = self._work(y.stage, inputs, outputs)
        places = (x, z, y, work)
        for place, column in zip(places, ops.PLACES, strict=True):
            row[column] = -1 if place is None else place.plane
        if x is not None:
            row[ops.X_ROW], row[ops.X_PLANE] = x.stage.row, x.stage.plane
            row[ops.X_HEIGHT], row[ops.X_WIDTH] = x.stage.height, x.stage.width
        if y is not None:
            row[ops.Y_ROW], row[ops.Y_PLANE] = y.stage.row, y.stage.plane
            row[ops.HEIGHT], row[ops.WIDTH] = y.stage.height, y.stage.width
        if z is not None:
            row[ops.Z_PLANE] = z.stage.plane
        row[ops.OP], row[ops.INPUTS], row[ops.OUTPUTS] = op, inputs, outputs
        row[ops.SIZE], row[ops.STRIDE], row[ops.DILATION] = size, stride, dilation
        row[ops.NORMED], row[ops.ACTIVATION] = normed, activation
        row[ops.PREACTIVATION] = preactivation
        row[ops.KERNEL], row[ops.WEIGHTS], row[ops.CHANNEL] = (
            self.drawn,
            self.weights,
            self.channels,
        )
        if kernel is not None and y is not None:
            alone = op == ops.DEPTHWISE
            row[ops.BLOCK] = 1 if alone else channels_of(y.stage.width)
            values = size * size * outputs * (1 if alone else inputs)
            self.kernels.append(kernel)
            self.drawn += values
            self.weights += winograd.floats(inputs, outputs) if work else values + outputs
        if kernel is not None or op == ops.NORMALISE:
            self.channels += outputs
        self.rows.append(row)
        self.positions.append(self.position)
        self.stages.append(
            tuple(-1 if place is None else self.numbers[place.stage] for place in places)
        )

    def places_of(self, value: int) -> Place:
        owner, first = self._owner(value)
        place = self.places[owner]
        return Place(place.stage, place.plane + first)

    def _place(self, value: int) -> Place:
        """Where a value is to be written."""
        owner, _ = self._owner(value)
        if owner not in self.places:
            height, width, channels = self.graph.shapes[owner]
            self.places[owner] = self._take(Stage(height, width, self.frame), channels)
        return self.places_of(value)

    def _take(self, stage: Stage, planes: int) -> Place:
        """The first so many planes of a stage that are free."""
        self.numbers.setdefault(stage, len(self.numbers))
        taken = self.taken.setdefault(stage, [])
        first = 0
        while True in (these := taken[first : first + planes]):
            first += len(these) - these[::-1].index(True)
        taken.extend([False] * (first + planes - len(taken)))
        taken[first : first + planes] = [True] * planes
        return Place(stage, first)

    def _work(self, stage: Stage, inputs: int, outputs: int) -> Place | None:
        """Planes for the transforms of a convolution, which all convolutions share."""
        if not winograd.worthwhile(stage.height, stage.width, inputs, outputs):
            return None
        shared = Stage(1, winograd.TILES, 0)
        self.numbers.setdefault(shared, len(self.numbers))
        taken = self.taken.setdefault(shared, [])
        taken.extend([True] * (winograd.planes(inputs) - len(taken)))
        return Place(shared, 0)

    def _free(self, place: Place, planes: int) -> None:
        self.taken[place.stage][place.plane : place.plane + planes] = [False] * planes
