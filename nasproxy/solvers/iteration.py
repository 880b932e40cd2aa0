"""Conjugate gradients from a kernel and targets to solutions: preconditioner, loop, checkpoint."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from nasproxy.kernels.memory import check_memory
from nasproxy.progress import bar
from nasproxy.solvers import checkpoint as checkpoints
from nasproxy.solvers.conjugate_gradient import Columns, Run, State, System
from nasproxy.solvers.kernel import Kernel, product
from nasproxy.solvers.low_rank import low_rank

ROWS = 2048
"""Rows of a kernel in memory that are multiplied in float64 at once."""


class Solutions(NamedTuple):
    """What conjugate gradients found for each of r regularisers.

    Attributes:
        alpha: ``[r, n, c]``.
        residuals: |Y − (K + λI) α| / |Y|, the true ones, ``[r, c]``.
        stopped: why each ended: ``tolerance``, ``rounding`` (the kernel's dtype allows no smaller
            residual), ``validation`` or ``iterations``.
        history: a row an iteration, see :class:`~nasproxy.solvers.conjugate_gradient.Run`.
        rank: of the preconditioner.
    """

    alpha: Float64[np.ndarray, "r n c"]
    residuals: Float64[np.ndarray, "r c"]
    stopped: list[str]
    history: list[dict[str, float]]
    rank: int


@dataclass(frozen=True)
class Settings:
    """How to iterate; see :class:`ConjugateGradient`."""

    rank: int
    tolerance: float
    iterations: int
    memory: float
    seed: int
    pivot: str


def solve(
    kernel: Kernel,
    inputs: Any,
    targets: Columns,
    ridges: Sequence[float],
    settings: Settings,
    *,
    mask: Bool[np.ndarray, "n c"] | None = None,
    validation: tuple[Any, Float64[np.ndarray, "m c"]] | None = None,
    patience: int = 10,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> Solutions:
    """Solves for all ridges and all columns of the targets at once.

    Args:
        kernel: K, called with what it has made ready.
        inputs: n training points.
        targets: ``[n, c]``.
        ridges: λ as fractions of the mean of k(x, x), over a column's own points.
        settings: of the iteration.
        mask: where targets are labels.
        validation: points and their targets; the least squared error there ends a ridge.
        patience: iterations that it may not fall.
        checkpoint: file that the state is kept in, at most every ten seconds.
        progress: show a bar.

    Raises:
        DivergedError, DataError: as :func:`~nasproxy.solvers.low_rank.low_rank`; the system is not
            positive definite.
        SettingError: the checkpoint is another fit's.
    """
    if checkpoint is not None:
        checkpoints.check(checkpoint)
    kernel.check(inputs)
    (n, count), many = targets.shape, len(ridges)
    diagonal = kernel.diagonal(inputs)
    mean = np.full(count, diagonal.mean())
    if mask is not None:
        mean = (diagonal @ mask) / mask.sum(0)
    times = _times(kernel, inputs, n, settings.memory)
    factor = low_rank(
        kernel,
        inputs,
        settings.rank,
        settings.pivot,
        settings.seed,
        times=lambda v: times(v, False),
    )
    system = System(
        times,
        np.concatenate([ridge * mean for ridge in ridges]),
        factor.low,
        None if mask is None else np.tile(mask, (1, many)),
    )

    def judged(alpha: Columns, which: NDArray[np.intp]) -> NDArray[np.float64]:
        assert validation is not None
        points, wanted = validation
        found = kernel.times(points, inputs, alpha)
        return np.square(found - wanted[:, which % count]).mean(0)

    repeated = np.tile(targets, (1, many))
    groups = np.repeat(np.arange(many), count)
    run = Run(
        system,
        repeated,
        groups,
        tolerance=settings.tolerance,
        judge=None if validation is None else judged,
        patience=patience,
    )
    kept = None
    if checkpoint is not None:
        name = _fingerprint(kernel, inputs, targets, ridges, settings, mask, patience, validation)
        kept = _Checkpoint(checkpoint, name, run)
    before = kept.spent if kept else 0.0
    start = time.perf_counter()
    with bar("cg", settings.iterations, len(run.history), shown=progress) as advance:
        while run.active.any() and len(run.history) < settings.iterations:
            run.advance(before + time.perf_counter() - start)
            if kept is not None:
                kept.save(force=False)
            advance()
    if kept is not None:
        kept.save(force=True)
    run.finish()
    shape = (n, many, count)
    return Solutions(
        np.ascontiguousarray(run.state.alpha.reshape(shape).transpose(1, 0, 2)),
        run.residuals.reshape(many, count),
        run.reasons,
        run.history,
        factor.low.shape[1],
    )


def _times(
    kernel: Kernel, inputs: Any, n: int, memory: float
) -> Callable[[Columns, bool], Columns]:
    """K v, of a kernel that is kept where ``memory`` GiB allow it and it is not stored anyway."""
    itemsize = np.asarray(kernel(inputs[:1], inputs[:1])).itemsize
    if kernel.stored or itemsize * n**2 > memory * 2**30:
        return lambda vectors, exact: kernel.times(inputs, inputs, vectors, exact=exact)
    check_memory(
        itemsize * n**2,
        f"memory={memory:g} to keep the kernel of {n:,} points",
        "less memory, and rows are computed as they are needed",
    )
    kept = kernel(inputs)

    def times(vectors: Columns, exact: bool) -> Columns:
        if not exact or itemsize == 8:
            return product(kept, vectors)
        parts = [np.asarray(kept[i : i + ROWS], np.float64) @ vectors for i in range(0, n, ROWS)]
        return np.concatenate(parts)

    return times


def _fingerprint(
    kernel: Kernel,
    inputs: Any,
    targets: Columns,
    ridges: Sequence[float],
    settings: Settings,
    mask: NDArray[Any] | None,
    patience: int,
    validation: tuple[Any, NDArray[Any]] | None,
) -> str:
    """What a checkpoint has to agree on: all but when to stop, and how much memory there is."""
    chosen: dict[str, Any] = {
        "ridges": list(ridges),
        "rank": settings.rank,
        "pivot": settings.pivot,
        "seed": settings.seed,
        "patience": None if validation is None else patience,
    }
    block = np.asarray(kernel(inputs[:16], inputs[:16]))
    others = [mask] if mask is not None else []
    return checkpoints.fingerprint(
        chosen, targets, block, *others, *([] if validation is None else [validation[1]])
    )


class _Checkpoint:
    """A run's state in a file, which a new run of the same takes up.

    Attributes:
        spent: seconds before this run.
    """

    def __init__(self, path: Path, fit: str, run: Run) -> None:
        """Takes up what is in the file, if there is one.

        Raises:
            SettingError, StoreError: as :func:`nasproxy.solvers.checkpoint.read`.
        """
        self._path, self._fit, self._run = path, fit, run
        self._saved, self.spent = -math.inf, 0.0
        if path.exists():
            self._resume()

    def _arrays(self) -> dict[str, NDArray[Any]]:
        run = self._run
        return {
            **run.state._asdict(),
            "active": run.active.astype(np.int8),
            "residuals": np.where(np.isnan(run.residuals), -1.0, run.residuals),
            "best": run.best,
            "losses": np.where(np.isinf(run.losses), -1.0, run.losses),
            "waited": run.waited,
            "reasons": np.array([_REASONS.index(reason) for reason in run.reasons], np.int8),
        }

    def save(self, *, force: bool) -> None:
        """Writes the state, at most every ten seconds unless forced."""
        if force or time.monotonic() - self._saved > checkpoints.SECONDS:
            history = json.dumps(self._run.history)
            checkpoints.write(self._path, fit=self._fit, history=history, **self._arrays())
            self._saved = time.monotonic()

    def _resume(self) -> None:
        run, arrays = self._run, self._arrays()
        shapes = {name: array.shape for name, array in arrays.items()}
        state = checkpoints.read(self._path, self._fit, {**shapes, "history": ()})
        sound = all(state[name].dtype == array.dtype for name, array in arrays.items())
        history = _rows(state["history"])
        if not sound or history is None or not np.isin(state["reasons"], range(4)).all():
            raise checkpoints.damaged(self._path, "its entries are none that a fit has")
        run.state = State(*(state[name] for name in State._fields))
        run.active = state["active"].astype(bool)
        run.residuals = np.where(state["residuals"] < 0, np.nan, state["residuals"])
        run.best, run.waited = state["best"], state["waited"]
        run.losses = np.where(state["losses"] < 0, np.inf, state["losses"])
        run.reasons = [_REASONS[int(code)] for code in state["reasons"]]
        run.history = history
        self.spent = history[-1]["seconds"]


_REASONS = ("iterations", "tolerance", "rounding", "validation")


def _rows(text: Any) -> list[dict[str, float]] | None:
    """The rows of a history, one an iteration from the first on; None if they are not that."""
    try:
        rows = json.loads(str(text))
        sound = bool(rows) and all(
            row["iteration"] == i and row["seconds"] >= 0 and row["residual"] >= 0
            for i, row in enumerate(rows, 1)
        )
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    return rows if sound and isinstance(rows, list) else None
