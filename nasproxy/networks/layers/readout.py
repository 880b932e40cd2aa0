"""From images to features to logits."""

from dataclasses import dataclass

from jax import Array

from nasproxy.networks.layers.base import Arrays, Draw, Layer, Shape, zeros


@dataclass(frozen=True)
class GlobalAverage(Layer):
    """Mean over the pixels: ``[n, h, w, c]`` to ``[n, c]``."""

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0][2:]

    def infer(self, params: Arrays, stats: Arrays, *inputs: Array) -> Array:
        return inputs[0].mean((1, 2))


@dataclass(frozen=True)
class Dense(Layer):
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

    def infer(self, params: Arrays, stats: Arrays, *inputs: Array) -> Array:
        return inputs[0][:, : self.inputs] @ params["kernel"] + params.get("bias", 0)
