"""A block of a mobile network: one layer repeated, as MnasNet's space has it."""

from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

CONV, SEPCONV, MBCONV = OPS = ("conv", "sepconv", "mbconv")
POOL, IDENTITY, NO_SKIP = SKIPS = ("pool", "identity", "none")


@dataclass(frozen=True)
class Block:
    """One of a network's blocks; make it with :meth:`create`, so that equal networks are equal.

    Attributes:
        op: convolution, depthwise-separable convolution or MBConv.
        kernel: side of the convolution, of the depthwise one where there is one.
        se: squeeze-and-excitation's hidden features over a layer's input channels, 0 for none.
        skip: what the layers after the first add to their output: their input, its 3×3 average, or
            nothing. (A first layer adds nothing: its output has another shape.)
        multiplier: of the block's filters.
        layers: at least 1.
        expansion: hidden channels over input channels of an MBConv.
    """

    op: str
    kernel: int
    se: float
    skip: str
    multiplier: float
    layers: int
    expansion: int

    @classmethod
    def create(cls, values: dict[str, Any]) -> "Block":
        """A block without what has no effect: the skip of one layer, the expansion of no MBConv."""
        settings = dict(values)
        if settings["layers"] == 1:
            settings["skip"] = NO_SKIP
        if settings["op"] != MBCONV:
            settings["expansion"] = 1
        return cls(**settings)

    def values(self) -> dict[str, Any]:
        """All attributes by name."""
        return asdict(self)


Blocks: TypeAlias = tuple[Block, ...]
"""An architecture."""
