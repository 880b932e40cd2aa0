"""Convolutions without normalisation, whose wide limit is a kernel."""

from dataclasses import dataclass, replace
from typing import Self

from jax import Array
from jaxtyping import Float

from nasproxy.networks.convolution import convolve
from nasproxy.networks.layers.base import Arrays, Draw, Shape, aligned, fitting, total, up, zeros
from nasproxy.networks.layers.weighted import Activated


@dataclass(frozen=True)
class ConvActivation(Activated):
    """Convolution with a bias, zeros around, then a nonlinearity; no normalisation.

    Kernel of variance 2/fan-in, bias 0: what the kernels of wide convolutional networks are of.

    Attributes:
        size: the kernel's side, odd.
        inputs: channels taken.
        outputs: channels made.
        activation: one of ``ACTIVATIONS``.
    """

    size: int
    inputs: int
    outputs: int
    activation: str = "relu"

    def parameters(self) -> dict[str, Shape]:
        return {
            "kernel": (self.size, self.size, self.inputs, self.outputs),
            "bias": (self.outputs,),
        }

    def initialise(self, draw: Draw) -> Arrays:
        deviation = (2 / (self.size**2 * self.inputs)) ** 0.5
        return {"kernel": draw.truncated_normal(self.parameters()["kernel"], deviation)}

    def constants(self) -> Arrays:
        return {"bias": zeros(self.outputs)}

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:2], self.outputs)

    def flops(self, *inputs: Shape) -> int:
        height, width = inputs[0][:2]
        return 2 * height * width * self.size**2 * self.inputs * self.outputs

    def product(self, params: Arrays, *inputs: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        product = convolve(total(inputs, self.inputs), params["kernel"])
        return product + aligned(params.get("bias", 0), 4)

    def pad(self, multiple: int, *channels: int) -> Self:
        inputs = fitting(self.inputs, multiple, channels) if self.inputs > 3 else self.inputs
        return replace(self, inputs=inputs, outputs=up(self.outputs, multiple))
