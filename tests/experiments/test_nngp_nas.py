"""Suites: what is asked, computed, found and written; on tiny networks and invented truth."""

import dataclasses
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from nasproxy import NNGP, Store, metrics
from nasproxy.cli import app
from nasproxy.data import Dataset
from nasproxy.errors import SettingError, TruthError
from nasproxy.reproduce import statistics
from nasproxy.reproduce import suites as reproduction
from nasproxy.reproduce.pool import Pool
from nasproxy.reproduce.provenance import named
from nasproxy.reproduce.scores import Request, Setting
from nasproxy.reproduce.statistics import Estimate
from nasproxy.reproduce.suites import Options
from nasproxy_experiments import nngp_nas
from nasproxy_experiments.nngp_nas import kendall_vs_cost, search_space_reduction
from nasproxy_experiments.nngp_nas import published as published_tables
from nasproxy_experiments.nngp_nas import study as studies
from nasproxy_experiments.nngp_nas.published import Published, read_published
from nasproxy_experiments.nngp_nas.study import Study
from search_spaces import NASBench101
from tests.support.sentences import plain

CELLS = 24


def tables(cells: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Invented accuracies of real cells, in the published tables' format."""
    rng = np.random.default_rng(seed)
    space = NASBench101()
    hashes = [space.key(cell) for cell in space.sample(cells, seed)]
    long = rng.uniform(0.85, 0.94, cells)
    budgets = {f"validation_accuracy_{e}": long - rng.uniform(0, 1 / e, cells) for e in (4, 12, 36)}
    return (
        pd.DataFrame({"module_hash": hashes, "test_accuracy_108": long}),
        pd.DataFrame({"module_hash": hashes, **budgets}),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("truth")
    cells, budgets = tables(CELLS, 0)
    cells.to_parquet(path / published_tables.CELLS)
    budgets.to_parquet(path / published_tables.BUDGETS)
    return path


@pytest.fixture(scope="module")
def study(folder: Path, tiny_data: Dataset) -> Iterator[Study]:
    """All of the suite's requests, made tiny."""
    published = read_published(folder)
    space = NASBench101(stacks=2, cells=1)
    requests = {}
    for name, request in studies.small_scale(CELLS).items():
        several = isinstance(request.proxy.n_train, tuple)
        sizes = {
            "n_train": (16, 32) if several else 32,
            "n_valid": 32,
            "ensemble": (1, 2) if several else 1,
            "norm_images": 8,
            "width": 8,
        }
        small = dataclasses.replace(request.proxy, **sizes)
        requests[name] = dataclasses.replace(request, proxy=small, cells=CELLS)
    cells = {key: space.find(key) for key in published.draw(CELLS, 0)}
    pool = Pool(space, cells, tiny_data, Store(None), "invented", progress=False)
    made = Study("nngp_nas", pool, published, requests)
    yield made
    made.close()


@pytest.mark.parametrize("name", nngp_nas.EXPERIMENTS)
def test_every_experiment_writes_a_verdict_a_table_and_a_figure(
    name: str, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 20)
    experiment = importlib.import_module(f"nasproxy_experiments.nngp_nas.{name}")
    finding = experiment.run(study)
    reproduction.write(tmp_path / name, experiment, finding, study)
    assert re.search(r"\d", finding.verdict), "a verdict states numbers"
    assert "nan" not in finding.verdict.lower()
    plain(finding.verdict)
    text = (tmp_path / name / "README.md").read_text(encoding="utf-8")
    for said in (reproduction.title(experiment), experiment.CLAIM, finding.verdict, "invented"):
        assert said in text
    assert (tmp_path / name / "figure.png").stat().st_size > 5000
    for label, table in finding.tables.items():
        read = pd.read_csv(tmp_path / name / f"{label}.csv")
        assert len(read) == len(table) > 0
    kept = [pd.read_parquet(file) for file in (tmp_path / name).glob("*.parquet")]
    assert len(kept) == len(experiment.NEEDS)
    for frame in kept:
        assert 0 < len(frame) <= CELLS
        assert {"truth", "4 epochs", "params"} <= {*frame}


def test_the_list_names_every_experiment() -> None:
    result = CliRunner().invoke(app, ["reproduce", "--list"])
    assert result.exit_code == 0
    for name in nngp_nas.EXPERIMENTS:
        assert f"nngp_nas/{name}" in result.output
        assert set(importlib.import_module(f"nasproxy_experiments.nngp_nas.{name}").NEEDS) <= set(
            studies.full_scale(100)
        )


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(SettingError, match="nngp_nas"):
        list(reproduction.reproduce("nothing", Options()))
    with pytest.raises(SettingError, match="kendall_vs_cost"):
        list(reproduction.reproduce("nngp_nas/nothing", Options()))
    with pytest.raises(SettingError, match="at least 10"):
        nngp_nas.prepare(Options(cells=3))


def test_shards_share_the_work(folder: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    """Two shards leave nothing to do, and no shard writes results."""
    small = NNGP(n_train=16, n_valid=16, width=8, norm_images=8)
    store = tmp_path / "scores.db"
    published = read_published(folder)
    cells = {key: NASBench101().find(key) for key in published.draw(10, 0)}

    def opened() -> Study:
        pool = Pool(NASBench101(), cells, tiny_data, Store(store), "invented", progress=False)
        return Study("nngp_nas", pool, published, {"many": Request(small, 10)})

    for index, expected in ((0, 5), (1, 10)):
        one = opened()
        one.compute(["many"], (index, 2))
        assert sum(group.ok for group in one.pool.store.groups()) == expected
        one.close()
    whole = opened()
    created = {r.key.architecture: r.created for r in whole.pool.store.records()}
    assert set(whole.scores("many").frame.index) == set(cells)
    assert {r.key.architecture: r.created for r in whole.pool.store.records()} == created
    whole.close()


def test_smaller_draws_begin_larger_ones(folder: Path) -> None:
    published = read_published(folder)
    assert published.draw(20, 3)[:8] == published.draw(8, 3)
    assert published.draw(20, 3) != published.draw(20, 4)
    with pytest.raises(SettingError, match=str(CELLS)):
        published.draw(CELLS + 1, 0)


def test_truth_of_one_imported_file_takes_single_trials(tmp_path: Path) -> None:
    cells, budgets = tables(5, 1)
    frame = cells.merge(budgets)
    for epochs in (4, 12, 36):
        frame[f"validation_accuracy_{epochs}_trial0"] = 0.01 * epochs
    frame.to_parquet(tmp_path / "nasbench101.parquet")
    published: Published = read_published(tmp_path / "nasbench101.parquet")
    np.testing.assert_allclose(published.shortened[4], 0.04)
    with pytest.raises(TruthError, match="nasbench101_cells"):
        read_published(tmp_path)


def test_columns_are_those_of_the_setting(study: Study) -> None:
    scores = study.scores("many")
    assert scores.largest == Setting(32, 32, 2)
    pd.testing.assert_series_equal(scores.column(), scores.frame["nngp"])
    smaller = scores.frame["nngp[n_train=16,n_valid=32,ensemble=1,loo_accuracy]"]
    pd.testing.assert_series_equal(scores.column(Setting(16, 32, 1), "loo_accuracy"), smaller)
    curves = study.curves("many")
    for setting in scores.settings:
        best = curves[setting].max(axis=1).sort_index()
        np.testing.assert_allclose(best, scores.column(setting).sort_index())
        assert scores.costs[setting] <= scores.costs[scores.largest]


@pytest.mark.parametrize("n", [40, 1000])
def test_subsets(n: int) -> None:
    drawn = statistics.subsets(n)
    assert len(drawn) == 10
    assert all(len(set(s)) == len(s) for s in drawn)
    together = np.concatenate(drawn)
    assert (len(set(together)) == len(together)) == (n == 1000)


def test_a_gain_is_of_the_same_architectures() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    good, bad = truth + rng.normal(size=300), truth + 5 * rng.normal(size=300)
    gain = statistics.tau_gain(good, bad, truth)
    expected = metrics.kendall_tau(good, truth) - metrics.kendall_tau(bad, truth)
    assert gain.value == pytest.approx(expected)
    assert gain.low > 0
    assert statistics.verdict(gain) == "beats"
    assert statistics.verdict(statistics.tau_gain(bad, good, truth)) == "is worse than"


def test_intervals_that_hold_together_are_wider() -> None:
    """Of normal values the interval is theirs; of ten, that of a share of .005 outside."""
    values = np.concatenate([[1.0], np.random.default_rng(0).normal(1, 2, size=4000)])
    alone, together = (statistics.simultaneous(values, count) for count in (1, 10))
    np.testing.assert_allclose(alone[1:], statistics.interval(values)[1:], atol=0.2)
    np.testing.assert_allclose(together[1:], np.quantile(values, [0.0025, 0.9975]), atol=0.6)
    assert np.isnan(statistics.simultaneous(np.array([0.5, *[np.nan] * 9, 1.0]), 1).low)


def test_an_interval_of_resampled_differences_is_that_of_the_gain() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=80)
    good, bad = truth + rng.normal(size=80), truth + 3 * rng.normal(size=80)
    values = [statistics.resampled(metrics.kendall_tau, score, truth) for score in (good, bad)]
    gain = statistics.interval(values[0] - values[1])
    assert gain == pytest.approx(statistics.tau_gain(good, bad, truth))
    unknown = statistics.interval(np.array([0.5, *[np.nan] * 150, *[0.4] * 50]))
    assert unknown.value == 0.5
    assert np.isnan([unknown.low, unknown.high]).all()


@pytest.mark.parametrize(("n", "budget"), [(40, 4), (1000, 10)])
def test_a_reduced_subset_is_searched_with_the_whole_ones_budget(n: int, budget: int) -> None:
    """The best network is the one that shortened training puts in the budget's last place."""
    size = len(statistics.subsets(n)[0])
    accuracy = np.arange(n, 0, -1.0)
    truth = np.zeros(n)
    kept = np.arange(size)[: max(budget, size // 10)]
    truth[budget - 1] = 1
    chosen = [np.arange(size), kept]
    assert statistics.found(accuracy, truth, chosen, statistics.top(size)).tolist() == [1, 1]
    truth = np.roll(truth, 1)
    assert statistics.found(accuracy, truth, chosen, statistics.top(size)).tolist() == [0, 0]
    assert statistics.found(accuracy, truth, [kept[:2]], budget).shape == (1,)


def test_reduction_finds_more_than_random_where_the_screen_is_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=1000)
    accuracy = truth + rng.normal(size=1000)
    draws = [statistics.subsets(1000, seed=seed) for seed in range(2)]

    def kept(score: np.ndarray, number: int) -> np.ndarray:
        return search_space_reduction.searched(score, number, accuracy, truth, draws)

    whole, screened, random = kept(truth, 100), kept(truth, 10), kept(np.zeros(1000), 10)
    best = [[truth[s].max() for s in drawn] for drawn in draws]
    np.testing.assert_allclose(screened, best)
    np.testing.assert_allclose(whole, [statistics.found(accuracy, truth, d) for d in draws])
    tens = [truth[rng.choice(s, 10, replace=False)].max() for _ in range(400) for s in draws[0]]
    assert random.mean() == pytest.approx(np.mean(tens), abs=0.1)


def gain(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("kept", "over", "few", "expected"),
    [
        ((-9, 5), (1, 9), (-2, 3), "first half holds and its second is not contradicted"),
        ((-9, 5), (-4, 9), (-2, 3), "first half is undecided"),
        ((-9, -1), (1, 9), (-2, 3), "first half does not hold"),
        ((-90, 50), (1, 9), (1, 3), "its second does not hold"),
        ((-9, 5), (1, 9), (-5, -3), "its second does not hold"),
    ],
)
def test_the_reductions_verdict_follows_from_its_intervals(
    kept: tuple[int, int], over: tuple[int, int], few: tuple[int, int], expected: str
) -> None:
    most, least = search_space_reduction.SHARES
    name, random = search_space_reduction.NNGP, search_space_reduction.RANDOM
    gains = {
        (12, name, most, "none"): gain(*kept),
        (12, name, most, random): gain(*over),
        (12, name, least, random): gain(*few),
    }
    said = search_space_reduction.judge(gains, [12])
    assert expected in said
    assert ("shows no loss (at most" in said) == (kept[1] > 0)


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([(-0.1, 0.2), (0.1, 0.2)], "holds against 4 epochs"),
        ([(-0.1, 0.2), (-0.2, -0.1)], "is undecided against 4 epochs"),
        ([(-0.3, -0.2), (-0.2, -0.1)], "does not hold against 4 epochs"),
    ],
)
def test_one_setting_that_gains_is_enough_to_match_training(
    gains: list[tuple[float, float]], expected: str
) -> None:
    assert kendall_vs_cost.outcomes([4], [[gain(*ends)] for ends in gains]) == expected


def test_the_setting_judged_is_the_dearest_that_is_allowed(study: Study) -> None:
    scores = study.scores("many")
    group = kendall_vs_cost.Group("many", scores, CELLS, {}, {})
    cost = scores.costs[scores.largest]
    assert group.dearest(cost) == scores.largest
    assert group.dearest(0.99 * cost) not in (None, scores.largest)
    assert group.dearest(0) is None


def test_gains_are_over_training_on_all_cells(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half as many cells in one group: the rows of training are of those, and no gain is."""
    everywhere = metrics.kendall_tau(study.shortened[4], study.truth[study.shortened.index])
    assert study.population[4] == pytest.approx(everywhere)
    monkeypatch.setattr(statistics, "RESAMPLES", 20)
    requests = dict(study.requests)
    requests["images"] = dataclasses.replace(requests["images"], cells=CELLS // 2)
    smaller = dataclasses.replace(study, requests=requests)
    table = kendall_vs_cost.run(smaller).tables["settings"]
    for need, cells in (("many", CELLS), ("images", CELLS // 2)):
        rows = table[table["of"] == need].set_index(["score", "setting"])
        keys = list(study.cells)[:cells]
        truth, trained = study.truth[keys], study.shortened[4][keys]
        expected = metrics.kendall_tau(trained, truth)
        assert rows.loc[("4 epochs", ""), "τ"] == pytest.approx(expected)
        assert set(rows["cells"]) == {cells}
        scores = smaller.scores(need)
        own = metrics.kendall_tau(scores.column()[keys], truth)
        said = rows.loc[("NNGP validation accuracy", str(scores.largest)), "τ over 4 epochs"]
        assert float(str(said).partition(" ")[0]) == pytest.approx(own - everywhere, abs=6e-4)
        kept = smaller.raw(need)
        assert metrics.kendall_tau(kept["nngp"], kept["truth"]) == pytest.approx(own)
        assert metrics.kendall_tau(kept["4 epochs"], kept["truth"]) == pytest.approx(expected)


def test_recorded_commands_name_experiments_and_no_folders(tmp_path: Path) -> None:
    store = tmp_path / "scores.db"
    words = ["reproduce", "nngp_nas/hybrid", "--store", str(store), "--data-dir", str(tmp_path)]
    expected = ["reproduce", "nngp_nas/hybrid", "--store", "scores.db", "--data-dir", "DIR"]
    assert named(words) == expected


@pytest.mark.parametrize("suite", ["nngp_nas", "fc_ntk"])
def test_settings_of_the_data_are_read_as_score_reads_them(suite: str, tmp_path: Path) -> None:
    prepare = importlib.import_module(f"nasproxy_experiments.{suite}").prepare
    with pytest.raises(SettingError, match="labels"):
        prepare(Options(data="digits:labels=nine", out=tmp_path))
