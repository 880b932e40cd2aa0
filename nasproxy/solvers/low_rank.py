"""Low-rank approximations L Lᵀ of a kernel, and preconditioners from them.

Partial pivoted Cholesky takes a kernel's columns at some points, its pivots. *Uniform* ones make it
Nyström's approximation from random columns; *greedy* ones are where the diagonal of what is left is
largest; *random* ones are drawn in proportion to it (Chen, Epperly, Tropp and Webber 2023), by
rejection in blocks (Epperly, Tropp and Webber 2024), so that stored kernels are read a block of
columns at a time. The *sketch* K Ω of random directions is Nyström's approximation of Frangella,
Tropp and Udell 2023, the closest of all for one product of the whole kernel.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int
from numpy.typing import NDArray
from scipy.linalg import eigh, solve_triangular

from nasproxy.errors import DataError, DivergedError
from nasproxy.kernels.memory import check_memory
from nasproxy.solvers.kernel import Kernel

PIVOTS = ("random", "greedy", "uniform", "sketch")
BLOCK = 64
"""Columns that are read at once."""
NEAR = 0.5
"""A greedy pivot inside a block has at least this part of the largest diagonal outside it."""

Matrix = NDArray[np.float64]
Columns = Float64[np.ndarray, "n c"]


class Factor(NamedTuple):
    """L of L Lᵀ ≈ K.

    Attributes:
        low: L, ``[n, k]``; k is less than what was asked for where the kernel's rank is, as far as
            its dtype resolves it.
        pivots: the points whose columns it has, ``[k]``; none of a sketch.
        left: trace of K − L Lᵀ, relative to that of K; NaN of a sketch.
    """

    low: Float64[np.ndarray, "n k"]
    pivots: Int[np.ndarray, " p"]
    left: float


def low_rank(
    kernel: Kernel, inputs: Any, rank: int, pivot: str, seed: int, *, times: Any = None
) -> Factor:
    """An approximation of a kernel, of a rank at most.

    Args:
        kernel: K, of which columns are computed.
        inputs: n points, made ready for it.
        rank: at most; n where there are fewer points.
        pivot: one of ``PIVOTS``.
        seed: of whatever is drawn.
        times: K v of right-hand sides ``[n, c]``, which a sketch takes; None for the kernel's own.

    Raises:
        SettingError: it takes more memory than there is.
        DivergedError: the kernel is not positive semidefinite.
        DataError: it is zero, or not finite.
    """
    n = len(inputs)
    rank = min(rank, n)
    check_memory(
        8 * n * (2 * rank if pivot == "sketch" else rank + 2 * BLOCK),
        f"a preconditioner of rank={rank} of {n:,} points",
        "a smaller rank",
    )
    if pivot == "sketch":
        times = times or (lambda v: kernel.times(inputs, inputs, v))
        return _sketch(times, n, rank, _resolved(kernel, inputs), seed)
    return _pivoted(kernel, inputs, rank, pivot, np.random.default_rng(seed))


def _pivoted(
    kernel: Kernel, inputs: Any, rank: int, pivot: str, rng: np.random.Generator
) -> Factor:
    left = kernel.diagonal(inputs)
    trace, n = left.sum(), len(left)
    if not (np.isfinite(trace) and trace > 0):
        raise DataError(f"the trace of the kernel is {trace:g}: look at its inputs and settings")
    noise = 20 * _resolved(kernel, inputs) * left.max()
    low = np.zeros((n, rank))
    pivots: list[int] = []
    fixed = iter(rng.permutation(n)) if pivot == "uniform" else None
    while len(pivots) < rank and (left > noise).any():
        size = min(BLOCK, rank - len(pivots))
        candidates = _candidates(left, size, pivot, fixed, rng, noise)
        if not len(candidates):
            break
        columns = np.asarray(kernel(inputs, inputs[candidates])).astype(np.float64)
        if not np.isfinite(columns).all():
            raise DataError("the kernel gave NaN or infinity: look at its inputs and settings")
        done = low[:, : len(pivots)]
        columns -= done @ done[candidates].T
        bound = 0.0
        if pivot == "greedy" and len(candidates) < n:
            bound = NEAR * float(np.delete(left, candidates).max())
        chosen, lower = _eliminate(columns[candidates], left[candidates], pivot, bound, rng, noise)
        if not chosen:
            continue
        made = solve_triangular(lower, columns[:, chosen].T, lower=True, check_finite=False).T
        low[:, len(pivots) : len(pivots) + len(chosen)] = made
        left -= np.square(made).sum(1)
        if left.min() < -1e3 * noise:
            i = int(left.argmin())
            raise DivergedError(
                f"the kernel is not positive semidefinite: {left[i]:.1e} is left of the diagonal "
                f"at point {i}; look at it, or compute it in float64"
            )
        pivots += candidates[chosen].tolist()
        left[pivots] = 0
    np.maximum(left, 0, out=left)
    return Factor(low[:, : len(pivots)], np.array(pivots, np.intp), float(left.sum() / trace))


def _candidates(
    left: Matrix, size: int, pivot: str, fixed: Any, rng: np.random.Generator, noise: float
) -> NDArray[np.intp]:
    """Points that are tried next, the best first; all different."""
    if fixed is not None:
        return np.fromiter(islice(fixed, size), np.intp)
    if pivot == "greedy":
        best = np.argsort(left)[::-1][:size]
        return best[left[best] > noise]
    weights = np.where(left > noise, left, 0)
    drawn = rng.choice(len(left), size, p=weights / weights.sum())
    return drawn[np.sort(np.unique(drawn, return_index=True)[1])]


def _eliminate(
    core: Matrix, before: Matrix, pivot: str, bound: float, rng: np.random.Generator, noise: float
) -> tuple[list[int], Matrix]:
    """Which candidates become pivots, in their order, and the Cholesky factor of their block.

    Each is seen as it is after those before it: a random one is kept with the probability that its
    diagonal has fallen to, which is how one at a time would have been drawn.
    """
    schur, chosen, columns = core.copy(), [], []
    for step in range(len(core)):
        own = schur.diagonal()
        at = int(np.argmax(own)) if pivot == "greedy" else step
        if own[at] <= noise:
            if pivot == "greedy":
                break
            continue
        if pivot == "greedy" and chosen and own[at] < bound:
            break
        if pivot == "random" and rng.uniform() * before[at] > own[at]:
            continue
        column = schur[:, at] / np.sqrt(own[at])
        schur = schur - np.outer(column, column)
        schur[at] = schur[:, at] = 0
        chosen.append(at)
        columns.append(column)
    lower = np.array(columns).T[chosen] if chosen else np.zeros((0, 0))
    return chosen, np.tril(lower)


def _sketch(
    times: Callable[[Matrix], Matrix], n: int, rank: int, resolved: float, seed: int
) -> Factor:
    """Algorithm 2.1 of Frangella et al., the shift being what the kernel's dtype resolves."""
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, rank)))[0]
    image = times(basis)
    shift = np.sqrt(n) * resolved * float(np.linalg.norm(image, 2))
    image += shift * basis
    core = basis.T @ image
    try:
        lower = np.linalg.cholesky((core + core.T) / 2)
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh((core + core.T) / 2)[0] - shift
        raise DivergedError(
            f"the kernel in {rank} random directions has an eigenvalue of {least:.1e}, so it is no "
            "kernel: look at it, or compute it in float64"
        ) from None
    half = solve_triangular(lower, image.T, lower=True, check_finite=False).T
    vectors, values, _ = np.linalg.svd(half, full_matrices=False)
    kept = np.maximum(np.square(values) - shift, 0)
    return Factor(vectors * np.sqrt(kept), np.zeros(0, np.intp), float("nan"))


def _resolved(kernel: Kernel, inputs: Any) -> float:
    """The relative rounding of a kernel's entries."""
    return float(np.finfo(np.asarray(kernel(inputs[:1], inputs[:1])).dtype).eps)


def decomposed(
    low: Float64[np.ndarray, "n k"],
) -> tuple[Float64[np.ndarray, "n k"], Float64[np.ndarray, " k"], Float64[np.ndarray, "k k"]]:
    """U, s and V of L = U s Vᵀ.

    Of L itself, not of LᵀL, whose small eigenvalues rounding would drown.
    """
    orthogonal, small = np.linalg.qr(low)
    rotation, roots, other = np.linalg.svd(small)
    return orthogonal @ rotation, roots, other.T


class Preconditioner:
    """(L Lᵀ + λI)⁻¹ for right-hand sides that may have each its own λ, by one decomposition."""

    def __init__(self, low: Float64[np.ndarray, "n k"]) -> None:
        """Of L, of any rank, 0 among them."""
        self._vectors = np.zeros((len(low), 0))
        self._values = np.zeros(0)
        if low.shape[1]:
            self._vectors, roots, _ = decomposed(low)
            self._values = np.square(roots)

    def __call__(self, vectors: Columns, damping: Float64[np.ndarray, " c"]) -> Columns:
        """Of right-hand sides ``[n, c]`` with λ ``[c]``."""
        inner = self._vectors.T @ vectors
        inner *= 1 / (self._values[:, None] + damping) - 1 / damping
        return vectors / damping + self._vectors @ inner


class MaskedPreconditioner:
    """(L_t L_tᵀ + λI)⁻¹ for right-hand sides whose labels are missing at some points.

    L_t has the rows of L that the right-hand side t has labels for; the others are nobody's. One
    decomposition ``[k, k]`` for each mask that occurs.
    """

    def __init__(self, low: Float64[np.ndarray, "n k"], mask: Bool[np.ndarray, "n c"]) -> None:
        self._low, self._mask = low, mask
        _, first, group = np.unique(mask, axis=1, return_index=True, return_inverse=True)
        self._group = group.reshape(-1)
        self._eigen = []
        for column in first:
            own = low[mask[:, column]]
            self._eigen.append(eigh(own.T @ own, check_finite=False))

    def __call__(
        self, vectors: Columns, damping: Float64[np.ndarray, " c"], which: NDArray[np.intp]
    ) -> Columns:
        """Of right-hand sides ``[n, c]``, 0 where there is no label, which are those numbers."""
        inner = self._low.T @ vectors
        for at, column in enumerate(which):
            values, basis = self._eigen[self._group[column]]
            # (L Lᵀ + λI)⁻¹ = (I − L (LᵀL + λI)⁻¹ Lᵀ)/λ.
            solved = (basis.T @ inner[:, at]) / (np.maximum(values, 0) + damping[at])
            inner[:, at] = basis @ solved
        made = (vectors - self._low @ inner) / damping
        return np.where(self._mask[:, which], made, 0)
