"""Convolutions and what goes with them: batch normalisation, activation, squeeze-and-excitation.

Kernels are drawn from truncated normals of variance 1/fan-in (variance scaling of scale 1), full,
depthwise and dense ones alike.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from nasproxy.networks.convolution import convolve, depthwise
from nasproxy.networks.layers.activations import ACTIVATIONS
from nasproxy.networks.layers.base import (
    Arrays,
    Draw,
    Layer,
    Shape,
    aligned,
    fitting,
    ones,
    strided,
    total,
    up,
    zeros,
)

EPSILON = 1e-5
"""Added to the variance in batch normalisation; NAS-Bench-101's, and PyTorch's default."""

GATES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "hard_sigmoid": lambda x: jnp.clip(x + 3, 0, 6) / 6,
}


class BatchNormed(Layer):
    """Batch normalisation of what :meth:`product` makes, then an activation.

    Attributes:
        outputs: channels made.
        activation: one of ``ACTIVATIONS``, applied last.
        affine: whether a scale and a bias are learnt; without, they stay 1 and 0.
    """

    outputs: int
    activation: str = "relu"
    affine: bool = True

    @abstractmethod
    def product(
        self, params: Arrays, *inputs: Float[Array, "n h w _"]
    ) -> Float[Array, "n rows columns c"]:
        """What is normalised, ``[n, h, w, outputs]``."""

    def kernels(self) -> dict[str, Shape]:
        """Shapes of what is learnt beside scale and bias."""
        return {}

    def parameters(self) -> dict[str, Shape]:
        shapes = {"scale": (self.outputs,), "bias": (self.outputs,)}
        return self.kernels() | (shapes if self.affine else {})

    def initialise(self, draw: Draw) -> Arrays:
        return {
            name: draw.truncated_normal(shape, math.prod(shape[:-1]) ** -0.5)
            for name, shape in self.kernels().items()
        }

    def constants(self) -> Arrays:
        if not self.affine:
            return {}
        return {"scale": ones(self.outputs), "bias": zeros(self.outputs)}

    def statistics(self) -> Arrays:
        return {"mean": zeros(self.outputs), "variance": ones(self.outputs)}

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        product = self.product(params, *inputs)
        gain = params.get("scale", 1) * lax.rsqrt(stats.get("variance", 1.0) + EPSILON)
        shift = params.get("bias", 0) - stats.get("mean", 0) * gain
        return ACTIVATIONS[self.activation](product * aligned(gain, 4) + aligned(shift, 4))

    def train(
        self, params: Arrays, *inputs: Float[Array, "n ..."]
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        product = self.product(params, *inputs)
        mean = product.mean((0, 1, 2))
        centred = product - aligned(mean, 4)
        variance = jnp.square(centred).mean((0, 1, 2))
        gain = params.get("scale", 1) * lax.rsqrt(variance + EPSILON)
        shifted = centred * aligned(gain, 4) + aligned(params.get("bias", 0), 4)
        output = ACTIVATIONS[self.activation](shifted)
        return output, {"mean": mean, "variance": variance}


@dataclass(frozen=True)
class ConvBN(BatchNormed):
    """Convolution without bias, batch normalisation, activation.

    Attributes:
        size: the kernel's side, odd.
        inputs: channels taken.
        outputs: channels made.
        stride: between output pixels.
        activation: one of ``ACTIVATIONS``, applied last.
        preactivation: whether a ReLU comes before the convolution (NAS-Bench-201's order).
        affine: whether batch norm learns a scale and a bias.
    """

    size: int
    inputs: int
    outputs: int
    stride: int = 1
    activation: str = "relu"
    preactivation: bool = False
    affine: bool = True

    def kernels(self) -> dict[str, Shape]:
        return {"kernel": (self.size, self.size, self.inputs, self.outputs)}

    def shape(self, *inputs: Shape) -> Shape:
        return (*strided(inputs[0], self.stride), self.outputs)

    def flops(self, *inputs: Shape) -> int:
        height, width = strided(inputs[0], self.stride)
        return 2 * height * width * self.size**2 * self.inputs * self.outputs

    def product(
        self, params: Arrays, *inputs: Float[Array, "n h w _"]
    ) -> Float[Array, "n rows columns c"]:
        x = total(inputs, self.inputs)
        return convolve(jax.nn.relu(x) if self.preactivation else x, params["kernel"], self.stride)

    def pad(self, multiple: int, *channels: int) -> Self:
        # Of three channels and fewer nothing is gained, and stored scores were made without.
        inputs = fitting(self.inputs, multiple, channels) if self.inputs > 3 else self.inputs
        return replace(self, inputs=inputs, outputs=up(self.outputs, multiple))


@dataclass(frozen=True)
class ProjectAdd(ConvBN):
    """:class:`ConvBN` of the first input, to which the other inputs are added, truncated."""

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        projection = super().infer(params, stats, inputs[0])
        return total((projection, *inputs[1:]), self.outputs)

    def train(
        self, params: Arrays, *inputs: Float[Array, "n ..."]
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        projection, stats = super().train(params, inputs[0])
        return total((projection, *inputs[1:]), self.outputs), stats

    def pad(self, multiple: int, *channels: int) -> Self:
        outputs = fitting(self.outputs, multiple, channels[1:])
        return replace(super().pad(multiple, *channels[:1]), outputs=outputs)


@dataclass(frozen=True)
class DepthwiseBN(BatchNormed):
    """Depthwise convolution without bias, batch normalisation, activation.

    Attributes:
        size: the kernel's side, odd.
        outputs: channels taken and made.
        stride: between output pixels.
        activation: one of ``ACTIVATIONS``.
    """

    size: int
    outputs: int
    stride: int = 1
    activation: str = "relu"

    def kernels(self) -> dict[str, Shape]:
        return {"kernel": (self.size, self.size, 1, self.outputs)}

    def shape(self, *inputs: Shape) -> Shape:
        return (*strided(inputs[0], self.stride), self.outputs)

    def flops(self, *inputs: Shape) -> int:
        height, width = strided(inputs[0], self.stride)
        return 2 * height * width * self.size**2 * self.outputs

    def product(
        self, params: Arrays, *inputs: Float[Array, "n h w _"]
    ) -> Float[Array, "n rows columns c"]:
        return depthwise(total(inputs, self.outputs), params["kernel"], self.stride)

    def pad(self, multiple: int, *channels: int) -> Self:
        return replace(self, outputs=fitting(self.outputs, multiple, channels))


@dataclass(frozen=True)
class DepthwiseConv(Layer):
    """ReLU, then a depthwise convolution and nothing else: the first half of a separable one.

    Attributes:
        size: the kernel's side, odd.
        outputs: channels taken and made.
        stride: between output pixels.
        dilation: between the pixels that neighbouring taps meet.
    """

    size: int
    outputs: int
    stride: int = 1
    dilation: int = 1

    def parameters(self) -> dict[str, Shape]:
        return {"kernel": (self.size, self.size, 1, self.outputs)}

    def initialise(self, draw: Draw) -> Arrays:
        return {"kernel": draw.truncated_normal(self.parameters()["kernel"], 1 / self.size)}

    def shape(self, *inputs: Shape) -> Shape:
        return (*strided(inputs[0], self.stride), self.outputs)

    def flops(self, *inputs: Shape) -> int:
        height, width = strided(inputs[0], self.stride)
        return 2 * height * width * self.size**2 * self.outputs

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        x = jax.nn.relu(total(inputs, self.outputs))
        return depthwise(x, params["kernel"], self.stride, self.dilation)

    def pad(self, multiple: int, *channels: int) -> Self:
        return replace(self, outputs=fitting(self.outputs, multiple, channels))


@dataclass(frozen=True)
class BNReLU(BatchNormed):
    """Batch normalisation and ReLU of the first ``outputs`` channels."""

    outputs: int

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:2], self.outputs)

    def product(
        self, params: Arrays, *inputs: Float[Array, "n h w _"]
    ) -> Float[Array, "n rows columns c"]:
        return total(inputs, self.outputs)

    def pad(self, multiple: int, *channels: int) -> Self:
        return replace(self, outputs=fitting(self.outputs, multiple, channels))


@dataclass(frozen=True)
class PlainBN(BNReLU):
    """Batch normalisation of the first ``outputs`` channels, which learns nothing."""

    activation = "none"
    affine = False


@dataclass(frozen=True)
class PointwiseConv(Layer):
    """1×1 convolution and nothing else: no bias, no normalisation, no activation."""

    inputs: int
    outputs: int

    def parameters(self) -> dict[str, Shape]:
        return {"kernel": (1, 1, self.inputs, self.outputs)}

    def initialise(self, draw: Draw) -> Arrays:
        return {"kernel": draw.truncated_normal(self.parameters()["kernel"], self.inputs**-0.5)}

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:2], self.outputs)

    def flops(self, *inputs: Shape) -> int:
        height, width = inputs[0][:2]
        return 2 * height * width * self.inputs * self.outputs

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return convolve(total(inputs, self.inputs), params["kernel"])

    def pad(self, multiple: int, *channels: int) -> Self:
        inputs = fitting(self.inputs, multiple, channels)
        return replace(self, inputs=inputs, outputs=up(self.outputs, multiple))


@dataclass(frozen=True)
class SqueezeExcite(Layer):
    """Each channel times a gate in (0, 1) that a two-layer network reads from all channels' means.

    Hu et al. 2018: mean over the pixels, affine map to ``squeeze`` features, ReLU, affine map back,
    gate.

    Attributes:
        channels: taken and made.
        squeeze: hidden features.
        gate: one of ``GATES``.
    """

    channels: int
    squeeze: int
    gate: str = "sigmoid"

    def parameters(self) -> dict[str, Shape]:
        return {
            "reduce": (self.channels, self.squeeze),
            "reduce_bias": (self.squeeze,),
            "expand": (self.squeeze, self.channels),
            "expand_bias": (self.channels,),
        }

    def initialise(self, draw: Draw) -> Arrays:
        return {
            "reduce": draw.truncated_normal((self.channels, self.squeeze), self.channels**-0.5),
            "expand": draw.truncated_normal((self.squeeze, self.channels), self.squeeze**-0.5),
        }

    def constants(self) -> Arrays:
        return {"reduce_bias": zeros(self.squeeze), "expand_bias": zeros(self.channels)}

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:2], self.channels)

    def flops(self, *inputs: Shape) -> int:
        return 4 * self.channels * self.squeeze

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        x = total(inputs, self.channels)
        hidden = x.mean((1, 2)) @ params["reduce"] + aligned(params.get("reduce_bias", 0), 2)
        gates = jax.nn.relu(hidden) @ params["expand"]
        gates = gates + aligned(params.get("expand_bias", 0), 2)
        return x * GATES[self.gate](gates)[:, None, None]

    def pad(self, multiple: int, *channels: int) -> Self:
        own = fitting(self.channels, multiple, channels)
        return replace(self, channels=own, squeeze=up(self.squeeze, multiple))
