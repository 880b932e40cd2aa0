"""The command line does what its functions do, and says what is wrong in one line."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from nasproxy import cli
from nasproxy.architectures import read_architectures
from nasproxy.cli.printing import one_line
from nasproxy.errors import (
    ArchitectureError,
    DataError,
    NasproxyError,
    ScoringError,
    SettingError,
)
from nasproxy.progress import bar, fraction
from nasproxy.proxies.base import NoScore
from nasproxy.store import Store
from search_spaces import NASBench101
from tests.support.cli import run

TINY = "nngp:n_train=20,n_valid=20,norm_images=16,width=8"


def test_score_then_rank_by_a_table(tmp_path: Path) -> None:
    store, truth, out = tmp_path / "s.db", tmp_path / "truth.csv", tmp_path / "scores.csv"
    drawn = ["--sample", "12", "--seed", "3", "--quiet"]
    scored = ["--proxy", TINY, "--proxy", "params", "--store", str(store), "--out", str(out)]
    assert "12 architectures" in run("score", "nasbench101", *drawn, *scored)
    frame = pd.read_csv(out, index_col="architecture")
    assert list(frame.index) == [cell.key for cell in NASBench101().sample(12, seed=3)]
    frame["params"].rename("test_accuracy").rename_axis("module_hash").to_csv(truth)
    rows = json.loads(
        run("rank", "--store", str(store), "--truth", f"{truth}:test_accuracy", "--format", "json")
    )
    rows = rows if isinstance(rows, list) else rows["rows"]
    by_proxy = {row["proxy"]: row for row in rows}
    assert by_proxy["params"]["kendall_tau"] == pytest.approx(1.0)
    assert by_proxy["params"]["n"] == 12
    assert "uniform" in by_proxy["params"]["drawn"]


def test_params_are_those_of_the_benchmark_and_width_that_of_the_run(tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    cells = tmp_path / "cells.txt"
    cell = NASBench101().sample(1, seed=0)[0]
    cells.write_text(f"# one\n\n{cell.to_json()}\n")
    proxies = ["--proxy", "params", "--proxy", TINY]
    run("score", "nasbench101", "--architectures", str(cells), *proxies, "--out", str(out))
    expected = NASBench101(width=128).graph(cell, (8, 8, 1), 10).parameters
    assert pd.read_parquet(out)["params"].item() == expected


def test_shards_share_out_a_sample(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    words = ["score", "nasbench101", "--sample", "5", "--proxy", "flops", "--quiet"]
    for shard in ("0/2", "1/2"):
        run(*words, "--shard", shard, "--store", str(store))
    with Store(store) as opened:
        assert [group.ok for group in opened.groups()] == [5]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, but: int = 10**6) -> None:
    """Every graph of NAS-Bench-101 fails, but one in so many."""
    graph, calls = NASBench101.graph, itertools.count(1)

    def raising(*given: Any) -> Any:
        if next(calls) % but == 0:
            return graph(*given)
        raise error

    monkeypatch.setattr(NASBench101, "graph", raising)


SCORED = ("score", "nasbench101", "--sample", "4", "--proxy", "params", "--quiet")
SEARCHED = ("search", "nasbench101", "--proxy", "params", "--budget", "4", "--quiet")


@pytest.mark.parametrize("store", [[], ["--store", "s.db"]])
def test_why_scores_failed_is_said(
    store: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failing(monkeypatch, RuntimeError("too [many]\nlayers"), but=4)
    said = "3 failed, 3 of them because of RuntimeError: too [many] layers"
    assert f"{said}\n" in run(*SCORED, *store)
    if store:
        old = "3 are of earlier runs: --retry-failed computes them again"
        assert f"{said} ({old})" in run(*SCORED, *store)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "failed" not in run(*SCORED, *store, "--retry-failed")


@pytest.mark.parametrize("words", [SCORED, SEARCHED])
def test_nothing_scored_is_no_success(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the proxy says of each is stored, and the exit code tells."""
    monkeypatch.chdir(tmp_path)
    failing(monkeypatch, NoScore("too flat"))
    result = CliRunner().invoke(cli.app, [*words, "--store", "s.db"])
    assert result.exit_code == 1
    assert "because of too flat" in result.output
    with Store("s.db") as store:
        assert store.groups()[0].failed >= 4
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "because of" not in run(*words, "--store", "s.db", "--retry-failed")


@pytest.mark.parametrize("words", [SCORED, SEARCHED])
@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (MemoryError(), ScoringError, "MemoryError: that is no fault of the architecture"),
        (OSError(28, "No space left on device"), ScoringError, "No space left"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), ScoringError, "RESOURCE_EXHAUSTED"),
        (RecursionError("maximum recursion"), ScoringError, "maximum recursion"),
        (RuntimeError("of unknown cause"), ScoringError, "all 4 that were tried failed by Runtime"),
        (NameError("name 'x' is not defined"), NameError, "name 'x'"),
        (DataError("images of 1×1"), DataError, "images of 1×1"),
    ],
)
def test_what_is_no_architectures_fault_ends_the_run_and_is_not_stored(
    error: Exception,
    kind: type[Exception],
    said: str,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    failing(monkeypatch, error)
    with pytest.raises(kind, match=said):
        run(*words, "--store", "s.db")
    with Store("s.db") as store:
        assert list(store.records()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*SCORED, "--out", "none/t.csv"), "none/t.csv cannot be written"),
        ((*SCORED, "--out", "t.xlsx"), "a table is a .parquet or .csv file"),
        ((*SEARCHED, "--out", "."), "ends in"),
        (("rank", "--store", "s.db", "--truth", "params", "--plot", "none/p.png"), "none/p.png"),
        (("rank", "--store", "s.db", "--truth", "params", "--plot", "p.txt"), "give a .png"),
        (("truth", "import", "none.tfrecord", "--out", "t.txt"), "a table is a"),
        ((*SCORED, "--timeout", "0"), "timeout=0.0 of scoring"),
    ],
)
def test_where_results_go_is_looked_at_first(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failing(monkeypatch, AssertionError("computed"))
    with pytest.raises(NasproxyError, match=said):
        run(*words)
    assert not list(tmp_path.glob(".*"))


def test_search_finds_and_resumes(tmp_path: Path) -> None:
    words = ["search", "nasbench101", "--proxy", "params", "--strategy", "random", "--budget", "6"]
    words += ["--store", str(tmp_path / "search.db"), "--quiet"]
    first, second = run(*words), run(*words)
    assert first == second
    assert '"adjacency"' in first


def test_lists_say_what_there_is() -> None:
    assert "423,624" in run("spaces")
    listed = run("proxies")
    for name in ("nngp", "params", "flops", "training"):
        assert f"{name}: " in listed
    assert "digits" in run("datasets")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["score", "nasbench", "--sample", "1", "--proxy", "params"], "nasbench101"),
        (
            ["score", "nasbench101", "--sample", "1", "--proxy", "nnpg"],
            "choose one of az_expressivity",
        ),
        (["score", "nasbench101", "--sample", "1", "--proxy", "nngp:n_tran=3"], "n_train"),
        (["score", "nasbench101", "--sample", "1", "--proxy", "nngp:preset=lab"], "colab, paper"),
        (["score", "nasbench101", "--sample", "1", "--proxy", "nngp:n_train"], "key=value"),
        (["score", "nasbench101", "--sample", "1", "--proxy", "nngp:n_train=0"], "at least 1"),
        (["score", "nasbench101", "--proxy", "params"], "--sample N, --architectures FILE"),
        (["score", "nasbench101:width=0", "--sample", "1", "--proxy", "params"], "width=0"),
        (
            ["score", "nasbench101", "--sample", "1", "--proxy", "nngp:n_train=99999"],
            "ask for at most",
        ),
        (
            ["score", "nasbench101", "--sample", "1", "--sampler", "grid", "--proxy", "params"],
            "random_matrix",
        ),
        (
            ["score", "nasbench101", "--sample", "1", "--proxy", "params", "--shard", "2/2"],
            "0 to N",
        ),
        (["score", "mnas", "--sample", "2", "--proxy", "params"], "at least 32×32"),
        (["search", "mnas", "--proxy", "params", "--budget", "2"], "at least 32×32"),
        (["rank", "--store", "absent.db", "--truth", "t.csv:a"], "there is no store"),
        (["search", "nasbench101", "--proxy", "params", "--strategy", "tabu"], "evolution"),
    ],
)
def test_mistakes_are_named(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NasproxyError) as caught:
        run(*words)
    assert says in str(caught.value)


@pytest.mark.slow
def test_a_mistake_is_one_line_and_exit_2(tmp_path: Path) -> None:
    program = "from nasproxy.cli import main; main()"
    words = [sys.executable, "-c", program, "score", "nasbench101", "--sample", "1"]
    result = subprocess.run(
        [*words, "--proxy", "nope"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: proxy 'nope'")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["score", "nasbench101", "--sample", "1", "--proxy", "nngp[nope]"],
        ["score", "nasbench101", "--sample", "1", "--proxy", "params", "--data", "./no[/a]"],
        ["rank", "--store", ":cat:[/].db", "--truth", "t.csv:a"],
    ],
)
def test_mistakes_are_printed_as_they_are(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets are no markup, colons no emoji."""
    monkeypatch.setattr(sys, "argv", ["nasproxy", *words])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    said = capsys.readouterr().err
    strange = next(word for word in words if "[" in word).removeprefix("./")
    assert said.startswith("error: ")
    assert strange in said


def test_names_are_printed_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    store = tmp_path / "[bold]s[" / "]:cat:.db"
    store.parent.mkdir()
    out = run("score", "nasbench101", "--sample", "1", "--proxy", "params", "--store", str(store))
    assert f"stored in {store}; rank with: nasproxy rank --store {store} " in out
    labels = np.arange(20) % 2
    images = labels[:, None, None] + np.random.default_rng(0).normal(size=(20, 3, 3))
    path = tmp_path / "[red]a:cat:.npz"
    np.savez(path, x_train=images, y_train=labels, x_valid=images, y_valid=labels)
    assert path.stem in run(
        "fit", "--data", str(path), "--depth", "1", "--solver", "ridge", "--quiet"
    )


def test_progress_is_named_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("a[/a]", 1) as advance:
        advance()
    with fraction("b[bold]") as advance_to:
        advance_to(1.0)
    said = capsys.readouterr().err
    assert "a[/a]" in said
    assert "b[bold]" in said


def test_fit_takes_settings_of_data() -> None:
    words = ["fit", "--depth", "1", "--solver", "ridge", "--n-train", "20", "--n-valid", "20"]
    assert "digits:seed=1" in run(*words, "--data", "digits:seed=1", "--quiet")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no architecture"),
        ("# only this\n", "holds no architecture"),
        ('\n{"adjacency": [[0, 1], [0, 0]]}\n', "line 2"),
        ("[1, 2]\n", "line 1"),
    ],
)
def test_bad_architecture_files(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "cells.txt"
    path.write_text(text)
    with pytest.raises(ArchitectureError, match=says):
        read_architectures(path, NASBench101())


def test_absent_architecture_file(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="cannot read"):
        read_architectures(tmp_path / "none.txt", NASBench101())


def test_sampling_less_than_nothing_is_refused() -> None:
    with pytest.raises(SettingError):
        run("score", "nasbench101", "--sample", "-1", "--proxy", "params")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search", "nasbench101", "--proxy", "params", "--proxy", "flops"], "--proxy"),
        (["rank", "--store", "a.db", "--truth", "x", "--truth=y"], "--truth"),
        (["score", "nasbench101", "--sample=1", "--sample", "2", "--proxy", "params"], "--sample"),
        (["fit", "--depth", "1", "--depth", "2"], "--depth"),
        (["truth", "import", "x", "--out", "a.csv", "--out", "b.csv"], "--out"),
    ],
)
def test_an_option_for_one_value_is_taken_once(words: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=f"{said} is given 2 times"):
        run(*words)


def in_process(*words: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "nasproxy", *words]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_every_encoding_of_the_output_is_served(encoding: str) -> None:
    for words in (["fit", "--help"], ["reproduce", "--list"], ["spaces"]):
        done = in_process(*words, PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_output_that_cannot_be_written_is_one_line() -> None:
    command = f"{sys.executable} -m nasproxy spaces > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: the output cannot be written: No space left on device"


def test_no_escape_code_reaches_the_terminal(tmp_path: Path) -> None:
    """Of names in other people's tables and stores."""
    truth = tmp_path / "t.csv"
    truth.write_text("module_hash,a\x1b[31mb\nx,1\n")
    done = in_process("rank", "--store", str(tmp_path / "none.db"), "--truth", f"{truth}:c")
    assert done.returncode == 2
    store = tmp_path / "s.db"
    run(
        "score",
        "nasbench101",
        "--sample",
        "2",
        "--proxy",
        "params",
        "--store",
        str(store),
        "--quiet",
    )
    done = in_process("rank", "--store", str(store), "--truth", f"{truth}:c")
    assert done.returncode == 2
    assert b"\x1b[31" not in done.stderr
    assert rb"\x1b[31mb" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_messages_are_one_line_of_bounded_length() -> None:
    assert one_line("a\nb\x07\ud800") == r"a b\x07\ud800"
    assert len(one_line("x" * 10**7)) < 3_000
