"""Arrays at the entrance: what could only be guessed is refused, with what to do instead."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.data import from_arrays, load
from nasproxy.data.lazy import LazyImages
from nasproxy.data.units import check_channels
from nasproxy.errors import DataError, SettingError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
LABELS = np.arange(40) % 4


def both(images: Any = IMAGES, labels: Any = LABELS, **settings: Any) -> Any:
    """The same on both splits."""
    return from_arrays(images, labels, images, labels, **settings)


@pytest.mark.parametrize("scale", [1 / 255, 255, 1e-3])
def test_splits_of_other_scales_are_refused(scale: float, tmp_path: Path) -> None:
    other = IMAGES * np.float32(scale)
    with pytest.raises(DataError, match=r"train_images run from 0 to 255 but valid_images run"):
        from_arrays(IMAGES, LABELS, other, LABELS)
    with pytest.raises(DataError, match=r"but test_images run from"):
        from_arrays(IMAGES, LABELS, IMAGES, LABELS, other, LABELS)
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, x_valid=other, y_valid=LABELS)
    with pytest.raises(DataError, match="bring all splits to one scale"):
        load(str(path))


def test_splits_that_only_differ_a_little_are_fine() -> None:
    darker = (IMAGES * np.float32(0.3)).astype(np.float32)
    assert from_arrays(IMAGES, LABELS, darker, LABELS).classes == 4


@pytest.mark.parametrize(
    "shape",
    [
        *[(3, 32, 32), (1, 28, 28), (4, 16, 16), (12, 32, 32), (3, 32, 48), (2, 20, 30)],
        *[(16, 16, 16), (32, 16, 16), (3, 32, 2), (64, 16, 8), (1, 30, 4), (4, 30, 4)],
    ],
)
def test_channels_that_come_first_are_refused(shape: tuple[int, ...]) -> None:
    images = RNG.normal(size=(40, *shape))
    with pytest.raises(DataError, match=r"transpose\(0, 2, 3, 1\)"):
        both(images)
    if shape[1:] not in [(16, 16), (32, 2), (16, 8), (30, 4)]:
        assert both(images.transpose(0, 2, 3, 1)).image_shape == (*shape[1:], shape[0])
    assert both(images, channels_last=True).image_shape == shape


@pytest.mark.parametrize("shape", [(8, 8, 3), (9, 9, 200), (4, 4, 64), (5, 30, 3), (1, 1, 7)])
def test_channels_that_come_last_are_taken(shape: tuple[int, ...]) -> None:
    assert both(RNG.normal(size=(40, *shape))).image_shape == shape


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS + 1, r"no training image has label 0: subtract 1 .* give classes=5"),
        (np.array([0, 1, 1000, 0] * 10), r"no training image has label 2: .*return_inverse"),
        (np.array([0, 1, 2**31 - 1, 0] * 10), r"no training image has label 2"),
        (LABELS[:, None], r"shape 40 × 1; .*take \[:, 0\]"),
        (np.eye(4)[LABELS], r"shape 40 × 4; .*argmax\(1\)"),
        (LABELS.astype(float), r"dtype float64; .*astype\(int\)"),
        (LABELS + 0.5, r"dtype float64; labels are integers 0\.\.classes-1$"),
        (LABELS == 1, "dtype bool"),
        (LABELS.astype(str), "dtype <U"),
        (LABELS.astype(object), "dtype object"),
    ],
)
def test_labels_that_could_only_be_guessed(labels: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        both(labels=labels)


def test_classes_that_are_given_may_be_empty() -> None:
    assert both(labels=LABELS + 1, classes=5).classes == 5
    with pytest.raises(DataError, match="no training image has label 4"):
        from_arrays(IMAGES, LABELS, IMAGES, np.where(np.arange(40) == 7, 4, LABELS))


def test_a_validation_split_is_drawn_class_by_class() -> None:
    data = from_arrays(IMAGES, LABELS, valid_fraction=0.2, seed=3)
    assert np.bincount(data.valid_labels).tolist() == [2] * 4
    assert np.bincount(data.train_labels).tolist() == [8] * 4
    together = np.concatenate([data.train_images, data.valid_images]).reshape(40, -1)
    assert len(np.unique(together, axis=0)) == 40
    again = from_arrays(IMAGES, LABELS, valid_fraction=0.2, seed=3)
    assert again.fingerprint == data.fingerprint
    assert from_arrays(IMAGES, LABELS, valid_fraction=0.2).fingerprint != data.fingerprint
    for wrong in (None, 0.0, 1.5, True):
        with pytest.raises(SettingError, match="valid_fraction"):
            from_arrays(IMAGES, LABELS, valid_fraction=wrong)
    with pytest.raises(SettingError, match="leave it out"):
        from_arrays(IMAGES, LABELS, IMAGES, LABELS, valid_fraction=0.2)
    with pytest.raises(DataError, match="come together"):
        from_arrays(IMAGES, LABELS, IMAGES)


def test_data_sets_print_in_one_line() -> None:
    digits = load("digits")
    assert repr(digits) == "Dataset digits: 1,077 + 520 + 200 images 8×8×1, 10 classes"
    subset, _ = digits.select("train", 30, 0)
    assert repr(subset) == "Subset of 30 images of digits"


# Units


def bytes_of(count: int, most: int = 256, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, most, (count, 8, 8, 3)).astype(np.uint8)


UNIT = bytes_of(40) / np.float32(255)
STANDARD = (UNIT - UNIT.mean()) / UNIT.std()
UNITS: dict[str, Any] = {
    "0..1": UNIT,
    "-1..1": UNIT * 2 - 1,
    "-0.5..0.5": UNIT - 0.5,
    "0..10": UNIT * 10,
    "0..16": bytes_of(40, 17),
    "0..255": bytes_of(40),
    "0..65535": bytes_of(40).astype(np.uint16) * 257,
    "-128..127": bytes_of(40).astype(int) - 128,
    "dark bytes": bytes_of(40, 20),
    "standardised": STANDARD,
    "far away": UNIT * 255 + 1000,
    "bytes cut to 0 and 1": bytes_of(40, 2),
    "constant": np.full_like(UNIT, 0.4),
    "each constant": np.broadcast_to(np.linspace(0, 1, 40)[:, None, None, None], UNIT.shape),
}
NEAR = [  # one unit, or as near to it as dark pictures are
    {"0..1", "bytes cut to 0 and 1"},
    {"dark bytes", "0..16"},
    {"dark bytes", "0..10"},
    {"0..16", "0..10"},
    {"-1..1", "-0.5..0.5"},
    {"standardised", "-0.5..0.5"},
]


@pytest.mark.parametrize("valid", UNITS)
@pytest.mark.parametrize("train", [name for name in UNITS if "constant" not in name])
def test_splits_have_one_unit(train: str, valid: str) -> None:
    given = UNITS[train], LABELS, UNITS[valid], LABELS
    if train == valid or {train, valid} in NEAR:
        np.testing.assert_array_equal(from_arrays(*given).valid_images, UNITS[valid])
    else:
        with pytest.raises(DataError, match=r"one scale|give images that vary"):
            from_arrays(*given)
        with pytest.raises(DataError, match=r"one scale|give images that vary"):
            from_arrays(*given[:2], *given[:2], *given[2:])


def lazy(images: Any) -> LazyImages:
    return LazyImages(lambda places: images[places], images.shape, np.arange(len(images)), "some")


def test_lazy_splits_are_held_to_the_same() -> None:
    pixels = bytes_of(40)
    for others in (UNIT, STANDARD, UNIT * 2 - 1, np.full_like(pixels, 7)):
        with pytest.raises(DataError, match=r"one scale|give images that vary"):
            from_arrays(lazy(pixels), LABELS, others, LABELS)
    with pytest.raises(DataError, match=r"every pixel of valid_images is 7"):
        from_arrays(pixels, LABELS, lazy(np.full_like(pixels, 7)), LABELS)
    assert from_arrays(lazy(pixels), LABELS, pixels, LABELS).classes == 4


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["bytes", "0..1", "-1..1", "standardised"]),
    st.integers(1, 50),
    st.floats(0.4, 1),
)
def test_honest_splits_are_taken(seed: int, unit: str, test: int, contrast: float) -> None:
    """Draws of one population, of which one is a little darker, in whatever unit."""
    rng = np.random.default_rng(seed)
    smooth = rng.uniform(0, 1, (120 + test, 2, 2, 3)).repeat(4, 1).repeat(4, 2)
    images = 255 * np.clip(smooth + rng.normal(0, 0.1, smooth.shape), 0, 1)
    images[120:] *= contrast
    images = {
        "bytes": images.astype(np.uint8),
        "0..1": images / 255,
        "-1..1": images / 127.5 - 1,
        "standardised": (images - 120) / 75,
    }[unit]
    labels = np.arange(120) % 4
    splits = images[:70], labels[:70], images[70:120], labels[70:120]
    data = from_arrays(*splits, images[120:], np.zeros(test, int))
    assert len(data.train_images) == 70


@pytest.mark.parametrize(
    ("images", "statistics", "said"),
    [
        (UNIT, {"mean": [120.0, 120.0, 120.0]}, "mean is 120, but train_images run from 0 to 1"),
        (UNIT, {"mean": [0.5, 0.5, -3.0]}, "mean is -3, but train_images run from 0 to 1"),
        (UNIT, {"std": [58.4, 57.1, 57.4]}, r"std is 58\.4, but train_images deviate by 0\.2"),
        (IMAGES, {"mean": [0.485] * 3, "std": [0.229] * 3}, r"std is 0\.229, but"),
        (IMAGES, {"mean": "abc"}, "mean is 'abc'; it is 3 finite numbers"),
        (IMAGES, {"mean": [1e300] * 3}, "mean is .* it is 3 finite numbers"),
        (IMAGES, {"std": [[1], [1, 2]]}, "std is .* it is 3 finite numbers"),
        (IMAGES, {"std": {"a": 1}}, "std is .* it is 3 finite numbers"),
    ],
)
def test_statistics_are_in_the_images_units(
    images: Any, statistics: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        both(images, **statistics)
    with pytest.raises(DataError, match=said):
        from_arrays(images, LABELS, valid_fraction=0.3, **statistics)


def test_usual_statistics_are_taken() -> None:
    for images, mean, std in [(IMAGES, 0, 1), (IMAGES, 127.5, 127.5), (UNIT, 0.485, 0.229)]:
        assert both(images, mean=[mean] * 3, std=[std] * 3).std[0] == np.float32(std)


@pytest.mark.parametrize("images", [np.zeros_like(IMAGES), np.repeat(IMAGES[:1], 40, axis=0)])
@pytest.mark.parametrize("split", ["valid", "test"])
def test_splits_that_do_not_vary(images: Any, split: str) -> None:
    splits: Any = (IMAGES, LABELS) * (2 if split == "test" else 1)
    said = rf"(every pixel of {split}_images is 0|{split}_images are 40 times the same image): give"
    with pytest.raises(DataError, match=said):
        from_arrays(*[*splits, images, LABELS])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"classes": 2.0}, r"classes=2\.0 of from_arrays: give a whole number of at least 1"),
        ({"classes": "2"}, "classes='2' of from_arrays"),
        ({"classes": True}, "classes=True of from_arrays"),
        ({"classes": 0}, "classes=0 of from_arrays"),
        ({"classes": 10**9}, "classes=1000000000 is more than the 40 training images"),
        ({"channels_last": "no"}, "channels_last='no' of from_arrays: give true or false"),
    ],
)
def test_settings_of_arrays(setting: dict[str, Any], said: str) -> None:
    with pytest.raises((DataError, SettingError), match=said):
        both(**setting)
    with pytest.raises((DataError, SettingError), match=said):
        from_arrays(IMAGES, LABELS, valid_fraction=0.2, **setting)
    assert both(classes=np.int64(4)).fingerprint == both().fingerprint


@pytest.mark.parametrize("largest", [10**7, 2 * 10**9])
def test_large_labels_take_no_memory(largest: int) -> None:
    labels = np.where(LABELS == 3, largest, LABELS)
    for classes in (None, largest + 1):
        with pytest.raises(DataError, match=r"no training image has label 3|more than the 40"):
            from_arrays(IMAGES, labels, valid_fraction=0.2, classes=classes)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(5, 70), st.integers(5, 70), st.sampled_from([1, 3, 4]), st.integers(2, 64))
def test_either_order_is_taken_at_most(height: int, width: int, usual: int, any_: int) -> None:
    for picture in ((height, width, usual), *([(height, height, any_)] if any_ != height else [])):
        check_channels(picture)
        with pytest.raises(DataError, match="channels_last=True"):
            check_channels((picture[2], *picture[:2]))


def test_grey_pictures_have_no_order(tmp_path: Path) -> None:
    narrow = IMAGES[:, :, :1, :1]
    with pytest.raises(DataError, match="channels_last=True"):
        both(narrow)
    assert both(narrow[..., 0]).image_shape == (8, 1, 1)
    path = tmp_path / "first.npz"
    first = IMAGES.transpose(0, 3, 1, 2)
    np.savez(path, x_train=first, y_train=LABELS, x_valid=first, y_valid=LABELS)
    with pytest.raises(DataError, match="channels_last=True"):
        load(str(path))
    assert load(str(path), channels_last=True).image_shape == (3, 8, 8)
    with pytest.raises(SettingError, match="channels_last"):
        load(str(tmp_path), channels_last=True)
