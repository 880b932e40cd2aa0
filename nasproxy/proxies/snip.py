"""SNIP: how much the loss would feel the loss of each weight."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasproxy.networks.graph import Graph
from nasproxy.proxies.base import Card
from nasproxy.proxies.gradients import NASLIB, OfGradients, Summed
from nasproxy.proxies.passes import Reader


@dataclass(frozen=True)
class Snip(OfGradients):
    """Σ ∣θ ⊙ ∂L/∂θ∣ over kernels (Lee et al. 2019; as a proxy Abdelfattah et al. 2021)."""

    name: ClassVar[str] = "snip"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "64 for training, labels", "training", "64·3 F", "Lee et al. 2019"
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {"naslib": NASLIB}

    def reader(self, graph: Graph) -> Reader:
        return Summed(
            lambda weights, grads: float(np.abs(weights * grads).sum(dtype=np.float64)),
            "the sensitivity",
        )
