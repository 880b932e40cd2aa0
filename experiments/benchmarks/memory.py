"""What a process holds at most while it works, whatever it and its parents held before."""

import threading
from pathlib import Path

import psutil

from nasproxy.kernel_fit import peak_memory

INTERVAL = 0.005
"""Seconds between two looks, where the system keeps no peak that can be reset."""


def anonymous(process: int) -> int:
    """Bytes of anonymous memory that a process holds, pages of files left out; 0 when it is gone.

    Linux only.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return 1024 * int(found[0]) if found else 0  # One that has ended but not been waited for.


class Peak:
    """The most memory held since this was made, beyond what was held then.

    Linux forgets its peak on request. Elsewhere a thread looks at what is held: what comes and goes
    between two looks is missed.
    """

    def __init__(self) -> None:
        self._most = self._before = psutil.Process().memory_info().rss / 2**30
        self._thread: threading.Thread | None = None
        self._done = threading.Event()
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def gib(self) -> float:
        """GiB; ends the measurement."""
        if self._thread is None:
            return peak_memory() - self._before
        self._done.set()
        self._thread.join()
        return self._most - self._before

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self._most = max(self._most, process.memory_info().rss / 2**30)
            if self._done.wait(INTERVAL):
                break
