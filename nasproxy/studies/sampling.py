"""Optuna's samplers by name, drawing by the study's seed and a trial's place alone."""

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nasproxy.errors import SettingError
from nasproxy.settings import parse_settings
from nasproxy.studies import marks

SAMPLERS: dict[str, type[BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "random": optuna.samplers.RandomSampler,
}
"""By name; add another of Optuna's here. Each takes ``seed``."""


def make_sampler(text: str, seed: int) -> "Replayed":
    """A sampler of ``NAME`` or ``NAME:setting=value,…``, such as ``tpe:n_startup_trials=20``.

    Raises:
        SettingError: there is no such sampler or setting, or a value that it does not take.
    """
    name, settings = parse_settings(text)
    if name not in SAMPLERS:
        raise SettingError(
            f"strategy {name!r} of a study: choose one of {', '.join(SAMPLERS)}, evolution"
        )
    kind = SAMPLERS[name]
    known = [key for key in inspect.signature(kind).parameters if key != "seed"]
    for key in settings:
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise SettingError(f"{name} has no setting {key!r}: {has}")

    def make(drawn: int) -> BaseSampler:
        return kind(seed=drawn, **settings)  # type: ignore[call-arg]  # each of SAMPLERS takes it

    try:
        make(0)
    except (TypeError, ValueError, AssertionError) as error:
        raise SettingError(f"{text!r}: {name} of Optuna refuses its settings ({error})") from error
    return Replayed(make, seed)


class Replayed(BaseSampler):
    """A sampler of Optuna's that is made anew for each trial, seeded by its place.

    Optuna's samplers keep a generator that nobody stores: a study that was killed and goes on with
    the same seed draws its first trials again. This one draws what an uninterrupted run would have
    drawn, since interrupted trials have no place (:mod:`nasproxy.studies.marks`).

    Args:
        make: from a seed to the sampler.
        seed: of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self.make, self.seed = make, seed
        self._here = threading.local()  # Trials of one study may run in several threads.

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seeds the sampler for the trial."""
        place = len(marks.before(study, trial.number))
        drawn = np.random.SeedSequence([self.seed, place]).generate_state(1)
        self._here.sampler = self.make(int(drawn[0]))
        self._here.sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What the sampler draws jointly."""
        return self._here.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Joint draws."""
        return self._here.sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """One draw."""
        return self._here.sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tells the sampler; one that was released by another process has none."""
        sampler = getattr(self._here, "sampler", None) or self.make(0)
        sampler.after_trial(study, trial, state, values)
