"""Arrays of one's own as a Dataset, checked once so that nothing downstream has to."""

from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from jaxtyping import Real as RealArray
from numpy.typing import ArrayLike, NDArray

from nasproxy.checks import Flag, Optional, Real, Whole, checked
from nasproxy.data.dataset import Dataset, Images, Labels
from nasproxy.data.held_out import hold_out, take
from nasproxy.data.lazy import LazyImages
from nasproxy.data.units import (
    Extent,
    check_channels,
    check_splits,
    check_statistics,
    check_varies,
)
from nasproxy.errors import DataError, SettingError

FRACTION = Real(above=0, below=1, hint="such as 0.4")
"""Part of a split."""
_CLASSES = Optional(Whole(1))
_CHUNK = 1_024  # images a pass of the statistics holds in float64


def from_arrays(
    train_images: ArrayLike | LazyImages,
    train_labels: ArrayLike,
    valid_images: ArrayLike | LazyImages | None = None,
    valid_labels: ArrayLike | None = None,
    test_images: ArrayLike | LazyImages | None = None,
    test_labels: ArrayLike | None = None,
    *,
    name: str = "arrays",
    classes: int | None = None,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
    valid_fraction: float | None = None,
    seed: int = 0,
    channels_last: bool = False,
) -> Dataset:
    """A Dataset of images [N, H, W, C], or [N, H, W] for grey ones, and integer labels [N].

    uint8 images are kept as they are, others become float32. Lazy images are taken as they are, and
    measured on a thousand of them. Units are compared on 64 images of every split, see
    :mod:`nasproxy.data.units`.

    Args:
        train_images, train_labels: what is trained on.
        valid_images, valid_labels: what is validated on; or neither, and ``valid_fraction``.
        test_images, test_labels: both or neither.
        name: of the set.
        classes: one more than the largest label unless given; then every one of them has to have
            training images. Given, it is no more than there are training images, and classes may
            have none.
        mean, std: [C], in the images' units; measured over the training images unless given.
        valid_fraction: the part of every class of the training images, drawn by ``seed``, that is
            validated on where no other images are given.
        channels_last: says that the last axis is the channels' indeed, where it could as well be
            the first that is: square pictures are likelier, then those of 1, 3 or 4 channels.

    Raises:
        DataError: naming the array, what could not be scored: not finite, empty, mismatched shapes,
            labels out of range, a class without training images, splits or statistics of other
            units, channels that may come first, a channel or a split that does not vary.
        SettingError: ``classes``, ``seed``, ``channels_last`` or a ``valid_fraction`` that is none,
            or one beside validation images.
    """
    classes = checked("from_arrays", "classes", classes, _CLASSES)
    grey = _dimensions("train_images", train_images) == 3  # their one channel is ours
    channels_last = checked("from_arrays", "channels_last", channels_last, Flag()) or grey
    if (valid_images is None) != (valid_labels is None):
        raise DataError("valid_images and valid_labels come together: give both or neither")
    if valid_images is None or valid_labels is None:
        part = checked("from_arrays", "valid_fraction", valid_fraction, FRACTION)
        seed = checked("from_arrays", "seed", seed, Whole(0))
        train_images = _images("train_images", train_images)
        train_labels = _labels("train", train_labels, len(train_images))
        _check_labels("train", train_labels, classes or _count({"train": train_labels}))
        held_out = hold_out(train_labels, int(train_labels.max()) + 1, seed, part)
        valid_images, valid_labels = take(train_images, held_out), train_labels[held_out]
        train_images, train_labels = take(train_images, ~held_out), train_labels[~held_out]
    elif valid_fraction is not None:
        raise SettingError("valid_fraction is for images without a validation split: leave it out")
    given: dict[str, tuple[ArrayLike | LazyImages, ArrayLike]] = {
        "train": (train_images, train_labels),
        "valid": (valid_images, valid_labels),
    }
    if (test_images is None) != (test_labels is None):
        raise DataError("test_images and test_labels come together: give both or neither")
    if test_images is not None and test_labels is not None:
        given["test"] = (test_images, test_labels)
    images = {split: _images(f"{split}_images", pair[0]) for split, pair in given.items()}
    labels = {split: _labels(split, pair[1], len(images[split])) for split, pair in given.items()}

    shape = images["train"].shape[1:]
    for split, array in images.items():
        if array.shape[1:] != shape:
            raise DataError(
                f"{split}_images are {_by(array.shape[1:])}, train_images {_by(shape)}:"
                " bring them to one size and number of channels"
            )
    if not channels_last:
        check_channels(shape)
    count = _count(labels) if classes is None else classes
    for split, array in labels.items():
        _check_labels(split, array, count)
    extents = {split: Extent.of(array) for split, array in images.items()}
    measured = _measured(images["train"]) if mean is None or std is None else images["train"][:1]
    mean = _statistic("mean", _mean(measured) if mean is None else mean, shape[-1])
    std = _statistic("std", _std(measured) if std is None else std, shape[-1])
    if (std <= 0).any():
        raise DataError(
            f"channel {int((std <= 0).argmax())} has a standard deviation of"
            f" {std[std <= 0][0]:g}: it does not vary over the training images; drop it"
        )
    for split in ("valid", "test"):
        if split in images:
            check_varies(f"{split}_images", images[split])
    check_splits(extents)
    check_statistics(extents["train"], mean, std)
    return Dataset(
        name=name,
        classes=count,
        train_images=images["train"],
        train_labels=labels["train"],
        valid_images=images["valid"],
        valid_labels=labels["valid"],
        mean=mean,
        std=std,
        test_images=images.get("test"),
        test_labels=labels.get("test"),
    )


def _count(labels: dict[str, Labels]) -> int:
    """Classes 0, 1, … up to the largest label, every one of which the training split has."""
    present = np.unique(labels["train"])
    largest = int(max(array.max() for array in labels.values()))
    if len(present) == largest + 1:
        return largest + 1
    missing = int(
        np.flatnonzero(np.append(present, -1)[: len(present) + 1] != np.arange(len(present) + 1))[0]
    )
    cure = "give labels 0, 1, 2, …, all in the training split"
    if missing == 0 and len(present) == largest:
        cure = "subtract 1 from all of them"
    elif len(present) < largest:
        cure += " (np.unique(labels, return_inverse=True)[1] numbers them so)"
    raise DataError(
        f"labels run to {largest}, but no training image has label {missing}: {cure}; or, if there "
        f"is such a class, give classes={largest + 1}"
    )


def _images(name: str, given: ArrayLike | LazyImages) -> Images:
    if isinstance(given, LazyImages):
        return given
    array = _array(name, given)
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4:
        raise DataError(
            f"{name} has shape {_by(array.shape)}; images are [N, H, W, C], or [N, H, W] for grey"
        )
    if array.size == 0:
        raise DataError(f"{name} is empty (shape {_by(array.shape)}); give at least one image")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "uif":
        raise DataError(f"{name} has dtype {array.dtype}; images are uint8 or real numbers")
    with np.errstate(over="ignore"):  # an overflow is inf, and reported below
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        first = int(np.isfinite(array).all(axis=(1, 2, 3)).argmin())
        raise DataError(f"{name} holds NaN or infinity, first in image {first}: mend or drop it")
    return array


def _labels(split: str, given: ArrayLike, images: int) -> Labels:
    name = f"{split}_labels"
    array = _array(name, given)
    if array.ndim != 1:
        cure = ""
        if array.ndim == 2:
            cure = ": take [:, 0]" if array.shape[1] == 1 else ": of one-hot rows take .argmax(1)"
        raise DataError(
            f"{name} has shape {_by(array.shape)}; labels are [N], one integer each{cure}"
        )
    if len(array) != images:
        raise DataError(f"{name} holds {len(array)} labels for {images} images; give one each")
    if array.dtype.kind not in "ui":
        whole = array.dtype.kind == "f" and (array == np.round(array)).all()
        cure = ": take .astype(int)" if whole else ""
        raise DataError(f"{name} has dtype {array.dtype}; labels are integers 0..classes-1{cure}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise DataError(f"{name} runs from {low} to {high}; labels are integers 0..classes-1")
    return array.astype(np.int32)


def _check_labels(split: str, labels: Labels, classes: int) -> None:
    high = int(labels.max())
    if high >= classes:
        raise DataError(f"{split}_labels holds {high}; with classes={classes} they are below that")
    if split == "train" and classes > len(labels):
        raise DataError(
            f"classes={classes} is more than the {len(labels)} training images: give the number of"
            " classes, or images of all"
        )
    if split != "test" and (labels == labels[0]).all():
        raise DataError(
            f"{split}_labels are all {labels[0]}: there is nothing to tell apart;"
            " give images of two classes or more"
        )


def _dimensions(name: str, given: ArrayLike | LazyImages) -> int:
    return len(given.shape) if isinstance(given, LazyImages) else _array(name, given).ndim


def _array(name: str, given: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (TypeError, ValueError, OverflowError) as error:  # a ragged list
        raise DataError(f"{name} is no array ({error}): bring its images to one size") from error


def _statistic(name: str, given: ArrayLike, channels: int) -> Float32[np.ndarray, " c"]:
    try:
        with np.errstate(over="ignore"):  # an overflow is inf, and reported below
            array = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0, np.float32)
    if array.shape != (channels,) or not np.isfinite(array).all():
        raise DataError(f"{name} is {given!r}; it is {channels} finite numbers, one a channel")
    return array


def _measured(images: Images) -> RealArray[np.ndarray, "m h w c"]:
    """What mean and deviation are measured on: all images, of lazy ones some from everywhere."""
    if isinstance(images, LazyImages):
        return images[np.linspace(0, len(images) - 1, min(_CHUNK, len(images))).astype(np.intp)]
    return images


def _mean(images: RealArray[np.ndarray, "n h w c"]) -> Float64[np.ndarray, " c"]:
    """Per channel, [C], summed in float64: float32 sums of 10^8 pixels lose the third digit."""
    return images.mean(axis=(0, 1, 2), dtype=np.float64)


def _std(images: RealArray[np.ndarray, "n h w c"]) -> Float64[np.ndarray, " c"]:
    """Per channel, [C]; two passes in chunks, so no float64 copy of the data set is made."""
    mean = _mean(images)
    squares = np.zeros(images.shape[-1])
    for start in range(0, len(images), _CHUNK):
        squares += np.square(images[start : start + _CHUNK] - mean).sum(axis=(0, 1, 2))
    return np.sqrt(squares / (images.size / images.shape[-1]))


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"
