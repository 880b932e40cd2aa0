"""Archives of arrays: what is read of them, and what is refused before it is taken."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasproxy.data import load, trouble
from nasproxy.errors import DataError
from tests.support.data import random_image

IMAGES, LABELS = random_image(24, 5, 4, 3), np.arange(24) % 3
ARRAYS = {"x_train": IMAGES, "y_train": LABELS, "x_valid": IMAGES, "y_valid": LABELS}


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({k: npy(a) for k, a in ARRAYS.items()} | members).items():
            archive.writestr(f"{name}.npy", content)
    return path


def huge(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    """A header of an array, without the array."""
    described = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    padded = described.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


def test_members_that_are_not_wanted_are_not_read(tmp_path: Path) -> None:
    """They may be of any size, kind and state."""
    others = {"big": huge((2**40,)), "damaged": b"none", "x_extra": b""}
    data = load(str(write(tmp_path / "mine.npz", **others)))
    np.testing.assert_array_equal(data.valid_images, IMAGES)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (huge((2**40, 1, 1, 1)), "0 bytes for an array"),
        (huge((-1, 5, 4, 3)), "array of shape"),
        (npy(IMAGES) + b"more", "bytes for an array"),
        (npy(IMAGES)[:-1], "bytes for an array"),
        (b"", "cannot be read as an .npz"),
        (npy(np.array([{}] * 24, object)), "cannot be read as an .npz"),
    ],
)
def test_members_that_are_not_what_they_say(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        load(str(write(tmp_path / "mine.npz", x_train=content)))


def test_what_does_not_fit_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Little:
        available = 10_000

    path = write(tmp_path / "mine.npz", x_train=npy(np.zeros((24, 50, 40, 3), np.float32)))
    monkeypatch.setattr(trouble.psutil, "virtual_memory", Little)
    with pytest.raises(
        DataError, match=r"mine\.npz takes 0\.0 GiB of memory, and 0\.0 GiB are left"
    ):
        load(str(path))


def test_two_arrays_for_one_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds x_valid and x_val: keep one of them"):
        load(str(write(tmp_path / "mine.npz", x_val=npy(IMAGES))))
