"""The store: nothing acknowledged is ever lost, and no file of anyone's is ever damaged."""

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.errors import StoreError
from nasproxy.store import Group, Record, Store
from tests.conftest import ROOT
from tests.support.store import make


def filled(path: Path, rows: int = 300) -> Path:
    with Store(path) as store:
        store.put_many(make(str(i), i / 7) for i in range(rows))
    return path


def folder_state(folder: Path) -> dict[str, str]:
    """The name and the hash of every file: equal states mean that nothing was touched."""
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


def writer(path: Path, code: str, *arguments: str) -> "subprocess.Popen[str]":
    """A process with an open `store` and `make` that runs `code`."""
    header = f"""
import sys
from nasproxy.store import Store
from tests.support.store import make
store = Store({str(path)!r})
"""
    command = [sys.executable, "-c", header + code, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


# What is put comes back


@settings(deadline=None)
@given(
    value=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    text=st.text(st.characters(exclude_categories=["Cs"])),
    info=st.dictionaries(st.text(), st.one_of(st.integers(), st.booleans(), st.none(), st.text())),
)
def test_round_trip(value: float | None, text: str, info: dict[str, object]) -> None:
    record = make(text, value, space=text, info=info, architecture_json=text)
    with Store(None) as store:
        store.put(record)
        assert store.get(record.key) == record
        assert list(store.records()) == [record]


def test_every_part_of_the_key_counts() -> None:
    variants = [make(), make("b"), make(space="t"), make(proxy="q"), make(data="d"), make(seed=1)]
    with Store(":memory:") as store:
        store.put_many(variants)
        assert [store.get(record.key) for record in variants] == variants
        assert store.get(make("c").key) is None
        assert len(store.get_many("s", "p", "digits@1", 0)) == 2


def test_reopening_keeps_everything(tmp_path: Path) -> None:
    filled(tmp_path / "scores.db")
    assert os.listdir(tmp_path) == ["scores.db"]  # no -wal or -shm stays behind
    with Store(tmp_path / "scores.db") as store:
        assert len(list(store.records())) == 300


def test_success_replaces_failure_and_never_the_reverse() -> None:
    failed, better = make(value=None), make(value=0.75)
    with Store(None) as store:
        for put, kept in [(failed, failed), (better, better), (failed, better), (make(), make())]:
            store.put(put)
            found = store.get(failed.key)
            assert found is not None
            assert (found.value, found.error) == (kept.value, kept.error)


def test_a_failing_batch_leaves_nothing() -> None:
    with Store(None) as store:
        with pytest.raises(ValueError, match="value is nan"):
            store.put_many([make("a"), make("b", float("nan"))])
        assert store.groups() == []


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (make(value=float("nan")), "value is nan, not finite"),
        (make(value=float("inf")), "value is inf"),
        (make(seconds=float("nan")), "seconds is nan"),
        (make(info={"x": float("nan")}), "not strict JSON"),
        (make(info={"x": object()}), "not strict JSON"),
        (make(error="both"), "a value or an error"),
        (make(value=None, error=None), "a value or an error"),
    ],
)
def test_what_cannot_be_kept_is_refused(record: Record, message: str) -> None:
    with Store(None) as store, pytest.raises(ValueError, match=message):
        store.put(record)


def test_numpy_numbers_are_kept_as_numbers() -> None:
    with Store(None) as store:
        store.put(make(value=np.float32(0.5), seed=np.int64(3), flops=np.float64(2.0)))
        found = store.get(make(seed=np.int64(3)).key)
    assert found is not None
    assert (found.value, found.flops, found.key.seed) == (0.5, 2.0, 3)


def test_records_pass_filters_and_puts_in_between() -> None:
    with Store(None) as store:
        store.put_many(make(str(i), seed=i % 2) for i in range(3_000))
        seen = []
        for record in store.records(space="s", seed=1):
            seen.append(record.key.architecture)
            store.put(make(record.key.architecture, value=0.1, seed=0))
    assert seen == [str(i) for i in range(1, 3_000, 2)]


def test_groups_and_frame() -> None:
    with Store(None) as store:
        assert list(store.frame().columns[:5]) == ["space", "architecture", "proxy", "data", "seed"]
        store.put_many([make("a"), make("b", None), make("a", seed=1)])
        assert store.groups() == [
            Group("s", "p", "digits@1", 0, 1, 1),
            Group("s", "p", "digits@1", 1, 1, 0),
        ]
        frame = store.frame(seed=0)
    assert frame["architecture"].tolist() == ["a", "b"]
    assert frame["value"].isna().tolist() == [False, True]
    assert frame["value"].dtype == "float64"
    assert str(frame["created"].dt.tz) == "UTC"
    assert abs(frame["created"].iloc[0].timestamp() - time.time()) < 60


# Kills, crowds and full disks


def test_kill_nine_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Rounds on one file, so that later ones recover what earlier kills left behind."""
    path = tmp_path / "scores.db"
    rng = random.Random(0)
    acknowledged: set[str] = set()
    for number in range(6):
        code = f"""
import itertools
for i in itertools.count():
    store.put(make("{number}-" + str(i), i))
    print("{number}-" + str(i), flush=True)
"""
        process = writer(path, code)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0]
        lines = (first + rest).splitlines(keepends=True)
        acknowledged |= {line.strip() for line in lines if line.endswith("\n")}
        if number % 2:  # every other kill is recovered by the next writer, not by a reader
            with Store(path) as store:
                there = {record.key.architecture for record in store.records()}
            assert acknowledged <= there
    assert len(acknowledged) > 6


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.002, 0.004, 0.008])
def test_kill_nine_while_creating(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "scores.db"
    code = f"""
import os, signal, threading, time
from nasproxy.store import Store
def kill():
    time.sleep({delay})
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=kill).start()
Store({str(path)!r})
time.sleep(9)
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert process.returncode == -signal.SIGKILL
    with Store(path) as store:
        store.put(make())
        assert len(list(store.records())) == 1


def test_a_crowd_of_writers(tmp_path: Path) -> None:
    """They create the file together, write the same and other rows, and open and close at once."""
    path = tmp_path / "scores.db"
    code = """
name = sys.argv[1]
for i in range(60):
    store.put_many([make(f"{name}-{i}"), make("shared", 1.0, seed=i)])
    if i % 10 == 0:
        store.close()
        store = Store(store.path)
store.close()
"""
    crowd = [writer(path, code, str(name)) for name in range(4)]
    for process in crowd:
        process.communicate(timeout=60)
        assert process.returncode == 0
    with Store(path) as store:
        rows = [(record.key.architecture, record.key.seed) for record in store.records()]
    expected = {(f"{name}-{i}", 0) for name in range(4) for i in range(60)}
    assert len(rows) == 4 * 60 + 60
    assert set(rows) == expected | {("shared", i) for i in range(60)}


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes real writes fail as a full disk does."""
    code = """
import resource, signal
from nasproxy.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for i in range(10_000):
        store.put(make(str(i)))
        print(i, flush=True)
except StoreError as error:
    print("stopped:", error)
"""
    process = writer(tmp_path / "scores.db", code)
    *acknowledged, last = process.communicate()[0].splitlines()
    assert last.startswith("stopped:")
    assert "scores.db" in last
    with Store(tmp_path / "scores.db") as store:
        there = {record.key.architecture for record in store.records()}
    assert set(acknowledged) <= there
    assert len(acknowledged) > 10


def test_full_names_the_cure(tmp_path: Path) -> None:
    with Store(tmp_path / "scores.db") as store:
        store._connection.execute("PRAGMA max_page_count = 12")
        with pytest.raises(StoreError, match="free some space"):
            store.put_many(make(str(i)) for i in range(1_000))
        assert store.groups() == []


def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    """Prints what a put costs first and last; asserts only that everything is there."""
    with Store(tmp_path / "scores.db") as store:
        seconds = []
        for batch in range(100):
            records = [make(hashlib.md5(f"{batch}-{i}".encode()).hexdigest()) for i in range(1_000)]
            start = time.perf_counter()
            for record in records[:20]:
                store.put(record)
            seconds.append((time.perf_counter() - start) / 20)
            store.put_many(records[20:])
        print(f"put: first {seconds[0] * 1e3:.2f} ms, last {seconds[-1] * 1e3:.2f} ms")
        assert store.groups() == [Group("s", "p", "digits@1", 0, 100_000, 0)]


# Files that are not a whole store of this version


def cut(size: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, size)


def overwrite(offset: int, content: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return change


def other_database(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE runs (x)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_text("a,b\n1,2\n" * 100), "not an SQLite file"),
        (lambda path: path.write_bytes(b"\0" * 5_000), "not an SQLite file"),
        (lambda path: path.write_text("x"), "not an SQLite file"),
        (overwrite(0, b"sqlite"), "not an SQLite file"),
        (other_database, "something else"),
        (overwrite(68, b"GPKG"), "something else"),
        (overwrite(60, b"\0\0\0\3"), "version 3, this nasproxy reads versions 1 and 2"),
        (cut(7), "not an SQLite file"),
        (cut(16), "truncated"),
        (cut(99), "truncated"),
        *((cut(size), "damaged") for size in (100, 4_095, 4_096, 4_097, 8_192, 20_000)),
        (overwrite(16, b"\x03\x01"), "damaged"),
        (overwrite(28, b"\0\0\1\0"), "damaged"),
        (overwrite(100, b"\xff" * 60), "damaged"),
        (overwrite(4_096, b"\xff" * 200), "damaged"),
        (overwrite(3 * 4_096, b"\x5a" * 4_096), "damaged"),
    ],
)
def test_what_is_no_whole_store_is_left_as_it_is(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    path = filled(tmp_path / "scores.db")
    assert path.stat().st_size > 40_000
    damage(path)
    before = folder_state(tmp_path)
    with pytest.raises(StoreError, match=message) as caught:
        Store(path)
    assert str(path) in str(caught.value)
    assert folder_state(tmp_path) == before


@settings(max_examples=20, deadline=None)  # each waits .2 s for a writer to finish
@given(fraction=st.floats(0.001, 0.999))
def test_truncated_anywhere(tmp_path_factory: pytest.TempPathFactory, fraction: float) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = filled(folder / "scores.db", rows=20)
    os.truncate(path, int(path.stat().st_size * fraction) or 1)
    before = folder_state(folder)
    with pytest.raises(StoreError):
        Store(path)
    assert folder_state(folder) == before


def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    (tmp_path / "scores.db").touch()
    filled(tmp_path / "scores.db", rows=1)


def test_an_emptied_store_whose_scores_wait_beside_it(tmp_path: Path) -> None:
    """SQLite alone would delete the -wal file, and the scores with it."""
    path = tmp_path / "scores.db"
    process = writer(path, "store.put(make()); print(flush=True); import time; time.sleep(60)")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    os.truncate(path, 0)
    before = folder_state(tmp_path)
    assert "scores.db-wal" in before
    with pytest.raises(StoreError, match="companion"):
        Store(path)
    assert folder_state(tmp_path) == before


def test_places_where_no_store_can_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a file"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="create it first"):
        Store(tmp_path / "absent" / "scores.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="can be written"):
        Store(tmp_path / "scores.db")
