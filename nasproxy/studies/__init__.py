"""Spaces as Optuna's studies: its samplers and storage, our scores, several objectives.

Needs the extra ``optuna``. A study is Optuna's own: its dashboard shows it, its functions read it.
"""

from nasproxy.errors import DependencyError

try:
    import optuna as _optuna  # noqa: F401
except ImportError as error:
    raise DependencyError(
        f"nasproxy.studies needs Optuna ({error}): pip install 'nasproxy[optuna]'"
    ) from error

from nasproxy.studies.front import front, plot, trials
from nasproxy.studies.objective import Objective, Screen
from nasproxy.studies.proposals import ByChoices, ByMutation, distributions
from nasproxy.studies.running import study
from nasproxy.studies.sampling import Replayed

__all__ = [
    "ByChoices",
    "ByMutation",
    "Objective",
    "Replayed",
    "Screen",
    "distributions",
    "front",
    "plot",
    "study",
    "trials",
]
