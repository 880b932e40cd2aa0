"""Jobs for other processes; they live in a module, since these have to import them."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nasproxy.errors import DataError


@dataclass(frozen=True)
class Squares:
    """Squares, and who made them.

    Attributes:
        folder: where each process that is made ready leaves a file.
        seconds: an item takes.
        deadly: an item over which a process dies, as often as ``deaths``.
        wrong: an item that raises.
    """

    folder: Path
    seconds: float = 0.0
    deadly: int = -1
    deaths: int = 1
    wrong: int = -1

    def begin(self) -> Callable[[int], tuple[int, int]]:
        (self.folder / f"ready-{os.getpid()}-{time.monotonic_ns()}").touch()
        return self._square

    def _square(self, item: int) -> tuple[int, int]:
        time.sleep(self.seconds)
        if item == self.deadly and len(list(self.folder.glob("dead-*"))) < self.deaths:
            (self.folder / f"dead-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if item == self.wrong:
            raise DataError(f"item {item} is wrong")
        return item**2, os.getpid()
