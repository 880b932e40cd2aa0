"""What functions of arrays are given, as real numbers, or a line that says why it is not."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasproxy.errors import DataError

SINGLE = (np.dtype(np.float32), np.dtype(np.float64))
"""Dtypes that arithmetic may be in; everything else a caller has becomes float64."""


def numbers(given: Any, what: str) -> NDArray[np.floating]:
    """Real numbers in an array of any shape: float32 and float64 as they are, others as float64.

    Integers, booleans and half precision are numbers; text that could be read as one is not.

    Args:
        given: whatever a caller has.
        what: it is called in messages, a plural.

    Raises:
        DataError: it is sparse, masked, complex, ragged, or something else than numbers.
    """
    found = dense(given, what)
    if found.dtype in SINGLE:
        return found
    kind = found.dtype.kind
    if kind == "c":
        raise DataError(f"{what} are complex: give real ones, such as both parts side by side")
    if kind in "SUMm" or (kind == "O" and not all(isinstance(v, Real) for v in found.flat)):
        raise DataError(f"{what} are no numbers but {_sort(found)}: give an array of floats")
    try:
        return found.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} are no numbers ({error}): give an array of floats") from error


def real(given: Any, what: str, shape: str) -> NDArray[np.float64]:
    """:func:`numbers` as float64, all of them finite, in an array of a shape such as ``[n, d]``.

    Raises:
        DataError: as there, or the number of axes is another, or NaN or infinity is among them.
    """
    found = numbers(given, what).astype(np.float64, copy=False)
    if found.ndim != shape.count(",") + 1 or 0 in found.shape:
        raise DataError(f"{what} have the shape {list(found.shape)}: give {shape}, none of them 0")
    if not np.isfinite(found).all():
        at = np.argwhere(~np.isfinite(found))[0].tolist()
        raise DataError(
            f"{what} hold NaN or infinity, at {at} first: leave those rows out or repair them"
        )
    return found


def dense(given: Any, what: str) -> NDArray[Any]:
    """An array of what is given, unless it would not be all of it.

    Raises:
        DataError: it is sparse, has masked entries, or rows of several lengths.
    """
    if not isinstance(given, np.ndarray) and hasattr(given, "toarray"):
        raise DataError(f"{what} are sparse: give an array, by their .toarray()")
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise DataError(f"{what} have masked entries: leave them out, or fill them by .filled()")
    if isinstance(given, Mapping | set | frozenset):
        raise DataError(f"{what} are a {type(given).__name__}: give an array")
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} are no array ({error}): give rows of one length") from error


def _sort(found: NDArray[Any]) -> str:
    odd = found.flat[0] if found.size else found.dtype
    if found.dtype.kind == "O":
        odd = next(v for v in found.flat if not isinstance(v, Real))
    return f"{type(odd).__name__}s such as {str(odd)[:40]!r}"
