"""A study over a space, kept in Optuna's own storage, run to its budget and resumed there."""

import os
import sqlite3
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from sqlalchemy import event

from nasproxy.checks import Whole, checked
from nasproxy.data import Dataset
from nasproxy.errors import SettingError, StoreError
from nasproxy.named import as_data, as_proxy, as_space
from nasproxy.progress import bar
from nasproxy.proxies.base import Proxy
from nasproxy.scoring import SEED
from nasproxy.scoring.evaluation import data_id, run_id
from nasproxy.settings import describe
from nasproxy.space import Product, SearchSpace
from nasproxy.store import Store
from nasproxy.store.filesystem import network_kind
from nasproxy.store.schema import APPLICATION_ID
from nasproxy.studies import marks
from nasproxy.studies.objective import Goal, Objective
from nasproxy.studies.proposals import ByChoices, own_proposer
from nasproxy.studies.sampling import make_sampler

_SETTINGS = "nasproxy"
"""The attribute of a study that says what it is of."""
_WAIT = 60.0  # seconds for a database that another process is writing


def study(
    space: SearchSpace[Any] | str,
    goals: Goal | Sequence[Goal],
    data: Dataset | str | os.PathLike[str] | None = None,
    *,
    storage: str | os.PathLike[str] | BaseStorage | None = None,
    name: str = "nasproxy",
    strategy: str | None = None,
    budget: int = 200,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    screen: Proxy | str | None = None,
    keep: float = 0.3,
    reference: int = 100,
    retry_failed: bool = False,
    timeout: float | None = None,
    callbacks: Sequence[Callable[[optuna.Study, optuna.trial.FrozenTrial], None]] = (),
    progress: bool = True,
) -> optuna.Study:
    """Searches a space for what maximises one or several goals, as a study of Optuna's.

    Run it again and it goes on, to a larger ``budget`` too: everything is in Optuna's storage.
    Killed in one process, it finds what it would have found. Processes that name one storage and
    study share the budget.

    Args:
        space, goals, data, store, screen, keep, reference, retry_failed, timeout: see
            :class:`nasproxy.studies.Objective`; ``store`` may be a file too.
        storage: a SQLite file; a ``.journal`` file, which processes of many machines may share; a
            URL of a database; a storage of Optuna's; None to keep nothing.
        name: of the study in its storage.
        strategy: ``tpe``, ``nsga2``, ``random`` or ``evolution``, with settings if wanted:
            ``nsga2:population_size=20``. The first two take products of choices only. None for
            ``tpe`` of one goal, ``nsga2`` of several, and evolution where the space is no product.
        budget: trials, failed and pruned ones and those of earlier runs among them.
        seed: of the strategy, of the screen's reference and of the proxies.
        callbacks: called after each trial with study and trial, as Optuna's; ``study.stop()`` in
            one ends the run.
        progress: show a progress bar.

    Returns:
        The study. :func:`nasproxy.studies.front` and :func:`~nasproxy.studies.plot` show it.

    Raises:
        SettingError, DataError: settings that do not fit, or that are not those of the study in
            the storage, before anything is computed.
        StoreError: the storage cannot be used.
        ScoringError: as :func:`nasproxy.score`.
    """
    space = as_space(space)
    data = None if data is None else as_data(data)
    budget = checked("a study", "budget", budget, Whole())
    seed = checked("a study", "seed", seed, SEED)
    several: list[Any] = list(goals) if isinstance(goals, list | tuple) else [goals]
    if strategy is None:
        strategy = (
            "evolution" if not isinstance(space, Product) else "nsga2" if several[1:] else "tpe"
        )
    own = own_proposer(strategy, space, seed)
    sampler = make_sampler(strategy if own is None else "random", seed)
    proposer = ByChoices(space) if own is None else own
    _check_apart(storage, store)
    opened = store if isinstance(store, Store) else Store(store)
    try:
        objective = Objective(
            space,
            several,
            data,
            store=opened,
            seed=seed,
            screen=screen,
            keep=keep,
            reference=reference,
            propose=proposer,
            retry_failed=retry_failed,
            timeout=timeout,
            progress=progress,
        )
        settings = {
            "space": describe(space, space.name, full=True),
            "goals": [_said(one, space) for one in several],
            "data": None if data is None else data_id(data),
            "strategy": strategy,
            "seed": seed,
            "screen": None if screen is None else [_said(screen, space), keep, reference],
        }
        found = _opened(storage, name, objective.names, settings)
        found.sampler = sampler
        marks.release(found)
        _run(found, objective, budget, list(callbacks), progress)
        opened.verify()
    finally:
        if opened is not store:
            opened.close()
    return found


def _run(
    found: optuna.Study, objective: Objective, budget: int, callbacks: list[Any], progress: bool
) -> None:
    left = budget - marks.count(found)
    if left > 0 and objective.screen is not None:
        _ = objective.screen.threshold  # Its reference has a bar of its own.
    with bar(", ".join(objective.names), budget, budget - left, shown=progress) as advance:

        def watch(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            advance()
            if marks.count(study) >= budget:  # Others may have had their share.
                study.stop()

        if left > 0:
            found.optimize(objective, n_trials=left, callbacks=[watch, *callbacks])
    objective.finish()


def _said(goal: Any, space: SearchSpace[Any]) -> str:
    if callable(goal) and not hasattr(goal, "prepare"):
        return getattr(goal, "__name__", type(goal).__name__)
    return run_id(space, as_proxy(goal))[1]


def _opened(
    storage: Any, name: str, names: Sequence[str], settings: dict[str, Any]
) -> optuna.Study:
    """The study of a name, made where there is none, checked to be of the same settings."""
    try:
        kept = _storage(storage)
        found = optuna.create_study(
            storage=kept,
            study_name=name,
            directions=[StudyDirection.MAXIMIZE] * len(names),
            load_if_exists=True,
        )
        known = found.user_attrs.get(_SETTINGS)
        if known is None and not found.trials:
            found.set_user_attr(_SETTINGS, settings)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                found.set_metric_names(list(names))
            return found
    except SettingError:
        raise
    except Exception as error:  # Of SQLAlchemy, of SQLite, of the journal: each has its own.
        raise StoreError(
            f"{storage} cannot be used as a storage of Optuna's ({type(error).__name__}: {error}): "
            "give a new file, or one of its own"
        ) from error
    if known is None:
        raise SettingError(
            f"study {name!r} in {storage} is not of nasproxy's making: give another name, or run "
            "it yourself by nasproxy.studies.Objective"
        )
    for setting, value in settings.items():
        if known.get(setting) != value:
            raise SettingError(
                f"study {name!r} in {storage} has {setting} {known.get(setting)!r}, not {value!r}: "
                "give the same, or the study another name"
            )
    return found


def _storage(given: Any) -> Any:
    if given is None or isinstance(given, BaseStorage):
        return given
    text = os.fspath(given)
    if "://" in text:
        return optuna.storages.RDBStorage(text)
    if Path(text).suffix == ".journal":
        return JournalStorage(JournalFileBackend(text))
    patient = {"connect_args": {"timeout": _WAIT}}
    kept = optuna.storages.RDBStorage(f"sqlite:///{text}", engine_kwargs=patient)
    if network_kind(Path(text).resolve().parent) is None:
        event.listen(kept.engine, "connect", _lightly)
        kept.engine.dispose()  # Connections from here on are made so.
    return kept


def _lightly(connection: Any, _: Any) -> None:
    """Commits that a kill leaves whole, and a power cut too, up to the last ones.

    Optuna commits every parameter by itself, each a wait for the disk otherwise; scores are in
    our store before.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _check_apart(storage: Any, store: Any) -> None:
    """Optuna's tables in a store of ours would make it one that nobody reads."""
    if storage is None or isinstance(storage, BaseStorage):
        return
    path = Path(os.fspath(storage))
    ours = store.path if isinstance(store, Store) else store
    same = ours is not None and Path(ours).resolve() == path.resolve()
    if same or _is_store(path):
        raise SettingError(
            f"{path} is a store of scores: give Optuna a file of its own, such as study.db"
        )


def _is_store(path: Path) -> bool:
    if not path.is_file():
        return False
    with suppress(sqlite3.DatabaseError):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        finally:
            connection.close()
    return False
