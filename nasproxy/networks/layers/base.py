"""What a layer is, how its weights are drawn, and how it is padded."""

import math
from abc import ABC, abstractmethod
from functools import reduce
from typing import Any, Self, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

Shape: TypeAlias = tuple[int, ...]
"""(h, w, c) of images, (d,) of features: an activation's shape without its batch."""
Arrays: TypeAlias = dict[str, Any]
"""Arrays by name: a layer's parameters or its statistics."""

TRUNCATED_DEVIATION = 0.87962566103423978
"""Deviation of a unit normal truncated at ±2, by which samples are divided to keep theirs."""


class Draw:
    """Truncated unit normals from one seeded stream, in the order in which layers ask for them.

    NumPy's rather than JAX's: a draw then compiles nothing, whatever its shape.
    """

    def __init__(self, rng: np.random.Generator, size: int):
        """Draws ``size`` float32 normals, those beyond ±2 drawn again."""
        values = rng.standard_normal(size, dtype=np.float32)
        outside = np.flatnonzero(np.abs(values) > 2)
        while outside.size:
            values[outside] = rng.standard_normal(outside.size, dtype=np.float32)
            outside = outside[np.abs(values[outside]) > 2]
        self._values = values
        self._used = 0

    def seed(self) -> int:
        """A number that the stream names, for weights that others draw; uses nothing up."""
        return int.from_bytes(self._values[self._used : self._used + 1].tobytes(), "little") % 2**31

    def truncated_normal(self, shape: Shape, deviation: float) -> Float[np.ndarray, "..."]:
        """The next values, float32 and of a shape, scaled to a deviation."""
        size = math.prod(shape)
        values = self._values[self._used : self._used + size]
        self._used += size
        return values.reshape(shape) * np.float32(deviation / TRUNCATED_DEVIATION)


def up(channels: int, multiple: int) -> int:
    """``channels`` rounded up to a multiple."""
    return -(-channels // multiple) * multiple


def fitting(own: int, multiple: int, channels: tuple[int, ...]) -> int:
    """``own`` rounded up to a multiple, if every input has so many channels; else as it is."""
    grown = up(own, multiple)
    return grown if all(c >= grown for c in channels) else own


def strided(shape: Shape, stride: int) -> tuple[int, int]:
    """Height and width of what a strided layer makes of an image."""
    return -(-shape[0] // stride), -(-shape[1] // stride)


def total(inputs: tuple[Float[Array, "n ..."], ...], channels: int) -> Float[Array, "n ..."]:
    """Sum of the inputs, each truncated to its first ``channels``."""
    return reduce(jnp.add, (x if x.shape[-1] == channels else x[..., :channels] for x in inputs))


def aligned(value: Any, rank: int) -> Any:
    """A value for each channel ``[c]``, ``[1, …, c]`` of a rank; a number stays one."""
    return lax.broadcast_to_rank(value, rank) if np.ndim(value) else value


class Layer(ABC):
    """What a search space may put in a graph; defaults are for a layer that learns nothing."""

    def parameters(self) -> dict[str, Shape]:
        """Shapes of what is learnt."""
        return {}

    def initialise(self, draw: Draw) -> Arrays:
        """Fresh weights, float32. What is not drawn is left out: see :meth:`constants`."""
        return {}

    def constants(self) -> Arrays:
        """Parameters that start at 1 or 0; a layer given none of them computes with these."""
        return {}

    def statistics(self) -> Arrays:
        """Moving statistics before the first batch; a layer given none computes with these."""
        return {}

    @abstractmethod
    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the output."""

    def flops(self, *inputs: Shape) -> int:
        """Floating-point operations a sample in inference, two for each multiply-add.

        As in the papers, only products with weights count.
        """
        return 0

    @abstractmethod
    def infer(
        self, params: Arrays, stats: Arrays, *inputs: Float[Array, "n ..."]
    ) -> Float[Array, "n ..."]:
        """The output in inference mode, batch normalisation by ``stats``."""

    def train(
        self, params: Arrays, *inputs: Float[Array, "n ..."]
    ) -> tuple[Float[Array, "n ..."], Arrays]:
        """The output in training mode, and the statistics of this batch."""
        return self.infer(params, {}, *inputs), {}

    def units(self) -> dict[str, int]:
        """Channels of what each of the layer's ReLUs reads, by a name."""
        return {}

    def before_relus(
        self, params: Arrays, product: Any, *inputs: Float[Array, "n ..."], mode: str
    ) -> dict[str, Float[Array, "n ..."]]:
        """What each of ``units`` reads, ``[n, …, c]``, a padded layer's with more channels.

        Args:
            params: of the layer.
            product: see :class:`~nasproxy.networks.layers.weighted.Weighted`; None of other layers.
            inputs: likewise.
            mode: of batch norm.
        """
        return {}

    def pad(self, multiple: int, *channels: int) -> Self:
        """The same layer with channels rounded up to a multiple; see :func:`grow`.

        Args:
            multiple: of which channels are to be.
            channels: of each input as it will come. Images come from outside with what they have,
                and so does what keeps their channels: such an input is read as it is.
        """
        return self


def ones(length: int) -> np.ndarray:
    return np.ones(length, np.float32)


def zeros(length: int) -> np.ndarray:
    return np.zeros(length, np.float32)


def grow(array: Float[np.ndarray, "..."], shape: Shape) -> Float[np.ndarray, "..."]:
    """The array with zeros appended along every axis to a shape.

    A channel that padding adds carries relu(0 · gain + 0) = 0, and a kernel's added rows ignore
    whatever an input has beyond the channels it is truncated to: so a padded network computes what
    the network does, with all channels multiples of the processor's vectors.
    """
    if array.shape == shape:
        return array
    grown = np.zeros(shape, array.dtype)
    grown[tuple(map(slice, array.shape))] = array
    return grown
