"""Folders of pictures: classes, splits, grey and colour, and what cannot be read."""

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nasproxy.data import load, splits
from nasproxy.data.decoded import write_cached
from nasproxy.data.lazy import LazyImages
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


# What lies between the pictures


@pytest.mark.parametrize("suffix", ["tif", "tiff", "ppm", "jfif", "jpe", "dib", "TIF"])
def test_other_suffixes_are_read(suffix: str, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pets")
    for place in (folder / "dog").iterdir():
        with Image.open(place) as picture:
            kind = {"jfif": "JPEG", "jpe": "JPEG", "ppm": "PPM", "dib": "DIB"}.get(suffix, "TIFF")
            picture.save(place.with_suffix(f".{suffix}"), kind)
        place.unlink()
    data = load(str(folder), resolution=6)
    both = np.concatenate([data.train_labels, data.valid_labels])
    assert np.bincount(both).tolist() == [6, 6, 6]


def test_hidden_entries_are_none(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pets")
    expected = load(str(folder), resolution=6)
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "cat" / "0.png", folder / ".ipynb_checkpoints" / "0.png")
    (folder / "cat" / "._0.png").write_bytes(b"Mac OS X")
    (folder / "cat" / ".thumbs").mkdir()
    (folder / "cat" / ".thumbs" / "0.png").write_bytes(b"small")
    assert load(str(folder), resolution=6).fingerprint == expected.fingerprint


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pets")
    expected = load(str(folder), resolution=6)
    (folder / "cat" / "a.heic").write_bytes(b"no picture that is read")
    (folder / "labels.csv").write_text("name,label")
    with pytest.warns(
        UserWarning, match=r"2 of its entries are left out.*cat/a\.heic, labels\.csv"
    ):
        assert load(str(folder), resolution=6).fingerprint == expected.fingerprint


@pytest.mark.parametrize(
    ("add", "said"),
    [
        ("empty/", r"the class 'empty' in .* holds no pictures"),
        ("cat/kitten/0.png", r"0\.png lies in a folder within the class 'cat'"),
        ("Test/cat/0.png", r"pets holds Test and no train: write training pictures"),
        ("__MACOSX/._0.png", "the class '__MACOSX' in .* holds no pictures"),
    ],
)
def test_what_would_be_another_set(add: str, said: str, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pets")
    place = folder / add
    (place if add.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
    if not add.endswith("/"):
        shutil.copy(folder / "dog" / "0.png", place)
    with pytest.raises(DataError, match=said):
        load(str(folder), resolution=6)


def test_names_of_splits_may_be_capitals(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pets" / "Train")
    write_pictures(tmp_path / "pets" / "VAL", count=4, seed=1)
    data = load(str(tmp_path / "pets"), resolution=6)
    assert (data.classes, len(data.train_labels), len(data.valid_labels)) == (3, 18, 12)
    write_pictures(tmp_path / "pets" / "valid", count=4, seed=1)
    with pytest.raises(DataError, match="holds VAL and valid: keep one"):
        load(str(tmp_path / "pets"), resolution=6)


def test_a_folder_that_exists_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fold" / "heic").mkdir(parents=True)
    (tmp_path / "fold" / "heic" / "a.heic").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for name in ("fold", "fold/heic", "./fold", str(tmp_path / "fold")):
        with pytest.raises(DataError, match="no folder of pictures as CLASS/NAME"):
            load(name)


@pytest.mark.parametrize(
    "name", ["~nobody-here", "x" * 5_000, "", " ", "a\0b.npz", "no/such/folder"]
)
def test_paths_that_cannot_be(name: str) -> None:
    with pytest.raises(DataError) as caught:
        load(name)
    assert "\n" not in str(caught.value)


# Pictures that are refused


def changed(folder: Path, write: Any) -> Path:
    (folder / "dog" / "3.png").unlink()
    write(folder / "dog" / "3.png")
    return folder


def _float(path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).random((9, 12), np.float32))
    picture.save(path.with_suffix(".tif"))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (_float, r"3\.tif has more than 8 bits.*mode F"),
        (os.mkfifo, r"3\.png is no regular file"),
        (lambda path: path.symlink_to("absent.png"), r"3\.png"),
        (lambda path: path.symlink_to("/dev/zero"), r"3\.png is no regular file"),
        (
            lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"),
            "cannot be read as a picture",
        ),
        (lambda path: Image.new("1", (9_000, 9_000)).save(path), r"9,000 × 9,000 pixels; at most"),
        (lambda path: Image.new("1", (20_000, 20_000)).save(path), r"3\.png cannot be read"),
    ],
)
def test_pictures_that_are_refused(write: Any, said: str, tmp_path: Path) -> None:
    folder = changed(write_pictures(tmp_path / "pets"), write)
    with pytest.raises(DataError, match=said):
        load(str(folder), resolution=6)


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "L", "LA", "1", "PA"])
def test_modes_of_eight_bits_are_read(mode: str, tmp_path: Path) -> None:
    """White and black stay so in every mode that Pillow reads."""
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, 5:] = 255
    picture = Image.fromarray(pixels).convert("L" if mode == "LA" else "RGB").convert(mode)
    kind = {"CMYK": "TIFF", "PA": "TIFF"}.get(mode, "PNG")
    if mode == "PA":
        picture, kind = Image.fromarray(pixels).convert("P"), "GIF"
    suffix = {"TIFF": ".tif", "GIF": ".gif", "PNG": ".png"}[kind]
    folder = write_pictures(tmp_path / "pets")
    changed(folder, lambda path: picture.save(path.with_suffix(suffix), kind))
    data = load(str(folder), resolution=10, valid_fraction=0.2)
    every = np.concatenate([data.train_images, data.valid_images])
    assert (every == pixels).all((1, 2, 3)).sum() == 1


# Fingerprints and caches


def test_copies_of_a_lazy_set_have_one_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever they lie and whenever they were written; other contents have another."""
    monkeypatch.setattr(splits, "HELD_BYTES", 0)
    one = write_pictures(tmp_path / "pets")
    two = Path(shutil.copytree(one, tmp_path / "elsewhere" / "animals"))
    for file in two.rglob("*.png"):
        os.utime(file, (1, 1))
    first = load(str(one), resolution=6)
    assert isinstance(first.train_images, LazyImages)
    assert load(str(two), resolution=6).fingerprint == first.fingerprint
    assert load(str(one), resolution=7).fingerprint != first.fingerprint
    picture = two / "dog" / "3.png"
    before = picture.stat()
    content = bytearray(picture.read_bytes())
    with Image.open(picture) as opened:
        pixels = np.asarray(opened) ^ 1
    Image.fromarray(pixels).save(picture)
    assert picture.read_bytes() != content
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load(str(two), resolution=6).fingerprint != first.fingerprint


def test_a_changed_picture_is_decoded_again(tmp_path: Path) -> None:
    """Even where its size and time are as they were."""
    folder = tmp_path / "pets"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(random_image(6, 6, 3, seed=i)).save(folder / name / f"{i}.bmp")
    first = load(str(folder))
    place = folder / "dog" / "3.bmp"
    before = place.stat()
    Image.fromarray(random_image(6, 6, 3, seed=99)).save(place)
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert place.stat().st_size == before.st_size
    assert load(str(folder)).fingerprint != first.fingerprint


def test_the_cache_is_the_users_alone(tmp_path: Path) -> None:
    load(str(write_pictures(tmp_path / "pets")), resolution=6)
    for folder in (tmp_path / "cache", tmp_path / "cache" / "decoded"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
