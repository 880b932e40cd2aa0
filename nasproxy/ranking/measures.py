"""Measures by name, to hold a row of the ranking against: stored ones, or a table's column."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from nasproxy.errors import SettingError
from nasproxy.ranking.aligned import by_seed, numbers
from nasproxy.ranking.pooled import Pooled
from nasproxy.ranking.reference import is_table, read_truth
from nasproxy.store import Store
from nasproxy.store.columns import means, parsed, place

_LISTED = 10  # candidates in an error message


@dataclass(frozen=True)
class Measure:
    """A measure as it is compared with: larger is better.

    Attributes:
        name: as it was asked for.
        frame: architectures as rows, a column a seed, NaN where failed.
        source: where it is stored; None of a table's or one's own.
    """

    name: str
    frame: pd.DataFrame
    source: Pooled | None = None


@dataclass(frozen=True)
class Finder:
    """Measures by name.

    Attributes:
        store: of the scores.
        pools: all that it holds.
        key, where, average: of tables, see ``nasproxy.truth.read``.
    """

    store: Store
    pools: list[Pooled]
    key: str | None = None
    where: Mapping[str, Any] | None = None
    average: bool = False
    _read: dict[str, Measure] = field(default_factory=dict)

    def table(self, what: str | pd.Series) -> Measure | None:
        """A table's column, or a series of one's own; None of the name of a stored proxy.

        Raises:
            TruthError: see ``read_truth`` and ``numbers``.
        """
        if isinstance(what, str) and not is_table(what):
            return None
        if not isinstance(what, str):
            return _measure(what)
        if what not in self._read:
            options = {"where": self.where, "average": self.average}
            self._read[what] = _measure(read_truth(what, self.store, self.key, **options))
        return self._read[what]

    def one(self, what: str | pd.Series, near: Pooled | None = None) -> Measure | None:
        """The measure of that name that is stored nearest to a row: of its space and data.

        Args:
            what: a stored proxy as tables name it, ``FILE:COLUMN``, or a series of one's own.
            near: the row; None wants the only one of the store.

        Returns:
            None where the row's search space has no such measure.

        Raises:
            SettingError: the store has none of that name, or several that are as near.
        """
        found = self.table(what)
        if found is not None:
            return found
        assert isinstance(what, str)
        pooled = self._nearest(what, self._fitting(what), near)
        return None if pooled is None else Measure(what, _upwards(pooled.frame), pooled)

    def joint(self, what: str | pd.Series | pd.DataFrame, near: Pooled) -> list[Measure]:
        """All columns that names stand for: of a proxy's own name, its score and what it reports.

        Args:
            what: names separated by commas; or columns of one's own, by architecture key.
            near: as in ``one``.
        """
        if isinstance(what, pd.DataFrame):
            return [m for name in what if (m := self.table(what[name].rename(str(name))))]
        if isinstance(what, pd.Series):
            return [m for m in [self.table(what)] if m]
        found = []
        for name in split(what):
            own = self.one(name, near)
            found += [] if own is None else [own]
            if own is None or own.source is None or "[" in name:
                continue
            run = own.source.first.run
            found += [
                Measure(p.about["proxy"], _upwards(p.frame), p)
                for p in self.pools
                if p is not own.source and p.first.run == run and p.first.meaning.besides
            ]
        return found

    def _fitting(self, name: str) -> list[Pooled]:
        fitting = [p for p in self.pools if name == p.first.full or means(name, p.first)]
        exact = [p for p in fitting if name in (p.first.full, p.about["proxy"])]
        if not fitting:
            raise SettingError(
                f"{name!r} fits no column of {place(self.store)}: {_listed(self.pools)}"
            )
        return exact or fitting

    def _nearest(self, name: str, fitting: list[Pooled], near: Pooled | None) -> Pooled | None:
        levels = [fitting]
        if near is not None:
            space, _, data, _ = near.first.run
            kind = parsed(space)[0]
            alike = [p for p in fitting if parsed(p.first.run[0])[0] == kind]
            own = [p for p in alike if p.first.run[2] == data]
            levels = [
                [p for p in own if p.first.run[0] == space and p.seeds == near.seeds],
                [p for p in own if p.first.run[0] == space],
                [p for p in own if p.seeds == near.seeds],
                own,
                alike,
            ]
        found = next((level for level in levels if level), [])
        if len(found) > 1:
            raise SettingError(
                f"{name!r} fits {len(found)} columns of {place(self.store)}: {_listed(found)}"
            )
        return found[0] if found else None


def split(names: str) -> list[str]:
    """``nngp:n_train=100,width=8,counts[pools]`` as two names: settings stay with their proxy.

    Raises:
        SettingError: a name is empty or stands there twice.
    """
    found: list[str] = []
    for part in re.split(r",(?![^\[]*\])", names):
        if found and re.match(r"\w+=", part):
            found[-1] += f",{part}"
        else:
            found.append(part.strip())
    if not all(found) or len(set(found)) < len(found):
        raise SettingError(f"{names!r}: give different names, separated by commas")
    return found


def _measure(series: pd.Series) -> Measure:
    name = str(series.name or "given")
    frame, _ = by_seed(name, numbers(name, series))
    return Measure(name, _upwards(frame).set_axis(frame.index.astype(str), axis=0))


def _upwards(frame: pd.DataFrame) -> pd.DataFrame:
    return -frame if frame.attrs.get("lower") else frame


def _listed(pools: Sequence[Pooled]) -> str:
    listed = [
        f"{p.about['proxy']} ({p.about['space']}, {p.about['data']}, {p.seed_names})" for p in pools
    ]
    more = [f"and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
    return "name one of " + "; ".join(listed[:_LISTED] + more)
