"""A name or a path to a Dataset: digits, an .npz file, a TFDS set, a folder of pictures."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nasproxy.checks import Flag, Optional, Whole, checked
from nasproxy.data.arrays import FRACTION, from_arrays
from nasproxy.data.dataset import Dataset, balanced_order
from nasproxy.data.held_out import hold_out, take
from nasproxy.data.image_folder import is_image_folder, read_image_folder
from nasproxy.data.npz import read_npz
from nasproxy.data.pooling import POOL, pooled
from nasproxy.data.prepared import Prepared, read_folder, read_name
from nasproxy.data.trouble import reason
from nasproxy.errors import DataError, NasproxyError, SettingError
from nasproxy.plugins import DATASETS, is_dotted
from nasproxy.settings import first_line

# Per-channel mean and standard deviation of the pixels in 0..255, as NAS-Bench-101 (Ying et al.
# 2019) and the NNGP paper (Park et al. 2020) use them.
_CIFAR = ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
_IMAGENET = ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4))
_VALID_FRACTION = 0.2  # of the training split, where no validation split is published
_CIFAR_VALID_FRACTION = 0.2  # NAS-Bench-101: the first 40,000 train, the last 10,000 validate
_DIGITS_VALID, _DIGITS_TEST = 520, 200  # 52 and 20 a class; 1,077 are left to train


_SEED = Whole(0)
_RESOLUTION = Optional(Whole(1, 4_096, hint="pixels a side"))
_SETTINGS = ("resolution", "labels", "pool", "valid_fraction", "seed", "channels_last")


def available() -> list[tuple[str, str]]:
    """What ``load`` takes: names, each with a line on what it is."""
    registered = [(name, first_line(DATASETS[name])) for name in DATASETS]
    return [
        *registered,
        ("cifar10", "60,000 32×32 colour images of 10 classes, as TFDS prepares it; 40k/10k split"),
        ("cifar100", "the same of 100 classes"),
        ("<TFDS name>", "any image classification set of TensorFlow Datasets"),
        (
            "<folder>",
            "a prepared TFDS folder (the one that holds dataset_info.json), or pictures as"
            " train/CLASS/*.jpg, val/CLASS/*.jpg",
        ),
        (
            "<file>.npz",
            "arrays x_train, y_train, x_valid, y_valid and, if you like, x_test, y_test",
        ),
        ("<module>.<name>", "a function of yours that returns a Dataset"),
    ]


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    valid_fraction: float = _VALID_FRACTION,
    resolution: int | None = None,
    labels: int | None = None,
    pool: int = 1,
    **settings: Any,
) -> Dataset:
    """The data set of that name or path (see ``available``), ready to take subsets of.

    TFDS sets are looked for in ``data_dir`` (TFDS's own default: ~/tensorflow_datasets). Where no
    validation split is published, ``valid_fraction`` of the training split is drawn for it, class
    by class, by ``seed``; digits is split 1,077 / 520 / 200 by ``seed``, validation and test with
    equally many of each class; CIFAR as NAS-Bench-101 does, the first 40,000 of TFDS's order to
    train and the last 10,000 to validate. Standardised with the papers' constants for CIFAR and
    ImageNet's kin, with measured ones otherwise.

    Of TFDS sets and folders, ``resolution`` brings every image to that many pixels a side, shortest
    edge first (8/7 of it), then its centre; splits that are large then are decoded as they are
    used. ``labels`` keeps that many classes, drawn by ``seed``, and numbers them anew. Of an .npz,
    ``channels_last`` is as for :func:`from_arrays`.

    ``pool`` averages whole blocks of so many pixels a side, after ``resolution`` and before images
    are standardised: by 2, CIFAR's are 16×16. The papers' constants stay; what is measured, is of
    the means. Sets of loaders that do not take it keep their own constants.

    A loader that is registered (entry points of the group ``nasproxy.datasets``) or that a dotted
    name imports is a function that returns a Dataset; it is called with whichever of these settings
    and of its own (``settings``) are given, and with ``data_dir`` if it takes one.

    The set's name states whichever of these settings shaped it and are not the default.

    Raises:
        DataError: what cannot be found, read or scored.
        SettingError: a setting out of its range, or one that the set does not have.
    """
    name = _as_text(name)
    pool = checked("data", "pool", pool, POOL)
    if name in DATASETS or (is_dotted(name) and not _is_file(name)):
        given = {
            "seed": (seed, 0),
            "valid_fraction": (valid_fraction, _VALID_FRACTION),
            "resolution": (resolution, None),
            "labels": (labels, None),
            "pool": (pool, 1),
        }
        chosen = {key: value for key, (value, default) in given.items() if value != default}
        return _called(name, data_dir, chosen | settings)
    channels_last = checked("data", "channels_last", settings.pop("channels_last", False), Flag())
    if settings:
        raise SettingError(
            f"data has no setting {next(iter(settings))!r}: it has {', '.join(_SETTINGS)}"
        )
    seed = checked("data", "seed", seed, _SEED)
    valid_fraction = checked("data", "valid_fraction", valid_fraction, FRACTION)
    resolution = checked("data", "resolution", resolution, _RESOLUTION)
    with _as_data_error(name):
        dataset = _load(
            name,
            data_dir,
            seed,
            valid_fraction,
            resolution,
            labels,
            pool,
            channels_last=channels_last,
        )
    drawn = dataset.valid_fraction is not None
    seeded = drawn or labels is not None
    return _named(
        dataset,
        {
            "labels": labels,
            "resolution": resolution,
            "pool": pool if pool > 1 else None,
            "valid_fraction": (
                valid_fraction if drawn and valid_fraction != _VALID_FRACTION else None
            ),
            "seed": seed if seeded and seed != 0 else None,
        },
    )


def _as_text(name: str | os.PathLike[str]) -> str:
    text = os.fspath(name) if isinstance(name, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"data is {name!r}: give a name or a path, `nasproxy datasets` lists them")
    return text


def _is_file(name: str) -> bool:
    with suppress(OSError, ValueError):  # names that no file can have
        return Path(name).suffix == ".npz" or Path(name).exists()
    return False


@contextmanager
def _as_data_error(name: str) -> Iterator[None]:
    """Paths that are too long, unreadable or that go away, and what memory cannot hold."""
    try:
        yield
    except NasproxyError:
        raise
    except OSError as error:
        raise DataError(
            f"{name[:200]!r} cannot be read ({reason(error)}): check the path"
        ) from error
    except MemoryError as error:
        raise DataError(
            f"{name!r} needs more memory than there is ({reason(error)}): give fewer or smaller"
            " images, such as by a resolution"
        ) from error


def _called(
    name: str, data_dir: str | os.PathLike[str] | None, settings: dict[str, Any]
) -> Dataset:
    """What a loader of this or another package gives for some settings."""
    loader = DATASETS.find(name)
    known = inspect.signature(loader).parameters
    own = list(dict.fromkeys([*(key for key in known if key != "data_dir"), "pool"]))
    for key in settings:
        if key not in own:
            raise SettingError(f"data {name!r} has no setting {key!r}: it has {', '.join(own)}")
    given = {key: value for key, value in settings.items() if key != "pool" or key in known}
    dataset = loader(**given, **({"data_dir": data_dir} if "data_dir" in known else {}))
    if not isinstance(dataset, Dataset):
        raise DataError(
            f"the loader {name} returned {type(dataset).__name__}: return a Dataset, such as"
            " nasproxy.data.from_arrays makes"
        )
    if "pool" in settings and "pool" not in known:
        dataset = _pooled(dataset, settings["pool"], mean=dataset.mean, std=dataset.std)
    return _named(
        dataset,
        {k: v for k, v in settings.items() if k not in known or v != known[k].default},
    )


def _named(dataset: Dataset, settings: dict[str, Any]) -> Dataset:
    """The set with those settings in its name that are not None."""
    stated = ",".join(f"{key}={value}" for key, value in settings.items() if value is not None)
    return replace(dataset, name=f"{dataset.name}:{stated}") if stated else dataset


def _load(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    seed: int,
    valid_fraction: float,
    resolution: int | None,
    labels: int | None,
    pool: int,
    *,
    channels_last: bool,
) -> Dataset:
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise DataError(f"{name!r} names no folder ({reason(error)}): write the path") from error
    if path.suffix == ".npz" and (resolution, labels) != (None, None):
        raise SettingError(
            f"resolution and labels are for TFDS sets and folders: leave them out of {name}"
        )
    if path.suffix == ".npz":
        arrays: dict[str, Any] = {**read_npz(path)}
        dataset = from_arrays(**arrays, name=path.stem, channels_last=channels_last)
        return dataset if pool == 1 else _pooled(dataset, pool)
    if channels_last:
        raise SettingError(f"channels_last is for .npz files: leave it out of {name}")
    if (path / "dataset_info.json").is_file():
        prepared = read_folder(path, resolution)
    elif path.is_dir() and not list(path.glob("**/dataset_info.json")) and is_image_folder(path):
        prepared = read_image_folder(path, resolution)
    elif name.startswith((".", "~", os.sep)) or (path.exists() and os.sep in name):
        prepared = read_folder(path, resolution)
    else:
        prepared = read_name(name, data_dir, resolution)
    if labels is not None:
        prepared = _with_labels(prepared, labels, seed)
    if pool > 1:
        splits = {split: (pooled(x, pool), y) for split, (x, y) in prepared.splits.items()}
        prepared = replace(prepared, splits=splits)
    return _from_prepared(prepared, seed, valid_fraction)


def _pooled(dataset: Dataset, pool: int, **constants: Any) -> Dataset:
    """Checked images in blocks, measured anew unless there are constants for them."""
    test = dataset.test_images
    made = from_arrays(
        *(pooled(dataset.train_images, pool), dataset.train_labels),
        *(pooled(dataset.valid_images, pool), dataset.valid_labels),
        *(None if test is None else pooled(test, pool), dataset.test_labels),
        name=dataset.name,
        classes=dataset.classes,
        channels_last=True,
        **constants,
    )
    return replace(made, valid_fraction=dataset.valid_fraction)


def digits(seed: int = 0, pool: int = 1) -> Dataset:
    """1,797 8×8 grey digits of 10 classes, embedded: nothing to download.

    scikit-learn's; 520 validate and 200 test, equally many of each class, drawn by ``seed``.
    ``pool`` is as for :func:`load`.
    """
    seed = checked("data", "seed", seed, _SEED)
    pool = checked("data", "pool", pool, POOL)
    from sklearn.datasets import load_digits  # a second to import, and seldom needed

    loaded: Any = load_digits()
    images, labels = loaded.images.astype(np.uint8), loaded.target.astype(np.int32)
    images = np.asarray(pooled(images[..., None], pool))
    order = balanced_order(labels, 10, seed)
    valid, test = np.split(order[: _DIGITS_VALID + _DIGITS_TEST], [_DIGITS_VALID])
    train = np.setdiff1d(np.arange(len(labels)), np.concatenate([valid, test]))
    return from_arrays(
        *(images[train], labels[train], images[valid], labels[valid], images[test], labels[test]),
        name="digits",
    )


def _with_labels(prepared: Prepared, count: int, seed: int) -> Prepared:
    """The images of some classes, numbered from 0 in the classes' order."""
    most = Whole(2, prepared.classes, hint=f"as many as {prepared.name} has classes")
    count = checked("data", "labels", count, most)
    kept = np.sort(np.random.default_rng(seed).choice(prepared.classes, count, replace=False))
    numbers = np.full(prepared.classes, -1, np.int32)
    numbers[kept] = np.arange(count)
    splits = {}
    for split, (images, labels) in prepared.splits.items():
        renumbered = np.where(labels < 0, -1, numbers[labels])  # a hidden test set has -1
        members = np.flatnonzero(renumbered >= 0)
        if len(members):
            splits[split] = take(images, members), renumbered[members]
    return Prepared(prepared.name, count, splits)


def _from_prepared(prepared: Prepared, seed: int, valid_fraction: float) -> Dataset:
    splits = dict(prepared.splits)
    cifar = prepared.name in ("cifar10", "cifar100")
    drawn = "validation" not in splits and not cifar
    if "validation" not in splits:
        images, labels = splits["train"]
        if cifar:
            held_out = np.arange(len(labels)) >= len(labels) * (1 - _CIFAR_VALID_FRACTION)
        else:
            held_out = hold_out(labels, prepared.classes, seed, valid_fraction)
        splits["train"] = take(images, ~held_out), labels[~held_out]
        splits["validation"] = take(images, held_out), labels[held_out]
    if "test" in splits and (splits["test"][1] < 0).all():
        del splits["test"]  # TFDS marks the labels of a competition's hidden test set with -1
    mean, std = None, None
    if cifar:
        mean, std = _CIFAR
    elif "imagenet" in prepared.name:
        mean, std = _IMAGENET
    dataset = from_arrays(
        *(*splits["train"], *splits["validation"], *splits.get("test", (None, None))),
        name=prepared.name,
        classes=prepared.classes,
        mean=mean,
        std=std,
        channels_last=True,  # as every decoder of pictures has them
    )
    return replace(dataset, valid_fraction=valid_fraction if drawn else None)
