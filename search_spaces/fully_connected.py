"""Fully-connected networks by depth, width and nonlinearity (Bordelon et al.)."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np

from nasproxy.checks import OneOf, Optional, Whole, check, checked
from nasproxy.drawing import Drawing, bars
from nasproxy.errors import ArchitectureError, SettingError
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import Dense, DenseActivation, Shape

ACTIVATIONS = ("relu", "erf")
"""Nonlinearities whose kernels at infinite width are known in closed form."""
DEEPEST = 200
"""Hidden layers of the deepest network that is drawn; deeper ones may be given."""
MOST_LAYERS = 10_000
"""Hidden layers of the deepest network that may be given: each is an entry of its graph."""
LONGEST_KEY = 100
"""Characters of a text that may be a key."""


@dataclass(frozen=True)
class Perceptron:
    """A fully-connected network.

    Attributes:
        depth: hidden layers, at most 10,000; a linear readout follows.
        activation: ``relu`` or ``erf``.
        width: units of each hidden layer; None for the space's.

    Raises:
        ArchitectureError: something else.
    """

    depth: int
    activation: str = "relu"
    width: int | None = None

    def __post_init__(self) -> None:
        rules = {"activation": OneOf(*ACTIVATIONS), "width": Optional(Whole())}
        try:
            check("a network", self, depth=Whole(1, MOST_LAYERS), **rules)
        except SettingError as error:
            raise ArchitectureError(str(error)) from None

    def _repr_svg_(self) -> str:
        return _drawn(self, self.width).svg


@dataclass(frozen=True)
class FullyConnectedNetworks:
    """Fully-connected networks on flattened images: depth, nonlinearity, and width.

    Weights are drawn with variance 2/fan-in (the readout's with 1/fan-in), biases start at 0.

    Attributes:
        width: units of each hidden layer, where an architecture names none.
    """

    width: int = 256

    name: ClassVar[str] = "fully_connected"
    samplers: ClassVar[tuple[str, ...]] = ("log_uniform", "uniform")

    def __post_init__(self) -> None:
        check(self.name, self, width=Whole())

    def sample(self, n: int, seed: int, sampler: str | None = None) -> list[Perceptron]:
        """Draws distinct networks of the space's width, as long as there are any.

        Depths are from 1 to 200, equally likely on a logarithmic scale (the default) or on a plain
        one (``uniform``); nonlinearities are equally likely.
        """
        checked(self.name, "sampler", sampler, Optional(OneOf(*self.samplers)))
        every = self.grid(depth=range(1, DEEPEST + 1), activation=ACTIVATIONS)
        n = checked(self.name, "n", n, Whole(0, len(every), hint="as many as it draws from"))
        depths = np.array([network.depth for network in every])
        weights = np.ones(len(every)) if sampler == "uniform" else np.log1p(1 / depths)
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(every), n, replace=False, p=weights / weights.sum())
        return [every[i] for i in chosen]

    def grid(self, **axes: Sequence[Any]) -> list[Perceptron]:
        """Every combination of values of ``depth``, ``activation`` and ``width``, in order.

        Raises:
            SettingError: an axis that there is not, or no depth.
            ArchitectureError: a value that is none.
        """
        known = tuple(Perceptron.__dataclass_fields__)
        for axis in axes:
            if axis not in known:
                raise SettingError(
                    f"fully_connected has no axis {axis!r}: it has {', '.join(known)}"
                )
        if "depth" not in axes:
            raise SettingError("a grid of fully_connected needs depths, such as depth=1,2,5")
        return [Perceptron(**dict(zip(axes, v, strict=True))) for v in product(*axes.values())]

    def mutate(self, architecture: Perceptron, rng: np.random.Generator) -> Perceptron:
        """One to three layers, or a quarter of them, more or fewer; or the other nonlinearity."""
        depth, activation = architecture.depth, architecture.activation
        if rng.random() < 0.2:
            activation = str(rng.choice([a for a in ACTIVATIONS if a != activation]))
        else:
            reach = max(3, depth // 4)
            options = [d for d in range(depth - reach, depth + reach + 1) if d >= 1 and d != depth]
            depth = int(rng.choice([d for d in options if d <= max(DEEPEST, depth)]))
        return Perceptron(depth, activation, architecture.width)

    def key(self, architecture: Perceptron) -> str:
        """``relu-5`` of the space's width, ``relu-5x256`` of one's own."""
        wide = "" if architecture.width is None else f"x{architecture.width}"
        return f"{architecture.activation}-{architecture.depth}{wide}"

    def find(self, key: str) -> Perceptron:
        """The network of a key."""
        activation, _, size = key.partition("-")
        depth, times, width = size.partition("x")
        sizes = (depth, width) if times else (depth,)
        # What is longer is no size, and more digits than Python makes a number of.
        if len(key) > LONGEST_KEY or not all(part.isdecimal() for part in sizes):
            said = repr(key) if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]!r} …"
            raise ArchitectureError(
                f"{said} names no fully-connected network: write relu-5 or, with a "
                "width, relu-5x256"
            )
        return Perceptron(int(depth), activation, int(width) if times else None)

    def canonical(self, text: str) -> str | None:
        """The key as :meth:`key` writes it; None if it is none."""
        try:
            return self.key(self.find(text.strip()))
        except ArchitectureError:
            return None

    def to_json(self, architecture: Perceptron) -> str:
        """``{"depth": 5, "activation": "relu", "width": null}``."""
        return json.dumps(asdict(architecture))

    def from_json(self, text: str) -> Perceptron:
        """A network from its JSON; ``activation`` and ``width`` may be left out."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ArchitectureError(f"{text[:80]!r} is not JSON: {error}") from error
        if not isinstance(found, dict) or not {"depth"} <= set(found) <= set(
            Perceptron.__dataclass_fields__
        ):
            raise ArchitectureError(
                f"{text[:80]!r} is no fully-connected network: give an object of depth, and "
                "activation and width if wanted"
            )
        return Perceptron(**found)

    def draw(self, architecture: Perceptron) -> Drawing:
        """A bar a hidden layer, the first and last 24 of many."""
        return _drawn(architecture, architecture.width or self.width)

    def infinite_width(self, architecture: Perceptron) -> tuple[str, dict[str, Any]]:
        """The kernel that a network comes to as its width grows, and its settings."""
        settings = {"depth": architecture.depth, "activation": architecture.activation}
        return "FullyConnected", settings

    def graph(self, architecture: Perceptron, image_shape: Shape, classes: int) -> Graph:
        """The network for images of a shape, which it flattens."""
        builder = Builder(image_shape)
        value, inputs = builder.image, int(np.prod(image_shape))
        width = architecture.width or self.width
        for number in range(architecture.depth):
            hidden = DenseActivation(inputs, width, architecture.activation)
            value = builder.add(hidden, value, name=f"hidden{number + 1}")
            inputs = width
        builder.add(Dense(inputs, classes), value, name="readout")
        return builder.graph()


def _drawn(network: Perceptron, width: int | None) -> Drawing:
    """``width`` is None where nothing says it."""
    depth, activation = network.depth, network.activation
    layers = f"{depth:,} hidden layer{'s' * (depth > 1)}"
    wide = "" if width is None else f" of {width:,}"
    title = f"fully-connected network, {layers}{wide}, {activation}"
    return bars([width or 256] * depth, f"{layers}{wide}, {activation}", title=title)
