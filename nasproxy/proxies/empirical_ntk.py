"""Validation accuracy of the empirical NTK, and what else its kernel says of a network."""

import math
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from nasproxy.checks import OneOf, check
from nasproxy.data import Dataset
from nasproxy.kernels import empirical_ntk, measures
from nasproxy.kernels.empirical_ntk import OUTPUTS
from nasproxy.networks.features import BatchNorm
from nasproxy.networks.graph import Graph
from nasproxy.proxies import ensemble, kernel_regression
from nasproxy.proxies.base import Card, NoScore, Score, Scorer
from nasproxy.proxies.kernel_regression import (
    ACCURACY,
    COLAB,
    FLOPS,
    NETWORKS,
    PAPER,
    Fit,
    Problem,
    Regularisers,
    Sizes,
)
from nasproxy.settings import UNSAID
from nasproxy.solvers.cholesky import by_kernel
from nasproxy.space import SearchSpace

RESOLUTION = float(np.finfo(np.float32).eps)
"""Of the kernel's small eigenvalues, relative to their mean; usually it is finer."""


@dataclass(frozen=True)
class NTK:
    """The best validation accuracy, over regularisers, of the NTK of networks drawn at random.

    :class:`~nasproxy.proxies.nngp.NNGP` with another kernel of the same networks, on the same
    images: all that is said there of sizes, columns and ties holds here. Further columns come of
    the kernel of the training images at the largest sizes, all written so that larger should mean
    better, the sign of their source:

    ``negative_log_condition``: minus log₁₀ of the condition number, which Chen et al. (2021,
    TE-NAS) want small; ``log_trace``: log₁₀ of the mean of the diagonal, the trace norm of Shu et
    al. (2022, NASI), who want it large; ``alignment``: of the centred kernel with the labels
    (Cortes et al. 2012; Mok et al. 2022 rank by a like one).

    Attributes:
        n_train: training images, n_t.
        n_valid: validation images, n_v.
        ensemble: networks whose kernels are averaged, M.
        width: channels of the stem; None for the space's.
        momentum: of batch norm, see :class:`~nasproxy.networks.features.BatchNorm`.
        norm_images: images of the batch-norm pass.
        balanced: whether subsets are class-balanced.
        valid_from: ``valid``, or ``train`` for the training split's images after n_train.
        output: ``sum``, ``logit`` or ``trace``, see :func:`nasproxy.kernels.empirical_ntk.ntk`.
        measure, solver, regularisers: see :class:`~nasproxy.proxies.nngp.NNGP`.
    """

    n_train: Sizes = 512
    n_valid: Sizes = 512
    ensemble: Sizes = 1
    width: int | None = None
    momentum: float = 0.997
    norm_images: int = 128
    balanced: bool = True
    valid_from: str = "valid"
    output: str = "sum"
    measure: str = field(default=ACCURACY, metadata={UNSAID: ACCURACY})
    solver: str = field(default="auto", metadata={UNSAID: "auto"})
    regularisers: Regularisers = None

    name: ClassVar[str] = "ntk"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in",
        "512 + 512, labels",
        "inference, after one batch",
        "1,024·3 F, products and solves",
        "Jacot et al. 2018",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": PAPER | NETWORKS | {"output": "sum"},
        "colab": COLAB | NETWORKS | {"output": "sum"},
    }

    def __post_init__(self) -> None:
        kernel_regression.check(self)
        check(self.name, self, output=OneOf(*OUTPUTS))

    def _norm(self) -> BatchNorm:
        return BatchNorm(self.momentum, images=self.norm_images)

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        norm = self._norm()
        return ensemble.scorer(
            self,
            space,
            data,
            seed,
            split=empirical_ntk.split,
            member=lambda network, batches, batch, n_train: empirical_ntk.ntk(
                network, batches, n_train, batch, norm, self.output
            ),
            judge=self._judged,
        )

    def _judged(
        self, graph: Graph, members: list[Float64[np.ndarray, "n n_t"]], problem: Problem
    ) -> Score:
        n_train = len(problem.targets)
        classes, n_valid = problem.targets.shape[1], len(problem.valid_labels)
        kernels = np.stack(members)[:, : n_train + n_valid]

        @cache
        def fit(some: int, networks: int) -> Fit:
            for kernel in kernels[:networks]:
                _check_kernel(kernel[:, :some])
            kernel = kernels[:networks, :, :some].mean(0)
            tried = kernel_regression.epsilons(self.regularisers)
            targets = problem.targets[:some]
            return by_kernel(kernel[:some], targets, tried, self.solver), kernel[n_train:]

        judged = kernel_regression.judge(
            problem,
            fit,
            partial(flops, graph, classes, output=self.output, regularisers=self.regularisers),
            n_train=self.n_train,
            n_valid=self.n_valid,
            ensemble=self.ensemble,
            measure=self.measure,
            resolution=RESOLUTION,
            regularisers=self.regularisers,
        )
        sweep, _ = fit(n_train, len(members))
        kernel = kernels[:, :n_train].mean(0)
        own = {
            "negative_log_condition": -math.log10(measures.condition(sweep.spectrum)),
            "log_trace": math.log10(np.trace(kernel) / n_train),
            "alignment": measures.alignment(kernel, problem.targets),
        }
        info = judged.info
        charged = _charged(graph, classes, n_train, len(members), self.output)
        flops_of = info.get(FLOPS, {}) | {c: f for c, f in charged.items() if f != judged.flops}
        return replace(judged, columns=judged.columns | own, info=info | {FLOPS: flops_of})


def _check_kernel(kernel: Float64[np.ndarray, "n n_t"]) -> None:
    """Raises NoScore for a kernel that overflows, vanishes, or is a constant.

    A constant is that of a network whose units all died: gradients of the last biases are left.
    """
    if not np.isfinite(kernel).all():
        raise NoScore("the kernel overflows: some gradients or their products are not finite")
    if not kernel.any():
        raise NoScore("the kernel vanishes: no parameter moves the outputs")
    if not np.ptp(kernel) > 1e-6 * np.abs(kernel).max():
        raise NoScore("the kernel is the same for all pairs of images, up to float32's rounding")


def flops(
    graph: Graph,
    classes: int,
    n_train: int,
    n_valid: int,
    ensemble: int,
    output: str,
    regularisers: Regularisers = None,
) -> float:
    """Operations of kernels and solves, counted as Park et al. 2020 count the NNGP's and training.

    A forward pass costs F, a backward pass 2F and is made for every output; gradients stand in the
    features' place.
    """
    images, pairs = n_train + n_valid, n_train * (n_train + n_valid)
    solves = kernel_regression.solve_flops(n_train, n_valid, classes, regularisers)
    return ensemble * _entries(graph, classes, images, pairs, output) + solves


def _entries(graph: Graph, classes: int, images: int, pairs: int, output: str) -> float:
    """Operations of so many entries of one network's kernel, of so many images."""
    outputs = classes if output == "trace" else 1
    passes = (1 + 2 * outputs) * graph.flops * images
    return float(passes + 2 * outputs * graph.parameters * pairs)


def _charged(
    graph: Graph, classes: int, n_train: int, ensemble: int, output: str
) -> dict[str, float]:
    """Operations of the columns that need no regression, and no validation image.

    Eigenvalues alone take 4n³/3 (Golub and Van Loan 2013, section 8.3.1), the trace no more than
    the diagonal of a kernel, and an alignment a product with the labels.
    """
    square = ensemble * _entries(graph, classes, n_train, n_train**2, output)
    return {
        "negative_log_condition": square + 4 * n_train**3 / 3,
        "log_trace": ensemble * _entries(graph, classes, n_train, n_train, output),
        "alignment": square + 2.0 * n_train**2 * classes,
    }
