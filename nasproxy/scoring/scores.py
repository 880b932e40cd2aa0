"""Scoring architectures: what is stored is read, the rest is computed and stored at once."""

import contextlib
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy.architectures import by_key
from nasproxy.checks import Several, checked
from nasproxy.cluster import Crew, Workers
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.named import as_data, as_proxies, as_space
from nasproxy.proxies.base import Proxy
from nasproxy.scoring.session import SEED, Session
from nasproxy.scoring.sharing import run
from nasproxy.scoring.together import groups, run_together
from nasproxy.settings import describe
from nasproxy.space import SearchSpace
from nasproxy.store import Store

_log = logging.getLogger(__name__)


class _Table(NamedTuple):
    """Columns of scores, and the reason of each that failed."""

    columns: dict[str, pd.Series]
    errors: dict[str, str]


def score(
    architectures: Iterable[Any],
    space: SearchSpace | str,
    proxies: Proxy | str | Sequence[Proxy | str],
    data: Dataset | str | os.PathLike[str],
    *,
    seeds: int | Sequence[int] = 0,
    store: Store | str | os.PathLike[str] | None = None,
    drawn: str | None = None,
    retry_failed: bool = False,
    timeout: float | None = None,
    workers: Workers | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Scores every architecture by every proxy, at every seed.

    A score that the store holds is not computed again; a new one is stored before the next is
    begun. Proxies that are read off passes of one network (:mod:`nasproxy.proxies.passes`) are
    scored together, an architecture by all before the next; each has its own passes' ``seconds``.
    Processes that share a list and a store share the work: each goes on where no other has been. A
    failure that is the architecture's own is stored with its reason, logged once, and is NaN in the
    table; any other ends the run and is not stored (:mod:`nasproxy.scoring.failure`).

    Args:
        architectures: of the space, or their keys or JSON; those equal up to isomorphism are
            scored once.
        space: where they come from; or its name, with settings if wanted: ``"nasbench101"``.
        proxies: what to score them by; or names, as ``"nngp:n_train=100,width=16"``. ``"suite"``
            stands for thirteen zero-cost proxies.
        data: what to score them on; or what :func:`nasproxy.data.load` takes, as ``"digits"``.
        seeds: of subsets and initialisations, one or several: ``(0, 1, 2)``. What does not depend
            on them (``params``, ``counts``) is computed once, and stored under each.
        store: a file, an open store, or None to keep nothing.
        drawn: how the architectures were drawn, stored with new scores for tables to state.
        retry_failed: compute again what is stored as failed.
        timeout: seconds that an architecture may take; one that takes longer is stored as failed.
        workers: processes to share the work of all seeds out to: a number of this machine's, an
            executor of ``concurrent.futures``, or a ``dask.distributed.Client``; None for this
            process alone. They compute on one thread each, and only this process writes the store.
            Proxies that measure time run here alone, unless the workers are other machines'; a time
            is filed under the machine that measured it.
        progress: show a progress bar a proxy, over all seeds.

    Returns:
        A row an architecture, indexed by key, in the order given; a column a proxy, named after it
        (with its settings where two share a name), then the proxies' further columns. Seconds and
        operations are in the columns ``<name> seconds`` and ``<name> flops``. ``.attrs["failed"]``
        counts the reasons of failures, ``{name: {reason: architectures}}``, the commonest first;
        ``.attrs["failed before"]`` those of them that the store held already. Of seeds in a tuple
        or list, even of one, a row an architecture and seed, indexed by both (``architecture``,
        ``seed``), an architecture's beside each other; a failure counts once a seed.

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
    given = checked_seeds(seeds)
    keyed = by_key(architectures, space)
    names = _names(proxies)
    opened = store if isinstance(store, Store) else Store(store)
    crew = None if workers is None else Crew(workers)
    try:
        settings = {"drawn": drawn, "retry_failed": retry_failed, "timeout": timeout}
        every = [
            # The first seed's checks are all seeds'; the others take no memory before their turn.
            [
                Session(proxy, space, data, opened, seed=seed, begin=not place, **settings)
                for place, seed in enumerate(given if isinstance(given, tuple) else (given,))
            ]
            for proxy in proxies
        ]
        tables: list[list[_Table]] = [[] for _ in proxies]
        before: dict[str, dict[str, int]] = {}
        with crew or contextlib.nullcontext():
            for places in groups(proxies, space):
                stored = {
                    place: [session.known(list(keyed)) for session in every[place]]
                    for place in places
                }
                if len(places) == 1:
                    run(keyed, every[places[0]], crew, progress, names[places[0]])
                else:
                    by_seed = list(zip(*(every[place] for place in places), strict=True))
                    run_together(keyed, by_seed, crew, progress, f"{len(places)} proxies")
                for place in places:
                    made = [_table(names[place], s, list(keyed)) for s in every[place]]
                    before[names[place]] = reasons(
                        error
                        for table, known in zip(made, stored[place], strict=True)
                        for key, error in table.errors.items()
                        if key in known
                    )
                    tables[place] = made
        opened.verify()
        frame = _frame(tables, list(keyed), given)
        errors = [[e for table in made for e in table.errors.values()] for made in tables]
        failed = {name: reasons(each) for name, each in zip(names, errors, strict=True)}
        frame.attrs |= {"failed": failed, "failed before": before}
        return frame
    except KeyboardInterrupt:
        place = opened.path or "memory, and lost with it: give a store to keep them"
        _log.warning("stopped; what was scored is in %s; the same call goes on from there", place)
        raise
    finally:
        if opened is not store:
            opened.close()


def checked_seeds(given: Any) -> int | tuple[int, ...]:
    """One seed, or several in a tuple.

    Raises:
        SettingError: none, one that is none, or one twice.
    """
    given = tuple(given) if isinstance(given, range) else given
    seeds = checked("scoring", "seeds", given, Several(SEED, "0,1,2"))
    if isinstance(seeds, tuple) and len(set(seeds)) < len(seeds):
        twice = next(seed for seed in seeds if seeds.count(seed) > 1)
        raise SettingError(f"seeds={seeds!r} of scoring: give {twice} once")
    return seeds


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


def _frame(
    tables: list[list[_Table]], keys: list[str], seeds: int | tuple[int, ...]
) -> pd.DataFrame:
    """The tables of all proxies side by side; of several seeds, an architecture's rows together."""
    count = 1 if isinstance(seeds, int) else len(seeds)
    by_seed = [
        pd.DataFrame(
            {c: v for made in tables for c, v in made[place].columns.items()},
            index=pd.Index(keys, name="architecture"),
        )
        for place in range(count)
    ]
    if isinstance(seeds, int):
        return by_seed[0]
    # A column that a proxy reports of some architectures may be missing at one of the seeds.
    columns = [list(dict.fromkeys(c for t in made for c in t.columns)) for made in tables]
    whole = pd.concat(by_seed).reindex(columns=[c for own in columns for c in own])
    beside = np.arange(count * len(keys)).reshape(count, len(keys)).T.ravel()
    index = pd.MultiIndex.from_product([keys, seeds], names=["architecture", "seed"])
    return whole.iloc[beside].set_axis(index)


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
