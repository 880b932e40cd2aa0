"""EigenPro's preconditioner: top eigenfunctions, taken from a subsample, damped to one level."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from nasproxy.errors import DataError, SettingError
from nasproxy.solvers.kernel import Kernel, check_gram

Matrix: TypeAlias = NDArray[np.float64]

EXACT = 1000
"""Subsamples up to so many points are decomposed exactly, larger ones by subspace iteration."""
SWEEPS = 3
"""Of subspace iteration. It leaves the last eigenvalues some 10 % too small, and vectors that it
has not settled on: a weaker preconditioner, whose damped spectrum is therefore measured."""
LANCZOS = 20
"""Steps towards the largest eigenvalue of a damped spectrum."""
FRESH = 2000
"""Points outside the subsample that the damped spectrum is measured on."""


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """P = I − Σ_i (1 − λ_{k+1}/λ_i) ψ_i ⊗ ψ_i over the top k eigenfunctions of a subsample.

    With K_s e_i = s λ_i e_i on the subsample, ψ_i(x) = (s λ_i)^{-1/2} Σ_j e_ij k(x_j, x).

    Attributes:
        eigenvalues: λ_1 ≥ … ≥ λ_{k+1} of K_s/s, which estimate those of K/n; ``[k + 1]``.
        vectors: e_1 … e_k, ``[s, k]``.
        ridge: added to every eigenvalue, in their unit: λ/n for K + λI of n points.
        level: the largest eigenvalue of the damped kernel, of K/n.
        reach: the largest entry β of the damped kernel's diagonal, λ included.
    """

    eigenvalues: Matrix
    vectors: Matrix
    ridge: float
    level: float
    reach: float

    @property
    def critical_batch(self) -> float:
        """β/λ + 1, Ma and Belkin's: up to it the step grows with the batch.

        With their 1.98 it is also where :meth:`step` changes its rule. With 1.5 that is at half of
        it, β/2λ + 1, and the step there is three quarters of m/β.
        """
        return self.reach / self.level + 1

    def step(self, batch: int) -> float:
        """A step η for batches of m points, on a loss of curvature 1: α_B moves by −η/m·gradient.

        m/β up to β/2λ + 1 points, 1.5·m/(β + (m − 1)λ) beyond, with the level λ: the damped
        kernel of m points has no eigenvalue beyond about β + (m − 1)λ.
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
    kernel: Kernel,
    inputs: Any,
    subsample: int,
    top: int,
    ridge: float,
    rng: np.random.Generator,
    *,
    automatic: bool = False,
) -> Preconditioner:
    """The preconditioner from the first ``subsample`` inputs.

    The damped kernel is measured on the subsample, where its top eigenvalue is λ_{k+1} if the
    eigenvectors are exact, and on inputs behind it, up to 2,000, where it is larger, the more the
    fewer points the eigenvectors were taken from.

    Args:
        kernel: of which blocks are computed.
        inputs: in random order.
        subsample: s.
        top: k, below s; 0 for no preconditioner at all.
        ridge: added to K/n.
        rng: for the start of subspace iteration.
        automatic: whether a k beyond the kernel's rank is lowered to it.

    Raises:
        DataError: the subsample's kernel is not finite, or vanishes.
        SettingError: its rank is below ``top``.
    """
    sub = inputs[:subsample]
    gram = np.asarray(kernel(sub)).astype(np.float64)
    check_gram(gram)
    values, vectors = top_eigenpairs(gram, top + 1, rng)
    eigenvalues = values / subsample
    if not eigenvalues[0] > 0:
        raise DataError("the kernel is zero on the subsample: look at its inputs and settings")
    rank = int(np.count_nonzero(eigenvalues > 1e-7 * eigenvalues[0]))
    if rank <= top and automatic:
        top = max(rank - 1, 0)
        eigenvalues = eigenvalues[: top + 1]
    elif rank <= top:
        raise SettingError(
            f"top={top}: the kernel of the subsample of {subsample} points has about {rank} "
            f"eigenvalues beyond rounding; give top={max(rank - 1, 0)} or less"
        )
    found = Preconditioner(eigenvalues, vectors[:, :top], ridge, 0.0, 0.0)
    level, reach = _measure(found, kernel, inputs, gram)
    return Preconditioner(eigenvalues, vectors[:, :top], ridge, level, reach)


def _measure(
    found: Preconditioner, kernel: Kernel, inputs: Any, gram: Matrix
) -> tuple[float, float]:
    """λ and β of the damped kernel, whose subsample has the matrix ``gram``.

    In a batch B the damped kernel stands beside the whole ridge, K_BB + nρ·I: β grows by nρ, if λ
    of all points grows by ρ.
    """
    subsample = len(gram)
    spectrum = found.eigenvalues * subsample
    flattened = 1 - found._kept()
    own = gram.diagonal() - np.square(found.vectors) @ (flattened * spectrum[:-1])
    reach = own.max()

    def damp(vector: Matrix) -> Matrix:
        image = gram @ vector
        return image - gram @ found.correct(image[:, None])[:, 0]

    level = max(found.eigenvalues[-1] + found.ridge, _largest(damp, subsample) / subsample)
    fresh = inputs[subsample : subsample + min(FRESH, subsample)]
    if len(fresh) > 1:
        functions = np.asarray(kernel(fresh, inputs[:subsample])).astype(np.float64)
        functions = functions @ found.vectors / np.sqrt(spectrum[:-1])
        damped = np.asarray(kernel(fresh)).astype(np.float64)
        damped -= (functions * flattened) @ functions.T
        entries = damped.diagonal()
        largest = _largest(damped.__matmul__, len(fresh))
        # Of m points, it is about β + (m − 1)λ: the diagonal's share is none of the kernel's.
        level = max(level, (largest - entries.mean()) / (len(fresh) - 1))
        reach = max(reach, entries.max())
    return float(level), float(reach + found.ridge * len(inputs))


def _largest(times: Callable[[Matrix], Matrix], n: int) -> float:
    """The largest eigenvalue of a symmetric map of ``[n]``, to a part in a hundred, from below.

    By Lanczos iteration, every vector made orthogonal to all before it.
    """
    steps = min(LANCZOS, n)
    basis, images = np.zeros((steps, n)), np.zeros((steps, n))
    vector = np.random.default_rng(0).standard_normal(n)
    for i in range(steps):
        for _ in range(2):  # Once leaves rounding of the parts taken away.
            vector = vector - basis.T @ (basis @ vector)
        length = np.linalg.norm(vector)
        if length <= 1e-12 * np.linalg.norm(images[i - 1]):  # All that the map can reach.
            break
        basis[i] = vector / length
        images[i] = vector = times(basis[i])
    return float(np.linalg.eigvalsh(images @ basis.T)[-1])


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
