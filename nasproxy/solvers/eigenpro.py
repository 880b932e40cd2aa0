"""EigenPro: kernel machines of any number of points by preconditioned stochastic gradients.

Follows EigenPro 2 (Ma and Belkin 2019): eigenvectors from a fixed subsample, plain steps on each
batch's own coefficients, a correction of the subsample's. The public versions differ among
themselves in exponents, β and steps; this one differs from the paper in three places: the top
eigenvalues go exactly to the level of the next (exponent 1, as Bordelon et al. have it); that level
is measured on points outside the subsample; and a step beyond the critical batch takes 1.5 where Ma
and Belkin have 1.98, which leaves the damped directions a factor of −.98 a step in full batches.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from nasproxy.checks import whole
from nasproxy.errors import SettingError
from nasproxy.progress import bar
from nasproxy.solvers import checkpoint as checkpoints
from nasproxy.solvers.descent import Descent
from nasproxy.solvers.estimator import Kernel, KernelMachine
from nasproxy.solvers.losses import LOSSES
from nasproxy.solvers.preconditioner import default_subsample


@dataclass
class EigenPro(KernelMachine):
    """A kernel machine fitted by EigenPro, in scikit-learn's manners.

    Minimises Σ_i ℓ(f(x_i), y_i) + λ/2·|f|² over f = Σ_i α_i k(x_i, ·) (Bordelon et al., equation 1)
    with λ = ``ridge``·(mean of k(x, x)); at 0 it interpolates where it can. Of m points B and their
    gradient g = ∂ℓ/∂f(x_B) + λ α_B, an iteration is

        α_B −= η/m · g,        α_sub += η/m · E D Eᵀ K(sub, B) g,

    the functional gradient (their equations 7, 9 and 10, the sign of 10 and its step η put right).
    For cross-entropy, g = σ(f) − y; their equation 8 has another K in front, the gradient with
    respect to α, which squares the spectrum; fixed points are the same.

    Cross-entropy with ridge 0 has no finite minimiser on data that can be told apart: the stopping
    rule is then part of the result.

    For n points of d numbers and c classes, memory is 4·m·n bytes for a float32 batch's kernel rows
    (or 4·n² if ``memory`` allows to keep all), 8·s·k for eigenvectors, 8·n·c, and 12 to 16·n·d for
    copies of float32 inputs: in the batches' order, cut for the kernel's tiles, normalised. Before,
    12·s² and some 40·s·k while eigenvectors are found, 12·f·s + 20·f² while f ≤ 2,000 further
    points show what they leave, float64 for the most part. That is the paper's O(p·s + p·k), whose
    s is the batch, and O(p·d). With k = 500, no kernel kept, and compiled programs included, it is
    0.46 GiB beside 5,000 CIFAR-10 images and 0.71 beside 10,000. An epoch costs n² kernel entries
    unless they are kept, and 2·n²·c + 2·n·s·c + 4·(n/m)·s·k·c operations.

    Attributes:
        top: k, eigenvalues that are damped; 0 for plain gradient descent.
        subsample: s, points that eigenvectors come from; None for 5·top and no fewer than 2,000.
        loss: ``squared`` (on one-hot labels minus 1/c) or ``cross_entropy``.
        ridge: λ as a fraction of the mean of k(x, x).
        batch: m; None for the critical batch β/λ + 1, but no fewer than 256 points.
        step: η; None for what the spectrum allows.
        epochs: at most.
        train_accuracy: stop when an epoch classifies so many of the points rightly, each before
            its batch's step.
        tolerance: stop when |g| falls below this part of |g| at f = 0.
        patience: stop when |g| has not fallen by a thousandth for so many epochs.
        memory: GiB that the whole kernel matrix may take to be kept.
        seed: of the subsample, the batches and their order.

    After fitting, besides those of :class:`~nasproxy.solvers.estimator.KernelMachine`:
        history_: a row an epoch: ``epoch``, ``seconds``, ``loss`` (a point's mean), ``error``
            (share of labels missed), ``gradient`` (relative to that of f = 0), each batch measured
            before its step; ``iteration``, the steps that the last of them was measured after, 0 in
            the first epoch of full batches.
        stopped_: why: ``tolerance``, ``train_accuracy``, ``patience`` or ``epochs``.
        preconditioner_, batch_, step_: what was used.
    """

    top: int = 500
    subsample: int | None = None
    loss: str = "squared"
    ridge: float = 0.0
    batch: int | None = None
    step: float | None = None
    epochs: int = 100
    train_accuracy: float | None = None
    tolerance: float = 1e-3
    patience: int = 20
    memory: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise SettingError(f"loss={self.loss!r} of eigenpro: choose {' or '.join(LOSSES)}")
        for name, least in (("top", 0), ("epochs", 1), ("patience", 1), ("seed", 0)):
            self._whole(name, least)
        for name, least in (("subsample", 2), ("batch", 1)):
            if getattr(self, name) is not None:
                self._whole(name, least)
        for name in ("ridge", "tolerance", "memory"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingError(
                    f"{name}={getattr(self, name)!r} of eigenpro: give 0 or a positive number"
                )
        if self.step is not None and not 0 < self.step < math.inf:
            raise SettingError(f"step={self.step!r} of eigenpro: give a positive number, or none")
        if self.train_accuracy is not None and not 0 < self.train_accuracy <= 1:
            raise SettingError(
                f"train_accuracy={self.train_accuracy!r} of eigenpro: give a share such as 0.99"
            )

    def _whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        number = whole(value, least)
        if number is None:
            raise SettingError(
                f"{name}={value!r} of eigenpro: give a whole number of at least {least}"
            )
        setattr(self, name, number)

    def fit(
        self,
        kernel: Kernel,
        x: Any,
        y: ArrayLike,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        callback: Callable[[dict[str, float]], None] | None = None,
    ) -> Self:
        """Fits labels ``[n]``, or real targets ``[n, c]`` by the squared loss.

        Args:
            kernel: see :data:`~nasproxy.solvers.estimator.Kernel`.
            x: ``[n, ...]``, whatever the kernel takes; indices for a precomputed one.
            y: labels or targets.
            progress: show a bar of epochs.
            checkpoint: file that the state is kept in; a fit that finds it goes on from there, and
                ends in the same numbers as one that was never interrupted.
            callback: called with each row of the history.

        Raises:
            DataError: one class, NaN, or numbers that do not match.
            SettingError: sizes that do not fit the data, a checkpoint of another fit, or in no
                folder.
            DivergedError: the loss grows; says which step the spectrum allows.
        """
        if checkpoint is not None:
            checkpoints.check(Path(checkpoint))
        inputs, targets = self._take(kernel, x, y, centred=self.loss == "squared")
        if self.classes_ is None and self.loss != "squared":
            raise SettingError(
                "cross_entropy is for labels [n]; fit real targets by loss='squared'"
            )
        subsample = self._sizes(len(targets))
        order = np.random.default_rng((self.seed, 0)).permutation(len(targets))
        fit = Descent(self, kernel, inputs[order], targets[order], subsample)
        if checkpoint is not None:
            fit.resume(Path(checkpoint))
        fit.prepare()
        with bar("eigenpro", self.epochs, fit.epoch, shown=progress) as advance:
            while fit.stopped is None:
                fit.run_epoch()
                if checkpoint is not None:
                    fit.save(Path(checkpoint), force=fit.stopped is not None)
                if callback is not None:
                    callback(fit.history[-1])
                advance()
        self.coefficients_ = np.empty_like(fit.alpha)
        self.coefficients_[order] = fit.alpha
        self.history_, self.stopped_ = fit.history, fit.stopped
        assert fit.preconditioner is not None
        self.preconditioner_, self.batch_, self.step_ = fit.preconditioner, fit.batch, fit.step
        return self

    def _sizes(self, points: int) -> int:
        """The subsample's size, after checking all sizes against the number of points."""
        for name in ("batch", "subsample"):
            value = getattr(self, name)
            if value is not None and value > points:
                raise SettingError(
                    f"{name}={value} of eigenpro, but there are {points} points: "
                    f"give at most {points}, or leave it out"
                )
        subsample = self.subsample or default_subsample(points, self.top)
        if self.top >= subsample:
            raise SettingError(
                f"top={self.top} of eigenpro, but the subsample has {subsample} points: "
                f"give a top below that, or a larger subsample (there are {points} points)"
            )
        return subsample
