"""Trying a target: what was accepted, what was refused in a line, and what was neither."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import numpy as np

from nasproxy.errors import NasproxyError
from tests.fuzz.targets import Target

LONGEST = 2_100
"""Characters of a clear message."""
SECONDS = 20
"""That one input may take."""


class Slow(BaseException):
    """An input took too long."""


@dataclass
class Tally:
    """What became of the inputs of a target.

    Attributes:
        accepted, refused: how many.
        unclear: what was neither, each with the error.
        slowest: seconds of one input.
    """

    accepted: int = 0
    refused: int = 0
    unclear: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def tried(self) -> int:
        return self.accepted + self.refused + len(self.unclear)


def try_one(target: Target, rng: np.random.Generator, tally: Tally) -> None:
    """One more input."""
    attempt = target(rng)
    start = time.perf_counter()
    try:
        with _limit():
            attempt.run()
        tally.accepted += 1
    except NasproxyError as error:
        if "\n" in str(error) or len(str(error)) > LONGEST or not str(error):
            tally.unclear.append(f"{attempt.said[:200]}: {len(str(error))} characters, not a line")
        tally.refused += 1
    except (Exception, Slow) as error:
        said = f"{attempt.said[:200]}: {type(error).__name__}: {str(error)[:200]}"
        tally.unclear.append(" ".join(said.split()))
    tally.slowest = max(tally.slowest, time.perf_counter() - start)


@contextmanager
def _limit() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Slow(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
