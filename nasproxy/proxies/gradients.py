"""Proxies that are sums over kernels of their weights and gradients on one batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasproxy.checks import OneOf, Rule
from nasproxy.networks import passes
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import MODES
from nasproxy.networks.passes import Pulled
from nasproxy.proxies.passes import (
    LOSS,
    SUM,
    OfPasses,
    Reader,
    Run,
    Wanted,
    finite,
    no_gradient,
)

NASLIB: dict[str, Any] = {
    "batch": 64,
    "batch_norm": "training",
    "init": "pytorch",
    "balanced": False,
    "augment": True,
}
"""Conditions of NASLib (Krishnakumar et al. 2022); of NAS-Bench-101 with ``init=fan_out``."""


@dataclass(frozen=True)
class OfGradients(OfPasses):
    """A sum over kernels; see :class:`~nasproxy.proxies.passes.OfPasses` for the other settings.

    Attributes:
        loss: whose gradient it is: ``loss``, the mean cross-entropy; ``sum``, of all logits.
    """

    loss: str = LOSS

    rules: ClassVar[dict[str, Rule]] = {"loss": OneOf(LOSS, SUM), "batch_norm": OneOf(*MODES[:2])}

    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(self.of_data(), (self.loss,)),)


class Summed(Reader):
    """Sums a number a kernel, of the weights and the gradient; float64."""

    def __init__(self, term: Callable[[Any, Any], float], what: str):
        self._term, self._what = term, what
        self._total, self._reached = 0.0, False

    def step(self, run: Run, back: str, step: int, pulled: Pulled) -> None:
        if step == passes.IMAGES:
            return
        for weights, grads in run.kernels(step, pulled.grads):
            self._reached = self._reached or bool(grads.any())
            self._total += self._term(weights, grads)

    def score(self) -> float:
        finite(self._total, self._what)
        if not self._reached:
            raise no_gradient()
        return self._total


def norm(array: np.ndarray) -> float:
    """Euclidean, of float32 without their squares' under- or overflow."""
    flat = np.ravel(array).astype(np.float64)
    return float(np.sqrt(flat @ flat))


def inner(a: np.ndarray, b: np.ndarray) -> float:
    """⟨a, b⟩ in float64."""
    return float(np.ravel(a).astype(np.float64) @ np.ravel(b).astype(np.float64))


def nothing(graph: Graph) -> bool:
    """Whether a network has no kernel."""
    return not any(passes.kernels(step.layer) for step in graph.steps)
