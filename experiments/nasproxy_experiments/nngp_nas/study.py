"""What the experiments share: cells, their truth, shortened training, and scores by the kernels.

With published truth the cells are drawn uniformly from those whose shortened training is published,
and scored on CIFAR-10; without, a few cells are scored and trained on scikit-learn's digits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from nasproxy import NNGP, Training, metrics
from nasproxy.checks import checked
from nasproxy.data import Dataset
from nasproxy.named import data_of
from nasproxy.proxies import NTK
from nasproxy.reproduce.pool import Pool, Scored, joined
from nasproxy.reproduce.scores import Request, Setting, spelled
from nasproxy.reproduce.suites import RANKED, Options
from nasproxy.settings import describe
from nasproxy.space import SearchSpace
from nasproxy.truth import tables
from nasproxy_experiments.nngp_nas.published import Published, read_published
from search_spaces import NASBench101

WIDTH = 16
"""Stem channels of the networks that are run; 128 is the benchmark's."""
PAPER, NTK_PAPER = NNGP.presets["paper"], NTK.presets["paper"]
"""Settings that requests change; presets stay what they are."""

RECIPE: dict[str, Any] = {
    "batch": 32,
    "learning_rate": 0.02,
    "weight_decay": 1e-4,
    "momentum": 0.9,
    "augment": None,
    "trials": 1,
    "until": None,
}
"""Of few images: small batches and a low rate."""
SHORTENED = Request(spelled(Training, RECIPE, epochs=(1, 2, 4), width=WIDTH), cells=10**6)
TRUTH = Request(spelled(Training, RECIPE, epochs=8, width=WIDTH), 10**6, seed=1)
"""Shortened training and truth where none is published; they share neither weights nor batches."""


@dataclass(eq=False)
class Study(Scored):
    """See :mod:`nasproxy.reproduce.suites`.

    Attributes:
        name: the folder of results.
        pool: the cells and their scores.
        published: truth and shortened training; None where they are trained here.
        requests: named scores.
    """

    name: str
    pool: Pool
    published: Published | None
    requests: Mapping[str, Request]

    trained: ClassVar[tuple[Request, ...]] = (TRUTH, SHORTENED)

    @property
    def published_truth(self) -> pd.Series | None:
        return None if self.published is None else self.published.truth

    def close(self) -> None:
        self.pool.store.close()

    @property
    def cells(self) -> Mapping[str, Any]:
        """The draw, by module hash."""
        return self.pool.architectures

    @property
    def space(self) -> SearchSpace:
        return self.pool.space

    @property
    def images(self) -> Dataset:
        return self.pool.images

    @property
    def sizes(self) -> pd.DataFrame:
        """Trainable parameters and forward FLOPs of each cell at the benchmark's width."""
        return self.pool.sizes

    def curves(self, need: str) -> dict[Setting, pd.DataFrame]:
        """Validation accuracy for every ε, ``[cells, regularisers]``, by setting."""
        return self.pool.curves(self.requests[need])

    @cached_property
    def shortened(self) -> pd.DataFrame:
        """Validation accuracy of one trial of shortened training; a column a budget in epochs."""
        if self.published is not None:
            return self.published.shortened
        frame = self.pool.frame(SHORTENED)
        budgets = SHORTENED.proxy.epochs
        columns = [*(f"training[epochs={e}]" for e in budgets[:-1]), "training"]
        return frame[columns].set_axis(list(budgets), axis="columns").dropna()

    @cached_property
    def population(self) -> dict[int, float]:
        """Kendall's τ of shortened training over all cells that have it, by epochs.

        Of 20,001 published cells it is known to ±.007; of a few hundred that happen to be drawn it
        is off by as much as the differences that claims are about.
        """
        known = tables.known(self.shortened.index, self.truth)
        truth = self.truth.reindex(known).to_numpy(float)
        return {
            epochs: metrics.kendall_tau(self.shortened[epochs].reindex(known), truth)
            for epochs in self.budgets
        }

    @property
    def budgets(self) -> list[int]:
        """Epochs of shortened training, ascending."""
        return sorted(map(int, self.shortened.columns))

    @property
    def known(self) -> pd.DataFrame:
        """Shortened training and sizes, by key."""
        short = self.shortened.add_suffix(" epochs").rename(columns=str)
        return self.sizes.join(short, how="left")

    def training_cost(self, epochs: int) -> float:
        """FLOPs of one shortened training and validation, mean over cells (equation 5)."""
        if self.published is None:
            forward, n_train = self.pool.forward(WIDTH), len(self.images.train_labels)
            n_valid = len(self.images.valid_labels)
        else:
            forward, n_train, n_valid = self.pool.forward(self.space.width), 40_000, 10_000
        return forward * (3 * epochs * n_train + n_valid)

    def joined(self, *scores: pd.Series) -> tuple[np.ndarray, ...]:
        """The scores' and the truth's values on the cells that have them all; the truth last."""
        return joined(self.truth, *scores)

    def describe(self, needs: Sequence[str]) -> list[str]:
        truth = (
            "truth is mean test accuracy after 108 epochs (three trials); shortened training is "
            "the published validation accuracy of one trial"
            if self.published is not None
            else f"truth is {describe(TRUTH.proxy, 'training', full=False)}, seed {TRUTH.seed}, "
            f"and shortened training {describe(SHORTENED.proxy, 'training', full=False)}, both "
            "trained here"
        )
        return [
            f"Cells: {self.pool.drawn}. Data: {self.images.name}; {truth}. Brackets hold 95 % "
            "bootstrap intervals over cells unless said otherwise.",
            "",
            *(self.pool.line(need, self.requests[need]) for need in needs),
            "",
        ]


FULL_CELLS, SMALL_CELLS, QUICK_CELLS = 5000, 40, 15
MOMENTA = (0.997, 0.99, 0.9, 0.5, 0.0)


def full_scale(cells: int) -> dict[str, Request]:
    """Scores on CIFAR-10: many cells by a small kernel, fewer by dear ones."""

    def nngp(first: int, seed: int = 0, sampler: str | None = None, **settings: Any) -> Request:
        defaults: dict[str, Any] = {"ensemble": 1, "norm_images": 16, "width": WIDTH}
        proxy = spelled(NNGP, PAPER, **(defaults | settings))
        return Request(proxy, min(first, cells), seed, sampler)

    small: dict[str, Any] = {"n_train": 100, "n_valid": 100}
    pair: dict[str, Any] = small | {"ensemble": 2}
    ntk = spelled(NTK, NTK_PAPER, **small, ensemble=1, norm_images=16, width=WIDTH)
    train_sizes = (100, 200, 500, 1000, 2000, 4000, 8000)
    return {
        "many": nngp(cells, n_train=(100, 200), n_valid=100, ensemble=(1, 2, 4)),
        "images": nngp(200, n_train=train_sizes, n_valid=(100, 500)),
        "members": nngp(200, n_train=(100, 200, 1000), n_valid=(100, 200), ensemble=(1, 2, 4, 8)),
        "ntk": Request(ntk, min(300, cells)),
        "ntk of all logits": Request(replace(ntk, output="trace"), min(30, cells)),
        "nngp": nngp(300, **small),
        "wide": nngp(200, **small, width=128),
        "narrow": nngp(200, **small),
        "narrow again": nngp(200, **small, seed=1),
        **{f"momentum {m:g}": nngp(250, **pair, momentum=m, norm_images=64) for m in MOMENTA},
        **_momentum_causes(lambda first, **changes: nngp(first, **(pair | changes))),
        **_variations(lambda **changes: nngp(250, **(pair | changes))),
    }


def small_scale(cells: int) -> dict[str, Request]:
    """Scores on digits, or for a rehearsal, in minutes."""

    def nngp(seed: int = 0, sampler: str | None = None, **settings: Any) -> Request:
        defaults: dict[str, Any] = {"ensemble": 1, "norm_images": 64, "width": WIDTH}
        return Request(spelled(NNGP, PAPER, **(defaults | settings)), cells, seed, sampler)

    small: dict[str, Any] = {"n_train": 100, "n_valid": 100}
    pair: dict[str, Any] = small | {"ensemble": 2}
    ntk = spelled(NTK, NTK_PAPER, **small, ensemble=1, norm_images=64, width=WIDTH)
    return {
        "many": nngp(n_train=(50, 100, 200), n_valid=200, ensemble=(1, 2, 4)),
        "images": nngp(n_train=(50, 100, 200, 500, 1000), n_valid=(100, 250)),
        "members": nngp(n_train=(50, 100), n_valid=100, ensemble=(1, 2, 4, 8)),
        "ntk": Request(ntk, cells),
        "ntk of all logits": Request(replace(ntk, output="trace"), min(20, cells)),
        "nngp": nngp(**small),
        "wide": nngp(**small, width=64),
        "narrow": nngp(**small),
        "narrow again": nngp(**small, seed=1),
        **{f"momentum {m:g}": nngp(**pair, momentum=m) for m in MOMENTA},
        **_momentum_causes(lambda _, **changes: nngp(**(pair | changes))),
        **_variations(lambda **changes: nngp(**(pair | changes))),
    }


def _momentum_causes(nngp: Any) -> dict[str, Request]:
    """Momentum 0 and .997 with more images in the pass, to train on, or channels."""
    changes: dict[str, tuple[int, dict[str, Any]]] = {
        "512 images in the pass": (120, {"norm_images": 512}),
        "500 training images": (120, {"norm_images": 64, "n_train": 500}),
        "width 64": (40, {"norm_images": 64, "width": 64}),
    }
    return {
        f"momentum {m:g}, {label}": nngp(first, momentum=m, **settings)
        for label, (first, settings) in changes.items()
        for m in (0.997, 0.0)
    }


def _variations(nngp: Any) -> dict[str, Request]:
    """The same small score with one thing changed."""
    return {
        "baseline": nngp(),
        "other seed": nngp(seed=1),
        "four members": nngp(ensemble=4),
        "400 training images": nngp(n_train=400),
        "500 validation images": nngp(n_valid=500),
        "128 batch-norm images": nngp(norm_images=128),
        "not balanced": nngp(balanced=False),
        "notebook's order": nngp(balanced=False, valid_from="train"),
        "no batch-norm pass": nngp(momentum=1.0),
        "half the width": nngp(width=WIDTH // 2),
        "twice the width": nngp(width=WIDTH * 2),
        "random matrices": nngp(sampler="random_matrix"),
    }


def prepare(options: Options) -> Study:
    """The study that the options describe.

    Raises:
        SettingError, DataError, TruthError, StoreError: before anything is computed.
    """
    space = NASBench101()
    checked("nngp_nas", "cells", options.cells, RANKED)
    published = None
    if options.truth is None:
        name = options.folder("nngp_nas_embedded")
        images = data_of(options.data or "digits", options.data_dir)
        n_cells = options.cells or (QUICK_CELLS if options.quick else SMALL_CELLS)
        drawn = f"uniform, n={n_cells}, seed={options.seed}"
        cells = {space.key(cell): cell for cell in space.sample(n_cells, options.seed)}
        requests = small_scale(n_cells)
    else:
        name = options.folder("nngp_nas")
        published = read_published(options.truth)
        images = data_of(options.data or "cifar10", options.data_dir)
        n_cells = options.cells or (SMALL_CELLS if options.quick else FULL_CELLS)
        keys = published.draw(n_cells, options.seed)
        drawn = (
            f"uniform among the {len(published.shortened):,} with published shortened training, "
            f"n={n_cells}, seed={options.seed}"
        )
        cells = {key: space.find(key) for key in keys}
        requests = (small_scale if options.quick else full_scale)(n_cells)
    pool = Pool(space, cells, images, options.opened(name), drawn, options.progress)
    return Study(name, pool, published, requests)
