"""EigenPro: kernel machines of any number of points by preconditioned stochastic gradients.

Follows EigenPro 2 (Ma and Belkin 2019): eigenvectors from a fixed subsample, plain steps on each
batch's own coefficients, a correction of the subsample's. The public versions differ among
themselves in exponents, β and steps; this one differs from the paper in three places: the top
eigenvalues go exactly to the level of the next (exponent 1, as Bordelon et al. have it); that level
is measured on points outside the subsample; and a step beyond the critical batch takes 1.5 where Ma
and Belkin have 1.98, which leaves the damped directions a factor of −.98 a step in full batches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nasproxy.checks import OneOf, Optional, Real, Rule, Whole
from nasproxy.errors import SettingError
from nasproxy.kernels.memory import check_memory
from nasproxy.progress import bar
from nasproxy.solvers import checkpoint as checkpoints
from nasproxy.solvers.descent import Descent, Settings
from nasproxy.solvers.estimator import Classifier, KernelMachine, Regressor
from nasproxy.solvers.kernel import Kernel
from nasproxy.solvers.losses import LOSSES
from nasproxy.solvers.preconditioner import Matrix, default_subsample

MOST = 500
"""Eigenvalues that are damped where no number is given, and there are points enough."""


@dataclass(eq=False, repr=False)
class _Preconditioned(KernelMachine):
    top: int | None = None
    subsample: int | None = None
    ridge: float = 0.0
    batch: int | None = None
    step: float | None = None
    epochs: int = 100
    train_accuracy: float | None = None
    tolerance: float = 1e-3
    patience: int = 20
    memory: float = 4.0
    seed: int = 0

    rules: ClassVar[dict[str, Rule]] = {
        "top": Optional(Whole(0)),
        "subsample": Optional(Whole(2)),
        "ridge": Real(least=0),
        "batch": Optional(Whole(1)),
        "step": Optional(Real(above=0)),
        "epochs": Whole(1),
        "train_accuracy": Optional(Real(above=0, most=1, hint="a share such as 0.99")),
        "tolerance": Real(least=0),
        "patience": Whole(1),
        "memory": Real(least=0, hint="GiB"),
        "seed": Whole(0),
    }
    _loss = "squared"

    def _solve(
        self,
        kernel: Kernel,
        inputs: Any,
        targets: Matrix,
        *,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        callback: Callable[[dict[str, float]], None] | None = None,
    ) -> Matrix:
        if checkpoint is not None:
            checkpoints.check(Path(checkpoint))
        settings = self._settings(len(targets))
        kernel.check(inputs)
        order = np.random.default_rng((settings.seed, 0)).permutation(len(targets))
        fit = Descent(settings, kernel, inputs[order], targets[order])
        if checkpoint is not None:
            fit.resume(Path(checkpoint))
        fit.prepare()
        with bar("eigenpro", settings.epochs, fit.epoch, shown=progress) as advance:
            while fit.stopped is None:
                fit.run_epoch()
                if checkpoint is not None:
                    fit.save(Path(checkpoint), force=fit.stopped is not None)
                if callback is not None:
                    callback(fit.history[-1])
                advance()
        coefficients = np.empty_like(fit.alpha)
        coefficients[order] = fit.alpha
        self.history_, self.stopped_, self.n_iter_ = fit.history, fit.stopped, fit.epoch
        assert fit.preconditioner is not None
        self.preconditioner_, self.batch_, self.step_ = fit.preconditioner, fit.batch, fit.step
        return coefficients

    def check_points(self, points: int) -> None:
        """Raises SettingError for parameters that do not fit a number of points."""
        self._checked()
        self._settings(points)

    def _settings(self, points: int) -> Settings:
        """Every parameter as a number, after checking sizes against the number of points."""
        named = {name: self._setting(name) for name in self.rules}
        for name in ("batch", "subsample"):
            if named[name] is not None and named[name] > points:
                raise SettingError(
                    f"{name}={named[name]} of {type(self).__name__}, but there are {points} "
                    f"points: give at most {points}, or leave it out"
                )
        top = named.pop("top")
        subsample = named["subsample"] or default_subsample(points, MOST if top is None else top)
        if top is not None and top >= subsample:
            raise SettingError(
                f"top={top} of {type(self).__name__}, but the subsample has {subsample} points: "
                f"give a top below that, or a larger subsample (there are {points} points)"
            )
        named.pop("loss", None)
        check_memory(
            12 * subsample**2,
            f"the kernel of a subsample of {subsample:,} points",
            "a smaller subsample or top",
        )
        return Settings(
            **named
            | {
                "loss": self._loss,
                "subsample": subsample,
                "top": min(MOST, subsample // 2) if top is None else top,
                "automatic": top is None,
            }
        )


class EigenPro(Regressor, _Preconditioned):
    """A kernel machine fitted to real targets by EigenPro.

    ``fit`` takes ``progress=True`` for a bar of epochs; ``checkpoint=FILE``, which the state is
    kept in: a fit that finds it goes on from there, and ends in the same numbers as one that was
    never interrupted; and ``callback``, a function that is called with each row of the history. It
    raises DivergedError if the loss grows, and says which step the spectrum allows.

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
        kernel: see :class:`~nasproxy.solvers.estimator.KernelMachine`.
        top: k, eigenvalues that are damped; 0 for plain gradient descent; None for 500, or for as
            many as half of the subsample and its kernel's rank allow.
        subsample: s, points that eigenvectors come from; None for 5·top and no fewer than 2,000.
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

    - ``history_``: a row an epoch: ``epoch``, ``seconds``, ``loss`` (a point's mean), ``error``
      (share of labels missed), ``gradient`` (relative to that of f = 0), each batch measured
      before its step; ``iteration``, the steps that the last of them was measured after, 0 in
      the first epoch of full batches.
    - ``stopped_``: why: ``tolerance``, ``train_accuracy``, ``patience`` or ``epochs``.
    - ``preconditioner_``, ``batch_``, ``step_``: what was used.
    """


@dataclass(eq=False, repr=False)
class EigenProClassifier(Classifier, _Preconditioned):
    """:class:`EigenPro` on labels, by the squared loss or cross-entropy.

    Attributes:
        loss: ``squared``, on one-hot labels minus 1/classes, or ``cross_entropy``.
        kernel, top, subsample, ridge, batch, step, epochs, train_accuracy, tolerance, patience,
            memory, seed: as there.
    """

    loss: str = "squared"

    rules: ClassVar[dict[str, Rule]] = _Preconditioned.rules | {"loss": OneOf(*LOSSES)}

    @property
    def _loss(self) -> str:
        return self._setting("loss")

    def _centre(self, classes: int) -> float:
        return 1 / classes if self._loss == "squared" else 0.0
