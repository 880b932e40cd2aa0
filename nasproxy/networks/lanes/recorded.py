"""A pass in training mode that is kept, to be looked into and pulled back through."""

import weakref
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from nasproxy.networks.initialised import Initialised
from nasproxy.networks.lanes.engine import Memory, Prepared, aligned, alone, shared
from nasproxy.networks.lanes.layers import EPSILON
from nasproxy.networks.lanes.passes import pack, run
from nasproxy.networks.lanes.plan import Place, Stage
from nasproxy.networks.lanes.tape import Tape, push_program, pushes, tape
from nasproxy.networks.lanes.tile import LANES
from nasproxy.networks.lanes.way import Way, Wish, way
from nasproxy.threads import cores

HELD_BYTES = 4 * 2**30
"""Memory up to which all that is spare is kept for the next pass: what a network of NAS-Bench-101
takes at full width. To be given it anew, page by page, takes as long as a third of the pass."""

SPARE = 4
"""Memories that curvature takes: values and cotangents, and what either move by."""

_spare: list[Memory] = []


def _lent(user: object) -> Memory:
    """A memory that nobody else has until the user is gone."""
    try:
        memory = _spare.pop()
    except IndexError:
        memory = Memory()
    weakref.finalize(user, _returned, memory)
    return memory


def _returned(memory: Memory) -> None:
    held = sum(other.maps.nbytes for other in _spare)
    if held + memory.maps.nbytes <= HELD_BYTES and len(_spare) < SPARE:
        _spare.append(memory)


class Recorded:
    """A pass forward in training mode.

    Attributes:
        network: that was run.
        features: ``[n, d]``.
        statistics: mean and biased variance of the batch by step, where batch norm ran.
        agreements: by step with ReLUs, see :class:`nasproxy.networks.passes.Forward`.
    """

    def __init__(
        self,
        network: Initialised,
        images: Float[np.ndarray, "n h w c"],
        *,
        signs: bool = False,
        keep: bool = True,
    ):
        """Runs the network; without ``keep`` there is no way back, and maps alone are kept.

        ``signs`` says whether agreements are counted.
        """
        self.network = network
        self.images = len(images)
        self.keep = keep
        self._tape: Tape = tape(network.graph, signs=signs, keep=keep)
        self._memory = _lent(self)
        with alone:
            self._run(np.ascontiguousarray(images, np.float32))

    @property
    def _groups(self) -> int:
        return -(-self.images // LANES)

    def _run(self, images: np.ndarray) -> None:
        plan, signs = self._tape.plan, self._tape.signs
        prepared = self._prepared = Prepared(self.network, plan)
        threads = min(cores(), self._groups)
        weights = prepared.packed(np.ones_like(prepared.shifts), prepared.shifts)
        self._bases = self._memory.bases(plan.planes, self._groups)
        program, maps = plan.program(self._bases), self._memory.maps
        table = np.zeros((self._groups, plan.channels, 2))
        seen = np.zeros((threads, plan.channels, 2))
        words = signs[-1].first + signs[-1].words if signs else 0
        bits = np.zeros((self._groups * LANES, words), np.uint64)
        found = np.empty((self.images, self.network.graph.features), np.float32)
        scratch = aligned(threads, 3 * (plan.widest + 2) * LANES)
        counter = np.zeros(1, np.int64)
        shared(
            lambda me: run(
                program, maps, weights, prepared.scales, prepared.biases, images, found, scratch,
                counter, table, seen, bits, me, threads,
            ),
            threads,
        )  # fmt: skip
        self.features = found
        self.moments = seen[0]
        self.statistics: list[dict[str, np.ndarray]] = [{} for _ in self.network.graph.steps]
        for step, own in prepared.norms:
            self.statistics[step] = {"mean": seen[0, own, 0], "variance": seen[0, own, 1]}
        self.agreements = self._agreements(bits)

    def _agreements(self, bits: np.ndarray) -> list[np.ndarray | None]:
        found: list[Any] = [None] * len(self.network.graph.steps)
        signs = self._tape.signs
        if not signs:
            return found
        from nasproxy.networks.lanes.returning import disagree

        bounds = np.array([(s.first, s.first + s.words) for s in signs])
        apart = np.zeros((len(signs), self.images, self.images), np.int64)
        counter = np.zeros(1, np.int64)
        shared(lambda _: disagree(bits, bounds, apart, counter), cores())
        for own, differing in zip(signs, apart, strict=True):
            agreeing = own.units - 2.0 * differing
            found[own.step] = agreeing if found[own.step] is None else found[own.step] + agreeing
        return found

    @cached_property
    def logits(self) -> Float[np.ndarray, "n classes"]:
        last = self.network.given[-1]
        return self.features @ last["kernel"] + last.get("bias", np.float32(0))

    def has(self, number: int) -> bool:
        """Whether a value was kept; that of a step without effect never is."""
        return number in self._tape.places

    def value(self, number: int) -> Float[np.ndarray, "n h w c"]:
        """A value that was kept, in the network's own shape."""
        place = self._tape.places[number]
        channels = self.network.graph.shapes[number][-1]
        return _read(self._memory.maps, self._bases, place, channels, self.images)

    def pull(
        self,
        seeds: Mapping[int, Float[np.ndarray, "n ..."]],
        *,
        salience: bool = False,
        to_params: bool = True,
        to_images: bool = False,
    ) -> "Pull":
        """From cotangents of values to those of kernels and images.

        Args:
            seeds: of values, ``[n, h, w, c]`` or of the features ``[n, d]``.
            salience, to_params, to_images: see :func:`nasproxy.networks.passes.backward`.
        """
        wish = Wish(tuple(sorted(seeds)), salience, to_params, to_images)
        return self._pull(wish, seeds, {}, None)

    def push(self, moving: frozenset[int]) -> "Moved | None":
        """What values move by where the kernels of some steps each move by themselves.

        None where that is not known: see :func:`~nasproxy.networks.lanes.tape.pushes`.
        """
        assert self.keep
        graph = self.network.graph
        moved: set[int] = set()
        for position, step in enumerate(graph.steps[:-1]):
            if graph.live[position] and (
                position in moving or any(i in moved for i in step.inputs)
            ):
                moved.add(position + 1)
        if not pushes(self._tape, frozenset(i - 1 for i in moved)):
            return None
        found = Moved(frozenset(moved), moving, np.zeros_like(self.features))
        if moved:
            with alone:
                self._push(found)
        return found

    def _push(self, found: "Moved") -> None:
        from nasproxy.networks.lanes.pushing import push

        plan, prepared = self._tape.plan, self._prepared
        found.memory = _lent(found)
        bases = found.memory.bases(plan.planes, self._groups, self._memory)
        program = push_program(self._tape, bases, found.values, found.moving)
        threads = min(cores(), self._groups)
        weights = prepared.packed(np.ones_like(prepared.shifts), np.zeros_like(prepared.shifts))
        table = np.zeros((self._groups, plan.channels, 2))
        scratch = aligned(threads, 3 * (plan.widest + 2) * LANES)
        counter = np.zeros(1, np.int64)
        maps, moves = self._memory.maps, found.memory.maps
        shared(
            lambda me: push(
                program, maps, moves, weights, self.moments, self._gains, prepared.biases,
                self.images, found.features, table, scratch, counter, me, threads,
            ),
            threads,
        )  # fmt: skip

    def pull_moved(
        self,
        moved: "Moved",
        changes: Float[np.ndarray, "n d"],
        cotangent: Float[np.ndarray, "n d"],
    ) -> "Pull":
        """What gradients of kernels move by, from the features' cotangent and what it moves by."""
        seed = len(self.network.graph.steps) - 1
        wish = Wish((seed,), False, True, False, moved.values, moved.moving)
        return self._pull(wish, {seed: changes}, {seed: cotangent}, moved)

    @cached_property
    def _gains(self) -> np.ndarray:
        return (self._prepared.scales / np.sqrt(self.moments[:, 1] + EPSILON)).astype(np.float32)

    def _pull(
        self,
        wish: Wish,
        seeds: Mapping[int, np.ndarray],
        still: Mapping[int, np.ndarray],
        moved: "Moved | None",
    ) -> "Pull":
        assert self.keep
        with alone:
            return self._pulled(way(self._tape, wish), wish, _flat(seeds), _flat(still), moved)

    def _pulled(
        self, made: Way, wish: Wish, given: np.ndarray, fixed: np.ndarray, moved: "Moved | None"
    ) -> "Pull":
        from nasproxy.networks.lanes.returning import back

        network, plan = self.network, made.plan
        threads = min(cores(), self._groups)
        turned = [
            np.ravel(network.given[step][name][::-1, ::-1].swapaxes(2, 3))
            for step, name in plan.kernels
        ]
        kernels = np.concatenate([np.zeros(0, np.float32), *turned])
        weights = aligned(1, plan.weights)[0]
        ones, zeros = np.ones(plan.channels, np.float32), np.zeros(plan.channels, np.float32)
        counter = np.zeros(1, np.int64)
        shared(lambda _: pack(plan.rows, kernels, ones, zeros, weights, counter), cores())

        pulled = Pull()
        memory = _lent(pulled)
        bases = memory.bases(plan.planes, self._groups)
        program = made.program(bases, self._bases)
        maps, cots = self._memory.maps, memory.maps
        moves, still = maps, cots
        if moved is not None and moved.values:
            other = _lent(moved)
            other.bases(plan.planes, self._groups, memory)
            assert moved.memory is not None
            moves, still = moved.memory.maps, other.maps
        gradients, salient, _ = made.sizes
        summed = np.zeros(gradients, np.float32)
        saliences = np.zeros((self._groups, salient))
        count = self.images if wish.to_images else 0
        images = np.zeros((count, *network.graph.image_shape), np.float32)
        table = np.zeros((self._groups, len(self.moments), 7))
        widest = max(plan.widest, self._tape.plan.widest)
        scratch = aligned(threads, 7 * (widest + 2) * LANES)
        counter = np.zeros(1, np.int64)
        shared(
            lambda me: back(
                program, maps, moves, cots, still, weights, self.moments, self._gains,
                self._prepared.biases, given, fixed, self.images, summed, table, saliences, images,
                scratch, counter, me, threads,
            ),
            threads,
        )  # fmt: skip
        for step, shape, place in made.gradients:
            size = int(np.prod(shape))
            pulled.gradients[step] = summed[place : place + size].reshape(shape)
        for step, first, channels in made.saliences:
            own = saliences[:, first : first + channels].sum(0)
            pulled.saliences[step] = own / (2 * self.images)
        pulled.images = images
        return pulled


class Moved:
    """What values move by.

    Attributes:
        values: that move.
        moving: steps whose kernels move.
        features: what these move by, ``[n, d]``.
        memory: of the others, laid out as the values' is.
    """

    def __init__(
        self, values: frozenset[int], moving: frozenset[int], features: Float[np.ndarray, "n d"]
    ):
        self.values, self.moving, self.features = values, moving, features
        self.memory: Memory | None = None


class Pull:
    """What a way back gave.

    Attributes:
        gradients: of each step's kernel.
        saliences: of each step's channels.
        images: cotangents ``[n, h, w, c]``, of none if they were not asked for.
    """

    def __init__(self) -> None:
        self.gradients: dict[int, np.ndarray] = {}
        self.saliences: dict[int, np.ndarray] = {}
        self.images: np.ndarray = np.zeros((0, 0, 0, 0), np.float32)


def _read(
    maps: np.ndarray, bases: dict[Stage, int], place: Place, channels: int, images: int
) -> np.ndarray:
    """A map out of the memory, ``[n, h, w, c]``."""
    stage = place.stage
    begin = bases[stage] + place.plane * stage.plane
    planes = maps[: -(-images // LANES), begin : begin + channels * stage.plane]
    planes = planes.reshape(len(planes), channels, stage.plane)
    rows = stage.height + 2 * stage.frame
    framed = planes[:, :, : rows * stage.row].reshape(len(planes), channels, rows, -1, LANES)
    inside = slice(stage.frame, -stage.frame)
    return (
        framed[:, :, inside, inside]
        .transpose(0, 4, 2, 3, 1)
        .reshape(-1, stage.height, stage.width, channels)[:images]
    )


def _flat(seeds: Mapping[int, np.ndarray]) -> np.ndarray:
    ordered = [np.ravel(np.asarray(seeds[value], np.float32)) for value in sorted(seeds)]
    return np.concatenate([np.zeros(0, np.float32), *ordered])
