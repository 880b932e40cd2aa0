"""Evidence for claims out of the tables of reports, so that no number is typed in."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from nasproxy.reproduce.claims import Evidence
from nasproxy.reproduce.statistics import Estimate

Find = Callable[[Path], Evidence]
Where = dict[str, object]
_TEXT = re.compile(r"\s*([+-]?[\d.]+(?:e-?\d+)?)\s*\[\s*([^,\]]+),\s*([^\]]+)\]\s*")


def row(results: Path, table: str, where: Where) -> pd.Series:
    """The one row of a table whose columns have these values; numbers compare up to rounding.

    Raises:
        ValueError: no row or several; a column that is not there.
    """
    frame = pd.read_csv(results / table)
    if absent := [name for name in where if name not in frame]:
        raise ValueError(
            f"{table} has no column {absent[0]!r}: it has {', '.join(map(str, frame))}"
        )
    chosen = np.ones(len(frame), bool)
    for name, value in where.items():
        if isinstance(value, float | int):
            chosen &= np.isclose(frame[name].to_numpy(float), float(value))
        else:
            chosen &= (frame[name].fillna("") == value).to_numpy()
    if chosen.sum() != 1:
        raise ValueError(f"{table} has {chosen.sum()} rows with {where}: name one")
    return frame[chosen].iloc[0]


def estimate_of(found: pd.Series, name: str, low: str = "", high: str = "") -> Estimate:
    """A number with its interval: of one cell, ``.1 [.0, .2]``, or of three.

    Args:
        found: a row.
        name: the column of the value.
        low, high: the columns of the interval's ends, ``name low`` and ``name high`` by default.

    Raises:
        ValueError: the row has no such interval.
    """
    if isinstance(found[name], str):
        match = _TEXT.fullmatch(found[name])
        if match is None:
            raise ValueError(f"{found[name]!r} in column {name!r} is no number with an interval")
        return Estimate(*map(float, match.groups()))
    ends = low or f"{name} low", high or f"{name} high"
    if absent := [end for end in ends if end not in found]:
        raise ValueError(f"there is no column {absent[0]!r} beside {name!r}: name its interval's")
    return Estimate(float(found[name]), *(float(found[end]) for end in ends))


def cell(
    table: str,
    where: Where,
    name: str,
    *,
    low: str = "",
    high: str = "",
    n: int | str | Callable[[Path], int],
    of: str = "cells",
    seeds: int | str | None = 1,
) -> Find:
    """Evidence that stands in a row of a table.

    n and seeds are there too (a column) or given; n may also be counted in the results.
    """

    def find(results: Path) -> Evidence:
        found = row(results, table, where)
        count = int(found[n]) if isinstance(n, str) else n(results) if callable(n) else n
        drawn = int(found[seeds]) if isinstance(seeds, str) else seeds
        return Evidence(estimate_of(found, name, low, high), count, of, drawn)

    return find


def exact(value: float) -> Estimate:
    """A number that was counted, or follows from what was."""
    return Estimate(float(value), float(value), float(value))


def difference(one: Estimate, other: Estimate) -> Estimate:
    """One number less another, as if they were independent.

    Half-widths are joined in quadrature: wider than a paired interval where the two vary together.
    """
    below = np.hypot(one.value - one.low, other.high - other.value)
    above = np.hypot(one.high - one.value, other.value - other.low)
    value = one.value - other.value
    return Estimate(value, value - float(below), value + float(above))


def share(value: float, n: int) -> Estimate:
    """A share of n with the 95 % interval of a binomial's normal approximation."""
    half = 1.96 * float(np.sqrt(value * (1 - value) / n))
    return Estimate(value, value - half, value + half)
