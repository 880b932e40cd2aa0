"""One tile in one .npy file, with a trailer that says what it is; any reader of .npy opens it."""

import math
import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from nasproxy import files
from nasproxy.errors import DataError, StoreError
from nasproxy.tiles.layout import Manifest, Place, tile_path

_MAGIC = b"nasproxy tile 1\n"
_TRAILER = struct.Struct("<16s16sIII20x")  # magic, manifest, row, column, CRC-32 of all before it


def write(folder: Path, manifest: Manifest, place: Place, block: Float[np.ndarray, "n m"]) -> None:
    """A tile, whole or not at all, on the disk when this returns.

    Raises:
        DataError: it has NaN or infinity.
        StoreError: it cannot be written.
    """
    block = np.ascontiguousarray(block, manifest.dtype)
    if not _finite(block):
        rows, columns = manifest.span(place.row), manifest.span(place.column)
        i, j = np.argwhere(~np.isfinite(block))[0].tolist()
        raise DataError(
            f"the kernel of inputs {rows.start + i} and {columns.start + j} is {block[i, j]}: look "
            "at these inputs and the kernel's settings; tiles made so far stay"
        )
    head = _header(block)
    check = zlib.crc32(block.data, zlib.crc32(head))
    path = tile_path(folder, place)
    identity = manifest.identity.encode()
    try:
        path.parent.mkdir(exist_ok=True)
        with files.replacing(path) as file:
            file.write(head)
            file.write(block.data)
            file.write(_TRAILER.pack(_MAGIC, identity, place.row, place.column, check))
    except OSError as error:
        raise StoreError(
            f"tile {path} cannot be written ({error.strerror}): make room, or mend the folder, and "
            "compute again; tiles made so far stay"
        ) from error


def exists(folder: Path, place: Place) -> bool:
    """Whether a tile is there, in whatever state."""
    return tile_path(folder, place).exists()


def inspect(folder: Path, manifest: Manifest, place: Place) -> None:
    """Looks at a tile's size and trailer alone.

    Raises:
        StoreError: it is missing, torn, or another's.
    """
    path = tile_path(folder, place)
    with _opened(path) as handle:
        _trailer(handle, path, manifest, place)


def read(
    folder: Path,
    manifest: Manifest,
    place: Place,
    out: NDArray[Any] | None = None,
    *,
    check: bool = True,
) -> NDArray[Any]:
    """A tile's entries.

    Args:
        folder, manifest, place: which.
        out: bytes to read into, as long as the largest tile; None for new ones.
        check: look at its checksum and for NaN as well.

    Raises:
        StoreError: it is missing, torn, another's, altered, or holds NaN; names the file.
    """
    path, shape = tile_path(folder, place), manifest.shape(place)
    itemsize = np.dtype(manifest.dtype).itemsize
    if out is None:
        out = np.empty(math.prod(shape) * itemsize, np.uint8)
    whole = out[: math.prod(shape) * itemsize]
    with _opened(path) as handle:
        wanted = _trailer(handle, path, manifest, place)
        handle.seek(0)
        head = handle.read(len(_header_of(manifest, place)))
        if handle.readinto(whole.data) != whole.nbytes:
            raise _bad(path, "ends too early")
    block = whole.view(manifest.dtype).reshape(shape)
    if check:
        if zlib.crc32(whole.data, zlib.crc32(head)) != wanted:
            raise _bad(path, "was altered: its checksum is another")
        if head != _header_of(manifest, place):
            raise _bad(path, f"has another header than one of {manifest.dtype}{list(shape)}")
        if not _finite(block):
            raise _bad(path, "holds NaN or infinity")
    return block


def mapped(folder: Path, manifest: Manifest, place: Place) -> NDArray[Any]:
    """A tile's entries where they lie, for a few of them; its size and trailer are looked at.

    Raises:
        StoreError: as :func:`inspect`.
    """
    path = tile_path(folder, place)
    with _opened(path) as handle:
        _trailer(handle, path, manifest, place)
        return np.memmap(
            handle,
            dtype=manifest.dtype,
            mode="r",
            offset=len(_header_of(manifest, place)),
            shape=manifest.shape(place),
        )


def _opened(path: Path) -> Any:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise StoreError(
            f"tile {path} is not there: `nasproxy kernel compute` or Tiles.compute makes what is "
            "missing"
        ) from None
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror})") from error


def _trailer(handle: Any, path: Path, manifest: Manifest, place: Place) -> int:
    """The checksum that a trailer states, after a look at the rest of it."""
    shape, itemsize = manifest.shape(place), np.dtype(manifest.dtype).itemsize
    expected = len(_header_of(manifest, place)) + math.prod(shape) * itemsize + _TRAILER.size
    size = os.fstat(handle.fileno()).st_size
    if size != expected:
        raise _bad(path, f"has {size:,} bytes, and a whole one of {list(shape)} {expected:,}")
    handle.seek(size - _TRAILER.size)
    magic, identity, row, column, check = _TRAILER.unpack(handle.read(_TRAILER.size))
    if magic != _MAGIC:
        raise _bad(path, "does not end as tiles do")
    if identity != manifest.identity.encode():
        raise _bad(path, "is of another kernel, other data or another side")
    if (row, column) != place:
        raise _bad(path, f"is the tile of bands {row} and {column}")
    return check


def _bad(path: Path, what: str) -> StoreError:
    return StoreError(
        f"tile {path} {what}: remove it (`nasproxy kernel verify --remove` does) and compute again"
    )


def _finite(block: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        total = float(block.sum(dtype=np.float64))  # No array of its own, unlike isfinite(block).
    return math.isfinite(total) or bool(np.isfinite(block).all())


def _header(block: NDArray[Any]) -> bytes:
    file = BytesIO()
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(block))
    return file.getvalue()


def _header_of(manifest: Manifest, place: Place) -> bytes:
    """The header of a whole tile, which depends on its shape and dtype alone."""
    described = np.lib.format.dtype_to_descr(np.dtype(manifest.dtype))
    file = BytesIO()
    header = {"descr": described, "fortran_order": False, "shape": manifest.shape(place)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()
