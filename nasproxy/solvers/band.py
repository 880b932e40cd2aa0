"""Ridge regression for many regularisers at full rank, by one reduction to a band matrix.

K = Q B Qᵀ with B of half-bandwidth b takes 4/3 n³ operations, all in products of matrices; each
system with B + λI is then solved in n b² of them. An eigendecomposition goes on from there, at
several times the cost, and twenty Cholesky factorisations take 20/3 n³.
"""

import itertools

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgError, get_lapack_funcs, solveh_banded

from nasproxy.arrays import real
from nasproxy.errors import DataError, SettingError
from nasproxy.solvers.kernel import check_gram
from nasproxy.threads import pool, solving

Matrix = NDArray[np.float64]

WIDTH = 128
"""b: columns that are reduced at once."""
STRIP = 512
"""Side of the tiles of what is left of the matrix, which a core's cache holds."""


class BandSweep:
    """:class:`~nasproxy.solvers.ridge.KernelSweep` without a spectrum: predictions alone.

    float64 throughout. The memory is 8·n² bytes beside the kernel.
    """

    def __init__(self, kernel: ArrayLike, targets: ArrayLike) -> None:
        """Reduces K ``[n, n]``; targets Y are ``[n, classes]``.

        Raises:
            DataError: either is not finite, no real number, or of another shape; or the matrix is
                no kernel, see :func:`nasproxy.solvers.kernel.check_gram`.
        """
        matrix = np.array(real(kernel, "kernels", "[n, n]"))
        check_gram(matrix)
        y = real(targets, "targets", "[n, classes]")
        if len(y) != len(matrix):
            raise DataError(f"{len(y)} targets of {len(matrix)} points: give one row a point")
        self._mean = float(np.trace(matrix)) / len(matrix)
        self._band, self._turns = reduce(matrix)
        self._turned = y.copy()
        for start, basis, small in self._turns:
            part = self._turned[start:]
            part -= basis @ (small.T @ (basis.T @ part))

    def solve(self, regularisers: ArrayLike) -> Float64[np.ndarray, "r n c"]:
        """α of (K + ε·tr(K)/n·I) α = Y for every ε.

        Args:
            regularisers: ε, ``[r]``, positive, as fractions of K's mean eigenvalue.

        Raises:
            SettingError: one is not positive, or K + λI is not positive definite at it.
        """
        epsilons = real(regularisers, "regularisers", "[r]")
        if not (epsilons > 0).all():
            raise SettingError(f"regulariser {epsilons.min():g}: give positive ones, such as 1e-3")
        found = []
        for epsilon in epsilons:
            band = self._band.copy()
            band[0] += epsilon * self._mean
            try:
                with solving(0):  # Threads gain nothing in a band.
                    found.append(solveh_banded(band, self._turned, lower=True, overwrite_ab=True))
            except LinAlgError:
                raise SettingError(
                    f"regulariser {epsilon:g}: the kernel matrix is not positive definite with it; "
                    "give a larger one, or compute the kernel in float64"
                ) from None
        n, count = self._turned.shape
        together = np.concatenate(found, axis=1)
        for start, basis, small in reversed(self._turns):
            part = together[start:]
            part -= basis @ (small @ (basis.T @ part))
        return together.reshape(n, len(epsilons), count).transpose(1, 0, 2)

    def predict(self, features: ArrayLike, regularisers: ArrayLike) -> Float64[np.ndarray, "r m c"]:
        """Predictions from the kernel ``[m, n]`` of other points with the training points.

        Raises:
            DataError: it is not finite, no real number, or of another shape.
            SettingError: as :meth:`solve`.
        """
        rows = real(features, "features", "[m, n]")
        if rows.shape[1] != len(self._turned):
            raise DataError(
                f"features have the shape {list(rows.shape)}: give {len(self._turned)} numbers a "
                "row, as were fitted"
            )
        return rows @ self.solve(regularisers)


def reduce(
    matrix: Float64[np.ndarray, "n n"],
) -> tuple[Float64[np.ndarray, "w n"], list[tuple[int, Matrix, Matrix]]]:
    """B of K = Q B Qᵀ, and Q as reflections; the matrix is overwritten.

    Panel by panel: one's QR factorisation I − V T Vᵀ from either side on all that is right of it
    (Bischof, Lang and Sun 2000, the first of their two steps).

    Returns:
        Diagonals of B, as ``scipy.linalg.solveh_banded`` takes the lower ones; and for each panel
        its first row, V ``[m, b]`` and T ``[b, b]``.
    """
    n, turns = len(matrix), []
    with solving(0):  # Tiles are shared out among the cores, and BLAS keeps to one.
        for start in range(0, n - WIDTH, WIDTH):
            below = start + WIDTH
            panel = matrix[below:, start:below]
            basis, small, upper = _reflections(panel)
            panel[:] = 0
            panel[: len(upper)] = upper
            rest = matrix[below:, below:]
            image = _times(rest, basis) @ small
            image -= basis @ (small.T @ (basis.T @ image) / 2)
            _update(rest, np.hstack([image, basis]), np.hstack([basis, image]))
            turns.append((below, basis, small))
    band = np.zeros((min(WIDTH, n - 1) + 1, n))
    for offset in range(len(band)):
        band[offset, : n - offset] = matrix.diagonal(-offset)
    return band, turns


def _reflections(panel: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """V, T and R of panel = (I − V T Vᵀ) R."""
    (factorise,) = get_lapack_funcs(("geqrf",), (panel,))
    packed, scales, _, info = factorise(panel, lwork=64 * panel.shape[1])
    assert info == 0
    count = len(scales)
    basis = np.tril(packed[:, :count], -1)
    np.fill_diagonal(basis, 1)
    small = np.zeros((count, count))
    inner = basis.T @ basis
    for i, scale in enumerate(scales):  # Schreiber and Van Loan 1989
        small[:i, i] = -scale * (small[:i, :i] @ inner[:i, i])
        small[i, i] = scale
    return basis, small, np.triu(packed[:count])


def _strips(n: int) -> list[slice]:
    """The last n rows in parts whose ends do not move as n falls.

    Of tiles on the diagonal both triangles are kept, of all others the lower ones alone.
    """
    edges = [0, *range(n % STRIP or STRIP, n + 1, STRIP)]
    return [slice(*ends) for ends in itertools.pairwise(edges)]


def _times(rest: Matrix, vectors: Matrix) -> Matrix:
    """A symmetric matrix times vectors, each tile below the diagonal read once for both sides."""
    strips = _strips(len(rest))

    def part(i: int) -> Matrix:
        rows = strips[i]
        out = np.zeros((rows.stop, vectors.shape[1]))
        out[rows] = rest[rows, rows] @ vectors[rows]
        for columns in strips[:i]:
            tile = rest[rows, columns]
            out[rows] += tile @ vectors[columns]
            out[columns] += tile.T @ vectors[rows]
        return out

    whole = np.zeros_like(vectors)
    for out in pool().map(part, reversed(range(len(strips)))):  # The longest first.
        whole[: len(out)] += out
    return whole


def _update(rest: Matrix, left: Matrix, right: Matrix) -> None:
    """rest −= left rightᵀ, which is symmetric."""
    strips = _strips(len(rest))

    def part(i: int) -> None:
        rows = strips[i]
        for columns in strips[: i + 1]:
            rest[rows, columns] -= left[rows] @ right[columns].T

    list(pool().map(part, reversed(range(len(strips)))))  # A list, so that errors are raised.
