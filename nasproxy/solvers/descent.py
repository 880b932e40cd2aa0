"""The epochs of an EigenPro fit, from its first step or a checkpoint to a reason to stop."""

import json
import math
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nasproxy.errors import DivergedError
from nasproxy.kernels.memory import check_memory
from nasproxy.solvers import checkpoint as checkpoints
from nasproxy.solvers.kernel import Kernel, product
from nasproxy.solvers.losses import LOSSES
from nasproxy.solvers.preconditioner import Matrix, Preconditioner, precondition

SMALLEST_BATCH = 256
"""What the automatic batch does not go below: shorter products waste the processor."""
DIVERGED = 10.0
"""A loss so many times that of the zero function is no longer coming back."""
PROGRESS = 1e-3
"""Share by which the gradient has to fall within ``patience`` epochs."""
ROW = ("epoch", "iteration", "seconds", "loss", "error", "gradient")
"""What a history says of an epoch."""


@dataclass(frozen=True)
class Settings:
    """Numbers that a fit is run by; :class:`~nasproxy.solvers.EigenPro` says what they are.

    Attributes:
        automatic: whether ``top`` may be lowered to what the kernel's rank allows.
    """

    top: int
    subsample: int
    loss: str
    ridge: float
    batch: int | None
    step: float | None
    epochs: int
    train_accuracy: float | None
    tolerance: float
    patience: int
    memory: float
    seed: int
    automatic: bool = False


class Descent:
    """A fit on its way; points are in the order that batches are cut from."""

    def __init__(self, settings: Settings, kernel: Kernel, inputs: Any, targets: Matrix) -> None:
        self.settings, self.kernel, self.inputs, self.targets = settings, kernel, inputs, targets
        self.subsample, self.loss = settings.subsample, LOSSES[settings.loss]
        self.alpha = np.zeros_like(targets)
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.preconditioner: Preconditioner | None = None
        zero = np.zeros_like(targets)
        self._first_loss = self.loss.value(zero, targets) / len(targets)
        self._first_gradient = np.linalg.norm(self.loss.gradient(zero, targets))
        self._spent, self._saved = 0.0, time.monotonic()
        self._kept: Any = None
        self._progress = math.inf, 0  # The gradient that is to be undercut, and its epoch.

    def prepare(self) -> None:
        """The preconditioner unless it was read, batches and the step."""
        settings, n = self.settings, len(self.targets)
        start = time.perf_counter()
        probe = np.asarray(self.kernel(self.inputs[:1]))
        scale = float(np.mean(self.kernel.diagonal(self.inputs)))
        self._damping = settings.ridge * scale
        if self.preconditioner is None:
            rng = np.random.default_rng((settings.seed, 1))
            # Of the loss over its curvature, whose step is that much longer.
            ridge = self._damping / self.loss.curvature / n
            self.preconditioner = precondition(
                self.kernel,
                self.inputs,
                self.subsample,
                settings.top,
                ridge,
                rng,
                automatic=settings.automatic,
            )
        wanted = settings.batch
        if wanted is None:
            critical = self.preconditioner.critical_batch
            wanted = min(n, max(SMALLEST_BATCH, math.ceil(critical)))
        cuts = np.linspace(0, n, math.ceil(n / wanted) + 1).round().astype(int)
        self._batches = [slice(*ends) for ends in pairwise(cuts.tolist())]
        self.batch = max(b.stop - b.start for b in self._batches)
        allowed = self.preconditioner.step(self.batch) / self.loss.curvature
        self.step = settings.step or allowed
        if probe.itemsize * n**2 <= settings.memory * 2**30:
            check_memory(
                probe.itemsize * n**2,
                f"memory={settings.memory:g} to keep the kernel of {n:,} points",
                "less memory, and rows are computed as they are needed",
            )
            self._kept = self.kernel(self.inputs)
        self._spent += time.perf_counter() - start

    @property
    def stopped(self) -> str | None:
        """Why it is over, None if it is not."""
        settings = self.settings
        if self.history:
            last = self.history[-1]
            if last["gradient"] <= settings.tolerance:
                return "tolerance"
            if settings.train_accuracy is not None and 1 - last["error"] >= settings.train_accuracy:
                return "train_accuracy"
            if self.epoch - self._progress[1] >= settings.patience:
                return "patience"
        return "epochs" if self.epoch >= settings.epochs else None

    def run_epoch(self) -> None:
        """Every batch once, in an order of this epoch's own."""
        start = time.perf_counter()
        rng = np.random.default_rng((self.settings.seed, 2, self.epoch))
        loss, wrong, squares = 0.0, 0, 0.0
        for i in rng.permutation(len(self._batches)):
            batch = self._batches[i]
            rows = self._rows(batch)
            predictions = product(rows, self.alpha)
            targets = self.targets[batch]
            gradient = self.loss.gradient(predictions, targets)
            gradient += self._damping * self.alpha[batch]
            loss += self.loss.value(predictions, targets)
            wrong += int((predictions.argmax(1) != targets.argmax(1)).sum())
            squares += float(np.square(gradient).sum())
            self._move(batch, rows, gradient)
        self.epoch += 1
        self._spent += time.perf_counter() - start
        n = len(self.targets)
        row = {
            "epoch": self.epoch,
            "iteration": self.epoch * len(self._batches) - 1,
            "seconds": self._spent,
            "loss": loss / n,
            "error": wrong / n,
            # Targets of zeros are met at once.
            "gradient": math.sqrt(squares) / float(self._first_gradient or 1.0),
        }
        self.history.append(row)
        self._note(row)
        self._check(loss / n)

    def _note(self, row: dict[str, float]) -> None:
        if row["gradient"] < (1 - PROGRESS) * self._progress[0]:
            self._progress = row["gradient"], int(row["epoch"])

    def _rows(self, batch: slice) -> Any:
        if self._kept is not None:
            return self._kept[batch]
        return self.kernel(self.inputs[batch], self.inputs)

    def _move(self, batch: slice, rows: Any, gradient: Matrix) -> None:
        assert self.preconditioner is not None
        rate = self.step / self.batch
        self.alpha[batch] -= rate * gradient
        if self.preconditioner.vectors.shape[1]:
            products = product(rows[:, : self.subsample].T, gradient)
            self.alpha[: self.subsample] += rate * self.preconditioner.correct(products)

    def _check(self, loss: float) -> None:
        if loss <= DIVERGED * self._first_loss:  # False for NaN.
            return
        found = self.preconditioner
        assert found is not None
        allowed = found.step(self.batch) / self.loss.curvature
        if self.step > allowed:
            cause = f"give a step of at most {allowed:.3g}, or none"
        elif self.subsample < len(self.targets):
            cause = (
                f"the subsample of {self.subsample} points tells too little of the top "
                f"{found.vectors.shape[1]} eigenvectors: give a larger subsample, a smaller top, "
                f"or a step of {self.step / 4:.3g}"
            )
        else:
            cause = (
                "the spectrum is that of all points, so that the kernel has negative eigenvalues "
                "or is not the same at every call: look at it, or give a step of "
                f"{self.step / 4:.3g}"
            )
        raise DivergedError(
            f"eigenpro diverged in epoch {self.epoch}: the loss is {loss:.3g}, that of predicting "
            f"nothing {self._first_loss:.3g}. Step {self.step:.3g}, batches of {self.batch}; top "
            f"eigenvalue {found.eigenvalues[0]:.3g} damped to {found.level:.3g}, largest diagonal "
            f"entry {found.reach:.3g}, so that {allowed:.3g} should be stable: {cause}"
        )

    def save(self, path: Path, *, force: bool) -> None:
        """Writes the state, at most every ten seconds unless forced."""
        assert self.preconditioner is not None
        if force or time.monotonic() - self._saved > checkpoints.SECONDS:
            checkpoints.write(
                path,
                fit=self._fingerprint(),
                alpha=self.alpha,
                epoch=self.epoch,
                spent=self._spent,
                history=json.dumps(self.history),
                **asdict(self.preconditioner),
            )
            self._saved = time.monotonic()

    def resume(self, path: Path) -> None:
        """Takes up a state that was written by the same fit, if there is one.

        Raises:
            SettingError, StoreError: as :func:`nasproxy.solvers.checkpoint.read`.
        """
        if not path.exists():
            return
        subsample, top = self.subsample, None if self.settings.automatic else self.settings.top
        numbers = dict.fromkeys(("epoch", "spent", "ridge", "level", "reach"), ())
        state = checkpoints.read(
            path,
            self._fingerprint(),
            {
                "alpha": self.targets.shape,
                "eigenvalues": (None if top is None else top + 1,),
                "vectors": (subsample, top),
                "history": (),
                **numbers,
            },
        )
        history = _rows(state["history"])
        values, vectors = state["eigenvalues"], state["vectors"]
        sound = {
            "history": history is not None and len(history) == state["epoch"],
            "spent": state["spent"] >= 0,
            "alpha": state["alpha"].dtype == np.float64,
            "eigenvalues": vectors.shape[1] == len(values) - 1 < subsample
            and values[0] > 0
            and bool((np.diff(values) <= 0).all()),
            "level": state["level"] > 0,
            "reach": state["reach"] > 0,
            "ridge": state["ridge"] >= 0,
        }
        for name, held in sound.items():
            if not held:
                raise checkpoints.damaged(path, f"{name} is none that a fit has")
        self.alpha, self.epoch = state["alpha"], int(state["epoch"])
        self.history, self._spent = history or [], float(state["spent"])
        for row in self.history:
            self._note(row)
        self.preconditioner = Preconditioner(
            values, vectors, *(float(state[name]) for name in ("ridge", "level", "reach"))
        )

    def _fingerprint(self) -> str:
        """What a checkpoint has to agree on: all but when to stop."""
        free = ("epochs", "train_accuracy", "tolerance", "patience", "automatic")
        chosen = {k: v for k, v in asdict(self.settings).items() if k not in free}
        block = np.asarray(self.kernel(self.inputs[:16]))
        return checkpoints.fingerprint(chosen, self.targets, block)


def _rows(text: Any) -> list[dict[str, float]] | None:
    """The rows of a history, one an epoch from the first on; None if they are not that."""
    try:
        rows = json.loads(str(text))
    except (ValueError, RecursionError):
        return None
    if not isinstance(rows, list) or not rows:
        return None
    for epoch, row in enumerate(rows, 1):
        if not isinstance(row, dict) or row.keys() != set(ROW) or row["epoch"] != epoch:
            return None
        if not all(type(v) in (int, float) and 0 <= v < math.inf for v in row.values()):
            return None
        if row["error"] > 1:
            return None
    return rows
