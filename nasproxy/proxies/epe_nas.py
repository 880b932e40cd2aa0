"""EPE-NAS: correlations of the Jacobian within classes."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int

from nasproxy.errors import DataError
from nasproxy.networks.graph import Graph
from nasproxy.proxies.base import Card
from nasproxy.proxies.gradients import NASLIB
from nasproxy.proxies.jacov import Correlating, Jacov, K
from nasproxy.proxies.passes import Reader, Run

MANY = 100
"""Classes, beyond which their scores are compared rather than summed."""


@dataclass(frozen=True)
class EPENAS(Jacov):
    """How images of a class correlate in J, the gradient of the logits' sum (Lopes et al. 2021).

    s_c = Σ ln(∣correlation∣ + 10⁻⁵) over all pairs of a class's images, each with itself, too. Of
    up to 100 classes in the batch Σ ∣s_c∣, of more Σ ∣s_c − s_c′∣ over pairs, over their number.
    A class of one image says nothing (it correlates with itself alone) and is left out, where the
    public code counts it; of batches without two images of a class there is no score.
    """

    name: ClassVar[str] = "epe_nas"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "64 for training, labels", "training", "64·2 F", "Lopes et al. 2021"
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "naslib": NASLIB,
        "original": NASLIB | {"batch": 256, "augment": False},
    }

    def check_data(self, labels: Int[np.ndarray, " n"]) -> None:
        if np.bincount(labels).max() < 2:
            raise DataError(
                f"batch={len(labels)} of {self.name} holds no two images of a class: give a batch "
                "of more images than there are classes"
            )

    def reader(self, graph: Graph) -> Reader:
        return _ByClass()


class _ByClass(Correlating):
    def forward(self, run: Run) -> None:
        self._labels = run.labels

    def score(self) -> float:
        logs = np.log(np.abs(self.correlations) + K)
        within = []
        for label in np.unique(self._labels):
            own = np.flatnonzero(self._labels == label)
            if len(own) > 1:
                within.append(logs[np.ix_(own, own)].sum())
        sums = np.array(within)
        if len(sums) <= MANY:
            return float(np.abs(sums).sum())
        return float(np.abs(sums[:, None] - sums).sum() / len(sums))
