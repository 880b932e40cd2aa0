"""Inputs of kernels made ready once, and the correlations between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from nasproxy.arrays import numbers
from nasproxy.errors import DataError
from nasproxy.kernels.dual_activations import SMALLEST

NEAR = {"float32": 0.05, "float64": 1e-6}
"""Deficits, by the dtype of the Gram matrix, that are computed again from the distance."""
NEAR_PAIRS = 1 / 16
"""Share of a tile from which its whole Gram matrix is computed again in float64."""
GATHERED = 2**21
"""Numbers in the inputs of pairs whose distances are computed at once."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs made ready once for any number of kernel blocks; slices of them are views.

    Attributes:
        values: ``[n, d]``, float32 or float64.
        norms: their lengths, ``[n]``.
    """

    values: Float[np.ndarray, "n d"]
    norms: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, x: ArrayLike) -> Self:
        """Inputs ``[n, ...]``, flattened, checked and measured.

        Raises:
            DataError: nothing is there, something is not finite, or they are no real numbers, see
                :func:`nasproxy.arrays.numbers`.
        """
        values = numbers(x, "inputs")
        if values.ndim < 2 or 0 in values.shape:
            raise DataError(f"inputs of shape {values.shape}: give [n, d], or images [n, h, w, c]")
        values = values.reshape(len(values), -1)
        scales = np.abs(values).max(1).astype(np.float64)
        if not np.isfinite(scales).all():
            row = int(np.flatnonzero(~np.isfinite(scales))[0])
            raise DataError(f"input {row} holds NaN or infinity: leave it out or repair it")
        norms = np.empty(len(values))
        for start in range(0, len(values), 1024):  # In float64, without a copy of everything.
            part = values[start : start + 1024].astype(np.float64)
            scale = np.where(scales[start : start + 1024] > 0, scales[start : start + 1024], 1)
            norms[start : start + 1024] = scale * np.linalg.norm(part / scale[:, None], axis=1)
        return cls(values, norms)

    def __len__(self) -> int:
        return len(self.norms)

    def __getitem__(self, rows: slice | Sequence[int] | NDArray[Any]) -> "Inputs":
        return Inputs(self.values[rows], self.norms[rows])

    @property
    def size(self) -> int:
        """Numbers in an input."""
        return self.values.shape[1]

    @cached_property
    def unit(self) -> Float[Array, "n d"]:
        """All at length 1, float32 on the device; those of length 0 stay 0."""
        inverse = 1 / np.where(self.norms > 0, self.norms, 1)
        return jax.device_put(
            self.values.astype(np.float32, copy=False) * inverse[:, None].astype(np.float32)
        )

    def exact_unit(self) -> Float[np.ndarray, "n d"]:
        """The same in float64, on the host, computed anew every time."""
        return self.values / np.where(self.norms > 0, self.norms, 1)[:, None]


def deficits(a: Inputs, b: Inputs, dtype: str) -> Float[np.ndarray | Array, "n m"]:
    """Deficits of the correlations between inputs; of one object, with itself.

    On an accelerator from a float64 Gram matrix; there, angles below 1e-8 are not resolved.
    """
    if not on_cpu():
        with jax.enable_x64(True):
            return _gram(a.exact_unit(), b.exact_unit()).astype(dtype)
    gram = dtype
    found = _on_host(a, b, gram)
    near = np.abs(found) < NEAR[gram]
    if gram == "float32" and np.count_nonzero(near) > NEAR_PAIRS * near.size:
        gram = "float64"
        found = _on_host(a, b, gram)
        near = np.abs(found) < NEAR[gram]
    if a is b:
        np.fill_diagonal(near, False)
        np.fill_diagonal(found, SMALLEST)
    rows, columns = np.nonzero(near)
    step = max(1, GATHERED // a.size)
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        sign = np.where(found[i, j] < 0, -1, 1)
        apart = a[i].exact_unit() - sign[:, None] * b[j].exact_unit()
        found[i, j] = sign * np.maximum(np.square(apart).sum(1) / 2, SMALLEST)
    return found.astype(dtype, copy=False)


def on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _on_host(a: Inputs, b: Inputs, dtype: str) -> NDArray[Any]:
    if dtype == "float32":
        return np.array(_gram(a.unit, b.unit))
    with jax.enable_x64(True):
        return np.array(_gram(a.exact_unit(), b.exact_unit()))


@jax.jit
def _gram(a: Array, b: Array) -> Array:
    # On a GPU float32 products would be TF32.
    correlation = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    size = jnp.clip(1 - jnp.abs(correlation), SMALLEST, 1)
    return jnp.where(correlation < 0, -size, size)
