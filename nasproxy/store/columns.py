"""The columns of scores that a store holds, each with the settings that its name stands for."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy.errors import SettingError
from nasproxy.plugins import PROXIES, SPACES
from nasproxy.settings import describe, make, parse_settings, renamed, said
from nasproxy.store.database import Store
from nasproxy.store.rows import Record

Run = tuple[str, str, str, int]
"""Space, proxy, data and seed, as stores name them."""
CONTEXT = ("space", "data", "drawn")
"""What rows must share for their measures to be comparable."""
Scores = dict[str, float]
"""Scores by architecture key."""


class _Meaning(NamedTuple):
    """What a column's name says: a proxy, its settings, and what it reports besides its score."""

    proxy: str
    settings: dict[str, Any]
    besides: str = ""


@dataclass
class Column:
    """One column of scores of a group: ``column`` is empty for the score itself."""

    run: Run
    column: str
    meaning: _Meaning
    series: pd.Series
    failed: int
    seconds: float
    flops: float
    draws: dict[str, str]

    @property
    def lower(self) -> bool:
        """Whether a lower number is a better one, as a loss; a score itself never is."""
        return self.meaning.besides in getattr(PROXIES.get(self.meaning.proxy), "lower", ())

    @property
    def directed(self) -> bool:
        """Whether either is better: epochs and seconds that something took are no judgement."""
        besides = self.meaning.besides
        return besides not in getattr(PROXIES.get(self.meaning.proxy), "undirected", ())

    @property
    def full(self) -> str:
        """The name of the column within its group, with every setting."""
        return f"{self.run[1]}[{self.column}]" if self.column else self.run[1]

    @property
    def about(self) -> dict[str, Any]:
        space, _, data, seed = self.run
        proxy, settings, besides = self.meaning
        name = _short(proxy, settings, PROXIES)
        if name is not None and besides:
            name = f"{name}[{besides}]"
        return {
            "proxy": name or self.full,
            "space": _short(*parsed(space), SPACES) or space,
            "data": data,
            "seed": seed,
        }

    def drawn(self, keys: pd.Index) -> str:
        """How those architectures were drawn; all of them if there are none."""
        return "; ".join(sorted({self.draws[key] for key in keys} or set(self.draws.values())))


@dataclass
class _Group:
    """What is kept of the records of a group: numbers, so that memory stays small."""

    values: dict[str, Scores] = field(default_factory=lambda: defaultdict(dict, {"": {}}))
    seconds: Scores = field(default_factory=dict)
    charged: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    draws: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        key = record.key.architecture
        self.draws[key] = str(record.info.get("drawn", "unknown"))
        if record.value is None:
            return
        self.seconds[key] = record.seconds
        own = record.info.get("flops", {})
        for column, value in {"": record.value, **record.info.get("columns", {})}.items():
            if value is not None:
                self.values[column][key] = value
                self.charged[column] += own.get(column, record.flops)

    def columns(self, run: Run) -> list[Column]:
        meanings = _meanings(run[1], list(self.values))
        found = []
        for (column, values), meaning in zip(self.values.items(), meanings, strict=True):
            seconds = [self.seconds[key] for key in values]
            found.append(
                Column(
                    run,
                    column,
                    meaning,
                    pd.Series(values, dtype=np.float64, index=pd.Index(values, dtype=str)),
                    failed=len(self.draws) - len(values),
                    seconds=float(np.median(seconds)) if seconds else math.nan,
                    flops=self.charged[column] / len(values) if values else math.nan,
                    draws=self.draws,
                )
            )
        return found


def read_columns(store: Store) -> list[Column]:
    """All columns of a store, by one pass over it."""
    groups: dict[Run, _Group] = defaultdict(_Group)
    for record in store.records():
        key = record.key
        groups[key.space, key.proxy, key.data, key.seed].add(record)
    return [column for run in sorted(groups) for column in groups[run].columns(run)]


def place(store: Store) -> str:
    return "the store in memory" if store.path is None else store.path.name


def _meanings(stored: str, columns: list[str]) -> list[_Meaning]:
    """What the columns of a proxy stand for.

    A column is named by settings that it replaces (``n_train=100``), by what it reports besides
    (``test_accuracy``), or both. Of several sizes at once, a proxy's own score is that
    of the largest.
    """
    proxy, settings = parsed(stored)
    settings = said(PROXIES.get(proxy), settings)
    parted = []
    for column in columns:
        parts = column.split(",") if column else []
        replacing = [part for part in parts if part.partition("=")[0] in settings]
        _, replaced = parsed(f"_:{','.join(replacing)}")
        parted.append((replaced, ",".join(p for p in parts if p not in replacing)))
    swept = {key for replaced, _ in parted for key in replaced}
    own = {k: _largest(v) if k in swept else v for k, v in settings.items()}
    return [_Meaning(proxy, own | replaced, besides) for replaced, besides in parted]


def parsed(stored: str) -> tuple[str, dict[str, Any]]:
    """``parse_settings``, but anything that a store may hold is a name; as it is called today."""
    try:
        return renamed(*parse_settings(stored))
    except SettingError:
        return stored, {}


def _largest(value: Any) -> Any:
    return max(value) if isinstance(value, tuple) else value


def means(spec: str, column: Column) -> bool:
    """Whether a name with some settings fits a column; a store keeps the width with the space."""
    name, _, besides = spec.removesuffix("]").partition("[")
    proxy, settings = parsed(name)
    if "width" in settings and "width" not in column.meaning.settings:
        stored = parsed(column.run[0])[1]
        if settings.pop("width") != stored.get("width"):
            return False
    own, has, reports = column.meaning
    return besides == reports and agrees((proxy, settings), (own, has))


def agrees(spec: tuple[str, dict[str, Any]], stored: tuple[str, dict[str, Any]]) -> bool:
    return spec[0] == stored[0] and all(
        _largest(stored[1].get(key)) == _largest(value) for key, value in spec[1].items()
    )


def _short(name: str, settings: dict[str, Any], kinds: Mapping[str, type]) -> str | None:
    """A name with the settings that are no defaults; None where it is of no known kind."""
    try:
        return describe(make(kinds[name], name, settings), name, full=False)
    except (KeyError, TypeError, ValueError):
        return None
