"""Kernel ridge regression by conjugate gradients: estimators, and sweeps of ridges."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike, NDArray

from nasproxy.arrays import real
from nasproxy.checks import OneOf, Real, Rule, Several, Whole, checked
from nasproxy.errors import DataError
from nasproxy.solvers.conjugate_gradient import Columns
from nasproxy.solvers.estimator import Classifier, KernelMachine, Regressor
from nasproxy.solvers.iteration import Settings, Solutions, solve
from nasproxy.solvers.kernel import Kernel
from nasproxy.solvers.low_rank import PIVOTS

RIDGES = Several(Real(above=0), "1e-4,1e-3,1e-2")


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
