"""Arrays at the entrance: what could only be guessed is refused, with what to do instead."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasproxy.data import from_arrays, load
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
    "shape", [(3, 32, 32), (1, 28, 28), (4, 16, 16), (12, 32, 32), (3, 32, 48)]
)
def test_channels_that_come_first_are_refused(shape: tuple[int, ...]) -> None:
    images = RNG.normal(size=(40, *shape))
    with pytest.raises(DataError, match=r"transpose\(0, 2, 3, 1\)"):
        both(images)
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
SAME = [  # one unit, or too near to it to tell
    {"0..1", "bytes cut to 0 and 1"},
    {"0..255", "-128..127"} - {"-128..127"},
    {"dark bytes", "0..16"},
    {"dark bytes", "0..10"},
    {"0..16", "0..10"},
]


@pytest.mark.parametrize("valid", UNITS)
@pytest.mark.parametrize("train", [name for name in UNITS if "constant" not in name])
def test_splits_have_one_unit(train: str, valid: str) -> None:
    def entrance() -> Any:
        return from_arrays(UNITS[train], LABELS, UNITS[valid], LABELS)

    told_apart = train != valid and {train, valid} not in SAME
    if {train, valid} == {"-1..1", "-0.5..0.5"}:
        told_apart = False
    if told_apart:
        with pytest.raises(DataError, match=r"one scale|give images that vary"):
            entrance()
    else:
        assert entrance().valid_images.shape == (40, 8, 8, 3)
