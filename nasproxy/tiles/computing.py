"""Computing tiles, by this process or others; the files are the only record of what is done."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasproxy.cluster import Crew, Workers
from nasproxy.errors import SettingError, StoreError
from nasproxy.progress import bar
from nasproxy.solvers.kernel import Kernel
from nasproxy.tiles import claims, file
from nasproxy.tiles.layout import Manifest, Place, fingerprint, read_manifest

SECONDS = 60.0
"""A tile's time that a side is chosen for: long against all overheads, short against a kill."""
LARGEST = 4096
"""Side up to which a tile's memory and transfer stay small: 64 MiB of float32."""
FEWEST = 8
"""Bands that there are at least, so that workers and read-ahead have something to share out."""
_WAIT = 0.5
"""Seconds between two looks at tiles that others are computing."""


@dataclass(frozen=True)
class TileJob:
    """Tiles of one folder, for any process that sees it.

    Attributes:
        folder: absolute.
        kernel: a function of two arrays or a kernel object; it is pickled.
        identity: of the manifest, which may not be another in the other process.
    """

    folder: Path
    kernel: Any
    identity: str

    def begin(self) -> Callable[[Place], bool]:
        """From a place to whether its tile is there now; not if somebody else is at it."""
        manifest = read_manifest(self.folder)
        if manifest.identity != self.identity:
            raise SettingError(f"{self.folder} holds other tiles where a worker runs: share it")
        kernel = Kernel(self.kernel)
        inputs = Stored(self.folder, manifest)

        def make(place: Place) -> bool:
            if file.exists(self.folder, place):
                return True
            with claims.claim(self.folder, place) as mine:
                if not mine:
                    return False
                if not file.exists(self.folder, place):  # Made since we looked.
                    file.write(self.folder, manifest, place, block(kernel, inputs, place))
            return True

        return make


class Stored:
    """The inputs in a folder, a band of them at a time in memory."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Raises StoreError if they are not there or of another number."""
        self._folder, self._manifest = folder, manifest
        self._train = self._opened("inputs.npy", manifest.points)
        self._valid = self._train[:0]
        if manifest.valid:
            self._valid = self._opened("inputs_valid.npy", manifest.valid)

    def _opened(self, name: str, count: int) -> NDArray[Any]:
        path = self._folder / name
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"{path} cannot be read ({error}): restore it from a copy") from error
        if len(found) != count:
            raise StoreError(f"{path} has {len(found)} inputs, not {count}: restore it from a copy")
        return found

    def verify(self) -> None:
        """Raises StoreError if they are others than the tiles were begun with."""
        valid = self._valid if self._manifest.valid else None
        if fingerprint(self._train, valid) != self._manifest.data:
            raise StoreError(
                f"the inputs in {self._folder} are not those that its tiles were begun with: "
                "restore them from a copy, or begin again in another folder"
            )

    def band(self, band: int) -> NDArray[Any]:
        """``[side, ...]``, or as many as there are."""
        span, n = self._manifest.span(band), self._manifest.points
        if band < self._manifest.bands:
            return np.array(self._train[span])
        return np.array(self._valid[span.start - n : span.stop - n])


def block(kernel: Kernel, inputs: Stored, place: Place) -> NDArray[Any]:
    """A tile's entries, half of the work on the diagonal where the kernel can tell."""
    rows = kernel.prepare(inputs.band(place.row))
    if place.row != place.column:
        return np.asarray(kernel(rows, kernel.prepare(inputs.band(place.column))))
    made = np.array(kernel(rows))
    made = (made + made.T) / 2  # Rounding is not symmetric.
    if kernel.knows_diagonal:
        np.fill_diagonal(made, kernel.diagonal(rows))
    return made


def compute(
    folder: Path, kernel: Any, manifest: Manifest, workers: Workers | None, *, progress: bool
) -> int:
    """Computes what is missing, until all is there; returns the number of tiles it waited for.

    What others are computing is waited for, and taken over if they die.

    Raises:
        DataError: the kernel gives NaN or infinity somewhere.
        ScoringError: processes died over one tile again and again.
        StoreError: a tile cannot be written, or the inputs beside them cannot be read.
    """
    claims.sweep(folder)
    missing = [place for place in manifest.places() if not file.exists(folder, place)]
    # Two drivers of one folder begin at different places, and meet late.
    turn = int.from_bytes(os.urandom(4), "little") % max(len(missing), 1)
    missing = missing[turn:] + missing[:turn]
    wanted = len(missing)
    job = TileJob(folder, kernel, manifest.identity)
    done = manifest.count - wanted
    with bar("tiles", manifest.count, done, shown=progress) as advance:
        if workers is None:
            _here(job, missing, advance)
        else:
            with Crew(workers) as crew:
                while missing:
                    busy: list[Place] = []
                    for chunk in crew.run(job, missing):
                        for place, there in chunk:
                            advance() if there else busy.append(missing[place])
                    missing = busy
                    if missing:
                        time.sleep(_WAIT)
    return wanted


def _here(job: TileJob, missing: list[Place], advance: Callable[[], None]) -> None:
    make = job.begin()
    while missing:
        busy: list[Place] = []
        for place in missing:
            advance() if make(place) else busy.append(place)
        missing = busy
        if missing:
            time.sleep(_WAIT)


def chosen_side(kernel: Kernel, x: NDArray[Any], memory: float) -> int:
    """A side by a timed sample: a tile takes about a minute, 8 bands at least, bounded memory.

    Args:
        kernel: of the inputs.
        x: training inputs ``[n, ...]``.
        memory: bytes that tiles may take in a solve; three have to fit.
    """
    n = len(x)
    count, seconds = min(64, n), 0.0
    while True:
        some, other = kernel.prepare(x[:count]), kernel.prepare(x[-count:])
        kernel(some, other)  # The first call may compile.
        start = time.perf_counter()
        made = np.asarray(kernel(some, other))
        seconds = time.perf_counter() - start
        if seconds > 0.2 or count == min(512, n):
            break
        count = min(512, n)
    allowed = (SECONDS / max(seconds, 1e-9)) ** 0.5 * count
    bounds = (allowed, LARGEST, (memory / 3 / made.itemsize) ** 0.5, -(-n // FEWEST) + 63)
    return max(64, int(min(bounds)) // 64 * 64)
