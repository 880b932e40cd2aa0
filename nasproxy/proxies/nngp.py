"""Validation accuracy of the Monte-Carlo NNGP (Park et al. 2020, algorithm 1)."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32

from nasproxy.data import Dataset
from nasproxy.kernels import monte_carlo
from nasproxy.networks import features
from nasproxy.networks.features import BatchNorm
from nasproxy.networks.graph import Graph
from nasproxy.proxies import ensemble, kernel_regression
from nasproxy.proxies.base import Card, NoScore, Score, Scorer
from nasproxy.proxies.kernel_regression import (
    ACCURACY,
    COLAB,
    NETWORKS,
    PAPER,
    Fit,
    Problem,
    Regularisers,
    Sizes,
)
from nasproxy.settings import UNSAID
from nasproxy.solvers.cholesky import by_features
from nasproxy.space import SearchSpace

ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Relative differences of features up to which rounding alone explains them."""


@dataclass(frozen=True)
class NNGP:
    """How well the NNGP of networks drawn at random predicts: best accuracy over regularisers.

    Several sizes may be asked for at once (``n_train=(100, 200, 400)``): one set of features serves
    them all, because subsets and ensembles are nested. The value is that of the largest; every
    other combination has a column of its own. (With ``valid_from="train"``, or batch norm in
    training mode, other sizes on their own would meet other validation images or batches.)

    Further measures come out of the same factorisation, each a column, at its own best regulariser,
    larger being better. On the validation images: ``accuracy``, and ``negative_mse``, minus the
    mean squared error, which does not tie. On the training images, so that none need be run for
    validation (``n_valid=0``): ``loo_accuracy`` and ``negative_loo_mse``, accuracy and minus the
    squared error of leaving each image out; ``negative_gcv``, minus the generalised
    cross-validation error; ``log_evidence``, the log marginal likelihood of a Gaussian process, see
    :class:`~nasproxy.solvers.ridge.RidgeSweep`. On balanced subsets leave-one-out accuracy is
    biased downwards: to leave an image out makes its class the rarest.

    Accuracies are multiples of 1/n_valid, so architectures tie. Ties are kept as they are: rank
    correlations count them for neither side, and discovered performance takes the mean over their
    orders. ``info`` keeps the accuracy for every ε; of several with the best accuracy the largest
    is reported. The best is an optimistic estimate, as it is chosen on the same images.

    Attributes:
        n_train: training images, n_t.
        n_valid: validation images, n_v.
        ensemble: networks whose kernels are averaged, M.
        width: channels of the stem; None for the space's.
        momentum: of batch norm, see :class:`~nasproxy.networks.features.BatchNorm`.
        batch_norm: ``inference`` or ``training``, likewise.
        norm_images: images of the batch-norm pass.
        balanced: whether subsets are class-balanced.
        valid_from: ``valid``, or ``train`` for the training split's images after n_train.
        measure: which of the measures is the score; the others are columns.
        solver: ``eigen``, one eigendecomposition for all regularisers; ``cholesky``, a
            factorisation for each; ``auto``, the latter where it is faster, for three or fewer.
        regularisers: ε that are tried, as fractions of the kernel's mean eigenvalue; None for 20
            from 10⁻⁷ to 10².
    """

    n_train: Sizes = 512
    n_valid: Sizes = 512
    ensemble: Sizes = 1
    width: int | None = None
    momentum: float = 0.997
    batch_norm: str = "inference"
    norm_images: int = 128
    balanced: bool = True
    valid_from: str = "valid"
    measure: str = field(default=ACCURACY, metadata={UNSAID: ACCURACY})
    solver: str = field(default="auto", metadata={UNSAID: "auto"})
    regularisers: Regularisers = None

    name: ClassVar[str] = "nngp"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in",
        "512 + 512, labels",
        "inference, after one batch",
        "1,152 F and solves",
        "Park et al. 2020",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": PAPER | NETWORKS | {"batch_norm": "inference"},
        "colab": COLAB | NETWORKS | {"batch_norm": "inference"},
    }
    """Settings of the paper, and of its notebook."""

    def __post_init__(self) -> None:
        kernel_regression.check(self)

    def _norm(self) -> BatchNorm:
        return BatchNorm(self.momentum, self.batch_norm, self.norm_images)

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        norm = self._norm()
        return ensemble.scorer(
            self,
            space,
            data,
            seed,
            split=lambda images, graph: features.split(images, graph, norm),
            member=lambda network, batches, batch, _: features.features(
                network, batches, batch, norm
            ),
            judge=self._judged,
        )

    def _judged(
        self, graph: Graph, members: list[Float32[np.ndarray, "n d"]], problem: Problem
    ) -> Score:
        classes, n_train = problem.targets.shape[1], len(problem.targets)
        n_valid = len(problem.valid_labels)

        def fit(some: int, networks: int) -> Fit:
            for phi in members[:networks]:
                check_features(phi, some)
            phi = monte_carlo.stacked(members[:networks])
            valid = phi[n_train : n_train + n_valid]
            tried = kernel_regression.epsilons(self.regularisers)
            return by_features(phi[:some], valid, problem.targets[:some], tried, self.solver)

        return kernel_regression.judge(
            problem,
            fit,
            partial(flops, graph, classes, regularisers=self.regularisers),
            n_train=self.n_train,
            n_valid=self.n_valid,
            ensemble=self.ensemble,
            measure=self.measure,
            resolution=ROUNDING**2,
            regularisers=self.regularisers,
        )


def check_features(phi: Float[np.ndarray, "n d"], n_train: int) -> None:
    """Raises NoScore for features that overflow, vanish, or tell no training images apart."""
    if not np.isfinite(phi).all():
        raise NoScore("features overflow: some are not finite")
    if not phi[:n_train].any():
        raise NoScore("features vanish: they are 0 for all training images")
    if not tells_apart(phi[:n_train]):
        raise NoScore("features are the same for all training images, up to float32's rounding")


def tells_apart(phi: Float[np.ndarray, "n d"]) -> bool:
    """Whether features differ between images by more than float32 rounds them.

    Where every unit that reads the images has died, biases and zeros are left: the same features
    for all images, or differences of rounding, whose accuracy would be chance and look as if it
    were a score.
    """
    if not np.isfinite(phi).all():
        return False
    wide = phi.astype(np.float64)
    return bool(np.linalg.norm(wide - wide.mean(0)) > ROUNDING * np.linalg.norm(wide))


def flops(
    graph: Graph,
    classes: int,
    n_train: int,
    n_valid: int,
    ensemble: int,
    regularisers: Regularisers = None,
) -> float:
    """Operations of kernels and solves as the paper counts them (equations 4, S1 and S2)."""
    images = n_train + n_valid
    kernels = ensemble * (graph.flops * images + 2 * graph.features * n_train * images)
    solves = kernel_regression.solve_flops(n_train, n_valid, classes, regularisers)
    return float(kernels + solves)
