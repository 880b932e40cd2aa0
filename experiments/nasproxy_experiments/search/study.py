"""Pools of trained architectures, what their training cost, and their scores.

From each space ten disjoint pools of 100 architectures are drawn, uniformly among those whose
shortened training is published. All searches of a pool see the same 100, screened or not. The NNGP
scores of half of the pools are by one seed of images and weights, those of the others by another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.spatial.distance import cdist

from nasproxy import NNGP
from nasproxy.checks import checked
from nasproxy.errors import SettingError, TruthError
from nasproxy.named import data_of
from nasproxy.proxies import Counts
from nasproxy.reproduce.plan import Planned
from nasproxy.reproduce.pool import Pool
from nasproxy.reproduce.scores import Request, spelled
from nasproxy.reproduce.suites import RANKED, Options
from nasproxy.settings import describe
from nasproxy.space import SearchSpace
from nasproxy.truth import tables
from nasproxy_experiments.nngp_nas.published import BUDGETS, CELLS, TRUTH
from search_spaces import NASBench101, NASBench201
from search_spaces.nasbench101 import Cell

POOLS, POOL_SIZE, QUICK_SIZE = 10, 100, 20
SEEDS = (0, 1)
EPOCHS, LONG = 12, 108
WIDTH, MEASURE = 16, "negative_loo_mse"
IMAGES, PASSES = 40_000, 3
"""Of a training on CIFAR-10 in NAS-Bench-101, and a step's cost in forward passes."""
TOPOLOGY, TOPOLOGY_TRUTH = "nasbench201_epochs.parquet", "cifar10_test_200ep"


@dataclass(frozen=True)
class Bench:
    """A space, its published training, and how it is scored.

    Attributes:
        name: of the space.
        space: at the benchmark's own size.
        scored: the space whose networks the NNGP is of.
        count: the column of the proxy ``counts`` that screens.
        cost_of: where a training's cost comes from, in words.
        read: from the folder of tables: a row an architecture by key, with ``reward``, ``final``
            (both in percent) and, if it is published, ``cost``.
        distances: between architectures, ``[n, n]``.
    """

    name: str
    space: SearchSpace
    scored: SearchSpace
    count: str
    cost_of: str
    read: Callable[[Path], pd.DataFrame]
    distances: Callable[[Sequence[Any]], Float[np.ndarray, "n n"]]


def _nasbench101(folder: Path) -> pd.DataFrame:
    budgets = folder / BUDGETS
    seconds = tables.read(budgets, f"training_seconds_{LONG}")
    frame = pd.DataFrame(
        {
            "reward": 100 * tables.read(budgets, f"validation_accuracy_{EPOCHS}"),
            "cost": seconds * EPOCHS / LONG,
        }
    )
    return frame.assign(final=100 * tables.read(folder / CELLS, TRUTH).reindex(frame.index))


def _nasbench201(folder: Path) -> pd.DataFrame:
    spaces = [NASBench201()]
    return pd.DataFrame(
        {
            name: tables.read(folder / TOPOLOGY, column, spaces=spaces)
            for name, column in (("reward", "cifar10_valid_12ep"), ("final", TOPOLOGY_TRUTH))
        }
    )


def paths_apart(cells: Sequence[Cell]) -> Float[np.ndarray, "n n"]:
    """How many paths from input to output only one of two cells has (White et al. 2021)."""
    counted = [pd.Series(paths(cell)).value_counts() for cell in cells]
    return _cityblock(pd.DataFrame(counted).fillna(0).to_numpy(float))


def paths(cell: Cell) -> list[str]:
    """The operations on each path from a cell's input to its output."""
    ways: list[list[str]] = [[""]]
    for vertex in range(1, len(cell.ops)):
        before = [w for u in range(vertex) if cell.adjacency[u][vertex] for w in ways[u]]
        ways.append([f"{way}/{cell.ops[vertex]}" for way in before])
    return ways[-1]


def edges_apart(keys: Sequence[str]) -> Float[np.ndarray, "n n"]:
    """On how many of six edges two cells of NAS-Bench-201 do another operation."""
    values = np.array([NASBench201().values(key) for key in keys])
    return (values[:, None] != values[None]).sum(2).astype(float)


def _cityblock(counts: np.ndarray) -> np.ndarray:
    return cdist(counts, counts, "cityblock")


BENCHES = (
    Bench(
        "nasbench101",
        NASBench101(),
        NASBench101(),
        "conv3x3",
        f"published seconds of {LONG} epochs × {EPOCHS}/{LONG}",
        _nasbench101,
        paths_apart,
    ),
    Bench(
        "nasbench201",
        NASBench201(),
        NASBench201(cells=1),
        "convolutions",
        f"forward FLOPs of the network, as {EPOCHS} epochs of all take the same images",
        _nasbench201,
        edges_apart,
    ),
)


@dataclass(eq=False)
class Drawn:
    """A bench with its pools.

    Attributes:
        bench: the space.
        pool: every architecture of all pools, in their order.
        published: ``reward``, ``final``, ``cost``, a row an architecture.
        size: architectures of one pool.
    """

    bench: Bench
    pool: Pool
    published: pd.DataFrame
    size: int

    @property
    def proxy(self) -> NNGP:
        sizes = {"n_train": 300, "n_valid": 0, "ensemble": 1}
        return spelled(NNGP, NNGP.presets["paper"], **sizes, width=WIDTH, measure=MEASURE)

    def requests(self) -> list[tuple[Pool, Request]]:
        """Half of the pools by each seed; and what is counted, which costs nothing."""
        keys = list(self.pool.architectures)
        found: list[tuple[Pool, Request]] = []
        for part, seed in zip(np.array_split(np.arange(POOLS), len(SEEDS)), SEEDS, strict=True):
            own = keys[part[0] * self.size : (part[-1] + 1) * self.size]
            some = {key: self.pool.architectures[key] for key in own}
            half = replace(self.pool, architectures=some)
            found.append((half, Request(self.proxy, len(own), seed)))
        return found

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row an architecture: pool, seed, published training, and the scores that screen."""
        rows = []
        for pool, request in self.requests():
            frame = pool.frame(request)
            rows.append(frame[["nngp", "nngp flops", "nngp seconds"]].assign(seed=request.seed))
        counts = self.pool.frame(Request(Counts(), len(self.pool.architectures)))
        keys = list(self.pool.architectures)
        table = self.published.join(pd.concat(rows)).loc[keys]
        graphs = [
            self.bench.space.graph(a, (32, 32, 3), 10) for a in self.pool.architectures.values()
        ]
        flops = np.array([float(graph.flops) for graph in graphs])
        if "cost" not in table:
            table = table.assign(cost=flops)
        training = flops * (PASSES * EPOCHS * IMAGES)
        table = table.assign(
            pool=np.repeat(np.arange(POOLS), self.size),
            cost=table["cost"] / table["cost"].mean(),
            size=[float(graph.parameters) for graph in graphs],
            counts=counts[f"counts[{self.bench.count}]"],
            screening=table["nngp flops"] / training.mean(),
        )
        columns = ["pool", "seed", "reward", "final", "cost", "nngp", "size", "counts"]
        return table[[*columns, "screening", "nngp seconds"]].rename_axis("architecture")


@dataclass(eq=False)
class Study:
    """See :mod:`nasproxy.reproduce.suites`.

    Attributes:
        name: the folder of results.
        drawn: each space's pools.
    """

    name: str
    drawn: Mapping[str, Drawn]

    @property
    def ranked(self) -> int:
        return min(len(drawn.pool.architectures) for drawn in self.drawn.values())

    def plan(self, needs: Sequence[str], shard: tuple[int, int]) -> list[Planned]:
        return [
            pool.plan(need, request, shard)
            for need in needs
            for pool, request in self.drawn[need].requests()
        ]

    def compute(self, needs: Sequence[str], shard: tuple[int, int]) -> None:
        for need in needs:
            for pool, request in self.drawn[need].requests():
                pool.frame(request, shard)

    def describe(self, needs: Sequence[str]) -> list[str]:
        lines = [
            f"Ten disjoint pools a space, drawn uniformly among the architectures with published "
            f"{EPOCHS}-epoch training. Intervals are Student's t over pools, each the mean of its "
            "searches.",
            "",
        ]
        for need in needs:
            drawn = self.drawn[need]
            lines.append(
                f"- `{need}`: {drawn.pool.drawn}; NNGP `"
                f"{describe(drawn.proxy, 'nngp', full=False)}` of `{drawn.bench.scored!r}`, seed "
                f"{' or '.join(map(str, SEEDS))} by pool; a training costs {drawn.bench.cost_of}."
            )
        return [*lines, ""]

    def close(self) -> None:
        next(iter(self.drawn.values())).pool.store.close()


def prepare(options: Options) -> Study:
    """The study that the options describe.

    Raises:
        SettingError: no ``truth``, or too few cells for ten pools.
        TruthError, DataError, StoreError: before anything is computed.
    """
    checked("search", "cells", options.cells, RANKED)
    if options.truth is None or not options.truth.is_dir():
        raise SettingError(
            f"truth={options.truth}: searches look training up; give the folder that holds "
            f"{BUDGETS}, {CELLS} and {TOPOLOGY} by --truth"
        )
    missing = [n for n in (BUDGETS, CELLS, TOPOLOGY) if not (options.truth / n).is_file()]
    if missing:
        raise TruthError(f"{options.truth} has no {' and no '.join(missing)}: add it")
    size = (options.cells or 0) // POOLS or (QUICK_SIZE if options.quick else POOL_SIZE)
    images = data_of(options.data or "cifar10", options.data_dir)
    name = options.folder("search")
    store = options.opened(name)
    drawn = {}
    for bench in BENCHES:
        published = bench.read(options.truth).dropna()
        keys = pd.Series(sorted(published.index)).sample(POOLS * size, random_state=options.seed)
        architectures = {key: bench.space.find(key) for key in keys}
        words = (
            f"uniform among the {len(published):,} with published training, {POOLS} disjoint pools "
            f"of {size}, seed={options.seed}"
        )
        pool = Pool(bench.scored, architectures, images, store, words, options.progress)
        drawn[bench.name] = Drawn(bench, pool, published, size)
    return Study(name, drawn)
