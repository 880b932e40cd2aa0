"""Damaged data loads with the right values, or is refused in a line; nothing else comes out."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasproxy.data import Dataset, load
from nasproxy.errors import DataError
from tests.support.damage import damaged
from tests.support.data import random_image, write_pictures


def loaded(path: Path) -> Dataset | None:
    """What is loaded, or None if it is refused as it should be."""
    said = ""
    try:
        return load(str(path), resolution=6 if path.is_dir() else None)
    except DataError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 1_000
    return None


@pytest.mark.parametrize("compressed", [True, False])
def test_npz(compressed: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = random_image(24, 5, 4, 3), np.arange(24) % 3
    whole = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(whole, x_train=images, y_train=labels, x_valid=images, y_valid=labels, other=images)
    path = tmp_path / "mine.npz"
    content = whole.getvalue()
    refused = 0
    for _ in range(400):
        path.write_bytes(damaged(content, rng))
        data = loaded(path)
        refused += data is None
        if data is not None:
            np.testing.assert_array_equal(data.train_images, images)
            np.testing.assert_array_equal(data.train_labels, labels)
            np.testing.assert_array_equal(data.valid_images, images)
    assert 100 < refused < 400


def test_png(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    folder = write_pictures(tmp_path / "pets")
    expected = load(str(folder), resolution=6)
    picture = folder / "dog" / "3.png"
    with Image.open(picture) as opened:
        before = np.asarray(opened)
    whole, refused = picture.read_bytes(), 0
    for _ in range(300):
        picture.write_bytes(damaged(whole, rng))
        data = loaded(folder)
        refused += data is None
        if data is not None:
            assert data.fingerprint == expected.fingerprint
    assert refused > 200
    picture.write_bytes(whole)
    with Image.open(picture) as opened:
        np.testing.assert_array_equal(np.asarray(opened), before)
