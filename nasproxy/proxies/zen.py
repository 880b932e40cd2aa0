"""Zen: how far a network of unit normal weights moves its features, its scales counted."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasproxy.checks import Flag, OneOf, Real, Rule, Whole
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import TRAINING, GlobalAverage
from nasproxy.proxies.base import Card, NoScore
from nasproxy.proxies.batches import DATA, NORMAL, Batch
from nasproxy.proxies.passes import DEAD, OfPasses, Pass, Reader, Run, Wanted, finite

MOMENTUM = 0.1
"""Of PyTorch's batch norm: the weight of the new."""
BATCH, RUNNING = "batch", "running"


@dataclass(frozen=True)
class Zen(OfPasses):
    """ln mean Σ ∣f(x) − f(x + .01 x′)∣ + Σ over batch norms of ½ ln of their mean variance.

    f is what the network makes before its global average, weights and x, x′ are unit normal (Lin et
    al. 2021, algorithm 1). Batch norm is by the batch's statistics. One repeat is noisy: average
    over seeds.

    Attributes:
        images: x: ``normal``, or ``data``, training images.
        shift: what x′ is multiplied with.
        variance: of each batch norm: ``batch``, of x (the paper's σ²); ``running``, the moving one
            after x and x + .01 x′ (the public code's, 81 % of which is the 1 it starts at).
        live: whether only batch norms that the features depend on count; the public code counts
            all.
    """

    batch: int = 64
    init: str = "normal"
    images: str = NORMAL
    shift: float = 0.01
    variance: str = BATCH
    live: bool = True

    name: ClassVar[str] = "zen"
    card: ClassVar[Card] = Card(
        "unit normal", "2 × 64 of unit normals", "training", "128 F", "Lin et al. 2021"
    )
    inside: ClassVar[bool] = True
    rules: ClassVar[dict[str, Rule]] = {
        "batch": Whole(2, hint="one has no variance"),
        "batch_norm": OneOf(TRAINING),
        "images": OneOf(NORMAL, DATA),
        "shift": Real(above=0),
        "variance": OneOf(BATCH, RUNNING),
        "live": Flag(),
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "original": {
            "batch": 64,
            "init": "normal",
            "images": NORMAL,
            "shift": 0.01,
            "variance": RUNNING,
            "live": False,
        },
    }

    def _pass(self, shift: float) -> Pass:
        batch = Batch(self.images, self.batch, 0, self.balanced, self.augment, shift)
        return Pass(batch, self.init)

    def wanted(self) -> tuple[Wanted, ...]:
        also = frozenset[str]() if self.live else frozenset({DEAD})
        return tuple(Wanted(self._pass(shift), also=also, maps=True) for shift in (0.0, self.shift))

    def reader(self, graph: Graph) -> Reader:
        if not isinstance(graph.steps[-2].layer, GlobalAverage):
            raise NoScore("zen reads maps before a global average, and this network has none")
        return _Moved(self)


class _Moved(Reader):
    def __init__(self, proxy: Zen) -> None:
        self._proxy = proxy
        self._maps: list[np.ndarray] = []
        self._variances: list[list[tuple[np.ndarray, int]]] = []

    def forward(self, run: Run) -> None:
        graph = run.network.graph
        maps = run.forward.values[graph.steps[-2].inputs[0]]
        assert maps is not None
        own = graph.shapes[graph.steps[-2].inputs[0]][-1]
        self._maps.append(np.asarray(maps)[..., :own])
        seen = []
        for step, stats in enumerate(run.forward.stats):
            if stats and (graph.live[step] or not self._proxy.live):
                own = graph.shapes[step + 1]
                variance = np.asarray(stats["variance"], np.float64)[: own[-1]]
                seen.append((variance, self._proxy.batch * own[0] * own[1]))
        self._variances.append(seen)

    def score(self) -> float:
        first, second = self._maps
        moved = np.abs(first - second).sum((1, 2, 3), dtype=np.float64).mean()
        if not moved > 0:
            raise NoScore("the features do not move with the images")
        total = float(np.log(moved))
        for (one, n), (other, _) in zip(*self._variances, strict=True):
            if self._proxy.variance == BATCH:
                variance = one.mean()
            else:
                keep = 1 - MOMENTUM
                unbiased = n / (n - 1)
                running = keep**2 + unbiased * (keep * MOMENTUM * one + MOMENTUM * other)
                variance = running.mean()
            if not variance > 0:
                raise NoScore("a batch norm sees no variance: what it reads is constant")
            total += 0.5 * float(np.log(variance))
        return finite(total, "the score")
