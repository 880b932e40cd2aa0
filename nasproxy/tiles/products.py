"""Products with a stored kernel: a tile is read once, ahead of its use, for all columns."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray

from nasproxy.tiles import file
from nasproxy.tiles.layout import Manifest, Place

AHEAD = 2
"""Tiles that are read while one is multiplied."""


class Read(NamedTuple):
    """A tile, valid until the next is asked for."""

    place: Place
    entries: NDArray[Any]


class Reader:
    """Tiles of a folder, in the order that is asked for.

    As many as fit into ``memory`` bytes stay there from one pass to the next; the others are read
    into ``AHEAD + 1`` buffers, which are part of it. A tile's checksum is looked at when it is read
    for the first time.
    """

    def __init__(self, folder: Path, manifest: Manifest, memory: float) -> None:
        self._folder, self._manifest = folder, manifest
        itemsize = np.dtype(manifest.dtype).itemsize
        side = min(manifest.side, max(manifest.points, manifest.valid))
        self._largest = side**2 * itemsize
        self._room = memory - (AHEAD + 1) * self._largest
        self._kept: dict[Place, NDArray[Any]] = {}
        self._known: set[Place] = set()

    def stream(self, places: Iterable[Place]) -> Iterator[Read]:
        """The tiles of some places, in this order.

        Raises:
            StoreError: one is missing, torn, another's, altered, or holds NaN; names the file.
        """
        free = deque[NDArray[Any]]()
        waiting: deque[tuple[Place, Future[NDArray[Any]] | NDArray[Any], Any]] = deque()
        left = iter(places)
        with _readers() as readers:
            while True:
                while len(waiting) <= AHEAD and (place := next(left, None)) is not None:
                    waiting.append(self._ask(place, free, readers))
                if not waiting:
                    return
                place, found, buffer = waiting.popleft()
                entries = found.result() if isinstance(found, Future) else found
                self._known.add(place)
                yield Read(place, entries)
                if buffer is not None:
                    free.append(buffer)

    def look(self, place: Place) -> NDArray[Any]:
        """A tile to take a few entries from, which are read where they lie if it is not kept."""
        kept = self._kept.get(place)
        return file.mapped(self._folder, self._manifest, place) if kept is None else kept

    def _ask(
        self, place: Place, free: deque[NDArray[Any]], readers: ThreadPoolExecutor
    ) -> tuple[Place, Future[NDArray[Any]] | NDArray[Any], Any]:
        if place in self._kept:
            return place, self._kept[place], None
        check = place not in self._known
        shape = self._manifest.shape(place)
        size = shape[0] * shape[1] * np.dtype(self._manifest.dtype).itemsize
        if size <= self._room:
            self._room -= size
            return place, readers.submit(self._keep, place, size, check), None
        buffer = free.popleft() if free else np.empty(self._largest, np.uint8)
        task = readers.submit(file.read, self._folder, self._manifest, place, buffer, check=check)
        return place, task, buffer

    def _keep(self, place: Place, size: int, check: bool) -> NDArray[Any]:
        try:
            entries = file.read(self._folder, self._manifest, place, check=check)
        except BaseException:
            self._room += size
            raise
        self._kept[place] = entries
        return entries


@contextmanager
def _readers() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="tiles")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def symmetric(
    reader: Reader,
    manifest: Manifest,
    places: Iterable[Place],
    vectors: Float[np.ndarray, "n c"],
) -> Float64[np.ndarray, "n c"]:
    """What some tiles of the upper triangle add to K v of all training points.

    y_I += K_IJ v_J and y_J += K_IJᵀ v_I from one read of a tile, in the vectors' dtype, summed in
    float64.

    Args:
        reader, manifest: of the tiles.
        places: those to read, see :func:`needed`.
        vectors: v, all right-hand sides.
    """
    out = np.zeros(vectors.shape)
    for place, entries in reader.stream(places):
        rows, columns = manifest.span(place.row), manifest.span(place.column)
        entries = entries.astype(vectors.dtype, copy=False)
        out[rows] += entries @ vectors[columns]
        if place.row != place.column:
            out[columns] += entries.T @ vectors[rows]
    return out


def needed(manifest: Manifest, vectors: Float[np.ndarray, "n c"]) -> list[Place]:
    """Tiles of the upper triangle that meet a band where the vectors are not 0 throughout."""
    live = [bool(vectors[manifest.span(band)].any()) for band in range(manifest.bands)]
    return [place for place in manifest.training() if live[place.row] or live[place.column]]


def across(
    reader: Reader,
    manifest: Manifest,
    bands: list[int],
    vectors: Float[np.ndarray, "n c"],
) -> dict[int, Float64[np.ndarray, "m c"]]:
    """K_b v for some bands b of points, training or validation, with all training points."""
    spans = [manifest.span(band) for band in range(manifest.bands)]
    live = [bool(vectors[span].any()) for span in spans]
    shapes = {band: manifest.shape(Place(band, 0))[0] for band in bands}
    out = {band: np.zeros((size, vectors.shape[1])) for band, size in shapes.items()}
    wanted = {
        stored_at(manifest, band, column)
        for band in bands
        for column in range(manifest.bands)
        if live[column]
    }
    for place, entries in reader.stream(sorted(wanted)):
        entries = entries.astype(vectors.dtype, copy=False)
        if place.row in out and live[place.column]:
            out[place.row] += entries @ vectors[spans[place.column]]
        training = place.row < manifest.bands
        if training and place.row != place.column and place.column in out and live[place.row]:
            out[place.column] += entries.T @ vectors[spans[place.row]]
    return out


def stored_at(manifest: Manifest, row: int, column: int) -> Place:
    """Where the block of two bands is stored, transposed if it is on the other side."""
    if (row < manifest.bands) == (column < manifest.bands):
        return Place(min(row, column), max(row, column))
    return Place(max(row, column), min(row, column))  # Of validation points with training points.
