"""EigenPro's preconditioner: top eigenfunctions, taken from a subsample, damped to one level."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh

from nasproxy.errors import DataError, SettingError
from nasproxy.solvers.estimator import Kernel, Matrix, diagonal

EXACT = 1000
"""Subsamples up to so many points are decomposed exactly, larger ones by subspace iteration."""
SWEEPS = 3
"""Of subspace iteration. Vectors that it has not settled on make a weaker preconditioner, and no
wrong answer."""
FRESH = 2000
"""Points outside the subsample that the damped spectrum is measured on."""


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """P = I − Σ_i (1 − λ_{k+1}/λ_i) ψ_i ⊗ ψ_i over the top k eigenfunctions of a subsample.

    With K_s e_i = s λ_i e_i on the subsample, ψ_i(x) = (s λ_i)^{-1/2} Σ_j e_ij k(x_j, x).

    Attributes:
        eigenvalues: λ_1 ≥ … ≥ λ_{k+1} of K_s/s, which estimate those of K/n; ``[k + 1]``.
        vectors: e_1 … e_k, ``[s, k]``.
        ridge: added to every eigenvalue, in their unit.
        level: the largest eigenvalue of the damped kernel.
        reach: the largest entry β of the damped kernel's diagonal.
    """

    eigenvalues: Matrix
    vectors: Matrix
    ridge: float
    level: float
    reach: float

    @property
    def critical_batch(self) -> float:
        """β/λ + 1: larger batches allow no longer a step that is longer in proportion."""
        return self.reach / self.level + 1

    def step(self, batch: int) -> float:
        """A step η for batches of m points, on a loss of curvature 1: α_B moves by −η/m·gradient.

        m/β up to the critical batch, 1.5·m/(β + (m − 1)λ) beyond.
        """
        return batch * min(1 / self.reach, 1.5 / (self.reach + (batch - 1) * self.level))

    def correct(self, products: Matrix) -> Matrix:
        """What the subsample's coefficients get for K_sB g ``[s, c]``: E D Eᵀ K_sB g."""
        top = self.eigenvalues[:-1]
        damped = (1 - self._kept()) / (len(self.vectors) * top)
        return self.vectors @ (damped[:, None] * (self.vectors.T @ products))

    def _kept(self) -> Matrix:
        """(λ_{k+1} + ridge) / (λ_i + ridge)."""
        lifted = self.eigenvalues + self.ridge
        return lifted[-1] / lifted[:-1]


def precondition(
    kernel: Kernel, inputs: Any, subsample: int, top: int, ridge: float, rng: np.random.Generator
) -> Preconditioner:
    """The preconditioner from the first ``subsample`` inputs.

    The damped kernel is measured on inputs behind them, up to 2,000: on the subsample itself its
    top eigenvalue is λ_{k+1} by construction, on others it is larger, the more the fewer points
    the eigenvectors were taken from.

    Args:
        kernel: of which blocks are computed.
        inputs: in random order.
        subsample: s.
        top: k, below s; 0 for no preconditioner at all.
        ridge: added to K/n.
        rng: for the start of subspace iteration.

    Raises:
        DataError: the subsample's kernel is not finite, or vanishes.
        SettingError: its rank is below ``top``.
    """
    sub = inputs[:subsample]
    gram = np.asarray(kernel(sub)).astype(np.float64)
    if not np.isfinite(gram).all():
        raise DataError("the kernel gave NaN or infinity: look at its inputs and settings")
    values, vectors = top_eigenpairs(gram, top + 1, rng)
    del gram
    eigenvalues = values / subsample
    if not eigenvalues[0] > 0:
        raise DataError("the kernel is zero on the subsample: look at its inputs and settings")
    rank = int(np.count_nonzero(eigenvalues > 1e-7 * eigenvalues[0]))
    if rank <= top:
        raise SettingError(
            f"top={top}: the kernel of the subsample of {subsample} points has about {rank} "
            f"eigenvalues beyond rounding; give top={max(rank - 1, 0)} or less"
        )
    found = Preconditioner(eigenvalues, vectors[:, :top], ridge, 0.0, 0.0)
    level, reach = _measure(found, kernel, inputs, subsample)
    return Preconditioner(eigenvalues, vectors[:, :top], ridge, level, reach)


def _measure(
    found: Preconditioner, kernel: Kernel, inputs: Any, subsample: int
) -> tuple[float, float]:
    """λ and β of the damped kernel."""
    spectrum = found.eigenvalues * subsample
    flattened = 1 - found._kept()
    own = diagonal(kernel, inputs[:subsample])
    own = own - np.square(found.vectors) @ (flattened * spectrum[:-1])
    level, reach = found.eigenvalues[-1], own.max()
    fresh = inputs[subsample : subsample + min(FRESH, subsample)]
    if len(fresh) > 1:
        functions = np.asarray(kernel(fresh, inputs[:subsample])).astype(np.float64)
        functions = functions @ found.vectors / np.sqrt(spectrum[:-1])
        damped = np.asarray(kernel(fresh)).astype(np.float64)
        damped -= (functions * flattened) @ functions.T
        entries = damped.diagonal()
        largest = _largest(damped)
        # Of m points, it is about β + (m − 1)λ: the diagonal's share is none of the kernel's.
        level = max(level, (largest - entries.mean()) / (len(fresh) - 1))
        reach = max(reach, entries.max())
    return float(level + found.ridge), float(reach + found.ridge)


def _largest(matrix: Matrix) -> float:
    """The largest eigenvalue, to a part in a thousand, from below."""
    vector = np.random.default_rng(0).standard_normal((len(matrix), 4))
    for _ in range(60):
        vector = np.linalg.qr(matrix @ vector)[0]
    return float(np.linalg.eigvalsh(vector.T @ matrix @ vector)[-1])


def top_eigenpairs(matrix: Matrix, count: int, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """The largest eigenvalues ``[count]``, falling, and orthonormal vectors ``[n, count]``.

    Beyond 1,000 rows by subspace iteration, whose last vectors are approximate.
    """
    n = len(matrix)
    if n <= EXACT or count > n // 3:
        values, vectors = eigh(
            matrix, subset_by_index=(n - count, n - 1), check_finite=False, driver="evr"
        )
        return values[::-1], vectors[:, ::-1]
    basis = rng.standard_normal((n, min(n, count + max(20, count // 5))))
    for _ in range(SWEEPS):
        basis = np.linalg.qr(matrix @ basis)[0]
    values, rotation = eigh(basis.T @ matrix @ basis, check_finite=False)
    chosen = rotation[:, ::-1][:, :count]
    return values[::-1][:count], basis @ chosen


def default_subsample(points: int, top: int) -> int:
    """Five points an eigenvector and no fewer than 2,000, as far as there are."""
    return min(points, max(2000, math.ceil(5 * top)))
