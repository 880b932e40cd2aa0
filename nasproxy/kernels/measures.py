"""What a kernel says of a network by itself, without being solved: pure functions of arrays."""

import numpy as np
from numpy.typing import ArrayLike


def condition(spectrum: ArrayLike) -> float:
    """Largest over smallest eigenvalue, κ (of the NTK: Chen et al. 2021, TE-NAS, equation 3).

    Args:
        spectrum: eigenvalues, ``[n]``. Those below float32's resolution of the largest are noise in
            kernels of float32 networks and count as that.
    """
    eigenvalues = np.asarray(spectrum, np.float64)
    largest = eigenvalues.max()
    return float(largest / max(eigenvalues.min(), largest * np.finfo(np.float32).eps))


def alignment(kernel: ArrayLike, targets: ArrayLike) -> float:
    """Centred kernel-target alignment, from −1 to 1 (Cortes et al. 2012, definition 4).

    ⟨K_c, Y Yᵀ⟩ / (‖K_c‖ ‖Y Yᵀ‖) in Frobenius norms, with K_c = H K H and Y centred by H = I − 1/n.

    Args:
        kernel: K, ``[n, n]``.
        targets: Y, ``[n, classes]``.
    """
    given, labels = np.asarray(kernel, np.float64), np.asarray(targets, np.float64)
    centred = given - given.mean(0) - given.mean(1, keepdims=True) + given.mean()
    labels = labels - labels.mean(0)
    norms = np.linalg.norm(centred) * np.linalg.norm(labels @ labels.T)
    return float(np.vdot(centred @ labels, labels) / norms) if norms else 0.0
