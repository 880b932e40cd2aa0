"""Ridge regression for many regularisers with one factorisation."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

Matrix = NDArray[np.float64]


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
        """
        inverse = self._inverse(regularisers)
        return (np.asarray(features, np.float64) @ self._project) @ (
            inverse[:, :, None] * self._moments
        )

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

    def _inverse(self, regularisers: ArrayLike) -> Matrix:
        damping = np.asarray(regularisers, np.float64)[:, None] * self._mean_eigenvalue
        return 1 / (self.spectrum + damping)


class RidgeSweep(_Sweep):
    """Kernel ridge regression on features, for any number of regularisers.

    With K = Φ Φᵀ of rank at most d, solves (K + ε·tr(K)/n·I) α = Y (Park et al. 2020, equation 2)
    from one eigendecomposition in whichever space is smaller: of K (n × n), or of ΦᵀΦ (d × d),
    whose non-zero eigenvalues are the same.

    float64 throughout: with ε = 1e-7 the systems have condition numbers beyond 1e9, which float32
    cannot resolve.
    """

    def __init__(self, features: ArrayLike, targets: ArrayLike) -> None:
        """Factorises; ``features`` Φ is ``[n, d]``, ``targets`` Y is ``[n, classes]``."""
        phi, targets = np.asarray(features, np.float64), np.asarray(targets, np.float64)
        trace = np.vdot(phi, phi)
        if phi.shape[1] < phi.shape[0]:
            spectrum, basis = eigh(phi.T @ phi, driver="evd", check_finite=False)
            super().__init__(spectrum, basis, phi @ basis, targets, trace)
        else:
            spectrum, basis = eigh(phi @ phi.T, driver="evd", check_finite=False)
            super().__init__(spectrum, phi.T @ basis, basis, targets, trace)


class KernelSweep(_Sweep):
    """:class:`RidgeSweep` of a kernel that is known by itself, not by features."""

    def __init__(self, kernel: ArrayLike, targets: ArrayLike) -> None:
        """Factorises; ``kernel`` K is ``[n, n]``, ``targets`` Y is ``[n, classes]``."""
        kernel, targets = np.asarray(kernel, np.float64), np.asarray(targets, np.float64)
        spectrum, basis = eigh(kernel, driver="evd", check_finite=False)
        super().__init__(spectrum, basis, basis, targets, np.trace(kernel))


def sweep(
    train: ArrayLike, valid: ArrayLike, targets: ArrayLike, regularisers: ArrayLike
) -> Matrix:
    """Predictions K_vt (K_tt + ε·tr(K_tt)/n_t·I)⁻¹ Y for every ε, see :class:`RidgeSweep`.

    Args:
        train: Φ_t, ``[n_t, d]``.
        valid: Φ_v, ``[n_v, d]``.
        targets: Y, ``[n_t, classes]``.
        regularisers: ε, ``[r]``.

    Returns:
        ``[r, n_v, classes]``.
    """
    return RidgeSweep(train, targets).predict(valid, regularisers)
