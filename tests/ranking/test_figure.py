"""Figures of a store: chosen panels, in words, at a size, returned and written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from nasproxy.errors import SettingError
from nasproxy.ranking import plot_store
from nasproxy.ranking.labels import labels
from nasproxy.ranking.pooled import pool
from nasproxy.store import Key, Record, Store
from nasproxy.store.columns import read_columns
from nasproxy.truth import write_table
from tests.support.cli import run

KEYS = [f"k{i}" for i in range(30)]
TRUTH = pd.Series(np.random.default_rng(0).normal(size=30), KEYS, name="accuracy")
NNGP = "nngp:n_train=100/200,n_valid=100,ensemble=1/2,balanced=true"
SPACE = "nasbench101:width=16,stacks=3,cells=3"


def filled(path: Path | None = None) -> Store:
    store, rng = Store(path), np.random.default_rng(1)
    for proxy, columns in (
        (NNGP, ("n_train=100,n_valid=100,ensemble=1", "loo_accuracy", "negative_mse")),
        ("params", ()),
        ("training:epochs=1", ("train_loss",)),
    ):
        store.put_many(
            Record(
                Key(SPACE, key, proxy, "digits@1", 0),
                *(float(TRUTH[key] + rng.normal()), 0.1, 1e6),
                {"columns": {c: float(rng.normal()) for c in columns}, "drawn": "uniform"},
                *(None, "{}"),
            )
            for key in KEYS
        )
    return store


@pytest.fixture
def store() -> Iterator[Store]:
    with filled() as opened:
        yield opened


def titles(figure: Any) -> list[str]:
    return [axes.get_title().partition("\n")[0] for axes in figure.axes]


def test_labels_say_what_tells_columns_apart_and_no_more(store: Store) -> None:
    found = dict(
        zip(
            (p.about["proxy"] for p in pool(read_columns(store))),
            labels(pool(read_columns(store))),
            strict=True,
        )
    )
    assert set(found.values()) == {
        "NNGP, accuracy, n_t = 200, M = 2",
        "NNGP, accuracy, n_t = 100, M = 1",
        "NNGP, leave-one-out accuracy, n_t = 200, M = 2",
        "NNGP, −MSE, n_t = 200, M = 2",
        "parameters",
        "training",
        "training, train loss",
    }
    (alone,) = [p for p in pool(read_columns(store)) if p.first.full == NNGP]
    assert labels([alone]) == ["NNGP"]
    assert len(set(labels([alone, alone, alone]))) == 3


def test_titles_hold_no_setting_as_it_is_written(store: Store, tmp_path: Path) -> None:
    figure = plot_store(store, TRUTH, tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert len(figure.axes) == 6
    assert "6 of 7 rows shown" in figure.get_supxlabel()
    for title in titles(figure):
        assert "=1" not in title
        assert ":" not in title
        assert "_valid" not in title


def test_chosen_proxies_with_labels_at_a_size(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    figure = plot_store(
        store,
        TRUTH,
        path,
        proxies=["params", "nngp:n_train=200,ensemble=2[loo_accuracy]"],
        labels=["size", "kernel"],
        truth_label="test accuracy (%)",
        size=(3.25, 5.0),
        columns=1,
    )
    assert titles(figure) == ["size", "kernel"]
    assert figure.axes[0].get_ylabel() == "test accuracy (%)"
    assert figure.get_size_inches().tolist() == [3.25, 5.0]
    specs = [axes.get_subplotspec() for axes in figure.axes]
    assert [spec and spec.get_geometry()[:2] for spec in specs] == [(2, 1), (2, 1)]
    assert "rows shown" not in figure.get_supxlabel()
    assert "uniform" in figure.get_supxlabel()
    assert path.read_text().startswith("<?xml")


def test_one_panel_is_returned_without_a_file(store: Store) -> None:
    figure = plot_store(store, TRUTH, proxies=["params"])
    assert titles(figure) == ["parameters"]
    dots: Any = figure.axes[0].collections[0].get_offsets()
    assert len(dots) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proxies": ["none such"]}, "none such"),
        ({"proxies": ["params"], "labels": ["a", "b"]}, "2 labels of 1 panels"),
        ({"proxies": ["params", "training"], "labels": ["a", "a"]}, "one label"),
        ({"size": (0.1, 3)}, "size"),
        ({"size": (3,)}, "size"),
        ({"columns": 0}, "columns"),
    ],
)
def test_what_cannot_be_drawn_says_why(store: Store, options: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        plot_store(store, TRUTH, **options)


def test_the_command_line_makes_a_figure_for_a_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "s.db").close()
    write_table(TRUTH.rename_axis("key").reset_index(), "t.csv")
    words = ["rank", "--store", "s.db", "--truth", "t.csv:accuracy"]
    run(
        *(
            *words,
            "--plot",
            "a.png",
            "--panel",
            "params",
            "--label",
            "size",
            "--panel",
            "nngp:n_train=200,ensemble=2",
        ),
        *("--label", "kernel", "--size", "6x2.5", "--columns", "2", "--truth-label", "accuracy"),
    )
    assert matplotlib.image.imread("a.png").shape[:2] == (500, 1200)
    for extra, message in (
        (["--panel", "params"], "give --plot"),
        (["--plot", "a.png", "--size", "6"], "WIDTHxHEIGHT"),
        (["--draw-by", "params"], "give --draw N"),
        (["--draw", "3", "--draw-to", "a.png"], ".svg"),
    ):
        with pytest.raises(SettingError, match=message):
            run(*words, *extra)
