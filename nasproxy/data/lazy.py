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
    """Images [N, H, W, C] of which indexing decodes those that it returns.

    They are uint8, or float32 where their pixels are means of several.

    Attributes:
        read: decodes images by their places in the split.
        shape: [N, H, W, C].
        places: [N], of these images in their split.
        name: of the split's contents and of how they are resized, the same on every machine.
        pool: side of the blocks of decoded pixels that are averaged.
    """

    read: Callable[[Sequence[int]], Sequence[UInt8[np.ndarray, "h w c"]]]
    shape: tuple[int, ...]
    places: Int[np.ndarray, " n"]
    name: str
    pool: int = 1

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.pool == 1 else np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyImages {self.name}: {'×'.join(map(str, self.shape))}"

    def __getitem__(self, chosen: slice | Int[np.ndarray, " m"]) -> Real[np.ndarray, "k h w c"]:
        places = self.places[chosen]
        images = np.empty((len(places), *self.shape[1:]), self.dtype)
        decoded = math.prod(self.shape[1:]) * self.pool**2
        size = max(1, min(_CHUNK, _CHUNK_BYTES // decoded))
        for start in range(0, len(places), size):
            chunk = places[start : start + size].tolist()
            read = self.read(chunk)
            images[start : start + len(chunk)] = (
                read if self.pool == 1 else block_means(np.stack(read), self.pool)
            )
        return images

    def __array__(
        self, dtype: Any = None, copy: bool | None = None
    ) -> Shaped[np.ndarray, "n h w c"]:
        """All of them, decoded."""
        return self[:].astype(dtype or self.dtype, copy=False)

    def pooled(self, side: int) -> "LazyImages":
        """Images whose pixels are means of ``side`` × ``side`` of these, still to be decoded."""
        n, height, width, channels = self.shape
        shape = (n, height // side, width // side, channels)
        return replace(
            self, shape=shape, pool=self.pool * side, name=f"{self.name}-pool{self.pool * side}"
        )

    def take(self, chosen: Int[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> "LazyImages":
        """Some of the images (indices or a mask), still to be decoded."""
        places = self.places[chosen]
        return replace(self, places=places, shape=(len(places), *self.shape[1:]))


def block_means(images: Real[np.ndarray, "n h w c"], side: int) -> Float32[np.ndarray, "n i j c"]:
    """Means of the blocks that images are cut into, ``[n, h / side, w / side, c]``."""
    n, height, width, channels = images.shape
    blocks = images.reshape(n, height // side, side, width // side, side, channels)
    return blocks.mean((2, 4), dtype=np.float32)
