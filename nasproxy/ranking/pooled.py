"""The columns of a store with their seeds together: what stands in a row of the ranking."""

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nasproxy.store.columns import Column, Run


@dataclass(frozen=True)
class Pooled:
    """One column of scores, of all seeds that share their architectures, ordered by seed."""

    columns: tuple[Column, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(column.run[3] for column in self.columns)

    @property
    def seed_names(self) -> str:
        """``seed 0``, ``seeds 0, 1, 2``."""
        return f"seed{'s' * (len(self.seeds) > 1)} {', '.join(map(str, self.seeds))}"

    @property
    def first(self) -> Column:
        return self.columns[0]

    @property
    def about(self) -> dict[str, Any]:
        """Proxy, space and data, as tables show them."""
        return {name: self.first.about[name] for name in ("proxy", "space", "data")}

    @property
    def runs(self) -> set[Run]:
        return {column.run for column in self.columns}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Architectures that every seed was asked for as rows, a column a seed; NaN is failed."""
        keys = _shared(self.columns)
        frame = pd.DataFrame({c.run[3]: c.series.reindex(keys) for c in self.columns}, index=keys)
        frame.attrs["lower"] = self.first.lower
        return frame

    @property
    def unshared(self) -> int:
        """Architectures that only some of the seeds were asked for."""
        return len(set().union(*(c.draws for c in self.columns))) - len(self.frame)

    @property
    def mean(self) -> pd.Series:
        """The mean over seeds, of the architectures that all of them scored."""
        return self.frame.dropna().mean(axis=1)

    @property
    def seconds(self) -> float:
        return _mean([column.seconds for column in self.columns])

    @property
    def flops(self) -> float:
        return _mean([column.flops for column in self.columns])

    def drawn(self, keys: pd.Index) -> str:
        """How those architectures were drawn; all of them if there are none."""
        ways = {column.drawn(keys) for column in self.columns}
        return "; ".join(sorted({way for joined in ways for way in joined.split("; ")}))


def pool(columns: list[Column]) -> list[Pooled]:
    """Seeds of one (space, proxy, data) and column together.

    Seeds that share less than half of the architectures of the largest stand alone: what is common
    to samples that were drawn apart is a small, other population.
    """
    groups: dict[tuple[str, str, str, str], list[Column]] = defaultdict(list)
    for column in columns:
        space, proxy, data, _ = column.run
        groups[space, proxy, data, column.column].append(column)
    found = []
    for group in groups.values():
        group.sort(key=lambda column: column.run[3])
        if 2 * len(_shared(tuple(group))) >= max(len(column.draws) for column in group):
            found.append(Pooled(tuple(group)))
        else:
            found += [Pooled((column,)) for column in group]
    return found


def _shared(columns: tuple[Column, ...]) -> pd.Index:
    """The architectures that all were asked for, in the order of the first."""
    keys = pd.Index(list(columns[0].draws), dtype=str)
    for column in columns[1:]:
        keys = keys[keys.isin(list(column.draws))]
    return keys


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
