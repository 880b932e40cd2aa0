"""The norm of the weights."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasproxy.networks import passes
from nasproxy.networks.graph import Graph
from nasproxy.proxies.base import Card, Score
from nasproxy.proxies.gradients import NASLIB, norm
from nasproxy.proxies.passes import OfPasses, Reader, Run, Wanted


@dataclass(frozen=True)
class L2Norm(OfPasses):
    """Σ over kernels of the weights' Euclidean norm (Abdelfattah et al. 2021).

    It reads no image. Kernels that the logits do not depend on count, as in the public code; scales
    and biases do not.
    """

    name: ClassVar[str] = "l2_norm"
    card: ClassVar[Card] = Card("variance 1/fan-in", "none", "none", "0", "Abdelfattah et al. 2021")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"naslib": NASLIB}

    def wanted(self) -> tuple[Wanted, ...]:
        return ()

    def reader(self, graph: Graph) -> Reader:
        return _Norms()


class _Norms(Reader):
    def __init__(self) -> None:
        self._total, self._weights = 0.0, 0

    def forward(self, run: Run) -> None:
        for step, arrays in zip(run.network.graph.steps, run.network.given, strict=True):
            for name in passes.kernels(step.layer):
                self._total += norm(np.asarray(arrays[name]))
                self._weights += arrays[name].size

    def score(self) -> Score:
        return Score(self._total, flops=2.0 * self._weights)
