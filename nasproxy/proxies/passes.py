"""Proxies that are read off passes through one fresh network, and the passes that they share.

A proxy says what passes it wants; those of several proxies with the same batch, weights and mode
are one, forward, and one back for each cotangent. What a proxy takes from a layer it reduces at
once, so that memory does not grow with the number of proxies.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float, Int

from nasproxy.checks import Flag, OneOf, Optional, Rule, Whole, check
from nasproxy.data import Dataset
from nasproxy.networks import passes
from nasproxy.networks.differentiation import cross_entropy
from nasproxy.networks.drawing import INITS, OWN, drawn
from nasproxy.networks.execution import Variables
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import MODES, TRAINING, Arrays
from nasproxy.networks.passes import Forward, Pulled
from nasproxy.proxies.base import NoScore, Score, Scorer, on_width
from nasproxy.proxies.batches import DATA, Batch, Images
from nasproxy.space import SearchSpace

LOSS, SUM = "loss", "sum"
"""Cotangents: of the mean cross-entropy, and of the sum of all logits."""
UNITS, SALIENCE, INPUTS, DEAD = "units", "salience", "inputs", "dead"
"""What else may be wanted of a pass: agreements of units, saliences, the images' cotangent, and
the steps that the logits do not depend on."""


@dataclass(frozen=True)
class Pass:
    """What is run: proxies that name the same share it.

    Attributes:
        batch: the images.
        init: how weights are drawn, one of :data:`~nasproxy.networks.drawing.INITS`.
        mode: of batch norm.
        magnitudes: whether weights are replaced by their absolute values, in float64.
    """

    batch: Batch
    init: str = OWN
    mode: str = TRAINING
    magnitudes: bool = False


@dataclass(frozen=True)
class Wanted:
    """What a proxy wants of a pass.

    Attributes:
        of: the pass.
        back: cotangents that are pulled back, of ``LOSS`` and ``SUM``.
        also: of ``UNITS``, ``SALIENCE``, ``INPUTS`` and ``DEAD``.
        keep: whether all values are looked at, though nothing is pulled back.
        maps: whether what the last but one step reads is.
        params: whether the parameters' cotangents are looked at.
    """

    of: Pass
    back: tuple[str, ...] = ()
    also: frozenset[str] = frozenset()
    keep: bool = False
    maps: bool = False
    params: bool = True


@dataclass(frozen=True, eq=False)
class Run:
    """A pass as it is run.

    Attributes:
        of: what was wanted.
        network: with its weights; ``own`` cuts padding.
        labels: of the images, ``[n]``.
        forward: what it left.
        seed: of the score, for what else is drawn.
    """

    of: Pass
    network: Initialised
    labels: Int[np.ndarray, " n"]
    forward: Forward
    seed: int = 0

    @cached_property
    def weights(self) -> Variables:
        """Parameters on the host, in the network's own shapes."""
        return [self.network.own(i, arrays) for i, arrays in enumerate(self.forward.params)]

    def kernels(self, step: int, grads: Arrays) -> list[tuple[Any, Any]]:
        """Of a step's kernels, each with its gradient, on the host and without padding."""
        own = self.network.own(step, grads)
        names = passes.kernels(self.network.graph.steps[step].layer)
        return [
            (np.asarray(self.weights[step][name]), np.asarray(own[name]))
            for name in names
            if name in own
        ]


class Reader:
    """Takes one network's score from its passes; what it does not override it does not need."""

    def forward(self, run: Run) -> None:
        """After a pass forward."""

    def step(self, run: Run, back: str, step: int, pulled: Pulled) -> None:
        """After a step was pulled back through; of the images step is ``passes.IMAGES``."""

    def after(self, run: Run) -> None:
        """When nothing more is pulled back through a pass, whose values are still there."""

    def score(self) -> float | Score:
        """After all passes; raises NoScore for none."""
        raise NotImplementedError


@dataclass(frozen=True)
class OfPasses:
    """A proxy that a :class:`Reader` takes from passes; subclasses say which, and by what.

    Attributes:
        batch: images of a pass.
        width: channels of the stem; None for the space's.
        batch_norm: ``training``, by the batch's statistics; ``inference``, by mean 0 and variance
            1; ``bypassed``, left out.
        init: how weights are drawn, see :data:`~nasproxy.networks.drawing.INITS`.
        balanced: whether classes are equally frequent in a batch.
        augment: whether images are cropped and flipped at random.
    """

    batch: int = 64
    width: int | None = None
    batch_norm: str = TRAINING
    init: str = OWN
    balanced: bool = True
    augment: bool = False

    name: ClassVar[str]
    inside: ClassVar[bool] = False
    """Whether it looks inside layers, so that it cannot score those of which nothing is known."""
    rules: ClassVar[dict[str, Rule]] = {}

    def __post_init__(self) -> None:
        usual: dict[str, Rule] = {
            "batch": Whole(2, hint="one has no variance"),
            "width": Optional(Whole()),
            "batch_norm": OneOf(*MODES),
            "init": OneOf(*INITS),
            "balanced": Flag(),
            "augment": Flag(),
        }
        check(self.name, self, **(usual | self.rules))

    def of_data(self, number: int = 0) -> Pass:
        """A pass of training images under the proxy's conditions."""
        batch = Batch(DATA, self.batch, number, self.balanced, self.augment)
        return Pass(batch, self.init, self.batch_norm)

    def wanted(self) -> tuple[Wanted, ...]:
        """The passes; of none, the weights of ``of_data()`` alone are drawn."""
        raise NotImplementedError

    def reader(self, graph: Graph) -> Reader:
        """For one network; raises NoScore where there can be no score."""
        raise NotImplementedError

    def check_data(self, labels: Int[np.ndarray, " n"]) -> None:
        """Raises DataError for images that no network can be scored on."""

    def prepare(self, space: SearchSpace[Any], data: Dataset, seed: int) -> Scorer:
        together = prepare([self], on_width(self, space)[1], data, seed)

        def score(architecture: object) -> Score:
            (made,) = together(architecture, (0,))
            if isinstance(made, Exception):
                raise made
            return made.score

        return score


@dataclass(frozen=True)
class Shared:
    """A score of several that were made together.

    Attributes:
        score: it.
        seconds: what it would have taken about: of its own passes, and of what only it did.
    """

    score: Score
    seconds: float


Together = Callable[[Any, Sequence[int]], list[Shared | Exception]]
"""From an architecture, and the places of those proxies that are to score it, to their scores, or
what each of them raised."""


def prepare(
    proxies: Sequence[OfPasses], space: SearchSpace[Any], data: Dataset, seed: int
) -> Together:
    """Makes proxies ready to score architectures together.

    Args:
        proxies: of one width, which ``space`` has.
        space, data, seed: as for :meth:`nasproxy.proxies.Proxy.prepare`.

    Raises:
        SettingError, DataError: as there.
    """
    images = Images(data, seed)
    for proxy in proxies:
        for wanted in proxy.wanted():
            proxy.check_data(images.labels(wanted.of.batch))

    def score(architecture: Any, places: Sequence[int]) -> list[Shared | Exception]:
        graph = space.graph(architecture, data.image_shape, data.classes)
        jobs = [_Job(proxies[place], graph) for place in places]
        networks: dict[str, Initialised] = {}

        def network(init: str) -> Initialised:
            if init not in networks:
                networks[init] = drawn(graph, (seed, 0), init)
            return networks[init]

        for job in jobs:
            job.guarded(lambda job=job: job.begin(network))
        for of in dict.fromkeys(w.of for job in jobs for w in job.wanted):
            _run(of, [job for job in jobs if job.open], network, images)
        return [job.end(graph) for job in jobs]

    return score


@dataclass(eq=False)
class _Job:
    """One proxy's part in one architecture's score."""

    proxy: OfPasses
    graph: Graph
    seconds: float = 0.0
    error: Exception | None = None
    reading: Reader = field(default_factory=Reader)

    @cached_property
    def wanted(self) -> tuple[Wanted, ...]:
        return self.proxy.wanted()

    @property
    def open(self) -> bool:
        return self.error is None

    def guarded(self, step: Callable[[], Any]) -> Any:
        """Does something that is this proxy's own, unless it has failed; counts the time."""
        if self.error is not None:
            return None
        start = time.perf_counter()
        try:
            return step()
        except Exception as error:  # Whose fault it is, scoring decides, for each by itself.
            self.error = error
            return None
        finally:
            self.seconds += time.perf_counter() - start

    def begin(self, network: Callable[[str], Initialised]) -> None:
        if self.proxy.inside:
            for step in self.graph.steps:
                if not passes.sighted(step.layer):
                    raise NoScore(
                        f"{self.proxy.name} looks inside layers, and {type(step.layer).__name__} "
                        f"({step.name}) does not say what is inside: choose another proxy"
                    )
        self.reading = self.proxy.reader(self.graph)
        if not self.wanted:
            alone = network(self.proxy.init)
            none = np.zeros(0, np.int32)
            host = Forward(alone.graph, alone.given, self.proxy.batch_norm, [], [], [], [])
            self.reading.forward(Run(self.proxy.of_data(), alone, none, host))

    def end(self, graph: Graph) -> Shared | Exception:
        made = self.guarded(self.reading.score)
        if self.error is not None:
            return self.error
        if not isinstance(made, Score):
            flops = sum(_flops(graph, wanted) for wanted in self.wanted)
            made = Score(float(made), float(flops))
        return Shared(made, self.seconds)


def _flops(graph: Graph, wanted: Wanted) -> int:
    """A pass costs F an image, and 2F back for each cotangent, or F without parameters'."""
    back = 2 if wanted.params else 1
    return graph.flops * wanted.of.batch.size * (1 + back * len(wanted.back))


def _run(of: Pass, jobs: list[_Job], network: Callable[[str], Initialised], images: Images) -> None:
    """One pass, for all who want it."""
    asking = [(job, w) for job in jobs for w in job.wanted if w.of == of]
    if not asking:
        return
    also = frozenset[str]().union(*(w.also for _, w in asking))
    backs = dict.fromkeys(back for _, w in asking for back in w.back)
    start = time.perf_counter()

    def passed(some: list[tuple[_Job, Wanted]]) -> None:
        """Charges everyone with the time since the last charge."""
        nonlocal start
        now = time.perf_counter()
        for job, _ in some:
            job.seconds += now - start
        start = now

    with jax.enable_x64(True) if of.magnitudes else contextlib.nullcontext():
        one = network(of.init)
        params = _magnitudes(one) if of.magnitudes else one.weights
        batch, labels = images.batch(of.batch, of.magnitudes)
        forward = passes.forward(
            one,
            params,
            batch,
            of.mode,
            keep=bool(backs) or any(w.keep for _, w in asking),
            units=UNITS in also,
            dead=DEAD in also,
            maps=any(w.maps for _, w in asking),
            looked=any(w.keep for _, w in asking),
        )
        run = Run(of, one, labels, forward, images.seed)
        jax.block_until_ready(forward.logits)
        passed(asking)
        for job, _ in asking:
            job.guarded(lambda job=job: job.reading.forward(run))
        for back in backs:
            readers = [(job, w) for job, w in asking if back in w.back]
            wants = frozenset[str]().union(*(w.also for _, w in readers))
            start = time.perf_counter()
            pulled = passes.backward(
                forward,
                _cotangent(back, forward.logits, labels),
                salience=SALIENCE in wants,
                to_params=any(w.params for _, w in readers),
                to_images=INPUTS in wants,
            )
            for step, one_step in pulled:
                jax.block_until_ready(one_step.grads)
                passed(readers)
                for job, _ in readers:
                    job.guarded(
                        lambda job=job, back=back, step=step, one_step=one_step: job.reading.step(
                            run, back, step, one_step
                        )
                    )
                start = time.perf_counter()
        for job, _ in asking:
            job.guarded(lambda job=job: job.reading.after(run))


def _magnitudes(network: Initialised) -> Variables:
    return [
        {name: abs(jax.device_put(np.asarray(a, np.float64))) for name, a in arrays.items()}
        for arrays in network.weights
    ]


def _cotangent(
    back: str, logits: Float[jax.Array, "n classes"], labels: Int[np.ndarray, " n"]
) -> Float[jax.Array, "n classes"]:
    if back == LOSS:
        return cross_entropy(logits, jax.device_put(labels))[2]
    return jax.device_put(np.ones(logits.shape, logits.dtype))


def no_gradient() -> NoScore:
    """Of a network whose kernels no gradient reaches."""
    return NoScore("no gradient reaches a kernel: the logits do not depend on the images")


def finite(value: float, what: str) -> float:
    """The value; raises NoScore if it is NaN or infinite."""
    if not np.isfinite(value):
        raise NoScore(f"{what} overflows: it is {value}")
    return value
