"""Architectures drawn from one space, one data set, and the store of their scores."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from nasproxy import NNGP, Store, scoring
from nasproxy.data import Dataset
from nasproxy.proxies import Flops, Params
from nasproxy.proxies import nngp as nngp_costs
from nasproxy.reproduce.plan import Planned
from nasproxy.reproduce.scores import Request, Scores, Setting
from nasproxy.settings import describe
from nasproxy.space import SearchSpace
from nasproxy.truth import join

WHOLE = (0, 1)
"""The shard that is everything."""


@dataclass(eq=False)
class Pool:
    """Scores are read from the store, and computed where it lacks them.

    Attributes:
        space: where the architectures come from, at the benchmark's own width.
        architectures: by key, in the order of the draw.
        images: what they are scored on.
        store: an open store.
        drawn: the sampler in words.
        progress: show progress bars.
    """

    space: SearchSpace
    architectures: Mapping[str, Any]
    images: Dataset
    store: Store
    drawn: str
    progress: bool = True

    @cache  # noqa: B019  a pool lives as long as the process
    def frame(self, request: Request, shard: tuple[int, int] = WHOLE) -> pd.DataFrame:
        """The table that :func:`nasproxy.score` returns, of every N-th architecture of a shard."""
        drawn, chosen = self._chosen(request, shard)
        return scoring.score(
            chosen,
            self.space,
            request.proxy,
            self.images,
            seeds=request.seed,
            store=self.store,
            drawn=drawn,
            progress=self.progress,
        )

    def plan(self, need: str, request: Request, shard: tuple[int, int] = WHOLE) -> Planned:
        """What a request takes, and what of it is stored."""
        run = (*scoring.run_id(self.space, request.proxy), scoring.data_id(self.images))
        stored = self.store.get_many(*run, request.seed)
        keys = {self.space.key(one) for one in self._chosen(request, shard)[1]}
        seconds = [record.seconds for record in stored.values()]
        return Planned(
            need,
            (*run, request.seed),
            len(keys),
            len(keys & stored.keys()),
            float(np.median(seconds)) if seconds else None,
        )

    def _chosen(self, request: Request, shard: tuple[int, int]) -> tuple[str, list[Any]]:
        """How a request's architectures are drawn, and every N-th of them."""
        index, count = shard
        if request.sampler is None:
            return self.drawn, list(self.architectures.values())[: request.cells][index::count]
        drawn = f"{request.sampler}, n={request.cells}, seed={request.seed}"
        sampled = self.space.sample(request.cells, request.seed, request.sampler)
        return drawn, sampled[index::count]

    def scores(self, request: Request) -> Scores:
        """The scores of a request, with what each of its settings costs."""
        costs = {setting: self._cost(request, setting) for setting in request.settings}
        return Scores(request, self.frame(request), costs)

    def curves(self, request: Request) -> dict[Setting, pd.DataFrame]:
        """Validation accuracy for every ε, ``[architectures, regularisers]``, by setting."""
        scored = self.frame(request).index
        space, proxy = scoring.run_id(self.space, request.proxy)
        records = self.store.get_many(space, proxy, scoring.data_id(self.images), request.seed)
        kept = {key: records[key].info["accuracy"] for key in scored if not records[key].error}
        return {
            setting: pd.DataFrame.from_dict(
                {key: curves[setting.label] for key, curves in kept.items()}, orient="index"
            )
            for setting in request.settings
        }

    @property
    def sizes(self) -> pd.DataFrame:
        """Trainable parameters and forward FLOPs of each at the benchmark's width."""
        requests = [Request(proxy, len(self.architectures)) for proxy in (Params(), Flops())]
        return pd.concat([self.frame(r)[r.proxy.name] for r in requests], axis=1)

    def forward(self, width: int) -> float:
        """Mean FLOPs of a forward pass at a width."""
        return float(np.mean([graph.flops for graph in self.graphs(width)]))

    def line(self, name: str, request: Request) -> str:
        """A request in words, a Markdown item."""
        settings = describe(request.proxy, request.proxy.name, full=False)
        first = f"the first {min(request.cells, len(self.architectures)):,}"
        return f"- `{name}`: {request.sampler or first}, `{settings}`, seed {request.seed}"

    def _cost(self, request: Request, setting: Setting) -> float:
        if isinstance(request.proxy, NNGP):
            sizes = dataclasses.astuple(setting)
            graphs, classes = self.graphs(request.proxy.width), self.images.classes
            return float(np.mean([nngp_costs.flops(g, classes, *sizes) for g in graphs]))
        return float(self.frame(request)[f"{request.proxy.name} flops"].mean())

    @cache  # noqa: B019
    def graphs(self, width: int, first: int = 200) -> list[Any]:
        """Networks of the first architectures: means over them are good to 5 %."""
        space = dataclasses.replace(self.space, width=width)  # type: ignore[type-var]
        shape, classes = self.images.image_shape, self.images.classes
        chosen = list(self.architectures.values())[:first]
        return [space.graph(architecture, shape, classes) for architecture in chosen]


class Scored:
    """What a study offers of one pool: scores by name, and a truth, published or trained here.

    Attributes:
        pool: the draw and its scores.
        requests: named scores.
        trained: what is trained here where nothing is published; the first is the truth.
    """

    pool: Pool
    requests: Mapping[str, Request]
    trained: ClassVar[tuple[Request, ...]]

    @property
    def published_truth(self) -> pd.Series | None:
        """By architecture key."""
        raise NotImplementedError

    @cached_property
    def truth(self) -> pd.Series:
        """Accuracy by architecture key, the quantity to predict."""
        if self.published_truth is not None:
            return self.published_truth
        return self.pool.frame(self.trained[0])["training"].dropna()

    def pool_of(self, need: str) -> Pool:
        """Where a request's scores are; some may be for other images of the same networks."""
        return self.pool

    def scores(self, need: str) -> Scores:
        """The scores of a request; what the store lacks is computed."""
        return self.pool_of(need).scores(self.requests[need])

    @property
    def known(self) -> pd.DataFrame:
        """What else is known of architectures and belongs beside their scores, by key."""
        return pd.DataFrame(index=pd.Index([], name="architecture"))

    def raw(self, need: str) -> pd.DataFrame:
        """All numbers of a request, float32, beside the rows' truth and what else is known."""
        frame = self.pool_of(need).frame(self.requests[need]).select_dtypes("number")
        frame = frame.astype(np.float32)
        frame["truth"] = self.truth.reindex(frame.index)
        return frame.join(self.known).rename_axis("architecture")

    @property
    def ranked(self) -> int:
        """Architectures that rankings are of."""
        return len(self.pool.architectures)

    def plan(self, needs: Sequence[str], shard: tuple[int, int]) -> list[Planned]:
        """What the named scores and the truth take, and what of it is stored."""
        found = [self.pool_of(need).plan(need, self.requests[need], shard) for need in needs]
        if self.published_truth is None:
            found += [self.pool.plan(_training(one), one, shard) for one in self.trained]
        return found

    def compute(self, needs: Sequence[str], shard: tuple[int, int]) -> None:
        """Computes and stores what the store lacks of the named scores, and of the truth."""
        for need in needs:
            self.pool_of(need).frame(self.requests[need], shard)
        if self.published_truth is None:
            for request in self.trained:
                self.pool.frame(request, shard)


def _training(request: Request) -> str:
    return f"{describe(request.proxy, request.proxy.name, full=False)}, seed {request.seed}"


def joined(truth: pd.Series, *scores: pd.Series) -> tuple[np.ndarray, ...]:
    """The scores' and the truth's values on what has them all; the truth last."""
    frame = pd.concat(scores, axis=1, join="inner").dropna().sort_index()
    pair = join(frame, truth)
    columns = [pair.scores.iloc[:, i].to_numpy(float) for i in range(len(scores))]
    return (*columns, pair.truth.to_numpy(float))
