"""Rows of several seeds, and what they are held against: every number from the arrays alone."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasproxy import metrics
from nasproxy.errors import SettingError, TruthError
from nasproxy.ranking import hybrid_store, plot_store, rank, rank_store, render, render_hybrid
from nasproxy.ranking.measures import split
from nasproxy.ranking.rendering import FORMATS
from nasproxy.store import Key, Record, Store
from tests.support.cli import run

N = 60
KEYS = [f"k{i:02}" for i in range(N)]
RNG = np.random.default_rng(0)
COUNTS = RNG.integers(1, 4, N).astype(float)
POOLS = RNG.integers(0, 2, N).astype(float)
TRUTH = pd.Series(0.9 + 0.01 * (COUNTS + RNG.normal(size=N)), KEYS, name="accuracy")
SHORT = TRUTH + 0.01 * RNG.normal(size=N)
SCORES = TRUTH.to_numpy() + 0.02 * RNG.normal(size=(3, N))
SPACE = "fully_connected:width=256"


def tau_of(scores: Any, kept: slice = slice(None)) -> float:
    return float(np.asarray(stats.kendalltau(scores[kept], TRUTH[kept]))[0])


def put(store: Store, proxy: str, values: Any, seed: int = 0, **columns: Any) -> None:
    for i, value in enumerate(values):
        failed = math.isnan(value)
        own = {} if failed else {name: float(column[i]) for name, column in columns.items()}
        key = Key(SPACE, KEYS[i], proxy, "digits@12", seed)
        info = {"drawn": "uniform", "columns": own}
        error = "it diverged" if failed else None
        store.put(Record(key, None if failed else float(value), 1.0, 1.0, info, error, "{}"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three seeds of a proxy, counts and parameters, and tables of truths."""
    monkeypatch.chdir(tmp_path)
    with Store("s.db") as store:
        for seed, values in enumerate(SCORES):
            put(store, "mine", values, seed)
        put(store, "counts", COUNTS, pools=POOLS)
        put(store, "params", COUNTS + 0.5 * POOLS)
    frame = pd.DataFrame({"key": KEYS, "top1": TRUTH.array, "short": SHORT.array})
    frame.assign(error=1 - SHORT.to_numpy()).to_csv("t.csv", index=False)
    return tmp_path


def rows(*words: str) -> dict[str, dict[str, Any]]:
    said = run("rank", "--store", "s.db", "--truth", "t.csv:top1", "--format", "json", *words)
    return {row.get("proxy", row.get("measure")): row for row in json.loads(said)}


# Seeds


def frame_of(seeds: int) -> pd.Series:
    index = pd.MultiIndex.from_product([KEYS, range(seeds)], names=["architecture", "seed"])
    return pd.Series(SCORES[:seeds].T.ravel(), index)


def test_a_series_by_architecture_and_seed() -> None:
    result = rank(frame_of(3), TRUTH, n_resamples=50)
    taus = [tau_of(score) for score in SCORES]
    assert (result.n, result.seeds) == (N, 3)
    assert result.kendall_tau == pytest.approx(np.mean(taus))
    assert result.kendall_tau_seed_sd == pytest.approx(np.std(taus, ddof=1))
    expected = metrics.over_seeds(metrics.kendall_tau, SCORES, TRUTH, n_resamples=50)
    assert (result.kendall_tau_low, result.kendall_tau_high) == expected[1:3]
    assert result.spearman == pytest.approx(
        np.mean([float(np.asarray(stats.spearmanr(score, TRUTH))[0]) for score in SCORES])
    )
    alone = rank(frame_of(1), TRUTH, n_resamples=50)
    assert alone == rank(pd.Series(SCORES[0], KEYS), TRUTH, n_resamples=50)


def test_architectures_of_some_seeds_are_left_out_and_counted() -> None:
    scores = frame_of(2).drop([("k00", 1), ("k01", 0)])
    scores[("k02", 0)] = math.nan
    result = rank(scores, TRUTH.drop("k03"), n_resamples=5)
    assert (result.n, result.unshared, result.failed, result.unmatched) == (N - 4, 2, 1, 1)
    kept = slice(4, None)
    taus = [tau_of(score, kept) for score in SCORES[:2]]
    assert result.kendall_tau == pytest.approx(np.mean(taus))


def test_indices_of_something_else_are_refused() -> None:
    scores = frame_of(2)
    for wrong in (scores.swaplevel(), scores.rename_axis(["architecture", "data"])):
        with pytest.raises(TruthError, match=r"or by \(architecture, seed\)"):
            rank(wrong, TRUTH)
    with pytest.raises(TruthError, match="one row an architecture and seed"):
        rank(pd.concat([scores, scores[:1]]), TRUTH)
    apart = scores.drop([(key, i % 2) for i, key in enumerate(KEYS)])
    with pytest.raises(TruthError, match="share no architecture"):
        rank(apart, TRUTH)


def test_a_store_has_one_row_of_all_seeds(folder: Path, tmp_path: Path) -> None:
    found = rows()
    assert set(found) == {"mine", "counts", "counts[pools]", "params"}
    mine = found["mine"]
    assert (mine["n"], mine["seeds"], mine["seed_names"]) == (N, 3, "seeds 0, 1, 2")
    expected = rank(frame_of(3), TRUTH)
    assert mine["kendall_tau"] == pytest.approx(expected.kendall_tau)
    assert mine["kendall_tau_low"] == pytest.approx(expected.kendall_tau_low)
    assert found["params"]["kendall_tau_seed_sd"] is None
    for form in ("table", "markdown"):
        text = run("rank", "--store", "s.db", "--truth", "t.csv:top1", "--format", form)
        for part in ("3 seeds", "1 seed", "intervals resample architectures and seeds"):
            assert part in text
        assert f"sd {mine['kendall_tau_seed_sd']:.3f}".replace("0.", ".") in text
    with Store("s.db") as store:
        plot_store(store, TRUTH, tmp_path / "p.png")
        plot_store(store, TRUTH, tmp_path / "p.svg")
    assert "seeds" in (tmp_path / "p.svg").read_text() or (tmp_path / "p.png").stat().st_size > 1e4


def test_seeds_of_other_samples_stand_apart() -> None:
    with Store(None) as store:
        put(store, "params", SCORES[0][:40])
        put(store, "params", [*[math.nan] * 5, *SCORES[1][5:10]], seed=1)
        table = rank_store(store, TRUTH, n_resamples=5)
        assert sorted(zip(table["seed_names"], table["n"], strict=True)) == [
            ("seed 0", 40),
            ("seed 1", 5),
        ]
        assert "seed 1" in render(table)


# Failures


def test_failures_rank_last_where_asked() -> None:
    scores = pd.Series([math.nan, math.nan, *SCORES[0][2:]], KEYS)
    left = rank(scores, TRUTH, n_resamples=5)
    last = rank(scores, TRUTH, failures="last", n_resamples=5)
    assert (left.n, left.failed, last.n, last.failed) == (N - 2, 2, N, 2)
    low = scores.fillna(-1e9)
    assert last.kendall_tau == pytest.approx(stats.kendalltau(low, TRUTH)[0])
    assert last.spearman == pytest.approx(stats.spearmanr(low, TRUTH)[0])
    assert last.pearson == left.pearson, "r has no place for them"
    # Of a loss, the worst is the largest.
    loss = -scores
    loss.attrs["lower"] = True
    assert rank(loss, TRUTH, failures="last", n_resamples=5) == last
    with pytest.raises(SettingError, match="failures='worst' of rank: give drop or last"):
        rank(scores, TRUTH, failures="worst")


def test_the_table_says_what_became_of_failures() -> None:
    with Store(None) as store:
        put(store, "params", [math.nan, *SCORES[0][1:]])
        left, last = (rank_store(store, TRUTH, failures=f, n_resamples=5) for f in ("drop", "last"))
        assert left["n"].tolist() == [N - 1]
        assert last["n"].tolist() == [N]
        assert "(1 failed)" in render(left)
        assert "failed architectures are left out" in render(left)
        assert "1 failed, ranked last" in render(last).replace("\n", " ")
        assert "rank below all others" in render(last)


# Baselines and a ceiling


def test_given_counts_is_tau_within_equal_counts(folder: Path) -> None:
    mine = rows("--given", "counts")["mine"]
    both = np.column_stack([COUNTS, POOLS])
    expected = [metrics.tau_given(score, TRUTH, both) for score in SCORES]
    assert mine["tau_given"] == pytest.approx(np.mean([one.tau for one in expected]))
    assert mine["tau_given_low"] < mine["tau_given"] < mine["tau_given_high"]
    same = sum((both[i] == both[j]).all() for i in range(N) for j in range(i))
    assert (mine["given_pairs"], mine["given_n"], mine["given"]) == (same, N, "counts")
    alone = rows("--given", "counts[pools]")["mine"]
    assert alone["given_pairs"] > same
    joint = rows("--given", "counts[pools],params")["mine"]
    assert joint["given_pairs"] == same, "parameters and pools tell what counts and pools do"


def test_groups_of_one_have_no_pairs_and_it_is_said(folder: Path) -> None:
    found = rows("--given", "mine")["params"]
    assert (found["given_pairs"], found["tau_given"]) == (0, None)
    text = run("rank", "--store", "s.db", "--truth", "t.csv:top1", "--given", "mine")
    assert "0: no two are equal" in text


def test_no_interval_of_a_correlation_is_beyond_1() -> None:
    """Two seeds that rank in opposite ways: their spread is stretched, but not past what can be."""
    both = np.stack([TRUTH, -TRUTH])
    index = pd.MultiIndex.from_product([KEYS, range(2)], names=["architecture", "seed"])
    assert metrics.over_seeds(metrics.kendall_tau, both, TRUTH).high > 1
    result = rank(pd.Series(both.T.ravel(), index), TRUTH)
    assert (result.kendall_tau_low, result.kendall_tau_high) == (-1, 1)
    assert (result.pearson_low, result.pearson_high) == (-1, 1)


def test_against_is_the_paired_gain(folder: Path) -> None:
    found = rows("--against", "params")
    expected = metrics.paired_gain(SCORES, COUNTS + 0.5 * POOLS, TRUTH)
    mine = found["mine"]
    assert [mine[f"gain{end}"] for end in ("", "_low", "_high")] == pytest.approx(expected[:3])
    assert mine["gain_n"] == N
    assert found["params"]["gain"] is None, "nothing over itself"
    by_table = rows("--against", "t.csv:error:lower")["mine"]
    assert by_table["gain"] == pytest.approx(np.mean([tau_of(s) for s in SCORES]) - tau_of(SHORT))


def test_the_ceiling_is_on_the_same_architectures(folder: Path) -> None:
    pd.DataFrame({"key": KEYS[:40], "half": SHORT[:40].array}).to_csv("half.csv", index=False)
    mine = rows("--ceiling", "half.csv:half")["mine"]
    best = tau_of(SHORT, slice(40))
    own = np.mean([tau_of(s, slice(40)) for s in SCORES])
    assert (mine["ceiling_tau"], mine["ceiling_n"]) == (pytest.approx(best), 40)
    assert mine["ceiling_share"] == pytest.approx(own / best)
    assert mine["ceiling_share_low"] < mine["ceiling_share"] < mine["ceiling_share_high"]
    text = run("rank", "--store", "s.db", "--truth", "t.csv:top1", "--ceiling", "half.csv:half")
    said = " ".join(text.split())
    assert f"ceiling: half.csv:half, τ {best:+.3f}".replace("0.", ".") in said
    assert f"{own / best:.0%}" in said


def test_a_search_in_two_steps(folder: Path) -> None:
    mine = rows("--keep", ".3", "--then", "t.csv:short")["mine"]
    drawn = metrics.disjoint_parts(N, 6, 10)
    found = [
        [
            metrics.search_space_reduction(s[i], SHORT.to_numpy()[i], TRUTH.to_numpy()[i], keep=0.3)
            for i in drawn
        ]
        for s in SCORES
    ]
    assert (mine["found_parts"], mine["found_kept"], mine["found_n"]) == (10, 2, N)
    assert mine["found"] == pytest.approx(np.mean([[one.found for one in of] for of in found]))
    assert mine["found_over_random"] == pytest.approx(
        np.mean([[one.found - one.random for one in of] for of in found])
    )
    assert mine["found_over_random_low"] < mine["found_over_random"]
    every = rows("--keep", "1", "--then", "t.csv:short")["mine"]
    assert (every["found_over_random"], every["found_over_all"]) == (0, 0)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_what_was_asked_for(folder: Path, form: str) -> None:
    words = ["--given", "counts", "--against", "params", "--ceiling", "t.csv:short"]
    words += ["--keep", ".5", "--then", "t.csv:short", "--failures", "last", "--format", form]
    text = run("rank", "--store", "s.db", "--truth", "t.csv:top1", *words)
    if form in ("csv", "json"):
        for name in ("tau_given", "given_pairs", "gain_low", "ceiling_share", "found_over_random"):
            assert name in text
    else:
        for name in ("given", "gain", "of ceiling", "over random", "over all", "pairs", "seeds"):
            assert name in text
    if form == "table":
        assert max(map(len, text.splitlines())) <= 100


# Hybrids


def test_a_hybrid_is_judged_on_labels_it_did_not_see(folder: Path) -> None:
    found = rows("--hybrid", "mine,t.csv:short", "--fit-on", "t.csv:error:lower")
    assert list(found) == ["mine", "t.csv:short", "rank mean", "fitted"]
    assert {name: row["seeds"] for name, row in found.items()} == {
        "mine": 3, "t.csv:short": 1, "rank mean": 3, "fitted": 3,
    }  # fmt: skip
    features = [np.column_stack([s, SHORT]) for s in SCORES]
    target = -(1 - SHORT.to_numpy())
    for name, scores in {
        "mine": SCORES,
        "t.csv:short": SHORT.to_numpy()[None],
        "rank mean": [metrics.rank_mean(f) for f in features],
        "fitted": [metrics.cross_fitted(f, target) for f in features],
    }.items():
        expected = metrics.over_seeds(metrics.kendall_tau, scores, TRUTH)
        row = found[name]
        assert (row["n"], row["kendall_tau"]) == (N, pytest.approx(expected.value))
        assert row["kendall_tau_low"] == pytest.approx(expected.low)
    gain = metrics.paired_gain([metrics.cross_fitted(f, target) for f in features], SCORES, TRUTH)
    fitted = found["fitted"]
    assert fitted["gain over mine"] == pytest.approx(gain.value)
    assert fitted["gain over mine_low"] == pytest.approx(gain.low)
    assert found["mine"]["gain over rank mean"] is None
    assert fitted["gain over rank mean"] == pytest.approx(
        fitted["kendall_tau"] - found["rank mean"]["kendall_tau"]
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_hybrid_in_every_format(folder: Path, form: str) -> None:
    with Store("s.db") as store:
        table = hybrid_store(store, TRUTH, ["mine", SHORT.rename("short")], "params", n_resamples=5)
    text = render_hybrid(table, form)
    for part in ("rank mean", "fitted", "short", "params"):
        assert part in text
    with pytest.raises(SettingError, match="choose one of"):
        render_hybrid(table, "xml")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--keep", ".3"], "--keep is given without --then: give both"),
        (["--then", "params"], "--then is given without --keep"),
        (["--keep", "0", "--then", "params"], "keep=0.0 of rank: give a number above 0"),
        (["--keep", "30", "--then", "params"], "at most 1"),
        (["--hybrid", "mine,params"], "--hybrid is given without --fit-on"),
        (["--fit-on", "params"], "--fit-on is given without --hybrid"),
        (["--hybrid", "mine", "--fit-on", "params"], "give two measures or more"),
        (["--hybrid", "mine,mine", "--fit-on", "params"], "give different names"),
        (["--hybrid", "mine,", "--fit-on", "params"], "give different names"),
        (["--hybrid", "mine,params", "--fit-on", "counts", "--keep", ".3", "--then", "params"],
         "--hybrid has a table of its own: leave out --keep"),
        (["--given", "count"], "'count' fits no column of s.db: name one of counts"),
        (["--against", "nngp"], "'nngp' fits no column"),
        (["--ceiling", "t.csv:none"], "no column 'none'"),
        (["--failures", "first"], "failures='first' of rank: give drop or last"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(folder: Path, words: list[str], says: str) -> None:
    with pytest.raises((SettingError, TruthError)) as raised:
        rows(*words)
    assert says in str(raised.value)


def test_a_baseline_of_another_data_set_is_not_guessed(folder: Path) -> None:
    with Store("s.db") as store:
        for data in ("cifar10@1", "cifar10@2"):
            for key, value in zip(KEYS, COUNTS, strict=True):
                where = Key(SPACE, key, "flops", data, 0)
                store.put(Record(where, float(value), 1.0, 1.0, {}, None, "{}"))
    with pytest.raises(SettingError, match=r"'flops' fits 2 columns .* cifar10@1.* cifar10@2"):
        rows("--against", "flops")


def test_names_are_parted_where_a_setting_does_not_go_on() -> None:
    assert split("nngp:n_train=100,width=8,counts[pools]") == [
        "nngp:n_train=100,width=8",
        "counts[pools]",
    ]
    assert split("nngp[n_train=1,ensemble=2],a/t.csv:x") == [
        "nngp[n_train=1,ensemble=2]",
        "a/t.csv:x",
    ]
