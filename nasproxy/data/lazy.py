"""Images that are decoded when they are asked for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8

_CHUNK, _CHUNK_BYTES = 1_000, 2**28  # images, and their bytes, held at once while decoding


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images [N, H, W, C], uint8, of which indexing decodes those that it returns.

    Attributes:
        read: decodes images by their places in the split.
        shape: [N, H, W, C].
        places: [N], of these images in their split.
        name: of the split's contents and of how they are resized, the same on every machine.
    """

    read: Callable[[Sequence[int]], Sequence[UInt8[np.ndarray, "h w c"]]]
    shape: tuple[int, ...]
    places: Int[np.ndarray, " n"]
    name: str

    dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyImages {self.name}: {'×'.join(map(str, self.shape))}"

    def __getitem__(self, chosen: slice | Int[np.ndarray, " m"]) -> UInt8[np.ndarray, "k h w c"]:
        places = self.places[chosen]
        images = np.empty((len(places), *self.shape[1:]), np.uint8)
        size = max(1, min(_CHUNK, _CHUNK_BYTES // math.prod(self.shape[1:])))
        for start in range(0, len(places), size):
            chunk = places[start : start + size].tolist()
            images[start : start + len(chunk)] = self.read(chunk)
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
