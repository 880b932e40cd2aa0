"""Several stores read as one: shards of a run, or runs of several machines."""

import math
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from nasproxy.errors import StoreError
from nasproxy.store import Record, Store

TOLERANCE = 1e-5
"""Relative difference of one score between machines, whose float32 sums differ in order."""
_BATCH = 1_000


def together(paths: Sequence[str | os.PathLike[str]]) -> Store:
    """One store of all that several hold; of one, that store itself, opened.

    Several are copied into memory, about a kilobyte a score. What they hold more than once counts
    once, the first store's; a success stands for a failure elsewhere.

    Raises:
        StoreError: a file is absent or no store, or two of them have different scores of one key.
    """
    for path in paths:
        if not Path(path).exists():
            raise StoreError(
                f"there is no store {path}: make one with nasproxy score --store {path}"
            )
    if len(paths) == 1:
        return Store(paths[0])
    found = Store(None)
    try:
        for path in paths:
            with Store(path) as store:
                _add(found, store, path)
    except BaseException:
        found.close()
        raise
    return found


def _add(found: Store, store: Store, path: str | os.PathLike[str]) -> None:
    records = store.records()
    while batch := list(islice(records, _BATCH)):
        new = []
        for record in batch:
            known = found.get(record.key)
            if known is None or known.value is None:
                new.append(record)
            elif record.value is not None and not _same(known, record):
                key = record.key
                raise StoreError(
                    f"{path} has {key.proxy} of {key.architecture} as {record.value:g}, a store "
                    f"before it as {known.value:g} ({key.data}, seed {key.seed}): rank them one by "
                    "one, or leave one out"
                )
        found.put_many(new)


def _same(one: Record, other: Record) -> bool:
    assert one.value is not None
    assert other.value is not None
    return math.isclose(one.value, other.value, rel_tol=TOLERANCE)
