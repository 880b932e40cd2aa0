"""ImageNet-like data: resized and cropped, classes chosen, decoded as it is used."""

import math
import os
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nasproxy.data import Dataset, load, splits
from nasproxy.data.lazy import LazyImages
from nasproxy.data.splits import resized
from nasproxy.errors import DataError, SettingError
from nasproxy.networks import features
from nasproxy.proxies import NNGP, Training
from nasproxy.proxies import training as training_module
from search_spaces import NASBench101, NASBenchMacro
from search_spaces.nasbench101 import Cell
from tests.support.cli import run
from tests.support.data import TFDS, pictures, random_image, write_pictures, write_prepared

SPACE = NASBenchMacro(width=8)


# Resizing


@pytest.mark.parametrize("channels", [1, 3])
def test_an_imagenet_image_is_cropped_at_its_centre(channels: int) -> None:
    """A shortest edge of 256 is not resized for 224: what is left is a slice."""
    image = random_image(256, 400, channels)
    np.testing.assert_array_equal(resized(image, 224), image[16:240, 88:312])
    turned = image.swapaxes(0, 1)
    np.testing.assert_array_equal(resized(turned, 224), turned[88:312, 16:240])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.sampled_from([1, 3]))
def test_every_size_comes_to_the_resolution(h: int, w: int, resolution: int, c: int) -> None:
    """Of an even picture nothing but its size changes."""
    out = resized(np.full((h, w, c), 77, np.uint8), resolution)
    assert out.shape == (resolution, resolution, c)
    assert out.dtype == np.uint8
    assert (out == 77).all()


def test_shrinking_averages() -> None:
    """Stripes a pixel wide become grey, not stripes of another width."""
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resized(stripes, 14).astype(int) - 100).max() < 10


def test_an_image_of_the_resolution_is_left_alone() -> None:
    image = random_image(8, 8, 3)
    assert resized(image, 8) is image
    assert resized(image, None) is image


# Prepared sets


def test_a_prepared_set_is_resized(tmp_path: Path) -> None:
    """Images of several sizes, one size out; kept in a cache of its own."""
    odd = [*pictures(99), (random_image(6, 5, 3), 9)]
    folder = write_prepared(tmp_path, "odd", {"train": odd, "validation": pictures(20, seed=1)})
    data = load(str(folder), resolution=3)
    assert data.image_shape == (3, 3, 3)
    assert data.name == "odd:resolution=3"
    np.testing.assert_array_equal(data.train_images[99:][0], resized(odd[99][0], 3))
    assert load(str(folder), resolution=3).fingerprint == data.fingerprint
    assert load(str(folder), resolution=2).fingerprint != data.fingerprint


def test_chosen_labels(tmp_path: Path) -> None:
    """The images of some classes, each with its old class's number among them."""
    examples = pictures(60)
    folder = write_prepared(
        tmp_path, "ten", {"train": examples, "validation": examples, "test": examples}
    )
    whole, some = load(str(folder)), load(str(folder), labels=4, seed=3)
    assert (whole.classes, some.classes, some.name) == (10, 4, "ten:labels=4,seed=3")
    assert np.bincount(some.train_labels).tolist() == [6] * 4
    before = {image.tobytes(): int(y) for image, y in examples}
    pairs = {
        (int(y), before[image.tobytes()])
        for image, y in zip(some.train_images[:], some.train_labels, strict=True)
    }
    numbers, kept = zip(*sorted(pairs), strict=True)
    assert numbers == (0, 1, 2, 3)
    assert list(kept) == sorted(set(kept))
    assert load(str(folder), labels=4, seed=3).fingerprint == some.fingerprint
    assert load(str(folder), labels=4, seed=4).fingerprint != some.fingerprint
    assert load(str(folder), labels=10).train_labels.tolist() == whole.train_labels.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 1}, "labels=1 of data: give a whole number from 2 to 10, as many as few"),
        ({"labels": 11}, "labels=11"),
        ({"resolution": 0}, "resolution=0 of data: give a whole number"),
        ({"resolution": 2.5}, "resolution=2.5"),
    ],
)
def test_settings_out_of_range(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = write_prepared(tmp_path, "few", {"train": pictures(100)})
    with pytest.raises(SettingError, match=message):
        load(str(folder), **options)


def test_embedded_data_is_as_it_is() -> None:
    with pytest.raises(SettingError, match="'digits' has no setting 'resolution'"):
        load("digits", resolution=16)


# Lazy splits


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, Dataset, list[int]]:
    """A set held and the same set lazy, and how many images each read of the lazy one asks for."""
    images = [(random_image(9, 12, 3, seed=i), i % 10) for i in range(150)]
    folder = write_prepared(tmp_path, "large", {"train": images, "validation": images[:80]})
    held = load(str(folder), resolution=8, labels=4)
    monkeypatch.setattr(splits, "HELD_BYTES", 0)
    monkeypatch.setenv("NASPROXY_CACHE", str(tmp_path / "another"))
    lazy = load(str(folder), resolution=8, labels=4)
    asked: list[int] = []

    def counting(images: Any) -> LazyImages:
        def read(places: Sequence[int]) -> Sequence[NDArray[Any]]:
            asked.append(len(places))
            return images.read(places)

        return replace(images, read=read)

    lazy = replace(
        lazy,
        train_images=counting(lazy.train_images),
        valid_images=counting(lazy.valid_images),
        mean=held.mean,
        std=held.std,
    )
    return held, lazy, asked


def test_a_lazy_set_gives_what_a_held_one_does(both: tuple[Dataset, Dataset, list[int]]) -> None:
    held, lazy, asked = both
    assert isinstance(lazy.train_images, LazyImages)
    assert lazy.image_shape == held.image_shape
    np.testing.assert_array_equal(lazy.train_labels, held.train_labels)
    for ours, theirs in zip(
        lazy.subset("train", 24, seed=2), held.subset("train", 24, seed=2), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert asked == [24]
    np.testing.assert_array_equal(lazy.valid_images[5:9], held.valid_images[5:9])


def test_lazy_images_know_their_contents(both: tuple[Dataset, Dataset, list[int]]) -> None:
    """The fingerprint decodes nothing, and tells other images apart."""
    _, lazy, asked = both
    images: Any = lazy.train_images
    reversed_order = replace(lazy, train_images=images.take(np.arange(len(images))[::-1]))
    assert lazy.fingerprint == replace(lazy).fingerprint != reversed_order.fingerprint
    assert not asked


def test_the_nngp_decodes_batch_by_batch(
    both: tuple[Dataset, Dataset, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The score of a held set, with no more images in memory than a batch has."""
    held, lazy, asked = both
    nngp = NNGP(n_train=40, n_valid=24, norm_images=8)
    # Ten images, by either engine.
    monkeypatch.setattr(features, "ACTIVATION_BYTES", {"cpu": 4 * 8**3 * 10})
    monkeypatch.setattr(features, "PART_BYTES", 4 * math.prod(held.image_shape) * 10)
    architecture = "00000000"
    expected = nngp.prepare(SPACE, held, 0)(architecture)
    monkeypatch.setattr(features, "HELD_BYTES", 0)
    scorer = nngp.prepare(SPACE, lazy, 0)
    assert asked == [8]  # the batch-norm batch
    assert scorer(architecture).value == expected.value
    assert sum(asked[1:]) == 64
    assert max(asked) <= 10
    again = len(asked)
    scorer(architecture)
    assert sum(asked[again:]) == 64


@pytest.mark.parametrize("prepared", [True, False], ids=["TFDS", "pictures"])
def test_lazy_images_can_be_sent_to_other_processes(
    prepared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent is where they lie; they are read there, and are the same set."""
    monkeypatch.setattr(splits, "HELD_BYTES", 0)
    if prepared:
        folder = write_prepared(tmp_path, "mine", {"train": pictures(100)})
    else:
        folder = write_pictures(tmp_path / "pets")
    lazy = load(str(folder), resolution=8)
    assert isinstance(lazy.train_images, LazyImages)
    sent = pickle.dumps(lazy)
    assert len(sent) < 20_000
    there = pickle.loads(sent)
    assert there.fingerprint == lazy.fingerprint
    np.testing.assert_array_equal(there.train_images[:], lazy.train_images[:])


def test_training_reads_lazy_images(both: tuple[Dataset, Dataset, list[int]]) -> None:
    held, lazy, _ = both
    space, training = NASBench101(width=4, stacks=1, cells=1), Training(epochs=1, batch=30)
    cell = Cell.create([[0, 1], [0, 0]], ["input", "output"])
    scores = [training.prepare(space, data, 0)(cell) for data in (held, lazy)]
    assert scores[0].value == scores[1].value
    assert scores[0].columns == scores[1].columns


# The command line


def test_settings_of_data(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pets", count=20)
    out = tmp_path / "out.csv"
    words = ["score", "nasbench_macro", "--sample", "2", "--proxy", "macs", "--out", str(out)]
    text = f"{folder}:resolution=16,labels=2,valid_fraction=0.3,seed=1"
    run(*words, "--data", text)
    first, *_ = out.read_text().splitlines()[1:]
    key, macs, *_ = first.split(",")
    assert float(macs) == NASBenchMacro().graph(key, (16, 16, 3), 2).flops / 2
    with pytest.raises(SettingError, match="no setting 'size': it has resolution, labels"):
        run(*words, "--data", f"{folder}:size=16")


@pytest.mark.skipif(not TFDS.is_dir(), reason="needs the data folder beside the repository")
def test_tiny_imagenet_at_half_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "HELD_BYTES", 2**20)
    data = load("tiny_imagenet100", data_dir=TFDS, resolution=32, labels=10)
    assert isinstance(data.train_images, LazyImages)
    images, labels = data.subset("valid", 40, seed=0)
    assert images.shape == (40, 32, 32, 3)
    assert np.bincount(labels).tolist() == [4] * 10
    np.testing.assert_allclose(data.mean, (123.7, 116.3, 103.5))
    assert 0.5 < images.std() < 2


# Sizes


def test_strips_are_cropped_before_they_are_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, the first would take 16 GB; of usual shapes both ways come to one level at most."""
    strip = random_image(1, 60_000, 3)
    assert resized(strip, 224).shape == (224, 224, 3)
    for shape in [(40, 31, 3), (300, 451, 3), (20, 90, 1)]:
        image = random_image(*shape)
        whole = resized(image, 24)
        monkeypatch.setattr(splits, "_WHOLE", 0)
        np.testing.assert_allclose(resized(image, 24).astype(int), whole.astype(int), atol=1)
        monkeypatch.undo()


@pytest.mark.parametrize("resolution", [4_097, 1_000_000, 10**30])
def test_resolutions_have_a_bound(resolution: int, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="give a whole number from 1 to 4096, pixels a side"):
        load(str(tmp_path), resolution=resolution)


def test_training_holds_a_batch_of_what_is_many(
    both: tuple[Dataset, Dataset, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, lazy, asked = both
    monkeypatch.setattr(features, "HELD_BYTES", 0)
    monkeypatch.setattr(training_module, "EVALUATED", 8)
    space, training = NASBench101(width=4, stacks=1, cells=1), Training(epochs=1, batch=30)
    cell = Cell.create([[0, 1], [0, 0]], ["input", "output"])
    expected = training.prepare(space, held, 0)(cell)
    scorer = training.prepare(space, lazy, 0)
    assert not asked
    assert scorer(cell).value == expected.value
    assert max(asked) <= 30


def test_copies_of_a_prepared_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "HELD_BYTES", 0)
    folder = write_prepared(tmp_path, "large", {"train": pictures(100)})
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "other" / "3.0.2"))
    os.utime(next(copy.glob("*array_record*")), (1, 1))
    data = load(str(folder))
    assert isinstance(data.train_images, LazyImages)
    assert load(str(copy)).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}", "[]", "null", '{"splits": 3}', '{"name": {"a": 1}}', "\0"]
)
def test_odd_descriptions_of_a_set(text: str, tmp_path: Path) -> None:
    folder = write_prepared(tmp_path, "odd", {"train": pictures(20)})
    (folder / "dataset_info.json").write_text(text)
    with pytest.raises(DataError) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_labels_beyond_the_classes(tmp_path: Path) -> None:
    examples = [(image, 12) for image, _ in pictures(20)]
    folder = write_prepared(tmp_path, "beyond", {"train": examples})
    for labels in (None, 3):
        with pytest.raises(
            DataError, match="10 classes, but labels of its train split run from 12"
        ):
            load(str(folder), labels=labels)
