"""The ranking table: its numbers are SciPy's, and what it leaves out it counts."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from nasproxy.errors import SettingError, StoreError, TruthError
from nasproxy.metrics import bootstrap, discovered_performance, kendall_tau
from nasproxy.proxies import NNGP
from nasproxy.ranking import (
    plot_store,
    rank,
    rank_store,
    render,
)
from nasproxy.ranking.reference import read_truth, truth_from_store
from nasproxy.ranking.rendering import FORMATS
from nasproxy.scoring import run_id
from nasproxy.store import Key, Record, Store
from search_spaces import NASBench101

CELLS: Any = NASBench101()
SPACE, SWEPT = run_id(CELLS, NNGP(n_train=(100, 400), n_valid=200, width=16))
DRAWN = "uniform, n=60, seed=0"
RNG = np.random.default_rng(0)
TRUTH = pd.Series(RNG.normal(0.9, 0.02, 60), [f"k{i}" for i in range(60)], name="accuracy")
GOOD = TRUTH.to_numpy() + RNG.normal(0, 0.02, 60)
BAD = -TRUTH.to_numpy() + RNG.normal(0, 0.02, 60)


def fill(store: Store, proxy: str, values: Any, **changes: Any) -> None:
    """Scores of k0, k1, …, failed where NaN; `columns` by name, the rest as in a record or key."""
    columns = changes.pop("columns", {})
    drawn, seconds = changes.pop("drawn", DRAWN), changes.pop("seconds", 0.5)
    key = {"space": SPACE, "data": "digits@12", "seed": 0} | changes
    for i, value in enumerate(values):
        failed = math.isnan(value)
        info: dict[str, Any] = {} if drawn is None else {"drawn": drawn}
        if not failed:
            info["columns"] = {name: float(column[i]) for name, column in columns.items()}
        store.put(
            Record(
                Key(architecture=f"k{i}", proxy=proxy, **key),
                *(None if failed else float(value), seconds, 2e9, info),
                *("it diverged" if failed else None, "{}"),
            )
        )


@pytest.fixture
def store() -> Any:
    with Store(None) as opened:
        yield opened


def quick(store: Store, truth: pd.Series = TRUTH, **options: Any) -> pd.DataFrame:
    return rank_store(store, truth, n_resamples=50, **options)


def row_of(table: pd.DataFrame, proxy: str) -> pd.Series:
    rows = table[table["proxy"] == proxy]
    assert len(rows) == 1, f"{proxy}: {table['proxy'].tolist()}"
    return rows.iloc[0]


# One column


def test_every_number_is_that_of_an_independent_source() -> None:
    result = rank(pd.Series(GOOD, TRUTH.index), TRUTH)
    truth = TRUTH.to_numpy()
    assert result.n == 60
    assert result.kendall_tau == pytest.approx(stats.kendalltau(GOOD, truth)[0])
    assert result.pearson == pytest.approx(stats.pearsonr(GOOD, truth)[0])
    assert result.spearman == pytest.approx(stats.spearmanr(GOOD, truth)[0])
    assert result.threshold == np.median(truth)
    assert result.pqetp == pytest.approx(roc_auc_score(truth > np.median(truth), GOOD))
    assert result.kendall_tau_low < result.kendall_tau < result.kendall_tau_high
    assert result.pearson_low < result.pearson < result.pearson_high
    assert (result.top, result.subset, result.parts) == (1, 6, 10)
    assert result.discovered <= truth.max()


def test_interval_and_discovery_are_the_metrics_own_in_the_order_of_keys() -> None:
    scores = pd.Series(GOOD, TRUTH.index)
    ordered = scores.sort_index()
    x, y = ordered.to_numpy(), TRUTH[ordered.index].to_numpy()
    result = rank(scores, TRUTH, n_resamples=100, seed=3)
    interval = bootstrap(kendall_tau, x, y, n_resamples=100, seed=3)
    assert (result.kendall_tau_low, result.kendall_tau_high) == interval
    found = discovered_performance(x, y, top=1, subset=6, seed=3)
    assert (result.discovered, result.discovered_error) == pytest.approx(found[:2], rel=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(60)))
def test_order_of_rows_changes_nothing(order: list[int]) -> None:
    scores = pd.Series(GOOD, TRUTH.index)
    shuffled = rank(scores.iloc[order], TRUTH.iloc[order[::-1]], n_resamples=5)
    assert shuffled == rank(scores, TRUTH, n_resamples=5)


def test_signs_are_kept() -> None:
    result = rank(pd.Series(BAD, TRUTH.index), TRUTH, n_resamples=50)
    assert result.kendall_tau < -0.2
    assert result.pearson < -0.2
    assert result.pqetp < 0.4


def test_threshold_and_percentile_say_which_lambda() -> None:
    scores = pd.Series(GOOD, TRUTH.index)
    by_value = rank(scores, TRUTH, threshold=0.91, n_resamples=1)
    assert by_value.threshold == 0.91
    assert by_value.pqetp == pytest.approx(roc_auc_score(TRUTH > 0.91, GOOD))
    assert rank(scores, TRUTH, percentile=90, n_resamples=1).threshold == np.percentile(TRUTH, 90)
    with pytest.raises(SettingError, match="exactly one"):
        rank(scores, TRUTH, threshold=0.9, percentile=50)
    with pytest.raises(SettingError, match="percentile"):
        rank(scores, TRUTH, percentile=101)


def test_what_is_left_out_is_counted() -> None:
    scores = pd.Series([math.nan, math.inf, *GOOD[2:]], TRUTH.index)
    result = rank(scores, TRUTH.drop(["k5", "k6", "k7"]), n_resamples=1)
    assert (result.n, result.failed, result.unmatched) == (55, 2, 3)
    assert rank(scores, TRUTH.where(TRUTH.index != "k9"), n_resamples=1).unmatched == 1


@pytest.mark.parametrize("n", range(1, 12))
def test_few_architectures_give_nan_not_a_crash(n: int) -> None:
    result = rank(pd.Series(GOOD[:n], TRUTH.index[:n]), TRUTH, n_resamples=20)
    assert result.n == n
    assert math.isnan(result.kendall_tau) == (n < 2)
    assert math.isnan(result.kendall_tau_low) == (n < 10)
    assert math.isnan(result.discovered) == (n < 5)


def test_a_constant_score_ranks_nothing() -> None:
    result = rank(pd.Series(0.1, TRUTH.index), TRUTH, n_resamples=20)
    assert math.isnan(result.kendall_tau)
    assert math.isnan(result.pearson_low)
    assert result.pqetp == 0.5
    assert result.discovered < TRUTH.max()


def test_no_common_key_raises() -> None:
    with pytest.raises(TruthError, match="none of"):
        rank(pd.Series(GOOD, range(60)), TRUTH)


# A store


def test_a_row_each_column_named_by_its_settings(store: Store) -> None:
    # Stored by the proxy's and the space's full names, shown by what differs from the defaults.
    assert "n_train=100/400" in SWEPT
    assert "momentum" in SWEPT
    fill(store, SWEPT, GOOD, columns={"n_train=100,n_valid=200,ensemble=1": BAD})
    fill(store, "params", BAD)
    table = quick(store)
    proxies = ["nngp:n_train=400,n_valid=200", "nngp:n_train=100,n_valid=200", "params"]
    assert set(table["proxy"]) == set(proxies)
    assert table["proxy"].iloc[0] == proxies[0], "the best first"
    assert set(table["space"]) == {"nasbench101:width=16"}
    for proxy, values in zip(proxies, (GOOD, BAD, BAD), strict=True):
        row = row_of(table, proxy)
        assert row["kendall_tau"] == pytest.approx(stats.kendalltau(values, TRUTH)[0])
        assert (row["n"], row["failed"], row["unmatched"]) == (60, 0, 0)
        assert (row["seconds"], row["flops"]) == (0.5, 2e9)
        assert (row["data"], row["seed_names"], row["drawn"]) == ("digits@12", "seed 0", DRAWN)
        assert row["truth"] == "accuracy"


def test_groups_stay_apart_by_space_and_data(store: Store) -> None:
    fill(store, "params", GOOD)
    fill(store, "params", GOOD, data="cifar10@34")
    fill(store, "params", GOOD, space=run_id(CELLS, NNGP())[0])
    table = quick(store)
    assert len(table) == 3
    assert len(table[["space", "data"]].drop_duplicates()) == 3


def test_failures_and_strangers_are_counted_and_ranked_without(store: Store) -> None:
    fill(store, "params", [math.nan, math.nan, *GOOD[2:]], columns={})
    row = quick(store, TRUTH.drop("k7")).iloc[0]
    assert (row["n"], row["failed"], row["unmatched"]) == (57, 2, 1)
    kept = np.delete(np.arange(60), [0, 1, 7])
    expected = stats.kendalltau(GOOD[kept], TRUTH.to_numpy()[kept])[0]
    assert row["kendall_tau"] == pytest.approx(expected)


def test_drawn_names_every_way_and_admits_ignorance(store: Store) -> None:
    fill(store, "params", GOOD[:20], drawn="random_matrix, n=20, seed=1")
    with_two = store.frame()["architecture"].tolist()
    assert len(with_two) == 20
    for i in range(20, 40):
        key = Key(SPACE, f"k{i}", "params", "digits@12", 0)
        store.put(Record(key, float(GOOD[i]), 1.0, 1.0, {}, None, "{}"))
    assert quick(store)["drawn"].tolist() == ["random_matrix, n=20, seed=1; unknown"]
    # Only those that are ranked count.
    assert quick(store, TRUTH[:20])["drawn"].tolist() == ["random_matrix, n=20, seed=1"]


def test_groups_of_nothing_get_nan(store: Store) -> None:
    fill(store, "params", GOOD)
    fill(store, "flops", [math.nan] * 5)
    fill(store, "nngp", GOOD[:1])
    other = Key("mnas", "elsewhere", "params", "digits@12", 0)
    store.put(Record(other, 1.0, 1.0, 1.0, {}, None, "{}"))
    table = quick(store)
    failed, single = row_of(table, "flops"), row_of(table, "nngp")
    assert (failed["n"], failed["failed"]) == (0, 5)
    assert math.isnan(failed["seconds"])
    assert single["n"] == 1
    assert table[table["space"] == "mnas"].iloc[0]["unmatched"] == 1
    assert table["kendall_tau"].notna().sum() == 1
    for form in FORMATS:
        assert render(table, form)


def test_nothing_to_rank_raises(store: Store) -> None:
    with pytest.raises(StoreError, match="no scores"):
        quick(store)
    fill(store, "params", GOOD)
    with pytest.raises(TruthError, match="none of"):
        quick(store, TRUTH.rename(index=lambda key: f"other-{key}"))


def test_names_that_are_no_settings_are_shown_as_they_are(store: Store) -> None:
    fill(store, "mine:v2", GOOD, space="my space: b", columns={"deep, wide": BAD})
    assert set(quick(store)["proxy"]) == {"mine:v2", "mine:v2[deep, wide]"}
    assert set(quick(store)["space"]) == {"my space: b"}
    assert truth_from_store(store, "mine:v2[deep, wide]").tolist() == pytest.approx(BAD.tolist())


# Truth from the store


def test_scores_as_truth(store: Store) -> None:
    training = "training:epochs=4/12,batch=256"
    own = TRUTH.to_numpy(copy=True)
    own[3] = math.nan
    fill(store, training, own, columns={"epochs=4": GOOD, "test_accuracy": GOOD})
    fill(store, "params", BAD)
    truth = truth_from_store(store, "training:epochs=12")
    pd.testing.assert_series_equal(truth, TRUTH.drop("k3"), check_names=False)
    table = quick(store, truth)
    assert table.set_index("proxy")["same_run"].to_dict() == {
        "params": False,
        "training": True,  # of 4 epochs, the default
        "training:epochs=12[test_accuracy]": True,
    }, "the truth's own column is left out, its companions are marked"
    assert row_of(table, "params")["unmatched"] == 1
    assert table["truth"].iloc[0].startswith("training:epochs=12, nasbench101:width=16")
    assert "*" in render(table)


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ("params", BAD),
        ("nngp:n_train=400", GOOD),
        ("nngp:n_train=100", BAD),
        ("nngp:n_train=100/400", GOOD),
        ("nngp:n_train=100,n_valid=200,width=16", BAD),
        (SWEPT, GOOD),
    ],
)
def test_a_spec_means_one_column(store: Store, spec: str, values: np.ndarray) -> None:
    fill(store, SWEPT, GOOD, columns={"n_train=100,n_valid=200,ensemble=1": BAD})
    fill(store, "params", BAD)
    assert truth_from_store(store, spec).tolist() == values.tolist()


@pytest.mark.parametrize("spec", ["nngp", "flops", "nngp:n_train=200", "nngp:n_train=100,width=8"])
def test_a_spec_of_none_or_several_lists_the_candidates(store: Store, spec: str) -> None:
    fill(store, SWEPT, GOOD, columns={"n_train=100,n_valid=200,ensemble=1": BAD})
    with pytest.raises(SettingError, match=r"fits [02] columns") as raised:
        truth_from_store(store, spec)
    for candidate in ("nngp:n_train=100,n_valid=200", "nngp:n_train=400,n_valid=200"):
        assert f"{candidate} (nasbench101:width=16, digits@12, seed 0)" in str(raised.value)


def test_space_data_and_seed_narrow_a_truth_down(store: Store) -> None:
    fill(store, "params", GOOD)
    fill(store, "params", BAD, seed=1)
    fill(store, "params", BAD, data="cifar10@34")
    with pytest.raises(SettingError, match="fits 3"):
        truth_from_store(store, "params")
    together = truth_from_store(store, "params", data="digits")
    assert together.tolist() == pytest.approx(((GOOD + BAD) / 2).tolist())
    assert str(together.name).endswith("digits@12, mean of seeds 0, 1")
    narrowed = truth_from_store(
        store, "params", space="nasbench101:width=16", data="digits", seed=0
    )
    assert narrowed.tolist() == GOOD.tolist()


def test_an_empty_store_is_no_truth(store: Store) -> None:
    with pytest.raises(SettingError, match="holds no scores"):
        truth_from_store(store, "training")


def test_read_truth_takes_a_table_or_a_proxy(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    TRUTH.rename_axis("key").to_frame("top1").to_csv(path)
    truth = read_truth(f"{path}:top1", store)
    assert truth.name == "table.csv:top1", "no folder in what is printed"
    assert truth.tolist() == pytest.approx(TRUTH.tolist())
    fill(store, "params", BAD)
    assert read_truth("params", store).tolist() == BAD.tolist()


# Text


def filled_table(store: Store) -> pd.DataFrame:
    fill(store, SWEPT, GOOD, columns={"n_train=100,n_valid=200,ensemble=1": BAD})
    fill(store, "params", [math.nan, *BAD[1:]])
    fill(store, "params", BAD, seed=1, drawn="random_matrix, n=60, seed=9")
    return quick(store)


def test_every_text_says_sampler_number_interval_and_truth(store: Store) -> None:
    table = filled_table(store)
    row = row_of(table, "nngp:n_train=400,n_valid=200")
    for form in ("table", "markdown"):
        text = render(table, form)
        bounds = "[{:+.2f}, {:+.2f}]".format(*row[["kendall_tau_low", "kendall_tau_high"]])
        for part in (DRAWN, "random_matrix, n=60, seed=9", " 60 ", "accuracy", "95 %", "1 failed"):
            assert part in text, f"{part} in {form}"
        assert bounds.replace("0.", ".") in text
        assert f"{row['kendall_tau']:+.3f}".replace("0.", ".") in text


def test_the_terminal_has_a_hundred_columns(store: Store) -> None:
    fill(store, NNGP_LONG, GOOD)
    text = render(filled_table(store))
    assert max(map(len, text.splitlines())) <= 100
    assert "norm_images=64" in text, "a long name is broken at its commas"


NNGP_LONG = run_id(
    CELLS,
    NNGP(n_train=300, momentum=0.5, batch_norm="training", norm_images=64, valid_from="train"),
)[1]


def test_markdown_has_as_many_cells_in_every_row(store: Store) -> None:
    lines = [line for line in render(filled_table(store), "markdown").splitlines() if "|" in line]
    assert len(lines) == 2 + 3
    assert len({line.count("|") for line in lines}) == 1


def test_csv_and_json_hold_every_number(store: Store) -> None:
    table = filled_table(store)
    table.loc[0, "pqetp"] = math.nan
    pd.testing.assert_frame_equal(
        pd.read_csv(io.StringIO(render(table, "csv"))), pd.DataFrame(table)
    )
    assert len(list(csv.reader(io.StringIO(render(table, "csv"))))) == 1 + len(table)
    rows = json.loads(render(table, "json"), parse_constant=lambda text: pytest.fail(text))
    assert rows[0]["pqetp"] is None
    assert rows[1]["kendall_tau"] == table.loc[1, "kendall_tau"]
    assert list(rows[0]) == list(table.columns)


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_what_few_architectures_cannot_say_is_said(store: Store, form: str) -> None:
    fill(store, "params", GOOD[:4])
    text = render(quick(store), form)
    assert "discovered: needs more architectures, it is given from n = 5 on" in text
    assert "best truth of" not in text
    fill(store, "nngp", GOOD)  # the row of four has no say in what the others' top is
    said = " ".join(render(quick(store), form).split())
    assert "best truth of the 1 best by score among 6 architectures" in said
    assert "10 disjoint random parts" in said


def test_an_unknown_format_raises(store: Store) -> None:
    with pytest.raises(SettingError, match="table, markdown, latex, html, csv, json"):
        render(filled_table(store), "xml")


def test_a_store_is_drawn(store: Store, tmp_path: Path) -> None:
    filled_table(store)
    for i in range(5):
        fill(store, f"other{i}", GOOD[:30])
    plot_store(store, TRUTH, tmp_path / "all.png")
    assert (tmp_path / "all.png").stat().st_size > 10_000
    with pytest.raises(TruthError):
        plot_store(store, TRUTH.rename(index=lambda key: f"other-{key}"), tmp_path / "none.png")
