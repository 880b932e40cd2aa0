"""Kernel ridge regression by preconditioned conjugate gradients, for kernels never factorised."""

import math
import time
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from nasproxy.checks import whole
from nasproxy.errors import DivergedError, SettingError
from nasproxy.progress import bar
from nasproxy.solvers.estimator import Kernel, KernelMachine, Matrix, diagonal, product

ROWS = 2048
"""Rows of a kernel that is not kept that are multiplied at once."""


@dataclass
class ConjugateGradient(KernelMachine):
    """Kernel ridge regression, the answer of :class:`~nasproxy.solvers.Ridge`, by iteration.

    One product of the kernel an iteration serves all right-hand sides, each with its own step. The
    preconditioner is L Lᵀ + λI for the Nyström approximation L Lᵀ from ``rank`` random columns,
    which Frangella et al. (2023) analyse. Products are in the kernel's dtype: float32 reaches a
    residual of about 1e-6; test accuracy settles at 1e-2.

    Memory is 4·n² bytes where ``memory`` allows to keep a float32 kernel, else 4·2048·n, and
    8·n·rank for the preconditioner.

    Attributes:
        rank: columns of the preconditioner; 0 for none.
        ridge: λ as a fraction of the kernel's mean eigenvalue, positive.
        tolerance: residual, relative to the targets, of every right-hand side.
        iterations: at most.
        memory: GiB that the kernel matrix may take to be kept.
        seed: of the columns.

    After fitting: ``history_``, a row an iteration (``iteration``, ``seconds``, ``residual``), and
    ``stopped_``: ``tolerance`` or ``iterations``.
    """

    rank: int = 500
    ridge: float = 1e-3
    tolerance: float = 1e-3
    iterations: int = 500
    memory: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rank", 0), ("iterations", 1)):
            value = getattr(self, name)
            number = whole(value, least)
            if number is None:
                raise SettingError(
                    f"{name}={value!r} of cg: give a whole number of at least {least}"
                )
            setattr(self, name, number)
        for name in ("ridge", "tolerance"):
            if not 0 < getattr(self, name) < math.inf:
                raise SettingError(f"{name}={getattr(self, name)!r} of cg: give a positive number")
        if not 0 <= self.memory < math.inf:
            raise SettingError(f"memory={self.memory!r} of cg: give 0 or a number of GiB")

    def fit(self, kernel: Kernel, x: Any, y: ArrayLike, *, progress: bool = False) -> Self:
        """Fits labels ``[n]`` or targets ``[n, c]``.

        Raises:
            DataError: one class, NaN, or numbers that do not match.
            DivergedError: the kernel is not positive definite at this ridge.
        """
        start = time.perf_counter()
        inputs, targets = self._take(kernel, x, y, centred=True)
        n = len(targets)
        damping = self.ridge * float(diagonal(kernel, inputs).mean())
        itemsize = np.asarray(kernel(inputs[:1])).itemsize
        kept = kernel(inputs) if itemsize * n**2 <= self.memory * 2**30 else None

        def times(vectors: Matrix) -> Matrix:
            if kept is not None:
                return product(kept, vectors) + damping * vectors
            parts = [
                product(kernel(inputs[i : i + ROWS], inputs), vectors) for i in range(0, n, ROWS)
            ]
            return np.concatenate(parts) + damping * vectors

        precondition = _Nystrom(kernel, inputs, min(self.rank, n), damping, self.seed)
        alpha, residual = np.zeros_like(targets), targets.copy()
        scale = np.maximum(np.linalg.norm(targets, axis=0), np.finfo(float).tiny)
        direction = preconditioned = precondition(residual)
        energy = (residual * preconditioned).sum(0)
        self.history_: list[dict[str, float]] = []
        self.stopped_ = "iterations"
        with bar("cg", self.iterations, shown=progress) as advance:
            for iteration in range(1, self.iterations + 1):
                image = times(direction)
                curvature = (direction * image).sum(0)
                if not (curvature > 0)[energy > 0].all():
                    raise DivergedError(
                        f"cg met a direction of curvature {curvature.min():.1e} in iteration "
                        f"{iteration}: the kernel is not positive definite at ridge="
                        f"{self.ridge:g}; give a larger ridge, or compute it in float64"
                    )
                step = np.divide(energy, curvature, np.zeros_like(energy), where=energy > 0)
                alpha += step * direction
                residual -= step * image
                preconditioned = precondition(residual)
                before, energy = energy, (residual * preconditioned).sum(0)
                turn = np.divide(energy, before, np.zeros_like(energy), where=before > 0)
                direction = preconditioned + turn * direction
                worst = float((np.linalg.norm(residual, axis=0) / scale).max())
                seconds = time.perf_counter() - start
                self.history_.append(
                    {"iteration": iteration, "seconds": seconds, "residual": worst}
                )
                advance()
                if worst <= self.tolerance:
                    self.stopped_ = "tolerance"
                    break
        self.coefficients_ = alpha
        return self


class _Nystrom:
    """(L Lᵀ + λI)⁻¹ with L Lᵀ = K_nr K_rr⁻¹ K_rn, by the Woodbury identity."""

    def __init__(self, kernel: Kernel, inputs: Any, rank: int, damping: float, seed: int) -> None:
        self._damping, self._factor = damping, None
        if not rank:
            return
        chosen = np.random.default_rng(seed).choice(len(inputs), rank, replace=False)
        columns = np.asarray(kernel(inputs, inputs[chosen])).astype(np.float64)
        core = columns[chosen]
        # As much as float32 kernels are off from positive definite.
        jitter = 1e-6 * np.trace(core)
        core.flat[:: rank + 1] += jitter
        lower = np.linalg.cholesky((core + core.T) / 2)
        self._low = solve_triangular(lower, columns.T, lower=True, check_finite=False).T
        small = self._low.T @ self._low
        small.flat[:: rank + 1] += damping
        self._factor = cho_factor(small, lower=True, check_finite=False)

    def __call__(self, vectors: Matrix) -> Matrix:
        if self._factor is None:
            return vectors / self._damping
        inner = cho_solve(self._factor, self._low.T @ vectors, check_finite=False)
        return (vectors - self._low @ inner) / self._damping
