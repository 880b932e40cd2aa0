"""The norm of the gradient."""

from dataclasses import dataclass
from typing import Any, ClassVar

from nasproxy.networks.graph import Graph
from nasproxy.proxies.base import Card
from nasproxy.proxies.gradients import NASLIB, OfGradients, Summed, norm
from nasproxy.proxies.passes import Reader


@dataclass(frozen=True)
class GradNorm(OfGradients):
    """Σ over kernels of the Euclidean norm of the loss's gradient (Abdelfattah et al. 2021)."""

    name: ClassVar[str] = "grad_norm"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in",
        "64 for training, labels",
        "training",
        "64·3 F",
        "Abdelfattah et al. 2021",
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {"naslib": NASLIB}

    def reader(self, graph: Graph) -> Reader:
        return Summed(lambda weights, grads: norm(grads), "the gradient's norm")
