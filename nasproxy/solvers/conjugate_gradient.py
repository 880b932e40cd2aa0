"""Kernel ridge regression by preconditioned conjugate gradients, for kernels never factorised.

A method is a :class:`State`, what begins one (:func:`init`) and what takes it a step further
(:func:`step`); the estimators are a loop over that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from nasproxy.checks import Real, Rule, Whole
from nasproxy.errors import DivergedError
from nasproxy.kernels.memory import check_memory
from nasproxy.progress import bar
from nasproxy.solvers.estimator import Classifier, KernelMachine, Regressor
from nasproxy.solvers.kernel import Kernel, check_gram, product

ROWS = 2048
"""Rows of a kernel that is not kept that are multiplied at once."""

Columns = Float64[np.ndarray, "n c"]
Map = Callable[[Columns], Columns]
"""A linear map of right-hand sides, each column by itself."""


class State(NamedTuple):
    """Conjugate gradients on their way, for c right-hand sides at once.

    Attributes:
        alpha: the solution so far, ``[n, c]``.
        residual: as the recursion has it, ``[n, c]``; it and the true one drift apart in the end.
        direction: of the next step, ``[n, c]``.
        energy: of the preconditioned residual, ``[c]``.
    """

    alpha: Columns
    residual: Columns
    direction: Columns
    energy: Float64[np.ndarray, " c"]


class Info(NamedTuple):
    """What a step saw.

    Attributes:
        curvature: of the system along the direction, ``[c]``.
        indefinite: whether it was not positive where there was something left to solve: the
            system is not positive definite, and the step led nowhere.
    """

    curvature: Float64[np.ndarray, " c"]
    indefinite: bool


def init(targets: Columns, precondition: Map) -> State:
    """Before the first step towards A α = targets, from α = 0."""
    residual = targets.copy()
    direction = precondition(residual)
    return State(np.zeros_like(targets), residual, direction, (residual * direction).sum(0))


def step(state: State, times: Map, precondition: Map) -> tuple[State, Info]:
    """One step, with one product A·direction for all right-hand sides, each with its own length.

    Args:
        state: of the last step.
        times: A, symmetric and positive definite.
        precondition: about A⁻¹, likewise.
    """
    image = times(state.direction)
    curvature = (state.direction * image).sum(0)
    energy = state.energy
    indefinite = not (curvature > 0)[energy > 0].all()
    going = (energy > 0) & (curvature > 0)
    length = np.divide(energy, curvature, np.zeros_like(energy), where=going)
    alpha = state.alpha + length * state.direction
    residual = state.residual - length * image
    preconditioned = precondition(residual)
    after = (residual * preconditioned).sum(0)
    turn = np.divide(after, energy, np.zeros_like(energy), where=energy > 0)
    direction = preconditioned + turn * state.direction
    return State(alpha, residual, direction, after), Info(curvature, indefinite)


@dataclass(eq=False, repr=False)
class _Iterative(KernelMachine):
    rank: int = 500
    ridge: float = 1e-3
    tolerance: float = 1e-3
    iterations: int = 500
    memory: float = 4.0
    seed: int = 0

    rules: ClassVar[dict[str, Rule]] = {
        "rank": Whole(0),
        "ridge": Real(above=0),
        "tolerance": Real(above=0),
        "iterations": Whole(1),
        "memory": Real(least=0, hint="GiB"),
        "seed": Whole(0),
    }

    def _solve(
        self, kernel: Kernel, inputs: Any, targets: Columns, *, progress: bool = False
    ) -> Columns:
        kernel.check(inputs)
        start = time.perf_counter()
        n, ridge, most = len(targets), self._setting("ridge"), self._setting("iterations")
        damping = ridge * float(kernel.diagonal(inputs).mean())
        itemsize = np.asarray(kernel(inputs[:1])).itemsize
        kept = None
        if itemsize * n**2 <= self._setting("memory") * 2**30:
            check_memory(
                itemsize * n**2,
                f"memory={self._setting('memory'):g} to keep the kernel of {n:,} points",
                "less memory, and rows are computed as they are needed",
            )
            kept = kernel(inputs)

        def times(vectors: Columns) -> Columns:
            if kept is not None:
                return product(kept, vectors) + damping * vectors
            parts = [
                product(kernel(inputs[i : i + ROWS], inputs), vectors) for i in range(0, n, ROWS)
            ]
            return np.concatenate(parts) + damping * vectors

        precondition = Nystrom(
            kernel, inputs, min(self._setting("rank"), n), damping, self._setting("seed")
        )
        state = init(targets, precondition)
        scale = np.maximum(np.linalg.norm(targets, axis=0), np.finfo(float).tiny)
        self.history_: list[dict[str, float]] = []
        self.stopped_ = "iterations"
        with bar("cg", most, shown=progress) as advance:
            for iteration in range(1, most + 1):
                state, info = step(state, times, precondition)
                if info.indefinite:
                    raise DivergedError(
                        f"cg met a direction of curvature {info.curvature.min():.1e} in iteration "
                        f"{iteration}: the kernel is not positive definite at ridge={ridge:g}; "
                        "give a larger ridge, or compute it in float64"
                    )
                worst = float((np.linalg.norm(state.residual, axis=0) / scale).max())
                seconds = time.perf_counter() - start
                self.history_.append(
                    {"iteration": iteration, "seconds": seconds, "residual": worst}
                )
                advance()
                if worst <= self._setting("tolerance"):
                    self.stopped_ = "tolerance"
                    break
        self.n_iter_ = len(self.history_)
        return state.alpha


class ConjugateGradient(Regressor, _Iterative):
    """Kernel ridge regression, the answer of :class:`~nasproxy.solvers.KernelRidge`, by iteration.

    One product of the kernel an iteration serves all right-hand sides, each with its own step. The
    preconditioner is L Lᵀ + λI for the Nyström approximation L Lᵀ from ``rank`` random columns,
    which Frangella et al. (2023) analyse. Products are in the kernel's dtype: float32 reaches a
    residual of about 1e-6; test accuracy settles at 1e-2. ``fit(…, progress=True)`` shows a bar.

    Memory is 4·n² bytes where ``memory`` allows to keep a float32 kernel, else 4·2048·n, and
    8·n·rank for the preconditioner.

    Attributes:
        kernel: see :class:`~nasproxy.solvers.estimator.KernelMachine`.
        rank: columns of the preconditioner, as far as there are points; 0 for none.
        ridge: λ as a fraction of the kernel's mean eigenvalue, positive.
        tolerance: residual, relative to the targets, of every right-hand side.
        iterations: at most.
        memory: GiB that the kernel matrix may take to be kept.
        seed: of the columns.

    After fitting: ``history_``, a row an iteration (``iteration``, ``seconds``, ``residual``), and
    ``stopped_``: ``tolerance`` or ``iterations``.
    """


class ConjugateGradientClassifier(Classifier, _Iterative):
    """:class:`ConjugateGradient` on one-hot labels minus 1/classes; the largest score is the label.

    Attributes:
        kernel, rank, ridge, tolerance, iterations, memory, seed: as there.
    """


class Nystrom:
    """(L Lᵀ + λI)⁻¹ with L Lᵀ = K_nr K_rr⁻¹ K_rn, by the Woodbury identity."""

    def __init__(self, kernel: Kernel, inputs: Any, rank: int, damping: float, seed: int) -> None:
        """From ``rank`` of the inputs, drawn by ``seed``; λ is ``damping``.

        Raises:
            DivergedError: the kernel of those inputs is not positive semidefinite.
        """
        self._damping, self._factor = damping, None
        if not rank:
            return
        chosen = np.random.default_rng(seed).choice(len(inputs), rank, replace=False)
        columns = np.asarray(kernel(inputs, inputs[chosen])).astype(np.float64)
        core = columns[chosen]
        check_gram(core)
        # As much as float32 kernels are off from positive definite.
        jitter = 1e-6 * np.trace(core)
        core.flat[:: rank + 1] += jitter
        try:
            lower = np.linalg.cholesky((core + core.T) / 2)
        except np.linalg.LinAlgError:
            least = np.linalg.eigvalsh((core + core.T) / 2)[0] - jitter
            raise DivergedError(
                f"the kernel of {rank} of the points has an eigenvalue of {least:.1e}, so it is no "
                "kernel: look at it, or compute it in float64"
            ) from None
        self._low = solve_triangular(lower, columns.T, lower=True, check_finite=False).T
        small = self._low.T @ self._low
        small.flat[:: rank + 1] += damping
        self._factor = cho_factor(small, lower=True, check_finite=False)

    def __call__(self, vectors: Columns) -> Columns:
        """Of right-hand sides ``[n, c]``."""
        if self._factor is None:
            return vectors / self._damping
        inner = cho_solve(self._factor, self._low.T @ vectors, check_finite=False)
        return (vectors - self._low @ inner) / self._damping
