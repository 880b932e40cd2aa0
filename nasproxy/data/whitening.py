"""Regularised ZCA: images whose pixels are decorrelated, as kernels with pooling like them.

Images are first brought to mean 0 and length 1 one by one; with C = XᵀX/n = U S Uᵀ of those that
are fitted, the map is U (S + ε I)^(−½) Uᵀ with ε in units of C's mean eigenvalue (Shankar et al.
2020; Lee et al. 2020; Nguyen et al. 2021). No pixel's mean is taken off, so that a whitened image
depends on nothing but itself and C. All of it is float64; what comes out is float32.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy.typing import ArrayLike

from nasproxy.arrays import numbers
from nasproxy.checks import Flag, Real, checked
from nasproxy.errors import DataError

REGULARISER = Real(above=0, hint="1 where images are few, in units of the mean eigenvalue")
LARGEST = 4 * 32 * 32 * 3
"""Numbers in an image beyond which the matrix and its spectrum take gigabytes and hours."""
_CHUNK = 1_000  # images that are held in float64 at once


class Whitening(NamedTuple):
    """What :func:`fit_whitening` finds.

    Attributes:
        matrix: symmetric, ``[d, d]``, d = h·w·c.
        shape: (h, w, c).
        spectrum: S, eigenvalues of C, ascending, ``[d]``.
        epsilon: ε times the mean of S.
    """

    matrix: Float64[np.ndarray, "d d"]
    shape: tuple[int, int, int]
    spectrum: Float64[np.ndarray, " d"]
    epsilon: float


def normalised(images: ArrayLike) -> Float64[np.ndarray, "n h w c"]:
    """Images ``[n, h, w, c]``, each less its mean and at length 1.

    Raises:
        DataError: they are no images, something is not finite, or an image is of one colour, and
            has no direction.
    """
    given = _images(images).astype(np.float64)
    given = given - given.mean((1, 2, 3), keepdims=True)
    lengths = np.sqrt(np.square(given).sum((1, 2, 3)))
    # A constant's mean is off by rounding: what is left of it is no direction.
    flat = np.flatnonzero(lengths <= 1e-10 * np.abs(_images(images)).max((1, 2, 3)))
    if flat.size:
        raise DataError(
            f"image {flat[0]} is the same number everywhere, which whitening cannot bring to length"
            " 1: leave it out"
        )
    return given / lengths[:, None, None, None]


def fit_whitening(images: ArrayLike, regulariser: float = 1.0, flips: bool = True) -> Whitening:
    """The map of some images.

    Args:
        images: training images ``[n, h, w, c]``, standardised per channel.
        regulariser: ε, as a fraction of the mean eigenvalue.
        flips: whether images mirrored left to right count as well. Then the map of a mirrored image
            is the mirrored map, as :class:`nasproxy.kernels.Flipped` needs it.

    Returns:
        The map; where images are fewer than numbers in one, directions that none of them has stay
        as they are instead of being blown up.

    Raises:
        DataError: as :func:`normalised`; or images too large for a matrix.
        SettingError: a regulariser that is not positive.
    """
    regulariser = checked("whitening", "regulariser", regulariser, REGULARISER)
    flips = checked("whitening", "flips", flips, Flag())
    given = _images(images)
    n, (height, width, channels) = len(given), given.shape[1:]
    size = height * width * channels
    if size > LARGEST:
        raise DataError(
            f"images of {height}×{width}×{channels} are too large to whiten, {size:,} numbers: "
            f"bring them to {LARGEST:,} or fewer, such as by pool=2"
        )
    moments = np.zeros((size, size))
    for start in range(0, n, _CHUNK):
        part = normalised(given[start : start + _CHUNK]).reshape(-1, size)
        moments += part.T @ part
    if flips:
        moments = (moments + _mirrored(moments, (height, width, channels))) / 2
    moments /= n
    spectrum, basis = np.linalg.eigh(moments)
    spectrum = np.maximum(spectrum, 0)
    epsilon = regulariser * float(spectrum.mean())
    gains = 1 / np.sqrt(spectrum + epsilon)
    gains[: max(0, size - n * (1 + flips))] = 1
    return Whitening((basis * gains) @ basis.T, (height, width, channels), spectrum, epsilon)


def whiten(images: ArrayLike, whitening: Whitening) -> Float32[np.ndarray, "n h w c"]:
    """Images ``[n, h, w, c]``, standardised as those that were fitted, whitened one by one.

    Raises:
        DataError: as :func:`normalised`, or images of another shape.
    """
    given = _images(images)
    if given.shape[1:] != whitening.shape:
        raise DataError(
            f"images of shape {list(given.shape[1:])}, but {list(whitening.shape)} were fitted: "
            "give images of one shape"
        )
    made = np.empty(given.shape, np.float32)
    for start in range(0, len(given), _CHUNK):
        part = normalised(given[start : start + _CHUNK])
        flat = part.reshape(len(part), -1) @ whitening.matrix
        made[start : start + _CHUNK] = flat.reshape(part.shape)
    return made


def _mirrored(matrix: Float64[np.ndarray, "d d"], shape: tuple[int, ...]) -> Any:
    """The moments of mirrored images, from those of the images."""
    order = np.arange(len(matrix)).reshape(shape)[:, ::-1].ravel()
    return matrix[np.ix_(order, order)]


def _images(given: ArrayLike) -> Float[np.ndarray, "n h w c"]:
    found = numbers(given, "images")
    if found.ndim != 4 or 0 in found.shape:
        raise DataError(f"images of shape {list(found.shape)}: give [n, h, w, c], none of them 0")
    if not np.isfinite(found).all():
        row = int(np.argwhere(~np.isfinite(found))[0, 0])
        raise DataError(f"image {row} holds NaN or infinity: leave it out or repair it")
    return found
