"""A network as data: layers in the order they run, each with the values it reads.

One description serves every use: counting without building, inference layer by layer, training,
kernels, and the Flax module of :mod:`nasproxy.networks.module`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from nasproxy.networks.layers import Layer, Shape

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Step:
    """One layer and the values it reads.

    Attributes:
        layer: what is computed.
        inputs: values read: 0 is the image, i + 1 what step i made.
        name: identifiers joined by dots, such as ``stack1.cell2.vertex3``. It names the step's part
            of a Flax module and nothing else.
    """

    layer: Layer
    inputs: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class Graph:
    """A network from images to logits; its last step is the linear readout.

    Attributes:
        steps: in an order in which they can run.
        image_shape: (height, width, channels).
    """

    steps: tuple[Step, ...]
    image_shape: Shape

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of every value, without the batch."""
        shapes = [self.image_shape]
        for step in self.steps:
            shapes.append(step.layer.shape(*(shapes[i] for i in step.inputs)))
        return tuple(shapes)

    @property
    def features(self) -> int:
        """d, the number of penultimate features."""
        return math.prod(self.shapes[-2])

    @cached_property
    def parameters(self) -> int:
        """Number of trainable parameters, the readout's included."""
        return sum(math.prod(s) for step in self.steps for s in step.layer.parameters().values())

    @cached_property
    def flops(self) -> int:
        """Forward operations a sample, two for each multiply-add of a weight."""
        return sum(step.layer.flops(*(self.shapes[i] for i in step.inputs)) for step in self.steps)

    @cached_property
    def live(self) -> tuple[bool, ...]:
        """For each step, whether the logits depend on it; the others count, but need not be run."""
        needed = {len(self.steps)}
        for position in reversed(range(len(self.steps))):
            if position + 1 in needed:
                needed.update(self.steps[position].inputs)
        return tuple(position + 1 in needed for position in range(len(self.steps)))

    @cached_property
    def last_use(self) -> tuple[tuple[int, ...], ...]:
        """For each step, the values that no later live step reads: memory that may go."""
        last = {
            i: position
            for position, step in enumerate(self.steps)
            if self.live[position]
            for i in step.inputs
        }
        return tuple(
            tuple({i for i in step.inputs if last.get(i) == position})
            for position, step in enumerate(self.steps)
        )


class Builder:
    """Collects steps; ``add`` returns the number of the value that a layer makes."""

    def __init__(self, image_shape: Shape):
        self.image_shape = image_shape
        self.image = 0
        self._steps: list[Step] = []
        self._scopes: tuple[str, ...] = ()

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """What is added within has ``name`` and a dot before its own name."""
        outside = self._scopes
        self._scopes = (*outside, name)
        try:
            yield
        finally:
            self._scopes = outside

    def add(self, layer: Layer, *inputs: int, name: str | None = None) -> int:
        """Appends a layer that reads values; the value it makes.

        ``name`` is the step's within the scopes that are open; without one the third step is
        called ``layer3``.
        """
        name = f"layer{len(self._steps) + 1}" if name is None else name
        self._steps.append(Step(layer, inputs, ".".join((*self._scopes, name))))
        return len(self._steps)

    def graph(self) -> Graph:
        """The network of the steps so far; raises ValueError for names that cannot be told apart.

        Names are identifiers joined by dots. No two steps share one, and none is another's scope.
        """
        names = Counter(step.name for step in self._steps)
        parents = {name.rpartition(".")[0] for name in names}
        scopes = {scope for parent in parents for scope in accumulate(parent.split("."), _within)}
        for name, count in names.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"a step is named {name!r}: give identifiers joined by dots")
            if count > 1:
                raise ValueError(f"{count} steps are named {name!r}: give each a name of its own")
            if name in scopes:
                raise ValueError(f"a step is named {name!r} as a scope is: give it another name")
        return Graph(tuple(self._steps), self.image_shape)


def _within(scope: str, name: str) -> str:
    return f"{scope}.{name}"
