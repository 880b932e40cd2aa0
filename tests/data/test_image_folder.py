"""Folders of pictures: classes, splits, grey and colour, and what cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasproxy.data import load
from nasproxy.data.decoded import write_cached
from nasproxy.data.splits import resized
from nasproxy.errors import DataError
from tests.support.data import random_image, write_pictures


@pytest.mark.parametrize("valid", ["validation", "valid", "val"])
def test_a_folder_of_pictures(valid: str, tmp_path: Path) -> None:
    root = tmp_path / "pets"
    write_pictures(root / "train")
    write_pictures(root / valid, count=4, seed=1)
    data = load(str(root), resolution=6)
    assert (data.classes, data.image_shape, data.test_images) == (3, (6, 6, 3), None)
    assert np.bincount(data.train_labels).tolist() == [6, 6, 6]
    assert np.bincount(data.valid_labels).tolist() == [4, 4, 4]
    brightness = np.asarray(data.train_images).mean((1, 2, 3)) // 60
    np.testing.assert_array_equal(brightness, data.train_labels)


def test_a_folder_of_classes_is_split(tmp_path: Path) -> None:
    data = load(str(write_pictures(tmp_path / "pets", grey=True)), resolution=6, labels=2)
    assert data.image_shape == (6, 6, 1)
    assert (len(data.train_labels), len(data.valid_labels)) == (10, 2)


@pytest.mark.parametrize("split", ["train", "val"])
def test_grey_pictures_among_colour(split: str, tmp_path: Path) -> None:
    """The first picture of one split is grey, as some of ImageNet's are."""
    root = tmp_path / "pets"
    write_pictures(root / "train")
    write_pictures(root / "val", count=4, seed=1)
    pixels = random_image(9, 12)
    Image.fromarray(pixels).save(root / split / "cat" / "0.png")
    data = load(str(root), resolution=6)
    images = data.train_images if split == "train" else data.valid_images
    assert data.image_shape == (6, 6, 3)
    np.testing.assert_array_equal(images[:1][0], resized(np.dstack([pixels] * 3), 6))


def test_colour_pictures_among_grey(tmp_path: Path) -> None:
    """Grey training pictures make a grey set."""
    root = tmp_path / "pets"
    write_pictures(root / "train", grey=True)
    write_pictures(root / "val", count=4, seed=1)
    assert load(str(root), resolution=6).valid_images.shape == (12, 6, 6, 1)


def test_what_was_kept_grey_is_decoded_again(tmp_path: Path) -> None:
    """Images kept in the cache with another number of channels are not what is read now."""
    folder = write_pictures(tmp_path / "pets")
    colour = load(str(folder), resolution=6)
    (kept,) = (tmp_path / "cache" / "decoded").iterdir()
    write_cached(kept, np.zeros((18, 6, 6, 1), np.uint8), np.zeros(18, np.int32))
    assert load(str(folder), resolution=6).fingerprint == colour.fingerprint


@pytest.mark.parametrize("place", [0, 3])
def test_sixteen_bits_are_refused(place: int, tmp_path: Path) -> None:
    """Pillow's conversion would cut all but the darkest pixels at 255."""
    folder = write_pictures(tmp_path / "pets", grey=True)
    deep = np.random.default_rng(0).integers(0, 2**16, (9, 12), dtype=np.uint16)
    Image.fromarray(deep).save(folder / "dog" / f"{place}.png")
    with pytest.raises(DataError, match=rf"dog/{place}\.png has more than 8 bits.*save it with 8"):
        load(str(folder), resolution=6)


def test_pictures_of_several_sizes_need_a_resolution(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image 1 of train is 10 × 11 × 3.*give a resolution"):
        load(str(write_pictures(tmp_path / "pets")))


def test_a_class_that_is_not_trained_on(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pets" / "train")
    write_pictures(tmp_path / "pets" / "val", ["cat", "fox"])
    with pytest.raises(DataError, match=r"class 'fox'.*it has cat, dog, eel"):
        load(str(tmp_path / "pets"), resolution=6)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pets")
    (folder / "dog" / "3.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"dog/3\.png cannot be read as a picture"):
        load(str(folder), resolution=6)


def test_an_empty_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match="no prepared TFDS folder"):
        load(str(tmp_path / "void"))
