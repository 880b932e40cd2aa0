"""Validation accuracy of the Monte-Carlo NNGP (Park et al. 2020, algorithm 1)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, TypeAlias

import jax
import numpy as np
from numpy.typing import NDArray

from nasproxy.data import Dataset
from nasproxy.data.dataset import Labels, Subset
from nasproxy.errors import SettingError
from nasproxy.kernels import monte_carlo
from nasproxy.kernels.monte_carlo import BatchNorm
from nasproxy.proxies.base import Score, Scorer
from nasproxy.solvers.ridge import RidgeSweep
from search_spaces import SearchSpace
from search_spaces.graph import Graph

REGULARISERS = np.logspace(-7, 2, 20)
"""ε of the paper, as fractions of the kernel's mean eigenvalue."""

Sizes: TypeAlias = int | tuple[int, ...]


@dataclass(frozen=True)
class NNGP:
    """The best validation accuracy, over regularisers, of the NNGP of networks drawn at random.

    Several sizes may be asked for at once (``n_train=(100, 200, 400)``): one set of features serves
    them all, because subsets and ensembles are nested. The value is that of the largest; every
    other combination has a column of its own. (With ``valid_from="train"``, or batch norm in
    training mode, other sizes on their own would meet other validation images or batches.)

    Two further measures come out of the same factorisation, each a column: ``loo_accuracy``, the
    leave-one-out accuracy over the training images, which needs no validation images; and
    ``negative_mse``, minus the smallest mean squared error on the validation images, which does not
    tie.

    Accuracies are multiples of 1/n_valid, so architectures tie. Ties are kept as they are: rank
    correlations count them for neither side, and discovered performance takes the mean over their
    orders. ``info`` keeps the accuracy for every ε; of several with the best accuracy the largest
    is reported. The best is an optimistic estimate, as it is chosen on the same images.

    Attributes:
        n_train: training images, n_t.
        n_valid: validation images, n_v.
        ensemble: networks whose kernels are averaged, M.
        width: channels of the stem; None for the space's.
        momentum: of batch norm, see :class:`~nasproxy.kernels.monte_carlo.BatchNorm`.
        batch_norm: ``inference`` or ``training``, likewise.
        norm_images: images of the batch-norm pass.
        balanced: whether subsets are class-balanced.
        valid_from: ``valid``, or ``train`` for the training split's images after n_train.
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

    name: ClassVar[str] = "nngp"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {},
        "colab": {
            "n_train": 100,
            "n_valid": 200,
            "ensemble": 2,
            "balanced": False,
            "valid_from": "train",
        },
    }
    """Settings of the paper, and of its notebook, whose subsets come out of one shuffled training
    split, not balanced."""

    def __post_init__(self) -> None:
        for field in ("n_train", "n_valid", "ensemble"):
            sizes = _sizes(getattr(self, field))
            if not sizes or any(not isinstance(s, int) or s < 1 for s in sizes):
                raise SettingError(
                    f"{field}={getattr(self, field)!r} of nngp: give whole numbers of at least 1, "
                    "several as 100/200/400"
                )
        if self.valid_from not in ("valid", "train"):
            raise SettingError(f"valid_from={self.valid_from!r} of nngp: choose valid or train")
        if not isinstance(self.balanced, bool):
            raise SettingError(f"balanced={self.balanced!r} of nngp: choose true or false")
        self._norm()

    def _norm(self) -> BatchNorm:
        return BatchNorm(self.momentum, self.batch_norm, self.norm_images)

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        norm = self._norm()
        n_train, n_valid = max(_sizes(self.n_train)), max(_sizes(self.n_valid))
        images, y_train, y_valid = self._subsets(data, n_train, n_valid, seed)
        norm_batch = jax.device_put(self._norm_batch(data, seed))
        targets = np.eye(data.classes)[y_train] - 1 / data.classes
        batches: dict[tuple[int, ...], Sequence[jax.Array]] = {}

        def score(architecture: object) -> Score:
            graph = space.graph(architecture, data.image_shape, data.classes)
            stem = graph.shapes[1]
            if stem not in batches:
                batches[stem] = monte_carlo.split(images, graph, norm)
            members = [
                monte_carlo.features(graph, batches[stem], norm_batch, norm, (seed, member))
                for member in range(max(_sizes(self.ensemble)))
            ]
            smallest = min(_sizes(self.n_train))
            if not all(np.isfinite(phi).all() and phi[:smallest].any() for phi in members):
                return Score(math.nan, flops=0.0)  # an accuracy at chance would hide it
            return self._solve(graph, members, targets, y_valid)

        return score

    def _subsets(
        self, data: Dataset, n_train: int, n_valid: int, seed: int
    ) -> tuple[Subset, Labels, Labels]:
        """Training, then validation images; the labels of either."""
        if self.valid_from == "valid":
            train, y_train = data.select("train", n_train, seed, self.balanced)
            valid, y_valid = data.select("valid", n_valid, seed, self.balanced)
            return train + valid, y_train, y_valid
        images, labels = data.select("train", n_train + n_valid, seed, self.balanced)
        # In a shuffled order the next n_valid images are as random as the notebook's last ones.
        return images, labels[:n_train], labels[n_train:]

    def _norm_batch(self, data: Dataset, seed: int) -> NDArray[np.float32]:
        size = min(self.norm_images, len(data.train_images))
        images, _ = data.subset("train", size, seed + 1, balanced=False)
        return images

    def _solve(
        self, graph: Graph, members: list[np.ndarray], targets: np.ndarray, labels: np.ndarray
    ) -> Score:
        n_trains, n_valids, ensembles = map(_sizes, (self.n_train, self.n_valid, self.ensemble))
        first_valid, n_classes = len(targets), targets.shape[1]
        curves: dict[tuple[int, int, int], NDArray[np.float64]] = {}
        columns: dict[str, float] = {}
        largest = max(n_trains), max(n_valids), max(ensembles)
        for n_train, ensemble in product(n_trains, ensembles):
            phi = np.concatenate(members[:ensemble], axis=1, dtype=np.float64) / math.sqrt(ensemble)
            fit = RidgeSweep(phi[:n_train], targets[:n_train])
            valid = fit.predict(phi[first_valid : first_valid + max(n_valids)], REGULARISERS)
            missed = np.square(valid - (np.eye(n_classes)[labels] - 1 / n_classes)).mean(-1)
            correct = valid.argmax(-1) == labels
            left_out = fit.leave_one_out(REGULARISERS).argmax(-1)
            expected = targets[:n_train].argmax(-1)
            for n_valid in n_valids:
                sizes = n_train, n_valid, ensemble
                curves[sizes] = correct[:, :n_valid].mean(1)
                measures = {
                    "": curves[sizes].max(),
                    "loo_accuracy": (left_out == expected).mean(1).max(),
                    "negative_mse": -missed[:, :n_valid].mean(1).min(),
                }
                prefix = "" if sizes == largest else _label(sizes)
                for measure, value in measures.items():
                    columns[",".join(filter(None, (prefix, measure)))] = float(value)
        value = columns.pop("")
        best = np.flatnonzero(curves[largest] == value)[-1]
        return Score(
            value,
            flops(graph, n_classes, *largest),
            columns,
            {
                "epsilon": float(REGULARISERS[best]),
                "accuracy": {_label(sizes): curve.tolist() for sizes, curve in curves.items()},
            },
        )


def _label(sizes: tuple[int, int, int]) -> str:
    n_train, n_valid, ensemble = sizes
    return f"n_train={n_train},n_valid={n_valid},ensemble={ensemble}"


def _sizes(sizes: Sizes) -> tuple[int, ...]:
    return sizes if isinstance(sizes, tuple) else (sizes,)


def flops(graph: Graph, classes: int, n_train: int, n_valid: int, ensemble: int) -> float:
    """Operations of kernels and solves as the paper counts them (equations 4, S1 and S2).

    The solves here cost less, see :mod:`nasproxy.solvers.ridge`; the paper's count keeps costs
    comparable with its figures.
    """
    images, r = n_train + n_valid, len(REGULARISERS)
    kernels = ensemble * (graph.flops * images + 2 * graph.features * n_train * images)
    solves = r * (n_train**3 / 3 + 2 * n_train**2 * classes + 2 * n_train * n_valid * classes)
    return float(kernels + solves)
