"""Kernel ridge regression by conjugate gradients: estimators, and sweeps of ridges."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike, NDArray

from nasproxy.arrays import real
from nasproxy.checks import OneOf, Real, Rule, Several, Whole, checked
from nasproxy.errors import DataError
from nasproxy.kernels.memory import check_memory
from nasproxy.progress import bar
from nasproxy.solvers import checkpoint as checkpoints
from nasproxy.solvers.conjugate_gradient import Columns, Run, State, System
from nasproxy.solvers.estimator import Classifier, KernelMachine, Regressor
from nasproxy.solvers.kernel import Kernel, product
from nasproxy.solvers.low_rank import PIVOTS, low_rank

ROWS = 2048
"""Rows of a kernel in memory that are multiplied in float64 at once."""

RIDGES = Several(Real(above=0), "1e-4,1e-3,1e-2")


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


@dataclass(eq=False, repr=False)
class _Iterative(KernelMachine):
    rank: int = 500
    ridge: float = 1e-3
    tolerance: float = 1e-3
    iterations: int = 500
    memory: float = 4.0
    seed: int = 0
    pivot: str = "random"

    rules: ClassVar[dict[str, Rule]] = {
        "rank": Whole(0),
        "ridge": Real(above=0),
        "tolerance": Real(above=0),
        "iterations": Whole(1),
        "memory": Real(least=0, hint="GiB"),
        "seed": Whole(0),
        "pivot": OneOf(*PIVOTS),
    }

    def _solve(
        self,
        kernel: Kernel,
        inputs: Any,
        targets: Columns,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        mask: Bool[np.ndarray, "n c"] | None = None,
        validation: tuple[Any, Float64[np.ndarray, "m c"]] | None = None,
        patience: int = 10,
    ) -> Columns:
        found = solve(
            kernel,
            inputs,
            targets,
            [self._setting("ridge")],
            Settings(**{name: self._setting(name) for name in self.rules if name != "ridge"}),
            mask=mask,
            validation=validation,
            patience=checked("a fit", "patience", patience, Whole(1)),
            checkpoint=None if checkpoint is None else Path(checkpoint),
            progress=progress,
        )
        self.history_, self.stopped_ = found.history, found.stopped[0]
        self.residual_, self.rank_ = float(found.residuals.max()), found.rank
        self.n_iter_ = len(self.history_)
        return found.alpha[0]


class ConjugateGradient(Regressor, _Iterative):
    """Kernel ridge regression, the answer of :class:`~nasproxy.solvers.KernelRidge`, by iteration.

    One product of the kernel an iteration serves all right-hand sides, each with its own step. The
    preconditioner is L Lᵀ + λI for an approximation L Lᵀ of rank ``rank``, see
    :mod:`nasproxy.solvers.low_rank`. Products are in the kernel's dtype, and what is said to be
    done is held against a residual in float64: stored float32 reaches about 1e-6; test accuracy
    settles at 1e-2.

    ``fit`` takes ``progress=True`` for a bar; ``checkpoint=FILE``, which the state is kept in: a
    fit that finds it goes on from there; ``mask``, booleans ``[n, c]``: whether a target is a
    label, each column being solved on its own points; ``validation=(X, y)`` and ``patience``: to
    keep the iterate of the least squared error there, and end when it has not fallen for so many
    iterations.

    Memory is 4·n² bytes where ``memory`` allows to keep a float32 kernel, else what a block of it
    takes, or stored tiles say; 8·n·rank for the preconditioner, and 40·n·c.

    Attributes:
        kernel: see :class:`~nasproxy.solvers.estimator.KernelMachine`.
        rank: of the preconditioner, as far as there are points; 0 for none.
        ridge: λ as a fraction of the kernel's mean eigenvalue, positive.
        tolerance: residual, relative to the targets, of every right-hand side.
        iterations: at most.
        memory: GiB that the kernel matrix may take to be kept.
        seed: of what the preconditioner draws.
        pivot: how its columns are chosen: ``random``, ``greedy`` or ``uniform``; or ``sketch``.

    After fitting: ``history_``, a row an iteration (``iteration``, ``seconds``, ``residual``);
    ``residual_``, the true one at the end, the largest of all right-hand sides; ``rank_``, of the
    preconditioner; and ``stopped_``: ``tolerance``, ``rounding``, ``validation`` or ``iterations``.
    """

    def fit(self, X: Any, y: ArrayLike, **options: Any) -> Any:
        """Fits real targets ``[n]`` or ``[n, c]``; options are above.

        Raises:
            ValueError: what does not match, is not finite where it is a label, or is no number.
            SettingError: a parameter out of its range.
        """
        if (mask := options.get("mask")) is not None:
            options["mask"], y = _labelled(mask, y)
        if (given := options.get("validation")) is not None:
            options["validation"] = self._validation(given)
        return super().fit(X, y, **options)

    def _validation(self, given: Any) -> tuple[Any, Columns]:
        if not (isinstance(given, tuple) and len(given) == 2):
            raise DataError("validation is no pair: give (X, y)")
        points, wanted = given
        found = real(wanted, "validation targets", "[m]" if np.ndim(wanted) == 1 else "[m, c]")
        if len(found) != len(points):
            raise DataError(f"{len(points)} validation points and {len(found)} targets: give pairs")
        return Kernel(self._function()).prepare(points), found.reshape(len(found), -1)


class ConjugateGradientClassifier(Classifier, _Iterative):
    """:class:`ConjugateGradient` on one-hot labels minus 1/classes; the largest score is the label.

    ``fit`` takes ``progress`` and ``checkpoint`` as there.

    Attributes:
        kernel, rank, ridge, tolerance, iterations, memory, seed, pivot: as there.
    """


@dataclass(frozen=True, eq=False)
class Sweep:
    """Kernel ridge regressions with several regularisers, solved together.

    Attributes:
        ridges: r of them.
        solutions: what was found.
    """

    ridges: tuple[float, ...]
    solutions: Solutions
    _kernel: Kernel
    _inputs: Any

    def predict(self, X: Any) -> Float64[np.ndarray, "r m c"]:
        """At points, for each ridge."""
        alpha = self.solutions.alpha
        r, n, c = alpha.shape
        together = np.ascontiguousarray(alpha.transpose(1, 0, 2)).reshape(n, r * c)
        found = self._kernel.times(self._kernel.prepare(X), self._inputs, together)
        return found.reshape(len(found), r, c).transpose(1, 0, 2)


def sweep(
    model: ConjugateGradient,
    X: Any,
    y: ArrayLike,
    ridges: Sequence[float],
    **options: Any,
) -> Sweep:
    """:class:`ConjugateGradient` for several regularisers, one product an iteration for all.

    Args:
        model: its parameters, but for ``ridge``; it is not fitted.
        X: training points.
        y: targets ``[n]`` or ``[n, c]``.
        ridges: as fractions of the kernel's mean eigenvalue.
        options: as for :meth:`ConjugateGradient.fit`.

    Raises:
        ValueError, SettingError: as there.
    """
    chosen = checked("a sweep", "ridges", tuple(ridges), RIDGES)
    return _Swept(**model.get_params(deep=False)).sweep(X, y, chosen, **options)


class _Swept(ConjugateGradient):
    """The same entrance as one fit has, to several."""

    def sweep(self, X: Any, y: ArrayLike, ridges: tuple[float, ...], **options: Any) -> Sweep:
        self._ridges = ridges
        self.fit(X, y, **options)
        return Sweep(ridges, self._found, self._kernel, self._inputs)

    def _solve(self, kernel: Kernel, inputs: Any, targets: Columns, **options: Any) -> Columns:
        settings = Settings(**{n: self._setting(n) for n in self.rules if n != "ridge"})
        if (checkpoint := options.get("checkpoint")) is not None:
            options["checkpoint"] = Path(checkpoint)
        self._found = solve(kernel, inputs, targets, self._ridges, settings, **options)
        return self._found.alpha[0]


def _labelled(mask: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """A mask ``[n, c]``, and targets that are 0 where there is no label."""
    found, targets = np.asarray(mask), np.asarray(y)
    if found.dtype != bool or found.shape != targets.shape or targets.dtype.kind not in "biuf":
        raise DataError(
            f"mask {found.dtype}{list(found.shape)} of targets {targets.dtype}"
            f"{list(targets.shape)}: give booleans and numbers of one shape"
        )
    found = found.reshape(len(found), -1)
    empty = np.flatnonzero(~found.any(0))
    if empty.size:
        raise DataError(f"target {empty[0]} has no label at all: leave it out")
    return found, np.where(found.reshape(targets.shape), targets, 0.0)
