"""The README's Python runs as it stands, and its commands are ones that the command line has."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nasproxy.cli import app

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_python_examples_run_in_order() -> None:
    examples = blocks("python")
    assert len(examples) >= 5
    namespace: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), namespace)
    assert "strategy" in namespace


def commands() -> list[list[str]]:
    lines = re.findall(r"(?:^|`)(nasproxy [^`\n]+)", README, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_have_options_that_exist(command: list[str]) -> None:
    """Every option of a command in the README stands in that command's help."""
    words = command[:2] if command[0] in ("truth", "kernel") else command[:1]
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    for word in command:
        if word.startswith("--"):
            assert word in result.output


@pytest.mark.slow
def test_first_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block of nasproxy commands, on four cells instead of fifty."""
    monkeypatch.chdir(tmp_path)
    block = next(b for b in blocks("") if b.startswith("nasproxy score"))
    runner = CliRunner()
    for line in block.strip().splitlines():
        words = shlex.split(line.replace("--sample 50", "--sample 4").replace("=4", "=1"))[1:]
        result = runner.invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "scores.db").exists()
