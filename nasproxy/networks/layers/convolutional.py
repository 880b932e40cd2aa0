"""Convolutions and what goes with them: batch normalisation, activation, squeeze-and-excitation.

Kernels are drawn from truncated normals of variance 1/fan-in (variance scaling of scale 1), full,
depthwise and dense ones alike.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from nasproxy.networks.convolution import convolve, depthwise
from nasproxy.networks.layers.activations import ACTIVATIONS, RELUS
from nasproxy.networks.layers.base import (
    Arrays,
    Draw,
    Shape,
    aligned,
    fitting,
    ones,
    strided,
    total,
    up,
    zeros,
)
from nasproxy.networks.layers.weighted import BYPASSED, TRAINING, Weighted

EPSILON = 1e-5
"""Added to the variance in batch normalisation; NAS-Bench-101's, and PyTorch's default."""


class BatchNormed(Weighted):
    """Batch normalisation of what :meth:`product` makes, then an activation.

    Attributes:
        outputs: channels made.
        activation: one of ``ACTIVATIONS``, applied last.
        affine: whether a scale and a bias are learnt; without, they stay 1 and 0.
    """

    outputs: int
    activation: str = "relu"
    affine: bool = True
    normalised: ClassVar[bool] = True

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

    def by_statistics(
        self, params: Arrays, stats: Arrays, product: Float[Array, "n h w c"]
    ) -> Float[Array, "n h w c"]:
        """The product normalised by mean and variance that are given; 0 and 1 by default."""
        gain = params.get("scale", 1) * lax.rsqrt(stats.get("variance", 1.0) + EPSILON)
        shift = params.get("bias", 0) - stats.get("mean", 0) * gain
        return product * aligned(gain, 4) + aligned(shift, 4)

    def by_batch(
        self, params: Arrays, product: Float[Array, "n h w c"]
    ) -> tuple[Float[Array, "n h w c"], Arrays]:
        """The product normalised by its own mean and biased variance, and these."""
        mean = product.mean((0, 1, 2))
        centred = product - aligned(mean, 4)
        variance = jnp.square(centred).mean((0, 1, 2))
        gain = params.get("scale", 1) * lax.rsqrt(variance + EPSILON)
        normed = centred * aligned(gain, 4) + aligned(params.get("bias", 0), 4)
        return normed, {"mean": mean, "variance": variance}

    def normalise(
        self, params: Arrays, product: Float[Array, "n h w c"], mode: str
    ) -> tuple[Float[Array, "n h w c"], Arrays]:
        """The product normalised as a mode has it, and the batch's statistics in training mode."""
        if mode == TRAINING:
            return self.by_batch(params, product)
        if mode == BYPASSED:
            return product, {}
        return self.by_statistics(params, {}, product), {}

    def activate(
        self, normed: Float[Array, "n h w c"], *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n h w c"]:
        """The output of what was normalised."""
        return ACTIVATIONS[self.activation](normed)

    def finish(
        self,
        params: Arrays,
        product: Float[Array, "n ..."],
        *inputs: Float[Array, "n ..."],
        mode: str,
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        normed, stats = self.normalise(params, product, mode)
        return self.activate(normed, *inputs), stats

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        product = self.product(params, *inputs)
        return self.activate(self.by_statistics(params, stats, product), *inputs)

    def train(
        self, params: Arrays, *inputs: Float[Array, "n ..."]
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        return self.finish(params, self.product(params, *inputs), *inputs, mode=TRAINING)

    def units(self) -> dict[str, int]:
        return {"after": self.outputs} if self.activation in RELUS else {}

    def before_relus(
        self, params: Arrays, product: Any, *inputs: Float[Array, "n ..."], mode: str
    ) -> dict[str, Float[Array, "n ..."]]:
        if self.activation not in RELUS:
            return {}
        return {"after": self.normalise(params, product, mode)[0]}


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

    def read(self, *inputs: Float[Array, "n ..."]) -> Float[Array, "n h w c"]:
        """What is convolved, before a ReLU if there is one."""
        return total(inputs, self.inputs)

    def product(
        self, params: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n rows columns c"]:
        x = self.read(*inputs)
        return convolve(jax.nn.relu(x) if self.preactivation else x, params["kernel"], self.stride)

    def units(self) -> dict[str, int]:
        return ({"before": self.inputs} if self.preactivation else {}) | super().units()

    def before_relus(
        self, params: Arrays, product: Any, *inputs: Float[Array, "n ..."], mode: str
    ) -> dict[str, Float[Array, "n ..."]]:
        found = super().before_relus(params, product, *inputs, mode=mode)
        return ({"before": self.read(*inputs)} if self.preactivation else {}) | found

    def pad(self, multiple: int, *channels: int) -> Self:
        # Of three channels and fewer nothing is gained, and stored scores were made without.
        inputs = fitting(self.inputs, multiple, channels) if self.inputs > 3 else self.inputs
        return replace(self, inputs=inputs, outputs=up(self.outputs, multiple))


@dataclass(frozen=True)
class ProjectAdd(ConvBN):
    """:class:`ConvBN` of the first input, to which the other inputs are added, truncated."""

    def read(self, *inputs: Float[Array, "n ..."]) -> Float[Array, "n h w c"]:
        return super().read(inputs[0])

    def activate(
        self, normed: Float[Array, "n h w c"], *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n h w c"]:
        return total((super().activate(normed), *inputs[1:]), self.outputs)

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
class DepthwiseConv(Weighted):
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

    def product(
        self, params: Arrays, *inputs: Float[Array, "n h w _"]
    ) -> Float[Array, "n rows columns c"]:
        x = jax.nn.relu(total(inputs, self.outputs))
        return depthwise(x, params["kernel"], self.stride, self.dilation)

    def units(self) -> dict[str, int]:
        return {"before": self.outputs}

    def before_relus(
        self, params: Arrays, product: Any, *inputs: Float[Array, "n ..."], mode: str
    ) -> dict[str, Float[Array, "n ..."]]:
        return {"before": total(inputs, self.outputs)}

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
class PointwiseConv(Weighted):
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

    def product(self, params: Arrays, *inputs: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        return convolve(total(inputs, self.inputs), params["kernel"])

    def pad(self, multiple: int, *channels: int) -> Self:
        inputs = fitting(self.inputs, multiple, channels)
        return replace(self, inputs=inputs, outputs=up(self.outputs, multiple))
