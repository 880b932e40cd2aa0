"""The inverted bottleneck that mobile networks are made of (Sandler et al. 2018)."""

from nasproxy.networks.graph import Builder
from nasproxy.networks.layers import ConvBN, DepthwiseBN, ProjectAdd, SqueezeExcite


def add_mbconv(
    builder: Builder,
    x: int,
    inputs: int,
    outputs: int,
    *,
    size: int,
    expansion: int,
    stride: int = 1,
    squeeze: int = 0,
    gate: str = "sigmoid",
    activation: str = "relu",
    shortcut: int | None = None,
) -> int:
    """Appends 1×1 expansion, depthwise convolution, squeeze-and-excitation, linear 1×1 projection.

    They are called ``expand``, ``depthwise``, ``squeeze_excite`` and ``project``.

    Args:
        builder: of the graph.
        x: the value read.
        inputs: its channels.
        outputs: channels made.
        size: side of the depthwise kernel.
        expansion: hidden channels over ``inputs``; at 1 there is no expansion.
        stride: of the depthwise convolution.
        squeeze: hidden features of squeeze-and-excitation, none at 0.
        gate: of squeeze-and-excitation.
        activation: after expansion and depthwise convolution.
        shortcut: a value added to the projection.

    Returns:
        The value made.
    """
    hidden = inputs * expansion
    if expansion > 1:
        x = builder.add(ConvBN(1, inputs, hidden, activation=activation), x, name="expand")
    x = builder.add(DepthwiseBN(size, hidden, stride, activation), x, name="depthwise")
    if squeeze:
        x = builder.add(SqueezeExcite(hidden, squeeze, gate), x, name="squeeze_excite")
    project = ProjectAdd(1, hidden, outputs, activation="none")
    others = () if shortcut is None else (shortcut,)
    return builder.add(project, x, *others, name="project")
