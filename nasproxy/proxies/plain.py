"""The signed sensitivity."""

from dataclasses import dataclass
from typing import Any, ClassVar

from nasproxy.networks.graph import Graph
from nasproxy.proxies.base import Card
from nasproxy.proxies.gradients import NASLIB, OfGradients, Summed, inner
from nasproxy.proxies.passes import Reader


@dataclass(frozen=True)
class Plain(OfGradients):
    """Σ θ ⊙ ∂L/∂θ over kernels, signed (Abdelfattah et al. 2021).

    A convolution that batch statistics normalise may be scaled as one likes, so that its term is 0
    but for the norm's ε: what is left is the readout's, and that of other kernels without a norm.
    """

    name: ClassVar[str] = "plain"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in",
        "64 for training, labels",
        "training",
        "64·3 F",
        "Abdelfattah et al. 2021",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {"naslib": NASLIB}

    def reader(self, graph: Graph) -> Reader:
        return Summed(inner, "the sensitivity")
