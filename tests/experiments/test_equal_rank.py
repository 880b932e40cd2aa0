"""Widths at equal rank: the comparison, its seeds and cells, and the report from end to end."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasproxy import metrics
from nasproxy.reproduce import claims
from nasproxy.reproduce import suites as reproduction
from nasproxy.reproduce.claims import FAILS, HOLDS
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import Estimate
from nasproxy.reproduce.suites import Options
from nasproxy_experiments import nngp_default
from nasproxy_experiments.nngp_default import equal_rank, study
from nasproxy_experiments.nngp_default.claims import CLAIMS
from tests.support.sentences import plain

CELLS = 300


def kept(wide: float, narrow: float = 0.2) -> pd.DataFrame:
    """Scores that are the truth with noise, of each width its own, at the last M; more before."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=CELLS)
    frames = []
    for at, found in enumerate(study.WIDTHS):
        count = CELLS if at < 2 else CELLS // 2
        for members in found.members:
            noise = (narrow if at == 0 else wide) * np.sqrt(found.members[-1] / members)
            for seed in study.RANK_SEEDS:
                score = truth[:count] + noise * rng.normal(size=count)
                frame = pd.DataFrame(dict.fromkeys(MEASURES, score))
                frame["architecture"] = [str(i) for i in range(count)]
                frame = frame.assign(width=found.width, M=members, seed=seed)
                frames.append(frame.assign(truth=truth[:count], params=np.exp(truth[:count])))
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize(("wide", "verdict"), [(0.2, HOLDS), (0.02, FAILS), (0.8, FAILS)])
def test_widths_that_rank_alike_and_that_do_not(wide: float, verdict: str, tmp_path: Path) -> None:
    table = equal_rank.compared(kept(wide))
    folder = tmp_path / "nngp_default" / "equal_rank"
    folder.mkdir(parents=True)
    (folder / "README.md").touch()
    table.to_csv(folder / "widths.csv", index=False)
    judged = [claims.judge(claim, tmp_path) for claim in CLAIMS]
    assert [one.verdict for one in judged] == [verdict, verdict]
    assert [one.evidence.n for one in judged if one.evidence] == [CELLS, CELLS // 2]


def test_every_number_is_recomputed() -> None:
    frame = kept(0.3)
    own = equal_rank.compared(frame)
    row = own[(own["score"] == MEASURES["loo_accuracy"]) & (own["width"] == 128)].iloc[0]
    last = frame[frame["width"] * frame["M"] == 128]
    score: dict[Any, pd.Series] = {
        key: of.set_index("architecture")["loo_accuracy"]
        for key, of in last.groupby(["width", "seed"])
    }
    truth = frame.drop_duplicates("architecture").set_index("architecture")["truth"]
    shared = score[128, study.RANK_SEEDS[0]].index
    taus = {
        width: [metrics.kendall_tau(score[width, s][shared], truth[shared]) for s in (9, 10, 11)]
        for width in (16, 128)
    }
    assert row["features"] == 512
    assert row["τ"] == pytest.approx(np.mean(taus[128]))
    assert row["gain"] == pytest.approx(np.mean(taus[128]) - np.mean(taus[16]))
    assert row["gain low"] < row["gain"] < row["gain high"]
    alike = [metrics.kendall_tau(score[128, s], score[16, s][shared]) for s in (9, 10, 11)]
    assert row["agreement"] == pytest.approx(np.mean(alike))
    size = own[own["score"] == "parameters"].iloc[0]
    assert size["τ"] == pytest.approx(1.0)
    assert own["gain"].notna().sum() == 3 * len(MEASURES)  # M 1 and 2 of width 64, M 1 of 128.


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ((-0.02, -0.04, 0.01), "rank as well as"),
        ((-0.10, -0.14, -0.04), "rank better than"),
        ((0.10, 0.01, 0.20), "rank worse than"),
        ((0.02, -0.06, 0.10), "are not told apart from"),
    ],
)
def test_intervals_in_words(gain: tuple[float, float, float], said: str) -> None:
    assert equal_rank._compared(Estimate(*gain)) == said


def test_widths_have_equal_rank() -> None:
    assert {wide.width * wide.members[-1] for wide in study.WIDTHS} == {128}
    seeds = {*study.SEEDS, *(s for half in study.HALVES.values() for s in half)}
    assert not seeds & {*study.RANK_SEEDS}


def test_the_report_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "WIDTHS", (study.Wide(5, (1, 2, 4), 12), study.Wide(20, (1,), 10)))
    monkeypatch.setattr(study, "RANK_SEEDS", (9, 10))
    names = tuple(study.of_width(width, seed) for width in (5, 20) for seed in (9, 10))
    for name, value in (
        ("WIDTHS", study.WIDTHS), ("RANK_SEEDS", (9, 10)), ("NEEDS", names), ("NARROW", 5),
    ):  # fmt: skip
        monkeypatch.setattr(equal_rank, name, value)
    monkeypatch.setattr(study, "EQUAL_RANK", names)
    own: Any = nngp_default.prepare(Options(out=tmp_path, quick=True, cells=12, progress=False))
    try:
        assert own.pool_of(names[0]).images.image_shape == (4, 4, 1)
        # Instead of training the cells, which takes minutes.
        own.truth = own.sizes["params"].rank()
        finding = equal_rank.run(own)
        reproduction.write(tmp_path / "equal_rank", equal_rank, finding, own)
    finally:
        own.close()
    report = (tmp_path / "equal_rank" / "README.md").read_text(encoding="utf-8")
    assert re.search(r"accuracy, 4 networks of width 5 .* 1 of width 20 \(τ [-+]", report)
    raw = pd.read_parquet(tmp_path / "equal_rank" / "scores.parquet")
    found = equal_rank.compared(raw)
    plain(finding.verdict)
    printed = finding.tables["widths"]
    np.testing.assert_allclose(found["τ"], printed["τ"], atol=1e-6)
