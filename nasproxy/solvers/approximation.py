"""Kernel ridge regression from some columns of the kernel: subset of regressors, and Nyström."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64
from scipy.linalg import solve_triangular

from nasproxy.checks import OneOf, Real, Rule, Whole
from nasproxy.solvers.direct import RIDGE
from nasproxy.solvers.estimator import Classifier, KernelMachine, Regressor
from nasproxy.solvers.kernel import Kernel
from nasproxy.solvers.low_rank import PIVOTS, decomposed, low_rank

Columns = Float64[np.ndarray, "_ _"]


@dataclass(eq=False, repr=False)
class _Approximate(KernelMachine):
    rank: int = 1000
    ridge: float = 1e-3
    jitter: float = 0.0
    seed: int = 0
    pivot: str = "uniform"

    rules: ClassVar[dict[str, Rule]] = {
        "rank": Whole(1),
        "ridge": Real(above=0),
        "jitter": RIDGE,
        "seed": Whole(0),
        "pivot": OneOf(*(pivot for pivot in PIVOTS if pivot != "sketch")),
    }

    def _factor(self, kernel: Kernel, inputs: Any) -> tuple[Columns, Columns, float]:
        """L of K_nm (K_mm + jitter)⁻¹ K_mn, R of R Rᵀ = K_mm + jitter, and the mean of k(x, x)."""
        kernel.check(inputs)
        mean = float(kernel.diagonal(inputs).mean())
        low, self.pivots_, _ = low_rank(
            kernel, inputs, self._setting("rank"), self._setting("pivot"), self._setting("seed")
        )
        root = low[self.pivots_]  # R of K_mm, and K_nm = L Rᵀ.
        if not (jitter := self._setting("jitter")):
            return low, root, mean
        core = root @ root.T
        core.flat[:: len(core) + 1] += jitter * mean
        lower = np.linalg.cholesky(core)
        columns = low @ root.T
        return solve_triangular(lower, columns.T, lower=True, check_finite=False).T, lower, mean


class _SubsetOfRegressors(_Approximate):
    def _solve(self, kernel: Kernel, inputs: Any, targets: Columns) -> Columns:
        low, root, mean = self._factor(kernel, inputs)
        vectors, roots, rotation = decomposed(low)
        damping = self._setting("ridge") * mean
        weights = rotation @ ((roots / (roots**2 + damping))[:, None] * (vectors.T @ targets))
        # f = l_* w with l_* = k_*m R⁻ᵀ.
        alpha = np.zeros_like(targets)
        alpha[self.pivots_] = solve_triangular(
            root, weights, lower=True, trans=1, check_finite=False
        )
        return alpha

    def _combined(self, x: Any) -> Columns:
        own = self.dual_coef_[self.pivots_]
        return self._kernel.times(x, self._inputs[self.pivots_], own)


class SubsetOfRegressors(Regressor, _SubsetOfRegressors):
    """f = k_*m (K_mn K_nm + λ K_mm)⁻¹ K_mn Y: ridge regression on m of the kernel's columns.

    At m = n it is kernel ridge regression (Quiñonero-Candela and Rasmussen 2005, section 5).
    Predictions take m kernel entries a point. By a decomposition of L, L Lᵀ = K_nm K_mm⁻¹ K_mn, not
    of normal equations. Memory 16·n·m bytes.

    Attributes:
        kernel: see :class:`~nasproxy.solvers.estimator.KernelMachine`.
        rank: m, as far as there are points, and the kernel's rank allows it in its dtype.
        ridge: λ as a fraction of the kernel's mean eigenvalue, positive.
        jitter: added to the diagonal of K_mm, as a fraction of the mean of k(x, x).
        seed: of the columns.
        pivot: how they are chosen: ``uniform``, ``random`` or ``greedy``, see
            :mod:`nasproxy.solvers.low_rank`.

    After fitting: ``pivots_``, the points whose columns it has; α is 0 at all others.
    """


class SubsetOfRegressorsClassifier(Classifier, _SubsetOfRegressors):
    """:class:`SubsetOfRegressors` on one-hot labels minus 1/classes.

    Attributes:
        kernel, rank, ridge, jitter, seed, pivot: as there.
    """


class _Nystrom(_Approximate):
    def _solve(self, kernel: Kernel, inputs: Any, targets: Columns) -> Columns:
        low, _, mean = self._factor(kernel, inputs)
        vectors, roots, _ = decomposed(low)
        damping = self._setting("ridge") * mean
        inner = vectors.T @ targets
        inner *= (1 / (roots**2 + damping) - 1 / damping)[:, None]
        return targets / damping + vectors @ inner


class Nystrom(Regressor, _Nystrom):
    """f = k_* (K_nm K_mm⁻¹ K_mn + λI)⁻¹ Y: the exact k_* with all points, an approximate solve.

    At m = n it is kernel ridge regression. It divides what the approximation leaves by λ, so that
    small ridges want many columns, or a jitter. Memory 16·n·m bytes.

    Attributes:
        kernel, rank, ridge, jitter, seed, pivot: as of :class:`SubsetOfRegressors`.
    """


class NystromClassifier(Classifier, _Nystrom):
    """:class:`Nystrom` on one-hot labels minus 1/classes.

    Attributes:
        kernel, rank, ridge, jitter, seed, pivot: as there.
    """
