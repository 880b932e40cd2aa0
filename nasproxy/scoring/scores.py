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
from nasproxy.cluster import Crew, Workers
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.named import as_data, as_proxies, as_space
from nasproxy.progress import bar
from nasproxy.proxies.base import Proxy
from nasproxy.scoring.session import Session
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
    seed: int = 0,
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
        seed: of subsets and initialisations.
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
        ``.attrs["failed before"]`` those of them that the store held already.

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
    keyed = by_key(architectures, space)
    names = _names(proxies)
    opened = store if isinstance(store, Store) else Store(store)
    crew = None if workers is None else Crew(workers)
    try:
        sessions = [
            Session(
                proxy,
                space,
                data,
                opened,
                seed=seed,
                drawn=drawn,
                retry_failed=retry_failed,
                timeout=timeout,
            )
            for proxy in proxies
        ]
        columns: dict[str, pd.Series] = {}
        failed: dict[str, dict[str, int]] = {}
        before: dict[str, dict[str, int]] = {}
        with crew or contextlib.nullcontext():
            for name, session in zip(names, sessions, strict=True):
                stored = session.known(list(keyed))
                _run(keyed, session, crew, progress, name)
                table = _table(name, session, list(keyed))
                columns |= table.columns
                failed[name] = reasons(table.errors.values())
                before[name] = reasons(
                    error for key, error in table.errors.items() if key in stored
                )
        opened.verify()
        frame = pd.DataFrame(columns, index=pd.Index(list(keyed), name="architecture"))
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


def _run(
    keyed: dict[str, Any], session: Session, crew: Crew | None, progress: bool, name: str
) -> None:
    """Computes what is missing."""
    known = session.known(list(keyed))
    _log.info("%s: %d of %d scores are stored already", name, len(known), len(keyed))
    left = [architecture for key, architecture in keyed.items() if key not in known]
    alone = crew is None or (crew.local and hasattr(session.evaluation.proxy, "machine"))
    with bar(name, len(keyed), len(known), shown=progress) as advance:
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
