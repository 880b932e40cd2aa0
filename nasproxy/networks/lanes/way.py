"""Programs of ways back through a pass that was kept.

A value's cotangent takes planes when the first step that reads the value is pulled back through,
and gives them up when the value's own step is.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nasproxy.networks.graph import Step
from nasproxy.networks.lanes import adjoint
from nasproxy.networks.lanes import layers as ops
from nasproxy.networks.lanes.plan import ACTIVATIONS, Place, Plan, Planner, Stage
from nasproxy.networks.lanes.tape import Tape, at
from nasproxy.networks.layers import (
    Add,
    AveragePool3x3,
    BatchNormed,
    BNReLU,
    Concatenate,
    GlobalAverage,
    Halve,
    HalveByMean,
    MaxPool3x3,
    ProjectAdd,
    Zero,
)


class Wish(NamedTuple):
    """What a way back is asked for; see :func:`nasproxy.networks.passes.backward`.

    ``seeds`` are the values whose cotangents are given. Values ``moved`` with the weights, of steps
    ``moving`` with their own kernel: see :mod:`~nasproxy.networks.lanes.adjoint`.
    """

    seeds: tuple[int, ...]
    salience: bool
    to_params: bool
    to_images: bool
    moved: frozenset[int] = frozenset()
    moving: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Way:
    """The program of a way back.

    Attributes:
        plan: over cotangents, its kernels turned: ``[row][column][output][input]``.
        values: by row, where in the pass forward the values lie that it needs, and the spare
            planes.
        gradients: (step, shape, place) of kernels' gradients.
        saliences: (step, first) of channels of products.
        seeds: place of each seed in what is given.
        sizes: floats of all gradients, channels of all saliences, floats an image of all seeds.
    """

    plan: Plan
    values: list[tuple[Place | None, Place | None]]
    gradients: list[tuple[int, tuple[int, ...], int]]
    saliences: list[tuple[int, int, int]]
    sizes: tuple[int, int, int]

    def program(self, bases: dict[Stage, int], kept: dict[Stage, int]) -> np.ndarray:
        """For memories of cotangents and values in which stages begin so."""
        program = self.plan.program(bases)
        for row, (value, spare) in zip(program, self.values, strict=True):
            if value is not None:
                row[adjoint.V] = at(kept, value)
                row[adjoint.V_ROW], row[adjoint.V_PLANE] = value.stage.row, value.stage.plane
            if spare is not None:
                row[adjoint.T] = at(kept, spare)
        return program


def way(forward: Tape, wish: Wish) -> Way:
    """The program of a way back through a pass that was kept."""
    return _Returner(forward, wish).way()


class _Returner(Planner):
    """Plans cotangents: ``places`` are theirs."""

    def __init__(self, forward: Tape, wish: Wish):
        super().__init__(forward.graph)
        self.forward, self.wish = forward, wish
        self.values: list[tuple[Place | None, Place | None]] = []
        self.gradients: list[tuple[int, tuple[int, ...], int]] = []
        self.saliences: list[tuple[int, int, int]] = []
        self.gradient = self.salient = self.seeded = 0
        self.have: set[int] = set()
        self.moves = False
        self.makers = Counter(self._owner(i + 1)[0] for i, _ in self.live)

    def way(self) -> Way:
        for value in self.wish.seeds:
            self.moves = value in self.wish.moved
            shape = self.graph.shapes[value]
            y, adds = self._reach(value, shape[-1])
            self._back(adjoint.SEED, None, y, adds=adds, outputs=shape[-1])
            self.rows[-1][ops.KERNEL] = self.seeded
            self.seeded += int(np.prod(shape))
        for position, step in reversed(self.live):
            value = position + 1
            self.moves = value in self.wish.moved
            if value in self.have:
                self._step_back(position, step)
            owner, _ = self._owner(value)
            self.makers[owner] -= 1
            if not self.makers[owner] and owner in self.places:
                self._free(self.places.pop(owner), self.graph.shapes[owner][-1])
        self.moves = False
        if 0 in self.have:
            self._back(adjoint.GIVE, self.places[0], None, inputs=self.graph.image_shape[-1])
        stages = np.array(self.stages, np.int64).reshape(-1, len(ops.PLACES))
        rows = np.zeros((len(self.rows), adjoint.ADJOINT_COLUMNS), np.int64)
        for row, made in zip(rows, self.rows, strict=True):
            row[: len(made)] = made
        made = Plan(
            rows,
            stages,
            {stage: len(self.taken[stage]) for stage in self.numbers},
            self.kernels,
            [],
            [],
            self.channels,
            self.weights,
            max((stage.width for stage in self.numbers), default=1),
        )
        sizes = (self.gradient, self.salient, self.seeded)
        return Way(made, self.values, self.gradients, self.saliences, sizes)

    def _reach(self, value: int, channels: int) -> tuple[Place, bool]:
        """Where a value's cotangent goes, and whether there is one already to be added to."""
        owner, _ = self._owner(value)
        self.have.add(value)
        if owner in self.places:
            return self.places_of(value), True
        *sides, made = self.graph.shapes[owner]
        height, width = sides or (1, 1)
        self.places[owner] = place = self._take(Stage(height, width, self.frame), made)
        if owner == value and channels == made:
            return place, False
        self._back(adjoint.CLEAR, None, place, outputs=made)
        return self.places_of(value), True

    def _back(
        self,
        op: int,
        x: Place | None,
        y: Place | None,
        *,
        v: Place | None = None,
        spare: Place | None = None,
        adds: bool = False,
        channel: int | None = None,
        **numbers: Any,
    ) -> None:
        self._emit(op, x, y, y if adds else None, **numbers)
        row = self.rows[-1]
        row.extend([0] * (adjoint.ADJOINT_COLUMNS - len(row)))
        if channel is not None:
            row[ops.CHANNEL] = channel
        row[adjoint.MOVED] = self.moves
        self.values.append((v, spare))

    def _wanted(self, values: tuple[int, ...]) -> list[int]:
        return [i for i in values if i or self.wish.to_images]

    def _all(
        self, values: tuple[int, ...], channels: int, stage: Stage, op: int, **row: Any
    ) -> None:
        """A row whose result is every value's cotangent, or a part of it."""
        wanted = self._wanted(values)
        if not wanted:
            return
        x = row.pop("x")
        if len(wanted) == 1:
            y, adds = self._reach(wanted[0], channels)
            self._back(op, x, y, adds=adds, outputs=channels, **row)
            return
        between = self._take(stage, channels)
        self._back(op, x, between, outputs=channels, **row)
        self._copied(between, wanted, channels)
        self._free(between, channels)

    def _copied(self, x: Place, values: list[int], channels: int, **row: Any) -> None:
        op = adjoint.MASKED if row else adjoint.COPY_BACK
        for value in values:
            y, adds = self._reach(value, channels)
            self._back(op, x, y, adds=adds, outputs=channels, **row)

    def _step_back(self, position: int, step: Step) -> None:
        layer: Any = step.layer
        x = self.places_of(position + 1)
        c = self.graph.shapes[position + 1][-1]
        stage = self._stage(step.inputs[0])
        match layer:
            case Zero():
                pass
            case Concatenate():
                self._parted(step, position + 1)
            case Add():
                self._copied(x, self._wanted(step.inputs), c)
            case GlobalAverage():
                self._all(step.inputs, c, stage, adjoint.SPREAD, x=x)
            case HalveByMean():
                self._all(step.inputs, c, stage, adjoint.HALVE_BY_MEAN_BACK, x=x)
            case Halve():
                v = self.forward.read[position]
                self._all(step.inputs, c, stage, adjoint.HALVE_BACK, x=x, v=v)
            case AveragePool3x3():
                self._all(step.inputs, c, stage, adjoint.AVERAGE_POOL_BACK, x=x)
            case MaxPool3x3():
                v = self.forward.read[position]
                self._all(step.inputs, c, stage, adjoint.MAX_POOL_BACK, x=x, v=v)
            case _:
                self._weighted_back(position, step, layer, x, stage)

    def _stage(self, value: int) -> Stage:
        height, width = self.graph.shapes[value][:2]
        return Stage(height, width, self.frame)

    def _parted(self, step: Step, value: int) -> None:
        layer: Any = step.layer
        first = 0
        x = self.places_of(value)
        for source, channels in zip(step.inputs, layer.channels, strict=True):
            if self.within.get(source) == (value, first):
                self.have.add(source)
            elif source or self.wish.to_images:
                own = Place(x.stage, x.plane + first)
                self._copied(own, [source], channels)
            first += channels

    def _weighted_back(self, position: int, step: Step, layer: Any, x: Place, stage: Stage) -> None:
        read: tuple[int, ...] = step.inputs
        outputs = layer.outputs
        if isinstance(step.layer, ProjectAdd):
            read, others = step.inputs[:1], step.inputs[1:]
            self._copied(x, self._wanted(others), outputs)
        product = self.forward.products[position]
        if isinstance(step.layer, BatchNormed):
            self._back(
                adjoint.NORM,
                x,
                x,
                v=product,
                channel=self.forward.normed[position],
                outputs=outputs,
                activation=ACTIVATIONS[layer.activation],
            )
        if isinstance(step.layer, BNReLU):
            self._copied(x, self._wanted(read), outputs)
            return
        size, stride = getattr(layer, "size", 1), getattr(layer, "stride", 1)
        first = getattr(layer, "preactivation", False)
        if self.wish.salience:
            self._back(adjoint.SALIENCE, x, x, v=product, channel=self.salient, outputs=outputs)
            self.saliences.append((position, self.salient, outputs))
            self.salient += outputs
        if self.wish.to_params:
            v = self.forward.read[position]
            spare = self.forward.spare.get(v.stage) if first and self.moves else None
            if spare is not None:
                self._back(adjoint.MASK_MOVES, None, None, v=v, spare=spare, inputs=layer.inputs)
                self.rows[-1][ops.X_HEIGHT] = v.stage.height
                self.rows[-1][ops.X_WIDTH] = v.stage.width
            self._back(
                adjoint.KERNEL_GRADIENT,
                x,
                x,
                v=v,
                spare=spare,
                inputs=layer.inputs,
                outputs=outputs,
                size=size,
                stride=stride,
                preactivation=first,
            )
            self.rows[-1][adjoint.GRADIENT] = self.gradient
            shape = (size, size, layer.inputs, outputs)
            self.gradients.append((position, shape, self.gradient))
            self.gradient += int(np.prod(shape))
        if position in self.wish.moving:
            self._back(adjoint.ADD_STILL, x, x, outputs=outputs)
        if self._wanted(read):
            self._convolved(position, layer, read, x, stage, size, stride, first)

    def _convolved(
        self,
        position: int,
        layer: Any,
        read: tuple[int, ...],
        x: Place,
        stage: Stage,
        size: int,
        stride: int,
        first: bool,
    ) -> None:
        """Cotangents of what a convolution reads: its cotangent's with the kernel turned."""
        source = x
        if stride > 1:
            source = self._take(stage, layer.outputs)
            self._back(adjoint.DILATE, x, source, outputs=layer.outputs, stride=stride)
        row = {"inputs": layer.outputs, "size": size, "kernel": (position, "kernel")}
        if first:
            between = self._take(stage, layer.inputs)
            self._back(ops.CONVOLVE, source, between, outputs=layer.inputs, **row)
            v = self.forward.read[position]
            self._copied(between, self._wanted(read), layer.inputs, v=v)
            self._free(between, layer.inputs)
        else:
            self._all(read, layer.inputs, stage, ops.CONVOLVE, x=source, **row)
        if stride > 1:
            self._free(source, layer.outputs)
