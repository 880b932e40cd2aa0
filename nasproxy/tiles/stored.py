"""Kernels of more points than memory holds, in tiles on disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike, NDArray

from nasproxy import files
from nasproxy.arrays import dense
from nasproxy.checks import Flag, Optional, Real, checked
from nasproxy.cluster import Workers
from nasproxy.errors import DataError, SettingError, StoreError
from nasproxy.files import StrPath
from nasproxy.kernels.memory import check_memory
from nasproxy.solvers.kernel import Kernel
from nasproxy.tiles import computing, file, layout, products
from nasproxy.tiles.layout import Manifest, Place, Side
from nasproxy.tiles.spread import Spread

MEMORY = 4.0
"""GiB of tiles in memory, where nothing else is said."""


class Status(NamedTuple):
    """How far a folder is.

    Attributes:
        there, wanted: tiles, and tiles that there are to be.
        bytes: on the disk.
    """

    there: int
    wanted: int
    bytes: int


@dataclass(frozen=True)
class Damage:
    """A tile that cannot be used.

    Attributes:
        place: its bands.
        path: its file.
        what: is wrong with it.
    """

    place: Place
    path: Path
    what: str


class Tiles:
    """The kernel of n training points, and of m validation points with them, in a folder.

    The upper triangle is stored, in square tiles of one ``.npy`` file each, which are written whole
    and carry a checksum; what file is there is all that counts. Any number of processes and
    machines that see the folder may compute at once, be killed, and go on.

    It is a kernel object whose inputs are numbers of points: 0 … n−1 the training points, n … n+m−1
    those of validation. ``ConjugateGradient(kernel=tiles).fit(tiles.train, y)`` reads each tile
    once an iteration; ``model.predict(tiles.valid)`` likewise.

    Attributes:
        folder: where they are.
        manifest: what they are of.
        memory: GiB that tiles may take in memory in products: as many as fit stay there, the
            others are read again and again, three at a time.
    """

    requires_vector_input = False

    def __init__(self, folder: StrPath, *, kernel: Any = None, memory: float = MEMORY) -> None:
        """Opens what :meth:`create` made.

        Args:
            folder: of the tiles.
            kernel: they are of, if more are to be computed.
            memory: see above.

        Raises:
            SettingError: there are none, or they are of another kernel.
            StoreError: the manifest is damaged.
        """
        self.folder = Path(folder).resolve()
        self.memory = checked("tiles", "memory", memory, Real(above=0, hint="GiB"))
        self.manifest = layout.read_manifest(self.folder)
        self._kernel = kernel
        self._reader = products.Reader(self.folder, self.manifest, self.memory * 2**30)
        self._spread: Spread | None = None
        if kernel is not None:
            self._recognise(kernel)

    @classmethod
    def create(
        cls,
        folder: StrPath,
        kernel: Any,
        x: ArrayLike,
        x_valid: ArrayLike | None = None,
        *,
        y: ArrayLike | None = None,
        y_valid: ArrayLike | None = None,
        side: int | None = None,
        joint: bool = False,
        memory: float = MEMORY,
    ) -> Self:
        """Begins a folder of tiles, or opens it where it was begun with the same arguments.

        Args:
            folder: new, or begun before; inputs are kept in it.
            kernel: a function of arrays ``[n, ...]`` and ``[m, ...]`` or a kernel object, that can
                be pickled if others are to compute.
            x: training inputs ``[n, ...]``.
            x_valid: validation inputs ``[m, ...]``.
            y, y_valid: labels or targets to keep beside them, ``[n, ...]`` and ``[m, ...]``.
            side: of tiles, a multiple of 64; None for one that takes about a minute, by a timed
                sample. Where tiles are already, it is theirs.
            joint: store the kernel of validation points with each other, too.
            memory: see above.

        Raises:
            DataError: inputs or targets are not numbers, or do not match; or the kernel is none,
                see :meth:`nasproxy.solvers.kernel.Kernel.check`.
            SettingError: the folder holds tiles of another kernel, other data or another side.
        """
        side = checked("tiles", "side", side, Optional(Side(layout.STEP)))
        joint = checked("tiles", "joint", joint, Flag())
        memory = checked("tiles", "memory", memory, Real(above=0, hint="GiB"))
        train, valid = _inputs(x, "inputs"), None
        if x_valid is not None:
            valid = _inputs(x_valid, "validation inputs")
            if valid.shape[1:] != train.shape[1:]:
                raise DataError(
                    f"validation inputs are {list(valid.shape[1:])} and inputs "
                    f"{list(train.shape[1:])}: give inputs of one shape"
                )
        targets = _targets("targets.npy", y, train) | _targets("targets_valid.npy", y_valid, valid)
        folder = Path(folder).resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files.check_place(folder / layout.MANIFEST)
        except OSError as error:
            raise SettingError(
                f"{folder} cannot be written ({error.strerror}): give another folder for tiles"
            ) from error
        called, data = Kernel(kernel), layout.fingerprint(train, valid)
        if (folder / layout.MANIFEST).exists():
            found = layout.read_manifest(folder)
        else:
            called.check(called.prepare(train))
            sample = _sample(called, train)
            found = Manifest(
                layout.kernel_text(kernel),
                data,
                len(train),
                0 if valid is None else len(valid),
                side or computing.chosen_side(called, train, memory * 2**30),
                sample.dtype.name,
                joint,
                sample.astype(np.float64).tolist(),
            )
            _save(folder / "inputs.npy", train)
            if valid is not None:
                _save(folder / "inputs_valid.npy", valid)
                _save(folder / "diagonal_valid.npy", called.diagonal(called.prepare(valid)))
            found = found.write(folder)
        if found.data != data:
            raise SettingError(
                f"{folder} holds tiles of other data (fingerprint {found.data}, not {data}): give "
                "another folder"
            )
        if joint != found.joint:
            raise SettingError(
                f"{folder} holds tiles of joint={found.joint}, not {joint}: give that "
                f"(--{'' if found.joint else 'no-'}joint), or another folder"
            )
        if side is not None and side != found.side:
            raise SettingError(
                f"{folder} holds tiles of side={found.side}, not {side}: give that or none, or "
                "another folder"
            )
        for name, array in targets.items():
            if not (folder / name).exists():
                _save(folder / name, array)
            elif not np.array_equal(np.load(folder / name), array):
                raise SettingError(f"{folder} holds other targets, {name}: give another folder")
        return cls(folder, kernel=kernel, memory=memory)

    @property
    def targets(self) -> NDArray[Any] | None:
        """Labels or targets of the training points, if they were given."""
        path = self.folder / "targets.npy"
        return np.load(path) if path.exists() else None

    @property
    def valid_targets(self) -> NDArray[Any] | None:
        """Those of the validation points."""
        path = self.folder / "targets_valid.npy"
        return np.load(path) if path.exists() else None

    @property
    def train(self) -> range:
        """The training points."""
        return range(self.manifest.points)

    @property
    def valid(self) -> range:
        """The validation points."""
        n = self.manifest.points
        return range(n, n + self.manifest.valid)

    def compute(self, workers: Workers | None = None, *, progress: bool = False) -> Self:
        """Computes the tiles that are missing, and waits for those that others are computing.

        Args:
            workers: None for this process with all its threads, else a number of processes, an
                executor or a ``dask.distributed.Client``, whose machines see the folder under the
                same path.
            progress: show a progress bar.

        Raises:
            SettingError: the kernel is not known, or cannot be sent to other processes.
            DataError: it gives NaN or infinity somewhere; names the inputs.
            ScoringError: processes died over one tile again and again.
        """
        if self._kernel is None:
            raise SettingError(
                f"the kernel of {self.folder} is not known: give Tiles its kernel, "
                f"{self.manifest.kernel}"
            )
        computing.compute(self.folder, self._kernel, self.manifest, workers, progress=progress)
        return self

    def on(self, client: Any) -> Self:
        """The same tiles, whose products of all training points a Dask cluster makes.

        Each worker reads a share of the tiles, the same every time, and keeps what fits into
        ``memory`` GiB of its own; vectors and their products are all that travels.

        Args:
            client: a ``dask.distributed.Client``, whose workers see the folder under the same path.

        Raises:
            SettingError: it is none.
        """
        found = type(self)(self.folder, kernel=self._kernel, memory=self.memory)
        found._spread = Spread(client, self.folder, self.manifest, self.memory * 2**30)
        return found

    def missing(self) -> Iterator[Place]:
        """Tiles that are not there yet."""
        return (p for p in self.manifest.places() if not file.exists(self.folder, p))

    def status(self) -> Status:
        """How many tiles are there."""
        sizes = [path.stat().st_size for path in self.folder.glob("[0-9]*/[0-9]*.npy")]
        there = self.manifest.count - sum(1 for _ in self.missing())
        return Status(there, self.manifest.count, sum(sizes))

    def verify(self, *, remove: bool = False) -> list[Damage]:
        """Reads every tile that is there; those that are torn, foreign, altered or hold NaN.

        Args:
            remove: those, so that :meth:`compute` makes them again.

        Raises:
            StoreError: the inputs beside the tiles are not those that they were begun with.
        """
        computing.Stored(self.folder, self.manifest).verify()
        found: list[Damage] = []
        for place in self.manifest.places():
            if not file.exists(self.folder, place):
                continue
            try:
                file.read(self.folder, self.manifest, place)
            except StoreError as error:
                path = layout.tile_path(self.folder, place)
                found.append(Damage(place, path, str(error)))
                if remove:
                    path.unlink(missing_ok=True)
        return found

    # As a kernel object

    def prepare(self, points: ArrayLike) -> NDArray[np.integer]:
        """Numbers of points, checked.

        Raises:
            DataError: they are no points of these tiles.
        """
        found, most = np.asarray(points), self.manifest.points + self.manifest.valid
        sound = found.dtype.kind in "iu" and bool(((found >= 0) & (found < most)).all())
        if found.ndim != 1 or not sound:
            raise DataError(
                f"tiles of {self.manifest.points} and {self.manifest.valid} points are called with "
                f"numbers of points, not with {found.dtype}{list(found.shape)}: give whole numbers "
                f"[n] from 0 to {most - 1}, such as tiles.train"
            )
        return found

    def __call__(self, rows: ArrayLike, columns: ArrayLike | None = None) -> NDArray[Any]:
        """The block of some points, in memory.

        Raises:
            DataError: validation points with each other, which are stored only if ``joint``.
            StoreError: a tile that is needed is missing or damaged; names it.
            SettingError: it takes more memory than there is.
        """
        chosen = self.prepare(rows)
        other = chosen if columns is None else self.prepare(columns)
        n = self.manifest.points
        if not self.manifest.joint and (chosen >= n).any() and (other >= n).any():
            raise DataError(
                "kernels of validation points with each other are not stored: give training points "
                "on one side, or make tiles with joint=True (--joint)"
            )
        itemsize = np.dtype(self.manifest.dtype).itemsize
        check_memory(
            itemsize * len(chosen) * len(other),
            f"a block of {len(chosen):,} by {len(other):,} points",
            "fewer points at once",
        )
        out = np.empty((len(chosen), len(other)), self.manifest.dtype)
        for band, at in self._by_band(chosen):
            for other_band, other_at in self._by_band(other):
                place = products.stored_at(self.manifest, band, other_band)
                tile = self._reader.look(place)
                if place != (band, other_band):
                    tile = tile.T
                local = chosen[at] - self.manifest.span(band).start
                other_local = other[other_at] - self.manifest.span(other_band).start
                out[np.ix_(at, other_at)] = tile[np.ix_(local, other_local)]
        return out

    def _by_band(self, points: NDArray[np.integer]) -> list[tuple[int, NDArray[np.intp]]]:
        """Where the points of each band are in a list of them."""
        n, side, bands = self.manifest.points, self.manifest.side, self.manifest.bands
        band = np.where(points < n, points // side, bands + (points - n) // side)
        return [(int(b), np.flatnonzero(band == b)) for b in np.unique(band)]

    def diagonal(self, points: ArrayLike) -> Float64[np.ndarray, " n"]:
        """k(x, x) of some points, training or validation."""
        chosen, n = self.prepare(points), self.manifest.points
        out = np.empty(len(chosen))
        for band, at in self._by_band(chosen):
            if band < self.manifest.bands:
                tile = self._reader.look(Place(band, band))
                local = chosen[at] - self.manifest.span(band).start
                out[at] = tile[local, local]
            else:
                out[at] = np.load(self.folder / "diagonal_valid.npy", mmap_mode="r")[chosen[at] - n]
        return out

    def times(
        self,
        rows: ArrayLike,
        columns: ArrayLike,
        vectors: Float64[np.ndarray, "n c"],
        *,
        exact: bool = False,
    ) -> Float64[np.ndarray, "m c"]:
        """The kernel of some points, with training points, times right-hand sides: K_rc v.

        Reads each tile that it needs once, and holds no more than ``memory`` of them.

        Args:
            rows: m points.
            columns: n training points.
            vectors: v, a column a right-hand side.
            exact: multiply in float64 what is stored in float32.

        Raises:
            DataError: columns are not training points.
            StoreError: a tile is missing or damaged; names it.
        """
        chosen, other = self.prepare(rows), self.prepare(columns)
        n = self.manifest.points
        if (other >= n).any():
            raise DataError(f"column {other.max()} is a validation point: give training points")
        spread = np.zeros((n, vectors.shape[1]))
        np.add.at(spread, other, vectors)
        spread = spread.astype(np.float64 if exact else self.manifest.dtype, copy=False)
        where = self._by_band(chosen)
        if len(where) == self.manifest.bands and where[-1][0] < self.manifest.bands:
            places = products.needed(self.manifest, spread)
            if self._spread is not None:
                return self._spread.symmetric(places, spread)[chosen]
            return products.symmetric(self._reader, self.manifest, places, spread)[chosen]
        bands = [band for band, _ in where]
        parts = products.across(self._reader, self.manifest, bands, spread)
        out = np.empty((len(chosen), vectors.shape[1]))
        for band, at in where:
            out[at] = parts[band][chosen[at] - self.manifest.span(band).start]
        return out

    def _recognise(self, kernel: Any) -> None:
        """Raises SettingError if the tiles are of another kernel."""
        said = layout.kernel_text(kernel)
        if said != self.manifest.kernel:
            raise SettingError(
                f"{self.folder} holds tiles of {self.manifest.kernel}, not of {said}: give another "
                "folder"
            )
        path = self.folder / "inputs.npy"
        some = _sample(Kernel(kernel), np.load(path, mmap_mode="r")).astype(np.float64)
        stored = np.asarray(self.manifest.sample)
        if some.shape != stored.shape or not np.allclose(
            some, stored, rtol=1e-3, atol=1e-3 * np.abs(stored).max()
        ):
            raise SettingError(
                f"the kernel {said} gives other numbers than when {self.folder} was begun: give "
                "another folder, or the kernel as it was"
            )

    def __repr__(self) -> str:
        return f"Tiles({str(self.folder)!r})"

    def __sklearn_clone__(self) -> Self:
        return self  # It is a folder: a copy would read it twice.

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (str(self.folder), self._kernel, self.memory)


def _opened(folder: str, kernel: Any, memory: float) -> Tiles:
    return Tiles(folder, kernel=kernel, memory=memory)


def _inputs(given: ArrayLike, what: str) -> NDArray[Any]:
    found = dense(given, what)
    if found.dtype.kind not in "biuf" or found.ndim < 1 or 0 in found.shape:
        raise DataError(
            f"{what} are {found.dtype}{list(found.shape)}: give an array of numbers [n, ...]"
        )
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        row = int(np.argwhere(~np.isfinite(found))[0, 0])
        raise DataError(f"{what} hold NaN or infinity, row {row} first: leave it out or repair it")
    return found


def _targets(name: str, given: ArrayLike | None, x: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    if given is None:
        return {}
    found = _inputs(given, "targets")
    if x is None or len(found) != len(x):
        raise DataError(
            f"{len(found)} targets of {0 if x is None else len(x)} points: give one each"
        )
    return {name: found}


def _sample(kernel: Kernel, x: NDArray[Any]) -> NDArray[Any]:
    """The kernel of the first points."""
    some = kernel.prepare(np.array(x[:4]))
    return np.asarray(kernel(some, some))


def _save(path: Path, array: NDArray[Any]) -> None:
    with files.replacing(path) as opened:
        np.save(opened, array, allow_pickle=False)
