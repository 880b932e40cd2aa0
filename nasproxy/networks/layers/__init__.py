"""The layers that every search space composes.

A layer is a frozen, hashable description: what it computes, which arrays it learns, what it costs.
Being hashable, it is a static argument of ``jax.jit``, so that a whole search space compiles one
program per distinct layer and shape and none per architecture. Images are ``[n, h, w, c]``.

Layers with several inputs sum them, each truncated to the channels that the layer takes
(NAS-Bench-101's rule; where all inputs agree, it is the plain sum).
"""

from nasproxy.networks.layers.activations import ACTIVATIONS, RELUS
from nasproxy.networks.layers.base import Arrays, Draw, Layer, Shape, grow, total, up
from nasproxy.networks.layers.convolutional import (
    EPSILON,
    BatchNormed,
    BNReLU,
    ConvBN,
    DepthwiseBN,
    DepthwiseConv,
    PlainBN,
    PointwiseConv,
    ProjectAdd,
)
from nasproxy.networks.layers.dense import Dense, DenseActivation
from nasproxy.networks.layers.joining import Add, Concatenate, Zero
from nasproxy.networks.layers.plain_convolution import ConvActivation
from nasproxy.networks.layers.pooling import (
    AveragePool3x3,
    Flatten,
    GlobalAverage,
    Halve,
    HalveByMean,
    MaxPool3x3,
    OddPixels,
)
from nasproxy.networks.layers.squeeze_excite import GATES, SqueezeExcite
from nasproxy.networks.layers.weighted import BYPASSED, INFERENCE, MODES, TRAINING, Weighted

__all__ = [
    "ACTIVATIONS",
    "BYPASSED",
    "EPSILON",
    "GATES",
    "INFERENCE",
    "MODES",
    "RELUS",
    "TRAINING",
    "Add",
    "Arrays",
    "AveragePool3x3",
    "BNReLU",
    "BatchNormed",
    "Concatenate",
    "ConvActivation",
    "ConvBN",
    "Dense",
    "DenseActivation",
    "DepthwiseBN",
    "DepthwiseConv",
    "Draw",
    "Flatten",
    "GlobalAverage",
    "Halve",
    "HalveByMean",
    "Layer",
    "MaxPool3x3",
    "OddPixels",
    "PlainBN",
    "PointwiseConv",
    "ProjectAdd",
    "Shape",
    "SqueezeExcite",
    "Weighted",
    "Zero",
    "grow",
    "total",
    "up",
]
