"""Gaussian processes: kernel ridge regression that says how sure it is."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, eigh, solve_triangular
from sklearn.utils.validation import check_is_fitted

from nasproxy.checks import Optional, Real, Rule, Whole, checked
from nasproxy.errors import SettingError
from nasproxy.kernels.memory import check_memory
from nasproxy.solvers.estimator import KernelMachine, Regressor
from nasproxy.solvers.iteration import Settings, solve
from nasproxy.solvers.iterative import ConjugateGradient
from nasproxy.solvers.kernel import Kernel, check_gram

Columns = Float64[np.ndarray, "_ _"]


@dataclass(eq=False, repr=False)
class _Process(KernelMachine):
    ridge: float = 1e-3
    amplitude: float | None = 1.0

    rules: ClassVar[dict[str, Rule]] = {
        "ridge": Real(above=0),
        "amplitude": Optional(Real(above=0)),
    }

    def _solve(self, kernel: Kernel, inputs: Any, targets: Columns) -> Columns:
        n, count = targets.shape
        check_memory(
            20 * n**2,
            f"a Gaussian process of {n:,} points",
            "fewer points, or take ConjugateGradient and deviations",
        )
        kernel.check(inputs)
        system = np.array(kernel(inputs), np.float64)
        check_gram(system)
        damping = self._setting("ridge") * system.diagonal().mean()
        system.flat[:: n + 1] += damping
        try:
            self._lower = cholesky(system, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            raise SettingError(
                f"ridge={self._setting('ridge'):g}: the kernel of {n} points is not positive "
                "definite; give a larger ridge, or compute the kernel in float64"
            ) from None
        alpha = cho_solve((self._lower, True), targets, check_finite=False)
        fits = (targets * alpha).sum(0)
        given = self._setting("amplitude")
        # Where none is given, what makes the targets likeliest.
        self.amplitude_ = given or max(float(fits.mean()) / n, np.finfo(float).tiny)
        self.noise_ = self.amplitude_ * damping
        volume = n * math.log(2 * math.pi * self.amplitude_)
        volume += 2 * np.log(self._lower.diagonal()).sum()
        self.log_marginal_likelihood_ = float(
            -(fits / self.amplitude_).sum() / 2 - count * volume / 2
        )
        return alpha


class GaussianProcess(Regressor, _Process):
    """Gaussian process regression by one Cholesky factorisation.

    Predictions are those of :class:`~nasproxy.solvers.KernelRidge`; f has the prior covariance
    s² K, targets a further s² λ of noise (Rasmussen and Williams 2006, algorithm 2.1). Targets
    share the covariance. With an NNGP kernel it is a Bayesian network of infinite width (Lee et al.
    2018). Memory 20 n² bytes.

    Attributes:
        kernel: see :class:`~nasproxy.solvers.estimator.KernelMachine`; deviations need one that can
            be called on new points, not ``"precomputed"``.
        ridge: λ as a fraction of the kernel's mean eigenvalue, positive.
        amplitude: s²; None for the one under which the targets are likeliest, Yᵀ(K + λI)⁻¹Y/n, mean
            over targets.

    After fitting: ``log_marginal_likelihood_``, summed over targets; ``amplitude_``, s²; and
    ``noise_``, s² λ.
    """

    def deviation(self, X: Any) -> Float64[np.ndarray, " m"]:
        """Of f at points, given the targets: the root of the posterior variance, ``[m]``."""
        x, half = self._half(X)
        left = self._kernel.diagonal(x) - np.square(half).sum(0)
        return np.sqrt(self.amplitude_ * np.maximum(left, 0))

    def covariance(self, X: Any) -> Float64[np.ndarray, "m m"]:
        """Of f at points with each other, given the targets."""
        x, half = self._half(X)
        own = np.array(self._kernel(x), np.float64)
        return self.amplitude_ * (own - half.T @ half)

    def sample(self, X: Any, count: int = 1, seed: int = 0) -> NDArray[np.float64]:
        """Functions drawn from the posterior, at points: joint ones, as Thompson sampling takes.

        Args:
            X: m points.
            count: functions.
            seed: of the draw.

        Returns:
            ``[count, m]``, or ``[count, m, c]`` of several targets.

        Raises:
            SettingError: count or seed are none.
        """
        count = checked("samples", "count", count, Whole(1))
        rng = np.random.default_rng(checked("samples", "seed", seed, Whole(0)))
        mean = self._values(X)
        values, vectors = eigh(self.covariance(X), check_finite=False)
        # Rounding leaves variances of points that are known slightly negative.
        root = vectors * np.sqrt(np.maximum(values, 0))
        drawn = mean + root @ rng.standard_normal((count, *mean.shape))
        return drawn[..., 0] if self._flat else drawn

    def _half(self, X: Any) -> tuple[Any, Columns]:
        """Points made ready, and L⁻¹ k(train, x)."""
        check_is_fitted(self, "dual_coef_")
        if isinstance(self.kernel, str) and self.kernel == "precomputed":
            raise SettingError(
                'kernel="precomputed" has no kernel of new points with themselves: give a kernel '
                "object, such as Precomputed of the whole matrix"
            )
        x = self._kernel.prepare(self._new_points(X))
        cross = np.asarray(self._kernel(x, self._inputs)).astype(np.float64)
        return x, solve_triangular(self._lower, cross.T, lower=True, check_finite=False)


def deviations(model: ConjugateGradient, X: Any) -> Float64[np.ndarray, " m"]:
    """Posterior deviations of f at points, by conjugate gradients: for more points than a matrix.

    Those of :class:`GaussianProcess` with amplitude 1, to the model's tolerance. A point is a
    right-hand side, and one product of the kernel an iteration serves all.

    Args:
        model: fitted, without missing labels.
        X: m points.

    Raises:
        SettingError: they take more memory than there is, 48·n·m bytes.
        DivergedError: as the model's ``fit``.
    """
    check_is_fitted(model, "dual_coef_")
    kernel, inputs = model._kernel, model._inputs
    x = kernel.prepare(model._new_points(X))
    check_memory(48 * len(x) * len(inputs), f"deviations of {len(x):,} points", "fewer at once")
    cross = np.asarray(kernel(inputs, x)).astype(np.float64)
    settings = Settings(**{name: model._setting(name) for name in model.rules if name != "ridge"})
    found = solve(kernel, inputs, cross, [model._setting("ridge")], settings)
    left = kernel.diagonal(x) - (cross * found.alpha[0]).sum(0)
    return np.sqrt(np.maximum(left, 0))
