"""SynFlow: how much flows through the weights, of no data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasproxy.checks import Flag, Rule, Whole
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import BYPASSED
from nasproxy.proxies.base import Card
from nasproxy.proxies.batches import ONES, Batch
from nasproxy.proxies.gradients import NASLIB, Summed
from nasproxy.proxies.passes import SUM, OfPasses, Pass, Reader, Wanted


@dataclass(frozen=True)
class SynFlow(OfPasses):
    """Σ ∣θ ⊙ ∂R/∂θ∣ over kernels, R the sum of logits (Tanaka et al. 2020).

    Of absolute weights, biases too, on one image of ones, in float64; batch norm is left out unless
    ``batch_norm`` says ``inference`` or ``training`` (``synflow_bn``). It grows by orders of
    magnitude with each layer: beyond float64 there is no score.

    Attributes:
        batch: images, all the same, so that more than one only multiply the score.
        log: whether the score is the logarithm of it, as NASLib's is; ranks are the same.
    """

    batch: int = 1
    batch_norm: str = BYPASSED
    log: bool = False

    name: ClassVar[str] = "synflow"
    card: ClassVar[Card] = Card(
        "magnitudes, 1/fan-in", "one of ones", "bypassed", "3 F", "Tanaka et al. 2020"
    )
    inside: ClassVar[bool] = True
    rules: ClassVar[dict[str, Rule]] = {"log": Flag(), "batch": Whole()}
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "naslib": NASLIB | {"batch": 1, "batch_norm": BYPASSED, "log": True},
        "original": NASLIB | {"batch": 1, "batch_norm": BYPASSED, "log": False},
    }

    def wanted(self) -> tuple[Wanted, ...]:
        made = Pass(Batch(ONES, self.batch), self.init, self.batch_norm, magnitudes=True)
        return (Wanted(made, (SUM,)),)

    def reader(self, graph: Graph) -> Reader:
        return _Flow(_flow, self.log)


@dataclass(frozen=True)
class LogSynFlow(SynFlow):
    """Σ ∣θ ⊙ ln(1 + ∂R/∂θ)∣ over kernels: SynFlow that does not explode (Cavagnero et al. 2023)."""

    name: ClassVar[str] = "logsynflow"
    card: ClassVar[Card] = Card(
        "magnitudes, 1/fan-in", "one of ones", "bypassed", "3 F", "Cavagnero et al. 2023"
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        name: NASLIB | {"batch": 1, "batch_norm": BYPASSED, "log": False}
        for name in ("naslib", "original")
    }

    def reader(self, graph: Graph) -> Reader:
        return _Flow(_damped, self.log)


class _Flow(Summed):
    def __init__(self, term: Callable[[Any, Any], float], log: bool):
        super().__init__(term, "the flow")
        self._log = log

    def score(self) -> float:
        flow = super().score()
        return float(np.log(flow)) if self._log else flow


def _flow(weights: np.ndarray, grads: np.ndarray) -> float:
    return float(np.abs(weights * grads).sum())


def _damped(weights: np.ndarray, grads: np.ndarray) -> float:
    return float(np.abs(weights * np.log1p(grads)).sum())
