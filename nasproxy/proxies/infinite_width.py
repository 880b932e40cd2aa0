"""Validation accuracy of the kernel that a network becomes as its width grows."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import psutil

from nasproxy.checks import OneOf, check
from nasproxy.data import Dataset
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels import CNNVec, FullyConnected
from nasproxy.kernels.fully_connected import RULES
from nasproxy.kernels.inputs import Inputs
from nasproxy.kernels.tiles import Pass
from nasproxy.proxies import kernel_regression
from nasproxy.proxies.base import Card, NoScore, Score, Scorer
from nasproxy.proxies.kernel_regression import ACCURACY, Fit, Problem, Regularisers, Sizes, sizes
from nasproxy.settings import UNSAID
from nasproxy.solvers.cholesky import by_kernel
from nasproxy.solvers.eigenpro import EigenProClassifier
from nasproxy.solvers.kernel import Precomputed
from nasproxy.space import SearchSpace

SOLVERS = ("ridge", "eigenpro", "cholesky", "eigen")
SHARED = 4 * 2**30
"""Bytes up to which kernels of several depths share a pass."""
FITTED = 1000
"""Training images that are looked at for whether a fit tells any apart."""
OPERATIONS = 50
"""About as many go into an entry and layer of a convolutional kernel, NTK and NNGP together."""
SINGLE = float(np.finfo(np.float32).eps)


@runtime_checkable
class Widening(Protocol):
    """A space whose networks have an analytic kernel at infinite width."""

    def infinite_width(self, architecture: Any) -> tuple[str, dict[str, Any]]:
        """``FullyConnected`` or ``CNNVec`` of :mod:`nasproxy.kernels`, and its settings."""
        ...


@dataclass(frozen=True)
class InfiniteWidth:
    """Validation accuracy of kernel regression with the kernel of an infinitely wide network.

    Kernels are analytic, NTK or NNGP: of fully-connected networks in float64, which deep ones need
    at the smallest regularisers, and of convolutional ones in float32, with a float64 diagonal.

    With ``solver=ridge``, the best over 20 regularisers, with the columns and the sizes of
    :class:`~nasproxy.proxies.nngp.NNGP`. With ``solver=eigenpro``, of one fit by
    :class:`~nasproxy.solvers.EigenPro` (Bordelon et al.), on float32 kernels; the columns
    ``train_accuracy``, ``epochs`` and ``fit_seconds`` (the kernel's own time left out) stand beside
    it. Fully-connected networks that come in the order of their depths share one pass through the
    layers, unless it would take more than 4 GiB and ``solver=eigenpro``: then, as of convolutional
    ones, each kernel is computed by itself, its time in ``fit_seconds``, and held if it takes up to
    a third of the machine's memory, otherwise computed again for every epoch.

    Attributes:
        kind: ``ntk`` or ``nngp``.
        solver: ``ridge`` or ``eigenpro``; ``cholesky`` and ``eigen`` are ``ridge`` by that
            factorisation, see :class:`~nasproxy.proxies.nngp.NNGP`.
        n_train: training images; several sizes at once with ``solver=ridge`` only.
        n_valid: validation images, likewise; 0 with ``solver=ridge`` only.
        loss, top, subsample, batch, epochs, train_accuracy, tolerance, ridge: EigenPro's; the ridge
            solver does not use them.
        weight_variance, bias_variance: of :class:`~nasproxy.kernels.FullyConnected`.
        balanced: whether subsets are class-balanced.
        valid_from: ``valid``, or ``train`` for the training split's images after n_train.
        measure: which of the measures is the score, see :class:`~nasproxy.proxies.nngp.NNGP`;
            ``eigenpro`` has accuracy alone.
        regularisers: of ``ridge``, see :class:`~nasproxy.proxies.nngp.NNGP`.
    """

    kind: str = "ntk"
    solver: str = "ridge"
    n_train: Sizes = 512
    n_valid: Sizes = 512
    loss: str = "squared"
    top: int = 100
    subsample: int | None = None
    batch: int | None = None
    epochs: int = 100
    train_accuracy: float | None = None
    tolerance: float = 1e-2
    ridge: float = 0.0
    weight_variance: float = 2.0
    bias_variance: float = 0.01
    balanced: bool = True
    valid_from: str = "valid"
    measure: str = field(default=ACCURACY, metadata={UNSAID: ACCURACY})
    regularisers: Regularisers = None

    name: ClassVar[str] = "infinite_width"
    card: ClassVar[Card] = Card(
        "none: infinitely wide",
        "as n_train, labels",
        "none",
        "kernels and solves",
        "Jacot et al. 2018",
    )
    undirected: ClassVar[tuple[str, ...]] = ("epochs", "fit_seconds")

    def __post_init__(self) -> None:
        kernel_regression.check(self, solver=OneOf(*SOLVERS))
        eigenpro = ("loss", "top", "subsample", "batch", "epochs", "train_accuracy", "tolerance")
        check(
            self.name,
            self,
            kind=OneOf("ntk", "nngp"),
            weight_variance=RULES["weight_variance"],
            bias_variance=RULES["bias_variance"],
            **{name: EigenProClassifier.rules[name] for name in (*eigenpro, "ridge")},
        )
        if self.solver == "eigenpro" and self.measure != ACCURACY:
            raise SettingError(
                f"measure={self.measure} of infinite_width comes of a factorisation: give "
                "solver=ridge, or measure=accuracy"
            )
        if self.solver == "eigenpro" and len(sizes(self.n_train) + sizes(self.n_valid)) > 2:
            raise SettingError(
                "several sizes of infinite_width at once need solver=ridge: give one n_train and "
                "one n_valid"
            )

    def _function(self, name: str, settings: dict[str, Any]) -> FullyConnected | CNNVec:
        variances: dict[str, Any] = {
            "weight_variance": self.weight_variance,
            "bias_variance": self.bias_variance,
        }
        if name == "CNNVec":
            return CNNVec(kind=self.kind, **settings, **variances)
        if name != "FullyConnected":
            raise SettingError(
                f"a space names the kernel {name!r} of infinite width: FullyConnected or CNNVec"
            )
        dtype = "float32" if self.solver == "eigenpro" else "float64"
        return FullyConnected(kind=self.kind, dtype=dtype, **settings, **variances)

    def _eigenpro(self, kernel: Any, seed: int) -> EigenProClassifier:
        return EigenProClassifier(
            kernel,
            top=self.top,
            subsample=self.subsample,
            loss=self.loss,
            ridge=self.ridge,
            batch=self.batch,
            epochs=self.epochs,
            train_accuracy=self.train_accuracy,
            tolerance=self.tolerance,
            memory=max(4.0, psutil.virtual_memory().total / 3 / 2**30),
            seed=seed,
        )

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        if not isinstance(space, Widening):
            raise SettingError(
                f"{space.name} has no analytic kernel: infinite_width scores fully_connected and "
                "convolutional; for other spaces there are the proxies nngp and ntk, of networks "
                "drawn at random"
            )
        problem = Problem.of(
            data,
            seed,
            n_train=self.n_train,
            n_valid=self.n_valid,
            balanced=self.balanced,
            valid_from=self.valid_from,
        )
        n_train = len(problem.targets)
        if self.solver == "eigenpro":
            self._eigenpro("ntk", seed).check_points(n_train)
        images = problem.images[:]
        shared: list[_Blocks] = []  # Of fully-connected networks, made ready once there is one.

        def score(architecture: Any) -> Score:
            function = self._function(*space.infinite_width(architecture))
            flops = partial(self._flops, function, data)
            each = flops(n_train, len(images) - n_train)
            if isinstance(function, CNNVec):
                if self.solver == "eigenpro":
                    return self._fitted(function, images, problem, seed, each)
                ready = function.prepare(images)
                train = np.asarray(function(ready[:n_train]), np.float64)
                valid = np.asarray(function(ready[n_train:], ready[:n_train]), np.float64)
            else:
                if not shared:
                    shared.append(_Blocks(function.prepare(images), n_train))
                inputs = shared[0].inputs
                # A pass keeps two float32 numbers a pair beside the kernel, which EigenPro copies.
                if self.solver == "eigenpro" and 16 * n_train * len(inputs) > SHARED:
                    return self._fitted(function, inputs, problem, seed, each)
                train, valid = shared[0](function)
            if self.solver == "eigenpro":
                kernel = Precomputed(np.concatenate([train, valid]))
                return self._fitted(kernel, np.arange(len(images)), problem, seed, each)

            def fit(some: int, ensemble: int) -> Fit:
                tried = kernel_regression.epsilons(self.regularisers)
                solver = "auto" if self.solver == "ridge" else self.solver
                targets = problem.targets[:some]
                return by_kernel(train[:some, :some], targets, tried, solver), valid[:, :some]

            return kernel_regression.judge(
                problem,
                fit,
                lambda train, valid, _: flops(train, valid),
                n_train=self.n_train,
                n_valid=self.n_valid,
                measure=self.measure,
                resolution=4 * SINGLE if function.dtype == "float32" else 0.0,
                regularisers=self.regularisers,
            )

        return score

    def _fitted(self, kernel: Any, inputs: Any, problem: Problem, seed: int, flops: float) -> Score:
        """Fits training inputs, and judges on those after them."""
        n_train = len(problem.targets)
        model = self._eigenpro(kernel, seed)
        try:
            model.fit(inputs[:n_train], problem.targets.argmax(1))
            fitted = model.decision_function(inputs[: min(n_train, FITTED)])
            scores = model.decision_function(inputs[n_train:])
        except (DataError, SettingError) as error:  # Of this depth's kernel: sizes were looked at.
            raise NoScore(str(error)) from error
        # What float32 leaves of a sum of so many products.
        largest = float(kernel.diagonal(inputs[:n_train]).max())
        rounding = 4 * SINGLE * largest * np.linalg.norm(model.dual_coef_)
        limit = np.array([rounding])
        kernel_regression.check_told(_by_class(fitted), _by_class(scores), limit, limit)
        predicted = model.classes_[_by_class(scores)[0].argmax(1)]
        last = model.history_[-1]
        return Score(
            float((predicted == problem.valid_labels).mean()),
            flops * len(model.history_),
            {
                "train_accuracy": 1 - last["error"],
                "epochs": len(model.history_),
                "fit_seconds": last["seconds"],
            },
            {"stopped": model.stopped_, "loss": last["loss"]},
        )

    def _flops(
        self, function: FullyConnected | CNNVec, data: Dataset, n_train: int, n_valid: int
    ) -> float:
        """Of the first kernel and the solves, or of one epoch.

        Layers of fully-connected networks cost little beside the products of images.
        """
        if self.solver == "eigenpro":
            return float(2 * n_train * n_train * data.classes)
        pair = 2 * int(np.prod(data.image_shape))
        if isinstance(function, CNNVec):
            pair += OPERATIONS * function.stack.entries(data.image_shape[0])
        kernels = pair * n_train * (n_train + n_valid)
        solves = kernel_regression.solve_flops(n_train, n_valid, data.classes, self.regularisers)
        return float(kernels + solves)


def _by_class(scores: np.ndarray) -> np.ndarray:
    """A decision function ``[m]`` of two classes, or ``[m, c]`` of more, as ``[1, m, c]``."""
    return (np.stack([-scores / 2, scores / 2], -1) if scores.ndim == 1 else scores)[None]


class _Blocks:
    """Kernels of training images, and of validation with training images, for one depth at a time.

    A depth beyond the last goes on from there; a smaller one, or another nonlinearity, begins anew.
    Without validation images there is no pass of them, and their block has no rows.
    """

    def __init__(self, inputs: Inputs, n_train: int) -> None:
        self.inputs = inputs
        self._train, self._valid = inputs[:n_train], inputs[n_train:]
        self._activation = ""
        self._passes: list[Pass] | None = None
        self._deepest = 0

    def __call__(self, function: FullyConnected) -> tuple[np.ndarray, np.ndarray]:
        passes, depth = self._passes, function.depth
        if (
            passes is None
            or function.activation != self._activation
            or not passes[0].depth <= depth <= self._deepest
        ):
            # Twice as deep as asked for, so that most grids need few passes.
            self._activation, self._deepest = function.activation, max(256, 2 * depth)
            passes = [function.start(self._train, None, self._deepest)]
            if len(self._valid):
                passes.append(function.start(self._valid, self._train, self._deepest))
            self._passes = passes
        try:
            train, *rest = (np.asarray(p.blocks(depth, (function.kind,))[0]) for p in passes)
        except SettingError as error:  # At this depth it leaves its dtype.
            raise NoScore(str(error)) from error
        return train, rest[0] if rest else train[:0]
