"""The tables of a store, those of older versions, and the way from these to today's."""

import sqlite3

from nasproxy.errors import StoreError
from nasproxy.store.rows import COLUMNS, RUN, digest, record

APPLICATION_ID = 0x6E617370  # "nasp"
VERSION = 2
"""2: each score has a digest of its row."""
READABLE = (1, 2)

_RUNS = """CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        space TEXT NOT NULL, proxy TEXT NOT NULL, data TEXT NOT NULL, seed INTEGER NOT NULL,
        UNIQUE (space, proxy, data, seed))"""
_SCORES = """CREATE TABLE scores (
        id INTEGER PRIMARY KEY,
        run_id INTEGER NOT NULL REFERENCES runs, architecture TEXT NOT NULL,
        value REAL, seconds REAL NOT NULL, flops REAL NOT NULL, info TEXT NOT NULL, error TEXT,
        architecture_json TEXT NOT NULL, created REAL NOT NULL,{}
        UNIQUE (run_id, architecture),
        CHECK ((value IS NULL) <> (error IS NULL)))"""
TABLES = {
    1: {"runs": _RUNS, "scores": _SCORES.format("")},
    2: {"runs": _RUNS, "scores": _SCORES.format(" digest BLOB NOT NULL,")},
}
"""By version and name, as SQLite keeps their text."""
_MARKS = (f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {VERSION}")


def create(connection: sqlite3.Connection) -> None:
    """The tables of a new store; within a transaction of the caller's."""
    for statement in (*TABLES[VERSION].values(), *_MARKS):
        connection.execute(statement)


def upgrade(connection: sqlite3.Connection) -> None:
    """A store of version 1 gets its digests; within a transaction of the caller's.

    Raises:
        StoreError: a row is of another kind than stores hold: a digest would make it look sound.
    """
    query = f"SELECT {', '.join(COLUMNS)}, NULL FROM scores JOIN runs ON runs.id = run_id"
    for row in connection.execute(query):
        record(row)
    connection.execute("ALTER TABLE scores RENAME TO scores_1")
    connection.execute(TABLES[VERSION]["scores"])
    kept = COLUMNS[RUN:]
    connection.create_function("digest", len(COLUMNS), lambda *row: digest(row), deterministic=True)
    listed = ", ".join(kept)
    connection.execute(
        f"INSERT INTO scores (id, run_id, {listed}, digest) SELECT scores_1.id, run_id, {listed}, "
        f"digest({', '.join(COLUMNS)}) FROM scores_1 JOIN runs ON runs.id = run_id"
    )
    connection.execute("DROP TABLE scores_1")
    connection.execute(_MARKS[1])


def check(connection: sqlite3.Connection, version: int) -> None:
    """Raises StoreError for tables, views or triggers that no store of the version has.

    A trigger in a store of somebody else's would run as it is written to, and change what is read.
    """
    found = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex_%' "
        "AND name NOT IN ('sqlite_stat1', 'sqlite_stat4')"
    ).fetchall()
    expected = {("table", name, sql) for name, sql in TABLES[version].items()}
    if strange := set(found) - expected:
        kind, name, _ = sorted(strange, key=str)[0]
        own = name in TABLES[version] and kind == "table"
        what = "is not as a store has it" if own else "is in no store"
        raise StoreError(f"its {kind} {str(name)[:80]!r} {what}: it may run what others wrote")
    if len(found) < len(expected):
        raise StoreError("it lacks tables of a store")
