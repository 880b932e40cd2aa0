"""GraSP: what removing a weight does to the gradient's norm."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from nasproxy.checks import OneOf, Rule
from nasproxy.networks import passes
from nasproxy.networks.curvature import hessian_product
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import TRAINING, Layer, Weighted
from nasproxy.networks.passes import Pulled
from nasproxy.proxies.base import Card
from nasproxy.proxies.gradients import NASLIB, OfGradients, inner
from nasproxy.proxies.passes import LOSS, Reader, Run, Wanted, finite, no_gradient


@dataclass(frozen=True)
class GraSP(OfGradients):
    """−Σ θ ⊙ (H g) over kernels, H and g of the mean cross-entropy (Wang et al. 2020).

    The loss does not change when a kernel that batch statistics normalise is scaled, so that its
    part of −⟨θ, H g⟩ is ‖g‖², but for the norm's ε; of the readout and other kernels without a norm
    it is found by carrying their direction through the network.
    """

    name: ClassVar[str] = "grasp"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in",
        "64 for training, labels",
        "training",
        "64·5 F and more",
        "Wang et al. 2020",
    )
    inside: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"naslib": NASLIB}

    rules: ClassVar[dict[str, Rule]] = OfGradients.rules | {"loss": OneOf(LOSS)}

    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(self.of_data(), (LOSS,)),)

    def reader(self, graph: Graph) -> Reader:
        return _Curvature()


class _Curvature(Reader):
    def __init__(self) -> None:
        self._grads: dict[int, list[np.ndarray]] = {}
        self._total = 0.0

    def step(self, run: Run, back: str, step: int, pulled: Pulled) -> None:
        if back != LOSS or step == passes.IMAGES:
            return
        grads = [np.array(g) for _, g in run.kernels(step, pulled.grads)]
        self._grads[step] = grads
        if scale_free(run.forward.graph.steps[step].layer, run.of.mode):
            self._total += sum(inner(g, g) for g in grads)

    def after(self, run: Run) -> None:
        forward = run.forward
        direction: Variables = []
        for step, params in zip(forward.graph.steps, forward.params, strict=True):
            bound = () if scale_free(step.layer, forward.mode) else passes.kernels(step.layer)
            direction.append({name: params[name] for name in bound})
        for step, changes in hessian_product(forward, jax.device_put(run.labels), direction):
            own = [change for _, change in run.kernels(step, changes)]
            self._total -= sum(map(inner, own, self._grads[step]))

    def score(self) -> float:
        finite(self._total, "the curvature")
        if not any(g.any() for grads in self._grads.values() for g in grads):
            raise no_gradient()
        return self._total


def scale_free(layer: Layer, mode: str) -> bool:
    """Whether the output stays when the layer's kernel is scaled, but for the norm's ε."""
    return mode == TRAINING and isinstance(layer, Weighted) and layer.normalised
