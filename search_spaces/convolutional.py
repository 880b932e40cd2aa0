"""Plain convolutional networks by depth, end and nonlinearity, whose wide limits are known."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, ClassVar

import numpy as np

from nasproxy.checks import OneOf, Optional, Whole, check
from nasproxy.drawing import Drawing, bars
from nasproxy.errors import ArchitectureError, DataError, SettingError
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import ConvActivation, Dense, Flatten, GlobalAverage, Shape
from search_spaces.product import ProductSpace, read_json

ACTIVATIONS = ("relu", "erf", "gelu")
ENDS = ("flatten", "pool")
DEEPEST = 20
"""Convolutions of the deepest network that is drawn; deeper ones may be given."""
MOST_LAYERS = 1_000
"""Convolutions of the deepest network that may be given."""


@dataclass(frozen=True)
class Convolutional:
    """A network of 3×3 convolutions, each with a nonlinearity, and a linear readout.

    Attributes:
        depth: convolutions, at most 1,000.
        end: what the readout reads: ``flatten``, all pixels (CNN-Vec); ``pool``, their mean
            (CNN-GAP).
        activation: ``relu``, ``erf`` or ``gelu``.
        width: channels of each convolution; None for the space's.

    Raises:
        ArchitectureError: something else.
    """

    depth: int
    end: str = "flatten"
    activation: str = "relu"
    width: int | None = None

    def __post_init__(self) -> None:
        try:
            check(
                "a network",
                self,
                depth=Whole(1, MOST_LAYERS),
                end=OneOf(*ENDS),
                activation=OneOf(*ACTIVATIONS),
                width=Optional(Whole()),
            )
        except SettingError as error:
            raise ArchitectureError(str(error)) from None


@dataclass(frozen=True)
class ConvolutionalNetworks(ProductSpace[Convolutional]):
    """Plain convolutional networks: depth, end, nonlinearity, and width (Novak et al. 2019).

    Zero padding, no normalisation. Weights are drawn with variance 2/fan-in (the readout's with
    1/fan-in), biases start at 0.

    Attributes:
        width: channels of each convolution, where an architecture names none.
    """

    width: int = 128

    name: ClassVar[str] = "convolutional"

    def __post_init__(self) -> None:
        check(self.name, self, width=Whole())

    @property
    def choices(self) -> tuple[tuple[Any, ...], ...]:
        """Depths from 1 to 20, ends and nonlinearities, all equally likely."""
        return tuple(range(1, DEEPEST + 1)), ENDS, ACTIVATIONS

    def assemble(self, values: Sequence[Any]) -> Convolutional:
        """The network of a depth, an end and a nonlinearity."""
        return Convolutional(*values)

    def values(self, architecture: Convolutional) -> tuple[Any, ...]:
        """Depth, end and nonlinearity."""
        return architecture.depth, architecture.end, architecture.activation

    def mutate(self, architecture: Convolutional, rng: np.random.Generator) -> Convolutional:
        """Another depth, end or nonlinearity; the width stays."""
        mutant = super().mutate(replace(architecture, width=None), rng)
        return replace(mutant, width=architecture.width)

    def grid(self, **axes: Sequence[Any]) -> list[Convolutional]:
        """Every combination of values of ``depth``, ``end``, ``activation``, ``width``, in order.

        Raises:
            SettingError: an axis that there is not, or no depth.
            ArchitectureError: a value that is none.
        """
        known = tuple(Convolutional.__dataclass_fields__)
        for axis in axes:
            if axis not in known:
                raise SettingError(f"convolutional has no axis {axis!r}: it has {', '.join(known)}")
        if "depth" not in axes:
            raise SettingError("a grid of convolutional needs depths, such as depth=3,5,8")
        return [Convolutional(**dict(zip(axes, v, strict=True))) for v in product(*axes.values())]

    def key(self, architecture: Convolutional) -> str:
        """``relu-5-flatten`` of the space's width, ``relu-5x256-flatten`` of one's own."""
        wide = "" if architecture.width is None else f"x{architecture.width}"
        return f"{architecture.activation}-{architecture.depth}{wide}-{architecture.end}"

    def find(self, key: str) -> Convolutional:
        """The network of a key."""
        parts = key.split("-")
        depth, times, width = parts[1].partition("x") if len(parts) == 3 else ("", "", "")
        sizes = (depth, width) if times else (depth,)
        # More digits than any size has would be too many to make a number of.
        if len(key) > 100 or not all(part.isdecimal() for part in sizes):
            raise ArchitectureError(
                f"{key[:100]!r} names no convolutional network: write relu-5-flatten or, with a "
                "width, relu-5x256-pool"
            )
        return Convolutional(int(depth), parts[2], parts[0], int(width) if times else None)

    def canonical(self, text: str) -> str | None:
        """The key as :meth:`key` writes it; None if it is none."""
        try:
            return self.key(self.find(text.strip()))
        except ArchitectureError:
            return None

    def to_json(self, architecture: Convolutional) -> str:
        """``{"depth": 5, "end": "flatten", "activation": "relu", "width": null}``."""
        return json.dumps(asdict(architecture))

    def from_json(self, text: str) -> Convolutional:
        """A network from its JSON; all but ``depth`` may be left out."""
        found = read_json(text)
        if not {"depth"} <= found.keys() <= set(Convolutional.__dataclass_fields__):
            raise ArchitectureError(
                f"{text[:80]!r} is no convolutional network: give an object of depth, and end, "
                "activation and width if wanted"
            )
        return Convolutional(**found)

    def draw(self, architecture: Convolutional) -> Drawing:
        """A bar a convolution, the first and last 24 of many."""
        depth, width = architecture.depth, architecture.width or self.width
        convolutions = f"{depth:,} convolution{'s' * (depth > 1)} of {width:,}"
        said = f"{convolutions}, {architecture.activation}, {architecture.end}"
        return bars([width] * depth, said, "conv3", title=f"convolutional network, {said}")

    def infinite_width(self, architecture: Convolutional) -> tuple[str, dict[str, Any]]:
        """The kernel that a network comes to as its width grows, and its settings."""
        settings = asdict(architecture)
        del settings["width"]
        return "CNNVec", settings

    def counts(self, architecture: Convolutional) -> dict[str, int]:
        """Convolutions, and whether pixels are averaged."""
        return {"conv3x3": architecture.depth, "pools": int(architecture.end == "pool")}

    def graph(self, architecture: Convolutional, image_shape: Shape, classes: int) -> Graph:
        """The network for images of a shape.

        Raises:
            DataError: images without neighbouring pixels.
        """
        height, width, channels = image_shape
        if min(height, width) < 2:
            raise DataError(
                f"images of {height}×{width} pixels have no neighbours to convolve: give larger "
                "ones, or score fully_connected"
            )
        builder = Builder(image_shape)
        value, inputs, outputs = builder.image, channels, architecture.width or self.width
        for number in range(architecture.depth):
            layer = ConvActivation(3, inputs, outputs, architecture.activation)
            value = builder.add(layer, value, name=f"conv{number + 1}")
            inputs = outputs
        pooled = architecture.end == "pool"
        value = builder.add(GlobalAverage() if pooled else Flatten(outputs), value, name="end")
        features = outputs if pooled else outputs * height * width
        builder.add(Dense(features, classes), value, name="readout")
        return builder.graph()
