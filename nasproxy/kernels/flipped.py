"""Images and their mirror images at the price of one more kernel, not of twice the system."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from nasproxy.arrays import numbers
from nasproxy.errors import DataError, SettingError

_GROUP = 16  # images whose diagonal is read from one block
ASYMMETRY = 1e-3
"""Share of the largest entry by which k(x, f x') and k(f x, x') of one kernel may differ."""


@dataclass(frozen=True, eq=False)
class Mirrored:
    """Images made ready by a kernel, and their mirror images; slices of them are views.

    Attributes:
        images, mirrored: as the kernel's ``prepare`` gives them.
    """

    images: Any
    mirrored: Any

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[Any]) -> "Mirrored":
        return Mirrored(self.images[rows], self.mirrored[rows])


@dataclass(frozen=True)
class Flipped:
    """k(x, x') + k(x, f x') of a kernel k, f mirroring images left to right.

    Where k(f x, f x') = k(x, x'), as for convolutions with padding, fully-connected networks, and
    pixels whitened with their mirror images, a fit of n images and their n mirror images has equal
    coefficients for both: (A + B + λI) α = Y, with A = k(x, x') and B = k(x, f x'), gives what the
    system of 2n does at the same λ. Solvers that state a ridge in units of the mean diagonal take
    that of A + B.

    Attributes:
        kernel: called with one or two arrays of images ``[n, h, w, c]``; what it says of its own
            (``prepare``) is used. That it does not change when both images are mirrored is looked
            at in every block with itself, and refused where it does.
    """

    kernel: Any

    def __post_init__(self) -> None:
        if not callable(self.kernel):
            raise SettingError(f"kernel={self.kernel!r} of flipped: give a kernel of two arrays")
        if getattr(self.kernel, "kind", None) == "both":
            raise SettingError("kind='both' of a flipped kernel: give ntk or nngp")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Its fields, as scikit-learn asks for them."""
        return dict(vars(self))

    def prepare(self, x: ArrayLike | Mirrored) -> Mirrored:
        """Images ``[n, h, w, c]`` and their mirror images, made ready by the kernel.

        Raises:
            DataError: they are no images; or as the kernel's own.
        """
        if isinstance(x, Mirrored):
            return x
        values = numbers(x, "images")
        if values.ndim != 4 or 0 in values.shape:
            raise DataError(
                f"images of shape {list(values.shape)} cannot be mirrored: give [n, h, w, c]"
            )
        prepare = getattr(self.kernel, "prepare", np.asarray)
        return Mirrored(prepare(values), prepare(np.ascontiguousarray(values[:, :, ::-1])))

    def __call__(
        self, x1: ArrayLike | Mirrored, x2: ArrayLike | Mirrored | None = None
    ) -> Float[np.ndarray, "n m"]:
        """The block ``[n, m]``, or ``[n, n]`` of images with themselves.

        Raises:
            DataError: as :meth:`prepare`; or the kernel changes when both images are mirrored.
        """
        a = self.prepare(x1)
        if x2 is not None:
            b = self.prepare(x2)
            return np.asarray(self.kernel(a.images, b.images)) + np.asarray(
                self.kernel(a.images, b.mirrored)
            )
        own = self.kernel(a.images) if _takes_one(self.kernel) else self.kernel(a.images, a.images)
        crossed = np.asarray(self.kernel(a.images, a.mirrored))
        limit = ASYMMETRY * np.abs(crossed).max(initial=0)
        if not np.abs(crossed - crossed.T).max(initial=0) <= limit:
            raise DataError(
                "the kernel changes when both images are mirrored, so that mirror images have "
                "coefficients of their own: fit them as images, or whiten with flips"
            )
        return np.asarray(own) + (crossed + crossed.T) / 2

    def diagonal(self, x: ArrayLike | Mirrored) -> Float[np.ndarray, " n"]:
        """k(x, x) + k(x, f x) of each image, ``[n]``."""
        given = self.prepare(x)
        crossed = _diagonal(self.kernel, given.images, given.mirrored)
        if hasattr(self.kernel, "diagonal"):
            return np.asarray(self.kernel.diagonal(given.images)) + crossed
        return _diagonal(self.kernel, given.images, given.images) + crossed


def _diagonal(kernel: Any, a: Any, b: Any) -> Float[np.ndarray, " n"]:
    starts = range(0, len(a), _GROUP)
    blocks = (np.asarray(kernel(a[s : s + _GROUP], b[s : s + _GROUP])) for s in starts)
    return np.concatenate([np.diagonal(one) for one in blocks])


def _takes_one(kernel: Any) -> bool:
    try:
        signature(kernel).bind(None)
    except TypeError:
        return False
    return True
