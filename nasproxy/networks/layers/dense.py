"""Affine maps of features: the readout, and the hidden layers of fully-connected networks."""

from dataclasses import dataclass

from jax import Array
from jaxtyping import Float

from nasproxy.networks.layers.base import Arrays, Draw, Shape, aligned, zeros
from nasproxy.networks.layers.weighted import Activated, Weighted


@dataclass(frozen=True)
class Dense(Weighted):
    """Affine map of features; kernel of variance 1/fan-in, bias 0."""

    inputs: int
    outputs: int

    def parameters(self) -> dict[str, Shape]:
        return {"kernel": (self.inputs, self.outputs), "bias": (self.outputs,)}

    def initialise(self, draw: Draw) -> Arrays:
        shape = (self.inputs, self.outputs)
        return {"kernel": draw.truncated_normal(shape, self.inputs**-0.5)}

    def constants(self) -> Arrays:
        return {"bias": zeros(self.outputs)}

    def shape(self, *inputs: Shape) -> Shape:
        return (self.outputs,)

    def flops(self, *inputs: Shape) -> int:
        return 2 * self.inputs * self.outputs

    def product(self, params: Arrays, *inputs: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        product = inputs[0][:, : self.inputs] @ params["kernel"]
        return product + aligned(params.get("bias", 0), 2)


@dataclass(frozen=True)
class DenseActivation(Activated, Dense):
    """Affine map of flattened inputs, then a nonlinearity; kernel of variance 2/fan-in, bias 0.

    Attributes:
        activation: one of ``ACTIVATIONS``.
    """

    activation: str = "relu"

    def initialise(self, draw: Draw) -> Arrays:
        deviation = (2 / self.inputs) ** 0.5
        return {"kernel": draw.truncated_normal((self.inputs, self.outputs), deviation)}

    def product(self, params: Arrays, *inputs: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        return super().product(params, inputs[0].reshape(len(inputs[0]), -1))
