"""Scoring architectures: what is stored is read, the rest is computed and stored at once."""

import logging
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nasproxy.architectures import by_key
from nasproxy.checks import Whole, checked
from nasproxy.data import Dataset
from nasproxy.errors import DataError, SettingError
from nasproxy.named import as_data, as_proxies, as_proxy, as_space
from nasproxy.progress import bar
from nasproxy.proxies.base import NoScore, Proxy, Scorer, on_machine, on_width, plain
from nasproxy.settings import describe
from nasproxy.space import SearchSpace
from nasproxy.store import Key, Record, Store

SEED = Whole(0, 2**63 - 1)  # what generators and stores both take
LONGEST = 500
"""Characters of a failure's reason: a message of ours, not a compiler's."""

_log = logging.getLogger(__name__)


def score(
    architectures: Iterable[Any],
    space: SearchSpace | str,
    proxies: Proxy | str | Sequence[Proxy | str],
    data: Dataset | str | os.PathLike[str],
    *,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    drawn: str | None = None,
    retry_failed: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Scores every architecture by every proxy.

    A score that the store holds is not computed again; a new one is stored before the next is
    begun. An architecture whose scoring raises is stored with the reason, and is NaN in the table;
    each reason is logged once. But images that no architecture takes end the run.

    Args:
        architectures: of the space, or their keys or JSON; those equal up to isomorphism are
            scored once.
        space: where they come from; or its name, with settings if wanted: ``"nasbench101"``.
        proxies: what to score them by; or names, as ``"nngp:n_train=100,width=16"``.
        data: what to score them on; or what :func:`nasproxy.data.load` takes, as ``"digits"``.
        seed: of subsets and initialisations.
        store: a file, an open store, or None to keep nothing.
        drawn: how the architectures were drawn, stored with new scores for tables to state.
        retry_failed: compute again what is stored as failed.
        progress: show a progress bar.

    Returns:
        A row an architecture, indexed by key, in the order given; a column a proxy, named after it
        (with its settings where two share a name), then the proxies' further columns. Seconds and
        operations are in the columns ``<name> seconds`` and ``<name> flops``. ``.attrs["failed"]``
        counts the reasons of failures, ``{name: {reason: architectures}}``, the commonest first.

    Raises:
        SettingError, DataError: settings that do not fit the data, before anything is computed.
        ArchitectureError: what is no architecture of the space, likewise.
        DataError: images that are too small for the space's networks, at the first of them, or that
            cannot be read; what was computed before is in the store.
    """
    space, proxies, data = as_space(space), as_proxies(proxies), as_data(data)
    keyed = by_key(architectures, space)
    names = _names(proxies)
    opened = store if isinstance(store, Store) else Store(store)
    try:
        sessions = [
            Session(proxy, space, data, opened, seed=seed, drawn=drawn, retry_failed=retry_failed)
            for proxy in proxies
        ]
        columns: dict[str, pd.Series] = {}
        failed: dict[str, dict[str, int]] = {}
        for name, session in zip(names, sessions, strict=True):
            records = _run(keyed, session, progress, name)
            columns.update(_columns(name, records, list(keyed)))
            failed[name] = reasons(records[key].error for key in keyed)
        frame = pd.DataFrame(columns, index=pd.Index(list(keyed), name="architecture"))
        frame.attrs["failed"] = failed
        return frame
    finally:
        if opened is not store:
            opened.close()


class Session:
    """A proxy made ready once, then called with one architecture at a time.

    A score that the store held when the session was first used, or that the session computed, is
    returned at once; a new one is in the store before the call returns. An architecture whose
    scoring raises gives a record with the reason as its ``error``, except that a DataError is
    raised: it is the images', and so every architecture's.

    Args:
        proxy, space, data: what scores, what is scored, and on what; or names, as in :func:`score`.
        store: an open store; ``Store(None)`` keeps scores in memory.
        seed, drawn, retry_failed: as in :func:`score`.

    Raises:
        SettingError, DataError: settings that do not fit the data.
    """

    def __init__(
        self,
        proxy: Proxy | str,
        space: SearchSpace | str,
        data: Dataset | str | os.PathLike[str],
        store: Store,
        *,
        seed: int = 0,
        drawn: str | None = None,
        retry_failed: bool = False,
    ) -> None:
        seed = checked("scoring", "seed", seed, SEED)
        proxy, space, data = as_proxy(proxy), as_space(space), as_data(data)
        plain, self._space = on_width(proxy, space)
        self._scorer = plain.prepare(self._space, data, seed)
        self._run = (*run_id(space, proxy), data_id(data), seed)
        self._store, self._drawn, self._retry_failed = store, drawn, retry_failed
        self._warned: set[str] = set()

    def __call__(self, architecture: Any) -> Record:
        """The record of an architecture, computed and stored if there is none yet."""
        space, proxy, data, seed = self._run
        key = Key(space, self._space.key(architecture), proxy, data, seed)
        record = self._store.get(key) if key.architecture in self.done else None
        if record is None:
            record = _evaluate(self._scorer, architecture, key, self._space, self._drawn)
            self._store.put(record)
            self.done.add(key.architecture)
            self._warn(record)
        return record

    def _warn(self, record: Record) -> None:
        """Says each new reason once: what all fail by should not take a day to see."""
        if record.error is not None and record.error not in self._warned:
            self._warned.add(record.error)
            _log.warning("%s of %s failed: %s", self._run[1], record.key.architecture, record.error)

    @cached_property
    def done(self) -> set[str]:
        """Keys of what need not be computed; the records stay in the store."""
        stored = self._store.get_many(*self._run)
        return {k for k, r in stored.items() if not (self._retry_failed and r.error)}

    def records(self) -> dict[str, Record]:
        """All that the store holds of this proxy, space, data and seed, by key."""
        return self._store.get_many(*self._run)


def reasons(errors: Iterable[str | None]) -> dict[str, int]:
    """How many architectures failed for each reason, the commonest first."""
    return dict(Counter(error for error in errors if error is not None).most_common())


def data_id(data: Dataset) -> str:
    """The name by which stores know a data set's contents."""
    return f"{data.name}@{data.fingerprint}"


def run_id(space: SearchSpace, proxy: Proxy) -> tuple[str, str]:
    """The names by which stores know a space and a proxy with all their settings."""
    proxy, space = on_width(on_machine(proxy), space)
    return describe(space, space.name, full=True), describe(proxy, proxy.name, full=True)


def _names(proxies: Sequence[Proxy]) -> list[str]:
    names = [proxy.name for proxy in proxies]
    shown = [
        name if names.count(name) == 1 else describe(proxy, name, full=False)
        for name, proxy in zip(names, proxies, strict=True)
    ]
    if len(set(shown)) < len(shown):
        raise SettingError(f"the same proxy is asked for twice: {', '.join(shown)}")
    return shown


def _run(keyed: dict[str, Any], session: Session, progress: bool, name: str) -> dict[str, Record]:
    n_done = sum(key in session.done for key in keyed)
    _log.info("%s: %d of %d scores are stored already", name, n_done, len(keyed))
    with bar(name, len(keyed), n_done, shown=progress) as advance:
        for key, architecture in keyed.items():
            if key not in session.done:
                session(architecture)
                advance()
    return session.records()


def _evaluate(
    scorer: Scorer, architecture: Any, key: Key, space: SearchSpace, drawn: str | None
) -> Record:
    start = time.perf_counter()
    result = error = None
    try:
        result = plain(scorer(architecture))
    except DataError:
        raise
    except NoScore as reason:
        error = _one_line(str(reason))
    except Exception as raised:  # Whatever one architecture does, the others are scored.
        error = _one_line(_said(raised))
    info: dict[str, Any] = {} if drawn is None else {"drawn": drawn}
    if result is not None:
        columns = {c: value for c, value in result.columns.items() if math.isfinite(value)}
        info |= result.info | info | {"columns": columns}
        if undefined := sorted(set(result.columns) - set(columns)):
            info["undefined"] = undefined
    return Record(
        key=key,
        value=result.value if result else None,
        seconds=time.perf_counter() - start,
        flops=result.flops if result else 0.0,
        info=info,
        error=error,
        architecture_json=space.to_json(architecture),
    )


def _said(raised: Exception) -> str:
    name = type(raised).__name__
    try:
        return f"{name}: {raised}".removesuffix(": ")
    except Exception:  # One that cannot even be said.
        return name


def _one_line(text: str) -> str:
    """A reason as stores keep it: one line of bounded length that any encoding takes."""
    line = " ".join(text.encode(errors="backslashreplace").decode().split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} … ({len(line):,} characters)"


def _columns(name: str, records: dict[str, Record], keys: list[str]) -> dict[str, pd.Series]:
    ordered = [records[key] for key in keys]
    columns = {name: [np.nan if r.value is None else r.value for r in ordered]}
    extra = dict.fromkeys(c for r in ordered for c in r.info.get("columns", {}))
    for column in extra:
        columns[f"{name}[{column}]"] = [r.info.get("columns", {}).get(column) for r in ordered]
    columns[f"{name} seconds"] = [r.seconds for r in ordered]
    columns[f"{name} flops"] = [r.flops for r in ordered]
    index = pd.Index(keys, name="architecture")
    return {c: pd.Series(v, index=index, dtype=float) for c, v in columns.items()}
