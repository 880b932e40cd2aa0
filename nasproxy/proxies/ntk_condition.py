"""The condition number of the NTK."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from nasproxy.checks import OneOf, Rule
from nasproxy.kernels.measures import condition
from nasproxy.networks import passes
from nasproxy.networks.graph import Graph
from nasproxy.networks.layers import MODES
from nasproxy.proxies.base import Card, NoScore, Score
from nasproxy.proxies.passes import OfPasses, Reader, Run, Wanted


@dataclass(frozen=True)
class NTKCondition(OfPasses):
    """−log₁₀ of λ_max/λ_min of the NTK of the logits' sum, by kernels (Chen et al. 2021, TE-NAS).

    Chen et al. want the condition number small, hence the sign. A gradient for each image is a pass
    back of the whole batch, whose statistics all images share. Eigenvalues below float32's
    resolution of the largest count as that. (``ntk`` has the same of batch norm in inference mode
    and all parameters.)
    """

    batch: int = 16

    name: ClassVar[str] = "ntk_condition"
    card: ClassVar[Card] = Card(
        "variance 1/fan-in", "16 for training", "training", "16·33 F", "Chen et al. 2021"
    )
    rules: ClassVar[dict[str, Rule]] = {"batch_norm": OneOf(*MODES[:2])}

    def wanted(self) -> tuple[Wanted, ...]:
        return (Wanted(self.of_data(), keep=True),)

    def reader(self, graph: Graph) -> Reader:
        return _Gram(graph)


class _Gram(Reader):
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._kernel: Any = 0.0
        self._n = 0

    def after(self, run: Run) -> None:
        logits = run.forward.logits
        self._n = len(logits)
        backs = []
        for image in range(self._n):
            one = np.zeros(logits.shape, np.float32)
            one[image] = 1
            backs.append(passes.backward(run.forward, jax.device_put(one)))
        # Side by side, so that a step's gradients need not wait for the others'.
        for steps in zip(*backs, strict=True):
            step = steps[0][0]
            rows = [
                np.concatenate([np.ravel(g) for _, g in run.kernels(step, pulled.grads)] or [[]])
                for _, pulled in steps
            ]
            wide = np.asarray(rows, np.float64)
            self._kernel = self._kernel + wide @ wide.T

    def score(self) -> Score:
        if not np.isfinite(self._kernel).all():
            raise NoScore("the kernel overflows: some gradients are not finite")
        if not np.any(self._kernel):
            raise NoScore("the kernel vanishes: no kernel moves the logits")
        value = -math.log10(condition(np.linalg.eigvalsh(self._kernel)))
        return Score(value, float(self._graph.flops * self._n * (1 + 2 * self._n)))
