"""What every search space offers, whatever it holds; the drawing and network of an architecture."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from flax import nnx

from nasproxy import drawing
from nasproxy.drawing import Drawing
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import Shape
from nasproxy.networks.module import Network

A = TypeVar("A")


@runtime_checkable
class SearchSpace(Protocol[A]):
    """Architectures of type ``A`` and the networks they stand for.

    Implementations are frozen dataclasses whose fields are the space's settings (the stem's
    ``width`` among them). A package registers its own by an entry point of the group
    ``nasproxy.search_spaces``; one in a file of the working folder goes by its dotted name.

    Attributes:
        name: the space's name on the command line and in stores.
        samplers: names of the distributions it can draw from, the default first.
        width: channels of the stem, or a fixed part of them: the scale of all its networks.
    """

    name: ClassVar[str]
    samplers: ClassVar[tuple[str, ...]]

    @property
    def width(self) -> int: ...

    def sample(self, n: int, seed: int, sampler: str | None = None) -> list[A]:
        """Draws ``n`` architectures; raises SettingError for an unknown sampler."""
        ...

    def mutate(self, architecture: A, rng: np.random.Generator) -> A:
        """A valid neighbour that differs from the architecture."""
        ...

    def key(self, architecture: A) -> str:
        """The name of the architecture up to isomorphism, by which scores and truth are joined."""
        ...

    def find(self, key: str) -> A:
        """The architecture of a key; raises ArchitectureError if there is none."""
        ...

    def to_json(self, architecture: A) -> str:
        """One line of JSON that :meth:`from_json` reads."""
        ...

    def from_json(self, text: str) -> A:
        """An architecture from JSON; raises ArchitectureError with what is wrong."""
        ...

    def graph(self, architecture: A, image_shape: Shape, classes: int) -> Graph:
        """The network of an architecture, as data: see :mod:`nasproxy.networks.graph`.

        Raises:
            DataError: images that no network of the space takes, whatever the architecture.
        """
        ...


@runtime_checkable
class Canonical(Protocol):
    """A space that brings keys of other hands to the form that it writes them in."""

    def canonical(self, text: str) -> str | None:
        """The key that a text can only mean, blanks and capitals aside; None if it is none."""
        ...


@runtime_checkable
class Tabular(Protocol):
    """A space whose benchmark's tables name architectures by columns of their own.

    Attributes:
        columns: the names of those columns.
    """

    columns: ClassVar[tuple[str, ...]]

    def row_key(self, row: Mapping[Any, Any]) -> str:
        """The key of a row's architecture; raises ArchitectureError if it is none."""
        ...


@runtime_checkable
class Counted(Protocol):
    """A space that counts what its architectures are made of, for the proxy ``counts``."""

    def counts(self, architecture: Any) -> dict[str, int]:
        """Numbers by name, the same names for every architecture; only what can differ.

        Names that several spaces have: ``conv3x3``, convolutions of 3×3; ``pools``; ``skips``,
        where there might be an operation; ``layers``. Of a cell that is repeated, the cell's.
        """
        ...


@runtime_checkable
class Product(Protocol):
    """A space whose architectures are a fixed number of independent choices.

    Attributes:
        positions: a name for each choice.
        choices: what may be chosen at each position; twice, what is to be drawn twice as often.
    """

    @property
    def positions(self) -> tuple[str, ...]: ...

    @property
    def choices(self) -> tuple[tuple[Any, ...], ...]: ...

    def assemble(self, values: Sequence[Any]) -> Any:
        """The architecture of one value a position."""
        ...

    def values(self, architecture: Any) -> tuple[Any, ...]:
        """Values that :meth:`assemble` makes the architecture of."""
        ...


@runtime_checkable
class Drawable(Protocol):
    """A space that says how its architectures are drawn; of others :func:`draw` writes the key."""

    def draw(self, architecture: Any) -> Drawing:
        """Made by what :mod:`nasproxy.drawing` offers: a graph, rows of blocks, bars, or text."""
        ...


def draw(space: SearchSpace[A], architecture: A) -> Drawing:
    """An architecture as its space draws it, or else its key as text.

    Args:
        space: the space.
        architecture: one of its own.

    Raises:
        ArchitectureError: it is none of the space's.
    """
    if isinstance(space, Drawable):
        return space.draw(architecture)
    return drawing.text(space.key(architecture))


def network(
    space: SearchSpace[A],
    architecture: A,
    image_shape: Shape,
    classes: int,
    rngs: nnx.Rngs | Sequence[int] = (0, 0),
    momentum: float = 0.997,
) -> Network:
    """The :class:`Network` of an architecture, a Flax module.

    Args:
        space: the space.
        architecture: one of its own.
        image_shape: (height, width, channels).
        classes: number of logits.
        rngs: Flax's, whose stream ``params`` names the weights; or a seed and a member's number,
            which name those that the proxies ``nngp`` and ``ntk`` draw.
        momentum: of batch norm's moving statistics.
    """
    graph = space.graph(architecture, image_shape, classes)
    return Network(Initialised.draw(graph, rngs), momentum)
