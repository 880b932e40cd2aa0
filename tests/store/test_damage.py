"""What a store does not believe: flipped bits, foreign tables, other hosts, lost files."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nasproxy.errors import StoreError
from nasproxy.store import Record, Store, database, filesystem, integrity
from nasproxy.store.merging import merge
from tests.conftest import ROOT
from tests.support.cli import run
from tests.support.store import make

OLD = Path(__file__).with_name("stored_by_0.1.0.db")


@pytest.fixture
def records() -> list[Record]:
    return [make(f"{i:032x}", None if i % 9 == 8 else i / 7) for i in range(60)]


@pytest.fixture
def path(records: list[Record], tmp_path: Path) -> Path:
    with Store(tmp_path / "scores.db") as store:
        store.put_many(records)
    return tmp_path / "scores.db"


def flipped(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_a_flipped_bit_is_never_a_number(path: Path, records: list[Record]) -> None:
    """Of any bit: all is as it was, or the store or a row of it is refused."""
    rng, size, whole = random.Random(0), path.stat().st_size, path.read_bytes()
    expected = {r.key: r for r in records}
    said: list[str] = []
    for _ in range(150):
        path.write_bytes(whole)
        flipped(path, rng.randrange(8 * size))
        try:
            with Store(path) as store:
                assert {r.key: r for r in store.records()} == expected
                for key, record in expected.items():
                    assert store.get(key) == record
        except StoreError as error:
            said.append(str(error))
    assert len(said) > 50
    assert not any("\n" in text for text in said)


def changed(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_damaged_rows_are_listed_and_can_be_left_out(path: Path, tmp_path: Path) -> None:
    changed(path, "UPDATE scores SET value = -value WHERE id = 3")
    with Store(path) as store, pytest.raises(StoreError, match="checksum"):
        list(store.records())
    result = subprocess.run(
        [sys.executable, "-m", "nasproxy", "store", "check", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"{2:032x}" in result.stdout
    assert "59 scores are whole, 1 are damaged" in result.stdout
    with pytest.raises(StoreError, match="skip-damaged"):
        run("store", "merge", str(path), "--into", str(tmp_path / "new.db"))
    said = run("store", "merge", str(path), "--into", str(tmp_path / "new.db"), "--skip-damaged")
    assert "59 added, 0 known, 1 damaged left out" in said


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON scores BEGIN DELETE FROM scores; END",
        "CREATE TRIGGER t BEFORE UPDATE ON scores BEGIN SELECT RAISE(IGNORE); END",
        "CREATE VIEW v AS SELECT * FROM scores",
        "CREATE TABLE other (x)",
        "CREATE INDEX i ON scores (value)",
        "ALTER TABLE scores ADD COLUMN more",
        "DROP TABLE runs",
    ],
)
def test_tables_views_and_triggers_of_others_are_refused(statement: str, path: Path) -> None:
    changed(path, statement)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"is in no store|is not as a store has it|lacks tables"):
        Store(path)
    assert path.read_bytes() == before


def test_a_view_in_place_of_a_table(path: Path) -> None:
    """It would be read as if it held the scores, and may never end."""
    changed(
        path,
        "ALTER TABLE scores RENAME TO hidden",
        "CREATE VIEW scores AS WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i FROM n) "
        "SELECT * FROM hidden, n",
    )
    with pytest.raises(StoreError, match=r"is in no store|is not as a store has it"):
        Store(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("value = 'much'", "its value is 'much'"),
        ("value = x'00'", "its value is"),
        ("seconds = 'x'", "its seconds is 'x'"),
        ("info = '[1]'", r"its info is '\[1\]'"),
        ("info = '{'", "its info is '{'"),
        ("""info = '{"columns": [1]}'""", "its info is"),
        ("""info = '{"columns": {"a": "b"}}'""", "is no number"),
        ("""info = '{"columns": {"a": NaN}}'""", "is no number"),
        ("architecture = x'ff'", "its architecture is"),
        ("created = 'now'", "its created is 'now'"),
    ],
)
def test_rows_of_another_kind_in_a_store_without_checksums(
    change: str, said: str, tmp_path: Path
) -> None:
    """Version 1 has none: what somebody wrote into one is checked for its kind."""
    path = Path(shutil.copy(OLD, tmp_path / "old.db"))
    changed(path, f"UPDATE scores SET {change} WHERE id = 1")
    with pytest.raises(StoreError, match=said), Store(path) as store:
        list(store.records())


def test_an_older_store_is_brought_to_this_version(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD, tmp_path / "old.db"))
    columns = "run_id, architecture, value, seconds, flops, info, error, architecture_json, created"
    connection = sqlite3.connect(path)
    before = connection.execute(f"SELECT id, {columns} FROM scores").fetchall()
    connection.close()
    with Store(path) as store:
        assert len(list(store.records())) == len(before)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute(f"SELECT id, {columns} FROM scores").fetchall() == before
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.execute("UPDATE scores SET seconds = seconds + 1 WHERE id = 1")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="checksum"), Store(path) as store:
        list(store.records())


def test_many_open_an_older_store_at_once(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD, tmp_path / "old.db"))
    code = f"from nasproxy.store import Store; print(len(list(Store({str(path)!r}).records())))"
    command = [sys.executable, "-c", code]
    crowd = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    counts = {process.communicate(timeout=60)[0].strip() for process in crowd}
    with Store(path) as store:
        assert counts == {str(len(list(store.records())))}


# Files that cannot be written


@pytest.mark.parametrize("source", ["today's", "an older one"])
def test_what_cannot_be_written_is_read(
    source: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source != "today's":
        shutil.copy(OLD, path)
    monkeypatch.setattr(database, "writable", lambda path: False)
    before = sorted((f.name, f.read_bytes()) for f in tmp_path.iterdir())
    with Store(path) as store:
        found = list(store.records())
        assert store.get(found[0].key) == found[0]
        with pytest.raises(StoreError, match="can only be read"):
            store.put(make())
    assert sorted((f.name, f.read_bytes()) for f in tmp_path.iterdir()) == before


# Threads and forks


def test_threads_share_a_store(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for i in range(30):
                store.put(make(f"{name}-{i}", i))
                assert store.get(make(f"{name}-{i}").key) is not None
        except BaseException as error:
            failures.append(error)

    with Store(tmp_path / "scores.db") as store:
        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert len(list(store.records())) == 120


def test_a_closed_store_says_so(path: Path) -> None:
    store = Store(path)
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.groups()


def test_a_forked_process_has_to_open_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store:
        here = os.getpid()
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: here + 1)
            with pytest.raises(StoreError, match="forked"):
                store.groups()


# Files that go away


@pytest.mark.parametrize(
    ("away", "rescued"),
    [
        (lambda path: path.unlink(), True),
        (lambda path: path.rename(path.with_name("else.db")), True),
        (lambda path: (path.unlink(), path.write_bytes(b"")), True),
    ],
    ids=["deleted", "renamed", "replaced"],
)
def test_a_file_that_goes_away_under_a_run_is_noticed(
    away: Callable[[Path], object],
    rescued: bool,
    path: Path,
    records: list[Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "_LOOK_SECONDS", 0.0)
    store = Store(path)
    away(path)
    with pytest.raises(StoreError, match="deleted, renamed or replaced") as caught:
        store.put(make("late", 1.0))
    store.close()
    kept = path.with_name("scores.db.rescued")
    assert str(kept) in str(caught.value)
    with Store(kept) as found:
        assert {r.key for r in found.records()} == {r.key for r in records}


def test_at_the_end_of_a_run_too(path: Path) -> None:
    with pytest.raises(StoreError, match="deleted"), Store(path):
        path.unlink()


# Other hosts


def test_on_a_network_file_system_a_store_is_one_processes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No WAL, whose index lies in memory of one host; a second process is told what to do."""
    monkeypatch.setattr(database, "network_kind", lambda path: "nfs4")
    with Store(path) as store:
        store.put(make("here", 1.0))
        assert not path.with_name("scores.db-shm").exists()
        assert not path.with_name("scores.db-wal").exists()
        with pytest.raises(StoreError, match="store merge"):
            Store(path)
    with Store(path) as store:
        assert store.get(make("here").key) is not None
    monkeypatch.undo()
    with Store(path) as store:  # And back on a local disk.
        store.put(make("there", 1.0))


def test_two_hosts_write_a_store_each(tmp_path: Path) -> None:
    """The way out that the message names: nothing is lost."""
    for host in ("a", "b"):
        with Store(tmp_path / f"{host}.db") as store:
            store.put_many(make(f"{host}-{i}", i) for i in range(150))
    with Store(tmp_path / "all.db") as store:
        for host in ("a", "b"):
            assert merge(tmp_path / f"{host}.db", store).added == 150
        assert len(list(store.records())) == 300


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ([("/", "ext4")], None),
        ([("/", "ext4"), ("/data", "nfs4")], "nfs4"),
        ([("/", "nfs"), ("/data", "xfs")], None),
        ([("/", "ext4"), ("/da", "nfs")], None),
        ([("/", "overlay"), ("/data", "fuse.sshfs")], "fuse.sshfs"),
        ([("/", "overlay"), ("/data", "fuseblk")], None),
        ([("/", "ext4"), ("/data", "ext4"), ("/data", "lustre")], "lustre"),
        ([("/", "ext4"), ("/data", "cifs"), ("/data/s", "ext4")], None),
        ([], None),
    ],
)
def test_kinds_of_file_systems(
    mounts: list[tuple[str, str]], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mount:
        def __init__(self, place: str, kind: str) -> None:
            self.mountpoint, self.fstype = place, kind

    listed = [Mount(*mount) for mount in mounts]
    monkeypatch.setattr(filesystem.psutil, "disk_partitions", lambda all: listed)
    assert filesystem.network_kind(Path("/data/s")) == expected


# What opening costs


def test_a_file_is_checked_once_while_nobody_else_writes_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call in a loop does not read all scores each time; another's change is looked at."""
    checks: list[Path] = []
    whole = integrity.file_damage

    def counted(path: Path) -> str | None:
        checks.append(path)
        return whole(path)

    monkeypatch.setattr(integrity, "file_damage", counted)
    for i in range(3):
        with Store(path) as store:
            store.put(make(f"more-{i}", 1.0))
    assert len(checks) == 0  # This process made it.
    time.sleep(0.05)  # File systems count time in ticks of some milliseconds.
    changed(path, "UPDATE scores SET value = 5 WHERE id = 1")
    with Store(path):
        assert len(checks) == 1
