"""Kernel ridge regression in blocks of points: their mean, and the Bayesian committee machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from nasproxy.checks import Real, Rule, Whole
from nasproxy.errors import SettingError
from nasproxy.kernels.memory import check_memory
from nasproxy.solvers.direct import solve
from nasproxy.solvers.estimator import Classifier, KernelMachine, Regressor
from nasproxy.solvers.kernel import Kernel

Columns = Float64[np.ndarray, "_ _"]


@dataclass(eq=False, repr=False)
class _Partitioned(KernelMachine):
    size: int = 1000
    ridge: float = 1e-3
    seed: int = 0

    rules: ClassVar[dict[str, Rule]] = {
        "size": Whole(1),
        "ridge": Real(above=0),
        "seed": Whole(0),
    }

    def _blocks(self, points: int) -> list[Int[np.ndarray, " b"]]:
        """Random blocks of nearly equal size, as many as ``size`` asks for."""
        size = min(self._setting("size"), points)
        check_memory(24 * size**2, f"a block of size={size:,} points", "a smaller size")
        order = np.random.default_rng(self._setting("seed")).permutation(points)
        if size == points:
            order = np.arange(points)  # The direct solve, to the last digit.
        return [np.sort(part) for part in np.array_split(order, -(-points // size))]


class _BlockDiagonal(_Partitioned):
    def _solve(self, kernel: Kernel, inputs: Any, targets: Columns) -> Columns:
        kernel.check(inputs)
        blocks, alpha = self._blocks(len(targets)), np.empty_like(targets)
        for block in blocks:
            gram = kernel(inputs[block])
            alpha[block] = solve(gram, targets[block], self._setting("ridge")) / len(blocks)
        return alpha


class BlockDiagonal(Regressor, _BlockDiagonal):
    """The mean of kernel ridge regressions on random blocks of the points.

    Of one block it is :class:`~nasproxy.solvers.KernelRidge`. Memory 20·b² bytes.

    Attributes:
        kernel: see :class:`~nasproxy.solvers.estimator.KernelMachine`.
        size: b, points of a block at most.
        ridge: as a fraction of a block's mean eigenvalue, positive.
        seed: of the blocks.
    """


class BlockDiagonalClassifier(Classifier, _BlockDiagonal):
    """:class:`BlockDiagonal` on one-hot labels minus 1/classes.

    Attributes:
        kernel, size, ridge, seed: as there.
    """


@dataclass(eq=False, repr=False)
class _Committee(_Partitioned):
    query: int = 1000
    jitter: float = 1e-6

    rules: ClassVar[dict[str, Rule]] = _Partitioned.rules | {
        "query": Whole(1),
        "jitter": Real(above=0),
    }

    def _solve(self, kernel: Kernel, inputs: Any, targets: Columns) -> Columns:
        """The members' own answers, of which predictions need the covariances as well."""
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            raise SettingError(
                'kernel="precomputed" of a committee: it needs the kernel of new points with each '
                "other; give a kernel object, such as Precomputed or Tiles"
            )
        kernel.check(inputs)
        self._damping = self._setting("ridge") * float(kernel.diagonal(inputs).mean())
        alpha = np.empty_like(targets)
        for part, factor in self._members(kernel, inputs):
            alpha[part] = cho_solve(factor, targets[part], check_finite=False)
        return alpha

    def _members(
        self, kernel: Kernel, inputs: Any
    ) -> Iterator[tuple[Int[np.ndarray, " b"], tuple[Columns, bool]]]:
        """Each block, and the factor of its K + λI; one at a time in memory."""
        for part in self._blocks(len(inputs)):
            gram = np.asarray(kernel(inputs[part])).astype(np.float64)
            gram.flat[:: len(gram) + 1] += self._damping
            try:
                yield part, cho_factor(gram, lower=True, check_finite=False)
            except np.linalg.LinAlgError:
                raise SettingError(
                    f"ridge={self._setting('ridge'):g}: the kernel of {len(part)} of the points is "
                    "not positive definite; give a larger ridge, or compute it in float64"
                ) from None

    def _combined(self, x: Any) -> Columns:
        """(Σ C_b⁻¹ − (p − 1) K_**⁻¹)⁻¹ Σ C_b⁻¹ f_b, ``query`` points at a time."""
        size, kernel = min(self._setting("query"), len(x)), self._kernel
        check_memory(
            8 * size * (len(x) + 4 * size), f"a committee's query={size:,}", "a smaller query"
        )
        queries = [x[start : start + size] for start in range(0, len(x), size)]
        prior = [self._jittered(np.asarray(kernel(q), np.float64)) for q in queries]
        count = self.dual_coef_.shape[1]
        others = len(self._blocks(len(self.dual_coef_))) - 1
        precision = [-others * _inverse(own) for own in prior]
        pulled = [np.zeros((len(q), count)) for q in queries]
        for part, (lower, _) in self._members(kernel, self._inputs):
            for i, query in enumerate(queries):
                cross = np.asarray(kernel(query, self._inputs[part]), np.float64)
                half = solve_triangular(lower, cross.T, lower=True, check_finite=False)
                inverse = _inverse(prior[i] - half.T @ half)
                precision[i] += inverse
                pulled[i] += inverse @ (cross @ self.dual_coef_[part])
        return np.concatenate(
            [np.linalg.solve(a, b) for a, b in zip(precision, pulled, strict=True)]
        )

    def _jittered(self, own: Columns) -> Columns:
        own = own.copy()
        own.flat[:: len(own) + 1] += self._setting("jitter") * own.diagonal().mean()
        return own


def _inverse(matrix: Columns) -> Columns:
    return cho_solve(cho_factor(matrix, lower=True), np.eye(len(matrix)), check_finite=False)


class Committee(Regressor, _Committee):
    """The Bayesian committee machine of Gaussian processes on random blocks of the points.

    f = (Σ_b C_b⁻¹ − (p − 1) K_**⁻¹)⁻¹ Σ_b C_b⁻¹ f_b for p blocks, whose f_b have the covariance C_b
    (Tresp 2000, equation 5). Of one block it is :class:`~nasproxy.solvers.KernelRidge`. Points
    that are predicted at once help each other: predictions depend, a little, on the others of their
    ``query``. Each call factorises all blocks anew, n·b²/3 operations, and takes
    20·b² + 8·q·(m + 4·q) bytes for m points.

    Attributes:
        kernel: see :class:`~nasproxy.solvers.estimator.KernelMachine`, and not ``"precomputed"``;
            stored tiles have to be ``joint``.
        size: b, points of a block at most.
        ridge: λ as a fraction of the kernel's mean eigenvalue, positive.
        seed: of the blocks.
        query: q, points that are predicted at once; about b is best.
        jitter: added to the diagonal of K_**, as a fraction of its mean.
    """


class CommitteeClassifier(Classifier, _Committee):
    """:class:`Committee` on one-hot labels minus 1/classes.

    Attributes:
        kernel, size, ridge, seed, query, jitter: as there.
    """
