"""From a trial of Optuna's to an architecture: by its choices, or by the space's mutations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nasproxy.checks import Whole, check
from nasproxy.errors import SettingError
from nasproxy.settings import make, parse_settings
from nasproxy.space import Product, SearchSpace
from nasproxy.studies import marks

Proposer: TypeAlias = Callable[[optuna.Trial], Any]
"""From a trial to the architecture that it is of."""


def distributions(space: SearchSpace[Any]) -> dict[str, BaseDistribution]:
    """A space of independent choices as Optuna has them, by position: what ``Study.ask`` takes.

    Every value of a position is equally likely, those that the space draws twice as often too.

    Raises:
        SettingError: the space is no product of choices, or Optuna cannot tell two of them apart.
    """
    return {name: CategoricalDistribution(values) for name, values in _categories(space).items()}


def _categories(space: SearchSpace[Any]) -> dict[str, tuple[Any, ...]]:
    if not isinstance(space, Product):
        raise SettingError(
            f"{space.name} is no product of choices: search it by evolution or random, which go "
            "through its own mutations and samples"
        )
    found = {}
    for position, values in zip(space.positions, space.choices, strict=True):
        kinds = {(type(value), value) for value in values}
        if len(kinds) > len(set(values)):
            raise SettingError(
                f"{position} of {space.name} may be {', '.join(map(repr, values))}: Optuna takes "
                "equal values for one; give values that differ"
            )
        found[position] = tuple(dict.fromkeys(values))
    if len(found) < len(space.choices):
        raise SettingError(f"positions of {space.name} share a name: give each its own")
    return found


class ByChoices:
    """Architectures of a product of choices, each suggested by the study's sampler.

    Args:
        space: a product, see :class:`nasproxy.space.Product`.

    Raises:
        SettingError: it is none.
    """

    def __init__(self, space: SearchSpace[Any]) -> None:
        self._categories, self._space = _categories(space), space

    def __call__(self, trial: optuna.Trial) -> Any:
        """The architecture of the trial's suggestions."""
        chosen = [
            trial.suggest_categorical(name, values) for name, values in self._categories.items()
        ]
        assert isinstance(self._space, Product)
        return marks.named(trial, self._space, self._space.assemble(chosen))


@dataclass(frozen=True)
class ByMutation:
    """Ageing evolution over the trials of a study, for any space and any number of objectives.

    As :class:`nasproxy.search.RegularizedEvolution` does it: random architectures until there are
    ``population`` trials; then, of ``sample`` of the last ``population``, drawn with replacement,
    a mutation of the first that no other one dominates. Trials that failed, were pruned or are not
    done are dominated by all others. The state is the study's trials, and draws depend on the
    seed and the trial's place alone, so that a killed study goes on as if nothing was.

    Attributes:
        space: what to draw from and mutate in.
        seed: of all randomness.
        population: trials that live at a time.
        sample: trials a tournament.
        sampler: of the random ones; None for the space's default.
    """

    space: SearchSpace[Any]
    seed: int = 0
    population: int = 50
    sample: int = 10
    sampler: str | None = None

    name: ClassVar[str] = "evolution"

    def __post_init__(self) -> None:
        check(self.name, self, seed=Whole(0), population=Whole(), sample=Whole())
        self.space.sample(0, 0, self.sampler)  # Refuses a sampler that the space does not have.

    def __call__(self, trial: optuna.Trial) -> Any:
        """The architecture of the trial."""
        earlier = marks.before(trial.study, trial.number)
        told = [t for t in earlier if marks.JSON in t.user_attrs]
        rng = np.random.default_rng([self.seed, len(earlier)])
        if len(told) < self.population:
            drawn = self.space.sample(1, int(rng.integers(2**63)), self.sampler)[0]
            return marks.named(trial, self.space, drawn)
        members = told[-self.population :]
        rivals = [members[i] for i in rng.integers(len(members), size=self.sample)]
        values = np.array([_values(t, trial.study.directions) for t in rivals])
        best = next(i for i, row in enumerate(values) if not _beaten(row, values))
        parent = self.space.from_json(rivals[best].user_attrs[marks.JSON])
        return marks.named(trial, self.space, self.space.mutate(parent, rng))


@dataclass(frozen=True)
class ByDrawing:
    """Architectures that the space draws, independently of each other and of their scores."""

    space: SearchSpace[Any]
    seed: int = 0
    sampler: str | None = None

    name: ClassVar[str] = "random"

    def __post_init__(self) -> None:
        check(self.name, self, seed=Whole(0))
        self.space.sample(0, 0, self.sampler)

    def __call__(self, trial: optuna.Trial) -> Any:
        """The architecture of the trial."""
        rng = np.random.default_rng([self.seed, len(marks.before(trial.study, trial.number))])
        drawn = self.space.sample(1, int(rng.integers(2**63)), self.sampler)[0]
        return marks.named(trial, self.space, drawn)


def own_proposer(text: str, space: SearchSpace[Any], seed: int) -> Proposer | None:
    """The proposer of ``evolution:population=20,sample=5``, or None where a sampler is to choose.

    ``random`` goes through the space's own samplers where it is no product.

    Raises:
        SettingError: a setting that it does not have.
    """
    name, settings = parse_settings(text)
    kind: type | None = {"evolution": ByMutation, "random": ByDrawing}.get(name)
    if kind is None or (kind is ByDrawing and isinstance(space, Product)):
        return None
    for given in ("space", "seed"):
        if given in settings:
            raise SettingError(f"{given} of {name} is the study's: leave it out")
    return make(kind, name, {"space": space, "seed": seed, **settings})


def _values(trial: FrozenTrial, directions: Sequence[StudyDirection]) -> list[float]:
    """Of a trial, larger being better; minus infinity of one without."""
    if trial.state != TrialState.COMPLETE:
        return [-np.inf] * len(directions)
    down = [direction == StudyDirection.MINIMIZE for direction in directions]
    return [-value if turn else value for value, turn in zip(trial.values, down, strict=True)]


def _beaten(row: np.ndarray, others: np.ndarray) -> bool:
    return bool(((others >= row).all(axis=1) & (others > row).any(axis=1)).any())
