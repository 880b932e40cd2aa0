"""From one architecture to its record, wherever the work is done."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import FrameType
from typing import Any

from nasproxy.data import Dataset
from nasproxy.errors import ScoringError, SettingError
from nasproxy.proxies import passes
from nasproxy.proxies.base import NoScore, Proxy, Score, on_machine, on_width, plain
from nasproxy.scoring.failure import Fault, TookTooLong, fault
from nasproxy.settings import describe
from nasproxy.space import SearchSpace
from nasproxy.store import Key, Record

LONGEST = 500
"""Characters of a failure's reason: a message of ours, not a compiler's."""

Outcome = tuple[Record, Fault | None]
"""A record, and of a failed one whose fault it is."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One proxy on one space, data set and seed; it can be sent to other processes.

    Attributes:
        proxy, space, data, seed: as in :func:`nasproxy.score`.
        drawn: how the architectures were drawn, for the record.
        timeout: seconds that an architecture may take; None for any.
    """

    proxy: Proxy
    space: SearchSpace[Any]
    data: Dataset
    seed: int
    drawn: str | None = None
    timeout: float | None = None

    @cached_property
    def run(self) -> tuple[str, str, str, int]:
        """Space, proxy, data and seed as stores know them; time is filed under this machine."""
        return (*run_id(self.space, self.proxy), data_id(self.data), self.seed)

    def begin(self) -> Callable[[Any], Outcome]:
        """Does once what every architecture shares.

        Returns:
            From an architecture to its outcome. It raises what ends the run: see
            :mod:`nasproxy.scoring.failure`.

        Raises:
            SettingError, DataError: settings that do not fit the data.
        """
        proxy, space = on_width(self.proxy, self.space)
        scorer = proxy.prepare(space, self.data, self.seed)
        return lambda architecture: self._evaluated(scorer, space, architecture)

    def _evaluated(
        self, scorer: Callable[[Any], Score], space: SearchSpace[Any], architecture: Any
    ) -> Outcome:
        key = self.key(space, architecture)
        start, result, raised = time.perf_counter(), None, None
        try:
            with _limited(self.timeout):
                result = plain(scorer(architecture))
        except (Exception, TookTooLong) as error:
            raised = error
        seconds = time.perf_counter() - start
        return self.outcome(key, space.to_json(architecture), result, raised, seconds)

    def key(self, space: SearchSpace[Any], architecture: Any) -> Key:
        """What stores know the architecture's score by."""
        named, proxy, data, seed = self.run
        return Key(named, space.key(architecture), proxy, data, seed)

    def outcome(
        self,
        key: Key,
        architecture_json: str,
        result: Score | None,
        raised: BaseException | None,
        seconds: float,
    ) -> Outcome:
        """The record of a score, or of what was raised in its place.

        Raises:
            Exception: what was raised, where it ends the run.
        """
        error, whose = None, None
        if raised is not None:
            whose = fault(raised)
            error = _one_line(_said(raised, whose))
            if whose is Fault.ENVIRONMENT:
                raise ScoringError(
                    f"{self.proxy.name} of {key.architecture} ended the run by {error}: that is no "
                    "fault of the architecture, and is not stored; what was scored before is: mend "
                    "the cause and run again"
                ) from raised
            if whose is Fault.PROGRAM:
                raised.add_note(f"while {self.proxy.name} scored {key.architecture}")
                raise raised
        info: dict[str, Any] = {} if self.drawn is None else {"drawn": self.drawn}
        if result is not None:
            columns = {c: value for c, value in result.columns.items() if math.isfinite(value)}
            info |= result.info | info | {"columns": columns}
            if undefined := sorted(set(result.columns) - set(columns)):
                info["undefined"] = undefined
        record = Record(
            key=key,
            value=result.value if result else None,
            seconds=seconds,
            flops=result.flops if result else 0.0,
            info=info,
            error=error,
            architecture_json=architecture_json,
        )
        return record, whose


@dataclass(frozen=True, eq=False)
class Together:
    """Evaluations that differ in their proxy, whose passes are shared; an item of their work is an
    architecture and the places of those that are to score it.

    Attributes:
        each: the evaluations; their proxies are :class:`~nasproxy.proxies.passes.OfPasses` of one
            width.
    """

    each: tuple[Evaluation, ...]

    def begin(self) -> Callable[[tuple[Any, tuple[int, ...]]], list[Outcome]]:
        """Makes all ready; see :meth:`Evaluation.begin`."""
        first = self.each[0]
        _, space = on_width(first.proxy, first.space)
        proxies: list[Any] = [on_width(one.proxy, one.space)[0] for one in self.each]
        score = passes.prepare(proxies, space, first.data, first.seed)

        def evaluated(item: tuple[Any, tuple[int, ...]]) -> list[Outcome]:
            architecture, places = item
            limit = None if first.timeout is None else first.timeout * len(places)
            start = time.perf_counter()
            made: list[passes.Shared | BaseException]
            try:
                with _limited(limit):
                    made = [*score(architecture, places)]
            except (Exception, TookTooLong) as error:  # of what they share
                made = [error] * len(places)
            share = (time.perf_counter() - start) / len(places)
            text = space.to_json(architecture)
            outcomes = []
            for place, one in zip(places, made, strict=True):
                evaluation = self.each[place]
                key = evaluation.key(space, architecture)
                outcomes.append(self._outcome(evaluation, key, text, one, share))
            return outcomes

        return evaluated

    @staticmethod
    def _outcome(
        evaluation: Evaluation,
        key: Key,
        architecture_json: str,
        made: passes.Shared | BaseException,
        share: float,
    ) -> Outcome:
        if isinstance(made, BaseException):
            return evaluation.outcome(key, architecture_json, None, made, share)
        try:
            result = plain(made.score)
        except NoScore as error:
            return evaluation.outcome(key, architecture_json, None, error, made.seconds)
        return evaluation.outcome(key, architecture_json, result, None, made.seconds)


@dataclass(frozen=True, eq=False)
class Evaluations:
    """Evaluations that differ in their seed, as one job; an item is a place and what is evaluated.

    A process keeps one of them ready, for images and weights take memory: items of one place come
    one after the other.

    Attributes:
        each: the evaluations, or those that are made together.
    """

    each: tuple[Evaluation | Together, ...]

    def begin(self) -> Callable[[tuple[int, Any]], Any]:
        """Makes the first ready; see :meth:`Evaluation.begin`."""
        ready: dict[int, Callable[[Any], Any]] = {0: self.each[0].begin()}

        def evaluated(item: tuple[int, Any]) -> Any:
            place, given = item
            run = ready.get(place)  # Other threads of a process may be at another seed.
            if run is None:
                run = self.each[place].begin()
                ready.clear()
                ready[place] = run
            return run(given)

        return evaluated


def data_id(data: Dataset) -> str:
    """The name by which stores know a data set's contents."""
    return f"{data.name}@{data.fingerprint}"


def run_id(space: SearchSpace[Any], proxy: Proxy) -> tuple[str, str]:
    """The names by which stores know a space and a proxy with all their settings."""
    proxy, space = on_width(on_machine(proxy), space)
    return describe(space, space.name, full=True), describe(proxy, proxy.name, full=True)


@contextmanager
def _limited(seconds: float | None) -> Iterator[None]:
    """Raises TookTooLong in the block after so many seconds, as soon as Python runs again."""
    if seconds is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        raise SettingError("timeout: a limit needs a system with timers, and the main thread")

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"it took longer than {seconds:g} s, the timeout")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _said(raised: BaseException, whose: Fault) -> str:
    """A reason; what says all itself goes without its class."""
    name = type(raised).__name__
    try:
        text = str(raised)
    except Exception:  # One that cannot even be said.
        return name
    plainly = name in ("NoScore", "TookTooLong")
    return text if plainly else f"{name}: {text}".removesuffix(": ")


def _one_line(text: str) -> str:
    """A reason as stores keep it: one line of bounded length that any encoding takes."""
    line = " ".join(text.encode(errors="backslashreplace").decode().split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} … ({len(line):,} characters)"
