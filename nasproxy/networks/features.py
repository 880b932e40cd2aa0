"""Features of networks: images in batches, one batch-norm pass, every batch through the layers."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol, TypeVar

import jax
import numpy as np
from jax import Array
from jaxtyping import Float

from nasproxy.checks import OneOf, Real, Whole, check
from nasproxy.errors import SettingError
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.threads import cores, pool

ACTIVATION_BYTES = {"cpu": 2 * 2**20}
"""Bytes of the stem's output that a batch may take: what a processor's cache holds."""
ACCELERATOR_BYTES = 256 * 2**20

MOMENTUM, MODE = Real(least=0, most=1), OneOf("inference", "training")
IMAGES = Whole(2, hint="one has no variance")
"""What :class:`BatchNorm` accepts."""

HELD_BYTES = 2 * 2**30
"""Standardised images up to which batches are made once and held."""
PART_BYTES = 2**28
"""Of more images than that, what is made at a time."""

Output = TypeVar("Output")


class Sliceable(Protocol):
    """Images ``[n, h, w, c]``: an array, or what makes them when it is sliced."""

    @property
    def nbytes(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: slice, /) -> Float[np.ndarray, "n h w c"]: ...


@dataclass(frozen=True)
class BatchNorm:
    """How batch normalisation is set up before features are read (Park et al. 2020, appendix A).

    A freshly initialised network has moving mean 0 and variance 1. One forward pass in training
    mode on a random batch of training images moves them to ``momentum`` · old +
    (1 − ``momentum``) · batch, and features are then read in inference mode. At .997, the
    benchmark's own momentum, batch norm is almost the identity; at 0 it normalises by the batch's
    statistics; at 1 nothing moves and no pass is made. In mode ``training`` every batch is
    normalised by its own statistics, whatever the momentum.

    Attributes:
        momentum: weight of the old statistics, in [0, 1].
        mode: ``inference`` or ``training``.
        images: size of the batch.
    """

    momentum: float = 0.997
    mode: str = "inference"
    images: int = 128

    def __post_init__(self) -> None:
        check("batch norm", self, momentum=MOMENTUM, mode=MODE, images=IMAGES)


def features(
    network: Initialised,
    images: Sequence[Array],
    batch: Float[Array, "m h w c"],
    norm: BatchNorm,
) -> Float[np.ndarray, "n d"]:
    """Penultimate features Φ of a network.

    Args:
        network: fresh.
        images: batches ``[b, h, w, c]`` of one shape, as :func:`split` makes them.
        batch: ``[norm.images, h, w, c]``, for the batch-norm pass.
        norm: how features are read.

    Returns:
        ``[n, d]`` float32; n may count images that fill up the last batch.
    """
    if not network.graph.features:
        raise SettingError(
            getattr(network.graph.steps[-2].layer, "absent", "there are no features")
        )
    if engine() == "lanes":
        from nasproxy.networks.lanes.plan import knows

        if knows(network.graph):
            return _in_lanes(network, images, np.asarray(batch), norm)
    if norm.mode == "training":
        network.weights  # noqa: B018  placed once, before all threads ask for them
        outputs = each(images, lambda x: network.train(x)[0])
    else:
        settled = network.settled(batch, norm.momentum)
        settled.weights  # noqa: B018  likewise
        outputs = each(images, settled.features)
    return np.concatenate(outputs)[:, : network.graph.features]


@cache
def engine() -> str:
    """What computes features: ``lanes`` on a CPU where Numba is installed, otherwise ``xla``.

    Layers that :mod:`nasproxy.networks.lanes` does not know are XLA's in any case.
    """
    if jax.default_backend() != "cpu":
        return "xla"
    try:
        import nasproxy.networks.lanes.engine  # noqa: F401
    except ImportError:
        return "xla"
    return "lanes"


def engine_name() -> str:
    """:func:`engine` in words."""
    if engine() == "lanes":
        from nasproxy.networks.lanes.tile import LANES

        return f"Numba, {LANES} images to a vector"
    return f"XLA on {jax.default_backend()}"


def _in_lanes(
    network: Initialised,
    images: Sequence[Array],
    batch: Float[np.ndarray, "m h w c"],
    norm: BatchNorm,
) -> Float[np.ndarray, "n d"]:
    from nasproxy.networks.lanes import engine

    if norm.mode == "training":
        made = images.made if isinstance(images, Batches) else map(np.asarray, images)
        return engine.trained(network, made)
    parts = images.parts if isinstance(images, Batches) else [np.concatenate(images)]
    return engine.features(network, parts, None if norm.momentum == 1 else batch, norm.momentum)


def each(images: Sequence[Array], network: Callable[[Array], Output]) -> list[Output]:
    """The network's output for every batch; on a CPU for as many at once as there are cores.

    Most layers are too small for XLA to share out among cores: a batch a core is 1.5 to 1.9 times
    as fast on two.
    """
    if jax.default_backend() != "cpu" or len(images) == 1:
        return [network(batch) for batch in images]
    return list(pool().map(lambda i: network(images[i]), range(len(images))))


def split(
    images: Sliceable,
    graph: Graph,
    norm: BatchNorm,
    accelerator_bytes: int = ACCELERATOR_BYTES,
) -> Sequence[Array]:
    """Images in batches on the device, sized so that activations stay where they are fast to reach.

    Every batch has one shape, so that one program serves all; the last is filled up with zeros. In
    training mode a batch is what is normalised together, and has ``norm.images``; the last is
    filled up with the first images again, because zeros would count in its statistics.

    Images of more than ``HELD_BYTES`` are not held: each batch is made when it is asked for, and
    again for the next network.
    """
    held = images.nbytes <= HELD_BYTES
    if norm.mode == "training":
        return Batches(images, norm.images, wrap=True, held=held)
    allowed = ACTIVATION_BYTES.get(jax.default_backend(), accelerator_bytes)
    largest = max(1, allowed // (4 * math.prod(graph.shapes[1])))
    parts = math.ceil(len(images) / largest)
    if jax.default_backend() == "cpu":
        parts = math.ceil(parts / cores()) * cores()
    return Batches(images, math.ceil(len(images) / parts), held=held)


class Batches(Sequence[Array]):
    """Batches ``[size, h, w, c]`` of images, each put on the device when it is indexed."""

    def __init__(self, images: Sliceable, size: int, *, wrap: bool = False, held: bool = False):
        """The last batch is filled up with the first images if ``wrap``, else with zeros.

        Where they are ``held``, a batch is made once.
        """
        self.images, self.size, self.wrap, self.held = images, size, wrap, held
        self._placed: dict[int, Array] = {}

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.size)

    def __getitem__(self, index: int) -> Float[Array, "b h w c"]:  # type: ignore[override]  # one at a time
        if not 0 <= index < len(self):
            raise IndexError(index)
        placed = self._placed.get(index)
        if placed is None:
            placed = jax.device_put(self._make(self.images, index))
            if self.held:
                self._placed[index] = placed
        return placed

    @property
    def made(self) -> Iterator[Float[np.ndarray, "b h w c"]]:
        """The batches on the host."""
        images = self._whole if self.held else self.images
        return (self._make(images, index) for index in range(len(self)))

    @property
    def parts(self) -> Iterator[Float[np.ndarray, "b h w c"]]:
        """The images on the host, not filled up: all at once where they are held."""
        images = self._whole if self.held else self.images
        size = len(images) if self.held else max(1, PART_BYTES * len(images) // images.nbytes)
        return (images[start : start + size] for start in range(0, len(images), size))

    @cached_property
    def _whole(self) -> Float[np.ndarray, "n h w c"]:
        return np.ascontiguousarray(self.images[:], np.float32)

    def _make(self, images: Sliceable, index: int) -> Float[np.ndarray, "b h w c"]:
        batch = images[index * self.size : (index + 1) * self.size]
        missing = self.size - len(batch)
        if missing and self.wrap:
            first = images[: min(missing, len(images))]
            return np.concatenate([batch, np.resize(first, (missing, *batch.shape[1:]))])
        if missing:
            return np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)])
        return batch
