"""``nasproxy search --optuna``: a study in a file, its front, its refusals."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import optuna
import pandas as pd
import pytest
from typer.testing import CliRunner

from nasproxy.cli import app
from nasproxy.errors import SettingError
from nasproxy.proxies.base import NoScore
from nasproxy.store import Store
from tests.support.cli import run

WORDS = ("search", "nasbench_macro:width=8", "--objective", "params", "--objective", "counts")
WORDS += ("--strategy", "nsga2:population_size=8", "--quiet")


def test_a_study_is_searched_written_drawn_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    verbosity = optuna.logging.get_verbosity()
    words = [*WORDS, "--optuna", "study.db", "--store", "scores.db", "--seed", "3"]
    first = run(*words, "--budget", "10", "--out", "trials.csv", "--plot", "front.png")
    assert "Pareto front of 10 trials (10 complete)" in first
    table = pd.read_csv("trials.csv", dtype={"architecture": str})
    assert len(table) == 10
    best = table[table["front"]]
    for key in best["architecture"]:
        assert key in first
    assert Path("front.png").read_bytes().startswith(b"\x89PNG")
    with Store("scores.db") as store:
        before = store.groups()
    assert run(*words, "--budget", "10") == first
    with Store("scores.db") as store:
        assert store.groups() == before
    assert "of 14 trials" in run(*words, "--budget", "14")
    kept = optuna.load_study(study_name="nasproxy", storage="sqlite:///study.db")
    assert len(kept.trials) == 14
    assert optuna.logging.get_verbosity() == verbosity != optuna.logging.ERROR, "as it was"


def test_a_screen_prunes(tmp_path: Path) -> None:
    found = run(
        *("search", "nasbench_macro:width=8", "--objective", "counts", "--budget", "12"),
        *("--optuna", str(tmp_path / "study.db"), "--screen", "params", "--keep", "0.5", "--quiet"),
        *("--strategy", "random"),
    )
    assert "pruned" in found


@dataclass(frozen=True)
class Nothing:
    """Has nothing to say of any architecture."""

    name: ClassVar[str] = "nothing"

    def prepare(self, space: Any, data: Any, seed: int) -> Any:
        def scorer(architecture: Any) -> Any:
            raise NoScore("nothing to say")

        return scorer


def test_nothing_scored_is_no_success(tmp_path: Path) -> None:
    words = ["search", "nasbench_macro", "--optuna", str(tmp_path / "s.db"), "--quiet"]
    words += ["--objective", "tests.cli.test_search.Nothing", "--budget", "3"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "none of 3 trials has a score (3 failed)" in result.output
    assert "3 of them because of nothing: nothing to say" in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--optuna", "s.db"], "--optuna is given without --objective"),
        (["--optuna", "s.db", "--proxy", "params"], "give it as --objective params"),
        (["--optuna", "s.db", "--objective", "params", "--keep", ".3"], "give --screen PROXY too"),
        (["--proxy", "params", "--plot", "f.png"], "--plot is of a study of Optuna's"),
        (["--proxy", "params", "--objective", "flops"], "--objective is of a study"),
        ([], "give --proxy, what to maximise"),
        (["--optuna", "s.db", "--objective", "params", "--plot", "f.gif"], "ends in '.gif'"),
        (["--optuna", "s.db", "--objective", "params", "--strategy", "tabu"], "choose one of tpe"),
    ],
)
def test_mistakes_are_named(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=says):
        run("search", "nasbench_macro", *words, "--budget", "2")
    assert not list(tmp_path.iterdir())
