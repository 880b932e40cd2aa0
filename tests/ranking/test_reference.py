"""MNAS's reward as truth: its numbers by hand, its name, and what it cannot be made of."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasproxy.errors import NasproxyError, SettingError, TruthError
from nasproxy.metrics import MetricError
from nasproxy.proxies import Latency
from nasproxy.ranking import plots
from nasproxy.ranking.reference import read_latency, reward
from nasproxy.scoring import run_id
from nasproxy.store import Key, Record, Store
from search_spaces import NASBenchMacro
from tests.support.cli import run

KEYS = [f"{i:08d}" for i in range(12)]
RNG = np.random.default_rng(0)
ACCURACY = pd.Series(RNG.uniform(60, 70, 12), KEYS, name="t.csv:top1")
MILLISECONDS = pd.Series(RNG.uniform(20, 300, 12), KEYS, name="t.csv:ms")
SCORES = RNG.normal(size=12)
SPACE, PROXY = run_id(NASBenchMacro(), Latency(batch=4))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of both; a store of scores, accuracies, and latencies as `latency` keeps them."""
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"key": KEYS, "top1": ACCURACY.array, "ms": MILLISECONDS.array})
    table.assign(bad=-1.0).to_csv("t.csv", index=False)
    table.assign(key="x" + table["key"]).to_csv("other.csv", index=False)
    with Store("s.db") as store:
        for i, key in enumerate(KEYS):
            ms = float(MILLISECONDS[key])
            columns = {"images=4": -2 * ms}
            for proxy, value, info in (
                ("mine", SCORES[i], {}),
                ("top1", ACCURACY[key], {}),
                (PROXY, -ms, {"columns": columns}),
            ):
                name = Key(SPACE, key, proxy, "digits@12", 0)
                store.put(Record(name, float(value), 1.0, 1.0, info, None, "{}"))
    return tmp_path


def rank(*words: str) -> list[dict[str, Any]]:
    return json.loads(run("rank", "--store", "s.db", "--format", "json", *words))


def test_numbers_by_hand() -> None:
    """Of those that have both; twice the target costs 5 %, as Tan et al. chose the exponent for."""
    accuracy = pd.Series({"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5})
    milliseconds = pd.Series({"c": 37.5, "b": 150.0, "a": 75.0, "e": 1.0})
    found = reward(accuracy, milliseconds)
    assert found.to_dict() == pytest.approx({"a": 0.5, "b": 0.4763, "c": 0.5249}, rel=1e-4)
    steep = reward(accuracy, milliseconds, target=150, exponent=-1)
    assert steep.to_dict() == pytest.approx({"a": 1.0, "b": 0.5, "c": 2.0})
    assert steep.name == "reward of accuracy, with latency, target 150 ms, exponent -1"


@pytest.mark.parametrize("latency", ["t.csv:ms", "latency"])
def test_ranking_by_a_tables_or_a_stored_latency(folder: Path, latency: str) -> None:
    rows = rank("--truth", "t.csv:top1", "--latency", latency, "--target", "100")
    expected = ACCURACY * (MILLISECONDS / 100) ** -0.07
    assert expected.rank().tolist() != ACCURACY.rank().tolist(), "latency has a say"
    (mine,) = (row for row in rows if row["proxy"] == "mine")
    assert mine["kendall_tau"] == pytest.approx(stats.kendalltau(SCORES, expected)[0])
    assert mine["pearson"] == pytest.approx(stats.pearsonr(SCORES, expected)[0])
    assert mine["truth"].startswith(f"reward of t.csv:top1, with {latency}")
    assert mine["truth"].endswith(", target 100 ms, exponent -0.07")


def test_what_the_reward_is_made_of_is_left_out_or_marked(folder: Path) -> None:
    rows = rank("--truth", "top1", "--latency", "latency")
    same = {row["proxy"].partition("machine")[2].partition("[")[2]: row["same_run"] for row in rows}
    assert len(rows) == 2
    assert same == {"": False, "images=4]": True}
    rows = rank("--truth", "top1", "--latency", "latency[images=4]", "--exponent", "-1")
    (mine,) = (row for row in rows if row["proxy"] == "mine")
    expected = stats.kendalltau(SCORES, ACCURACY / MILLISECONDS)[0]
    assert mine["kendall_tau"] == pytest.approx(expected)


def test_the_plot_names_the_reward(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = []
    monkeypatch.setattr(plots, "scatter", lambda *_, y_label, **__: labels.append(y_label))
    rank("--truth", "t.csv:top1", "--latency", "t.csv:ms", "--plot", "p.png")
    assert labels == ["reward of t.csv:top1, with t.csv:ms, target 75 ms, exponent -0.07"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--latency", "t.csv:bad"], "t.csv:bad of 00000000 is -1: a reward needs milliseconds"),
        (["--latency", "t.csv:lat"], "no column 'lat'; columns: key, top1, ms, bad"),
        (["--latency", "absent.csv:ms"], "there is no table absent.csv"),
        (["--latency", "./absent"], "there is no table ./absent"),
        (["--latency", "other.csv:ms"], "no architecture has both t.csv:top1 and other.csv:ms"),
        (["--latency", "mine"], "latency 'mine': give FILE:COLUMN"),
        (["--latency", "latency:batch=8"], "fits 0 columns"),
        (["--latency", "t.csv:ms", "--target", "0"], "target=0.0"),
        (["--target", "80"], "--target is of a reward: give --latency"),
        (["--exponent", "-1"], "--exponent is of a reward: give --latency"),
    ],
)
def test_what_makes_no_reward(folder: Path, words: list[str], says: str) -> None:
    with pytest.raises(NasproxyError) as raised:
        rank("--truth", "t.csv:top1", *words)
    assert says in str(raised.value)


def test_columns_of_ones_own_that_make_no_reward() -> None:
    with pytest.raises(TruthError, match="-3: a reward needs an accuracy, 0 or more"):
        reward(pd.Series({"a": 1.0, "b": -3.0}), pd.Series({"a": 1.0, "b": 1.0}))
    with pytest.raises(TruthError, match="such as 'a' and none"):
        reward(pd.Series({"a": 1.0}), pd.Series(dtype=float))
    with pytest.raises(MetricError, match="at least 2"):
        reward(pd.Series({"a": 1.0, "b": 3.0}), pd.Series({"b": 1.0}))


def test_a_store_of_nothing_has_no_latency() -> None:
    with Store(None) as store, pytest.raises(SettingError, match="holds no scores"):
        read_latency("latency", store)
