"""Layers that look at neighbourhoods, or at all pixels, and learn nothing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Self

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from nasproxy.networks.layers.base import Arrays, Layer, Shape, fitting, strided, total


@dataclass(frozen=True)
class MaxPool3x3(Layer):
    """Largest of each 3×3 neighbourhood that lies in the image; keeps ``channels``.

    Attributes:
        channels: taken and made.
        stride: between output pixels, of which the first is the image's first.
    """

    channels: int
    stride: int = 1

    def shape(self, *inputs: Shape) -> Shape:
        return (*strided(inputs[0], self.stride), self.channels)

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        pooled = _over_3x3(total(inputs, self.channels), jnp.maximum, -jnp.inf)
        return pooled[:, :: self.stride, :: self.stride]

    def pad(self, multiple: int, *channels: int) -> Self:
        return replace(self, channels=fitting(self.channels, multiple, channels))


@dataclass(frozen=True)
class AveragePool3x3(Layer):
    """Mean of each 3×3 neighbourhood, over the pixels that lie in the image.

    Attributes:
        channels: taken and made.
        stride: between output pixels, of which the first is the image's first.
    """

    channels: int
    stride: int = 1

    def shape(self, *inputs: Shape) -> Shape:
        return (*strided(inputs[0], self.stride), self.channels)

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        x = total(inputs, self.channels)
        rows, columns = (_neighbours(length) for length in x.shape[1:3])
        pixels = np.multiply.outer(rows, columns)[:, :, None]
        means = _over_3x3(x, jnp.add, 0) * (1 / pixels).astype(x.dtype)[None]
        return means[:, :: self.stride, :: self.stride]

    def pad(self, multiple: int, *channels: int) -> Self:
        return replace(self, channels=fitting(self.channels, multiple, channels))


@dataclass(frozen=True)
class Halve(Layer):
    """2×2 max pool of stride 2; a last odd row or column is dropped."""

    def shape(self, *inputs: Shape) -> Shape:
        height, width, channels = inputs[0]
        return (height // 2, width // 2, channels)

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return _over_2x2(inputs[0], jnp.maximum)


@dataclass(frozen=True)
class HalveByMean(Halve):
    """2×2 average pool of stride 2; a last odd row or column is dropped."""

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return _over_2x2(inputs[0], jnp.add) * 0.25


@dataclass(frozen=True)
class OddPixels(Halve):
    """Of each 2×2 pixels the last, learning nothing: what a factorised reduction reads beside."""

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return inputs[0][:, 1::2, 1::2]


@dataclass(frozen=True)
class GlobalAverage(Layer):
    """Mean over the pixels: ``[n, h, w, c]`` to ``[n, c]``."""

    def shape(self, *inputs: Shape) -> Shape:
        return inputs[0][2:]

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return inputs[0].mean((1, 2))


@dataclass(frozen=True)
class Flatten(Layer):
    """Pixels and the first ``channels`` as one axis: ``[n, h, w, c]`` to ``[n, h·w·channels]``."""

    channels: int

    def shape(self, *inputs: Shape) -> Shape:
        return (math.prod(inputs[0][:-1]) * self.channels,)

    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        return total(inputs, self.channels).reshape(len(inputs[0]), -1)


def _over_3x3(x: Array, combine: Callable[[Array, Array], Array], outside: float) -> Array:
    # Shifted images, rows then columns: 1.3 to 6 times faster than reduce_window on a CPU.
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=outside)
    x = reduce(combine, (x[:, :-2], x[:, 1:-1], x[:, 2:]))
    return reduce(combine, (x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:]))


def _over_2x2(x: Array, combine: Callable[[Array, Array], Array]) -> Array:
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    rows = combine(x[:, 0:height:2], x[:, 1:height:2])
    return combine(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


def _neighbours(length: int) -> np.ndarray:
    """How many of an index and the two beside it lie in 0..length − 1."""
    index = np.arange(length)
    return 1 + (index > 0) + (index < length - 1)
