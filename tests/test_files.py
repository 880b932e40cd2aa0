"""Files replaced whole or not at all: what is there afterwards, whoever is killed or fails when."""

import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pytest

from nasproxy import files
from nasproxy.data import Dataset
from nasproxy.data.decoded import read_cached, write_cached
from nasproxy.errors import TruthError
from nasproxy.truth import write_table

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")


def write(path: Path, content: bytes) -> None:
    with files.replacing(path) as file:
        file.write(content)


def interrupted(file: BinaryIO) -> None:
    with file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for content in (b"first", b"", b"second, longer" * 10_000):
        write(path, content)
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == ["a.bin"]


def test_a_failing_writer_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for before in (None, b"before"):
        if before is not None:
            path.write_bytes(before)
        with pytest.raises(KeyboardInterrupt), files.replacing(path) as file:
            interrupted(file)
        assert os.listdir(tmp_path) == ([] if before is None else ["a.bin"])
    assert path.read_bytes() == b"before"


KILLED = """
import os, sys
from nasproxy import files
setattr(os, sys.argv[2], lambda *_: os._exit(9))
with files.replacing(sys.argv[1]) as file:
    file.write(b"new" * 100_000)
"""


@pytest.mark.parametrize("call", ["fsync", "chmod", "replace"])
def test_a_kill_before_the_replacement_leaves_the_old_file(tmp_path: Path, call: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), call], check=False)
    assert run.returncode == 9
    assert path.read_bytes() == b"old"
    write(path, b"newer")  # what the killed one left beside it is in nobody's way
    assert path.read_bytes() == b"newer"


def test_is_on_the_disk_before_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        calls.append(("fsync", os.fstat(handle).st_size))
        fsync(handle)

    def replaced(*paths: str) -> None:
        calls.append(("replace", 0))
        replace(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write(tmp_path / "a.bin", b"12345")
    assert calls[:2] == [("fsync", 5), ("replace", 0)]


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_has_the_permissions_that_open_gives(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write(tmp_path / "ours", b"")
        (tmp_path / "theirs").write_bytes(b"")
        assert os.umask(umask) == umask  # and leaves the umask alone
    finally:
        os.umask(before)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


@POSIX
def test_keeps_the_permissions_of_what_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_bytes(b"old")
    path.chmod(0o754)
    write(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o754


@POSIX
def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    link.symlink_to(target)
    for content in (b"made", b"replaced"):
        write(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "link"]
    assert os.listdir(tmp_path / "elsewhere") == ["target"]


@pytest.mark.parametrize("folder", ["absent", "file"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=folder):
        write(tmp_path / folder / "a.bin", b"")
    with pytest.raises(TruthError, match=r"a\.csv cannot be written .* check the folder"):
        write_table(pd.DataFrame({"x": [1]}), tmp_path / folder / "a.csv")


def test_cleaning_up_never_hides_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that turns read-only while it is written refuses the removal too."""

    def refused(*_: object) -> None:
        raise OSError("read-only file system")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "unlink", refused)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write(tmp_path / "a.bin", b"x")


def test_a_folder_is_replaced_with_all_that_it_held(tmp_path: Path) -> None:
    path = tmp_path / "above" / "report"
    for names in (["a", "b"], ["c"]):
        with files.replacing_folder(path) as new:
            for name in names:
                (new / name).write_text(name)
        assert sorted(os.listdir(path)) == names
        assert os.listdir(path.parent) == ["report"]


def test_a_failing_report_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.mkdir()
    (path / "README.md").write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(path) as new:
        interrupted((new / "README.md").open("wb"))
    assert (path / "README.md").read_text() == "old"
    assert os.listdir(tmp_path) == ["report"]


KILLED_FOLDER = """
import os, pathlib, sys
from nasproxy import files
renamed, left = pathlib.Path.rename, [int(sys.argv[2])]
def rename(self, target):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    return renamed(self, target)
pathlib.Path.rename = rename
with files.replacing_folder(sys.argv[1]) as new:
    (new / "README.md").write_text("new")
"""


@pytest.mark.parametrize("renames", [0, 1])
def test_a_kill_never_loses_the_old_folder(tmp_path: Path, renames: int) -> None:
    path = tmp_path / "report"
    path.mkdir()
    (path / "README.md").write_text("old")
    code = [sys.executable, "-c", KILLED_FOLDER, str(path), str(renames)]
    assert subprocess.run(code, check=False).returncode == 9
    kept = [report.read_text() for report in tmp_path.glob("**/README.md")]
    assert "old" in kept
    if renames == 0:
        assert (path / "README.md").read_text() == "old"


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, tiny_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASPROXY_CACHE", str(tmp_path))
    path = tmp_path / "decoded" / "a.npz"
    write_cached(path, np.asarray(tiny_data.train_images), tiny_data.train_labels)
    found = read_cached(path)
    assert found is not None
    assert (found[1] == tiny_data.train_labels).all()

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    write_cached(path.with_stem("b"), np.asarray(tiny_data.train_images), tiny_data.train_labels)
    assert os.listdir(path.parent) == ["a.npz"]
