"""What a folder of tiles holds, and where: the manifest, the bands of points, the tiles' places."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasproxy import files
from nasproxy.checks import Flag, OneOf, Rule, Unfit, Whole, check
from nasproxy.errors import SettingError, StoreError
from nasproxy.settings import describe

FORMAT = 1
STEP = 64
"""Sides are multiples of it: kernels compute pairs in groups of so many."""
MANIFEST = "manifest.json"


class Place(NamedTuple):
    """A tile by its bands of points: of training points ``row ≤ column``, else a validation band.

    Bands of validation points are numbered on from those of training points.
    """

    row: int
    column: int


class Side(Whole):
    """A side of tiles."""

    @property
    def accepted(self) -> str:
        return f"a whole multiple of {STEP}, such as 1024"

    def read(self, value: Any) -> int:
        number = super().read(value)
        if number % STEP:
            raise Unfit(f"give {self.accepted}")
        return number


@dataclass(frozen=True)
class Manifest:
    """What the tiles of a folder are of; they belong together if this is the same.

    Attributes:
        kernel: its settings as text.
        data: fingerprint of the inputs.
        points, valid: training points n, and validation points, whose kernel with training points
            is stored too.
        side: points of a band, a multiple of 64; the last bands are shorter.
        dtype: of entries, ``float32`` or ``float64``.
        joint: whether the kernel of validation points with each other is stored, too.
        sample: the kernel of the first points with themselves, by rows: what is recognised by its
            settings alone may have changed.
        format: of the folder.
    """

    kernel: str
    data: str
    points: int
    valid: int
    side: int
    dtype: str
    joint: bool
    sample: list[list[float]]
    format: int = FORMAT

    def __post_init__(self) -> None:
        rules: dict[str, Rule] = {
            "points": Whole(1),
            "valid": Whole(0),
            "side": Side(STEP),
            "dtype": OneOf("float32", "float64"),
            "joint": Flag(),
        }
        check("tiles", self, **rules)

    @cached_property
    def identity(self) -> str:
        """16 hex digits that every tile carries."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def bands(self) -> int:
        """Of training points."""
        return math.ceil(self.points / self.side)

    @property
    def valid_bands(self) -> int:
        return math.ceil(self.valid / self.side)

    @property
    def count(self) -> int:
        """Tiles in all."""
        both = self.valid_bands * (self.valid_bands + 1) // 2 if self.joint else 0
        return self.bands * (self.bands + 1) // 2 + self.bands * self.valid_bands + both

    def span(self, band: int) -> slice:
        """The points of a band; validation points are numbered on from n."""
        if band < self.bands:
            return slice(band * self.side, min((band + 1) * self.side, self.points))
        start = self.points + (band - self.bands) * self.side
        return slice(start, min(start + self.side, self.points + self.valid))

    def shape(self, place: Place) -> tuple[int, int]:
        """Of a tile."""
        rows, columns = self.span(place.row), self.span(place.column)
        return rows.stop - rows.start, columns.stop - columns.start

    def training(self) -> Iterator[Place]:
        """The upper triangle, row by row."""
        for row in range(self.bands):
            for column in range(row, self.bands):
                yield Place(row, column)

    def places(self) -> Iterator[Place]:
        """All tiles: the upper triangle, then those of validation points."""
        yield from self.training()
        for row in range(self.bands, self.bands + self.valid_bands):
            for column in range(self.bands):
                yield Place(row, column)
            if self.joint:
                for column in range(row, self.bands + self.valid_bands):
                    yield Place(row, column)

    def write(self, folder: Path) -> "Manifest":
        """Puts it into a folder, unless another process has put one there; returns what is there.

        Raises:
            OSError: the folder cannot be written.
            StoreError: as :func:`read_manifest`.
        """
        path = folder / MANIFEST
        mine = folder / f".{MANIFEST}.{os.getpid()}.{os.urandom(4).hex()}.part"
        try:
            files.write_text(mine, json.dumps(dataclasses.asdict(self), indent=1) + "\n")
            try:
                os.link(mine, path)  # Unlike a replacement, it gives way to who came first.
            except FileExistsError:
                pass
            except OSError:  # A file system without links.
                if not path.exists():
                    os.replace(mine, path)
        finally:
            with suppress(FileNotFoundError):
                mine.unlink()
        return read_manifest(folder)


def tile_path(folder: Path, place: Place) -> Path:
    """A folder for each row: a million files in one are slow to list."""
    return folder / f"{place.row:05d}" / f"{place.column:05d}.npy"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises:
        SettingError: there is none.
        StoreError: it is damaged, or of a later version.
    """
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(
            f"{folder} holds no tiles, there is no {MANIFEST} in it: make them by `nasproxy kernel "
            "compute … --tiles DIR` or Tiles.create"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read ({error}): restore it from a copy") from error
    known = {field.name: field.type for field in dataclasses.fields(Manifest)}
    if isinstance(found, dict) and found.get("format", FORMAT) != FORMAT:
        raise StoreError(
            f"{path} is of format {found['format']!r}, and this version reads {FORMAT}: use the "
            "version that wrote it"
        )
    if not isinstance(found, dict) or found.keys() != known.keys():
        raise StoreError(f"{path} is damaged, its entries are not {', '.join(known)}: restore it")
    if not isinstance(found["kernel"], str) or not isinstance(found["data"], str):
        raise StoreError(f"{path} is damaged, kernel and data are no text: restore it")
    try:
        np.asarray(found["sample"], np.float64).reshape(len(found["sample"]), -1)
        return Manifest(**found)
    except (SettingError, ValueError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}): restore it from a copy") from error


def fingerprint(*arrays: NDArray[Any] | None) -> str:
    """16 hex digits of the contents of inputs."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        if array is None:
            digest.update(b"absent")
            continue
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), 4096):  # Inputs may be mapped from a file.
            digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return digest.hexdigest()


def kernel_text(kernel: Any) -> str:
    """A kernel and its settings as text, the same in every process.

    Settings dataclasses show their fields, functions their name, objects what ``repr`` says.
    """
    kind = type(kernel)
    if dataclasses.is_dataclass(kind):
        return describe(kernel, f"{kind.__module__}.{kind.__qualname__}", full=True)
    if hasattr(kernel, "__qualname__"):
        return f"{kernel.__module__}.{kernel.__qualname__}"
    said = repr(kernel)
    # An address is another one in the next process; the sample has to tell them apart.
    return f"{kind.__module__}.{kind.__qualname__}" if " at 0x" in said else said
