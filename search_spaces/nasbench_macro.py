"""NAS-Bench-Macro: every network of eight mobile blocks (Su et al. 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from nasproxy.checks import Whole, check
from nasproxy.drawing import Block, Drawing, Row, rows
from nasproxy.errors import ArchitectureError, DataError
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import ConvBN, Dense, GlobalAverage, Shape
from search_spaces.mobile import add_mbconv
from search_spaces.product import NamedSpace

BLOCKS = 8
HEAD = 40
"""Channels of the last 1×1 convolution over the stem's: 1,280 at the benchmark's width."""
_STARTS = (0, 2, 5)  # blocks that halve the image and double the channels


@dataclass(frozen=True)
class NASBenchMacro(NamedSpace):
    """6,561 CIFAR networks of eight blocks, each an identity or one of two MBConvs.

    A key is eight digits, as in the benchmark's table: 0 identity, 1 MBConv of kernel 3 and
    expansion 3, 2 of kernel 5 and expansion 6. Where the image is halved, an identity is a strided
    1×1 convolution with batch norm. Parameters and multiply-adds are the table's. Scoring the whole
    space at one image shape takes 38 programs (as many again for the batch-norm pass).

    Attributes:
        width: channels of the stem; 32 is the benchmark's, and all others scale with it.
    """

    width: int = 32

    name: ClassVar[str] = "nasbench_macro"
    columns: ClassVar[tuple[str, ...]] = ("arch",)

    def __post_init__(self) -> None:
        check(self.name, self, width=Whole())

    @property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        return (("0", "1", "2"),) * BLOCKS

    @property
    def positions(self) -> tuple[str, ...]:
        return tuple(f"block{i + 1}" for i in range(BLOCKS))

    def assemble(self, values: Sequence[str]) -> str:
        return "".join(values)

    def values(self, architecture: str) -> tuple[str, ...]:
        return tuple(architecture)

    def find(self, key: str) -> str:
        """The key again; raises ArchitectureError unless it is eight digits 0, 1 or 2."""
        if len(key) != BLOCKS or set(key) - set("012"):
            raise ArchitectureError(
                f"{key!r} is no architecture of {self.name}: write {BLOCKS} digits, 0 for an "
                "identity, 1 for MBConv k3 e3, 2 for MBConv k5 e6"
            )
        return key

    def spelled(self, text: str) -> str:
        """Tables that hold numbers have lost the zeros in front."""
        return text.zfill(BLOCKS) if text.isdecimal() else text

    def counts(self, architecture: str) -> dict[str, int]:
        """``layers``, the blocks that are MBConvs, and ``skips``, those that are identities.

        Where the image is halved, an identity's 1×1 convolution is no layer and no skip.
        """
        blocks = self.find(architecture)
        skips = sum(one == "0" for at, one in enumerate(blocks) if at not in _STARTS)
        return {"layers": BLOCKS - blocks.count("0"), "skips": skips}

    def draw(self, architecture: str) -> Drawing:
        """Three rows of blocks; the first of each halves the image and doubles the channels."""
        blocks = self.find(architecture)
        stages = []
        for first, behind in pairwise((*_STARTS, BLOCKS)):
            channels = self.width * 2 ** (len(stages) + 1)
            drawn = [
                _drawn(choice, place == 0) for place, choice in enumerate(blocks[first:behind])
            ]
            stages.append(Row(f"{channels} channels", drawn))
        return rows(stages, f"NAS-Bench-Macro {architecture}")

    def graph(self, architecture: str, image_shape: Shape, classes: int) -> Graph:
        """The network for images of a shape; raises DataError below 8×8 pixels."""
        smallest = 2 ** len(_STARTS)
        if min(image_shape[:2]) < smallest:
            raise DataError(
                f"images of {image_shape[0]}×{image_shape[1]} pixels cannot be halved "
                f"{len(_STARTS)} times: use images of at least {smallest}×{smallest}"
            )
        builder = Builder(image_shape)
        channels = self.width
        x = builder.add(ConvBN(3, image_shape[2], channels), builder.image, name="stem")
        for position, choice in enumerate(self.find(architecture)):
            starts = position in _STARTS
            outputs, stride = (2 * channels, 2) if starts else (channels, 1)
            if choice == "0":
                if starts:
                    halved = ConvBN(1, channels, outputs, stride=2, activation="none")
                    x = builder.add(halved, x, name=f"block{position + 1}")
            else:
                size, expansion = (3, 3) if choice == "1" else (5, 6)
                with builder.scope(f"block{position + 1}"):
                    x = add_mbconv(
                        builder,
                        x,
                        channels,
                        outputs,
                        size=size,
                        expansion=expansion,
                        stride=stride,
                        shortcut=None if starts else x,
                    )
            channels = outputs
        x = builder.add(ConvBN(1, channels, HEAD * self.width), x, name="head")
        x = builder.add(GlobalAverage(), x, name="mean")
        builder.add(Dense(HEAD * self.width, classes), x, name="readout")
        return builder.graph()


def _drawn(choice: str, starts: bool) -> Block:
    halves = "halves" if starts else ""
    if choice == "0":
        return Block("1×1 conv", halves, "conv1") if starts else Block("identity", "", "skip")
    size, expansion = ("3×3", 3) if choice == "1" else ("5×5", 6)
    skip = "" if starts else "identity"
    return Block(f"MBConv{expansion} {size}", halves, f"conv{size[0]}", skip)
