"""Jacobian covariance: how differently the logits feel the images."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64

from nasproxy.checks import OneOf, Rule
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import MODES
from nasproxy.networks.passes import IMAGES, Pulled
from nasproxy.proxies.base import Card, NoScore
from nasproxy.proxies.gradients import NASLIB
from nasproxy.proxies.passes import INPUTS, SUM, OfPasses, Reader, Run, Wanted

K = 1e-5
"""Added to eigenvalues, and to correlations."""


@dataclass(frozen=True)
class Jacov(OfPasses):
    """−Σ [ln(λ + 10⁻⁵) + 1/(λ + 10⁻⁵)] (Mellor et al. 2020, version 1; Abdelfattah et al. 2021).

    λ are the eigenvalues of the correlations between rows of J, the gradient of the sum of all
    logits by each image. By a symmetric solver in float64: the public code's makes some negative,
    and its score NaN. An image that no logit feels correlates with none: no score.
    """

    name: ClassVar[str] = "jacov"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "64 for training", "training", "64·2 F", "Mellor et al. 2020"
    )
    rules: ClassVar[dict[str, Rule]] = {"batch_norm": OneOf(*MODES[:2])}
    presets: ClassVar[dict[str, dict[str, Any]]] = {"naslib": NASLIB}

    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(self.of_data(), (SUM,), frozenset({INPUTS}), params=False),)

    def reader(self, graph: Graph) -> Reader:
        return _Eigenvalues()


class Correlating(Reader):
    """Keeps the correlations of J."""

    correlations: Float64[np.ndarray, "n n"]

    def step(self, run: Run, back: str, step: int, pulled: Pulled) -> None:
        if back == SUM and step == IMAGES:
            self.correlations = correlations(np.asarray(pulled.grads["images"]))


class _Eigenvalues(Correlating):
    def score(self) -> float:
        shifted = np.linalg.eigvalsh(self.correlations) + K
        return float(-(np.log(shifted) + 1 / shifted).sum())


def correlations(jacobian: Float[np.ndarray, "n h w c"]) -> Float64[np.ndarray, "n n"]:
    """Of the images' gradients with each other, in float64.

    Raises:
        NoScore: one is not finite, or the same in all pixels.
    """
    rows = jacobian.reshape(len(jacobian), -1).astype(np.float64)
    if not np.isfinite(rows).all():
        raise NoScore("the Jacobian overflows: some gradients are not finite")
    rows -= rows.mean(1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not norms.all():
        raise NoScore("the logits do not feel some image: its gradient is constant")
    rows /= norms
    return rows @ rows.T
