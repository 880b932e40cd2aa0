"""Where scores are kept: one SQLite file, safe against a kill at any moment and several writers.

A score is durable when ``put`` returns: WAL with ``synchronous=FULL`` syncs every commit to the
disk, so neither a killed process nor a power cut loses it (as far as the disk keeps its word).
"""

import json
import math
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pandas as pd

from nasproxy.errors import SettingError, StoreError
from nasproxy.store.integrity import APPLICATION_ID, VERSION, check_file

_SCHEMA = (
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        space TEXT NOT NULL, proxy TEXT NOT NULL, data TEXT NOT NULL, seed INTEGER NOT NULL,
        UNIQUE (space, proxy, data, seed))""",
    """CREATE TABLE scores (
        id INTEGER PRIMARY KEY,
        run_id INTEGER NOT NULL REFERENCES runs, architecture TEXT NOT NULL,
        value REAL, seconds REAL NOT NULL, flops REAL NOT NULL, info TEXT NOT NULL, error TEXT,
        architecture_json TEXT NOT NULL, created REAL NOT NULL,
        UNIQUE (run_id, architecture),
        CHECK ((value IS NULL) <> (error IS NULL)))""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
_SELECT = """SELECT scores.id, space, architecture, proxy, data, seed,
    value, seconds, flops, info, error, architecture_json, created
    FROM scores JOIN runs ON runs.id = run_id"""
# A success is final; a failure gives way to whatever comes next.
_UPSERT = """INSERT INTO scores
    (run_id, architecture, value, seconds, flops, info, error, architecture_json, created)
    VALUES ((SELECT id FROM runs WHERE (space, proxy, data, seed) = (?, ?, ?, ?)),
            ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        (value, seconds, flops, info, error, architecture_json, created) =
        (excluded.value, excluded.seconds, excluded.flops, excluded.info, excluded.error,
         excluded.architecture_json, excluded.created)
    WHERE scores.error IS NOT NULL OR excluded.error IS NULL"""
_BUSY_SECONDS = 60.0
_PAGE_ROWS = 1_000  # rows a streaming read holds, and the length of its read transaction


@dataclass(frozen=True)
class Key:
    """What a score is a score of; the caller makes the strings canonical.

    ``data`` names contents, not only a name: ``digits@<fingerprint>``.
    """

    space: str
    architecture: str
    proxy: str
    data: str
    seed: int


@dataclass(frozen=True)
class Record:
    """One score, or why there is none: exactly one of ``value`` and ``error`` is None.

    Attributes:
        key: of what.
        value: the score.
        seconds: wall time.
        flops: floating-point operations that it took.
        info: whatever the proxy reports; strict JSON, no NaN.
        error: the reason of a failure.
        architecture_json: of its search space.
        created: seconds since the epoch.
    """

    key: Key
    value: float | None
    seconds: float
    flops: float
    info: dict[str, Any]
    error: str | None
    architecture_json: str
    created: float = field(default_factory=time.time)


class Group(NamedTuple):
    """How much of one (space, proxy, data, seed) is there."""

    space: str
    proxy: str
    data: str
    seed: int
    ok: int
    failed: int


class Store:
    """Scores in the SQLite file at ``path``, created where there is none.

    They are in memory where ``path`` is None or ":memory:". Several processes may write to one file
    at once, each through a Store of its own. A file that is not a whole store of this version
    raises StoreError and is left byte for byte as it was found; so do a full disk and a folder that
    cannot be written, with the reason.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None or str(path) == ":memory:" else Path(path).resolve()
        if self.path is not None:
            check_file(self.path)
        with self._errors():
            self._connection = sqlite3.connect(
                self.path or ":memory:", timeout=_BUSY_SECONDS, isolation_level=None
            )
        try:
            with self._errors():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; everything put is already in it."""
        self._connection.close()

    def get(self, key: Key) -> Record | None:
        """The record of ``key``, failed or not, or None."""
        where = """ WHERE (space, proxy, data, seed) = (?, ?, ?, ?) AND architecture = ?"""
        parameters = (key.space, key.proxy, key.data, int(key.seed), key.architecture)
        with self._errors():
            row = self._connection.execute(_SELECT + where, parameters).fetchone()
        return None if row is None else _record(row)

    def get_many(self, space: str, proxy: str, data: str, seed: int) -> dict[str, Record]:
        """Every record of one group, failed ones included, by architecture; one query."""
        where = " WHERE (space, proxy, data, seed) = (?, ?, ?, ?)"
        with self._errors():
            rows = self._connection.execute(_SELECT + where, (space, proxy, data, int(seed)))
            return {record.key.architecture: record for record in map(_record, rows)}

    def put(self, record: Record) -> None:
        """Keep one record; on the disk when this returns."""
        self.put_many([record])

    def put_many(self, records: Iterable[Record]) -> None:
        """Keep all of ``records`` or, should anything fail, none.

        A record replaces an earlier one of its key, except that a failure never replaces a success.
        Raises ValueError for a number that is not finite, an info that is not JSON, or a record
        that holds both a value and an error, or neither.
        """
        rows = [_row(record) for record in records]
        with self._errors(), self._transaction("IMMEDIATE"):
            for run in dict.fromkeys(row[:4] for row in rows):
                self._connection.execute(
                    "INSERT OR IGNORE INTO runs (space, proxy, data, seed) VALUES (?, ?, ?, ?)", run
                )
            self._connection.executemany(_UPSERT, rows)

    def records(
        self,
        space: str | None = None,
        proxy: str | None = None,
        data: str | None = None,
        seed: int | None = None,
    ) -> Iterator[Record]:
        """The records that match all that is given, in the order they first came, page by page.

        Memory stays flat, no lock is held between pages, and putting while iterating is fine.
        """
        wanted = {"space": space, "proxy": proxy, "data": data, "seed": seed}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        where = " WHERE " + "".join(f"{name} = :{name} AND " for name in wanted)
        query = f"{_SELECT}{where} scores.id > :last ORDER BY scores.id LIMIT {_PAGE_ROWS}"
        last = 0
        while True:
            with self._errors():
                rows = self._connection.execute(query, {**wanted, "last": last}).fetchall()
            if not rows:
                return
            yield from map(_record, rows)
            last = rows[-1][0]

    def groups(self) -> list[Group]:
        """Every (space, proxy, data, seed) with its numbers of scores and of failures, sorted."""
        query = """SELECT space, proxy, data, seed, count(value), count(error)
            FROM runs JOIN scores ON run_id = runs.id GROUP BY runs.id ORDER BY 1, 2, 3, 4"""
        with self._errors():
            return [Group(*row) for row in self._connection.execute(query)]

    def frame(
        self,
        space: str | None = None,
        proxy: str | None = None,
        data: str | None = None,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """``records`` as a table, a row each; ``created`` in UTC, ``value`` NaN where it failed."""
        rows = [
            (
                *(r.key.space, r.key.architecture, r.key.proxy, r.key.data, r.key.seed),
                *(r.value, r.seconds, r.flops, r.info, r.error, r.architecture_json, r.created),
            )
            for r in self.records(space, proxy, data, seed)
        ]
        columns = ["space", "architecture", "proxy", "data", "seed", "value", "seconds", "flops"]
        columns += ["info", "error", "architecture_json", "created"]
        frame = pd.DataFrame(rows, columns=pd.Index(columns))
        floats = dict.fromkeys(["value", "seconds", "flops"], "float64")
        frame = frame.astype({"seed": "int64", **floats})
        frame["created"] = pd.to_datetime(frame["created"].astype("float64"), unit="s", utc=True)
        return frame

    def rank(
        self,
        truth: pd.Series | Mapping[Any, float] | str,
        *,
        key: str | None = None,
        where: Mapping[str, Any] | None = None,
        average: bool = False,
        **options: Any,
    ) -> pd.DataFrame:
        """How well every column of scores ranks the architectures, as ``nasproxy rank`` prints it.

        Args:
            truth: by architecture key; or, as the command takes it, ``FILE:COLUMN`` of a table or
                the name of a stored proxy.
            key, where, average: of a table, see :func:`nasproxy.truth.read`.
            **options: of :func:`nasproxy.ranking.rank_store`.

        Returns:
            The table of :func:`nasproxy.ranking.rank_store`, a row a column of scores.

        Raises:
            StoreError, TruthError, SettingError: see there.
        """
        from nasproxy import ranking  # It reads stores: this is a short way to it.
        from nasproxy.ranking import reference

        if isinstance(truth, str):
            truth = reference.read_truth(truth, self, key, where=where, average=average)
        elif key is not None or where or average:
            raise SettingError("key, where and average are of a table: give FILE:COLUMN, or none")
        return ranking.rank_store(self, truth, **options)

    def _prepare(self) -> None:
        """Create the tables where the file is new; the transaction settles who of several does."""
        if self._pragma("application_id") == 0:
            with self._transaction("EXCLUSIVE"):
                if self._pragma("application_id") == 0:
                    for statement in _SCHEMA:
                        self._connection.execute(statement)
        self._use_wal()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("SELECT count(*) FROM runs").fetchone()

    def _use_wal(self) -> None:
        """Switch to WAL, once in a file's life; SQLite does not wait for other openers here."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def _pragma(self, name: str) -> int:
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
            raise  # a closed store, or a bug: nothing that a user could mend
        except sqlite3.DatabaseError as error:
            place = self.path or "the store in memory"
            cure = next((cure for sign, cure in _CURES if sign in str(error)), _CHECK)
            raise StoreError(f"{place}: {error}; {cure}") from error


_CHECK = "check the disk, or choose another path; what was stored before is untouched"
_CURES = (
    ("unable to open", "check that the folder exists and can be written"),
    ("readonly", "make the file and its folder writable, or choose another path"),
    ("full", "free some space and run again: what was stored before is safe"),
    ("locked", f"another process has held it for {_BUSY_SECONDS:.0f} s: end it, then run again"),
    ("malformed", "the file is corrupt: restore a copy, or choose another path"),
    ("not a database", "the file is corrupt: restore a copy, or choose another path"),
)


def _row(record: Record) -> tuple[Any, ...]:
    """The parameters of ``_UPSERT``; plain numbers, as SQLite keeps NumPy's as raw bytes."""
    key = record.key
    if (record.value is None) == (record.error is None):
        raise ValueError(
            f"{key}: needs a value or an error, one of them;"
            f" got value={record.value}, error={record.error!r}"
        )
    numbers = {"value": record.value, "seconds": record.seconds, "flops": record.flops}
    for name, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise ValueError(f"{key}: {name} is {number}, not finite: store it as an error")
    try:
        info = json.dumps(record.info, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}: info is not strict JSON ({error}): {record.info!r}") from error
    value = None if record.value is None else float(record.value)
    return (
        *(key.space, key.proxy, key.data, int(key.seed), key.architecture),
        *(value, float(record.seconds), float(record.flops), info),
        *(record.error, record.architecture_json, float(record.created)),
    )


def _record(row: tuple[Any, ...]) -> Record:
    """A row of ``_SELECT`` as a Record."""
    _, space, architecture, proxy, data, seed, value, seconds, flops, info, *rest = row
    key = Key(space, architecture, proxy, data, seed)
    return Record(key, value, seconds, flops, json.loads(info), *rest)
