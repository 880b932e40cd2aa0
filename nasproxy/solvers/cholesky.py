"""Ridge regression by one Cholesky factorisation for each regulariser."""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, eigh, get_lapack_funcs

from nasproxy.arrays import real
from nasproxy.checks import OneOf, checked
from nasproxy.errors import DataError, SettingError
from nasproxy.solvers.kernel import check_gram
from nasproxy.solvers.ridge import KernelSweep, RidgeSweep

Matrix = NDArray[np.float64]

SOLVERS = ("auto", "cholesky", "eigen")
FEW = 3
"""Regularisers up to which factorisations are faster than a spectrum, which takes as long as four
to nine of them, each with its inverse (600 and 1,200 points)."""


class CholeskySweep:
    """What :class:`~nasproxy.solvers.ridge.RidgeSweep` answers, without a spectrum of K.

    Each regulariser takes 2/3 n³ operations, its inverse's diagonal among them, when it is first
    asked for; an eigendecomposition takes some 9 n³ for all. float64 throughout.
    """

    def __init__(self, kernel: ArrayLike, targets: ArrayLike) -> None:
        """Of K ``[n, n]`` and targets Y ``[n, classes]``.

        Raises:
            DataError: either is not finite, no real number, or of another shape; or the matrix is
                no kernel, see :func:`nasproxy.solvers.kernel.check_gram`.
        """
        matrix = real(kernel, "kernels", "[n, n]")
        check_gram(matrix)
        self._targets = real(targets, "targets", "[n, classes]")
        if len(self._targets) != len(matrix):
            raise DataError(
                f"{len(self._targets)} targets of {len(matrix)} points: give one row a point"
            )
        self._matrix, self._mean = matrix, float(np.trace(matrix)) / len(matrix)
        self._solved: dict[float, tuple[Matrix, Matrix, float]] = {}

    @property
    def spectrum(self) -> Matrix:
        """Eigenvalues of K, ascending, none below 0; computed each time."""
        return np.maximum(eigh(self._matrix, eigvals_only=True, check_finite=False), 0)

    def predict(
        self, features: ArrayLike, regularisers: ArrayLike
    ) -> Float64[np.ndarray, "r m classes"]:
        """Predictions for other points, of which ``features`` ``[m, n]`` is the kernel with these.

        Raises:
            DataError: it is not finite, no real number, or of another shape; or K + λI is not
                positive definite.
            SettingError: a regulariser is not positive.
        """
        rows = real(features, "features", "[m, n]")
        if rows.shape[1] != len(self._matrix):
            raise DataError(
                f"kernels have the shape {list(rows.shape)}: give {len(self._matrix)} numbers a "
                "row, one for each point that was fitted"
            )
        return np.stack([rows @ alpha for _, (alpha, _, _) in self._each(regularisers)])

    def fitted(self, regularisers: ArrayLike) -> Float64[np.ndarray, "r n classes"]:
        """Predictions for the points themselves: Y − λα."""
        return np.stack(
            [self._targets - noise * a for noise, (a, _, _) in self._each(regularisers)]
        )

    def leave_one_out(self, regularisers: ArrayLike) -> Float64[np.ndarray, "r n classes"]:
        """As :meth:`~nasproxy.solvers.ridge.RidgeSweep.leave_one_out`."""
        return np.stack(
            [self._targets - a / d[:, None] for _, (a, d, _) in self._each(regularisers)]
        )

    def gcv(self, regularisers: ArrayLike) -> Float64[np.ndarray, " r"]:
        """As :meth:`~nasproxy.solvers.ridge.RidgeSweep.gcv`; λ is a factor of both its parts."""
        return np.array(
            [np.square(a).mean() / d.mean() ** 2 for _, (a, d, _) in self._each(regularisers)]
        )

    def log_evidence(self, regularisers: ArrayLike) -> Float64[np.ndarray, " r"]:
        """As :meth:`~nasproxy.solvers.ridge.RidgeSweep.log_evidence`."""
        n, found = len(self._matrix), []
        for _, (alpha, _, determinant) in self._each(regularisers):
            variance = (self._targets * alpha).sum() / self._targets.size
            with np.errstate(divide="ignore"):
                found.append(-(1 + np.log(2 * np.pi) + np.log(variance) + determinant / n) / 2)
        return np.array(found)

    def reach(self, features: ArrayLike) -> float:
        """The largest entry of other rows ``[m, n]``, relative to the mean of K's diagonal."""
        return float(np.abs(real(features, "features", "[m, n]")).max() / self._mean)

    def _each(self, regularisers: ArrayLike) -> list[tuple[float, tuple[Matrix, Matrix, float]]]:
        """λ; and α, the diagonal of (K + λI)⁻¹ and log |K + λI|, of each regulariser."""
        epsilons = real(regularisers, "regularisers", "[r]")
        if not (epsilons > 0).all():
            raise SettingError(f"regulariser {epsilons.min():g}: give positive ones, such as 1e-3")
        for epsilon in epsilons.tolist():
            if epsilon not in self._solved:
                self._solved[epsilon] = self._solve(epsilon)
        return [(epsilon * self._mean, self._solved[epsilon]) for epsilon in epsilons.tolist()]

    def _solve(self, epsilon: float) -> tuple[Matrix, Matrix, float]:
        system = np.array(self._matrix, order="F")
        system.flat[:: len(system) + 1] += epsilon * self._mean
        potrf, trtri = get_lapack_funcs(("potrf", "trtri"), (system,))
        lower, failed = potrf(system, lower=True, overwrite_a=True, clean=True)
        if failed:
            raise DataError(
                f"the kernel is not positive definite with the regulariser {epsilon:g}: give a "
                "larger one, solver=eigen, or a kernel in float64"
            )
        determinant = 2 * float(np.log(lower.diagonal()).sum())
        alpha = cho_solve((lower, True), self._targets, check_finite=False)
        inverse, failed = trtri(lower, lower=True, overwrite_c=True)
        if failed:
            raise DataError(f"the kernel's factor is singular at the regulariser {epsilon:g}")
        return alpha, np.einsum("ij,ij->j", inverse, inverse), determinant


def by_kernel(
    kernel: ArrayLike, targets: ArrayLike, regularisers: ArrayLike, solver: str
) -> KernelSweep | CholeskySweep:
    """A kernel's fit for some regularisers.

    Args:
        kernel, targets: K ``[n, n]`` and Y ``[n, classes]``.
        regularisers: ``[r]``, which will be asked for.
        solver: ``eigen``; ``cholesky``; or ``auto``, which takes the latter for three regularisers
            or fewer, unless K + λI is not positive definite at one, which a spectrum bears.

    Raises:
        DataError: as :class:`CholeskySweep` and :class:`~nasproxy.solvers.ridge.KernelSweep`.
    """
    solver = checked("a sweep", "solver", solver, OneOf(*SOLVERS))
    if solver == "eigen" or (solver == "auto" and np.size(regularisers) > FEW):
        return KernelSweep(kernel, targets)
    found = CholeskySweep(kernel, targets)
    try:
        found.gcv(regularisers)  # All are solved for now.
    except DataError:
        if solver == "cholesky":
            raise
        return KernelSweep(kernel, targets)
    return found


def by_features(
    train: ArrayLike, valid: ArrayLike, targets: ArrayLike, regularisers: ArrayLike, solver: str
) -> tuple[RidgeSweep | KernelSweep | CholeskySweep, Matrix]:
    """The fit of the kernel of features, and what it predicts other points from.

    Args:
        train, valid: Φ ``[n, d]`` and ``[m, d]``; of the latter there may be none.
        targets, regularisers, solver: as of :func:`by_kernel`; ``auto`` takes a spectrum in the
            smaller space where d < n.

    Raises:
        DataError: as there, and as :class:`~nasproxy.solvers.ridge.RidgeSweep`.
    """
    solver = checked("a sweep", "solver", solver, OneOf(*SOLVERS))
    phi = real(train, "features", "[n, d]")
    rows = phi[:0] if np.shape(valid) == (0, phi.shape[1]) else real(valid, "features", "[m, d]")
    smaller = phi.shape[1] < len(phi) or np.size(regularisers) > FEW
    if solver == "eigen" or (solver == "auto" and smaller):
        return RidgeSweep(phi, targets), rows
    return by_kernel(phi @ phi.T, targets, regularisers, solver), rows @ phi.T
