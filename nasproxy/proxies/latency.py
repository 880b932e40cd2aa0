"""Time that a network takes on the machine at hand, as hardware-aware search measures it."""

import time
from dataclasses import dataclass
from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Float32

from nasproxy import machine
from nasproxy.checks import Whole, check
from nasproxy.data import Dataset
from nasproxy.errors import SettingError
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies.base import Card, Score, Scorer
from nasproxy.space import SearchSpace

QUARTILES = (25, 50, 75)


@dataclass(frozen=True)
class Latency:
    """Minus the median milliseconds of a forward pass to the logits, for one image.

    Minus the milliseconds of a batch are in the column ``images=N``. Compilation and the first
    passes are not counted. Networks run as everything here does, layer by layer with channels
    padded to vectors: for one image on a processor, starting some fifty programs is a good part of
    the time, so this is the latency of this executor, not of a network compiled for deployment.
    It depends on what else the machine does; ``info`` has the quartiles.

    Networks have the space's own width, as for ``params`` and ``macs``: the command line's
    ``--width`` does not narrow them. A store keeps latencies under the name of the machine, so that
    a run that is continued on another one measures anew there, and mixes nothing.

    Attributes:
        batch: images of the batch.
        repeats: passes timed.
        warmup: passes before them.
        machine: where a stored latency was measured; None for the machine at hand, the only one to
            measure on.
    """

    batch: int = 32
    repeats: int = 11
    warmup: int = 3
    machine: str | None = None

    name: ClassVar[str] = "latency"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "random ones", "inference", "measured", "Tan et al. 2019"
    )
    unit: ClassVar[str] = "−milliseconds"

    def __post_init__(self) -> None:
        check(
            self.name, self, batch=Whole(1, 2**16), repeats=Whole(1, 10**6), warmup=Whole(1, 10**6)
        )
        if not (self.machine is None or (isinstance(self.machine, str) and self.machine)):
            raise SettingError(
                f"machine={self.machine!r} of latency: give the name of one, or none for this one"
            )

    def prepare(self, space: SearchSpace, data: Dataset, seed: int) -> Scorer:
        if self.machine not in (None, machine.name()):
            raise SettingError(
                f"machine={self.machine!r} of latency: this is {machine.name()!r}; leave the "
                "setting out to measure here"
            )
        rng = np.random.default_rng(seed)
        images = rng.standard_normal((self.batch, *data.image_shape), dtype=np.float32)
        sizes = sorted({1, self.batch})

        def score(architecture: object) -> Score:
            graph = space.graph(architecture, data.image_shape, data.classes)
            quartiles = {n: self._milliseconds(graph, images[:n], seed) for n in sizes}
            columns = {f"images={n}": -quartiles[n][1] for n in sizes if n > 1}
            passes = sum(sizes) * (self.repeats + self.warmup)
            info = {"milliseconds": {f"images={n}": q for n, q in quartiles.items()}}
            return Score(-quartiles[1][1], float(graph.flops * passes), columns, info)

        return score

    def _milliseconds(
        self, graph: Graph, images: Float32[np.ndarray, "n h w c"], seed: int
    ) -> list[float]:
        """Quartiles of a pass's time."""
        network = Initialised.draw(graph, np.random.default_rng(seed))
        batch = jax.device_put(images)
        seconds = []
        for _ in range(self.warmup + self.repeats):
            start = time.perf_counter()
            network.logits(batch).block_until_ready()
            seconds.append(time.perf_counter() - start)
        quartiles = np.percentile(seconds[self.warmup :], QUARTILES)
        return (1e3 * quartiles).tolist()
