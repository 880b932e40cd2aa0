"""Arrays of one's own as a Dataset, checked once so that nothing downstream has to."""

from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Real
from numpy.typing import ArrayLike, NDArray

from nasproxy.data.dataset import Dataset, Images, Labels
from nasproxy.data.lazy import LazyImages
from nasproxy.errors import DataError

_CHUNK = 1_024  # images a pass of the statistics holds in float64


def from_arrays(
    train_images: ArrayLike | LazyImages,
    train_labels: ArrayLike,
    valid_images: ArrayLike | LazyImages,
    valid_labels: ArrayLike,
    test_images: ArrayLike | LazyImages | None = None,
    test_labels: ArrayLike | None = None,
    *,
    name: str = "arrays",
    classes: int | None = None,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
) -> Dataset:
    """A Dataset of images [N, H, W, C], or [N, H, W] for grey ones, and integer labels [N].

    uint8 images are kept as they are, others become float32. Lazy images are taken as they are, and
    measured on a thousand of them.

    Args:
        train_images, train_labels, valid_images, valid_labels: the splits.
        test_images, test_labels: both or neither.
        name: of the set.
        classes: one more than the largest label unless given.
        mean, std: [C], measured over the training images unless given.

    Raises:
        DataError: naming the array, what could not be scored: not finite, empty, mismatched shapes,
            labels out of range, a channel or a split that does not vary.
    """
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
    count = int(max(array.max() for array in labels.values())) + 1 if classes is None else classes
    for split, array in labels.items():
        _check_labels(split, array, count)
    measured = _measured(images["train"]) if mean is None or std is None else images["train"][:1]
    mean = _statistic("mean", _mean(measured) if mean is None else mean, shape[-1])
    std = _statistic("std", _std(measured) if std is None else std, shape[-1])
    if (std <= 0).any():
        raise DataError(
            f"channel {int((std <= 0).argmax())} has a standard deviation of"
            f" {std[std <= 0][0]:g}: it does not vary over the training images; drop it"
        )
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
        raise DataError(f"{name} has shape {_by(array.shape)}; labels are [N], one integer each")
    if len(array) != images:
        raise DataError(f"{name} holds {len(array)} labels for {images} images; give one each")
    if array.dtype.kind not in "ui":
        raise DataError(f"{name} has dtype {array.dtype}; labels are integers 0..classes-1")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise DataError(f"{name} runs from {low} to {high}; labels are integers 0..classes-1")
    return array.astype(np.int32)


def _check_labels(split: str, labels: Labels, classes: int) -> None:
    high = int(labels.max())
    if high >= classes:
        raise DataError(f"{split}_labels holds {high}; with classes={classes} they are below that")
    if split != "test" and (labels == labels[0]).all():
        raise DataError(
            f"{split}_labels are all {labels[0]}: there is nothing to tell apart;"
            " give images of two classes or more"
        )


def _array(name: str, given: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError as error:  # a ragged list
        raise DataError(f"{name} is no array ({error}): bring its images to one size") from error


def _statistic(name: str, given: ArrayLike, channels: int) -> Float32[np.ndarray, " c"]:
    array = np.asarray(given, dtype=np.float32)
    if array.shape != (channels,) or not np.isfinite(array).all():
        raise DataError(f"{name} is {given}; it is {channels} finite numbers, one a channel")
    return array


def _measured(images: Images) -> Real[np.ndarray, "m h w c"]:
    """What mean and deviation are measured on: all images, of lazy ones some from everywhere."""
    if isinstance(images, LazyImages):
        return images[np.linspace(0, len(images) - 1, min(_CHUNK, len(images))).astype(np.intp)]
    return images


def _mean(images: Real[np.ndarray, "n h w c"]) -> Float64[np.ndarray, " c"]:
    """Per channel, [C], summed in float64: float32 sums of 10^8 pixels lose the third digit."""
    return images.mean(axis=(0, 1, 2), dtype=np.float64)


def _std(images: Real[np.ndarray, "n h w c"]) -> Float64[np.ndarray, " c"]:
    """Per channel, [C]; two passes in chunks, so no float64 copy of the data set is made."""
    mean = _mean(images)
    squares = np.zeros(images.shape[-1])
    for start in range(0, len(images), _CHUNK):
        squares += np.square(images[start : start + _CHUNK] - mean).sum(axis=(0, 1, 2))
    return np.sqrt(squares / (images.size / images.shape[-1]))


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"
