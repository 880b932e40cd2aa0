"""Several stores as one: shards of a run, or runs of several machines."""

import math
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nasproxy.errors import StoreError
from nasproxy.store.database import Store
from nasproxy.store.rows import Record, record

TOLERANCE = 1e-5
"""Relative difference of one score between machines, whose float32 sums differ in order."""
_BATCH = 1_000


class Merged(NamedTuple):
    """What became of the scores of a store that was merged into another.

    Attributes:
        added: new ones.
        known: that were there already, the same.
        damaged: that were left out.
    """

    added: int = 0
    known: int = 0
    damaged: int = 0


def together(paths: Sequence[str | os.PathLike[str]]) -> Store:
    """One store of all that several hold; of one, that store itself, opened.

    Several are copied into memory, about a kilobyte a score. What they hold more than once counts
    once, the first store's; a success stands for a failure elsewhere.

    Raises:
        StoreError: a file is absent or no store, or two of them have different scores of one key.
    """
    paths = [existing(path) for path in paths]
    if len(paths) == 1:
        return Store(paths[0])
    found = Store(None)
    try:
        for path in paths:
            merge(path, found)
    except BaseException:
        found.close()
        raise
    return found


def merge(path: str | os.PathLike[str], into: Store, *, skip_damaged: bool = False) -> Merged:
    """Adds what a store holds to another, by the thousand; run again after a kill, it goes on.

    Args:
        path: of the store that is read.
        into: what is added to. What it holds already stays; a success stands for a failure.
        skip_damaged: leave out rows whose checksum is wrong instead of raising.

    Raises:
        StoreError: a file that is absent or no store; the two have different scores of one key; or
            a damaged row.
    """
    merged = Merged()
    with Store(existing(path)) as store:
        if into.path is not None and into.path == store.path:
            raise StoreError(f"{path} is to be merged into itself: give --into another file")
        rows = store.rows()
        while page := list(islice(rows, _BATCH)):
            sound, damaged = [], 0
            for row in page:
                try:
                    sound.append(record(row))
                except StoreError:
                    if not skip_damaged:
                        raise
                    damaged += 1
            new = list(_new(sound, into, path))
            into.put_many(new)
            merged = Merged(
                merged.added + len(new),
                merged.known + len(sound) - len(new),
                merged.damaged + damaged,
            )
    return merged


def existing(path: str | os.PathLike[str]) -> Path:
    """The path of a store that is to be read.

    Raises:
        StoreError: there is none: opening it would make an empty one.
    """
    if not Path(path).exists():
        raise StoreError(f"there is no store {path}: make one with nasproxy score --store {path}")
    return Path(path)


def _new(records: list[Record], into: Store, path: str | os.PathLike[str]) -> Iterator[Record]:
    """Those that the other store lacks, or has as failed."""
    groups: dict[tuple[str, str, str, int], list[str]] = {}
    for one in records:
        key = one.key
        groups.setdefault((key.space, key.proxy, key.data, key.seed), []).append(key.architecture)
    there = {run: into.get_many(*run, keys) for run, keys in groups.items()}
    for one in records:
        key = one.key
        known = there[key.space, key.proxy, key.data, key.seed].get(key.architecture)
        if known is None or (known.value is None and one.value is not None):
            yield one
        elif known.value is not None and one.value is not None and not _same(known, one):
            raise StoreError(
                f"{path} has {key.proxy} of {key.architecture} as {one.value:g}, a store before it "
                f"as {known.value:g} ({key.data}, seed {key.seed}): rank them one by one, or leave "
                "one out"
            )


def _same(one: Record, other: Record) -> bool:
    assert one.value is not None
    assert other.value is not None
    return math.isclose(one.value, other.value, rel_tol=TOLERANCE, abs_tol=1e-12)
