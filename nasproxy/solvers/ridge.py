"""Ridge regression for many regularisers with one factorisation."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from nasproxy.arrays import real
from nasproxy.checks import OneOf, checked
from nasproxy.errors import DataError, SettingError
from nasproxy.solvers.band import BandSweep
from nasproxy.solvers.kernel import check_gram

Matrix = NDArray[np.float64]

NEGATIVE = 1e-4
"""Share of the largest eigenvalue that rounding of float32 kernels may make negative."""
BANDED = 1500
"""Points from which a band matrix is found faster than a spectrum."""
DROWNED = 1e-9
"""Regularisers below which rounding may leave a system indefinite."""


class _Sweep:
    """A kernel's spectrum and what predictions read from it; see :class:`RidgeSweep`.

    Attributes:
        spectrum: eigenvalues of K, ascending, none below 0; without those that are 0 because K has
            a smaller rank than rows.
    """

    def __init__(
        self, spectrum: Matrix, project: Matrix, scores: Matrix, targets: Matrix, trace: np.floating
    ) -> None:
        """``project`` takes what a row is described by to the eigenvectors, ``scores`` are those of
        the training rows."""
        # Rounding leaves eigenvalues of a rank-deficient matrix slightly negative.
        self.spectrum = np.maximum(spectrum, 0)
        self._project, self._scores, self._targets = project, scores, targets
        self._moments = scores.T @ targets
        self._mean_eigenvalue = trace / len(targets)
        self._primal = len(spectrum) < len(targets)

    def predict(self, features: ArrayLike, regularisers: ArrayLike) -> Matrix:
        """Predictions for other images.

        Args:
            features: ``[m, d]``, or of a :class:`KernelSweep` their kernel with the training
                images, ``[m, n]``.
            regularisers: ε, ``[r]``, positive, as fractions of K's mean eigenvalue.

        Returns:
            ``[r, m, classes]``.

        Raises:
            DataError: either is not finite, no real number, or of another shape.
            SettingError: a regulariser is not positive.
        """
        inverse = self._inverse(regularisers)
        rows = real(features, "features", "[m, d]")
        if rows.shape[1] != len(self._project):
            raise DataError(
                f"features have the shape {list(rows.shape)}: give {len(self._project)} numbers a "
                "row, as were fitted"
            )
        return (rows @ self._project) @ (inverse[:, :, None] * self._moments)

    def fitted(self, regularisers: ArrayLike) -> Matrix:
        """Predictions for the training images themselves, ``[r, n, classes]``."""
        share = self._inverse(regularisers)
        if not self._primal:
            share = share * self.spectrum
        return self._scores @ (share[:, :, None] * self._moments)

    def leave_one_out(self, regularisers: ArrayLike) -> Matrix:
        """Predictions for each training image from all the others, without solving again.

        ŷ_i = y_i − α_i / ((K + λI)⁻¹)_ii (Rasmussen and Williams 2006, equation 5.12).

        Returns:
            ``[r, n, classes]``.
        """
        inverse = self._inverse(regularisers)
        if self._primal:
            fitted = self._scores @ (inverse[:, :, None] * self._moments)
            free = 1 - inverse @ np.square(self._scores).T
            residual = (self._targets - fitted) / free[:, :, None]
        else:
            weights = self._scores @ (inverse[:, :, None] * self._moments)
            diagonal = inverse @ np.square(self._scores).T
            residual = weights / diagonal[:, :, None]
        return self._targets - residual

    def gcv(self, regularisers: ArrayLike) -> Matrix:
        """Generalised cross-validation, ‖(I − H)Y‖² / (n·classes) over (tr(I − H) / n)².

        The leave-one-out squared error with each image's leverage replaced by their mean, which
        does not change if images are rotated into one another (Golub, Heath and Wahba 1979).

        Returns:
            ``[r]``, in units of squared targets.
        """
        inverse = self._inverse(regularisers)
        n = len(self._targets)
        if self._primal:
            residual = self._targets - self.fitted(regularisers)
            free = 1 - (inverse * self.spectrum).sum(1) / n
        else:  # λ is a factor of both.
            residual = self._scores @ (inverse[:, :, None] * self._moments)
            free = inverse.sum(1) / n
        return np.square(residual).mean((1, 2)) / np.square(free)

    def log_evidence(self, regularisers: ArrayLike) -> Matrix:
        """Log marginal likelihood of the targets, a target and image, at the best signal variance.

        Targets of all classes are draws of N(0, σ²(K + λI)) with one σ², of which the likelihood's
        maximum is taken: a kernel's scale does not matter (Rasmussen and Williams 2006, section
        5.4.1).

        Returns:
            ``[r]``, in nats; infinite where the targets are 0.
        """
        inverse = self._inverse(regularisers)
        n, classes = self._targets.shape
        determinant = -np.log(inverse).sum(1)
        if self._primal:
            noise = self._noise(regularisers)
            missed = self._targets - self.fitted(regularisers)
            quadratic = (self._targets * missed).sum((1, 2)) / noise
            determinant += (n - len(self.spectrum)) * np.log(noise)
        else:
            quadratic = (inverse @ np.square(self._moments)).sum(1)
        with np.errstate(divide="ignore"):
            variance = np.log(np.maximum(quadratic, 0) / (n * classes))
        return -(1 + np.log(2 * np.pi) + variance + determinant / n) / 2

    def _noise(self, regularisers: ArrayLike) -> Matrix:
        """λ, ``[r]``."""
        epsilons = real(regularisers, "regularisers", "[r]")
        if not (epsilons > 0).all():
            raise SettingError(f"regulariser {epsilons.min():g}: give positive ones, such as 1e-3")
        return epsilons * self._mean_eigenvalue

    def _inverse(self, regularisers: ArrayLike) -> Matrix:
        return 1 / (self.spectrum + self._noise(regularisers)[:, None])


class RidgeSweep(_Sweep):
    """Kernel ridge regression on features, for any number of regularisers.

    With K = Φ Φᵀ of rank at most d, solves (K + ε·tr(K)/n·I) α = Y (Park et al. 2020, equation 2)
    from one eigendecomposition in whichever space is smaller: of K (n × n), or of ΦᵀΦ (d × d),
    whose non-zero eigenvalues are the same.

    float64 throughout: with ε = 1e-7 the systems have condition numbers beyond 1e9, which float32
    cannot resolve.
    """

    def __init__(self, features: ArrayLike, targets: ArrayLike) -> None:
        """Factorises; ``features`` Φ is ``[n, d]``, ``targets`` Y is ``[n, classes]``.

        Raises:
            DataError: either is not finite, no real number, or of another shape; or K vanishes or
                overflows.
        """
        phi = real(features, "features", "[n, d]")
        targets = _targets(targets, len(phi))
        with np.errstate(over="ignore"):
            trace = np.vdot(phi, phi)
        if not 0 < trace < np.inf:
            found = "vanishes" if trace == 0 else "overflows"
            raise DataError(f"the kernel {found}, its trace is {trace}: look at its inputs")
        if phi.shape[1] < phi.shape[0]:
            spectrum, basis = eigh(phi.T @ phi, driver="evd", check_finite=False)
            super().__init__(spectrum, basis, phi @ basis, targets, trace)
        else:
            spectrum, basis = eigh(phi @ phi.T, driver="evd", check_finite=False)
            super().__init__(spectrum, phi.T @ basis, basis, targets, trace)

    def reach(self, features: ArrayLike) -> float:
        """The longest of other rows ``[m, d]``, relative to the mean of those fitted."""
        rows = real(features, "features", "[m, d]")
        return float(np.linalg.norm(rows, axis=1).max() / np.sqrt(self._mean_eigenvalue))


class KernelSweep(_Sweep):
    """:class:`RidgeSweep` of a kernel that is known by itself, not by features."""

    def __init__(self, kernel: ArrayLike, targets: ArrayLike) -> None:
        """Factorises; ``kernel`` K is ``[n, n]``, ``targets`` Y is ``[n, classes]``.

        Raises:
            DataError: as :class:`RidgeSweep`, or the matrix is no kernel: it is not symmetric, or
                has eigenvalues that are negative beyond rounding.
        """
        kernel = real(kernel, "kernels", "[n, n]")
        check_gram(kernel)
        targets = _targets(targets, len(kernel))
        spectrum, basis = eigh(kernel, driver="evd", check_finite=False)
        if spectrum[0] < -NEGATIVE * spectrum[-1]:
            raise DataError(
                f"the kernel has an eigenvalue of {spectrum[0]:.3g} beside a largest of "
                f"{spectrum[-1]:.3g}, and those of kernels are not negative: look at it, or "
                "compute it in float64"
            )
        super().__init__(spectrum, basis, basis, targets, np.trace(kernel))

    def reach(self, features: ArrayLike) -> float:
        """The largest entry of other rows ``[m, n]``, relative to the mean of K's diagonal."""
        return float(np.abs(real(features, "features", "[m, n]")).max() / self._mean_eigenvalue)


def _targets(given: ArrayLike, points: int) -> Matrix:
    targets = real(given, "targets", "[n, classes]")
    if len(targets) != points:
        raise DataError(f"{len(targets)} targets of {points} points: give one row a point")
    return targets


def sweep(
    train: ArrayLike,
    valid: ArrayLike,
    targets: ArrayLike,
    regularisers: ArrayLike,
    solver: str = "auto",
) -> Matrix:
    """Predictions K_vt (K_tt + ε·tr(K_tt)/n_t·I)⁻¹ Y for every ε, see :class:`RidgeSweep`.

    Args:
        train: Φ_t, ``[n_t, d]``.
        valid: Φ_v, ``[n_v, d]``.
        targets: Y, ``[n_t, classes]``.
        regularisers: ε, ``[r]``.
        solver: ``eigen``; ``band``, see :mod:`nasproxy.solvers.band`; or ``auto``, which takes the
            latter where K has full rank and 1,500 points.

    Returns:
        ``[r, n_v, classes]``.
    """
    solver = checked("a sweep", "solver", solver, OneOf("auto", "eigen", "band"))
    phi, rows = real(train, "features", "[n, d]"), real(valid, "features", "[m, d]")
    # A spectrum bears regularisers that rounding drowns, and small ones are found as fast.
    gains = len(phi) >= BANDED and phi.shape[1] >= len(phi) and np.min(regularisers) >= DROWNED
    if rows.shape[1] == phi.shape[1] and (solver == "band" or (solver == "auto" and gains)):
        return BandSweep(phi @ phi.T, targets).predict(rows @ phi.T, regularisers)
    return RidgeSweep(train, targets).predict(valid, regularisers)
