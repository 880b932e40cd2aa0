"""What trials of a study say of themselves, and which of them count."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from nasproxy.space import SearchSpace

ARCHITECTURE, JSON, FAILED = "architecture", "architecture_json", "failed"
SCREENED, SECONDS, PROCESS = "screened", "seconds", "process"
"""Attributes of trials: key, JSON, why it failed, the screen's score, cost, who is at it."""
_UNSAID = timedelta(minutes=5)
"""After which a running trial that no process has put its name to is nobody's."""


def process() -> str:
    """Who computes here: ``PID HOST``."""
    return f"{os.getpid()} {socket.gethostname()}"


def named(trial: optuna.Trial, space: SearchSpace[Any], architecture: Any) -> Any:
    """The architecture, when its key and JSON are attributes of the trial."""
    trial.set_user_attr(ARCHITECTURE, space.key(architecture))
    trial.set_user_attr(JSON, space.to_json(architecture))
    return architecture


def interrupted(trial: FrozenTrial) -> bool:
    """Whether a trial ended without a verdict: its process was killed, stopped, or raised."""
    return trial.state == TrialState.FAIL and FAILED not in trial.user_attrs


def before(study: optuna.Study, number: int) -> list[FrozenTrial]:
    """Trials of a study before one that were not interrupted, in their order.

    Args:
        study: of Optuna.
        number: of the trial; all trials if there are no more.
    """
    every = study.get_trials(deepcopy=False)
    return [t for t in every if t.number < number and not interrupted(t)]


def count(study: optuna.Study) -> int:
    """Trials that are done, or that some process is at."""
    waiting = TrialState.WAITING
    return sum(t.state != waiting and not interrupted(t) for t in study.get_trials(deepcopy=False))


def release(study: optuna.Study) -> int:
    """Ends the running trials of processes that this machine no longer has; returns how many."""
    running: Sequence[Any] = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    dead = [t for t in running if _dead(t)]
    for trial in dead:
        # Another process may have been as fast.
        with suppress(ValueError):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    return len(dead)


def _dead(trial: FrozenTrial) -> bool:
    said = trial.user_attrs.get(PROCESS)
    if said is None:
        began = trial.datetime_start
        return began is not None and datetime.now() - began > _UNSAID
    number, _, host = str(said).partition(" ")
    return host == socket.gethostname() and number.isdecimal() and not _alive(int(number))


def _alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A killed one that nobody has waited for yet still has its number.
    with suppress(OSError):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
