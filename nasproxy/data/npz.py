"""The arrays of an .npz file, of which nothing is taken before its size is known."""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nasproxy.data.trouble import check_memory, reason
from nasproxy.errors import DataError

_WANTED = {  # by the arguments of from_arrays
    "train_images": ("x_train",),
    "train_labels": ("y_train",),
    "valid_images": ("x_valid", "x_val"),
    "valid_labels": ("y_valid", "y_val"),
    "test_images": ("x_test",),
    "test_labels": ("y_test",),
}
_NEEDED = ("train_images", "train_labels", "valid_images", "valid_labels")


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """x_train, y_train, x_valid, y_valid, and x_test, y_test, as arguments of ``from_arrays``.

    Other members are not read.

    Raises:
        DataError: there is no such file, it is damaged, holds other arrays, or more than fits.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}: check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(path, archive)
            headers = {key: _header(archive, name) for key, name in members.items()}
            check_memory(f"{path} takes", sum(map(_bytes, headers.values())))
            return {key: _array(archive, name) for key, name in members.items()}
    except DataError:
        raise
    # NumPy and zipfile raise a dozen kinds of errors for files that are damaged.
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as an .npz of plain arrays ({reason(error)}); write it with"
            " numpy.savez"
        ) from error


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, str]:
    """The names of the files within, by what they are for."""
    found = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    members = {}
    for key, names in _WANTED.items():
        given = [name for name in found if name in names]
        if len(given) > 1:
            raise DataError(f"{path} holds {' and '.join(given)}: keep one of them")
        if given:
            members[key] = f"{given[0]}.npy"
    if missing := [_WANTED[key][0] for key in _NEEDED if key not in members]:
        raise DataError(
            f"{path} has no {', '.join(missing)}; it holds {_some(found)}. An .npz data set has"
            " x_train, y_train, x_valid, y_valid and, if you like, x_test, y_test"
        )
    return members


def _some(found: list[str]) -> str:
    return ", ".join([*found[:8], *(["…"] if len(found) > 8 else [])]) or "nothing"


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a member that is as long as they say."""
    with archive.open(name) as file:
        shape, dtype = _shape(file)
        begins = file.tell()
    size = archive.getinfo(name).file_size - begins
    if dtype.hasobject or dtype.kind not in "biuf" or dtype.subdtype is not None:
        return (0,), dtype  # for from_arrays to refuse, which says what it takes
    if math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} has {size:,} bytes for an array {shape} of {dtype}")
    return shape, dtype


def _shape(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"arrays of format {version}")
    shape, _, dtype = readers[version](file)
    if any(side < 0 for side in shape):
        raise ValueError(f"an array of shape {shape}")
    return shape, dtype


def _bytes(header: tuple[tuple[int, ...], np.dtype[Any]]) -> int:
    """What an array takes, with its copy in float32 where it is no uint8."""
    shape, dtype = header
    return math.prod(shape) * (dtype.itemsize + (4 if dtype != np.uint8 else 0))


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # reading to the end checks the CRC
            raise ValueError(f"{name} goes on after its array")
    return array
