"""Lower may be better, of a truth and of a column of scores: signs are turned, and it is said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy import metrics, truth
from nasproxy.errors import SettingError, TruthError
from nasproxy.ranking import plot_store, rank, rank_store, render
from nasproxy.ranking.reference import read_latency, read_truth, reward, truth_from_store
from nasproxy.store import Key, Record, Store
from tests.support.cli import run

KEYS = [f"relu-{depth}" for depth in range(1, 41)]
RNG = np.random.default_rng(0)
GOOD = RNG.normal(size=40)
LOSS = pd.Series(5 - GOOD, index=KEYS, name="loss")
SCORE = pd.Series(GOOD + 0.3 * RNG.normal(size=40), index=KEYS)


def lower(series: pd.Series) -> pd.Series:
    marked = series.copy()
    marked.attrs["lower"] = True
    return marked


def filled(path: Path | None = None) -> Store:
    """Trainings whose loss falls where their accuracy rises, and a proxy that follows."""
    store = Store(path)
    run = ("fully_connected:width=256", "digits@1", 0)
    records = []
    for key, good, score in zip(KEYS, GOOD, SCORE, strict=True):
        columns = {"train_loss": 3 - good, "test_accuracy": good, "epochs_made": 1.0}
        for proxy, value, extra in (
            ("training:epochs=4", good, columns),
            ("params", score, {}),
        ):
            where = Key(run[0], key, proxy, run[1], run[2])
            records.append(Record(where, float(value), 1.0, 1.0, {"columns": extra}, None, "{}"))
    store.put_many(records)
    return store


def test_every_measure_is_of_the_turned_truth_in_its_own_units() -> None:
    plain = rank(SCORE, -LOSS)
    turned = rank(SCORE, lower(LOSS))
    for name in ("kendall_tau", "kendall_tau_low", "pearson", "spearman", "pqetp", "n"):
        assert getattr(turned, name) == getattr(plain, name)
    assert turned.kendall_tau > 0.6
    assert turned.threshold == pytest.approx(LOSS.median())
    assert turned.discovered == -plain.discovered
    assert turned.discovered < LOSS.quantile(0.3), "the best by score of five"
    level = rank(SCORE, lower(LOSS), threshold=float(LOSS.quantile(0.2)))
    assert level.pqetp == metrics.pqetp(
        SCORE.to_numpy(), -LOSS.to_numpy(), -float(LOSS.quantile(0.2))
    )
    assert level.threshold == pytest.approx(LOSS.quantile(0.2))
    best = rank(SCORE, lower(LOSS), percentile=90)
    assert best.threshold == pytest.approx(np.percentile(LOSS, 10))


def test_a_lower_score_may_predict_better() -> None:
    assert rank(lower(-SCORE), lower(LOSS)) == rank(SCORE, lower(LOSS))


def test_a_training_loss_is_no_backward_proxy(tmp_path: Path) -> None:
    with filled() as store:
        table = rank_store(store, truth_from_store(store, "params"))
        rows = table.set_index("proxy")
        assert float(rows["kendall_tau"]["training[train_loss]"]) > 0.6
        assert bool(rows["lower"]["training[train_loss]"])
        assert not any("epochs_made" in name for name in rows.index)
        for form in ("table", "markdown"):
            text = render(table, form)
            assert "[train_loss] ↓" in text.replace("\n", "")
            assert "lower is better" in text
        plot_store(store, truth_from_store(store, "params"), tmp_path / "p.png")
        against = truth_from_store(store, "training[train_loss]")
        assert against.attrs["lower"]
        assert rank(SCORE, against).kendall_tau > 0.6
        with pytest.raises(TruthError, match="a reward is of an accuracy"):
            reward(against, -SCORE + 9)


def test_the_command_line_reads_losses_and_long_tables(tmp_path: Path) -> None:
    filled(tmp_path / "s.db").close()
    table = pd.concat(
        [
            pd.DataFrame({"key": KEYS, "loss": LOSS.to_numpy(), "dataset": "cifar10"}),
            pd.DataFrame({"key": KEYS, "loss": -LOSS.to_numpy(), "dataset": "svhn"}),
        ]
    )
    truth.write_table(table, tmp_path / "t.parquet")
    spec = f"{tmp_path / 't.parquet'}:loss:lower"
    store = ["--store", str(tmp_path / "s.db")]
    with pytest.raises(TruthError, match="choose rows by --where"):
        run("rank", *store, "--truth", spec)
    said = run("rank", *store, "--truth", spec, "--where", "dataset=cifar10", "--format", "json")
    rows = {row["proxy"]: row for row in json.loads(said)}
    assert rows["params"]["kendall_tau"] > 0.6
    assert rows["params"]["truth_rows"] == 40
    text = run("rank", *store, "--truth", spec, "--where", "dataset=cifar10")
    assert "truth: lower is better." in text
    assert "truth < λ" in text
    latex = run("rank", *store, "--truth", spec, "--where", "dataset=cifar10", "--format", "latex")
    assert r"\toprule" in latex
    assert r"Kendall $\tau$" in latex
    assert "params" in latex
    with pytest.raises(SettingError, match="write COLUMN=VALUE"):
        run("rank", *store, "--truth", spec, "--where", "cifar10")
    with Store(tmp_path / "s.db") as opened:
        with pytest.raises(SettingError, match="choose rows of a table"):
            read_truth("params", opened, where={"a": 1})
        with pytest.raises(SettingError):
            read_latency("params", opened)
