"""Columns of a store that differ by the seed alone, together; and scores as arrays of seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nasproxy.errors import TruthError
from nasproxy.store.columns import Column

FAILURES = ("drop", "last")
"""What becomes of architectures without a score: left out, or ranked below all others."""


@dataclass
class Seeded:
    """One column of scores by every seed that a store holds of it.

    Attributes:
        columns: one a seed, by seed.
    """

    columns: list[Column]

    @property
    def first(self) -> Column:
        return self.columns[0]

    @property
    def about(self) -> dict[str, Any]:
        """The first's, with all seeds."""
        return self.first.about | {"seed": ", ".join(str(c.run[3]) for c in self.columns)}

    @property
    def series(self) -> pd.Series:
        """By architecture; of several seeds by (architecture, seed). NaN where a score failed."""
        found = {c.run[3]: c.series.reindex(pd.Index(c.draws, dtype=str)) for c in self.columns}
        if len(found) == 1:
            whole = next(iter(found.values()))
        else:
            whole = pd.concat(found, names=["seed", "architecture"]).swaplevel()
        whole.attrs["lower"] = self.first.lower
        return whole

    @property
    def seconds(self) -> float:
        return float(np.median([column.seconds for column in self.columns]))

    @property
    def flops(self) -> float:
        return float(np.mean([column.flops for column in self.columns]))

    def drawn(self, keys: pd.Index) -> str:
        said: list[str] = []
        for column in self.columns:
            there = keys[keys.isin(list(column.draws))] if len(keys) else keys
            said += column.drawn(there).split("; ")
        return "; ".join(sorted(set(said)))


def together(columns: Sequence[Column]) -> list[Seeded]:
    """Columns of one space, proxy, data and name, whatever the seed, in the order they come."""
    groups: dict[tuple[str, ...], list[Column]] = {}
    for column in columns:
        groups.setdefault((*column.run[:3], column.column), []).append(column)
    return [Seeded(group) for group in groups.values()]


@dataclass(frozen=True)
class Scores:
    """Scores that are larger the better, of architectures that every seed has scored.

    Attributes:
        keys: of the architectures, sorted, so that no number depends on their order.
        values: ``[seeds, n]``.
        failed: architectures that some seed has no score of, whether left out or ranked last.
    """

    keys: pd.Index
    values: Float64[np.ndarray, "seeds n"]
    failed: int


def scores(series: pd.Series, failures: str = "drop") -> Scores:
    """A column by architecture, or by (architecture, seed), as arrays.

    Architectures that not all seeds were asked for are left out and not counted: the seeds'
    numbers would be of different sets.

    Raises:
        TruthError: an architecture occurs twice.
    """
    sign = -1.0 if series.attrs.get("lower") else 1.0
    if series.index.duplicated().any():
        twice = series.index[series.index.duplicated()][0]
        raise TruthError(
            f"scores have {twice!r:.80} twice: give each architecture one score a seed"
        )
    if series.index.nlevels == 1:
        table = series.to_frame()
        asked = pd.Series(True, index=series.index)
    else:
        table = series.unstack()
        there = pd.Series(True, index=series.index).unstack().reindex_like(table)
        asked = there.notna().all(axis=1)
    table = table[asked.to_numpy()].sort_index()
    values = sign * table.to_numpy(np.float64).T
    finite = np.isfinite(values)
    whole = np.asarray(finite.all(0))
    if failures == "last":
        # Below the seed's lowest; those that fail tie.
        lowest = np.array(
            [row[ok].min() - 1 if ok.any() else 0.0 for row, ok in zip(values, finite, strict=True)]
        )
        values = np.where(finite, values, lowest[:, None])
        kept = np.ones_like(whole)
    else:
        kept = whole
    keys = pd.Index(table.index.astype(str)[kept])
    return Scores(keys, values[:, kept], int((~whole).sum()))
