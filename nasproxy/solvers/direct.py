"""Kernel ridge regression by one Cholesky factorisation: the answer that iterations approach."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.sparse.linalg import eigsh

from nasproxy.arrays import numbers
from nasproxy.checks import Real, Rule, checked
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels.memory import check_memory
from nasproxy.solvers.estimator import Classifier, KernelMachine, Regressor
from nasproxy.solvers.kernel import Kernel, check_gram

Matrix: TypeAlias = NDArray[np.float64]

RIDGE = Real(least=0)
BLOCK = 4096
"""Rows that are factorised at a time."""


def solve(matrix: ArrayLike, targets: ArrayLike, ridge: float) -> Matrix:
    """α of (K + ridge·tr(K)/n·I) α = Y, in float64.

    Args:
        matrix: K, ``[n, n]``; float64 memory of the same size is needed beside it.
        targets: Y, ``[n, c]``.
        ridge: as a fraction of the mean eigenvalue.

    Raises:
        SettingError: the system is not positive definite at this ridge; says how far it is from it.
        DataError: the matrix is no kernel, see :func:`nasproxy.solvers.kernel.check_gram`, or
            targets are others than real numbers, a row a point.
    """
    ridge = checked("a solve", "ridge", ridge, RIDGE)
    matrix, targets = numbers(matrix, "kernels"), numbers(targets, "targets")
    check_gram(matrix)
    if targets.ndim not in (1, 2) or len(targets) != len(matrix) or not np.isfinite(targets).all():
        raise DataError(
            f"targets {list(targets.shape)} of {len(matrix)} points: give finite ones [n, c]"
        )
    system = np.array(matrix, np.float64)
    n, scale = len(system), np.trace(system) / len(system)
    if not scale > 0:
        raise DataError("the kernel is zero: look at its inputs and settings")
    system.flat[:: n + 1] += ridge * scale
    try:
        _factorise(system)
    except LinAlgError as error:
        # What is left of the system is half factorised.
        smallest = _smallest(matrix.astype(np.float64)) + ridge * scale
        raise SettingError(
            f"ridge={ridge:g}: the kernel matrix of {n} points is not positive definite, its "
            f"smallest eigenvalue is about {smallest / scale - ridge:.1e} of the mean one; give a "
            f"ridge of at least {max(10 * ridge, 2 * (ridge - smallest / scale)):.0e}, or compute "
            "the kernel in float64"
        ) from error
    half = solve_triangular(system, targets.astype(np.float64), lower=True, check_finite=False)
    return solve_triangular(system, half, lower=True, trans=1, check_finite=False)


def _factorise(system: Matrix) -> None:
    """L of LLᵀ in the lower triangle, in place.

    By blocks, because the threaded Cholesky factorisation and syrk of OpenBLAS 0.3.30 crash beyond
    some 15,000 rows.
    """
    n = len(system)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        own, done = slice(start, stop), slice(0, start)
        system[own, own] -= system[own, done] @ system[own, done].T
        diagonal = cholesky(system[own, own], lower=True, check_finite=False)
        system[own, own] = diagonal
        below = system[stop:, own]
        below -= system[stop:, done] @ system[own, done].T
        below[...] = solve_triangular(diagonal, below.T, lower=True, check_finite=False).T


def _smallest(system: Matrix) -> float:
    """An estimate of the smallest eigenvalue, by Lanczos iteration."""
    if len(system) < 20:
        return float(np.linalg.eigvalsh(system)[0])
    return float(eigsh(system, 1, which="SA", return_eigenvectors=False)[0])


@dataclass(eq=False, repr=False)
class _Direct(KernelMachine):
    ridge: float = 1e-3

    rules: ClassVar[dict[str, Rule]] = {"ridge": RIDGE}

    def _solve(self, kernel: Kernel, inputs: Any, targets: Matrix) -> Matrix:
        n = len(targets)
        check_memory(
            12 * n**2,
            f"a direct solve of {n:,} points",
            "fewer points, or take EigenPro or ConjugateGradient (solver eigenpro or cg)",
        )
        kernel.check(inputs)
        return solve(kernel(inputs), targets, self._setting("ridge"))


class KernelRidge(Regressor, _Direct):
    """Kernel ridge regression of real targets by one Cholesky factorisation, see :func:`solve`.

    The same as scikit-learn's ``KernelRidge`` with ``alpha`` = ridge·tr(K)/n. Memory 12 n² bytes
    for float32 kernels.

    Attributes:
        kernel: see :class:`~nasproxy.solvers.estimator.KernelMachine`.
        ridge: regulariser, as a fraction of the kernel's mean eigenvalue.
    """


class KernelRidgeClassifier(Classifier, _Direct):
    """:class:`KernelRidge` on one-hot labels minus 1/classes; the largest score is the label.

    Attributes:
        kernel, ridge: as there.
    """
