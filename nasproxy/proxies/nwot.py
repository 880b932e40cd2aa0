"""NASWOT: how differently a network's ReLUs see the images."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nasproxy.checks import Flag, OneOf, Rule
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import MODES
from nasproxy.proxies.base import Card, NoScore
from nasproxy.proxies.gradients import NASLIB
from nasproxy.proxies.passes import DEAD, UNITS, OfPasses, Reader, Run, Wanted


@dataclass(frozen=True)
class NWOT(OfPasses):
    """ln ∣det K∣, K counting the units of ReLUs for which two images agree (Mellor et al. 2021).

    A unit is on or off for an image as a ReLU's input is above 0 or not; K[i, j] is the number of
    those that are both on or both off. Images that no unit tells apart make K singular: no score.

    Attributes:
        live: whether only ReLUs that the logits depend on count, as in the original code; NASLib
            counts all.
    """

    live: bool = True

    name: ClassVar[str] = "nwot"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "64 for training", "training", "64 F", "Mellor et al. 2021"
    )
    inside: ClassVar[bool] = True
    rules: ClassVar[dict[str, Rule]] = {"live": Flag(), "batch_norm": OneOf(*MODES[:2])}
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "naslib": NASLIB | {"live": False},
        "original": NASLIB | {"live": True, "batch": 128, "augment": False},
    }

    def wanted(self) -> tuple[Wanted, ...]:
        also = {UNITS} if self.live else {UNITS, DEAD}
        return (Wanted(self.of_data(), also=frozenset(also)),)

    def reader(self, graph: Graph) -> Reader:
        return _Codes(self.live)


class _Codes(Reader):
    def __init__(self, live: bool) -> None:
        self._live = live
        self._agreeing: Any = 0.0
        self._units = 0

    def forward(self, run: Run) -> None:
        graph = run.network.graph
        for step, agreement in enumerate(run.forward.agreements):
            if agreement is None or (self._live and not graph.live[step]):
                continue
            self._agreeing = self._agreeing + np.asarray(agreement, np.float64)
            self._units += units(graph, step)

    def score(self) -> float:
        if not self._units:
            raise NoScore("there are no ReLUs to tell images apart by")
        # Agreeing less disagreeing, plus all, is twice agreeing.
        kernel = (self._agreeing + self._units) / 2
        apart = self._units - kernel[~np.eye(len(kernel), dtype=bool)]
        if not apart.all():
            raise NoScore("two images are on the same side of every ReLU: det K is 0")
        sign, value = np.linalg.slogdet(kernel)
        if sign <= 0:
            raise NoScore("K is singular up to rounding: its ReLUs tell the images hardly apart")
        return float(value)


def units(graph: Graph, step: int) -> int:
    """Units of a step's ReLUs for one image."""
    layer = graph.steps[step].layer
    pixels: dict[str, tuple[int, ...]] = {
        "hidden": (),
        "before": graph.shapes[graph.steps[step].inputs[0]][:-1],
        "after": graph.shapes[step + 1][:-1],
    }
    return sum(channels * int(np.prod(pixels[name])) for name, channels in layer.units().items())
