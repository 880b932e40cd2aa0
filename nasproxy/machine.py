"""The machine at hand, by a name that measurements of time are kept under."""

import platform
import re
import resource
import sys
from functools import cache
from pathlib import Path

import jax

from nasproxy.threads import cores


@cache
def name() -> str:
    """What JAX computes on, the processor's model, and how many of its cores may be used.

    It can stand in a proxy's settings, see :func:`plain`.
    """
    return plain(f"{jax.devices()[0].device_kind} {processor()} {cores()} cores")


def plain(text: str) -> str:
    """The text's words of letters, digits and ``. ( ) @ + -``, none of which parts settings."""
    return " ".join(re.sub(r"[^\w.()@+-]", " ", text, flags=re.ASCII).split())


def processor() -> str:
    """The processor's name as the system has it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory() -> float:
    """GiB that this process has held at most.

    On Linux from /proc: there ``ru_maxrss`` is no less than what the program held that started
    this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**20
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**30 if sys.platform == "darwin" else 2**20)  # macOS counts bytes.
