"""Every solver in one form: from a draw of training points to predictions for each regulariser."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from nasproxy.errors import DivergedError, SettingError
from nasproxy.solvers import (
    BlockDiagonal,
    Committee,
    ConjugateGradient,
    KernelRidge,
    Nystrom,
    Precomputed,
    SubsetOfRegressors,
    sweep,
)
from nasproxy_experiments.kernel_solvers.study import RIDGES, Draw

APPROXIMATE = ("subset of regressors", "Nyström", "block-diagonal", "committee")
QUERY = (100, 1000)
"""Points that a committee predicts at once, at least and at most."""


def conjugate_gradients(given: Draw, rank: int, tolerance: float = 1e-3) -> NDArray[np.float64]:
    """``[r, m, c]``, of all regularisers together."""
    points = np.arange(len(given.y))
    model = ConjugateGradient(Precomputed(given.gram), rank=rank, tolerance=tolerance)
    alpha = sweep(model, points, given.y, RIDGES).solutions.alpha
    return given.cross @ alpha


def subset(given: Draw, size: int, seed: int) -> NDArray[np.float64]:
    """Kernel ridge regression on some of the points, ``[r, m, c]``."""
    some = np.random.default_rng((seed, size)).permutation(len(given.y))[:size]
    found = []
    for ridge in RIDGES:
        model = KernelRidge(Precomputed(given.gram[np.ix_(some, some)]), ridge=ridge)
        found.append(given.cross[:, some] @ model.fit(np.arange(size), given.y[some]).dual_coef_)
    return np.stack(found)


def approximate(
    method: str, given: Draw, size: int, seed: int, ridges: Any = RIDGES, jitter: float = 0.0
) -> NDArray[np.float64]:
    """One of ``APPROXIMATE`` at a rank or a partition's size, ``[r, m, c]``.

    NaN where it fails at a regulariser: a matrix that has to be positive definite is not.
    """
    n, m = len(given.y), len(given.cross)
    whole = np.block([[given.gram, given.cross.T], [given.cross, given.own]])
    kernel, points, rest = Precomputed(whole), np.arange(n), np.arange(n, n + m)
    found = np.full((len(ridges), m, given.y.shape[1]), np.nan)
    for i, ridge in enumerate(ridges):
        made: dict[str, Any] = {
            "subset of regressors": SubsetOfRegressors(kernel, size, ridge, jitter, seed),
            "Nyström": Nystrom(kernel, size, ridge, jitter, seed),
            "block-diagonal": BlockDiagonal(kernel, size, ridge, seed),
            "committee": Committee(kernel, size, ridge, seed, int(np.clip(size, *QUERY)), 1e-4),
        }
        try:
            found[i] = made[method].fit(points, given.y).predict(rest)
        except (LinAlgError, SettingError, DivergedError):
            continue  # NaN, which is counted.
    return found
