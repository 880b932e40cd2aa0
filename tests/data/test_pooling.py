"""Blocks of pixels are averaged: held and lazy images alike, and nothing is cut."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from nasproxy.data import Dataset, from_arrays, load, splits
from nasproxy.data.dataset import Images
from nasproxy.data.lazy import LazyImages
from nasproxy.data.pooling import pooled
from nasproxy.errors import DataError, SettingError
from nasproxy.named import data_of
from tests.support.data import TFDS, random_image, write_prepared


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASPROXY_CACHE", str(tmp_path / "cache"))


def by_hand(images: Any, block: int) -> np.ndarray:
    count, height, width, channels = images.shape
    means = np.zeros((count, height // block, width // block, channels))
    for n, row, column, channel in np.ndindex(*means.shape):
        rows, columns = row * block, column * block
        cut = images[n, rows : rows + block, columns : columns + block, channel]
        means[n, row, column, channel] = sum(map(float, cut.ravel())) / block**2
    return means


@pytest.mark.parametrize("block", [2, 3, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_each_pixel_is_the_mean_of_its_block(block: int, dtype: type) -> None:
    images = random_image(3, 6, 12, 2).astype(dtype)
    found = np.asarray(pooled(images, block))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(images, block), rtol=1e-7)
    lazy = LazyImages(lambda places: list(images[places]), images.shape, np.arange(3), "some")
    if dtype is np.uint8:
        later: Images = pooled(lazy, block)
        assert isinstance(later, LazyImages)
        assert (later.shape, later.dtype) == (found.shape, found.dtype)
        np.testing.assert_array_equal(later[:], found)
        np.testing.assert_array_equal(later.take(np.array([2, 0]))[:], found[[2, 0]])


def test_blocks_of_blocks_are_larger_blocks() -> None:
    images = random_image(3, 8, 8, 1)
    lazy = LazyImages(lambda places: list(images[places]), images.shape, np.arange(3), "some")
    twice: Any = pooled(pooled(lazy, 2), 2)
    np.testing.assert_array_equal(twice[:], pooled(images, 4))


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        (3, r"pool=3 of data: images of 8×8 pixels have no whole blocks of 3×3; give 2 or 4 or 8"),
        (16, "no whole blocks of 16×16"),
        (0, "pool=0 of data: give a whole number from 1"),
        (2.0, "pool=2.0 of data"),
        (True, "pool=True of data"),
    ],
)
def test_blocks_that_cannot_be(pool: Any, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        load("digits", pool=pool)


def test_digits_are_measured_as_they_are_then() -> None:
    whole, small = load("digits"), data_of("digits:pool=2")
    assert small.image_shape == (4, 4, 1)
    assert small.name == "digits:pool=2"
    assert small.fingerprint != whole.fingerprint
    np.testing.assert_array_equal(small.train_images, by_hand(whole.train_images, 2))
    np.testing.assert_array_equal(small.train_labels, whole.train_labels)
    images, _ = small.subset("train", len(small.train_labels), 0, balanced=False)
    assert abs(images.mean()) < 1e-5
    assert images.std() == pytest.approx(1, abs=1e-5)
    raw: Any = load_digits()
    everything = raw.images.reshape(-1, 4, 2, 4, 2).mean((2, 4))
    known = {image.tobytes() for image in everything.astype(np.float32)}
    assert all(
        np.asarray(image)[..., 0].tobytes() in known for image in np.asarray(small.valid_images)
    )


def striped() -> Dataset:
    """A loader of somebody's that knows no pool, and has constants of its own."""
    images = random_image(20, 4, 4, 3, seed=8)
    given = images[:10], np.arange(10) % 2, images[10:], np.arange(10) % 2
    return from_arrays(*given, name="striped", mean=(1, 2, 3), std=(70, 80, 90))


def test_a_loader_that_knows_no_pool() -> None:
    found, whole = load(f"{__name__}.striped", pool=2), striped()
    assert found.name == "striped:pool=2"
    np.testing.assert_array_equal(found.mean, whole.mean)
    np.testing.assert_array_equal(found.train_images, by_hand(whole.train_images, 2))
    assert load(f"{__name__}.striped", pool=1).fingerprint == whole.fingerprint
    assert load("digits", pool=1).name == "digits"


def test_an_npz(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        f"x_{s}": random_image(20, 4, 4, 3, seed=i) for i, s in enumerate(("train", "valid"))
    }
    arrays |= {f"y_{split}": np.arange(20) % 4 for split in ("train", "valid")}
    np.savez(tmp_path / "own.npz", **arrays)
    found = load(str(tmp_path / "own.npz"), pool=2)
    np.testing.assert_array_equal(found.valid_images, by_hand(arrays["x_valid"], 2))
    np.testing.assert_allclose(found.std, by_hand(arrays["x_train"], 2).std((0, 1, 2)), rtol=1e-6)
    first = random_image(20, 3, 4, 4)
    swapped: dict[str, Any] = arrays | {"x_train": first, "x_valid": first}
    np.savez(tmp_path / "first.npz", **swapped)
    with pytest.raises(DataError, match="transpose"):
        load(str(tmp_path / "first.npz"), pool=2)


def test_cifar_keeps_the_papers_constants(tmp_path: Path) -> None:
    images = [(random_image(32, 32, 3, seed=i), i % 10) for i in range(50)]
    write_prepared(tmp_path, "cifar10", {"train": images, "test": images[:10]})
    found = load("cifar10", data_dir=tmp_path, pool=2)
    assert found.image_shape == (16, 16, 3)
    np.testing.assert_array_equal(found.mean, np.array([125.3, 123.0, 113.9], np.float32))
    means = by_hand(np.stack([image for image, _ in images]), 2)
    expected = (means[40:] - found.mean) / found.std
    np.testing.assert_allclose(found.standardise(found.valid_images), expected, atol=1e-5)


def prepared(folder: Path) -> Dataset:
    return load(str(folder), resolution=8, pool=2, valid_fraction=0.5)


def test_a_lazy_set_is_the_held_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [(random_image(9, 12, 3, seed=i), i % 10) for i in range(80)]
    folder = write_prepared(tmp_path, "large", {"train": images})
    held = prepared(folder)
    assert held.name == "large:resolution=8,pool=2,valid_fraction=0.5"
    monkeypatch.setattr(splits, "HELD_BYTES", 0)
    monkeypatch.setenv("NASPROXY_CACHE", str(tmp_path / "another"))
    lazy = prepared(folder)
    assert isinstance(lazy.train_images, LazyImages)
    (images, labels), (later, same) = (one.subset("train", 20, 1) for one in (held, lazy))
    np.testing.assert_allclose(images, later, atol=1e-6)
    np.testing.assert_array_equal(labels, same)
    whole = load(str(folder), resolution=8, valid_fraction=0.5)
    quarter = load(str(folder), resolution=8, pool=4, valid_fraction=0.5)
    assert len({lazy.fingerprint, whole.fingerprint, quarter.fingerprint}) == 3


def test_cifar10_by_blocks_of_two() -> None:
    if not (TFDS / "cifar10").is_dir():
        pytest.skip("no prepared CIFAR-10 beside the repository")
    whole, small = (load("cifar10", data_dir=TFDS, pool=pool) for pool in (1, 2))
    np.testing.assert_array_equal(small.train_images[:5], by_hand(whole.train_images[:5], 2))
    np.testing.assert_array_equal(small.mean, whole.mean)
