"""Ridge regression for many regularisers with one factorisation."""

import numpy as np
from scipy.linalg import eigh


def sweep(
    train: np.ndarray, valid: np.ndarray, targets: np.ndarray, regularisers: np.ndarray
) -> np.ndarray:
    """Predictions of kernel ridge regression on features, for every regulariser.

    With K = Φ Φᵀ of rank at most d, predicts K_vt (K_tt + ε·tr(K_tt)/n_t·I)⁻¹ Y (Park et al. 2020,
    equation 2) from one eigendecomposition in whichever space is smaller: of K_tt (n_t × n_t), or of
    ΦᵀΦ (d × d), whose non-zero eigenvalues are the same.

    float64 throughout: with ε = 1e-7 the systems have condition numbers beyond 1e9, which float32
    cannot resolve.

    Args:
        train: Φ_t, ``[n_t, d]``.
        valid: Φ_v, ``[n_v, d]``.
        targets: Y, ``[n_t, classes]``.
        regularisers: ε, ``[r]``, positive, as fractions of the mean eigenvalue of K_tt.

    Returns:
        ``[r, n_v, classes]`` float64.
    """
    train, valid, targets = (np.asarray(a, np.float64) for a in (train, valid, targets))
    n_train, features = train.shape
    mean_eigenvalue = np.vdot(train, train) / n_train
    if features < n_train:
        spectrum, basis = eigh(train.T @ train, driver="evd", check_finite=False)
        left, right = valid @ basis, basis.T @ (train.T @ targets)
    else:
        spectrum, basis = eigh(train @ train.T, driver="evd", check_finite=False)
        left, right = valid @ (train.T @ basis), basis.T @ targets
    damping = np.asarray(regularisers)[:, None] * mean_eigenvalue
    # Rounding leaves eigenvalues of a rank-deficient matrix slightly negative.
    inverse = 1 / (np.maximum(spectrum, 0) + damping)
    return left @ (inverse[:, :, None] * right)
