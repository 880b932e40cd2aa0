"""Fisher: saliences of channels."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasproxy.networks.graph import Graph
from nasproxy.networks.passes import Pulled
from nasproxy.proxies.base import Card
from nasproxy.proxies.gradients import NASLIB, OfGradients
from nasproxy.proxies.passes import SALIENCE, Reader, Run, Wanted, finite, no_gradient


@dataclass(frozen=True)
class Fisher(OfGradients):
    """Σ over kernels of the fan-in times Σ over channels of Δ_c (Turner et al. 2020).

    Δ_c = ½ mean over images of (Σ a ⊙ ∂L/∂a over pixels)², a being what the kernel makes, before
    any norm (Theis et al. 2018). The fan-in, k²·inputs, is the public code's, which gives every
    weight its channel's salience.
    """

    name: ClassVar[str] = "fisher"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "64 for training, labels", "training", "64·3 F", "Turner et al. 2020"
    )
    inside: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"naslib": NASLIB}

    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(self.of_data(), (self.loss,), frozenset({SALIENCE})),)

    def reader(self, graph: Graph) -> Reader:
        return _Saliences()


class _Saliences(Reader):
    def __init__(self) -> None:
        self._total = 0.0

    def step(self, run: Run, back: str, step: int, pulled: Pulled) -> None:
        for kernel, salience in pulled.salience.items():
            shape = run.network.graph.steps[step].layer.parameters()[kernel]
            # Channels that padding added make 0, and have no salience.
            summed = np.asarray(salience).sum(dtype=np.float64)
            self._total += math.prod(shape[:-1]) * float(summed)

    def score(self) -> float:
        finite(self._total, "the salience")
        if self._total == 0:
            raise no_gradient()
        return self._total
