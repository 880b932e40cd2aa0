"""Folders of pictures, one subfolder a class, as ImageNet lies on most disks."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from nasproxy.cache import cache_dir
from nasproxy.data.prepared import Prepared
from nasproxy.data.splits import Picture, Split
from nasproxy.errors import DataError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif"}
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
_SAMPLED = 100  # training pictures that say whether a set is grey


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
    their names in the training split; all pictures come out grey if a hundred from everywhere in
    the training split are, else all in colour.

    Raises:
        DataError: a split has a class that the training split has not, or a picture cannot be read
            or has more than 8 bits a channel.
    """
    found = {
        split: next((folder / name for name in names if (folder / name).is_dir()), None)
        for split, names in _SPLITS.items()
    }
    if found["train"] is None:
        found = {"train": folder}
    places = {split: place for split, place in found.items() if place is not None}
    classes = sorted(entry.name for entry in places["train"].iterdir() if entry.is_dir())
    pictures = {split: _pictures(place) for split, place in places.items()}
    mode = _mode(pictures["train"])
    splits = {
        split: _split(place, split, classes, pictures[split], mode).load(resolution)
        for split, place in places.items()
    }
    return Prepared(folder.name, len(classes), splits)


def _pictures(place: Path) -> list[Path]:
    files = sorted(f for f in place.glob("*/*") if f.suffix.lower() in _SUFFIXES)
    if not files:
        raise DataError(f"{place} holds no pictures: write them as {place}/CLASS/NAME.jpg")
    return files


def _mode(files: list[Path]) -> str:
    """What all pictures are converted to: colour sets such as ImageNet hold some grey files."""
    places = np.linspace(0, len(files) - 1, min(_SAMPLED, len(files))).astype(np.intp)
    return "L" if all(_open(files[i]).mode in ("1", "L", "LA") for i in places) else "RGB"


def _split(place: Path, split: str, classes: list[str], files: list[Path], mode: str) -> Split:
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
    return Split(
        str(place),
        split,
        len(files),
        partial(_read, files, mode),
        lambda: labels,
        cache_dir() / "decoded" / f"{place.name}-{split}-{digest.hexdigest()}.npz",
    )


def _read(files: list[Path], mode: str, places: Sequence[int]) -> list[Picture]:
    arrays = (np.asarray(_open(files[place]).convert(mode)) for place in places)
    return [array.reshape(*array.shape[:2], -1) for array in arrays]


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as picture:
            picture.load()
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(
            f"{file} cannot be read as a picture ({error}): mend or remove it"
        ) from error
    if picture.mode.startswith("I"):  # convert would cut every pixel at 255
        raise DataError(
            f"{file} has more than 8 bits a channel (Pillow's mode {picture.mode}): save it with 8"
        )
    return picture
