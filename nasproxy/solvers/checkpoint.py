"""States of iterations on disk: written whole or not at all, read back by the same fit only."""

import hashlib
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasproxy import files
from nasproxy.errors import SettingError, StoreError

SECONDS = 10.0
"""Least time between two states."""
TEXTS = ("history",)
"""Entries of a state that are JSON."""


def fingerprint(settings: dict[str, Any], *arrays: NDArray[Any]) -> str:
    """Names a fit by its settings and data."""
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def check(path: Path) -> None:
    """Raises SettingError if no state can be written there."""
    if not path.parent.is_dir():
        raise SettingError(
            f"checkpoint {path}: there is no folder {path.parent}: make it, or give another name"
        )


def write(path: Path, **state: Any) -> None:
    """Writes arrays, numbers and text; an interruption leaves the old file as it was."""
    with files.replacing(path) as file:
        np.savez(file, **state)


def read(path: Path, fit: str, shapes: dict[str, tuple[int | None, ...]]) -> dict[str, Any]:
    """The state in a file: float64 arrays, floats and whole numbers, or text, all finite.

    Args:
        path: of the file, which is left as it is.
        fit: the fingerprint that it must have.
        shapes: of every array or number by name, None for an axis of any length; text is no array.

    Raises:
        SettingError: the file is no state, or one of another fit.
        StoreError: it is damaged: something is missing, left over, or not what a fit writes.
    """
    try:
        if not path.is_file():
            raise OSError("no regular file")
        with zipfile.ZipFile(path) as file:
            size = sum(member.file_size for member in file.infolist())
        if size > _most(shapes):
            raise OSError(f"{size:,} bytes, more than such a fit has")
        with np.load(path, allow_pickle=False) as file:
            state = dict(file)
    except Exception as error:  # Archives and arrays that are damaged raise all sorts.
        said = " ".join(str(error).split())[:200]
        raise SettingError(
            f"{path} is no checkpoint ({said}): give another name, or remove it"
        ) from error
    if str(state.pop("fit", "")) != fit:
        raise SettingError(
            f"checkpoint {path} is of another fit (other settings, data or kernel): give another "
            "name, or remove it"
        )
    if state.keys() != shapes.keys():
        odd = sorted(state.keys() ^ shapes.keys())
        raise damaged(path, f"{', '.join(odd)[:200]} missing or left over")
    for name, shape in shapes.items():
        array = state[name]
        alike = array.ndim == len(shape) and all(
            wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
        )
        if name not in TEXTS and not (
            alike and array.dtype.kind in "fi" and np.isfinite(array).all()
        ):
            raise damaged(path, f"{name} is {array.dtype.name}{list(array.shape)} or not finite")
    return state


def damaged(path: Path, what: str) -> StoreError:
    """The error for a state that no fit has written."""
    return StoreError(f"checkpoint {path} is damaged: {what}; remove it, and the fit begins anew")


def _most(shapes: dict[str, tuple[int | None, ...]]) -> int:
    """Bytes that a state may take: its arrays' and text's, counted generously."""
    return 2**26 + 16 * sum(math.prod(n or 2**20 for n in shape) for shape in shapes.values())
