"""NAS-Bench-101 as a search space (Ying et al. 2019)."""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasproxy.checks import OneOf, Optional, Whole, check, checked
from nasproxy.drawing import Drawing
from nasproxy.errors import ArchitectureError, DataError
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import Shape
from search_spaces.nasbench101 import sampling
from search_spaces.nasbench101.cell import CONV3X3, MAXPOOL3X3, Cell
from search_spaces.nasbench101.enumeration import all_cells
from search_spaces.nasbench101.network import build

_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class NASBench101:
    """423,624 cells of at most 7 vertices and 9 edges, each repeated to a CIFAR network.

    Attributes:
        width: channels of the stem; 128 is the benchmark's.
        stacks: stacks of cells, each with twice the channels and half the pixels of the last.
        cells: cells a stack.
    """

    width: int = 128
    stacks: int = 3
    cells: int = 3

    name: ClassVar[str] = "nasbench101"
    samplers: ClassVar[tuple[str, ...]] = ("uniform", "random_matrix")

    def __post_init__(self) -> None:
        check(self.name, self, width=Whole(), stacks=Whole(), cells=Whole())

    def sample(self, n: int, seed: int, sampler: str | None = None) -> list[Cell]:
        """Draws cells.

        ``uniform`` (the default) draws distinct cells of the whole space, each equally likely.
        ``random_matrix`` draws random adjacency matrices and operations and prunes them, as the
        notebook of Park et al. does: small cells, with repeats.
        """
        checked(self.name, "sampler", sampler, Optional(OneOf(*self.samplers)))
        draw = sampling.random_matrix if sampler == "random_matrix" else sampling.uniform
        return draw(n, seed)

    def mutate(self, architecture: Cell, rng: np.random.Generator) -> Cell:
        """A cell one visible edit away."""
        return sampling.mutate(architecture, rng)

    def key(self, architecture: Cell) -> str:
        """The module hash."""
        return architecture.key

    def find(self, key: str) -> Cell:
        """The cell of a module hash, in the vertex order of the official file."""
        found = self.canonical(key)
        if found is None:  # before all cells are hashed to look for it
            said = repr(key) if len(key) <= 100 else f"{key[:100]!r} …"
            raise ArchitectureError(
                f"{said} is no module hash: give 32 hexadecimal digits, or JSON of a cell"
            )
        return all_cells().find(found)

    def canonical(self, text: str) -> str | None:
        """A module hash in small letters, whether or not a cell has it."""
        key = text.strip().lower()
        return key if _HASH.fullmatch(key) else None

    def to_json(self, architecture: Cell) -> str:
        """``{"adjacency": [[...]], "ops": [...]}``."""
        return architecture.to_json()

    def from_json(self, text: str) -> Cell:
        """A validated and pruned cell."""
        return Cell.from_json(text)

    def counts(self, architecture: Cell) -> dict[str, int]:
        """Of the cell: ``conv3x3``, ``pools``, and ``input_edges``, those that leave its input."""
        return {
            "conv3x3": architecture.ops.count(CONV3X3),
            "pools": architecture.ops.count(MAXPOOL3X3),
            "input_edges": sum(architecture.adjacency[0]),
        }

    def draw(self, architecture: Cell) -> Drawing:
        """The cell as a graph, its input above; the output joins what leads to it."""
        return architecture.draw()

    def graph(self, architecture: Cell, image_shape: Shape, classes: int) -> Graph:
        """The cell's network for images of a shape.

        Raises:
            DataError: the images are too small to be halved between stacks.
            SettingError: ``width`` is too small to be split.
        """
        halved = 2 ** (self.stacks - 1)
        if min(image_shape[:2]) < halved:
            raise DataError(
                f"images of {image_shape[0]}×{image_shape[1]} pixels cannot be halved "
                f"{self.stacks - 1} times: use images of at least {halved}×{halved}, or fewer "
                "stacks"
            )
        return build(
            architecture,
            image_shape,
            classes,
            width=self.width,
            stacks=self.stacks,
            cells=self.cells,
        )
