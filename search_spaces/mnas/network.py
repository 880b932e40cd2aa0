"""The network of seven blocks, for MNAS and for its restriction alike."""

from dataclasses import dataclass

from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import (
    Add,
    AveragePool3x3,
    ConvBN,
    Dense,
    GlobalAverage,
    ProjectAdd,
    Shape,
    SqueezeExcite,
)
from search_spaces.mnas.block import CONV, NO_SKIP, POOL, Block, Blocks
from search_spaces.mobile import add_mbconv

STEM = 32
"""Channels of the stem at which filters are what a backbone says."""
STRIDES = (1, 2, 2, 2, 1, 2, 1)
TOTAL_STRIDE = 32


@dataclass(frozen=True)
class Backbone:
    """What the blocks of an architecture are put into.

    Attributes:
        width: channels of the stem; all others are multiplied by width / 32.
        filters: of every block, before its multiplier.
        head: channels of the last 1×1 convolution.
        divisor: channels are rounded to multiples of this, see :func:`rounded`.
        gate: of squeeze-and-excitation.
        activation: of all convolutions but linear projections.
    """

    width: int
    filters: tuple[int, ...]
    head: int = 1280
    divisor: int = 8
    gate: str = "sigmoid"
    activation: str = "relu"

    def channels(self, filters: float) -> int:
        """Channels that ``filters`` at stem 32 have at this width."""
        return rounded(filters * self.width / STEM, self.divisor)


def rounded(channels: float, divisor: int) -> int:
    """To the nearest multiple of ``divisor``, halves up, and up where that loses more than a tenth.

    MobileNet's rule (``make_divisible`` of its published code).
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor


def build(blocks: Blocks, backbone: Backbone, image_shape: Shape, classes: int) -> Graph:
    """3×3 stem of stride 2, blocks, 1×1 head, mean, readout.

    Args:
        blocks: an architecture.
        backbone: the rest.
        image_shape: (height, width, channels).
        classes: number of logits.
    """
    builder = Builder(image_shape)
    activation, inputs = backbone.activation, backbone.width
    stem = ConvBN(3, image_shape[2], inputs, stride=2, activation=activation)
    x = builder.add(stem, builder.image, name="stem")
    strides = zip(blocks, backbone.filters, STRIDES, strict=True)
    for number, (block, filters, stride) in enumerate(strides, start=1):
        outputs = backbone.channels(filters * block.multiplier)
        with builder.scope(f"block{number}.layer1"):
            x = _add_layer(builder, block, x, inputs, outputs, stride, None, backbone)
        for layer in range(2, block.layers + 1):
            with builder.scope(f"block{number}.layer{layer}"):
                shortcut = None if block.skip == NO_SKIP else x
                if block.skip == POOL:
                    shortcut = builder.add(AveragePool3x3(outputs), x, name="pool")
                x = _add_layer(builder, block, x, outputs, outputs, 1, shortcut, backbone)
        inputs = outputs
    head = backbone.channels(backbone.head)
    x = builder.add(ConvBN(1, inputs, head, activation=activation), x, name="head")
    x = builder.add(GlobalAverage(), x, name="mean")
    builder.add(Dense(head, classes), x, name="readout")
    return builder.graph()


def _add_layer(
    builder: Builder,
    block: Block,
    x: int,
    inputs: int,
    outputs: int,
    stride: int,
    shortcut: int | None,
    backbone: Backbone,
) -> int:
    """Appends one layer of a block; returns the value it makes."""
    squeeze = max(1, int(inputs * block.se)) if block.se else 0
    if block.op != CONV:
        return add_mbconv(
            builder,
            x,
            inputs,
            outputs,
            size=block.kernel,
            expansion=block.expansion,
            stride=stride,
            squeeze=squeeze,
            gate=backbone.gate,
            activation=backbone.activation,
            shortcut=shortcut,
        )
    added = () if shortcut is None else (shortcut,)
    conv = ProjectAdd(block.kernel, inputs, outputs, stride, backbone.activation)
    if not squeeze:
        return builder.add(conv, x, *added, name="conv")
    x = builder.add(conv, x, name="conv")
    x = builder.add(SqueezeExcite(outputs, squeeze, backbone.gate), x, name="squeeze_excite")
    return builder.add(Add(outputs), x, *added, name="add") if added else x
