"""What the table of all cells says in subsets: recomputed plainly, and where there are few."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasproxy import metrics
from nasproxy_experiments.nasbench101_space import parts
from nasproxy_experiments.nngp_nas import claims_of_space, subsets
from nasproxy_experiments.nngp_nas.published import EPOCHS, Published
from search_spaces.nasbench101.cell import Cell
from search_spaces.nasbench101.enumeration import all_cells

N = 900


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsets, "LARGE", (3, 250, 10))
    monkeypatch.setattr(subsets, "SMALL", (4, 100, 1))


def made(published: float = 0.6) -> tuple[pd.DataFrame, list[Cell], Published]:
    """Scores, cells and published accuracies that go up with a hidden quality."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(parts.CELLS, N, replace=False))
    cells = [all_cells()[int(row)] for row in rows]
    keys = pd.Index([cell.key for cell in cells])
    quality = rng.normal(size=N)
    whole = pd.DataFrame({parts.ROW: rows.astype(np.uint32)}, index=keys)
    for measure, noise in zip(parts.MEASURED, (1.0, 0.8, 1.2, 2.0), strict=True):
        whole[measure] = (quality + noise * rng.normal(size=N)).astype(np.float32)
    trained = pd.DataFrame(
        {e: quality + 3 / e * rng.normal(size=N) for e in EPOCHS}, index=keys
    ).iloc[: int(published * N)]
    truth = pd.Series(quality, keys)
    sizes = pd.Series(np.exp(quality + 2 * rng.normal(size=N)), keys)
    return whole, cells, Published(truth, trained, sizes)


def by(frame: pd.DataFrame, *columns: str) -> dict[Any, Any]:
    """Rows by some of their columns."""
    names: list[Any] = list(columns)
    keys = [row[0] if len(names) == 1 else tuple(row) for row in frame[names].to_numpy()]
    return dict(zip(keys, frame.to_dict("records"), strict=True))


def scored() -> tuple[pd.DataFrame, Published]:
    whole, cells, published = made()
    assert published.parameters is not None
    return subsets.signals(whole, cells, published.parameters), published


def test_failed_cells_are_last() -> None:
    whole, cells, published = made()
    assert published.parameters is not None
    whole.iloc[5, 1:] = np.nan
    scores = subsets.signals(whole, cells, published.parameters)
    assert scores.notna().all(axis=None)
    for name in (subsets.NNGP, *subsets.OWN):
        assert scores[name].iloc[5] == scores[name].min()
        assert (scores[name] == scores[name].min()).sum() == 1


def test_the_rows_of_all_cells() -> None:
    scores, published = scored()
    own = by(subsets.final(scores, published.truth), "score")[subsets.NNGP]
    assert own["subsets"] == 3
    assert own["cells"] == 750
    parts_ = metrics.disjoint_parts(N, 250, 3)
    score = scores[subsets.NNGP].to_numpy()
    true = published.truth.to_numpy()
    taus = [metrics.kendall_tau(score[i], true[i]) for i in parts_]
    low, high = stats.t.interval(0.95, 2, np.mean(taus), stats.sem(taus))
    expected = [np.mean(taus), low, high]
    assert [own[name] for name in ("τ", "τ low", "τ high")] == pytest.approx(expected)
    size = scores[subsets.SIZE].to_numpy()
    apart = [t - metrics.kendall_tau(size[i], true[i]) for t, i in zip(taus, parts_, strict=True)]
    assert own[f"τ over {subsets.SIZE}"] == pytest.approx(np.mean(apart))
    best = [true[i][np.argsort(score[i])[-10:]].max() for i in parts_]
    assert own["discovered"] == pytest.approx(np.mean(best), abs=0.05), "up to ties"
    assert own["AUROC 50 % less 1 %"] == pytest.approx(own["AUROC 50 %"] - own["AUROC 1 %"])
    assert 0 < own["τ given counts"] < 1


def test_beside_shortened_training() -> None:
    scores, published = scored()
    found = subsets.shortened(scores, published)
    ranked = by(found["trained"], "score")
    assert ranked["36 epochs"]["subsets"] == 4
    both = ranked[f"4 epochs + {subsets.NNGP}"]
    assert both["τ over 4 epochs"] == pytest.approx(both["τ"] - ranked["4 epochs"]["τ"])
    assert both["τ over 4 epochs low"] > 0, "noise of different kinds"
    reduced = by(found["reduction"], "kept by", "kept", "epochs")
    assert reduced[subsets.NNGP, 0.3, "12 epochs"]["over random"] > 0
    ranges = by(found["ranges"], "score", "against")
    assert ranges[subsets.NNGP, "12 epochs"]["least gain high"] < 0
    assert ranges[subsets.NNGP, "4 epochs"]["least gain low"] > -0.2


def test_the_least_gain() -> None:
    """A score that orders the worse half alone, against one that orders all."""
    true = np.arange(1000.0)
    better = np.where(true < 500, true, 500 + np.random.default_rng(0).permutation(1000) / 2)
    chosen = metrics.disjoint_parts(1000, 100, 10)
    same = subsets.least(better, better, true, chosen)
    assert tuple(same) == (0, 0, 0)
    worse = subsets.least(better, true, true, chosen)
    assert worse.low < worse.value < worse.high < 0
    assert np.isnan(subsets.least(better, true, true, chosen[:1])).all()


def test_subsets_that_agree_have_no_interval() -> None:
    assert subsets.over([0.0, 0.0])[0] == 0
    assert np.isnan(subsets.over([0.0, 0.0])[1:]).all()
    assert np.isnan(subsets.over([0.3])[1:]).all()
    assert np.isnan(subsets.over([])).all()
    assert subsets.over([0.0, 1.0]).low < 0


def test_residual_connections() -> None:
    whole, cells, published = made()
    keys = whole.index
    edges = np.array([np.triu(np.array(cell.adjacency), 2).sum() for cell in cells], float)
    trained = pd.DataFrame(
        {e: published.truth.to_numpy() + edges / e for e in EPOCHS}, index=keys
    ).assign(truth=published.truth)
    table = subsets.residual(trained, dict(zip(keys, cells, strict=True)))
    early = by(table, "epochs", "of")
    assert early[4, "rank"]["slope"] > early[36, "rank"]["slope"]
    assert early[4, "improvement"]["slope"] < 0
    assert (table["cells"] == round(subsets.QUARTER * N)).all()


def test_a_page_of_few_cells(tmp_path: Path) -> None:
    """Subsets that are not there are empty, not failures, and claims say so."""
    scores, published = scored()
    few = scores.iloc[:260].copy()
    few.attrs["counts"] = scores.attrs["counts"][:260]
    found = {
        "final": subsets.final(few, published.truth.iloc[:260]),
        **subsets.shortened(few.iloc[:80], published),
        "residual": pd.DataFrame(
            [{"epochs": 4, "of": of, "cells": 9, "slope": 1, "slope low": 1, "slope high": 1}
             for of in ("rank", "improvement")]
        ),
    }  # fmt: skip
    out = tmp_path / claims_of_space.REPORT
    subsets.write(out, found, {"parts": 1})
    text = (out / "README.md").read_text()
    assert "1 subset of 10,000" in text
    assert "0 subsets of 1,000" in text
    assert "nan" not in text
    for claim in claims_of_space.CLAIMS:
        if claim.report.startswith(f"{claims_of_space.REPORT}/"):
            assert claim.find is not None
            assert claim.find(tmp_path).n in (250, 0, 9)
