"""Threads of one process, or processes of one thread: which is faster was measured."""

from collections.abc import Sequence

import psutil

from nasproxy.networks.layers import Shape
from nasproxy.proxies.base import Proxy
from nasproxy.proxies.nngp import NNGP
from nasproxy.threads import cores

PIXELS = 16 * 16
"""Of images up to which processes are faster. Two against two threads, in NNGP a second:
1.59 times on 8×8, 1.28 on 16×16, 1.02 on 32×32 (results/benchmarks/workers.txt)."""
SCORES = 1_500
"""From which on the gain is more than the seconds that processes take to start."""
BYTES = 2**30
"""That a process may take."""


def processes(proxies: Sequence[Proxy], scores: int, image_shape: Shape) -> int | None:
    """How many processes of this machine to score by; None for this one alone.

    Args:
        proxies: that score; others than the NNGP are as fast on threads, or were not measured.
        scores: an architecture and seed each.
        image_shape: ``(h, w, c)``.
    """
    seeded = [proxy for proxy in proxies if getattr(proxy, "seeded", True)]
    if not seeded or not all(isinstance(proxy, NNGP) for proxy in seeded):
        return None
    if scores < SCORES or image_shape[0] * image_shape[1] > PIXELS:
        return None
    some = min(cores(), psutil.virtual_memory().available // BYTES)
    return some if some > 1 else None
