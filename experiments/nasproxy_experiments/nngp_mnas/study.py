"""What the experiments share: three benchmarks, each with its draw, images, truth and scores."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from nasproxy import NNGP, Store, Training, data
from nasproxy.checks import checked
from nasproxy.data import Dataset, from_arrays
from nasproxy.errors import SettingError, TruthError
from nasproxy.named import data_settings
from nasproxy.reproduce.plan import Planned
from nasproxy.reproduce.pool import Pool, Scored
from nasproxy.reproduce.scores import Request, spelled
from nasproxy.reproduce.suites import RANKED, Options
from nasproxy.space import SearchSpace
from nasproxy.truth import tables
from nasproxy_experiments.nngp_nas.study import RECIPE
from search_spaces import AccelNASBench, NASBench201, NASBenchMacro

ACCEL, MACRO, TOPOLOGY = "accel_nasbench", "nasbench_macro", "nasbench201"
QUICK_CELLS = 20
"""Architectures of a rehearsal, of each benchmark."""
TARGET_RANGE = "The target is the table's median latency: the paper's 75 ms is a phone's."


@dataclass(frozen=True)
class Columns:
    """Where a benchmark's truth is.

    Attributes:
        table: file of the folder that ``--truth`` names.
        accuracy: columns whose mean is the truth, in the table's unit.
        unit: 100 for percent.
        latency: column of milliseconds, if there is one.
        repeats: a table's file and its columns of single trainings, if there is one.
        said: what the truth is, in words.
    """

    table: str
    accuracy: tuple[str, ...]
    unit: float
    said: str
    latency: str | None = None
    repeats: tuple[str, tuple[str, ...]] | None = None


COLUMNS = {
    ACCEL: Columns(
        "accel_nasbench.parquet",
        ("imagenet_top1",),
        1.0,
        "ImageNet top-1 after 16 epochs of proxy training, one seed (nine networks stand in the "
        "table twice: their means)",
        "latency_zcu102_latency_mean",
        ("accel_nasbench_seeds.parquet", tuple(f"proxified_seed{i}_top1" for i in (1, 2, 3))),
    ),
    MACRO: Columns(
        "nasbench_macro.parquet",
        tuple(f"test_accuracy_seed{i}" for i in range(3)),
        100.0,
        "CIFAR-10 test accuracy, mean of three seeds",
        repeats=("nasbench_macro.parquet", tuple(f"test_accuracy_seed{i}" for i in range(3))),
    ),
    TOPOLOGY: Columns(
        "nasbench201.parquet",
        ("test_cifar10",),
        100.0,
        "CIFAR-10 test accuracy",
        repeats=(
            "nasbench201_seeds.parquet",
            ("cifar10_valid_200ep_seed777", "cifar10_valid_200ep_seed888"),
        ),
    ),
}
PAPER = NNGP.presets["paper"]
SEEDS = (2, 3, 4)
"""Of the large scores; the others have 0 and 1."""
LARGE: dict[str, dict[str, Any]] = {
    ACCEL: {"n_train": 1000, "n_valid": 5000, "ensemble": (1, 4)},
    MACRO: {"n_train": 1000, "n_valid": 500, "ensemble": (1, 4)},
    TOPOLOGY: {"n_train": 1000, "n_valid": 500, "ensemble": (1, 4)},
}
LARGE_FRACTION = 0.34
"""Of 15,000 training images, to validate on: 5,000 and no fewer."""
LARGE_CELLS = 300
FEWEST_REPEATED = 10
"""Drawn networks that were trained several times, of which a ceiling is known."""
TRUTH = Request(spelled(Training, RECIPE, epochs=4), 10**6, seed=1)
"""Truth where none is published."""


@dataclass(eq=False)
class Benchmark(Scored):
    """One space with its draw and its truth.

    Attributes:
        name: of the space.
        pool: the draw and its scores.
        published: accuracies by key, from 0 to 1; None where networks are trained here.
        latency: milliseconds by key, where a table has them.
        said: the truth in words.
        requests: named scores; the first is the main one.
        others: pools of requests whose images are others.
        repeats: accuracies of single trainings, ``[networks, trainings]``, of the drawn networks
            if any of them was trained twice.
    """

    name: str
    pool: Pool
    published: pd.Series | None
    latency: pd.Series | None
    said: str
    requests: Mapping[str, Request]
    others: Mapping[str, Pool] = dataclasses.field(default_factory=dict)
    repeats: pd.DataFrame | None = None

    trained: ClassVar[tuple[Request, ...]] = (TRUTH,)

    @property
    def published_truth(self) -> pd.Series | None:
        return self.published

    def pool_of(self, need: str) -> Pool:
        return self.others.get(need, self.pool)

    @property
    def known(self) -> pd.DataFrame:
        """Sizes, and latency where a table has it, by key."""
        if self.latency is None:
            return self.pool.sizes
        return self.pool.sizes.join(self.latency.rename("latency"), how="left")

    def frame(self, label: str) -> pd.DataFrame:
        return self.pool_of(label).frame(self.requests[label])

    def describe(self, labels: Sequence[str]) -> list[str]:
        lines = [
            f"- {self.name}: {self.pool.drawn}, on {self.pool.images.name} at "
            f"{self.pool.images.image_shape[0]}×{self.pool.images.image_shape[1]} pixels; truth is "
            f"{self.said}."
        ]
        for label in labels:
            pool = self.pool_of(label)
            images = "" if pool is self.pool else f", on {pool.images.name}"
            lines.append(f"  {pool.line(label, self.requests[label])}{images}")
        return lines


@dataclass(eq=False)
class Study:
    """See :mod:`nasproxy.reproduce.suites`; needs are ``benchmark/request``."""

    name: str
    benchmarks: Mapping[str, Benchmark]

    def close(self) -> None:
        next(iter(self.benchmarks.values())).pool.store.close()

    def raw(self, need: str) -> pd.DataFrame:
        name, _, label = need.partition("/")
        return self.benchmarks[name].raw(label)

    @property
    def ranked(self) -> int:
        return min(benchmark.ranked for benchmark in self.benchmarks.values())

    def plan(self, needs: Sequence[str], shard: tuple[int, int]) -> list[Planned]:
        return [
            one._replace(need=f"{name}/{one.need}")
            for name, labels in _grouped(needs).items()
            for one in self.benchmarks[name].plan(labels, shard)
        ]

    def compute(self, needs: Sequence[str], shard: tuple[int, int]) -> None:
        for name, labels in _grouped(needs).items():
            self.benchmarks[name].compute(labels, shard)

    def describe(self, needs: Sequence[str]) -> list[str]:
        groups = _grouped(needs).items()
        lines = [line for name, labels in groups for line in self.benchmarks[name].describe(labels)]
        return [*lines, "", "Brackets hold 95 % bootstrap intervals over architectures.", ""]


def _grouped(needs: Sequence[str]) -> dict[str, list[str]]:
    """Labels of requests by benchmark."""
    groups: dict[str, list[str]] = {}
    for need in needs:
        name, _, label = need.partition("/")
        groups.setdefault(name, []).append(label)
    return groups


def prepare(options: Options) -> Study:
    """The study that the options describe.

    Raises:
        SettingError, DataError, TruthError, StoreError: before anything is computed.
    """
    checked("nngp_mnas", "cells", options.cells, RANKED)
    if options.data is not None and options.truth is None:
        raise SettingError(
            f"--data {options.data} comes with --truth: without published accuracies, networks are "
            "trained on embedded digits"
        )
    name = options.folder("nngp_mnas" if options.truth else "nngp_mnas_embedded")
    store = options.opened(name)
    make = _published if options.truth else _embedded
    return Study(name, {b: make(b, options, store) for b in (ACCEL, MACRO, TOPOLOGY)})


SPACES: dict[str, Any] = {
    ACCEL: AccelNASBench(),
    MACRO: NASBenchMacro(),
    TOPOLOGY: NASBench201(),
}


def _published(name: str, options: Options, store: Store) -> Benchmark:
    """On the images that are meant, with the tables' accuracies as truth."""
    assert options.truth is not None
    space, columns = SPACES[name], COLUMNS[name]
    accuracy, latency = _read(options.truth / columns.table, space, columns)
    usual = 300 if name == ACCEL else 500
    n = options.cells or (QUICK_CELLS if options.quick else usual)
    if n > len(accuracy):
        raise SettingError(f"cells={n}: the table of {name} has {len(accuracy)}")
    keys = pd.Series(sorted(accuracy.index)).sample(frac=1, random_state=options.seed)[:n]
    architectures = {key: space.find(key) for key in keys}
    drawn = f"uniform from the table's {len(accuracy):,}, n={n}, seed={options.seed}"
    others: dict[str, Pool] = {}
    if name == ACCEL:
        images, fewer, small, larger = _imagenet_like(options)
        sizes: dict[str, Any] = {"n_valid": 250, "norm_images": 16, "width": 16}
        nngp = spelled(NNGP, PAPER, n_train=(200, 500), ensemble=(1, 2), **sizes)
        request = Request(nngp, n)
        few = Request(spelled(NNGP, PAPER, n_train=250, ensemble=1, **sizes), n)
        short = Request(spelled(Training, RECIPE, epochs=3, width=16), min(30, n))
        requests = {"nngp": request, "nngp, 10 labels": few, "training": short}
        requests |= _limits(request, min(200, n), n_train=(500, 2000), n_valid=1000)
        requests |= _members(request, min(120, n), n_train=500, n_valid=500, ensemble=(1, 4, 16))
        pool = Pool(space, architectures, images, store, drawn, options.progress)
        others = {
            label: Pool(space, architectures, other, store, drawn, options.progress)
            for label, other in (
                ("nngp, 10 labels", fewer),
                ("training", small),
                *((of_seed(seed), larger) for seed in SEEDS),
            )
        }
    else:
        images = data.load("cifar10", data_dir=options.data_dir)
        sizes = {"n_train": (100, 200), "n_valid": 100, "ensemble": (1, 2), "norm_images": 16}
        request = Request(spelled(NNGP, PAPER, **sizes, width=16), n)
        first = min(150 if name == MACRO else 100, n)
        more = {"n_train": (200, 1000), "n_valid": 500, "ensemble": (1, 4)}
        requests = {"nngp": request} | _limits(request, first, **more)
        members = {"n_train": 200, "n_valid": 200, "ensemble": (1, 4, 16, 32)}
        requests |= _members(request, min(150 if name == MACRO else 120, n), **members)
        pool = Pool(space, architectures, images, store, drawn, options.progress)
    requests |= _by_seeds(request, min(LARGE_CELLS, n), **({} if options.quick else LARGE[name]))
    repeats = _repeats(options.truth, space, columns, keys)
    return Benchmark(name, pool, accuracy, latency, columns.said, requests, others, repeats)


def _embedded(name: str, options: Options, store: Store) -> Benchmark:
    """On enlarged digits, with a short training as truth."""
    space = SPACES[name]
    n = options.cells or (10 if options.quick else 20)
    digits = data.load("digits")
    train = _enlarged(*digits.subset("train", 400, 0))
    valid = _enlarged(*digits.subset("valid", 400, 0))
    images = from_arrays(*train, *valid, name="digits-32")
    keyed = {space.key(a): a for a in space.sample(n, options.seed)}
    drawn = f"uniform, n={n}, seed={options.seed}"
    narrow: SearchSpace = dataclasses.replace(space, width=16)
    sizes: dict[str, Any] = {"n_train": (50, 100), "n_valid": 100, "ensemble": (1, 2)}
    nngp = spelled(NNGP, PAPER, **sizes, norm_images=32)
    request = Request(dataclasses.replace(nngp, width=16), n)
    requests = {"nngp": request} | _limits(request, n, n_train=(100, 300), n_valid=200)
    requests |= _members(request, n, ensemble=(1, 4, 8))
    requests |= _by_seeds(request, n)
    others: dict[str, Pool] = {}
    if name == ACCEL:
        requests["nngp, 10 labels"] = Request(dataclasses.replace(nngp, n_train=200, width=16), n)
        requests["training"] = Request(spelled(Training, RECIPE, epochs=2), n)
    pool = Pool(narrow, keyed, images, store, drawn, options.progress)
    said = "accuracy after 4 epochs of training here, at width 16"
    return Benchmark(name, pool, None, None, said, requests, others)


def _limits(request: Request, first: int, **more: Any) -> dict[str, Request]:
    """The first few again: with other images and weights, and with more of them."""
    again = dataclasses.replace(request, cells=first, seed=request.seed + 1)
    larger = dataclasses.replace(request.proxy, **more)
    return {"again": again, "more": dataclasses.replace(again, proxy=larger, seed=request.seed)}


def _members(request: Request, first: int, **sizes: Any) -> dict[str, Request]:
    """Ever more draws of the same networks."""
    proxy = dataclasses.replace(request.proxy, **sizes)
    return {"members": dataclasses.replace(request, proxy=proxy, cells=first)}


def of_seed(seed: int) -> str:
    """What the large scores of a seed are called."""
    return f"seed {seed}"


def _by_seeds(request: Request, first: int, **sizes: Any) -> dict[str, Request]:
    """The first few by several seeds, each with images and weights of its own."""
    proxy = dataclasses.replace(request.proxy, **sizes)
    return {of_seed(seed): Request(proxy, first, seed) for seed in SEEDS}


def _repeats(
    truth: Path, space: Any, columns: Columns, drawn: Iterable[str]
) -> pd.DataFrame | None:
    """Single trainings of the drawn networks, of all that there are if none of them has several."""
    if columns.repeats is None or not (truth / columns.repeats[0]).is_file():
        return None
    file, names = columns.repeats
    read = {name: tables.read(truth / file, name, spaces=[space], average=True) for name in names}
    frame = pd.DataFrame(read).dropna()
    own = frame.loc[frame.index.intersection(list(drawn))]
    return own if len(own) >= FEWEST_REPEATED else frame


def _enlarged(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel four by four: mobile networks halve images five times."""
    return images.repeat(4, axis=1).repeat(4, axis=2), labels


def _imagenet_like(options: Options) -> tuple[Dataset, Dataset, Dataset, Dataset]:
    """The set that ``--data`` names; ten of its labels; these at 32×32; more to validate on."""
    text = options.data or "tiny_imagenet100"
    name, settings = data_settings(text)
    few = settings | {"labels": 10}
    try:
        whole, fewer, small = (
            data.load(name, data_dir=options.data_dir, **chosen)
            for chosen in (settings, few, few | {"resolution": 32})
        )
        larger = whole
        if whole.valid_fraction is not None and len(whole.valid_labels) < LARGE[ACCEL]["n_valid"]:
            fraction: Any = max(LARGE_FRACTION, whole.valid_fraction)
            more = settings | {"valid_fraction": fraction}
            larger = data.load(name, data_dir=options.data_dir, **more)
    except SettingError as error:
        raise SettingError(
            f"--data {text}: {error} (nngp_mnas also scores on ten of its labels, and on these at "
            "32×32 pixels)"
        ) from error
    return whole, fewer, small, larger


def _read(path: Path, space: Any, columns: Columns) -> tuple[pd.Series, pd.Series | None]:
    if not path.is_file():
        raise TruthError(
            f"there is no {path}: --truth names a folder with "
            f"{', '.join(c.table for c in COLUMNS.values())}"
        )

    def column(name: str) -> pd.Series:
        """Nine of Accel-NASBench's networks were trained twice: their means."""
        return tables.read(path, name, spaces=[space], average=True)

    read = [column(name) for name in columns.accuracy]
    accuracy = sum(read[1:], read[0]) / len(read) / columns.unit
    latency = column(columns.latency) if columns.latency else None
    return accuracy, latency
