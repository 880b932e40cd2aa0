"""Folders of pictures, one subfolder a class, as ImageNet lies on most disks."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from nasproxy.cache import cache_dir
from nasproxy.data.prepared import Prepared
from nasproxy.data.splits import Split
from nasproxy.errors import DataError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif"}
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}


def is_image_folder(folder: Path) -> bool:
    """Whether pictures lie two or three levels below: class/picture or split/class/picture."""
    return any(
        file.suffix.lower() in _SUFFIXES
        for pattern in ("*/*", "*/*/*")
        for file in folder.glob(pattern)
    )


def read_image_folder(folder: Path, resolution: int | None) -> Prepared:
    """``folder/train/CLASS/*``, with validation (val, valid) and test where they are there.

    A folder of classes without splits is a training split. Classes are numbered in the order of
    their names in the training split; pictures are grey if the first one is, else colour.

    Raises:
        DataError: a split has a class that the training split has not, or a picture cannot be read.
    """
    found = {
        split: next((folder / name for name in names if (folder / name).is_dir()), None)
        for split, names in _SPLITS.items()
    }
    if found["train"] is None:
        found = {"train": folder}
    places = {split: place for split, place in found.items() if place is not None}
    classes = sorted(entry.name for entry in places["train"].iterdir() if entry.is_dir())
    splits = {
        split: _split(place, split, classes).load(resolution) for split, place in places.items()
    }
    return Prepared(folder.name, len(classes), splits)


def _split(place: Path, split: str, classes: list[str]) -> Split:
    files = sorted(f for f in place.glob("*/*") if f.suffix.lower() in _SUFFIXES)
    if not files:
        raise DataError(f"{place} holds no pictures: write them as {place}/CLASS/NAME.jpg")
    strange = sorted({file.parent.name for file in files} - set(classes))
    if strange:
        raise DataError(
            f"{place} has a class {strange[0]!r} that the training split has not; it has "
            f"{', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[file.parent.name] for file in files], np.int32)
    state = [(str(f.relative_to(place)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    digest = hashlib.blake2b(repr((str(place.resolve()), state)).encode(), digest_size=8)
    mode = "L" if _open(files[0]).mode in ("1", "L", "I;16", "LA") else "RGB"
    return Split(
        str(place),
        split,
        len(files),
        partial(_read, files, mode),
        lambda: labels,
        cache_dir() / "decoded" / f"{place.name}-{split}-{digest.hexdigest()}.npz",
    )


def _read(files: list[Path], mode: str, places: Sequence[int]) -> list[NDArray[Any]]:
    arrays = (np.asarray(_open(files[place]).convert(mode)) for place in places)
    return [array.reshape(*array.shape[:2], -1) for array in arrays]


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as picture:
            picture.load()
            return picture
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(
            f"{file} cannot be read as a picture ({error}): mend or remove it"
        ) from error
