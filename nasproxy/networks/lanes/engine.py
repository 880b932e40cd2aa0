"""Features of networks by programs: memory, threads, and the order of the passes."""

from collections.abc import Callable, Iterable
from concurrent.futures import wait
from threading import Lock

import numpy as np
from jaxtyping import Float

from nasproxy.networks.initialised import Initialised
from nasproxy.networks.lanes.layers import EPSILON
from nasproxy.networks.lanes.passes import pack, run
from nasproxy.networks.lanes.plan import Plan, Stage, plan
from nasproxy.networks.lanes.tile import LANES
from nasproxy.threads import cores, pool

NO_BITS = np.zeros((0, 0), np.uint64)
STAGES = 24
"""Sizes of maps that are remembered; a space has some five at one image shape."""


def shared(function: Callable[[int], object], threads: int) -> None:
    """Calls with 0, 1, … at once, the first in this thread; they may wait for each other.

    It returns when all have ended, an interrupt or a limit of time notwithstanding: the memory that
    they write is the next network's.
    """
    others = [pool().submit(function, me) for me in range(1, threads)]
    interrupt: BaseException | None = None
    try:
        function(0)
    except BaseException as error:
        interrupt = error
    while True:
        try:
            wait(others)
            break
        except BaseException as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
    for other in others:
        other.result()


def aligned(rows: int, floats: int) -> Float[np.ndarray, "{rows} _"]:
    """Zeros whose rows begin at addresses that vectors like; pages that stay zero are not made."""
    line = 16
    floats = -(-floats // line) * line
    whole = np.zeros(rows * floats + line, np.float32)
    first = -(whole.ctypes.data // whole.itemsize) % line
    return whole[first : first + rows * floats].reshape(rows, floats)


class Memory:
    """Maps of all plans, one row a thread or group of images; frames stay as they are made, zero.

    A stage lies at one place for every plan, and pages that none has touched take no memory.
    """

    def __init__(self) -> None:
        self._planes: dict[Stage, int] = {}
        self.maps = aligned(1, 0)

    def bases(
        self, needed: dict[Stage, int], rows: int, like: "Memory | None" = None
    ) -> dict[Stage, int]:
        """Where stages begin in a row, in floats, made larger if need be; where they do in ``like``
        if that is given."""
        # In their order, too, in which they lie.
        if like is not None and [*like._planes.items()] != [*self._planes.items()]:
            self._planes, self.maps = dict(like._planes), aligned(1, 0)
            self.maps = aligned(rows, like.maps.shape[1])
        small = any(self._planes.get(stage, 0) < planes for stage, planes in needed.items())
        if small or rows > len(self.maps):
            known = self._planes if len(self._planes | needed) <= STAGES else {}
            grown = {s: n + n // 4 if n > known.get(s, 0) else known[s] for s, n in needed.items()}
            planes = known | grown
            floats = sum(stage.plane * n for stage, n in planes.items())
            # What is not needed goes before what is comes; should that fail, nothing is held.
            self._planes, self.maps = {}, aligned(1, 0)
            self.maps = aligned(rows, floats)
            self._planes = planes
        if like is not None and [*like._planes.items()] != [*self._planes.items()]:
            raise RuntimeError("a memory is too small for what another holds at the same places")
        places, at = {}, 0
        for stage, planes in self._planes.items():
            places[stage] = at
            at += stage.plane * planes
        return places


_memory, alone = Memory(), Lock()


def features(
    network: Initialised,
    images: Iterable[Float[np.ndarray, "_ h w c"]],
    batch: Float[np.ndarray, "m h w c"] | None,
    momentum: float,
) -> Float[np.ndarray, "n d"]:
    """Features in inference mode, of all images joined, ``[n, d]``.

    Args:
        network: one that :func:`~nasproxy.networks.lanes.plan.knows` its graph.
        images: ``[_, h, w, c]``, in parts.
        batch: moves the statistics as in :meth:`Initialised.settled`; None where they stay.
        momentum: weight of mean 0 and variance 1 against the batch's.
    """
    with alone:
        prepared = Prepared(network)
        if batch is None:
            mean, variance = prepared.statistics()
        else:
            _, (mean, variance) = prepared.train(batch)
            mean, variance = (1 - momentum) * mean, momentum + (1 - momentum) * variance
        return np.concatenate(prepared.infer(images, mean, variance))


def trained(
    network: Initialised, batches: Iterable[Float[np.ndarray, "_ h w c"]]
) -> Float[np.ndarray, "n d"]:
    """Features in training mode, each batch normalised by itself; see :func:`features`."""
    with alone:
        prepared = Prepared(network)
        return np.concatenate([prepared.train(batch)[0] for batch in batches])


def statistics(
    network: Initialised, batch: Float[np.ndarray, "m h w c"]
) -> list[dict[str, np.ndarray]]:
    """Mean and biased variance of a batch at every step; none where batch norm does not run."""
    with alone:
        prepared = Prepared(network)
        _, (mean, variance) = prepared.train(batch)
        found: list[dict[str, np.ndarray]] = [{} for _ in network.graph.steps]
        for step, own in prepared.norms:
            found[step] = {"mean": mean[own], "variance": variance[own]}
        return found


class Prepared:
    """A network's plan with its weights, for one thread of Python at a time."""

    def __init__(self, network: Initialised, program: Plan | None = None):
        self.network = network
        self.plan: Plan = program or plan(network.graph)
        graph, given = network.graph, network.given
        kernels = [np.ravel(given[step][name]) for step, name in self.plan.kernels]
        self.kernels = np.concatenate([np.zeros(0, np.float32), *kernels])
        self.norms = [
            (step, slice(first, first + graph.steps[step].layer.outputs))  # type: ignore[attr-defined]
            for step, first in self.plan.norms
        ]
        channels = self.plan.channels
        self.scales, self.biases = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        self.shifts = np.zeros(channels, np.float32)  # of what is not normalised
        for step, own in self.norms:
            self.scales[own] = given[step].get("scale", 1)
            self.biases[own] = given[step].get("bias", 0)
        for step, name, first in self.plan.biases:
            if name in given[step]:
                bias = given[step][name]
                self.shifts[first : first + len(bias)] = bias

    def statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance that the network has."""
        mean, variance = np.zeros(self.plan.channels), np.ones(self.plan.channels)
        kept = self.network.stats
        if any(kept[step] for step, _ in self.norms):
            kept = self.network.statistics
            for step, own in self.norms:
                mean[own], variance[own] = kept[step]["mean"], kept[step]["variance"]
        return mean, variance

    def train(self, batch: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Features, and mean and variance of the batch."""
        groups = -(-len(batch) // LANES)
        threads = min(cores(), groups)
        table = np.zeros((groups, self.plan.channels, 2))
        seen = np.zeros((threads, self.plan.channels, 2))
        weights = self.packed(np.ones_like(self.shifts), self.shifts)
        found = self._run(batch, weights, self.scales, self.biases, groups, table, seen)
        return found, (seen[0, :, 0], seen[0, :, 1])

    def infer(
        self, images: Iterable[np.ndarray], mean: np.ndarray, variance: np.ndarray
    ) -> list[np.ndarray]:
        """Features of each part of the images."""
        gains, shifts = np.ones_like(self.shifts), self.shifts.copy()
        for _, own in self.norms:
            gain = self.scales[own] / np.sqrt(variance[own] + EPSILON)
            gains[own], shifts[own] = gain, self.biases[own] - mean[own] * gain
        weights = self.packed(gains, shifts)
        none = np.zeros((0, 0, 2))
        return [self._run(part, weights, gains, shifts, cores(), none, none) for part in images]

    def packed(self, gains: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        weights = aligned(1, self.plan.weights)[0]
        program = self.plan.rows
        counter = np.zeros(1, np.int64)
        shared(lambda _: pack(program, self.kernels, gains, shifts, weights, counter), cores())
        return weights

    def _run(
        self,
        images: np.ndarray,
        weights: np.ndarray,
        gains: np.ndarray,
        shifts: np.ndarray,
        rows: int,
        table: np.ndarray,
        seen: np.ndarray,
    ) -> np.ndarray:
        threads = min(cores(), -(-len(images) // LANES))
        program = self.plan.program(_memory.bases(self.plan.planes, max(rows, cores())))
        maps = _memory.maps
        images = np.ascontiguousarray(images, np.float32)
        found = np.empty((len(images), self.network.graph.features), np.float32)
        scratch = aligned(threads, 3 * (self.plan.widest + 2) * LANES)
        counter = np.zeros(1, np.int64)
        shared(
            lambda me: run(
                program, maps, weights, gains, shifts, images, found, scratch, counter,
                table, seen, NO_BITS, me, threads,
            ),
            threads,
        )  # fmt: skip
        return found
