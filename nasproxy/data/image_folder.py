"""Folders of pictures, one subfolder a class, as ImageNet lies on most disks."""

import os
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from nasproxy.data.decoded import cached_path, contents
from nasproxy.data.prepared import Prepared
from nasproxy.data.splits import Picture, Split
from nasproxy.data.trouble import reason
from nasproxy.errors import DataError

_FORMATS = ("BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's decoders that are let at a file, whatever its name: some others start programs."""
_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
}
_GREY = ("1", "L", "LA")
_MODES = (*_GREY, "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV")
"""Pillow's modes of 8 bits a channel that it converts to grey and to colour."""
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}
_SAMPLED = 100  # training pictures that say whether a set is grey
_PIXELS = 2**26  # of a picture; ImageNet's largest has 61 million


def is_image_folder(folder: Path) -> bool:
    """Whether pictures lie two or three levels below: class/picture or split/class/picture."""
    return any(
        file.suffix.lower() in _SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        for pattern in ("*/*", "*/*/*")
        for file in folder.glob(pattern)
    )


def read_image_folder(folder: Path, resolution: int | None) -> Prepared:
    """``folder/train/CLASS/*``, with validation (val, valid) and test where they are there.

    A folder of classes without splits is a training split; names of splits may be in capitals.
    Classes are numbered in the order of their names in the training split; all pictures come out
    grey if a hundred from everywhere in the training split are, else all in colour. Transparency is
    dropped, and of animations and pages the first is taken. Hidden files and folders (``.NAME``)
    are none; other files that are no pictures are counted and named in a warning.

    Raises:
        DataError: a split has a class that the training split has not, or a class no pictures or
            folders of its own, or a picture cannot be read, is too large or has more than 8 bits a
            channel.
    """
    places = _places(folder)
    found = {split: _by_class(place) for split, place in places.items()}
    _warn(folder, [file for _, others in found.values() for file in others])
    classes = sorted(found["train"][0])
    pictures = {split: _pictures(places[split], by) for split, (by, _) in found.items()}
    for name, files in found["train"][0].items():
        if not files:
            raise DataError(
                f"the class {name!r} in {places['train']} holds no pictures: write them into it as"
                f" {', '.join(sorted(_SUFFIXES))}, or remove it"
            )
    mode = _mode(pictures["train"])
    splits = {
        split: _split(place, split, classes, pictures[split], mode).load(resolution)
        for split, place in places.items()
    }
    return Prepared(folder.name, len(classes), splits)


def _places(folder: Path) -> dict[str, Path]:
    """The folders of the splits."""
    entries = [Path(entry) for entry in _visible(folder) if entry.is_dir()]
    found: dict[str, Path] = {}
    for split, names in _SPLITS.items():
        given = [entry for entry in entries if entry.name.lower() in names]
        if len(given) > 1:
            raise DataError(
                f"{folder} holds {' and '.join(entry.name for entry in given)}: keep one of them"
            )
        if given:
            found[split] = given[0]
    if not found:
        return {"train": folder}
    if "train" not in found:
        raise DataError(
            f"{folder} holds {next(iter(found.values())).name} and no train: write training"
            " pictures as train/CLASS/NAME.jpg, or rename it if it is a class"
        )
    _warn(folder, [entry for entry in entries if entry not in found.values()])
    return found


def _visible(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _by_class(place: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """Pictures of each class, in the order of their names, and files that are none."""
    pictures: dict[str, list[Path]] = {}
    others = []
    for entry in _visible(place):
        if not entry.is_dir():
            others.append(Path(entry))
            continue
        own = pictures[entry.name] = []
        for file in _visible(entry):
            if file.is_dir():
                if deeper := _first_within(file):
                    raise DataError(
                        f"{deeper} lies in a folder within the class {entry.name!r}: put a class's"
                        " pictures directly into its folder"
                    )
            elif Path(file).suffix.lower() in _SUFFIXES:
                own.append(Path(file))
            else:
                others.append(Path(file))
    return pictures, others


def _first_within(folder: os.DirEntry[str]) -> Path | None:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if seen := sorted(name for name in names if not name.startswith(".")):
            return Path(place, seen[0])
    return None


def _warn(folder: Path, others: list[Path]) -> None:
    """What is not read is said."""
    if others:
        named = ", ".join(str(file.relative_to(folder)) for file in others[:3])
        more = ", …" if len(others) > 3 else ""
        warnings.warn(
            f"{folder}: {len(others)} of its entries are left out, they are no pictures that are"
            f" read or lie outside of classes: {named}{more}",
            stacklevel=5,
        )


def _pictures(place: Path, by_class: dict[str, list[Path]]) -> list[Path]:
    files = [file for name in sorted(by_class) for file in by_class[name]]
    if not files:
        raise DataError(f"{place} holds no pictures: write them as {place}/CLASS/NAME.jpg")
    return files


def _mode(files: list[Path]) -> str:
    """What all pictures are converted to: colour sets such as ImageNet hold some grey files."""
    places = np.linspace(0, len(files) - 1, min(_SAMPLED, len(files))).astype(np.intp)
    return "L" if all(_open(files[i]).mode in _GREY for i in places) else "RGB"


def _split(place: Path, split: str, classes: list[str], files: list[Path], mode: str) -> Split:
    strange = sorted({file.parent.name for file in files} - set(classes))
    if strange:
        raise DataError(
            f"{place} has a class {strange[0]!r} that the training split has not; it has "
            f"{', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[file.parent.name] for file in files], np.int32)
    return Split(
        str(place),
        split,
        len(files),
        partial(_read, files, mode),
        lambda: labels,
        partial(contents, files),
        cached_path(f"{place.name}-{split}-{mode}", place, files),
    )


def _read(files: list[Path], mode: str, places: Sequence[int]) -> Iterator[Picture]:
    for place in places:
        array = np.asarray(_open(files[place]).convert(mode))
        yield array.reshape(*array.shape[:2], -1)


def _open(file: Path) -> Image.Image:
    if not file.is_file():
        raise DataError(f"{file} is no regular file (a broken link, a pipe, a device): remove it")
    try:
        picture = _decoded(file)
    except DataError:
        raise
    # Of damaged files Pillow raises half a dozen kinds of errors.
    except Exception as error:
        raise DataError(
            f"{file} cannot be read as a picture ({reason(error)}): mend or remove it"
        ) from error
    if picture.mode not in _MODES:  # convert would cut every pixel at 255
        raise DataError(
            f"{file} has more than 8 bits a channel, or is no grey or colour picture (Pillow's mode"
            f" {picture.mode}): save it with 8 bits, grey or RGB"
        )
    picture.info.pop("transparency", None)  # convert would warn of dropping it
    return picture


def _decoded(file: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file, formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > _PIXELS:
                raise DataError(
                    f"{file} has {width:,} × {height:,} pixels; at most {_PIXELS:,} are read: scale"
                    " it down"
                )
            if picture.format != "PNG":
                picture.load()
                return picture
            picture.verify()  # loading a PNG passes over the checksums of its pixels
        with Image.open(file, formats=_FORMATS) as picture:
            picture.load()
        return picture
