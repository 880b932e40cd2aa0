"""What a run of a suite says before it computes: its scores, their time, what they are worth."""

import math
from pathlib import Path

import numpy as np
import pytest

from nasproxy import metrics
from nasproxy.errors import SettingError
from nasproxy.reproduce import suites
from nasproxy.reproduce.plan import Plan, Planned, caution, duration, resolution
from nasproxy.reproduce.suites import Options
from tests.support.cli import run

A, B = ("space", "nngp", "data", 0), ("space", "ntk", "data", 0)


def test_scores_that_several_needs_share_count_once() -> None:
    scores = [Planned("few", A, 5, 1, 2.0), Planned("many", A, 20, 1, 2.0)]
    plan = Plan.of([*scores, Planned("ntk", B, 3, 0, None)], 20)
    assert [one.need for one in plan.scores] == ["many", "ntk"]
    assert plan.seconds == 19 * 2
    assert plan.unknown == ["ntk"]
    assert plan.lines() == [
        "plan: 23 scores of 2 kinds, 22 to compute",
        "  many: 20, 1 stored, 2 s each",
        "  ntk: 3, 0 stored",
    ]
    assert "about 38 s" in plan.estimate()
    assert "for a part: no score of ntk is stored" in plan.estimate()


def test_an_estimate_is_none_where_no_score_says_how_long_one_takes() -> None:
    scores = [Planned(f"width {i}", (*A[:3], i), 5, 0, None) for i in range(5)]
    said = Plan.of(scores, 5).estimate()
    assert said.startswith("estimate: none yet: no score of width 0, width 1, width 2 and 2 more")


def test_nothing_left() -> None:
    assert "nothing is left" in Plan.of([Planned("many", A, 20, 20, 2.0)], 20).estimate()
    assert Plan.of([], None).lines() == ["plan: 0 scores of 0 kinds, 0 to compute"]


@pytest.mark.parametrize("n", [20, 100])
def test_resolution_is_where_chance_ends(n: int) -> None:
    """A twentieth of unrelated rankings lie beyond it."""
    rng = np.random.default_rng(n)
    taus = [metrics.kendall_tau(rng.random(n), rng.random(n)) for _ in range(2000)]
    assert np.mean(np.abs(taus) > resolution(n)) == pytest.approx(0.05, abs=0.02)


def test_too_few_architectures_are_said_to_be() -> None:
    assert caution(None) == ""
    assert caution(47) == ""
    assert "of 46 architectures" in caution(46)
    assert "From 47 on" in caution(10)
    assert math.isinf(resolution(1))


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.5, "0.5 s"), (80, "80 s"), (200, "3.3 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_rehearsal_says_its_plan_and_keeps_to_a_folder_of_its_own(tmp_path: Path) -> None:
    """An experiment that only counts parameters and kernels of a few cells, twice."""
    words = ("reproduce", "fc_ntk/spectrum", "--quick", "--points", "60", "--out", str(tmp_path))
    said: list[str] = []
    options = Options(points=60, out=tmp_path, quick=True, progress=False)
    (written,) = suites.reproduce("fc_ntk/spectrum", options, said.append)
    assert written.folder == tmp_path / "fc_ntk_embedded_quick" / "spectrum"
    assert "Too few" not in written.verdict  # A grid of depths is ranked by nothing.
    assert said[0].startswith("plan: ")
    assert said[-1].startswith("estimate: ")
    assert "spectrum" in run(*words, "--quiet")


def test_scores_that_are_stored_are_planned_as_such(tmp_path: Path) -> None:
    said: list[str] = []
    options = Options(cells=2, points=60, out=tmp_path, progress=False)
    list(suites.reproduce("fc_ntk/depth", options, said.append))
    assert "0 stored" in said[1]
    again: list[str] = []
    list(suites.reproduce("fc_ntk/depth", options, again.append))
    assert again[-1] == "estimate: nothing is left to compute"
    assert all("s each" in line for line in again[1:-1])


def test_an_unknown_experiment_is_refused_before_anything_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="choose one of"):
        list(suites.reproduce("fc_ntk/none", Options(out=tmp_path), pytest.fail))
