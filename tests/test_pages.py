"""The README and the pages of docs/: their Python runs as it stands, their commands exist.

The tour is a notebook, which the build of the pages runs.
"""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasproxy.cli import app

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}


def blocks(page: str, language: str) -> list[str]:
    """What stands between fences of a language, or of none."""
    fenced = re.findall(r"^```([^\n]*)\n(.*?)^```$", PAGES[page], re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
SAME = ("README.md", "docs/start.md")
"""Pages that begin with the same Python and the same commands: the first is run."""


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page not in SAME[1:]])
def test_python_of_a_page_runs_in_order(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lenient: None
) -> None:
    """Each page by itself: what it shows is all that is needed."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "page"}
    for example in blocks(page, "python"):
        exec(compile(example, page, "exec"), namespace)
    assert len(namespace) > 3


def test_most_pages_show_python() -> None:
    assert {"README.md", "docs/start.md", "docs/searching.md"} <= set(WITH_PYTHON)
    assert len(WITH_PYTHON) >= 8
    first, *others = SAME
    for page in others:
        assert blocks(page, "python") == blocks(first, "python")
        assert first_commands(page) == first_commands(first)


def first_commands(page: str) -> str:
    """The first block of nasproxy commands."""
    return next(block for block in blocks(page, "") if block.startswith("nasproxy score"))


def commands() -> list[list[str]]:
    found = []
    for page, text in PAGES.items():
        joined = text.replace("\\\n", " ") if page != "docs/changes.md" else ""
        found += re.findall(r"(?:^|`)(nasproxy [a-z][^`\n]+)", joined, re.MULTILINE)
    lines = dict.fromkeys(re.sub(r"\s+#.*", "", line).strip() for line in found)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_have_options_that_exist(command: list[str]) -> None:
    """Every option of a command on a page stands in that command's help."""
    words = command[:2] if command[0] in ("truth", "kernel", "store") else command[:1]
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    for word in command:
        if word.startswith("--"):
            assert word in result.output


@pytest.mark.slow
def test_first_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the README, on four cells instead of fifty."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    for line in first_commands("README.md").strip().splitlines():
        words = shlex.split(line.replace("--sample 50", "--sample 4").replace("=4", "=1"))[1:]
        result = runner.invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "scores.db").exists()
