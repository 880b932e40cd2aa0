"""What a page shows: columns of numbers by architecture, the ranking, and drawings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nasproxy.drawing import Drawing
from nasproxy.ranking.best import drawings_of
from nasproxy.ranking.labels import labels
from nasproxy.ranking.pooled import Pooled, pool
from nasproxy.ranking.table import rank_store
from nasproxy.store import Store
from nasproxy.store.columns import read_columns

MOST = 20_000
"""Architectures on a page; of more, as many are drawn evenly, and the page says so."""
BASELINES = ("params", "flops", "macs", "counts")
"""Proxies that cost nothing."""


@dataclass(frozen=True)
class Column:
    """A number by architecture.

    Attributes:
        name: as the ranking table has it; unique on a page.
        label: what readers see.
        values: (n,), NaN where there is none.
        lower: whether lower is better.
        role: ``truth``, ``baseline``, ``score``, or ``measure`` of what is neither better nor
            worse.
    """

    name: str
    label: str
    values: np.ndarray
    lower: bool
    role: str


@dataclass(frozen=True)
class Contents:
    """What a page is made of.

    Attributes:
        keys: of the n architectures, in the order of every column's values.
        columns: the truth first.
        table: of :func:`nasproxy.ranking.rank_store`, over all architectures of the store.
        rows: for each row of the table, the name of its column.
        drawings: of the n architectures.
        total: architectures of the store; more than n where some were left out.
    """

    keys: list[str]
    columns: list[Column]
    table: pd.DataFrame
    rows: list[str]
    drawings: list[Drawing]
    total: int


def contents(store: Store, truth: pd.Series, **options: Any) -> Contents:
    """What a store says against a truth.

    Args:
        store: what was scored.
        truth: indexed by architecture key, see ``nasproxy.ranking.reference.read_truth``.
        options: of :func:`nasproxy.ranking.rank_store`.

    Raises:
        StoreError, TruthError, SettingError: as ``rank_store``.
    """
    table = rank_store(store, truth, **options)
    own = truth.attrs.get("columns", [])
    pools = pool([c for c in read_columns(store) if (c.run, c.column) not in own])
    every = sorted({key for pooled in pools for key in pooled.frame.index})
    shown = every
    if len(every) > MOST:
        chosen = np.random.default_rng(0).choice(len(every), MOST, replace=False)
        shown = [every[i] for i in sorted(chosen)]
    keys = pd.Index(shown, dtype=object)
    known = truth.set_axis(truth.index.astype(str).to_numpy(object))
    known = known[~known.index.duplicated()].reindex(keys)
    columns = [
        Column(
            "truth",
            str(truth.name or "truth"),
            known.to_numpy(np.float64),
            bool(truth.attrs.get("lower")),
            "truth",
        )
    ]
    names = _names(pools)
    for pooled, name, label in zip(pools, names, labels(pools), strict=True):
        values = pooled.mean.set_axis(pooled.mean.index.astype(object)).reindex(keys)
        columns.append(
            Column(name, label, values.to_numpy(np.float64), pooled.first.lower, _role(pooled))
        )
    own_rows: dict[tuple[str, ...], list[str]] = {}
    for pooled, name in zip(pools, names, strict=True):
        about = _about(pooled) | {"seconds": pooled.seconds, "flops": pooled.flops}
        own_rows.setdefault(_row(about, _COST), []).append(name)
    rows = [own_rows[_row(row, _COST)].pop(0) for row in table.to_dict(orient="records")]
    return Contents(shown, columns, table, rows, drawings_of(store, shown), len(every))


_WHO = ("proxy", "space", "data", "seed_names")
_COST = (*_WHO, "seconds", "flops")
"""What a row of the table is known by: one setting may be there twice, at two prices."""


def _row(about: Mapping[Any, Any], parts: tuple[str, ...] = _WHO) -> tuple[str, ...]:
    return tuple(str(about[part]) for part in parts)


def _about(pooled: Pooled) -> dict[str, Any]:
    return pooled.about | {"seed_names": pooled.seed_names}


def _names(pools: list[Pooled]) -> list[str]:
    """The proxies' names, with as much of space, data and seeds as tells them apart."""
    abouts = [_row(_about(pooled)) for pooled in pools]
    varying = [i for i in range(1, 4) if len({about[i] for about in abouts}) > 1]
    found: list[str] = []
    for about in abouts:
        name = ", ".join([about[0], *(about[i] for i in varying)])
        while name in found:  # one setting, scored alone and as a column of several
            name += " (again)"
        found.append(name)
    return found


def _role(pooled: Pooled) -> str:
    if not pooled.first.directed:
        return "measure"
    return "baseline" if pooled.first.meaning.proxy in BASELINES else "score"
