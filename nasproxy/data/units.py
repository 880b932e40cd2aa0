"""Whether a set's splits, and statistics given for it, have one unit, and its channels come last.

Splits are draws of one population. A trait that the images of one split have and none of another's
is of the units, not of the pictures, unless it may be missing there by chance.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

from nasproxy.data.dataset import Images
from nasproxy.data.lazy import LazyImages
from nasproxy.errors import DataError

FOLD = 8.0
"""Ranges of pixels within the images of two splits that differ by more are of other units."""
DEVIATIONS = 20.0
"""Deviations of pixels over two splits that differ by more are."""
STATISTICS = 100.0
"""A given deviation that differs by more from that of the pixels is; 1 for bytes is a choice."""
CHANCE = 0.005
"""Less likely than this is no chance: five images beside five others."""
_SIGNED, _UNSIGNED = -0.1, -0.03  # of a split's range: resampling alone dips below 0
_UNIT = 0.9, 1.1  # where the largest pixel of images in 0..1 or -1..1 lies, resampled ones too
_CHANNEL_COUNTS = (1, 3, 4)  # that pictures usually have
_SAMPLED = 64


@dataclass(frozen=True)
class Extent:
    """How far the pixels of some images from everywhere in a split go, a channel at a time.

    Attributes:
        low, high: [m, c], of each image.
        mean, std: [c], over all of them.
    """

    low: Float64[np.ndarray, "m c"]
    high: Float64[np.ndarray, "m c"]
    mean: Float64[np.ndarray, " c"]
    std: Float64[np.ndarray, " c"]

    @classmethod
    def of(cls, images: Images) -> "Extent":
        places = np.linspace(0, len(images) - 1, min(_SAMPLED, len(images))).astype(np.intp)
        pixels = np.asarray(images[places], np.float64)
        over = (0, 1, 2)
        return cls(pixels.min((1, 2)), pixels.max((1, 2)), pixels.mean(over), pixels.std(over))

    def said(self, channel: int) -> str:
        """``run from 0 to 255``."""
        return f"run from {self.low[:, channel].min():g} to {self.high[:, channel].max():g}"


def check_splits(extents: Mapping[str, Extent]) -> None:
    """Holds the others to the training split, channel by channel.

    Raises:
        DataError: a split that is of another scale, sign or offset, or flat where others are not.
    """
    train = extents["train"]
    for split, extent in extents.items():
        for channel in range(len(train.mean)) if split != "train" else ():
            lows, highs = train.low[:, channel], train.high[:, channel]
            if (lows == highs).all() and (extent.low != extent.high)[:, channel].any():
                continue  # Training images of one value each are no pictures, and tell no unit.
            average = extent.mean[channel]
            beside = lows.min() < highs.max() and not lows.min() <= average <= highs.max()
            if beside or any(_apart(train, extent, channel)) or any(_apart(extent, train, channel)):
                where = f" (channel {channel})" if len(train.mean) > 1 else ""
                raise DataError(
                    f"train_images {train.said(channel)} but {split}_images {extent.said(channel)}"
                    f"{where}: bring all splits to one scale, such as 0 to 255"
                )


def _apart(one: Extent, other: Extent, channel: int) -> Iterator[bool]:
    """Whether ``one`` has larger ranges, negative pixels or pixels beyond 1, and ``other`` none."""
    lows, highs = one.low[:, channel], one.high[:, channel]
    others_low, others_high = other.low[:, channel], other.high[:, channel]
    count = len(others_low)

    yield one.std[channel] > DEVIATIONS * other.std[channel] > 0

    ranges, others = highs - lows, others_high - others_low
    narrow = _no_chance(ranges <= others.max(), count)
    yield narrow and bool(np.median(ranges) > FOLD * np.median(others))

    unsigned = bool((others_low >= _UNSIGNED * (others_high.max() - others_low.min())).all())
    yield unsigned and _no_chance(lows >= _SIGNED * (highs.max() - lows.min()), count)

    largest = np.maximum(-others_low, others_high).max()
    within = np.maximum(-lows, highs) <= _UNIT[1]
    yield bool(_UNIT[0] <= largest <= _UNIT[1]) and _no_chance(within, count)


def _no_chance(alike: Bool[np.ndarray, " m"], count: int) -> bool:
    """Whether ``count`` images, all of one kind, and those, of which some are, are no chance parts.

    A permutation test: the part of all ways to choose ``count`` of them that have only this kind.
    """
    ways = math.comb(count + int(alike.sum()), count)
    return ways < CHANCE * math.comb(count + len(alike), count)


def check_varies(name: str, images: Images) -> None:
    """Refuses images that are all the same, or flat: nothing is told by them.

    Raises:
        DataError: every pixel of them has one value, or every image is the first one.
    """
    if isinstance(images, LazyImages):
        images = images[np.linspace(0, len(images) - 1, min(_SAMPLED, len(images))).astype(np.intp)]
    first = images[:1]
    if (images[-1:] != first).any() or (images != first).any():
        return
    if first.min() == first.max():
        raise DataError(f"every pixel of {name} is {first.min():g}: give images that vary")
    if len(images) > 1:
        raise DataError(f"{name} are {len(images)} times the same image: give images that vary")


def check_statistics(
    extent: Extent, mean: Float32[np.ndarray, " c"], std: Float32[np.ndarray, " c"]
) -> None:
    """Holds a mean and a deviation, given for the training images, to what these are.

    Raises:
        DataError: a mean far outside their range, or a deviation of another order.
    """
    for channel, (centre, own) in enumerate(zip(mean, extent.std, strict=True)):
        low, high = extent.low[:, channel].min(), extent.high[:, channel].max()
        margin = (high - low) / 2
        cure = "give them in the images' units, or leave them out to have them measured"
        if not low - margin <= centre <= high + margin:
            raise DataError(f"mean is {centre:g}, but train_images {extent.said(channel)}: {cure}")
        if own and not own / STATISTICS <= std[channel] <= own * STATISTICS:
            raise DataError(
                f"std is {std[channel]:g}, but train_images deviate by {own:.3g} from their mean"
                f" and {extent.said(channel)}: {cure}"
            )


def check_channels(shape: tuple[int, ...]) -> None:
    """Refuses [H, W, C] that are as likely [C, H, W]: CIFAR's [3, 32, 32] as 3×32 of 32 channels.

    A reading is likelier if its pictures are square, then if it has 1, 3 or 4 channels, then the
    less its pictures are stretched.

    Raises:
        DataError: what to do about it.
    """
    height, width, channels = shape
    if height == channels == 1:
        return  # a row of grey pixels either way
    last, first = _likely(height, width, channels), _likely(width, channels, height)
    # Of two equals, three rows of RGB are refused, and three columns of it are a narrow picture.
    if first > last or (first == last and not (channels in _CHANNEL_COUNTS and width < height)):
        raise DataError(
            f"images are {' × '.join(map(str, shape))}, read as {height} rows, {width} columns and"
            f" {channels} channels: if the channels come first, transpose them by"
            " images.transpose(0, 2, 3, 1); if not, say so by channels_last=True"
        )


def _likely(height: int, width: int, channels: int) -> tuple[bool, bool, float]:
    stretched = max(height, width) / min(height, width)
    return height == width, channels in _CHANNEL_COUNTS, -stretched
