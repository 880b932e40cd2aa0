"""ZiCo: gradients that are large and the same for every batch."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasproxy.checks import Rule, Whole
from nasproxy.networks import passes
from nasproxy.networks.graph import Graph
from nasproxy.networks.passes import Pulled
from nasproxy.proxies.base import Card
from nasproxy.proxies.gradients import NASLIB, OfGradients
from nasproxy.proxies.passes import Reader, Run, Wanted, finite, no_gradient


@dataclass(frozen=True)
class ZiCo(OfGradients):
    """Σ over kernels of ln Σ mean ∣g∣ / σ(g) over weights, of batches (Li et al. 2023, eq. 15).

    σ is the population's deviation over batches; weights whose σ is 0 are left out, and so are
    kernels of which none remains. With two batches a term is (∣g¹∣ + ∣g²∣) / ∣g¹ − g²∣, whose tail
    is heavy: another seed moves the score much.

    Attributes:
        batches: of ``batch`` images each, one after the other.
    """

    batches: int = 2

    name: ClassVar[str] = "zico"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "2 × 64 for training, labels", "training", "128·3 F", "Li et al. 2023"
    )
    rules: ClassVar[dict[str, Rule]] = OfGradients.rules | {
        "batches": Whole(2, hint="one has no deviation")
    }
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "naslib": NASLIB | {"batches": 2},
        "original": NASLIB | {"batches": 2, "batch": 128},
    }

    def wanted(self) -> tuple[Wanted, ...]:
        return tuple(Wanted(self.of_data(i), (self.loss,)) for i in range(self.batches))

    def reader(self, graph: Graph) -> Reader:
        return _Deviations(self.batches)


class _Deviations(Reader):
    """Sums of gradients, of their magnitudes and of their squared differences from the first."""

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self._sums: dict[tuple[int, int], list[np.ndarray]] = {}

    def step(self, run: Run, back: str, step: int, pulled: Pulled) -> None:
        if step == passes.IMAGES:
            return
        for place, (_, grads) in enumerate(run.kernels(step, pulled.grads)):
            own = self._sums.get((step, place))
            if own is None:
                first = np.array(grads, np.float32)
                self._sums[step, place] = [first, np.abs(first), first * 0, first * 0]
                continue
            apart = grads - own[0]  # From the first, so that equal gradients differ by exactly 0.
            own[1] += np.abs(grads)
            own[2] += apart
            own[3] += apart * apart

    def score(self) -> float:
        total, some = 0.0, False
        for _, sizes, apart, squares in self._sums.values():
            mean = sizes.astype(np.float64) / self._batches
            square = squares.astype(np.float64) / self._batches
            variance = square - np.square(apart.astype(np.float64) / self._batches)
            deviation = np.sqrt(np.maximum(variance, 0))
            told = deviation > 0
            if told.any():
                some = True
                total += float(np.log((mean[told] / deviation[told]).sum()))
        finite(total, "the sum")
        if not some:
            raise no_gradient()
        return total
