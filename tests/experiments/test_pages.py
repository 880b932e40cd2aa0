"""Pages of results hold the scores that stand beside them."""

from pathlib import Path

import pandas as pd
import pytest

from nasproxy.store import Store
from nasproxy.store.columns import read_columns
from nasproxy_experiments import pages
from tests.conftest import ROOT

FOLDER = ROOT / "results" / pages.NAME


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.read_parquet(FOLDER / "scores.parquet").iloc[:30]


def test_stored_columns_are_the_tables(frame: pd.DataFrame) -> None:
    with Store(None) as store:
        store.put_many(pages.records(frame))
        columns = [c for c in read_columns(store) if c.run[1].startswith("nngp")]
    found = {column.column: column.series for column in columns}
    assert len(found) == 1 + 15 + 2
    for name, series in found.items():
        own = f"nngp[{name}]" if name else "nngp"
        assert series.to_dict() == frame[own].to_dict()


def test_a_cell_that_failed_stays_a_failure(frame: pd.DataFrame) -> None:
    scores = [name for name in map(str, frame) if name.startswith("nngp")]
    scores = [name for name in scores if not name.endswith((" seconds", " flops"))]
    mixed = frame.copy()
    mixed.loc[mixed.index[3], scores] = float("nan")
    made = [one for one in pages.records(mixed) if one.key.proxy.startswith("nngp")]
    assert [i for i, one in enumerate(made) if one.error] == [3]
    assert made[3].value is None
    with Store(None) as store:
        store.put_many(made)


def test_the_report_says_what_made_the_scores() -> None:
    told = pages.provenance(FOLDER / "README.md")
    assert set(told) == {
        f"scores, {n}" for n in ("command", "commit", "date", "machine", "versions")
    }
    assert "nasbench101_cifar10" in told["scores, command"]


def test_a_page_is_written(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bokeh", reason="Bokeh is not installed: pip install 'nasproxy[page]'")
    frame.to_parquet(tmp_path / "scores.parquet")
    pages.publish(tmp_path, tmp_path / "p.html", {"scores, commit": "abc"}, n_resamples=2)
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "mean test accuracy after 108 epochs" in text
    assert "NNGP, leave-one-out accuracy, n_t = 200, M = 5" in text
    assert "abc" in text


def test_the_published_page_is_of_the_committed_scores() -> None:
    path = ROOT / "docs" / "pages" / f"{pages.NAME}.html"
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 3e6
    assert "3,000 architectures" in text
    assert "+.425" in text, "the τ of leave-one-out accuracy that the README states"
