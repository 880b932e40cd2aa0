"""Preconditioned conjugate gradients for kernels never factorised.

A method is a :class:`State`, what begins one (:func:`init`) and what takes it a step further
(:func:`step`); :class:`Run` is a loop over that for many right-hand sides, several regularisers and
missing labels, of which one product of the kernel an iteration serves all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int
from numpy.typing import NDArray

from nasproxy.errors import DivergedError
from nasproxy.solvers.low_rank import MaskedPreconditioner, Preconditioner

LOOKED = 50
"""Iterations between two looks at the true residual."""
DRIFT = 0.1
"""Part of the true residual that the recursion's may be off by."""
RESTS = 0.5
"""Part of the last true residual that the next has to fall below, or rounding has the last word."""
FALLS = 1e-4
"""Part by which a validation loss has to fall."""

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


@dataclass(frozen=True, eq=False)
class System:
    """(K + λI) α = Y for c right-hand sides, each with its own λ and, if it has, its own points.

    Attributes:
        times: K v of right-hand sides ``[n, c]``; with ``True`` in float64.
        damping: λ, ``[c]``.
        low: L of L Lᵀ ≈ K, ``[n, k]``, for the preconditioner.
        mask: which points a right-hand side has labels at, ``[n, c]``; its system is of these
            alone, and α is 0 elsewhere. None where all are there.
    """

    times: Callable[[Columns, bool], Columns]
    damping: Float64[np.ndarray, " c"]
    low: Float64[np.ndarray, "n k"]
    mask: Bool[np.ndarray, "n c"] | None = None

    @cached_property
    def _whole(self) -> Preconditioner:
        return Preconditioner(self.low)

    @cached_property
    def _masked(self) -> MaskedPreconditioner:
        assert self.mask is not None
        return MaskedPreconditioner(self.low, self.mask)

    def apply(self, vectors: Columns, which: NDArray[np.intp], *, exact: bool = False) -> Columns:
        """(K + λI) v, of some right-hand sides."""
        if self.mask is None:
            return self.times(vectors, exact) + self.damping[which] * vectors
        mask = self.mask[:, which]
        image = self.times(np.where(mask, vectors, 0.0), exact)
        return np.where(mask, image, 0.0) + self.damping[which] * vectors

    def precondition(self, vectors: Columns, which: NDArray[np.intp]) -> Columns:
        if self.mask is None:
            return self._whole(vectors, self.damping[which])
        return self._masked(vectors, self.damping[which], which)


class Run:
    """Conjugate gradients until every right-hand side has what it is to have.

    The recursion's residual goes on falling where the true one has come to rest at what the
    kernel's dtype resolves; so it is held against the true one, from a product in float64, now and
    then and when it says that all is done, and goes on from that where they have parted.

    Attributes:
        state: of all right-hand sides.
        active: those that go on, ``[c]``.
        residuals: true ones, relative to the targets, ``[c]``, of the last look; NaN before it.
        history: a row an iteration: ``iteration``, ``seconds``, ``residual``, the largest of the
            recursion, and ``validation``, the least loss of all groups, where it is looked at.
        reasons: why each group of right-hand sides ended: ``tolerance``, ``rounding`` (the true
            residual does not fall any more), ``validation`` or ``iterations``.
    """

    def __init__(
        self,
        system: System,
        targets: Columns,
        groups: Int[np.ndarray, " c"],
        *,
        tolerance: float,
        judge: Callable[[Columns, NDArray[np.intp]], NDArray[np.float64]] | None = None,
        patience: int = 1,
    ) -> None:
        """Before the first step.

        Args:
            system: to solve.
            targets: Y.
            groups: right-hand sides that belong together, those of one λ, from 0.
            tolerance: residual relative to the targets.
            judge: squared validation errors ``[c]`` of α of some right-hand sides; their mean over
                a group ends it.
            patience: iterations that it may not fall.
        """
        self._system, self._targets, self._groups = system, targets, groups
        self._tolerance, self._judge, self._patience = tolerance, judge, patience
        self._scale = np.maximum(np.linalg.norm(targets, axis=0), np.finfo(float).tiny)
        count, many = targets.shape[1], int(groups.max()) + 1
        everything = np.arange(count)
        self.state = init(targets, lambda v: system.precondition(v, everything))
        self.active = np.ones(count, bool)
        self.residuals = np.full(count, np.nan)
        self.history: list[dict[str, float]] = []
        self.reasons = ["iterations"] * many
        self.best = np.zeros_like(targets) if judge else np.zeros((0, count))
        self.losses = np.full(many, np.inf)
        self.waited = np.zeros(many, int)

    def advance(self, seconds: float) -> None:
        """One iteration of all that are active.

        Raises:
            DivergedError: the system is not positive definite.
        """
        which = np.flatnonzero(self.active)
        system, iteration = self._system, len(self.history) + 1
        some, info = step(
            State(*(part[..., which] for part in self.state)),
            lambda v: system.apply(v, which),
            lambda v: system.precondition(v, which),
        )
        if info.indefinite:
            raise DivergedError(
                f"cg met a direction of curvature {info.curvature.min():.1e} in iteration "
                f"{iteration}: the kernel is not positive definite at this ridge; give a larger "
                "ridge, or compute the kernel in float64"
            )
        self._put(some, which)
        relative = np.linalg.norm(some.residual, axis=0) / self._scale[which]
        row = {"iteration": iteration, "seconds": seconds, "residual": float(relative.max())}
        if self._judge is not None:
            row["validation"] = self._validate(which)
        self.history.append(row)
        self.active[which[relative <= self._tolerance]] = False
        if not self.active.any() or iteration % LOOKED == 0:
            self._look()

    def _put(self, some: State, which: NDArray[np.intp]) -> None:
        for whole, part in zip(self.state, some, strict=True):
            whole[..., which] = part

    def _validate(self, which: NDArray[np.intp]) -> float:
        """The least loss of the groups that are active; ends those that have waited too long."""
        assert self._judge is not None
        errors = self._judge(self.state.alpha[:, which], which)
        losses: list[float] = []
        for group in np.unique(self._groups[which]):
            loss = float(errors[self._groups[which] == group].mean())
            columns = self._groups == group
            losses.append(loss)
            if loss < self.losses[group] * (1 - FALLS):
                self.losses[group], self.waited[group] = loss, 0
                self.best[:, columns] = self.state.alpha[:, columns]
                continue
            self.waited[group] += 1
            if self.waited[group] >= self._patience:
                self.state.alpha[:, columns] = self.best[:, columns]
                self.active[columns] = False
                self.reasons[group] = "validation"
        return min(losses)

    def _look(self) -> None:
        """At the true residuals: who is done, and who has gone astray and goes on from there."""
        everything = np.arange(len(self._scale))
        image = self._system.apply(self.state.alpha, everything, exact=True)
        true = self._targets - image
        found = np.linalg.norm(true, axis=0) / self._scale
        drift = np.linalg.norm(true - self.state.residual, axis=0) / self._scale
        astray = drift > DRIFT * found
        rests = astray & (found > RESTS * self.residuals)  # Never at the first look: NaN.
        self.residuals = found
        stopped = np.array([reason == "validation" for reason in self.reasons])[self._groups]
        going = (found > self._tolerance) & ~stopped & ~rests
        for group, reason in enumerate(self.reasons):
            own = self._groups == group
            if reason != "validation" and not going[own].any():
                done = bool((found[own] <= self._tolerance).all())
                self.reasons[group] = "tolerance" if done else "rounding"
        self.active = going
        which = np.flatnonzero(going & astray)
        if which.size:  # Begun again: directions of a wrong residual are none of the right one.
            residual = true[:, which]
            direction = self._system.precondition(residual, which)
            energy = (residual * direction).sum(0)
            self._put(State(self.state.alpha[:, which], residual, direction, energy), which)

    def finish(self) -> None:
        """Looks at the true residuals of what was cut off."""
        if self.active.any():
            self._look()
            self.active[:] = False
