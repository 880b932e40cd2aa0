"""Validation splits that are drawn: how sets are named, and how to draw a larger one."""

from pathlib import Path
from typing import Any

import pytest

from nasproxy.data import load
from nasproxy.errors import DataError
from tests.support.data import pictures, write_prepared


def test_names_state_what_shaped_a_set(tmp_path: Path) -> None:
    """What is not the default and had an effect, written as `--data` takes it."""
    folder = str(write_prepared(tmp_path, "mine", {"train": pictures(100)}))
    settings: dict[str, Any] = {"valid_fraction": 0.3, "seed": 2}
    assert load(folder).name == "mine"
    assert load(folder, labels=4).name == "mine:labels=4"
    assert load(folder, labels=4, **settings).name == "mine:labels=4,valid_fraction=0.3,seed=2"
    assert load("digits", seed=2).name == "digits:seed=2"
    splits = {"train": pictures(100), "validation": pictures(20, seed=1)}
    split = str(write_prepared(tmp_path, "split", splits))
    assert load(split, **settings).name == "split"
    assert load(split, labels=4, **settings).name == "split:labels=4,seed=2"
    write_prepared(tmp_path, "cifar10", {"train": pictures(50)})
    assert load("cifar10", data_dir=tmp_path, **settings).name == "cifar10"


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(("split", "n"), [("valid", 41), ("train", 61)])
def test_a_drawn_split_can_be_drawn_larger(
    split: str, n: int, balanced: bool, tmp_path: Path
) -> None:
    """The error names the setting, and the value that it gives is one that works."""
    folder = str(write_prepared(tmp_path, "mine", {"train": pictures(100)}))
    with pytest.raises(DataError, match=r"valid_fraction than 0\.4: --data NAME:") as caught:
        load(folder, valid_fraction=0.4).subset(split, n, 0, balanced)
    fraction = float(str(caught.value).rpartition("valid_fraction=")[2])
    assert len(load(folder, valid_fraction=fraction).subset(split, n, 0, balanced)[1]) == n


def test_other_splits_are_as_they_are(tmp_path: Path) -> None:
    """Neither a published split nor more images than there are is a matter of the fraction."""
    folder = str(write_prepared(tmp_path, "mine", {"train": pictures(100)}))
    for data, n in ((load(folder), 100), (load("digits"), 600)):
        with pytest.raises(DataError, match=r"ask for at most \d+$"):
            data.subset("valid", n, 0)


def test_a_rare_class_decides_how_much_to_draw(tmp_path: Path) -> None:
    examples = [*pictures(200), *[(image, 3) for image, _ in pictures(100, seed=1)]]
    folder = str(write_prepared(tmp_path, "uneven", {"train": examples}))
    with pytest.raises(DataError, match="class 0 has 4 images in its valid split") as caught:
        load(folder).subset("valid", 60, 0)
    fraction = float(str(caught.value).rpartition("valid_fraction=")[2])
    assert len(load(folder, valid_fraction=fraction).subset("valid", 60, 0)[1]) == 60
