"""Scores of one or several seeds and a truth, of the architectures that all of them have."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy.errors import TruthError
from nasproxy.metrics.arrays import Vector
from nasproxy.truth import tables

FAILURES = ("drop", "last")
"""What becomes of failed architectures: left out, or ranked below all others."""


class Aligned(NamedTuple):
    """Arrays for ``nasproxy.metrics``, larger is better in each.

    Attributes:
        keys: (n,), of the architectures that every seed scored, or failed on where these count.
        scores: (seeds, n); failures, where they count, are below all other scores of their seed.
        truth: (n,).
        scored: (n,), whether all seeds have a score; true of all where failures are left out.
        sign: -1 where the truth was turned around.
        failed: architectures without a score by some seed.
        unmatched: with a score and no truth.
        unshared: that some of the seeds, but not all, were asked for.
    """

    keys: pd.Index
    scores: Vector
    truth: Vector
    scored: np.ndarray
    sign: float
    failed: int
    unmatched: int
    unshared: int = 0


def numbers(name: str, given: Any) -> pd.Series:
    """A series of float64 with the attributes of what was given, a series or a mapping.

    Raises:
        TruthError: neither of them, or what is no number in it.
    """
    if isinstance(given, Mapping):
        given = pd.Series(given)
    if not isinstance(given, pd.Series):
        raise TruthError(
            f"{name} is {type(given).__name__}, which names no architectures: give a pandas Series "
            "indexed by architecture key, or arrays in one order to nasproxy.metrics"
        )
    if pd.api.types.is_complex_dtype(given):
        raise TruthError(f"{name} are complex numbers, which have no order: give real ones")
    if not isinstance(given.dtype, np.dtype) or given.dtype == object:
        given = given.astype(object).where(given.notna(), math.nan)  # pd.NA is no float
    try:
        return given.astype(np.float64)
    except (TypeError, ValueError):
        key, value = next((k, v) for k, v in given.items() if not _is_number(v))
        raise TruthError(
            f"{name} has {value!r:.80} at {key!r:.80}: give a number, or NaN where there is none"
        ) from None


def by_seed(name: str, series: pd.Series) -> tuple[pd.DataFrame, int]:
    """Architectures that every seed has as rows, a column a seed; and how many only some have.

    Args:
        name: of the series, for messages.
        series: of ``numbers``, by key or by (key, seed); one without seeds makes one column.

    Raises:
        TruthError: an index of something else, or a (key, seed) that stands there twice.
    """
    lower = bool(series.attrs.get("lower"))
    if not isinstance(series.index, pd.MultiIndex):
        frame = series.to_frame(0)
        frame.attrs["lower"] = lower
        return frame, 0
    index = series.index
    if index.nlevels != 2 or index.names[0] == "seed" or index.names[1] not in (None, "seed"):
        raise TruthError(
            f"{name} is indexed by {', '.join(map(str, index.names))}: give a Series indexed by "
            "architecture key, or by (architecture, seed)"
        )
    if index.has_duplicates:
        raise TruthError(
            f"{name} repeat {index[index.duplicated()][0]!r}: keep one row an architecture and seed"
        )
    asked = series.notna().astype(float).unstack()  # 0 where failed, NaN where not asked for
    shared = asked.notna().all(axis=1)
    if not shared.any():
        raise TruthError(
            f"{name} of {asked.shape[1]} seeds share no architecture: rank them a seed at a time"
        )
    frame = series.unstack()[shared]
    frame.attrs["lower"] = lower
    return frame, int((~shared).sum())


def align(
    frame: pd.DataFrame, truth: pd.Series, *, failures: str = "drop", unshared: int = 0
) -> Aligned:
    """The scores of ``by_seed`` with a truth of ``numbers``, by key, in the order of the keys.

    Raises:
        TruthError: no key is in both, or one occurs twice.
    """
    signs = [-1.0 if table.attrs.get("lower") else 1.0 for table in (frame, truth)]
    finite = np.asarray(np.isfinite(frame.to_numpy(np.float64)).all(axis=1))
    kept = frame if failures == "last" else frame[finite]
    known = truth[np.isfinite(truth.to_numpy(np.float64))]
    joined = tables.join(kept.sort_index(), known)  # so that no number depends on their order
    found = joined.scores.to_numpy(np.float64).T * signs[0]
    scored = np.asarray(np.isfinite(found).all(axis=0))
    scores = np.stack([_failed_last(row) for row in found])
    keys = joined.scores.index
    return Aligned(
        keys,
        scores,
        joined.truth.to_numpy(np.float64) * signs[1],
        scored,
        signs[1],
        failed=int((~finite).sum()),
        unmatched=int(finite.sum()) - int(scored.sum()),
        unshared=unshared,
    )


def _failed_last(scores: Vector) -> Vector:
    finite = np.isfinite(scores)
    if finite.all():
        return scores
    least = scores[finite].min() if finite.any() else 0.0
    return np.where(finite, scores, np.nextafter(least, -np.inf))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
