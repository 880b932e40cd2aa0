"""The best of a ranking on one sheet: which they are, and that they are drawn."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from nasproxy.drawing import Drawing
from nasproxy.errors import NasproxyError, SettingError
from nasproxy.ranking import draw_store
from nasproxy.ranking.best import drawings_of
from nasproxy.store import Key, Record, Store
from nasproxy.truth import write_table
from search_spaces import NASBenchMacro
from tests.support.cli import run

SPACE = NASBenchMacro()
KEYS = SPACE.sample(30, 0)
RNG = np.random.default_rng(0)
TRUTH = pd.Series(RNG.normal(size=30), KEYS, name="accuracy")
SCORES = {"good": TRUTH + 0.1 * RNG.normal(size=30), "bad": pd.Series(RNG.normal(size=30), KEYS)}


def filled(path: Path | None = None) -> Store:
    store = Store(path)
    for proxy, scores in SCORES.items():
        store.put_many(
            Record(
                Key("nasbench_macro:width=32", key, proxy, "digits@1", 0),
                *(float(scores[key]), 0.1, 1e6, {"columns": {"train_loss": 1.0}}, None),
                SPACE.to_json(key),
            )
            for key in KEYS
        )
    return store


def texts(drawing: Drawing) -> list[str]:
    root = ElementTree.fromstring(drawing.svg)
    return [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("by", ["good", "bad"])
def test_the_best_by_a_score_are_drawn_in_order(by: str) -> None:
    with filled() as store:
        drawing = draw_store(store, TRUTH.iloc[3:], 5, by)
    best = SCORES[by].sort_values(ascending=False)[:5]
    said = texts(drawing)
    captions = [t for t in said if t[:3] in ("1. ", "2. ", "3. ", "4. ", "5. ")]
    assert [caption.split()[1] for caption in captions] == list(best.index)
    for key, score in zip(map(str, best.index), best, strict=True):
        told = f"; truth {TRUTH[key]:.5g}" if key in TRUTH.index[3:] else ""
        assert f"{score:.5g}{told}" in said
    assert said.count("halves") == 5 * 3
    assert f"The 5 best by {by}" in said


def test_by_default_the_best_ranking_score_is_taken() -> None:
    with filled() as store:
        assert draw_store(store, TRUTH, 5) == draw_store(store, TRUTH, 5, "good")
        assert draw_store(store, -TRUTH, 5) == draw_store(store, -TRUTH, 5, "bad")


def test_fewer_are_drawn_where_fewer_are_scored() -> None:
    with filled() as store:
        assert "The 30 best by good" in texts(draw_store(store, TRUTH, 99))


@pytest.mark.parametrize(("n", "by"), [(0, None), (101, None), (5, "none such"), (5, "t.csv:a")])
def test_what_cannot_be_drawn_is_refused(n: int, by: str | None) -> None:
    with filled() as store, pytest.raises(NasproxyError, match=r"draw|none such|t\.csv"):
        draw_store(store, TRUTH, n, by)


def test_what_no_space_draws_is_its_key() -> None:
    with Store(None) as store:
        for space, json in (("not_installed", "{}"), ("nasbench_macro:width=32", '{"old": 1}')):
            key = Key(space, f"key of {space[:3]}", "params", "digits@1", 0)
            store.put(Record(key, 1.0, 0.1, 0.0, {}, None, json))
        found = drawings_of(store, ["key of nas", "key of not"])
    assert [texts(drawing) for drawing in found] == [["key of nas"], ["key of not"]]


def test_the_command_writes_a_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "s.db").close()
    write_table(TRUTH.rename_axis("key").reset_index(), "t.csv")
    words = ["rank", "--store", "s.db", "--truth", "t.csv:accuracy", "--key", "key"]
    assert "Kendall" in run(*words, "--draw", "3", "--draw-by", "good")
    with filled() as store:
        drawn = draw_store(store, TRUTH.rename("t.csv:accuracy"), 3, "good")
    assert Path("best.svg").read_text(encoding="utf-8") == drawn.svg
    with pytest.raises(SettingError, match="--hybrid has a table of its own"):
        run(*words, "--draw", "3", "--hybrid", "good,bad", "--fit-on", "t.csv:accuracy")
