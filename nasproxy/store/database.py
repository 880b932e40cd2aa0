"""Where scores are kept: one SQLite file, safe against a kill at any moment and several writers.

A score is durable when ``put`` returns: WAL with ``synchronous=FULL`` syncs every commit to the
disk, so neither a killed process nor a power cut loses it (as far as the disk keeps its word).
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pandas as pd

from nasproxy import markup
from nasproxy.errors import SettingError, StoreError
from nasproxy.store import schema
from nasproxy.store.filesystem import network_kind, writable
from nasproxy.store.integrity import check_file, note_whole
from nasproxy.store.rows import COLUMNS, RUN, Key, Record, Row, record, row

_KEPT = ", ".join(COLUMNS[RUN:])
# A success is final; a failure gives way to whatever comes next.
_UPSERT = f"""INSERT INTO scores (run_id, {_KEPT}, digest)
    VALUES ((SELECT id FROM runs WHERE (space, proxy, data, seed) = (?, ?, ?, ?)),
            ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        (value, seconds, flops, info, error, architecture_json, created, digest) =
        (excluded.value, excluded.seconds, excluded.flops, excluded.info, excluded.error,
         excluded.architecture_json, excluded.created, excluded.digest)
    WHERE scores.error IS NOT NULL OR excluded.error IS NULL"""
_BUSY_SECONDS = 60.0
_LOOK_SECONDS = 2.0  # between two looks whether the file is still there
_PAGE_ROWS = 1_000  # rows a streaming read holds, and the length of its read transaction
_SHOWN = 50  # groups that a notebook shows
_ASKED = 500  # keys of one query: SQLite's older limit is 999 parameters


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

    They are in memory where ``path`` is None or ":memory:". Several processes of one machine may
    write to one file at once, each through a Store of its own; threads may share one. On a network
    file system a store belongs to one process at a time, since hosts do not see each other's shared
    memory. A file that cannot be written is read; one of an older version is brought to this one. A
    file that is not a whole store raises StoreError and is left byte for byte as it was found; so
    do a full disk and a folder that cannot be written, with the reason.

    Attributes:
        path: of the file; None in memory.
        read_only: whether nothing can be put.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None or str(path) == ":memory:" else Path(path).resolve()
        self.read_only, self._network = False, None
        if self.path is not None:
            check_file(self.path)
            self.read_only = self.path.exists() and not writable(self.path)
            self._network = network_kind(self.path.parent)
        self._lock, self._owner = threading.RLock(), os.getpid()
        with self._errors():
            self._connection = self._connected()
        try:
            with self._errors():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise
        self._inode, self._looked = self._found(), time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.verify()
        self.close()

    def __repr__(self) -> str:
        """One line: where it is, how many scores it holds."""
        place = self.path or "in memory"
        try:
            groups = self.groups()
        except StoreError:  # It is closed, or was opened before a fork.
            return f"Store {place}"
        ok, failed = sum(g.ok for g in groups), sum(g.failed for g in groups)
        return f"Store {place}: {ok:,} scores, {failed:,} failed, {len(groups)} groups"

    def _repr_html_(self) -> str:
        """For notebooks: what it holds, a row a space, proxy, data set and seed, fifty at most."""
        groups = self.groups()
        more = f"<p>and {len(groups) - _SHOWN} more</p>" if len(groups) > _SHOWN else ""
        body = markup.table(Group._fields, groups[:_SHOWN], left=3)
        return f"<div><b>{escape(repr(self))}</b>{body}{more}</div>"

    def close(self) -> None:
        """Give the file back; everything put is already in it."""
        with self._lock:
            self._connection.close()
        if self.path is not None and self._found() == self._inode:
            with suppress(OSError):
                note_whole(self.path)

    def verify(self) -> None:
        """Raise StoreError where the file was deleted or replaced since it was opened.

        What was put is kept beside it, as ``NAME.rescued``. Called now and then by ``put``, and at
        the end of a ``with`` block.
        """
        self._looked = time.monotonic()
        if self.path is None or self._found() == self._inode:
            return
        rescued = self.path.with_name(f"{self.path.name}.rescued")
        said = "what it held is lost"
        if not rescued.exists():
            with suppress(sqlite3.Error), self._lock:
                self._connection.execute("VACUUM INTO ?", (str(rescued),))
                said = f"what it held is in {rescued}: move it back"
        raise StoreError(
            f"{self.path} was deleted, renamed or replaced while it was in use; unless it was "
            f"renamed, {said}"
        )

    def get(self, key: Key) -> Record | None:
        """The record of ``key``, failed or not, or None."""
        found = self.get_many(key.space, key.proxy, key.data, key.seed, [key.architecture])
        return found.get(key.architecture)

    def get_many(
        self,
        space: str,
        proxy: str,
        data: str,
        seed: int,
        architectures: Sequence[str] | None = None,
    ) -> dict[str, Record]:
        """The records of one group, failed ones included, by architecture: all, or those named.

        Of named ones the cost does not depend on how many others there are.
        """
        where = " WHERE (space, proxy, data, seed) = (?, ?, ?, ?)"
        run = (space, proxy, data, int(seed))
        if architectures is None:
            return {r.key.architecture: r for r in map(record, self._rows(where, run))}
        found = {}
        for start in range(0, len(architectures), _ASKED):
            asked = architectures[start : start + _ASKED]
            within = f"{where} AND architecture IN ({', '.join('?' * len(asked))})"
            for one in map(record, self._rows(within, (*run, *asked))):
                found[one.key.architecture] = one
        if strange := found.keys() - set(architectures):
            raise StoreError(
                f"{self._place()} gives {min(strange)[:80]!r}, which was not asked for: its index "
                "is damaged; restore a copy"
            )
        return found

    def statuses(
        self, space: str, proxy: str, data: str, seed: int, architectures: Sequence[str]
    ) -> dict[str, bool]:
        """Which of the architectures have a record in one group, and whether it is a failure."""
        found: dict[str, bool] = {}
        for start in range(0, len(architectures), _ASKED):
            asked = architectures[start : start + _ASKED]
            query = f"""SELECT architecture, error IS NOT NULL FROM scores
                JOIN runs ON runs.id = run_id WHERE (space, proxy, data, seed) = (?, ?, ?, ?)
                AND architecture IN ({", ".join("?" * len(asked))})"""
            with self._errors():
                rows = self._connection.execute(query, (space, proxy, data, int(seed), *asked))
                found.update((key, bool(failed)) for key, failed in rows)
        return found

    def has_scores(self, space: str, proxy: str, data: str, seed: int) -> bool:
        """Whether one group has a record that is no failure."""
        query = """SELECT EXISTS (SELECT 1 FROM scores JOIN runs ON runs.id = run_id
            WHERE (space, proxy, data, seed) = (?, ?, ?, ?) AND value IS NOT NULL)"""
        with self._errors():
            found = self._connection.execute(query, (space, proxy, data, int(seed))).fetchone()
        return bool(found[0])

    def put(self, record: Record) -> None:
        """Keep one record; on the disk when this returns."""
        self.put_many([record])

    def put_many(self, records: Iterable[Record]) -> None:
        """Keep all of ``records`` or, should anything fail, none.

        A record replaces an earlier one of its key, except that a failure never replaces a success.

        Raises:
            ValueError: a number that is not finite, an info that is not JSON, a text that is no
                Unicode, or a record that holds both a value and an error, or neither.
            StoreError: what :class:`Store` says; or the file was deleted or replaced.
        """
        rows = [row(record) for record in records]
        if not rows:
            return
        if self.read_only:
            raise StoreError(f"{self._place()} can only be read: {_CURES['readonly']}")
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self.verify()
        with self._errors(), self._transaction("IMMEDIATE"):
            for run in dict.fromkeys(row[:RUN] for row in rows):
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
        yield from map(record, self.rows({k: v for k, v in wanted.items() if v is not None}))

    def rows(self, wanted: Mapping[str, Any] | None = None) -> Iterator[Row]:
        """``records`` as they are stored, unchecked, each with its digest last."""
        wanted = wanted or {}
        where = " WHERE " + "".join(f"{name} = :{name} AND " for name in wanted)
        where += f"scores.id > :last ORDER BY scores.id LIMIT {_PAGE_ROWS}"
        last = 0
        while page := self._rows(where, {**wanted, "last": last}, "scores.id, "):
            yield from (found[1:] for found in page)
            last = page[-1][0]

    def groups(self) -> list[Group]:
        """Every (space, proxy, data, seed) with its numbers of scores and of failures, sorted."""
        query = """SELECT space, proxy, data, seed, count(value), count(error)
            FROM runs JOIN scores ON run_id = runs.id GROUP BY runs.id ORDER BY 1, 2, 3, 4"""
        with self._errors():
            return [Group(*found) for found in self._connection.execute(query)]

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
            key, where, average: of the tables that ``truth`` and the options name, see
                :func:`nasproxy.truth.read`.
            **options: of :func:`nasproxy.ranking.rank_store`.

        Returns:
            The table of :func:`nasproxy.ranking.rank_store`, a row a column of scores.

        Raises:
            StoreError, TruthError, SettingError: see there.
        """
        from nasproxy import ranking  # It reads stores: this is a short way to it.
        from nasproxy.ranking import reference

        rows: dict[str, Any] = {"key": key, "where": where, "average": average}
        named = [truth, *(options.get(name) for name in ("given", "against", "ceiling", "then"))]
        if any(rows.values()) and not any(isinstance(one, str) for one in named):
            raise SettingError("key, where and average are of a table: give FILE:COLUMN, or none")
        if isinstance(truth, str):
            truth = reference.read_truth(truth, self, **rows)
        return ranking.rank_store(self, truth, **rows, **options)

    def _connected(self) -> sqlite3.Connection:
        place, uri = str(self.path or ":memory:"), False
        if self.path is not None and self.read_only:
            wal = self.path.with_name(f"{self.path.name}-wal")
            whole = not wal.exists() or wal.stat().st_size == 0
            mode = "immutable=1" if whole else "mode=ro"
            place, uri = f"{self.path.as_uri()}?{mode}", True
        return sqlite3.connect(
            place,
            timeout=_BUSY_SECONDS if self._network is None else 1.0,
            isolation_level=None,
            check_same_thread=False,  # The lock is ours.
            uri=uri,
        )

    def _prepare(self) -> None:
        """Create the tables where the file is new; the transaction settles who of several does."""
        self._connection.execute("PRAGMA trusted_schema = OFF")
        if self._network is not None and not self.read_only:
            # Kept from the first read on, in memory of this process alone.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._use_journal("DELETE")
        if self._pragma("application_id") == 0:
            with self._transaction("EXCLUSIVE"):
                if self._pragma("application_id") == 0:
                    schema.create(self._connection)
        self._check_schema()
        if self._pragma("user_version") < schema.VERSION and not self.read_only:
            with self._transaction("EXCLUSIVE"):
                if self._pragma("user_version") < schema.VERSION:
                    schema.upgrade(self._connection)
        if not self.read_only and self._network is None:
            self._use_journal("WAL")
        self._digest = "digest" if self._pragma("user_version") == schema.VERSION else "NULL"
        self._connection.execute("PRAGMA synchronous = FULL")

    def _check_schema(self) -> None:
        try:
            schema.check(self._connection, self._pragma("user_version"))
        except StoreError as error:
            raise StoreError(
                f"{self._place()} is no store as nasproxy makes them: {error}"
            ) from None

    def _use_journal(self, mode: str) -> None:
        """Switch to a journal, once in a file's life; SQLite does not wait for openers here."""
        deadline = time.monotonic() + (_BUSY_SECONDS if self._network is None else 1.0)
        while True:
            try:
                (answer,) = self._connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)
        if self.path is not None and answer.upper() != mode:
            raise StoreError(
                f"{self.path}: the file system gives SQLite a journal of mode {answer}, not {mode},"
                " so that several processes could lose scores: choose a path on a local disk"
            )

    def _rows(self, where: str, parameters: Any, before: str = "") -> list[Row]:
        query = f"""SELECT {before}{", ".join(COLUMNS)}, {self._digest}
            FROM scores JOIN runs ON runs.id = run_id{where}"""
        with self._errors():
            return self._connection.execute(query, parameters).fetchall()

    def _found(self) -> tuple[int, int] | None:
        """Device and number of what the path names now."""
        if self.path is None:
            return None
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def _place(self) -> str:
        return str(self.path or "the store in memory")

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
        if os.getpid() != self._owner:
            raise StoreError(
                f"{self._place()} was opened before this process was forked: open it again here"
            )
        try:
            with self._lock:
                yield
        except sqlite3.ProgrammingError as error:
            if "closed" not in str(error):
                raise  # A bug: nothing that a user could mend.
            raise StoreError(f"{self._place()} is closed: open it again") from error
        except sqlite3.InterfaceError:
            raise
        except sqlite3.DatabaseError as error:
            cure = next((cure for sign, cure in _CURES.items() if sign in str(error)), _CHECK)
            if self._network is not None and "locked" in str(error):
                cure = (
                    f"another process has it open, and on a network file system ({self._network}) "
                    "a store is one process's: give each a store of its own (--shard I/N) and join "
                    "them by nasproxy store merge"
                )
            raise StoreError(f"{self._place()}: {error}; {cure}") from error


_CHECK = "check the disk, or choose another path; what was stored before is untouched"
_CURES = {
    "unable to open": "check that the folder exists and can be written",
    "readonly": "make the file and its folder writable, or choose another path",
    "full": "free some space and run again: what was stored before is safe",
    "locked": f"another process has held it for {_BUSY_SECONDS:.0f} s: end it, then run again",
    "malformed": "the file is corrupt: restore a copy, or choose another path",
    "not a database": "the file is corrupt: restore a copy, or choose another path",
}
