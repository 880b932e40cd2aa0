"""One split of a set on disk: decoded once and kept, or image by image where it is too large."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Real
from PIL import Image

from nasproxy.data.dataset import Images, Labels
from nasproxy.data.decoded import read_cached, read_described, write_cached, write_described
from nasproxy.data.lazy import LazyImages
from nasproxy.data.trouble import check_memory
from nasproxy.errors import DataError

Picture: TypeAlias = Real[np.ndarray, "h w c"]

HELD_BYTES = 2 * 2**30
"""Decoded pixels of a split up to which it is held in memory."""
_CHUNK = 1_000  # encoded images held at once while decoding
_WHOLE = 2**26  # pixels up to which a picture is scaled whole and then cropped
_EDGE = 256 / 224  # shortest edge over the crop, as ImageNet is evaluated


@dataclass(frozen=True)
class Split:
    """One split of a set as it lies on disk.

    Attributes:
        place: for messages.
        name: train, validation or test.
        count: images in it.
        read: decodes images by their places, one after another.
        read_labels: all labels [count].
        contents: a digest of what is decoded, the same on every machine.
        cache: file for what has been decoded.
    """

    place: str
    name: str
    count: int
    read: Callable[[Sequence[int]], Iterable[Picture]]
    read_labels: Callable[[], Labels]
    contents: Callable[[], str]
    cache: Path

    def load(self, resolution: int | None) -> tuple[Images, Labels]:
        """Images [N, H, W, C] and labels [N]; the images lazy where they are too many to hold.

        Lazy ones are named by ``contents``, which reads all of them once.
        """
        suffix = "" if resolution is None else f"-{resolution}"
        path = self.cache.with_stem(f"{self.cache.stem}{suffix}")
        (first,) = self.read([0])
        shape = resized(first, resolution).shape
        cached = read_cached(path)
        if cached is not None and cached[0].shape == (self.count, *shape):
            return cached
        images = LazyImages(
            _Resizing(self.read, resolution, shape, self.place, self.name),
            (self.count, *shape),
            np.arange(self.count),
            f"{self.name}{suffix}",
        )
        taken = self.count * math.prod(shape) * first.dtype.itemsize
        if first.dtype != np.uint8:
            check_memory(f"{self.place}: images of {first.dtype} in {self.name} take", taken)
        if first.dtype != np.uint8 or taken <= HELD_BYTES:
            return self._decoded(images, first.dtype, path)
        path = self.cache.with_stem(f"{self.cache.stem}-described")
        described = read_described(path)
        if described is None or described[0].shape != (self.count,):
            described = self.read_labels(), self.contents()
            write_described(path, *described)
        labels, contents = described
        return replace(images, name=f"{self.name}-{contents}{suffix}"), labels

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


@dataclass(frozen=True)
class _Resizing:
    """Reads images and brings them to one shape; it can be sent to other processes."""

    read: Callable[[Sequence[int]], Iterable[Picture]]
    resolution: int | None
    shape: tuple[int, ...]
    place: str
    name: str

    def __call__(self, places: Sequence[int]) -> list[Picture]:
        # A generator, so that large pictures go as soon as they are cut.
        images = [resized(image, self.resolution) for image in self.read(places)]
        for place, image in zip(places, images, strict=True):
            if image.shape != self.shape:
                raise DataError(
                    f"{self.place}: image {place} of {self.name} is {_by(image.shape)},"
                    f" image 0 {_by(self.shape)}; one size is needed: give a resolution, such as"
                    " --data NAME:resolution=64, to have all resized and cropped"
                )
        return images


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
    if math.prod(size) > _WHOLE:  # A strip of 1 × 60,000 would take 16 GB; equal but for rounding.
        x, y = width / size[0], height / size[1]
        box = (left * x, top * y, (left + resolution) * x, (top + resolution) * y)
        cut = picture.resize((resolution, resolution), Image.Resampling.BILINEAR, box)
        return np.asarray(cut).reshape(resolution, resolution, channels)
    resampled = picture.resize(size, Image.Resampling.BILINEAR)
    cropped = resampled.crop((left, top, left + resolution, top + resolution))
    return np.asarray(cropped).reshape(resolution, resolution, channels)


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
