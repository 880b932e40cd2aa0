"""Kernel functions of neural-tangents, as our solvers and blocks call kernels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from nasproxy.arrays import numbers
from nasproxy.checks import OneOf, Whole, check
from nasproxy.errors import DataError, SettingError


@dataclass(frozen=True)
class Stax:
    """A kernel of neural-tangents, called with arrays; see :func:`stax`.

    Attributes:
        kernel_fn: ``kernel_fn(x1, x2, get)``, the third that ``stax.serial`` gives.
        kind: ``ntk`` or ``nngp``.
        batch: inputs of a side that go through the network at once.
        dtype: what it is computed in.
    """

    kernel_fn: Callable[..., Any]
    kind: str = "ntk"
    batch: int = 32
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not callable(self.kernel_fn):
            raise SettingError(
                f"kernel_fn={self.kernel_fn!r} of stax: give the kernel function, the third of "
                "what neural_tangents.stax.serial gives"
            )
        check(
            "stax",
            self,
            kind=OneOf("ntk", "nngp"),
            batch=Whole(1, hint="memory grows with its square"),
            dtype=OneOf("float32", "float64"),
        )

    def prepare(self, x: ArrayLike) -> Float[np.ndarray, "n ..."]:
        """Inputs ``[n, ...]`` in the kernel's dtype.

        Raises:
            DataError: nothing is there, or something is not finite.
        """
        found = numbers(x, "inputs").astype(self.dtype)
        if found.ndim < 2 or 0 in found.shape:
            raise DataError(f"inputs of shape {list(found.shape)}: give [n, d] or [n, h, w, c]")
        if not np.isfinite(found).all():
            row = int(np.argwhere(~np.isfinite(found))[0, 0])
            raise DataError(
                f"input {row} holds NaN or infinity in {self.dtype}: leave it out or repair it"
            )
        return found

    def __call__(self, x1: ArrayLike, x2: ArrayLike | None = None) -> Float[np.ndarray, "n m"]:
        """The block ``[n, m]``; without ``x2`` of ``x1`` with itself, the upper half computed."""
        a = self.prepare(x1)
        b = a if x2 is None else self.prepare(x2)
        if a.shape[1:] != b.shape[1:]:
            raise DataError(
                f"inputs of shapes {list(a.shape[1:])} and {list(b.shape[1:])} have no kernel "
                "between them: give inputs of one shape"
            )
        out = np.empty((len(a), len(b)), self.dtype)
        for i in range(0, len(a), self.batch):
            for j in range(0 if x2 is not None else i, len(b), self.batch):
                rows, columns = slice(i, i + self.batch), slice(j, j + self.batch)
                # A block with itself keeps the exact diagonal that neural-tangents gives it.
                alone = x2 is None and i == j
                block = self._block(a[rows], None if alone else b[columns])
                out[rows, columns] = block
                if x2 is None:
                    out[columns, rows] = block.T
        return out

    def diagonal(self, x: ArrayLike) -> Float[np.ndarray, " n"]:
        """k(x, x) of each input, ``[n]``."""
        found = self.prepare(x)
        return np.concatenate([self._block(row[None], None)[0] for row in found])

    def _block(self, a: Any, b: Any) -> np.ndarray:
        with (
            jax.enable_x64(self.dtype == "float64"),
            jax.numpy_dtype_promotion("standard"),
            jax.numpy_rank_promotion("allow"),
        ):
            return np.asarray(self.kernel_fn(a, b, get=self.kind))


def stax(
    kernel_fn: Callable[..., Any], kind: str = "ntk", *, batch: int = 32, dtype: str = "float32"
) -> Stax:
    """A kernel function of ``neural_tangents.stax`` as a kernel, say of ``KernelRidge(kernel=…)``.

    Args:
        kernel_fn: the third of what ``stax.serial(…)`` gives, as it is or as
            ``jax.jit(kernel_fn, static_argnames="get")``: compiled it is faster, but some
            convolutional ones crash XLA on CPUs in float64. :func:`neural_tangents.load
            <nasproxy.kernels.neural_tangents.load>` imports the library without TensorFlow.
        kind: ``ntk`` or ``nngp``.
        batch: inputs of a side at once; convolutional networks with pooling need few.
        dtype: ``float32`` or ``float64``.

    Raises:
        SettingError: an argument is none of these.
    """
    return Stax(kernel_fn, kind, batch, dtype)
