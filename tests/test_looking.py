"""docs/looking.md: its Python runs, and its commands have the options that it names."""

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from nasproxy.cli import app
from tests.conftest import ROOT
from tests.support.cli import run

TEXT = (ROOT / "docs" / "looking.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line)[1:] for line in re.findall(r"^nasproxy .+$", TEXT, re.MULTILINE)]


def test_its_python_draws_a_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    exec(compile(code, "looking.md", "exec"), {})
    ElementTree.parse(tmp_path / "cells.svg")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words)[:40])
def test_its_commands_have_options_that_exist(command: list[str]) -> None:
    options = {"COLUMNS": "200", "TERM": "dumb"}
    result = CliRunner().invoke(app, [command[0], "--help"], env=options)
    assert result.exit_code == 0, result.output
    for word in command:
        assert not word.startswith("--") or word in result.output


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] == "show"], ids=" ".join)
def test_its_architectures_are_drawn(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run(*command)
    ElementTree.fromstring(said or (tmp_path / "network.svg").read_text(encoding="utf-8"))


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
