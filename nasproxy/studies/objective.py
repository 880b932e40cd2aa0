"""What a study maximises: scores of proxies and functions of one's own, behind a screen."""

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import optuna

from nasproxy.checks import Real, Whole, checked
from nasproxy.data import Dataset
from nasproxy.errors import ScoringError, SettingError
from nasproxy.named import as_data, as_proxy, as_space
from nasproxy.progress import bar
from nasproxy.proxies.base import NoScore, Proxy, plain
from nasproxy.scoring import Session
from nasproxy.settings import describe
from nasproxy.space import Product, SearchSpace
from nasproxy.store import Store
from nasproxy.studies import marks
from nasproxy.studies.proposals import ByChoices, ByMutation, Proposer

Goal: TypeAlias = Proxy | str | Callable[[Any], float]
"""A proxy, the name of one, or a function from an architecture to a number; larger is better."""


class Screen:
    """Lets those architectures pass whose score is among a share of the space's best.

    The threshold is a quantile of the scores of ``reference`` architectures that the space draws:
    with a share of .3, what Park et al. (2020, 2.2) call search-space reduction to 30 %. Scores
    that equal it pass, so that of a proxy of few values more than the share may.

    Args:
        session: the proxy that screens.
        space: what the reference is drawn from.
        share: of the space to pass, above 0 and at most 1.
        reference: architectures to take the quantile of; they are scored once, into the session's
            store, when the screen is first used.
        seed: of the reference's sample.
        progress: show a progress bar while these are scored.

    Raises:
        SettingError: a share or number out of range.
    """

    def __init__(
        self,
        session: Session,
        space: SearchSpace[Any],
        share: float = 0.3,
        reference: int = 100,
        seed: int = 0,
        *,
        progress: bool = True,
    ) -> None:
        self.share = checked("a screen", "share", share, Real(above=0, most=1))
        self.reference = checked("a screen", "reference", reference, Whole(2))
        self.name = session.evaluation.proxy.name
        self._session, self._space, self._seed = session, space, seed
        self._progress, self._threshold = progress, math.nan

    @property
    def threshold(self) -> float:
        """The lowest score that passes; scores the reference where that is not done.

        Raises:
            ScoringError: none of the reference could be scored.
        """
        if math.isnan(self._threshold):
            values = []
            drawn = self._space.sample(self.reference, self._seed)
            with bar(f"reference of {self.name}", len(drawn), shown=self._progress) as advance:
                for architecture in drawn:
                    values.append(self._session(architecture).value)
                    advance()
            known = [value for value in values if value is not None]
            if not known:
                raise ScoringError(
                    f"{self.name} scores none of {len(drawn)} architectures of {self._space.name}: "
                    "screen by another proxy, or mend its settings"
                )
            self._threshold = float(np.quantile(known, 1 - self.share))
        return self._threshold

    def __call__(self, architecture: Any) -> tuple[bool, float]:
        """Whether an architecture passes, and its score; one that cannot be scored does not."""
        value = self._session(architecture).value
        score = math.nan if value is None else value
        return score >= self.threshold, score


class Objective:
    """The objective of a study over a space: ``study.optimize(Objective(…), n_trials=100)``.

    All objectives are maximised: make the study with ``directions=["maximize", …]``. Each trial
    has the key, the JSON and the cost of its architecture as attributes. One that a proxy cannot
    score fails, with the reason as the attribute ``failed``; one that does not pass the screen is
    pruned. What ends a run of :func:`nasproxy.score` ends the study's: that is no architecture's
    fault.

    Args:
        space, data: as in :func:`nasproxy.score`; data may be None where no proxy is named.
        goals: what to maximise, one or several: proxies, names of them, functions.
        store: an open store that scores of proxies are read from and added to; None for none.
        seed: of the proxies' subsets and initialisations.
        screen: a proxy that decides which architectures the goals are asked about.
        keep: share of the space that passes the screen.
        reference: architectures that the screen's threshold is taken from.
        propose: from a trial to an architecture; None for the space's choices, or for evolution
            where it is no product.
        retry_failed, timeout: as in :func:`nasproxy.score`, for proxies.
        progress: show a bar while the screen's reference is scored.

    Attributes:
        names: of the goals; of proxies that share one, with their settings.

    Raises:
        SettingError, DataError: settings that do not fit, no goal, or the same one twice.
    """

    def __init__(
        self,
        space: SearchSpace[Any] | str,
        goals: Goal | Sequence[Goal],
        data: Dataset | str | os.PathLike[str] | None = None,
        *,
        store: Store | None = None,
        seed: int = 0,
        screen: Proxy | str | None = None,
        keep: float = 0.3,
        reference: int = 100,
        propose: Proposer | None = None,
        retry_failed: bool = False,
        timeout: float | None = None,
        progress: bool = True,
    ) -> None:
        self._space = as_space(space)
        default = ByChoices if isinstance(self._space, Product) else ByMutation
        self._propose = default(self._space) if propose is None else propose
        given = list(goals) if isinstance(goals, list | tuple) else [goals]
        if not given:
            raise SettingError('goals is empty: give a proxy or several, such as "nngp"')
        made = [one if _is_function(one) else as_proxy(one) for one in given]
        self.names = _names(made)
        self._store = Store(None) if store is None else store

        def session(proxy: Any, drawn: str) -> Session:
            if data is None:
                raise SettingError(f"data is None: {proxy.name} needs some, such as 'digits'")
            return Session(
                proxy,
                self._space,
                as_data(data),
                self._store,
                seed=seed,
                drawn=drawn,
                retry_failed=retry_failed,
                timeout=timeout,
            )

        self._goals = [
            one if _is_function(one) else session(one, "a study of Optuna's") for one in made
        ]
        self.screen = None
        if screen is not None:
            screening = session(as_proxy(screen), "a study's screen")
            self.screen = Screen(screening, self._space, keep, reference, seed, progress=progress)

    def __call__(self, trial: optuna.Trial) -> Any:
        """The values of a trial's architecture, one or a tuple; NaN where it failed."""
        trial.set_user_attr(marks.PROCESS, marks.process())
        architecture = self._propose(trial)
        if marks.JSON not in trial.user_attrs:  # A proposer of one's own need not say it.
            marks.named(trial, self._space, architecture)
        if self.screen is not None:
            passes, score = self.screen(architecture)
            if not math.isnan(score):
                trial.set_user_attr(marks.SCREENED, score)
            if not passes:
                raise optuna.TrialPruned(
                    f"{self.screen.name} {score:.6g} is below {self.screen.threshold:.6g}"
                )
        values, seconds = [], 0.0
        for name, goal in zip(self.names, self._goals, strict=True):
            value, cost, error = _asked(goal, architecture)
            seconds += cost
            if error is not None:
                trial.set_user_attr(marks.FAILED, f"{name}: {error}")
                return (math.nan,) * len(self.names) if len(self.names) > 1 else math.nan
            values.append(value)
        trial.set_user_attr(marks.SECONDS, seconds)
        return tuple(values) if len(values) > 1 else values[0]

    def finish(self) -> None:
        """Raises ScoringError where proxies failed and have no score to show that others can."""
        for goal in self._goals:
            if isinstance(goal, Session):
                goal.finish()


def _asked(goal: Any, architecture: Any) -> tuple[float, float, str | None]:
    """Value, seconds and, of what has no value, the reason."""
    if isinstance(goal, Session):
        record = goal(architecture)
        value = math.nan if record.value is None else record.value
        return value, record.seconds, record.error
    start = time.perf_counter()
    try:
        value, error = plain(goal(architecture)).value, None
    except NoScore as raised:
        value, error = math.nan, str(raised)
    return value, time.perf_counter() - start, error


def _is_function(given: Any) -> bool:
    """A callable that is no proxy, by its object or by its class."""
    return callable(given) and not hasattr(given, "prepare") and not isinstance(given, str)


def _names(goals: Sequence[Any]) -> list[str]:
    names = [
        getattr(goal, "__name__", type(goal).__name__) if _is_function(goal) else goal.name
        for goal in goals
    ]
    shown = [
        name if names.count(name) == 1 or _is_function(goal) else describe(goal, name, full=False)
        for name, goal in zip(names, goals, strict=True)
    ]
    if len(set(shown)) < len(shown):
        raise SettingError(f"the same objective is given twice: {', '.join(shown)}")
    return shown
