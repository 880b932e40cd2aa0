"""Spaces of seven mobile blocks: what they share, and MNAS."""

import json
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nasproxy import drawing
from nasproxy.checks import OneOf, Real, Several, Unfit, Whole, check
from nasproxy.drawing import Drawing
from nasproxy.errors import ArchitectureError, DataError
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import GATES, Shape
from search_spaces.mnas.block import (
    CONV,
    IDENTITY,
    MBCONV,
    NO_SKIP,
    OPS,
    POOL,
    SEPCONV,
    SKIPS,
    Block,
    Blocks,
)
from search_spaces.mnas.network import STRIDES, TOTAL_STRIDE, Backbone, build
from search_spaces.product import ProductSpace, read_json, set_of

BLOCKS = len(STRIDES)
ACTIVATIONS = ("relu", "relu6", "swish")


class BlockSpace(ProductSpace[Blocks]):
    """Seven blocks, each a choice for each searched attribute; the other attributes are fixed.

    A key is the codes of the blocks, joined by slashes.
    """

    fields: ClassVar[tuple[str, ...]]
    """Attributes of a block that are searched, in the order in which they are drawn."""

    @property
    @abstractmethod
    def backbone(self) -> Backbone:
        """What blocks are put into."""

    @abstractmethod
    def block_choices(self, position: int) -> dict[str, tuple[Any, ...]]:
        """What may be chosen for each of ``fields``."""

    @abstractmethod
    def fixed(self, position: int) -> dict[str, Any]:
        """The attributes that are not searched."""

    @abstractmethod
    def encode(self, block: Block) -> str:
        """The block's part of a key."""

    @abstractmethod
    def decode(self, code: str) -> dict[str, Any] | None:
        """The searched attributes of a code, unchecked; None if it is none."""

    @property
    def choices(self) -> tuple[tuple[Any, ...], ...]:
        return tuple(
            self.block_choices(position)[field]
            for position in range(BLOCKS)
            for field in self.fields
        )

    @property
    def positions(self) -> tuple[str, ...]:
        return tuple(f"block{i + 1}.{field}" for i in range(BLOCKS) for field in self.fields)

    def assemble(self, values: Sequence[Any]) -> Blocks:
        n = len(self.fields)
        return tuple(
            Block.create(
                self.fixed(i) | dict(zip(self.fields, values[i * n : i * n + n], strict=True))
            )
            for i in range(BLOCKS)
        )

    def values(self, architecture: Blocks) -> tuple[Any, ...]:
        return tuple(getattr(block, field) for block in architecture for field in self.fields)

    def key(self, architecture: Blocks) -> str:
        """The codes of the blocks: ``code/code/…``."""
        return "/".join(map(self.encode, architecture))

    def find(self, key: str) -> Blocks:
        """The architecture of a key; raises ArchitectureError if it is none of the space."""
        codes = key.split("/")
        decoded = [self.decode(code) for code in codes]
        for code, found in zip(codes, decoded, strict=True):
            if found is None:
                raise ArchitectureError(
                    f"{code!r} is no block of {self.name}: write one such as "
                    f"{self.encode(self.sample(1, 0)[0][0])!r}, {BLOCKS} of them joined by slashes"
                )
        return self.checked([found for found in decoded if found is not None])

    def canonical(self, text: str) -> str | None:
        """The key as :meth:`key` writes it; None if it is none."""
        try:
            return self.key(self.find(text.strip()))
        except ArchitectureError:
            return None

    def to_json(self, architecture: Blocks) -> str:
        """``{"blocks": [{…}, …]}``, the searched attributes of each block."""
        blocks = [{f: getattr(block, f) for f in self.fields} for block in architecture]
        return json.dumps({"blocks": blocks})

    def from_json(self, text: str) -> Blocks:
        """Reads :meth:`to_json`'s text; raises ArchitectureError with the first that is wrong."""
        record = read_json(text)
        blocks = record.get("blocks")
        if record.keys() != {"blocks"} or not isinstance(blocks, list):
            raise ArchitectureError(
                f'{text[:80]!r} is no architecture of {self.name}: write {{"blocks": [{{…}}, …]}}'
            )
        for position, block in enumerate(blocks):
            if not isinstance(block, dict) or set(block) != set(self.fields):
                raise ArchitectureError(
                    f"block {position} of {self.name} is {json.dumps(block)[:80]}: give it "
                    f"{', '.join(self.fields)}"
                )
        return self.checked(blocks)

    def counts(self, architecture: Blocks) -> dict[str, int]:
        """``layers`` of all blocks, and ``expansions``, the sum of their expansions."""
        return {
            "layers": sum(block.layers for block in architecture),
            "expansions": sum(block.layers * block.expansion for block in architecture),
        }

    def draw(self, architecture: Blocks) -> Drawing:
        """A row of layers a block; lines over a layer are its skips, dashed where they pool."""
        stages = []
        described = zip(architecture, self.backbone.filters, STRIDES, strict=True)
        for block, filters, stride in described:
            channels = self.backbone.channels(filters * block.multiplier)
            layers = [_drawn(block, place, stride) for place in range(block.layers)]
            stages.append(drawing.Row(f"{channels} channels", layers))
        return drawing.rows(stages, f"{self.name} {self.key(architecture)}")

    def graph(self, architecture: Blocks, image_shape: Shape, classes: int) -> Graph:
        """The network for images of a shape; raises DataError below 32×32 pixels."""
        if min(image_shape[:2]) < TOTAL_STRIDE:
            raise DataError(
                f"images of {image_shape[0]}×{image_shape[1]} pixels: the strides of {self.name} "
                f"divide them by {TOTAL_STRIDE}, so use images of at least "
                f"{TOTAL_STRIDE}×{TOTAL_STRIDE} (a resolution, if the data takes one)"
            )
        return build(architecture, self.backbone, image_shape, classes)

    def checked(self, blocks: Sequence[Mapping[str, Any]]) -> Blocks:
        """The architecture of searched attributes; raises ArchitectureError out of range."""
        if len(blocks) != BLOCKS:
            raise ArchitectureError(
                f"{len(blocks)} blocks: an architecture of {self.name} has {BLOCKS}"
            )
        values = []
        for position, block in enumerate(blocks):
            for field, accepted in self.block_choices(position).items():
                chosen = [value for value in accepted if _same(block[field], value)]
                if not chosen:
                    raise ArchitectureError(
                        f"block {position} of {self.name} has {field}={block[field]!r}: choose one "
                        f"of {', '.join(map(str, set_of(accepted)))}"
                    )
                values.append(chosen[0])
        return self.assemble(values)


def _drawn(block: Block, place: int, stride: int) -> drawing.Block:
    """One layer of a block."""
    size = f"{block.kernel}×{block.kernel}"
    names = {CONV: "conv", SEPCONV: "sepconv", MBCONV: f"MBConv{block.expansion}"}
    notes = [f"SE {block.se:g}"] * bool(block.se) + ["halves"] * (stride > 1 and not place)
    skip = block.skip if place and block.skip != NO_SKIP else ""
    kind = "conv3" if block.kernel <= 3 else "conv5"
    return drawing.Block(f"{names[block.op]} {size}", ", ".join(notes), kind, skip)


def _same(given: object, accepted: object) -> bool:
    """Equal, and no boolean for a number."""
    return given == accepted and isinstance(given, bool) == isinstance(accepted, bool)


class Hundredths(Real):
    """A number that a key can hold."""

    def read(self, value: Any) -> float:
        number = super().read(value)
        if abs(100 * number - round(100 * number)) >= 1e-9:
            raise Unfit(
                f"keys are written in hundredths, so give {round(number, 2):g} or another one"
            )
        return number


@dataclass(frozen=True)
class MNAS(BlockSpace):
    """MnasNet's search space on ImageNet: seven blocks around MobileNetV2's (Tan et al. 2019).

    Published: the blocks and what is searched in each (operation, kernel, squeeze-and-excitation,
    skip, filters, layers), relative to MobileNetV2. Not published, and settings here where they are
    numbers: the exact sets of multipliers and layers (a block of one layer keeps at least one), and
    the expansions. Our choices besides: a depthwise-separable convolution is an MBConv of expansion
    1; a pooled skip adds the 3×3 average of a layer's input; skips join the layers after a block's
    first; squeeze-and-excitation stands after the k×k convolution and counts a layer's input
    channels; convolutions are framed by k // 2 zeros on every side; channels are rounded by
    MobileNet's rule.

    A key's code for a block is operation, kernel, ``se`` and its percentage, skip, filters in
    percent, and layers: ``mbconv5se25-pool-75x3``. Scoring the whole space at one image shape takes
    588 programs, 436 at width 16 (as many again for the batch-norm pass).

    Attributes:
        width: channels of the stem; all others are multiplied by width / 32.
        filters: of the blocks at width 32.
        layers: of the blocks, one fewer and one more being searched.
        expansions: of MBConvs in each block.
        multipliers: of filters, several or one.
        ratios: of squeeze-and-excitation, several or one, from 0 to 1.
        head: channels of the last 1×1 convolution at width 32.
        divisor: channels are rounded to multiples of this.
        gate: of squeeze-and-excitation: sigmoid or hard_sigmoid.
        activation: relu, relu6 or swish.
    """

    width: int = 32
    filters: tuple[int, ...] = (16, 24, 40, 80, 96, 192, 320)
    layers: tuple[int, ...] = (1, 2, 3, 4, 3, 3, 1)
    expansions: tuple[int, ...] = (3, 3, 3, 6, 6, 6, 6)
    multipliers: tuple[float, ...] = (0.75, 1.0, 1.25)
    ratios: tuple[float, ...] = (0.0, 0.25)
    head: int = 1280
    divisor: int = 8
    gate: str = "sigmoid"
    activation: str = "relu"

    name: ClassVar[str] = "mnas"
    fields: ClassVar[tuple[str, ...]] = ("op", "kernel", "se", "skip", "multiplier", "layers")
    _code: ClassVar[re.Pattern[str]] = re.compile(
        rf"({'|'.join(OPS)})(\d{{1,4}})(?:se(\d{{1,4}}))?-({'|'.join(SKIPS)})-(\d{{1,4}})x(\d{{1,4}})"
    )

    def __post_init__(self) -> None:
        every = Several(Whole(), count=BLOCKS)
        check(
            self.name,
            self,
            width=Whole(),
            filters=every,
            layers=every,
            expansions=every,
            multipliers=Several(Hundredths(least=0.01), "0.75/1/1.25"),
            ratios=Several(Hundredths(least=0, most=1), "0/0.25"),
            head=Whole(),
            divisor=Whole(),
            gate=OneOf(*GATES),
            activation=OneOf(*(word for word in ACTIVATIONS if word != "none")),
        )
        for setting in ("multipliers", "ratios"):
            given = getattr(self, setting)
            object.__setattr__(self, setting, given if isinstance(given, tuple) else (given,))

    def counts(self, architecture: Blocks) -> dict[str, int]:
        """Also ``skips`` and ``pools``: layers that add their input, or its 3×3 average."""
        later: dict[str, int] = dict.fromkeys(SKIPS, 0)
        for block in architecture:
            later[block.skip] += block.layers - 1
        return super().counts(architecture) | {"skips": later[IDENTITY], "pools": later[POOL]}

    @property
    def backbone(self) -> Backbone:
        return Backbone(
            self.width, self.filters, self.head, self.divisor, self.gate, self.activation
        )

    def block_choices(self, position: int) -> dict[str, tuple[Any, ...]]:
        layers = self.layers[position]
        return {
            "op": OPS,
            "kernel": (3, 5),
            "se": self.ratios,
            "skip": SKIPS,
            "multiplier": self.multipliers,
            "layers": (max(1, layers - 1), layers, layers + 1),
        }

    def fixed(self, position: int) -> dict[str, Any]:
        return {"expansion": self.expansions[position]}

    def encode(self, block: Block) -> str:
        se = f"se{round(100 * block.se)}" if block.se else ""
        filters = round(100 * block.multiplier)
        return f"{block.op}{block.kernel}{se}-{block.skip}-{filters}x{block.layers}"

    def decode(self, code: str) -> dict[str, Any] | None:
        match = self._code.fullmatch(code)
        if match is None:
            return None
        op, kernel, se, skip, filters, layers = match.groups()
        return {
            "op": op,
            "kernel": int(kernel),
            "se": int(se or 0) / 100,
            "skip": skip,
            "multiplier": int(filters) / 100,
            "layers": int(layers),
        }
