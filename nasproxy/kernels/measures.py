"""What a kernel says of a network by itself, without being solved: pure functions of arrays."""

import numpy as np
from numpy.typing import ArrayLike

from nasproxy.arrays import real
from nasproxy.errors import DataError

SYMMETRY = 1e-4
"""Share of the largest entry that float32 kernels of many sums may be off symmetric by."""
EPSILON = float(np.finfo(np.float64).eps)


def condition(spectrum: ArrayLike) -> float:
    """Largest over smallest eigenvalue, κ (of the NTK: Chen et al. 2021, TE-NAS, equation 3).

    Args:
        spectrum: eigenvalues, ``[n]``. Those below float32's resolution of the largest are noise in
            kernels of float32 networks and count as that.

    Raises:
        DataError: they are not finite, or none is positive: then there is no kernel.
    """
    eigenvalues = real(spectrum, "eigenvalues", "[n]")
    largest = eigenvalues.max()
    if largest <= 0 or eigenvalues.min() < -largest:
        raise DataError(
            f"eigenvalues from {eigenvalues.min():.3g} to {largest:.3g} are no kernel's: give "
            "those of a positive semidefinite matrix"
        )
    return float(largest / max(eigenvalues.min(), largest * np.finfo(np.float32).eps))


def alignment(kernel: ArrayLike, targets: ArrayLike) -> float:
    """Centred kernel-target alignment, from −1 to 1 (Cortes et al. 2012, definition 4).

    ⟨K_c, Y Yᵀ⟩ / (‖K_c‖ ‖Y Yᵀ‖) in Frobenius norms, with K_c = H K H and Y centred by H = I − 1/n.

    Args:
        kernel: K, ``[n, n]``.
        targets: Y, ``[n, classes]``.

    Raises:
        DataError: either is not finite, no real number, or of another shape.
    """
    given, labels = real(kernel, "kernels", "[n, n]"), real(targets, "targets", "[n, classes]")
    if not len(given) == given.shape[1] == len(labels):
        raise DataError(
            f"a kernel {list(given.shape)} and {len(labels)} targets: give [n, n] and n of them"
        )
    if np.abs(given - given.T).max() > SYMMETRY * np.abs(given).max():
        raise DataError("the kernel is not symmetric: give that of the points with themselves")
    centred = given - given.mean(0) - given.mean(1, keepdims=True) + given.mean()
    labels = labels - labels.mean(0)
    if np.linalg.norm(centred) <= len(given) * EPSILON * np.linalg.norm(given):
        return 0.0  # A constant, whose centring leaves its rounding.
    norms = np.linalg.norm(centred) * np.linalg.norm(labels @ labels.T)
    return float(np.vdot(centred @ labels, labels) / norms) if norms else 0.0
