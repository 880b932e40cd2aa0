"""Kernels as solvers call them: of whatever is given, blocks of float32 or float64."""

import math
from inspect import signature
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike, NDArray

from nasproxy.arrays import SINGLE, dense, numbers
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels.fully_connected import FullyConnected

Block: TypeAlias = Float[np.ndarray | jax.Array, "n m"]
"""On a CPU or where the kernel left it."""
SYMMETRY = 1e-4
"""Share of the largest entry that float32 kernels of many sums may be off symmetric by."""
PROBED = 48
"""Points that a kernel is tried on before a fit."""
AGREEMENT = 1e-2
"""Share of the largest entry that half-precision kernels may differ by from call to call."""
CHECKED = 1024
"""Rows that are looked at at once."""
MULTIPLIED = 2**27
"""Entries of a kernel that are computed at once to be multiplied."""


class Precomputed:
    """A kernel that reads its blocks from a matrix ``[n, m]``, a memory-mapped one for example.

    The inputs that it is called with are indices into the matrix, ``[k]``. A matrix in memory can
    as well be fitted as scikit-learn has it, with ``kernel="precomputed"``.
    """

    requires_vector_input = False

    def __init__(self, matrix: Any) -> None:
        """Of a matrix that stays where it is.

        Raises:
            DataError: it is sparse or has masked entries, or is no matrix.
        """
        if len(dense(matrix, "kernels").shape) != 2:
            raise DataError(
                f"a precomputed kernel of shape {list(np.shape(matrix))}: give a matrix [n, m]"
            )
        self._matrix = matrix if hasattr(matrix, "shape") else np.asarray(matrix)

    def __call__(self, rows: ArrayLike, columns: ArrayLike | None = None) -> NDArray[Any]:
        """The block of some rows and columns."""
        chosen = self.prepare(rows)
        other = chosen if columns is None else self.prepare(columns)
        self._check_columns(other)
        some, all_of_them = _run(chosen), _run(other)
        if some is not None and all_of_them is not None:  # Where it lies, not a copy.
            return np.asarray(self._matrix[some, all_of_them])
        return np.asarray(self._matrix[np.ix_(chosen, other)])

    def diagonal(self, rows: ArrayLike) -> NDArray[Any]:
        """k(x, x) of some rows, ``[k]``."""
        chosen = self.prepare(rows)
        self._check_columns(chosen)
        return np.asarray(self._matrix[chosen, chosen])

    def _check_columns(self, chosen: NDArray[np.integer]) -> None:
        """Raises DataError for training points beyond the columns of ``[n, m]``, m < n."""
        most = self._matrix.shape[1]
        if (chosen >= most).any():
            raise DataError(
                f"a precomputed kernel {list(self._matrix.shape)} has no column {chosen.max()}: "
                "its columns are of the training points, so give those as indices from 0 to "
                f"{most - 1}"
            )

    def prepare(self, rows: ArrayLike) -> NDArray[np.integer]:
        """The indices, checked.

        Raises:
            DataError: they are no indices of the matrix.
        """
        found = np.asarray(rows)
        most = len(self._matrix)
        inside = found.dtype.kind in "iu" and bool(((found >= 0) & (found < most)).all())
        if found.ndim != 1 or not inside:
            raise DataError(
                f"a precomputed kernel of {most} rows is called with indices, not with an array "
                f"{found.dtype}{list(found.shape)}: give whole numbers [n] from 0 to {most - 1}, "
                'or fit a matrix in memory with kernel="precomputed"'
            )
        return found


def _run(indices: NDArray[np.integer]) -> slice | None:
    """The slice that indices are, if they follow each other."""
    if len(indices) and (np.diff(indices) == 1).all():
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return None


class Kernel:
    """A function of one or two arrays, or a kernel object, called in one way.

    Called with inputs of n and m points, it gives their block ``[n, m]``; with n alone, ``[n, n]``.
    A kernel object may have ``prepare(x)``, called once for data that is met again and again;
    ``diagonal(x)``, ``[n]``; and ``requires_vector_input = False``, as kernels of scikit-learn's
    Gaussian processes have it that take something else than arrays ``[n, ...]`` of real numbers.
    """

    def __init__(self, given: Any) -> None:
        """Takes note, by its signature, of what it can be called with.

        Raises:
            SettingError: it is no function of one or two arrays.
        """
        self._given = given
        if not (callable(given) and _accepts(given, 2)):
            raise SettingError(
                f"kernel={given!r}: give a function of two arrays [n, ...] and [m, ...], a kernel "
                'such as FullyConnected(depth=3), or "precomputed"'
            )
        self._takes_one = _accepts(given, 1)

    @property
    def stored(self) -> bool:
        """Whether products read the kernel's entries, which need not be kept then."""
        return hasattr(self._given, "times")

    def prepare(self, x: Any) -> Any:
        """Inputs as the kernel wants to meet them again."""
        prepare = getattr(self._given, "prepare", None)
        return np.asarray(x) if prepare is None else prepare(x)

    def __call__(self, x1: Any, x2: Any = None) -> Block:
        """The block of some inputs.

        Raises:
            DataError: as :func:`block`.
        """
        if x2 is not None:
            return block(self._given(x1, x2), len(x1), len(x2))
        found = self._given(x1) if self._takes_one else self._given(x1, x1)
        return block(found, len(x1), len(x1))

    @property
    def knows_diagonal(self) -> bool:
        """Whether :meth:`diagonal` is the kernel's own."""
        return hasattr(self._given, "diagonal")

    def diagonal(self, x: Any) -> Float64[np.ndarray, " n"]:
        """k(x, x), from small blocks where the kernel has no diagonal of its own."""
        own = getattr(self._given, "diagonal", None)
        if own is not None:
            found = np.asarray(block(np.reshape(own(x), (-1, 1)), len(x), 1))
            return found[:, 0].astype(np.float64)
        parts = [np.diagonal(np.asarray(self(x[i : i + 64]))) for i in range(0, len(x), 64)]
        return np.concatenate(parts).astype(np.float64)

    def times(
        self, x1: Any, x2: Any, vectors: Float64[np.ndarray, "m c"], *, exact: bool = False
    ) -> Float64[np.ndarray, "n c"]:
        """The block of some inputs times right-hand sides, never the whole block at once.

        A stored kernel, which has ``times`` itself, reads each of its entries once.

        Args:
            x1, x2: inputs of n and m points.
            vectors: right-hand sides, a column each.
            exact: multiply in float64, whatever the entries are.

        Raises:
            DataError: as :func:`block` and :func:`product`.
        """
        own = getattr(self._given, "times", None)
        if own is not None:
            return own(x1, x2, vectors, exact=exact)
        step = max(1, MULTIPLIED // max(len(x2), 1))
        parts = []
        for start in range(0, len(x1), step):
            found = self(x1[start : start + step], x2)
            parts.append(product(np.asarray(found, np.float64) if exact else found, vectors))
        return np.concatenate(parts)

    def check(self, x: Any) -> None:
        """Holds the kernel of some points to what solvers take for granted of all.

        A block is that of its rows and columns in this order, the same from either side and in
        whatever company, and has the diagonal that the kernel says it has.

        Raises:
            DataError: it is not, or the points' matrix is no kernel, see :func:`check_gram`.
        """
        if isinstance(self._given, FullyConnected) or self.stored:
            return  # Ours, or stored: that was looked at before it was computed.
        step = math.ceil(len(x) / PROBED)
        some, few = x[::step], x[:: 3 * step]
        gram = np.asarray(self(some), np.float64)
        check_gram(gram)
        across = np.asarray(self(some, few), np.float64)
        back = np.asarray(self(few, some), np.float64).T
        own = self.diagonal(some)
        expected = gram[:, ::3]
        for found, wanted, said in (
            (across, expected, "k(x, x')"),
            (back, expected, "k(x', x)"),
            (own, gram.diagonal(), "the kernel's own diagonal"),
        ):
            apart = np.abs(found - wanted)
            if not apart.max() <= AGREEMENT * np.abs(gram).max():  # NaN is not.
                at = np.unravel_index(int(apart.argmax()), apart.shape)
                raise DataError(
                    f"the kernel does not agree with itself: of the same points it gave "
                    f"{wanted[at]:.3g} and, as {said}, {found[at]:.3g}; let it be a symmetric "
                    "function of two points, whose block [n, m] has the first array's along rows"
                )


def _accepts(function: Any, arrays: int) -> bool:
    try:
        signature(function).bind(*[None] * arrays)
    except TypeError:
        return False
    except ValueError:  # Some written in C have none: two arrays it is.
        return arrays == 2
    return True


def block(given: Any, rows: int, columns: int) -> Block:
    """What a kernel gave, float32 or float64; whatever else it is of becomes float64.

    Raises:
        DataError: another shape, or something that is no real number, see
            :func:`nasproxy.arrays.numbers`.
    """
    if isinstance(given, jax.Array) and given.dtype in SINGLE:
        found: Any = given
    else:
        found = numbers(given, "kernel entries")
    if found.shape != (rows, columns):
        raise DataError(
            f"the kernel gave an array {list(found.shape)} for {rows} and {columns} inputs: let it "
            f"give their block [{rows}, {columns}]"
        )
    return found


def product(
    block: Float[np.ndarray | jax.Array, "n m"], coefficients: Float64[np.ndarray, "m c"]
) -> Float64[np.ndarray, "n c"]:
    """A kernel block times coefficients, in the block's own dtype and on its own device.

    Raises:
        DataError: the block holds NaN or infinity.
    """
    with jax.default_matmul_precision("highest"):  # On GPUs float32 would be TF32.
        made = np.asarray(block @ coefficients.astype(block.dtype), np.float64)
    if not math.isfinite(made.sum()) and not np.isfinite(np.asarray(block)).all():
        raise DataError("the kernel gave NaN or infinity: look at its inputs and settings")
    return made


def check_gram(matrix: Float[np.ndarray, "n m"]) -> None:
    """Refuses what is no kernel of points with themselves, before it is solved with.

    Symmetric up to rounding, nowhere negative on the diagonal, and by Cauchy and Schwarz nowhere
    far beyond √(k(x, x) k(x', x')) off it: half a matrix, distances and sign errors are found. That
    all eigenvalues are positive is for the solve to find out.

    Raises:
        DataError: it is none; names an entry.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise DataError(
            f"a kernel of shape {list(matrix.shape)}: give the square matrix [n, n] of the points "
            "with themselves"
        )
    diagonal = np.asarray(matrix.diagonal(), np.float64)
    scale = float(np.abs(matrix).max())
    if not np.isfinite(scale):
        raise DataError("the kernel gave NaN or infinity: look at its inputs and settings")
    if not scale:
        raise DataError("the kernel is zero everywhere: look at its inputs and settings")
    if diagonal.min() < -SYMMETRY * scale:
        i = int(diagonal.argmin())
        raise DataError(
            f"entry [{i}, {i}] of the kernel is {diagonal[i]:.3g}, but that of a point with itself "
            "is never negative: is the sign wrong?"
        )
    roots = np.sqrt(np.maximum(diagonal, 0))
    for start in range(0, len(matrix), CHECKED):
        rows = slice(start, start + CHECKED)
        part = matrix[rows].astype(np.float64)
        apart = np.abs(part - matrix[:, rows].T)
        if apart.max() > SYMMETRY * scale:
            i, j = np.unravel_index(int(apart.argmax()), apart.shape)
            i += start
            raise DataError(
                f"the kernel is not symmetric: entry [{i}, {j}] is {matrix[i, j]:.3g}, [{j}, {i}] "
                f"{matrix[j, i]:.3g}; give the whole matrix of the points with themselves"
            )
        beyond = np.abs(part) - 2 * roots[rows, None] * roots - 1e-3 * scale
        if beyond.max() > 0:
            i, j = np.unravel_index(int(beyond.argmax()), beyond.shape)
            i += start
            raise DataError(
                f"entry [{i}, {j}] of the kernel is {matrix[i, j]:.3g}, beyond what "
                f"{diagonal[i]:.3g} and {diagonal[j]:.3g} on its diagonal allow: a kernel is "
                "largest where points are alike; of distances d take one such as exp(-d²)"
            )
