"""The threads that work shares out among a processor's cores."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache


@cache
def pool() -> ThreadPoolExecutor:
    """One thread a core; what runs in it must not wait for it."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="nasproxy")


def cores() -> int:
    """Processors that this process may use, or as many as the variable NPROC says, as for XLA."""
    if (said := os.environ.get("NPROC", "")).isdecimal() and int(said):
        return int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
