"""Images that are decoded when they are asked for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int, Real, Shaped, UInt8

_CHUNK, _CHUNK_BYTES = 1_000, 2**28  # images, and their bytes, held at once while decoding


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images [N, H, W, C], of which indexing decodes those that it returns.

    They are uint8, or float32 where blocks of pixels are averaged.

    Attributes:
        read: decodes images by their places in the split, before blocks are averaged.
        shape: [N, H, W, C].
        places: [N], of these images in their split.
        name: of the split's contents and of how they are resized, the same on every machine.
        block: pixels a side of the blocks that are averaged, 1 for none.
    """

    read: Callable[[Sequence[int]], Sequence[UInt8[np.ndarray, "h w c"]]]
    shape: tuple[int, ...]
    places: Int[np.ndarray, " n"]
    name: str
    block: int = 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the images that indexing returns."""
        return np.dtype(np.uint8 if self.block == 1 else np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyImages {self.name}: {'×'.join(map(str, self.shape))}"

    def __getitem__(self, chosen: slice | Int[np.ndarray, " m"]) -> Real[np.ndarray, "k h w c"]:
        places = self.places[chosen]
        images = np.empty((len(places), *self.shape[1:]), self.dtype)
        size = max(1, min(_CHUNK, _CHUNK_BYTES // (math.prod(self.shape[1:]) * self.block**2)))
        for start in range(0, len(places), size):
            chunk = places[start : start + size].tolist()
            read = self.read(chunk)
            made = read if self.block == 1 else block_means(np.stack(read), self.block)
            images[start : start + len(chunk)] = made
        return images

    def __array__(
        self, dtype: Any = None, copy: bool | None = None
    ) -> Shaped[np.ndarray, "n h w c"]:
        """All of them, decoded."""
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> "LazyImages":
        """Some of the images (indices or a mask), still to be decoded."""
        places = self.places[chosen]
        return replace(self, places=places, shape=(len(places), *self.shape[1:]))

    def pooled(self, block: int) -> "LazyImages":
        """The means of blocks of so many pixels a side, which divides the sides."""
        count, height, width, channels = self.shape
        shape = (count, height // block, width // block, channels)
        name = f"{self.name}-pool{block}"
        return replace(self, shape=shape, name=name, block=self.block * block)


def block_means(
    images: Real[np.ndarray, "n h w c"], block: int
) -> Float32[np.ndarray, "n rows columns c"]:
    """The mean of each block of pixels, ``block`` a side; summed in float64, so nothing is lost."""
    count, height, width, channels = images.shape
    blocks = images.reshape(count, height // block, block, width // block, block, channels)
    return blocks.mean((2, 4), dtype=np.float64).astype(np.float32)
