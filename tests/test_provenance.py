"""The commit that results state is that of the source, of nothing around it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nasproxy.reproduce import provenance
from tests.conftest import ROOT


def repository(folder: Path) -> str:
    """Makes a folder one, of all that is in it; its commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder.mkdir(parents=True, exist_ok=True)

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", "first")
    return git("rev-parse", "--short=12", "HEAD")


def placed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the module's path below a folder, as the module's own."""
    relative = Path(provenance.__file__).relative_to(ROOT)
    path = folder / relative
    path.parent.mkdir(parents=True)
    path.touch()
    monkeypatch.setattr(provenance, "__file__", str(path))
    return path


def test_a_checkout_names_its_commit_and_says_that_files_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = placed(tmp_path, monkeypatch)
    commit = repository(tmp_path)
    assert provenance.commit() == commit
    path.write_text("changed")
    assert provenance.commit() == f"{commit} with changes"


@pytest.mark.parametrize("inside", ["venv/lib/site-packages", "vendor"])
def test_another_repository_around_it_is_not_its(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed(tmp_path / inside, monkeypatch)
    repository(tmp_path)
    assert provenance.commit() == "unknown"


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed(tmp_path, monkeypatch)
    assert provenance.commit() == "unknown"
