"""What metrics take: vectors of finite numbers, matrices with a row a seed, whole settings."""

import operator
from numbers import Real
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasproxy.errors import NasproxyError, SettingError

Vector = NDArray[np.float64]


class MetricError(NasproxyError, ValueError):
    """Arrays that no metric is defined for."""


def vectors(**arrays: ArrayLike) -> list[Vector]:
    """The arrays as float64 vectors of one length n ≥ 2 and finite entries, or ``MetricError``."""
    found = {name: _vector(name, array) for name, array in arrays.items()}
    _check_lengths({name: vector.size for name, vector in found.items()})
    return list(found.values())


def of_seeds(
    scores: dict[str, ArrayLike], **arrays: ArrayLike
) -> tuple[list[Vector], list[Vector]]:
    """Scores as (seeds, n) matrices, one seed's as one row; and the other arrays as vectors."""
    matrices = {name: _matrix(name, array) for name, array in scores.items()}
    found = {name: _vector(name, array) for name, array in arrays.items()}
    lengths = {name: matrix.shape[1] for name, matrix in matrices.items()}
    _check_lengths(lengths | {name: vector.size for name, vector in found.items()})
    return list(matrices.values()), list(found.values())


def columns(name: str, array: ArrayLike, n: int) -> Vector:
    """Several columns of numbers, (n, k), of one column too; or ``MetricError``."""
    raw = np.asarray(array)
    if raw.ndim == 1:
        raw = raw[:, None]
    if raw.ndim != 2 or raw.shape[1] == 0 or raw.shape[0] != n:
        raise MetricError(
            f"{name} has shape {raw.shape}; pass a row for each of the {n} architectures, (n,) or "
            "(n, k)"
        )
    return np.column_stack([_vector(f"{name}[:, {k}]", column) for k, column in enumerate(raw.T)])


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


def _matrix(name: str, array: ArrayLike) -> Vector:
    try:
        raw = np.asarray(array)
    except ValueError as error:
        raise MetricError(
            f"{name} is no array ({error}); give every seed the same architectures"
        ) from None
    if raw.ndim != 2:
        return _vector(name, raw)[None]
    if raw.shape[0] == 0:
        raise MetricError(f"{name} has shape {raw.shape}; pass a row for each seed, (seeds, n)")
    return np.stack([_vector(f"{name}[{s}]", row) for s, row in enumerate(raw)])


def _check_lengths(lengths: dict[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise MetricError(f"lengths differ: {listed}; join the tables on their keys first")
    if min(lengths.values()) < 2:
        name, length = next(iter(lengths.items()))
        raise MetricError(f"{name} has {length} entries; a ranking needs at least 2 architectures")


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
