"""Scoring architectures: what is stored is read, the rest is computed and stored at once."""

import contextlib
import logging
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy.architectures import by_key
from nasproxy.checks import checked
from nasproxy.cluster import Crew, Workers
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.named import as_data, as_proxies, as_space
from nasproxy.progress import bar
from nasproxy.proxies.base import Proxy
from nasproxy.scoring.session import SEED, Session
from nasproxy.settings import describe
from nasproxy.space import SearchSpace
from nasproxy.store import Store

_log = logging.getLogger(__name__)


def score(
    architectures: Iterable[Any],
    space: SearchSpace | str,
    proxies: Proxy | str | Sequence[Proxy | str],
    data: Dataset | str | os.PathLike[str],
    *,
    seed: int | Sequence[int] = 0,
    store: Store | str | os.PathLike[str] | None = None,
    drawn: str | None = None,
    retry_failed: bool = False,
    timeout: float | None = None,
    workers: Workers | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Scores every architecture by every proxy.

    A score that the store holds is not computed again; a new one is stored before the next is
    begun. Processes that share a list and a store share the work: each goes on where no other has
    been. A failure that is the architecture's own is stored with its reason, logged once, and is
    NaN in the table; any other ends the run and is not stored (:mod:`nasproxy.scoring.failure`).

    Args:
        architectures: of the space, or their keys or JSON; those equal up to isomorphism are
            scored once.
        space: where they come from; or its name, with settings if wanted: ``"nasbench101"``.
        proxies: what to score them by; or names, as ``"nngp:n_train=100,width=16"``.
        data: what to score them on; or what :func:`nasproxy.data.load` takes, as ``"digits"``.
        seed: of subsets and initialisations; or several, each of which scores every architecture.
        store: a file, an open store, or None to keep nothing.
        drawn: how the architectures were drawn, stored with new scores for tables to state.
        retry_failed: compute again what is stored as failed.
        timeout: seconds that an architecture may take; one that takes longer is stored as failed.
        workers: processes to share the work out to: a number of this machine's, an executor of
            ``concurrent.futures``, or a ``dask.distributed.Client``; None for this process alone.
            They compute on one thread each, and only this process writes the store. Proxies that
            measure time run here alone, unless the workers are other machines'; a time is filed
            under the machine that measured it.
        progress: show a progress bar.

    Returns:
        A row an architecture, indexed by key, in the order given; a column a proxy, named after it
        (with its settings where two share a name), then the proxies' further columns. Seconds and
        operations are in the columns ``<name> seconds`` and ``<name> flops``. ``.attrs["failed"]``
        counts the reasons of failures, ``{name: {reason: architectures}}``, the commonest first;
        ``.attrs["failed before"]`` those of them that the store held already. Of several seeds the
        index is (architecture, seed), the seeds of an architecture one after the other.

    Raises:
        SettingError, DataError: settings that do not fit the data, before anything is computed.
        ArchitectureError: what is no architecture of the space, likewise.
        DataError: images that are too small for the space's networks, at the first of them, or that
            cannot be read; what was computed before is in the store.
        ScoringError: what is no architecture's fault: no memory, a full disk, or the first few all
            fail. What was computed before is in the store.
        StoreError: the store cannot be used, or was deleted under the run.
    """
    space, proxies, data = as_space(space), as_proxies(proxies), as_data(data)
    seeds = _seeds(seed)
    keyed = by_key(architectures, space)
    names = _names(proxies)
    opened = store if isinstance(store, Store) else Store(store)
    crew = None if workers is None else Crew(workers)
    try:
        # All are prepared before any computes: what does not fit the data is said at once.
        sessions = [
            [
                Session(
                    proxy,
                    space,
                    data,
                    opened,
                    seed=one,
                    drawn=drawn,
                    retry_failed=retry_failed,
                    timeout=timeout,
                )
                for one in seeds
            ]
            for proxy in proxies
        ]
        columns: dict[str, pd.Series] = {}
        failed: dict[str, dict[str, int]] = {}
        before: dict[str, dict[str, int]] = {}
        with crew or contextlib.nullcontext():
            for name, of_seeds in zip(names, sessions, strict=True):
                stored = [session.known(list(keyed)) for session in of_seeds]
                _run(keyed, of_seeds, crew, progress, name)
                found = [_table(name, session, list(keyed)) for session in of_seeds]
                columns |= _together([table.columns for table in found], seeds)
                errors = [(t.errors, known) for t, known in zip(found, stored, strict=True)]
                failed[name] = reasons(e for one, _ in errors for e in one.values())
                before[name] = reasons(
                    error for one, known in errors for key, error in one.items() if key in known
                )
        opened.verify()
        frame = pd.DataFrame(columns, index=_index(list(keyed), seeds))
        frame.attrs |= {"failed": failed, "failed before": before}
        return frame
    except KeyboardInterrupt:
        place = opened.path or "memory, and lost with it: give a store to keep them"
        _log.warning("stopped; what was scored is in %s; the same call goes on from there", place)
        raise
    finally:
        if opened is not store:
            opened.close()


def reasons(errors: Iterable[str | None]) -> dict[str, int]:
    """How many architectures failed for each reason, the commonest first."""
    return dict(Counter(error for error in errors if error is not None).most_common())


def _names(proxies: Sequence[Proxy]) -> list[str]:
    names = [proxy.name for proxy in proxies]
    shown = [
        name if names.count(name) == 1 else describe(proxy, name, full=False)
        for name, proxy in zip(names, proxies, strict=True)
    ]
    if len(set(shown)) < len(shown):
        raise SettingError(f"the same proxy is asked for twice: {', '.join(shown)}")
    return shown


def _seeds(given: int | Sequence[int]) -> tuple[int, ...]:
    """Several of them, or one."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        return (checked("scoring", "seed", given, SEED),)
    seeds = tuple(checked("scoring", "seed", one, SEED) for one in given)
    if not seeds or len(set(seeds)) < len(seeds):
        raise SettingError(f"seed={list(seeds)} of scoring: give at least one, each once")
    return seeds


def _index(keys: list[str], seeds: tuple[int, ...]) -> pd.Index:
    if len(seeds) == 1:
        return pd.Index(keys, name="architecture")
    return pd.MultiIndex.from_product([keys, seeds], names=["architecture", "seed"])


def _together(tables: list[dict[str, pd.Series]], seeds: tuple[int, ...]) -> dict[str, pd.Series]:
    """Columns of each seed as columns of all; NaN where a seed has no such column."""
    if len(tables) == 1:
        return tables[0]
    named = pd.Index(seeds, name="seed")
    joined: dict[str, pd.Series] = {}
    for column in dict.fromkeys(name for table in tables for name in table):
        parts = pd.concat(
            {s: t[column] for s, t in zip(seeds, tables, strict=True) if column in t}, axis=1
        )
        stacked = parts.reindex(columns=named).to_numpy().reshape(-1)
        joined[column] = pd.Series(stacked, index=_index(list(parts.index), seeds))
    return joined


def _run(
    keyed: dict[str, Any], sessions: list[Session], crew: Crew | None, progress: bool, name: str
) -> None:
    """Computes what is missing, a seed after the other."""
    known = [session.known(list(keyed)) for session in sessions]
    stored, wanted = sum(map(len, known)), len(keyed) * len(sessions)
    _log.info("%s: %d of %d scores are stored already", name, stored, wanted)
    with bar(name, wanted, stored, shown=progress) as advance:
        for session, there in zip(sessions, known, strict=True):
            left = [architecture for key, architecture in keyed.items() if key not in there]
            alone = crew is None or (crew.local and hasattr(session.evaluation.proxy, "machine"))
            if crew is None or alone:
                _in_turn(left, session, advance)
            else:
                for done in crew.run(session.evaluation, left):
                    session.keep([one.result for one in done])
                    for _ in done:
                        advance()
            session.finish()


def _in_turn(left: Sequence[Any], session: Session, advance: Callable[[], None]) -> None:
    """One after the other, in the order given unless others are there.

    Where another process has been, it goes on at a place drawn at random: two that ran side by side
    would meet at every architecture, and compute each twice.
    """
    done, place, rng = bytearray(len(left)), 0, random.Random()
    for _ in left:
        place = done.find(0, place)
        place = done.find(0) if place < 0 else place
        _, alone = session.shared(left[place])
        done[place] = 1
        place = place + 1 if alone else rng.randrange(len(left))
        advance()


class _Table(NamedTuple):
    """Columns of scores, and the reason of each that failed."""

    columns: dict[str, pd.Series]
    errors: dict[str, str]


def _table(name: str, session: Session, keys: list[str]) -> _Table:
    value, seconds, flops = (np.full(len(keys), np.nan) for _ in range(3))
    extra: dict[str, np.ndarray] = defaultdict(lambda: np.full(len(keys), np.nan))
    errors = {}
    for place, record in enumerate(session.records(keys)):
        seconds[place], flops[place] = record.seconds, record.flops
        if record.error is not None:
            errors[keys[place]] = record.error
        elif record.value is not None:
            value[place] = record.value
        for column, number in record.info.get("columns", {}).items():
            if number is not None:
                extra[column][place] = number
    columns = {name: value, **{f"{name}[{column}]": n for column, n in extra.items()}}
    columns |= {f"{name} seconds": seconds, f"{name} flops": flops}
    index = pd.Index(keys, name="architecture")
    return _Table({c: pd.Series(v, index=index) for c, v in columns.items()}, errors)
