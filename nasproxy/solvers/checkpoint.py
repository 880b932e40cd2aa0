"""States of iterations on disk: written whole or not at all, read back by the same fit only."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasproxy import files
from nasproxy.errors import SettingError

SECONDS = 10.0
"""Least time between two states."""


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


def read(path: Path, fit: str) -> dict[str, NDArray[Any]]:
    """The state in a file.

    Raises:
        SettingError: the file is no state, or one of another fit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            state = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise SettingError(
            f"{path} is no checkpoint ({error}): give another name, or remove it"
        ) from error
    if str(state.get("fit")) != fit:
        raise SettingError(
            f"checkpoint {path} is of another fit (other settings, data or kernel): give another "
            "name, or remove it"
        )
    return state
