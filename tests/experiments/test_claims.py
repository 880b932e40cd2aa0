"""Claims: rules come out each way, evidence is what tables hold, the page is what rules say."""

import csv
import dataclasses
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy.errors import SettingError, TruthError
from nasproxy.reproduce import claims, evidence
from nasproxy.reproduce.claims import FAILS, HOLDS, NOT_TESTED, UNDECIDED, Claim, Evidence, Rule
from nasproxy.reproduce.statistics import Estimate
from tests.conftest import ROOT
from tests.support.cli import run

RESULTS = ROOT / "results"
EVERY = claims.every()
TESTED = [claim for claim in EVERY if claim.rule is not None]


def named(claim: Claim) -> str:
    return f"{claim.paper.partition(' ')[0]}-{claim.number}"


@pytest.mark.parametrize(
    ("rule", "interval", "verdict"),
    [
        (Rule(above=0), (0.1, 0.01, 0.2), HOLDS),
        (Rule(above=0), (0.1, 0.0, 0.2), UNDECIDED),
        (Rule(above=0), (0.1, -0.1, 0.2), UNDECIDED),
        (Rule(above=0), (-0.1, -0.2, -0.01), FAILS),
        (Rule(below=0), (-0.1, -0.2, -0.01), HOLDS),
        (Rule(below=0), (0.1, 0.01, 0.2), FAILS),
        (Rule(-1, 1), (0, -0.9, 0.9), HOLDS),
        (Rule(-1, 1), (0, -1.1, 0.9), UNDECIDED),
        (Rule(-1, 1), (-2, -3, -1.1), FAILS),
        (Rule(-1, 1), (2, 1.1, 3), FAILS),
        (Rule(-1, 1), (0, -2, 2), UNDECIDED),
        (Rule(above=0), (1, float("nan"), float("nan")), UNDECIDED),
        (Rule(above=4), (4.7, 4.7, 4.7), HOLDS),
        (Rule(above=4), (3.7, 3.7, 3.7), FAILS),
    ],
)
def test_a_rule_judges_an_interval(
    rule: Rule, interval: tuple[float, float, float], verdict: str
) -> None:
    assert rule.verdict(Estimate(*interval)) == verdict


@pytest.mark.parametrize("bounds", [(), (1, 1), (2, 1)])
def test_a_rule_has_a_bound(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="give a bound"):
        Rule(*bounds)


@pytest.mark.parametrize("claim", TESTED, ids=named)
def test_every_rule_comes_out_each_way(claim: Claim, tmp_path: Path) -> None:
    """With numbers made for it; where the experiment is too small to refute, it never fails."""
    report = tmp_path / claim.report
    report.parent.mkdir(parents=True)
    report.touch()
    assert claim.rule is not None
    ends = [b for b in (claim.rule.above, claim.rule.below) if np.isfinite(b)]
    found = set()
    for end, shift, half in product(ends, (-1000.0, -1e-4, 0.0, 1e-4, 1000.0), (1e-6, 1e-2)):
        value = end + shift
        interval = Evidence(Estimate(value, value - half, value + half), 10)
        one = claims.judge(dataclasses.replace(claim, find=lambda _, x=interval: x), tmp_path)
        found.add(one.verdict)
        assert claims.shown(interval.estimate) in one.sentence
    assert found == {HOLDS, UNDECIDED} | (set() if claim.smaller else {FAILS})


def test_a_claim_is_complete() -> None:
    find = evidence.cell("t.csv", {}, "x", n=1)
    with pytest.raises(ValueError, match="what is missing"):
        Claim("P", "1", "s", "text", "1", "quantity", Rule(above=0), find)
    with pytest.raises(ValueError, match="what is missing"):
        Claim("P", "1", "s", "text", "1")
    with pytest.raises(ValueError, match="what is missing"):
        Claim("P", "1", "s", "text", "1", "quantity", Rule(above=0), find, "r", missing="data")


def test_without_a_report_nothing_is_judged(tmp_path: Path) -> None:
    judged = claims.write(tmp_path)
    assert {one.verdict for one in judged} == {NOT_TESTED}
    assert len(judged) == len(EVERY) > 60
    text = (tmp_path / "CLAIMS.md").read_text()
    assert text.count("**not tested**") == len(judged)


@pytest.mark.parametrize(
    ("number", "table"),
    [("15", "fc_ntk/paper_steps/scores.parquet"), ("6a", "fc_ntk/accuracy/accuracy.csv")],
)
@pytest.mark.parametrize("kept", [0, 300])
def test_a_truncated_table_is_named(number: str, table: str, kept: int, tmp_path: Path) -> None:
    (claim,) = (c for c in EVERY if c.number == number and "000" in c.paper)
    path = tmp_path / table
    path.parent.mkdir(parents=True)
    (path.parent / "README.md").touch()
    path.write_bytes((RESULTS / table).read_bytes()[:kept])
    with pytest.raises(TruthError, match=rf"tables in {Path(table).parent} cannot be read .*again"):
        claims.judge(claim, tmp_path)


def test_the_page_is_what_the_reports_say() -> None:
    """Regenerated, it is the committed one: a report or a rule changes with the page."""
    judged = [claims.judge(claim, RESULTS) for claim in EVERY]
    assert (RESULTS / "CLAIMS.md").read_text() == claims.page(judged)
    words = {(named(one.claim), one.verdict) for one in judged}
    # As an independent recomputation of these reports had them, but for 1: training's τ is now
    # that of all cells that have it.
    expected = {
        ("Park-1", UNDECIDED),
        ("Park-2", UNDECIDED),
        ("Park-6a", HOLDS),
        ("Park-15", HOLDS),
        ("Park-29a", UNDECIDED),
        ("Park-29b", HOLDS),
        ("Park-37", HOLDS),
        ("Bordelon-1", HOLDS),
        ("Bordelon-6b", FAILS),
        ("Bordelon-11", FAILS),
        ("Park-39", NOT_TESTED),
    }
    assert expected <= words


def table(path: str) -> list[dict[str, str]]:
    with (RESULTS / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def found(number: str, paper: str = "Park") -> Evidence:
    (claim,) = (c for c in TESTED if c.number == number and c.paper.startswith(paper))
    assert claim.find is not None
    return claim.find(RESULTS)


def test_evidence_is_what_the_tables_hold() -> None:
    """A handful of numbers, read a second time by hand."""
    (row,) = (
        r
        for r in table("nngp_nas/kendall_vs_cost/settings.csv")
        if (r["of"], r["score"], r["setting"])
        == ("images", "NNGP validation accuracy", "(8000, 500, 1)")
    )
    one = found("2")
    assert f"{one.estimate:.3f}" == row["τ over 12 epochs"]
    assert one.n == int(row["cells"])

    rows = table("nngp_nas/ntk_against_nngp/regularisers.csv")
    peaks = [max(float(r["τ"]) for r in rows if r["kernel"] == k) for k in ("NTK", "NNGP")]
    assert found("14").estimate.value == pytest.approx(peaks[0] - peaks[1])

    eigenvalues = [float(r["eigenvalue"]) for r in table("fc_ntk/spectrum/spectrum.csv")]
    assert 10 ** found("2", "Bordelon").estimate.value == pytest.approx(
        eigenvalues[0] / eigenvalues[999]
    )
    errors = {
        int(r["depth"]): float(r["error"])
        for r in table("fc_ntk/depth/depth.csv")
        if r["solver"] == "squared loss" and float(r["k"]) == 500
    }
    deep = found("11", "Bordelon").estimate
    assert deep.value == pytest.approx(errors[200] - errors[5])
    variance = sum(errors[d] * (1 - errors[d]) for d in (200, 5)) / 5000
    assert deep.high - deep.value == pytest.approx(1.96 * variance**0.5)


def test_rows_are_named_by_what_makes_them_one(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 1.0, 2.0], "b": ["x", "y", None], "v": [0.1, 0.2, 0.3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert evidence.row(tmp_path, "t.csv", {"a": 1, "b": "y"})["v"] == 0.2
    assert evidence.row(tmp_path, "t.csv", {"b": ""})["v"] == 0.3
    with pytest.raises(ValueError, match="2 rows"):
        evidence.row(tmp_path, "t.csv", {"a": 1.0})
    with pytest.raises(ValueError, match="0 rows"):
        evidence.row(tmp_path, "t.csv", {"b": "z"})
    with pytest.raises(ValueError, match="no column 'c'"):
        evidence.row(tmp_path, "t.csv", {"c": 1})


def test_intervals_of_one_cell_or_three() -> None:
    row = pd.Series({"gain": "-0.117 [-0.137, +0.095]", "τ": 0.1, "τ low": 0.0, "τ high": 0.2})
    assert evidence.estimate_of(row, "gain") == Estimate(-0.117, -0.137, 0.095)
    assert evidence.estimate_of(row, "τ") == Estimate(0.1, 0.0, 0.2)
    with pytest.raises(ValueError, match="'τ low low'"):
        evidence.estimate_of(row, "τ low")
    with pytest.raises(ValueError, match="no number"):
        evidence.estimate_of(pd.Series({"gain": "nowhere"}), "gain")


def test_a_difference_covers_as_often_as_it_says() -> None:
    """Two independent means with their normal intervals, of which one errs to one side more."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        one, other = rng.normal(0.5, 1.0), rng.normal(0.2, 0.5)
        gain = evidence.difference(
            Estimate(one, one - 1.96, one + 1.96), Estimate(other, other - 0.98, other + 0.98)
        )
        covered += gain.low < 0.3 < gain.high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


def test_two_claims_of_one_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "stated", lambda suite: [EVERY[0]])
    with pytest.raises(ValueError, match="renumber one"):
        claims.every()


def test_on_the_command_line(tmp_path: Path) -> None:
    written = run("reproduce", "--claims", "--out", str(tmp_path))
    assert f"{len(EVERY)} claims: 0 holds, 0 fails, 0 undecided" in written
    assert (tmp_path / "CLAIMS.md").is_file()
    with pytest.raises(SettingError, match="no folder of results"):
        run("reproduce", "--claims", "--out", str(tmp_path / "none"))
