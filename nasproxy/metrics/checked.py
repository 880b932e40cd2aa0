"""The arrays and settings of metrics, checked."""

import operator
from numbers import Real
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasproxy.errors import NasproxyError, SettingError

Vector = NDArray[np.float64]


class MetricError(NasproxyError, ValueError):
    """Arrays that no metric is defined for."""


def is_constant(vector: Vector) -> bool:
    return bool((vector == vector[0]).all())


def whole(name: str, value: SupportsIndex, low: int, high: int | None = None) -> int:
    """The integer setting ``name``, checked against its inclusive range."""
    accepted = f"an integer of at least {low}" + ("" if high is None else f" and at most {high}")
    try:
        number = operator.index(value)
    except TypeError:
        raise SettingError(f"{name}={value!r} is not an integer; pass {accepted}") from None
    if number < low or (high is not None and number > high):
        raise SettingError(f"{name}={value!r} is out of range; pass {accepted}")
    return number


def vectors(**arrays: ArrayLike) -> list[Vector]:
    """The arrays as float64 vectors of one length n ≥ 2 and finite entries, or ``MetricError``."""
    vectors = {name: _vector(name, array) for name, array in arrays.items()}
    lengths = {name: vector.size for name, vector in vectors.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise MetricError(f"lengths differ: {listed}; join the tables on their keys first")
    if min(lengths.values()) < 2:
        name, length = next(iter(lengths.items()))
        raise MetricError(f"{name} has {length} entries; a ranking needs at least 2 architectures")
    return list(vectors.values())


def _vector(name: str, array: ArrayLike) -> Vector:
    try:
        raw = np.asarray(array)
    except ValueError as error:
        raise MetricError(f"{name} is no array ({error}); pass a flat list of numbers") from None
    if raw.ndim != 1:
        raise MetricError(
            f"{name} has shape {raw.shape}; pass one number for each architecture, (n,)"
        )
    # Text and times would convert without complaint, alone or as objects.
    boxed = raw.dtype.kind == "O"
    if raw.dtype.kind in "SUmMc" or (boxed and not all(isinstance(entry, Real) for entry in raw)):
        raise MetricError(f"{name} holds {raw.dtype} entries such as {raw[:1]}; pass real numbers")
    vector = raw.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise MetricError(
            f"{name}[{bad[0]}] is {vector[bad[0]]}; {bad.size} of {vector.size} entries are not "
            "finite: drop those architectures from every array, and report how many they were"
        )
    return vector
