"""A proxy that is ready, over a store: architecture in, record out."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from nasproxy.checks import Optional, Real, Whole, checked
from nasproxy.data import Dataset
from nasproxy.named import as_data, as_proxy, as_space
from nasproxy.proxies.base import Proxy
from nasproxy.scoring.evaluation import Evaluation, Outcome
from nasproxy.scoring.failure import Held
from nasproxy.settings import former
from nasproxy.space import SearchSpace
from nasproxy.store import Key, Record, Store

SEED = Whole(0, 2**63 - 1)  # what generators and stores both take
_REASONS = 20  # that are logged, should each architecture fail by another
_PAGE = 1_000  # records held at once when a table is made

_log = logging.getLogger(__name__)


class Session:
    """A proxy made ready once, then called with one architecture at a time.

    A score that the store holds is returned at once; a new one is in the store before the call
    returns. A failure that is the architecture's own gives a record with the reason as its
    ``error``; one that may be, until another architecture has a score, likewise, but it is not in
    the store before that. Any other is raised: see :mod:`nasproxy.scoring.failure`.

    Args:
        proxy, space, data: what scores, what is scored, and on what; or names, as in :func:`score`.
        store: an open store; ``Store(None)`` keeps scores in memory.
        begin: whether the proxy is made ready now, which checks its settings, or when it is called.
        seed, drawn, retry_failed, timeout: as in :func:`score`.

    Attributes:
        best: the record with the largest score of all that calls have returned, the first of
            equals; None before one has a score.

    Raises:
        SettingError, DataError: settings that do not fit the data.

    Example::

        with Store("scores.db") as store:
            session = Session("nngp", "nasbench101:width=16", "digits", store)
            for cell in NASBench101(width=16).sample(20, seed=0):
                print(session(cell).value, session.best.key.architecture)
            session.finish()
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
        timeout: float | None = None,
        begin: bool = True,
    ) -> None:
        seed = checked("scoring", "seed", seed, SEED)
        timeout = checked("scoring", "timeout", timeout, Optional(Real(above=0, hint="seconds")))
        self._space = as_space(space)
        self.evaluation = Evaluation(
            as_proxy(proxy), self._space, as_data(data), seed, drawn, timeout
        )
        self._evaluate = self.evaluation.begin() if begin else None
        self._run = self.evaluation.run
        self._elsewhere: dict[str, Key] = {}  # Times of other machines are filed under these.
        self._store, self._retry_failed = store, retry_failed
        named, kind, contents, number = self._run
        self._runs = [(named, name, contents, number) for name in (*former(kind), kind)]
        self._held = Held(proven=any(store.has_scores(*run) for run in self._runs))
        self._tried: set[str] = set()
        self._warned: set[str] = set()
        self.best: Record | None = None

    def __call__(self, architecture: Any) -> Record:
        """The record of an architecture, computed and stored if there is none yet."""
        record = self.shared(architecture)[0]
        if record.value is not None and (
            self.best is None or self.best.value is None or record.value > self.best.value
        ):
            self.best = record
        return record

    def shared(self, architecture: Any) -> tuple[Record, bool]:
        """The record, and whether it came of this call alone: no other process was as fast."""
        key = self._space.key(architecture)
        if (found := self._stored(key)) is not None:
            return found, False
        if self._evaluate is None:
            self._evaluate = self.evaluation.begin()
        record, whose = self._evaluate(architecture)
        self._tried.add(key)
        if (found := self._stored(key)) is not None and found.value is not None:
            return found, False
        self.keep([(record, whose)])
        return record, True

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that need not be computed."""
        stored: dict[str, bool] = {}
        for run in self._runs:
            stored |= self._store.statuses(*run, keys)
        return {key for key, failed in stored.items() if not (failed and self._again(key))}

    def records(self, keys: Sequence[str]) -> Iterator[Record]:
        """The records of architectures that were scored, in the order of their keys, by pages."""
        for start in range(0, len(keys), _PAGE):
            page = keys[start : start + _PAGE]
            stored = self._found(page)
            for key in page:
                other = self._elsewhere.get(key)
                found = self._store.get(other) if other else stored.get(key)
                yield found or self._held.records[key]

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        """Stores what was evaluated here or elsewhere, at once.

        Raises:
            ScoringError, StoreError: as a call does.
        """
        due = []
        try:
            for record, whose in outcomes:
                self._tried.add(record.key.architecture)
                if record.key.proxy != self._run[1]:
                    self._elsewhere[record.key.architecture] = record.key
                due += self._held.due(record, whose)
        finally:
            self._store.put_many(due)
        for record, _ in outcomes:
            self._warn(record)

    def finish(self) -> None:
        """Raises ScoringError if some failed, and none has a score to show that others can.

        What the proxy holds is let go; another call makes it ready again.
        """
        self._evaluate = None
        self._held.end()

    def copy(self, other: "Session", keys: Sequence[str]) -> None:
        """Stores what another seed's session has of architectures as this one's, by pages.

        It is for scores that depend on no seed; the time and the failures are the other's.
        """
        run, drawn = self._run, self.evaluation.drawn
        for start in range(0, len(keys), _PAGE):
            copied = []
            for record in other.records(keys[start : start + _PAGE]):
                info = {name: value for name, value in record.info.items() if name != "drawn"}
                info |= {} if drawn is None else {"drawn": drawn}
                key = replace(record.key, seed=run[3])
                copied.append(replace(record, key=key, info=info, created=time.time()))
            self._store.put_many(copied)
            self._tried.update(record.key.architecture for record in copied)

    def _stored(self, key: str) -> Record | None:
        held = self._held.records.get(key)
        if held is not None:
            return held
        found = self._found([key]).get(key)
        return None if found is not None and found.error and self._again(key) else found

    def _found(self, keys: Sequence[str]) -> dict[str, Record]:
        """What is stored, under the proxy's name of today before what it was called."""
        found: dict[str, Record] = {}
        for run in self._runs:
            found |= self._store.get_many(*run, keys)
        return found

    def _again(self, key: str) -> bool:
        return self._retry_failed and key not in self._tried

    def _warn(self, record: Record) -> None:
        if record.error is None or record.error in self._warned:
            return
        self._warned.add(record.error)
        if len(self._warned) <= _REASONS:
            key = record.key
            _log.warning("%s of %s failed: %s", key.proxy, key.architecture, record.error)
