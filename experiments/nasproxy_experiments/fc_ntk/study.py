"""What the experiments share: images, depths, and the scores of kernels and networks by depth."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from nasproxy import Store, Training
from nasproxy.data import Dataset, from_arrays
from nasproxy.errors import SettingError
from nasproxy.named import data_of
from nasproxy.proxies import InfiniteWidth
from nasproxy.reproduce.plan import Planned
from nasproxy.reproduce.pool import Pool
from nasproxy.reproduce.scores import Request, spelled
from nasproxy.reproduce.suites import Options
from nasproxy.reproduce.words import listed
from nasproxy.settings import describe
from search_spaces import FullyConnectedNetworks

DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200)
BEST_DEPTHS = (3, 5)
"""Those that kernels are best at with few images, tried with all."""
WIDTHS = (64, 128)
DEEPEST_TRAINED = 50
"""Deeper networks take hours on two processors and, without batch norm, do not train."""
EPOCHS, MOST_EPOCHS = 5, 15
"""Of the short training, and in which networks must fit 80 % of the training images."""
STEPS_WIDTH, PASSES = 128, 6
"""Of networks on all images: six passes over CIFAR-10's 40,000 (10,000 validate) are 7,500 steps of
32, five over all 50,000 would be 7,812."""
LOSSES = ("squared", "cross_entropy")
NAMES = {"squared": "squared loss", "cross_entropy": "cross-entropy"}
"""Of losses, in sentences."""
SEEDS = (0, 1, 2)
POINTS, VALID = 5000, 5000
"""Training images where the user names no number, and validation images, if there are so many."""
QUICK_POINTS, QUICK_DEPTHS = 500, 4
"""Training images and depths of a rehearsal."""
STOP = 0.99
"""Training accuracy at which the paper stops its kernels."""
SOLVER_EPOCHS = 400
"""After which preconditioned descent ends that has not come to ``STOP``."""
PAPERS_DATA = "cifar10"
"""Results on other data have a folder of their own."""
REGRESSION: dict[str, Any] = {
    "kind": "ntk",
    "solver": "ridge",
    "loss": "squared",
    "top": 100,
    "subsample": None,
    "batch": None,
    "epochs": 100,
    "train_accuracy": None,
    "tolerance": 1e-2,
    "ridge": 0.0,
    "weight_variance": 2.0,
    "bias_variance": 0.01,
    "balanced": False,
    "valid_from": "valid",
    "measure": "accuracy",
    "regularisers": None,
}
RECIPE: dict[str, Any] = {
    "batch": 32,
    "learning_rate": 0.01,
    "weight_decay": 1e-4,
    "momentum": 0.9,
    "augment": False,
    "trials": 1,
}
"""Of kernels and of networks: all settings that requests do not vary."""


@dataclass(eq=False)
class Study:
    """See :mod:`nasproxy.reproduce.suites`.

    Attributes:
        name: the folder of results.
        pools: the depth grid, for kernels under ``kernel`` and for networks by their width, and on
            all images under ``whole`` and ``steps``.
        requests: named scores: the pool, and what is asked of it.
        tops: k, the numbers of damped eigenvalues.
    """

    name: str
    pools: Mapping[str, Pool]
    requests: Mapping[str, tuple[str, Request]]
    tops: tuple[int, ...]

    ranked: ClassVar[None] = None  # A grid of depths is no sample.

    def close(self) -> None:
        next(iter(self.pools.values())).store.close()

    def plan(self, needs: Sequence[str], shard: tuple[int, int]) -> list[Planned]:
        found = []
        for label in (label for need in needs for label in self.group(need)):
            pool, request = self.requests[label]
            found.append(self.pools[pool].plan(label, request, shard))
        return found

    def compute(self, needs: Sequence[str], shard: tuple[int, int]) -> None:
        for need in needs:
            for label in self.group(need):
                pool, request = self.requests[label]
                self.pools[pool].frame(request, shard)

    def group(self, need: str) -> list[str]:
        """Names of the requests that a need stands for."""
        return [label for label in self.requests if label == need or label.startswith(f"{need} ")]

    def size(self, label: str) -> tuple[int, int]:
        """Training and validation images of an EigenPro request."""
        proxy = self.requests[label][1].proxy
        return proxy.n_train, proxy.n_valid

    def frame(self, label: str) -> pd.DataFrame:
        """Scores of one request by depth."""
        pool, request = self.requests[label]
        frame = self.pools[pool].frame(request)
        depths = [network.depth for network in self.pools[pool].architectures.values()]
        return frame.set_axis(pd.Index(depths[: len(frame)], name="depth"))

    def direct(self, kind: str) -> dict[int, pd.Series]:
        """Accuracy by depth of the direct solve with the best ε, by number of training images."""
        label = f"direct {kind}"
        frame = self.frame(label)
        sizes, n_valid = self.requests[label][1].proxy.n_train, len(self.images.valid_labels)
        columns = {n: f"infinite_width[n_train={n},n_valid={n_valid},ensemble=1]" for n in sizes}
        columns[max(sizes)] = "infinite_width"
        return {n: frame[column] for n, column in columns.items()}

    @cached_property
    def images(self) -> Dataset:
        """Training images as many as the study has points, class-balanced, and validation."""
        return self.pools["kernel"].images

    @property
    def points(self) -> int:
        return len(self.images.train_labels)

    def describe(self, needs: Sequence[str]) -> list[str]:
        labels = [label for need in needs for label in self.group(need)]
        used = {"kernel", *(self.requests[label][0] for label in labels)}
        sizes = "; ".join(
            f"{images.name}, {len(images.train_labels):,} training and "
            f"{len(images.valid_labels):,} validation images, {drawn}"
            for name, images, drawn in (
                ("kernel", self.images, "class-balanced subsets"),
                ("whole", self.pools["whole"].images, "all there are"),
                ("steps", self.pools["steps"].images, "all there are"),
            )
            if name in used
        )
        return [
            f"Data: {sizes}; standardised by channel. Depths are hidden layers; a linear readout "
            "follows. Kernels: ReLU, σ_w² = 2, σ_b² = .01.",
            "",
            *map(self._line, labels),
            "",
        ]

    def _line(self, label: str) -> str:
        """A request in words, a Markdown item."""
        pool, request = self.requests[label]
        networks = list(self.pools[pool].architectures.values())[: request.cells]
        depths = listed(network.depth for network in networks)
        settings = describe(request.proxy, request.proxy.name, full=False)
        images = self.pools[pool].images.name
        return f"- `{label}`: depths {depths} on {images}, `{settings}`, seed {request.seed}"


def prepare(options: Options) -> Study:
    """The study that the options describe.

    Raises:
        SettingError, DataError, StoreError: before anything is computed.
    """
    if options.truth is not None:
        raise SettingError("fc_ntk has no published truth: leave --truth out")
    embedded = options.data is None and options.data_dir is None
    wanted_data = options.data or ("digits" if embedded else PAPERS_DATA)
    source = data_of(wanted_data, options.data_dir)
    kind = "embedded" if embedded else wanted_data.partition(":")[0].replace("/", "_")
    name = options.folder("fc_ntk" if kind == PAPERS_DATA else f"fc_ntk_{kind}")
    wanted = options.points or (QUICK_POINTS if options.quick else None)
    images = _subset(source, wanted, options.seed)
    points = len(images.train_labels)
    store = options.opened(name)
    depths = DEPTHS[: options.cells or (QUICK_DEPTHS if options.quick else None)]
    pools = {
        str(key): _pool(width, depths, images, store, options.progress)
        for key, width in (("kernel", 512), *((w, w) for w in WIDTHS))
    }
    pools["whole"] = _pool(512, BEST_DEPTHS, source, store, options.progress)
    pools["steps"] = _pool(STEPS_WIDTH, depths, source, store, options.progress)
    tops = tuple(min(top, points * top // 5000) for top in (350, 500, 700))
    requests = _requests(len(depths), points, images, tops)
    requests |= {f"whole {loss}": ("whole", _whole(source, loss, tops[1])) for loss in LOSSES}
    return Study(name, pools, requests, tops)


def _whole(source: Dataset, loss: str, top: int) -> Request:
    """All images; minibatches, as the spectrum suggests."""
    proxy = spelled(
        InfiniteWidth,
        REGRESSION,
        solver="eigenpro",
        loss=loss,
        top=top,
        n_train=len(source.train_labels),
        n_valid=len(source.valid_labels),
        train_accuracy=STOP,
        tolerance=0.0,
        epochs=SOLVER_EPOCHS,
    )
    return Request(proxy, len(BEST_DEPTHS))


def _pool(width: int, depths: Sequence[int], images: Dataset, store: Store, shown: bool) -> Pool:
    space = FullyConnectedNetworks(width=width)
    networks = space.grid(depth=depths)
    keyed = {space.key(network): network for network in networks}
    return Pool(space, keyed, images, store, f"depth {depths}", shown)


def _subset(source: Dataset, points: int | None, seed: int) -> Dataset:
    """A data set of balanced subsets, standardised as the whole is."""
    shown = {}
    for split, wanted in (("train", points), ("valid", VALID)):
        most = len(source.balanced_order(split, seed))
        if wanted is not None and split == "train" and wanted > most:
            raise SettingError(f"points={wanted}: {source.name} has {most} class-balanced ones")
        shown[split] = source.subset(split, min(wanted or POINTS, most), seed)
    channels = source.image_shape[2]
    return from_arrays(
        *shown["train"],
        *shown["valid"],
        name=f"{source.name}-{len(shown['train'][1])}",
        mean=np.zeros(channels),
        std=np.ones(channels),
    )


def _requests(
    n: int, points: int, images: Dataset, tops: tuple[int, ...]
) -> dict[str, tuple[str, Request]]:
    n_valid = len(images.valid_labels)
    sizes = {"n_train": points, "n_valid": n_valid}
    requests: dict[str, tuple[str, Request]] = {}
    for loss in LOSSES:
        for top in tops:
            proxy = spelled(
                InfiniteWidth,
                REGRESSION,
                solver="eigenpro",
                loss=loss,
                top=top,
                subsample=min(points, 2000),
                train_accuracy=STOP,
                tolerance=0.0,
                epochs=SOLVER_EPOCHS,
                **sizes,
            )
            requests[f"eigenpro {loss} {top}"] = "kernel", Request(proxy, n)
    nested = tuple(s for s in (500, 1000, 2000, 5000, 10000) if s < points)
    direct = spelled(InfiniteWidth, REGRESSION, n_train=(*nested, points), n_valid=n_valid)
    requests["direct ntk"] = "kernel", Request(direct, n)
    # Its solves cost as much again and say nearly the same: the second largest size is enough.
    fewer = dataclasses.replace(direct, kind="nngp", n_train=nested or (points,))
    requests["direct nngp"] = "kernel", Request(fewer, n)
    n_trained = sum(depth <= DEEPEST_TRAINED for depth in DEPTHS[:n])
    for width in WIDTHS:
        for seed in SEEDS:
            requests[f"epochs {width} {seed}"] = (
                str(width),
                Request(spelled(Training, RECIPE, epochs=EPOCHS, until=None), n_trained, seed),
            )
            requests[f"fitted {width} {seed}"] = (
                str(width),
                Request(spelled(Training, RECIPE, epochs=MOST_EPOCHS, until=0.8), n_trained, seed),
            )
    for seed in SEEDS:
        longer = spelled(Training, RECIPE, epochs=PASSES, until=None)
        requests[f"steps {seed}"] = "steps", Request(longer, n_trained, seed)
    return requests
