"""Searching a space by a score: strategies that are asked and told, and a loop that resumes.

The loop belongs to whoever wants it::

    strategy = RegularizedEvolution(space, np.random.default_rng(0))
    score = NNGP().prepare(space, data, seed=0)
    for _ in range(200):
        architecture = strategy.ask()
        strategy.tell(architecture, score(architecture).value)

``search`` is that loop over a store. A strategy draws from its generator only, so the same seed
asks for the same architectures as long as it is told the same scores, and those are in the store:
run a killed search again and it replays to where it was, without computing, then goes on.
"""

import dataclasses
import math
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import pandas as pd

from nasproxy.checks import Whole, check, checked
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.named import as_data, as_proxy, as_space
from nasproxy.progress import bar
from nasproxy.proxies.base import Proxy
from nasproxy.scoring import SEED, Session, reasons
from nasproxy.settings import make, parse_settings
from nasproxy.space import SearchSpace
from nasproxy.store import Record, Store


class Strategy(Protocol):
    """What proposes architectures. All that it knows is in its fields."""

    def ask(self) -> Any:
        """The next architecture to score. May be called again before ``tell``."""
        ...

    def tell(self, architecture: Any, score: float) -> None:
        """The score of an architecture: larger is better; NaN, scoring failed, is the worst.

        Raises:
            SettingError: no number.
        """
        ...


@dataclass
class RandomSearch:
    """Architectures drawn one at a time, independently of each other and of the scores.

    Attributes:
        space: what to draw from.
        rng: source of all randomness.
        sampler: of the space; None for its default.
    """

    space: SearchSpace
    rng: np.random.Generator
    sampler: str | None = None

    name: ClassVar[str] = "random"

    def ask(self) -> Any:
        return _draw(self.space, self.rng, self.sampler)

    def tell(self, architecture: Any, score: float) -> None:
        _number(score)


class Step(NamedTuple):
    """One proposal of a search, when its score is told.

    Attributes:
        step: from 1.
        architecture: an object of the space.
        record: of its score, its key, cost, and reason if it failed.
        repeated: whether this search had proposed it before.
        best: the record with the largest score so far, the earliest of equals; None before there
            is one.
    """

    step: int
    architecture: Any
    record: Record
    repeated: bool
    best: Record | None


class Member(NamedTuple):
    """One of a population."""

    architecture: Any
    score: float


@dataclass
class RegularizedEvolution:
    """Ageing evolution (Real et al. 2019, "Regularized evolution", algorithm 1).

    Until ``population`` scores are told it asks for random architectures. From then on it draws
    ``sample`` members with replacement, as the algorithm does, and asks for a mutation of the best
    of them (the first drawn of equals). Whatever is told joins the population, and the oldest
    member leaves, however good.

    Attributes:
        space: what to draw from and mutate in.
        rng: source of all randomness.
        population: architectures that live at a time, P.
        sample: members a tournament, S; 1 selects nothing.
        sampler: of the first ``population``; None for the space's default.
        members: the population, oldest first.
    """

    space: SearchSpace
    rng: np.random.Generator
    population: int = 50
    sample: int = 10
    sampler: str | None = None
    members: deque[Member] = field(default_factory=deque, init=False)

    name: ClassVar[str] = "evolution"

    def __post_init__(self) -> None:
        check(self.name, self, population=Whole(), sample=Whole())

    def ask(self) -> Any:
        if len(self.members) < self.population:
            return _draw(self.space, self.rng, self.sampler)
        drawn = self.rng.integers(len(self.members), size=self.sample)
        winner = max((self.members[i] for i in drawn), key=lambda member: member.score)
        return self.space.mutate(winner.architecture, self.rng)

    def tell(self, architecture: Any, score: float) -> None:
        score = _number(score)
        self.members.append(Member(architecture, -math.inf if math.isnan(score) else score))
        if len(self.members) > self.population:
            self.members.popleft()


STRATEGIES: dict[str, type] = {kind.name: kind for kind in (RandomSearch, RegularizedEvolution)}
"""Every strategy by name: a dataclass of ``space``, ``rng`` and settings; add a new one here."""


def make_strategy(text: str, space: SearchSpace, rng: np.random.Generator) -> Strategy:
    """A strategy from ``name`` or ``name:setting=value,…``, such as ``evolution:population=20``.

    Raises:
        SettingError: there is no such strategy or setting.
    """
    name, settings = parse_settings(text)
    if name not in STRATEGIES:
        raise SettingError(f"strategy {name!r}: choose one of {', '.join(STRATEGIES)}")
    kind = STRATEGIES[name]
    known = [f.name for f in dataclasses.fields(kind) if f.init and f.name not in ("space", "rng")]
    for setting in settings:
        if setting not in known:
            raise SettingError(f"{name} has no setting {setting!r}: it has {', '.join(known)}")
    return make(kind, name, {"space": space, "rng": rng, **settings})


def search(
    space: SearchSpace | str,
    proxy: Proxy | str,
    data: Dataset | str | os.PathLike[str],
    *,
    strategy: str | Callable[[SearchSpace, np.random.Generator], Strategy] = "evolution",
    budget: int = 200,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
    timeout: float | None = None,
    callback: Callable[[Step], Any] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Asks a strategy for ``budget`` architectures and tells it their scores.

    An architecture that was scored before, in this search or in the store, is not scored again. A
    repeated proposal (the same key) still counts towards the budget, is told again, and so lives on
    in a population; it has cost nothing. A failed score is told as NaN.

    Args:
        space, proxy, data: objects or names, as in :func:`nasproxy.score`, whose scores are used
            and added to.
        strategy: a name with settings, see ``make_strategy``; or a function from space and
            generator.
        budget: proposals, repeats among them.
        seed: of the strategy, and of the proxy's subsets and initialisations.
        store: a file, an open store, or None to keep nothing. New scores are marked as drawn by
            this search: they rank differently from those of a random sample.
        retry_failed, timeout: as in :func:`nasproxy.score`.
        callback: called with each :class:`Step`, those that a resumed search replays among them;
            where it returns True, the search ends there.
        progress: show a progress bar.

    Returns:
        The trace, a row a proposal: ``step`` from 1, ``architecture`` (key), ``score`` (NaN if
        failed), ``best`` so far and ``best_architecture`` (the earliest of equals), both missing
        until something scores, ``seconds`` that scoring took when it was done, 0 for a repeat, and
        ``architecture_json``. The same whether or not the search was interrupted, up to the
        seconds. ``.attrs["failed"]`` counts the reasons of failures, the commonest first.

    Raises:
        SettingError, DataError: settings that do not fit, before anything is computed; or images
            that the space's networks do not take, as :func:`nasproxy.score`.
    """
    space, proxy, data = as_space(space), as_proxy(proxy), as_data(data)
    budget = checked("search", "budget", budget, Whole())
    seed = checked("search", "seed", seed, SEED)
    rng = np.random.default_rng(seed)
    asked = (
        make_strategy(strategy, space, rng) if isinstance(strategy, str) else strategy(space, rng)
    )
    called = strategy if isinstance(strategy, str) else type(asked).__name__
    opened = store if isinstance(store, Store) else Store(store)
    try:
        session = Session(
            proxy,
            space,
            data,
            opened,
            seed=seed,
            drawn=f"search by {called}, seed={seed}",
            retry_failed=retry_failed,
            timeout=timeout,
        )
        rows: list[tuple[int, str, float, float, str | None, float, str]] = []
        best: Record | None = None
        seen: dict[str, str | None] = {}
        with bar(proxy.name, budget, shown=progress) as advance:
            for number in range(1, budget + 1):
                architecture = asked.ask()
                record = session(architecture)
                score = _score(record)
                asked.tell(architecture, score)
                if not math.isnan(score) and (best is None or score > _score(best)):
                    best = record
                key = record.key.architecture
                step = Step(number, architecture, record, key in seen, best)
                seen[key] = record.error
                seconds = 0.0 if step.repeated else record.seconds
                highest, whose = math.nan, None
                if best is not None:
                    highest, whose = _score(best), best.key.architecture
                rows.append((number, key, score, highest, whose, seconds, record.architecture_json))
                advance()
                if callback is not None and callback(step) is True:
                    break
        session.finish()
        opened.verify()
    finally:
        if opened is not store:
            opened.close()
    columns = ["step", "architecture", "score", "best", "best_architecture", "seconds"]
    columns.append("architecture_json")
    trace = pd.DataFrame(rows, columns=pd.Index(columns))
    trace.attrs["failed"] = reasons(seen.values())
    return trace


def _score(record: Record) -> float:
    return math.nan if record.value is None else record.value


def _number(score: Any) -> float:
    """A score as a float: Python's, NumPy's or JAX's."""
    value = np.asarray(score)
    if value.ndim or value.dtype.kind not in "iuf":
        raise SettingError(f"score {score!r:.80}: tell a number, NaN where scoring failed")
    return float(value)


def _draw(space: SearchSpace, rng: np.random.Generator, sampler: str | None) -> Any:
    return space.sample(1, int(rng.integers(2**63)), sampler)[0]
