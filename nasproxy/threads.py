"""The threads that work shares out among a processor's cores."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController

SMALL = 2048
"""Rows of matrices up to which BLAS gains little from a second core."""


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


@contextmanager
def solving(rows: int) -> Iterator[None]:
    """For solves of so many rows: BLAS keeps to one thread where they are ``SMALL``.

    OpenBLAS's threads go on waiting actively for some 30 ms after a solve, and take their core
    from the network that is run next.
    """
    with _blas().limit(limits=1) if rows <= SMALL else nullcontext():
        yield


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
