"""Data sets: subsets are balanced and nested; what cannot be scored is refused with a reason."""

import importlib
import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasproxy.cache import cache_dir
from nasproxy.data import Dataset, available, from_arrays, load, prepared
from nasproxy.errors import DataError, SettingError
from tests.support.data import TFDS, pictures, write_prepared


@pytest.fixture(scope="session")
def cache() -> Iterator[str]:
    """Deleted at the end: pytest would keep these hundreds of megabytes for three runs."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


@pytest.fixture(autouse=True)
def _own_cache(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASPROXY_CACHE", cache)


def arrays(counts: list[int], channels: int = 1, seed: int = 0) -> tuple[Any, Any]:
    """Random 3×2 uint8 images with `counts` of each class, in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return rng.integers(0, 256, (len(labels), 3, 2, channels), dtype=np.uint8), labels


def toy(train: list[int] | None = None, **options: Any) -> Dataset:
    return from_arrays(*arrays(train or [9, 9, 9]), *arrays([4, 5, 6], seed=1), **options)


# Subsets


@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=6), seed=st.integers(0, 2**32 - 1))
def test_every_prefix_is_balanced(counts: list[int], seed: int) -> None:
    data = toy(counts, classes=max(3, len(counts))) if len(counts) > 2 else toy([*counts, 1])
    order = data.balanced_order("train", seed)
    assert len(set(order.tolist())) == len(order)
    one_hot = np.eye(data.classes, dtype=int)[data.train_labels[order]]
    running = one_hot.cumsum(axis=0)
    spread = running.max(axis=1) - running.min(axis=1)
    assert spread.max() <= 1
    assert not spread[data.classes - 1 :: data.classes].any()
    totals = np.bincount(data.train_labels, minlength=data.classes)
    assert len(order) == totals.min() * data.classes + (totals > totals.min()).sum()


@given(
    small=st.integers(1, 27),
    large=st.integers(1, 27),
    balanced=st.booleans(),
    seed=st.integers(0, 9),
)
def test_subsets_are_nested(small: int, large: int, balanced: bool, seed: int) -> None:
    data = toy()
    small, large = sorted((small, large))
    images, labels = data.subset("train", large, seed, balanced)
    head, head_labels = data.subset("train", small, seed, balanced)
    np.testing.assert_array_equal(head, images[:small])
    np.testing.assert_array_equal(head_labels, labels[:small])


def test_a_subset_is_standardised_and_keeps_its_labels() -> None:
    data = toy()
    images, labels = data.subset("train", 27, seed=3)
    assert (images.dtype, labels.dtype, images.shape) == (np.float32, np.int32, (27, 3, 2, 1))
    np.testing.assert_allclose(images.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(images.std(), 1, rtol=1e-6)
    pairs = {
        (i.tobytes(), int(y))
        for i, y in zip(data.standardise(data.train_images), data.train_labels, strict=True)
    }
    assert {(i.tobytes(), int(y)) for i, y in zip(images, labels, strict=True)} == pairs


def test_another_seed_is_another_subset() -> None:
    data = toy()
    assert (data.balanced_order("train", 0) != data.balanced_order("train", 1)).any()


@pytest.mark.parametrize(
    ("split", "n", "message"),
    [
        ("train", 28, r"n=28 is more than the 27 images of its train split"),
        ("train", 0, "at least 1 image, got n=0"),
        ("valid", 15, r"class 0 has 4 images in its valid split.*n=15 \(5 a class\).*at most 14"),
        ("test", 1, "no split 'test'; it has train, valid"),
    ],
)
def test_subsets_that_cannot_be(split: str, n: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        toy().subset(split, n, seed=0)


def test_an_unbalanced_subset_may_take_every_image() -> None:
    assert len(toy().subset("valid", 15, seed=0, balanced=False)[1]) == 15


# Arrays of one's own


def test_fingerprint_tells_contents_apart() -> None:
    images, labels = arrays([9, 9])
    base = (images, labels, images[:9], labels[:9])
    changed, other_labels = images.copy(), labels.copy()
    changed[0, 0, 0, 0] ^= 1
    other_labels[[0]] = 1 - other_labels[[0]]
    variants = [
        from_arrays(*base),
        from_arrays(changed, *base[1:]),
        from_arrays(images, other_labels, *base[2:]),
        from_arrays(*base, images[:1], labels[:1]),
        from_arrays(*base, std=[2.0]),
        from_arrays(*base, classes=3),
        from_arrays(images.astype(np.float32), *base[1:]),
    ]
    assert len({data.fingerprint for data in variants}) == len(variants)
    assert from_arrays(*base, name="other").fingerprint == variants[0].fingerprint


def test_grey_images_get_a_channel_and_statistics_are_per_channel() -> None:
    images, labels = arrays([5, 5])
    assert from_arrays(images[..., 0], labels, images, labels).image_shape == (3, 2, 1)
    images, labels = arrays([700, 700], channels=3)
    fine = images * np.float64(0.01) + 1e4
    data = from_arrays(fine, labels, fine + 0.5, labels)
    exact = images.astype(np.float64) * 0.01 + 1e4
    np.testing.assert_allclose(data.mean, exact.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(data.std, exact.std(axis=(0, 1, 2)), rtol=1e-3)


GOOD, Y = arrays([5, 5])
NAN = GOOD.astype(np.float32)
NAN[3, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": NAN}, "train_images holds NaN or infinity, first in image 3"),
        ({"valid_images": GOOD * 1e300}, "valid_images holds NaN or infinity"),
        ({"train_images": GOOD[0, 0]}, r"shape 2 × 1; images are \[N, H, W, C\]"),
        ({"train_images": GOOD[:0], "train_labels": Y[:0]}, "train_images is empty"),
        ({"train_images": GOOD.astype(str)}, "dtype <U3; images are uint8 or real"),
        ({"train_images": [[[1]], [[1, 2]]]}, "train_images is no array"),
        ({"valid_images": GOOD[:, :2]}, "valid_images are 2 × 2 × 1, train_images 3 × 2 × 1"),
        ({"train_labels": Y[:-1]}, "train_labels holds 9 labels for 10 images"),
        ({"train_labels": Y[:, None]}, "train_labels has shape 10 × 1"),
        ({"valid_labels": Y * 1.0}, "valid_labels has dtype float64; labels are integers"),
        ({"train_labels": Y - 1}, "train_labels runs from -1 to 0"),
        ({"classes": 1}, "train_labels holds 1; with classes=1"),
        ({"valid_labels": Y * 0}, "valid_labels are all 0"),
        ({"train_images": GOOD * 0}, "channel 0 has a standard deviation of 0"),
        ({"std": [0.0]}, "channel 0 has a standard deviation of 0"),
        ({"mean": [1.0, 2.0]}, r"mean is \[1.0, 2.0\]; it is 1 finite"),
        ({"test_images": GOOD}, "test_images and test_labels come together"),
    ],
)
def test_arrays_that_cannot_be_scored(change: dict[str, Any], message: str) -> None:
    good = {"train_images": GOOD, "train_labels": Y, "valid_images": GOOD, "valid_labels": Y}
    with pytest.raises(DataError, match=message):
        from_arrays(**(good | change))


# Names and paths


def test_digits_split_is_disjoint_and_balanced() -> None:
    data = load("digits")
    assert data.test_images is not None
    assert data.test_labels is not None
    assert data.image_shape == (8, 8, 1)
    assert [len(data.train_labels), len(data.valid_labels), len(data.test_labels)] == [
        *(1_077, 520, 200)
    ]
    assert set(np.bincount(data.valid_labels)) == {52}
    assert set(np.bincount(data.test_labels)) == {20}
    everything = np.concatenate([data.train_images, data.valid_images, data.test_images])
    assert everything.sum() == 561_718  # the sum of all pixels of scikit-learn's 1,797 images
    assert len(data.subset("train", 512, 0)[1]) == len(data.subset("valid", 512, 0)[1]) == 512
    assert load("digits").fingerprint == data.fingerprint != load("digits", seed=1).fingerprint


def test_npz(tmp_path: Path) -> None:
    (x, y), (a, b) = arrays([5, 5]), arrays([3, 3], seed=1)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_val=a, y_val=b, x_test=a, y_test=b)
    data = load(str(tmp_path / "mine.npz"))
    assert data.name == "mine"
    np.testing.assert_array_equal(data.valid_images, a)
    np.savez(tmp_path / "odd.npz", x_train=x, labels=y)
    with pytest.raises(DataError, match="has no y_train, x_valid, y_valid; it holds x_train, lab"):
        load(str(tmp_path / "odd.npz"))
    whole = (tmp_path / "mine.npz").read_bytes()
    np.save(tmp_path / "single.npy", x)
    single = (tmp_path / "single.npy").read_bytes()
    for content in (b"", b"x_train", whole[:-9], whole[:200] + b"?" + whole[201:], single):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read as an \.npz"):
            load(str(tmp_path / "bad.npz"))
    with pytest.raises(DataError, match="there is no file"):
        load(str(tmp_path / "absent.npz"))


def test_settings_out_of_range() -> None:
    wrong: Any
    for wrong in [1.5, 0.0, "half", (1, 3), True, None, float("nan")]:
        said = re.escape(f"valid_fraction={wrong!r} of data: give a number above 0 and below 1")
        with pytest.raises(SettingError, match=said):
            load("cifar10", valid_fraction=wrong)
    for wrong in [-1, "x", 1.5, True, None]:
        said = re.escape(f"seed={wrong!r} of data: give a whole number of at least 0")
        with pytest.raises(SettingError, match=said):
            load("digits", seed=wrong)
    with pytest.raises(SettingError, match="'digits' has no setting 'valid_fraction'"):
        load("digits", valid_fraction=0.3)


def test_every_available_name_has_a_description() -> None:
    names = [name for name, _ in available()]
    assert names[:3] == ["digits", "cifar10", "cifar100"]
    assert all(line for _, line in available())


# Prepared TFDS folders


def test_cifar_is_split_in_order_with_the_papers_constants(tmp_path: Path) -> None:
    train, test = pictures(50), pictures(20, seed=1)
    write_prepared(tmp_path, "cifar10", {"train": train, "test": test})
    data = load("cifar10", data_dir=tmp_path)
    assert data.test_images is not None
    np.testing.assert_array_equal(data.train_images, [image for image, _ in train[:40]])
    np.testing.assert_array_equal(data.valid_labels, [label for _, label in train[40:]])
    np.testing.assert_array_equal(data.test_images, [image for image, _ in test])
    np.testing.assert_allclose(data.mean, [125.3, 123.0, 113.9])
    np.testing.assert_allclose(data.std, [63.0, 62.1, 66.7])


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path, "mine", {"train": pictures(100)})
    data = load(str(folder), valid_fraction=0.3)
    assert data.name == "mine:valid_fraction=0.3"
    assert set(np.bincount(data.train_labels)) == {7}
    assert set(np.bincount(data.valid_labels)) == {3}
    assert data.fingerprint == load("mine", data_dir=tmp_path, valid_fraction=0.3).fingerprint
    with pytest.raises(DataError, match=r"did you mean .*mine/3\.0\.2"):
        load(str(folder.parent))


def test_a_published_validation_split_and_a_hidden_test(tmp_path: Path) -> None:
    hidden = [(image, -1) for image, _ in pictures(10, seed=2)]
    splits = {"train": pictures(30), "validation": pictures(20, seed=1), "test": hidden}
    folder = write_prepared(tmp_path, "my_imagenet", splits)
    data = load(str(folder))
    assert (len(data.train_labels), len(data.valid_labels)) == (30, 20)
    assert data.test_labels is None
    np.testing.assert_allclose(data.mean, [123.7, 116.3, 103.5])


def test_the_decoded_cache_is_used_checked_and_dropped_when_stale(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path, "kept", {"train": pictures(100)})
    first = load(str(folder)).fingerprint
    (cached,) = (cache_dir() / "decoded").glob("kept-*")
    written = cached.stat().st_mtime_ns
    assert load(str(folder)).fingerprint == first
    assert cached.stat().st_mtime_ns == written
    cached.write_bytes(cached.read_bytes()[:-500])
    assert load(str(folder)).fingerprint == first
    shutil.rmtree(folder)
    write_prepared(tmp_path, "kept", {"train": pictures(100, seed=3)})
    assert load(str(folder)).fingerprint != first


def test_too_few_images_to_hold_any_out(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path, "few", {"train": pictures(20)})
    with pytest.raises(DataError, match=r"valid_fraction=0\.2 of 20 training images"):
        load(str(folder))


def test_images_of_several_sizes_are_refused(tmp_path: Path) -> None:
    odd = [*pictures(10), (np.zeros((6, 5, 3), np.uint8), 0)]
    folder = write_prepared(tmp_path, "odd", {"train": odd})
    with pytest.raises(
        DataError, match=r"image 10 of train is 6 × 5 × 3, image 0 4 × 5 × 3; one size.*resolution"
    ):
        load(str(folder))


@pytest.mark.parametrize("damage", ["truncated", "gone", "text"])
def test_damaged_files_are_said(tmp_path: Path, damage: str) -> None:
    folder = write_prepared(tmp_path, damage, {"train": pictures(20)})
    (shard,) = folder.glob("*.array_record*")
    if damage == "truncated":
        shard.write_bytes(shard.read_bytes()[:-20_000])
    elif damage == "gone":
        shard.unlink()
    else:
        (folder / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match="prepare or copy it again"):
        load(str(folder))


def test_another_file_format_is_said(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path, "records", {"train": pictures(20)}, "tfrecord")
    with pytest.raises(DataError, match=r"prepared as tfrecord.*--file_format=array_record"):
        load(str(folder))


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean cifar10"):
        load("cifr10", data_dir=tmp_path)
    with pytest.raises(DataError, match="no prepared TFDS folder"):
        load(str(tmp_path / "absent"))
    with pytest.raises(DataError, match="not prepared: looked in") as caught:
        load("mnist", data_dir=tmp_path)
    assert "tfds build mnist --file_format=array_record" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_answer_is_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where TensorFlow is installed but nothing answers: TFDS alone would retry for minutes."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(prepared, "_unreachable", lambda url: "no network")
    with pytest.raises(DataError, match=r"cifar-100-binary.* cannot be reached: no network"):
        load("cifar100", data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_unreachable_names_the_reason() -> None:
    assert "refused" in str(prepared._unreachable("http://127.0.0.1:9/"))


@pytest.mark.slow
@pytest.mark.skipif(not TFDS.is_dir(), reason="needs the data folder beside the repository")
def test_cifar10_as_tfds_prepares_it() -> None:
    data = load("cifar10", data_dir=TFDS)
    assert (len(data.train_labels), len(data.valid_labels)) == (40_000, 10_000)
    assert data.train_labels[:10].tolist() == [7, 8, 4, 4, 6, 5, 2, 9, 6, 6]
    assert data.image_shape == (32, 32, 3)
    pixels = np.concatenate([data.train_images, data.valid_images])
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), data.mean, atol=0.1)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2), dtype=np.float64), data.std, atol=0.1)


@pytest.mark.skipif(not TFDS.is_dir(), reason="needs the data folder beside the repository")
def test_tiny_imagenet_holds_the_papers_subsets() -> None:
    data = load("tiny_imagenet100", data_dir=TFDS, valid_fraction=1 / 3)
    assert data.image_shape == (64, 64, 3)
    for split, n in [("train", 8_000), ("valid", 5_000)]:
        labels = data.subset(split, n, seed=0)[1]
        assert set(np.bincount(labels)) == {n // 100}
