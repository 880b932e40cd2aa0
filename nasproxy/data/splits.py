"""One split of a set on disk: decoded once and kept, or image by image where it is too large."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Real
from PIL import Image

from nasproxy.data.dataset import Images, Labels
from nasproxy.data.decoded import read_cached, write_cached
from nasproxy.data.lazy import LazyImages
from nasproxy.errors import DataError

Picture: TypeAlias = Real[np.ndarray, "h w c"]

HELD_BYTES = 2 * 2**30
"""Decoded pixels of a split up to which it is held in memory."""
_CHUNK = 1_000  # encoded images held at once while decoding
_EDGE = 256 / 224  # shortest edge over the crop, as ImageNet is evaluated


@dataclass(frozen=True)
class Split:
    """One split of a set as it lies on disk.

    Attributes:
        place: for messages.
        name: train, validation or test.
        count: images in it.
        read: decodes images by their places.
        read_labels: all labels [count].
        cache: file for what has been decoded, named by the contents.
    """

    place: str
    name: str
    count: int
    read: Callable[[Sequence[int]], Sequence[Picture]]
    read_labels: Callable[[], Labels]
    cache: Path

    def load(self, resolution: int | None) -> tuple[Images, Labels]:
        """Images [N, H, W, C] and labels [N]; the images lazy where they are too many to hold."""
        suffix = "" if resolution is None else f"-{resolution}"
        path = self.cache.with_stem(f"{self.cache.stem}{suffix}")
        (first,) = self.read([0])
        shape = resized(first, resolution).shape
        cached = read_cached(path)
        if cached is not None and cached[0].shape == (self.count, *shape):
            return cached
        images = LazyImages(
            self._resizing(resolution, shape),
            (self.count, *shape),
            np.arange(self.count),
            path.stem,
        )
        held = first.dtype != np.uint8 or self.count * math.prod(shape) <= HELD_BYTES
        if held:
            return self._decoded(images, first.dtype, path)
        if cached is None:  # labels alone, beside no image
            cached = np.empty((0, *shape), np.uint8), self.read_labels()
            write_cached(path, *cached)
        return images, cached[1]

    def _decoded(
        self, images: LazyImages, dtype: np.dtype[Any], path: Path
    ) -> tuple[Images, Labels]:
        held = np.empty(images.shape, dtype)
        for start in range(0, self.count, _CHUNK):
            chunk = range(start, min(start + _CHUNK, self.count))
            held[start : chunk.stop] = images.read(chunk)
        labels = self.read_labels()
        write_cached(path, held, labels)
        return held, labels

    def _resizing(
        self, resolution: int | None, shape: tuple[int, ...]
    ) -> Callable[[Sequence[int]], Sequence[Picture]]:
        def read(places: Sequence[int]) -> list[Picture]:
            images = [resized(image, resolution) for image in self.read(places)]
            for place, image in zip(places, images, strict=True):
                if image.shape != shape:
                    raise DataError(
                        f"{self.place}: image {place} of {self.name} is {_by(image.shape)}, image 0"
                        f" {_by(shape)}; one size is needed: give a resolution, such as"
                        " --data NAME:resolution=64, to have all resized and cropped"
                    )
            return images

        return read


def resized(image: Picture, resolution: int | None) -> Real[np.ndarray, "side across c"]:
    """An image [h, w, c] with its shortest edge at 8/7 of ``resolution``, of which the centre.

    ImageNet's evaluation: 256 and 224 pixels. Bilinear, averaging over what shrinks. An image that
    has the resolution already is left as it is, as all are without one.
    """
    if resolution is None or image.shape[:2] == (resolution, resolution):
        return image
    if image.dtype != np.uint8:
        raise DataError(f"images of {image.dtype} cannot be resized: give no resolution")
    height, width, channels = image.shape
    scale = resolution * _EDGE / min(height, width)
    size = [max(resolution, round(scale * side)) for side in (width, height)]
    picture = Image.fromarray(image[:, :, 0] if channels == 1 else image)
    left, top = ((side - resolution) // 2 for side in size)
    resampled = picture.resize(size, Image.Resampling.BILINEAR)
    cropped = resampled.crop((left, top, left + resolution, top + resolution))
    return np.asarray(cropped).reshape(resolution, resolution, channels)


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
