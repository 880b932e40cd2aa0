"""Layers that join values, and the one that makes none."""

from dataclasses import dataclass, replace
from typing import Self

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from nasproxy.networks.layers.base import Arrays, Layer, Shape, fitting, total, up


@dataclass(frozen=True)
class Add(Layer):
    """Sum of the inputs, each truncated to ``channels``."""

    channels: int

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:-1], self.channels)

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return total(inputs, self.channels)

    def pad(self, multiple: int, *channels: int) -> Self:
        return replace(self, channels=fitting(self.channels, multiple, channels))


@dataclass(frozen=True)
class Concatenate(Layer):
    """Concatenation of the inputs, each truncated to its number of ``channels``.

    Attributes:
        channels: taken from each input.
        padding: zero channels appended, see :func:`grow`.
    """

    channels: tuple[int, ...]
    padding: int = 0

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:2], sum(self.channels) + self.padding)

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        parts = [x[..., :c] for x, c in zip(inputs, self.channels, strict=True)]
        joined = jnp.concatenate(parts, axis=-1)
        return jnp.pad(joined, ((0, 0), (0, 0), (0, 0), (0, self.padding)))

    def pad(self, multiple: int, *channels: int) -> Self:
        made = sum(self.channels)
        return replace(self, padding=up(made, multiple) - made)


@dataclass(frozen=True)
class Zero(Layer):
    """Zeros in the shape of the input, of ``channels``: what no operation makes."""

    channels: int

    def shape(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:-1], self.channels)

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return jnp.zeros((*inputs[0].shape[:-1], self.channels), inputs[0].dtype)

    def pad(self, multiple: int, *channels: int) -> Self:
        return replace(self, channels=up(self.channels, multiple))
