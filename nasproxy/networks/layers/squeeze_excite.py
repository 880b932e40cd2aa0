"""Squeeze-and-excitation: channels times gates that all channels' means open."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from nasproxy.networks.layers.base import (
    Arrays,
    Draw,
    Layer,
    Shape,
    aligned,
    fitting,
    total,
    up,
    zeros,
)

GATES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "hard_sigmoid": lambda x: jnp.clip(x + 3, 0, 6) / 6,
}


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
        return self.probed(params, {}, *inputs)[0]

    def probed(
        self, params: Arrays, probes: Arrays, *inputs: Float[Array, "n ..."]
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        """The output, and what each kernel makes, to which its probe is added: ``[n, c]`` both.

        The cotangent of a probe of zeros is the product's.
        """
        x = total(inputs, self.channels)
        hidden = x.mean((1, 2)) @ params["reduce"] + aligned(params.get("reduce_bias", 0), 2)
        hidden = hidden + probes["reduce"] if probes else hidden
        gates = jax.nn.relu(hidden) @ params["expand"]
        gates = gates + aligned(params.get("expand_bias", 0), 2)
        gates = gates + probes["expand"] if probes else gates
        return x * GATES[self.gate](gates)[:, None, None], {"reduce": hidden, "expand": gates}

    def units(self) -> dict[str, int]:
        return {"hidden": self.squeeze}

    def before_relus(
        self, params: Arrays, product: Any, *inputs: Float[Array, "n ..."], mode: str
    ) -> dict[str, Float[Array, "n ..."]]:
        return {"hidden": self.probed(params, {}, *inputs)[1]["reduce"]}

    def pad(self, multiple: int, *channels: int) -> Self:
        own = fitting(self.channels, multiple, channels)
        return replace(self, channels=own, squeeze=up(self.squeeze, multiple))
