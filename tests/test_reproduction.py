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

from experiments import nngp_nas, reproduction, statistics
from experiments.nngp_nas import published as published_tables
from experiments.nngp_nas import study as studies
from experiments.nngp_nas.published import Published, read_published
from experiments.nngp_nas.study import Study
from experiments.pool import Pool
from experiments.provenance import named
from experiments.reproduction import Options
from experiments.scores import Request, Setting
from nasproxy import NNGP, Store, metrics
from nasproxy.cli import app
from nasproxy.data import Dataset
from nasproxy.errors import SettingError, TruthError
from search_spaces import NASBench101

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
    experiment = importlib.import_module(f"experiments.nngp_nas.{name}")
    finding = experiment.run(study)
    reproduction.write(tmp_path / name, experiment, finding, study)
    assert re.search(r"\d", finding.verdict), "a verdict states numbers"
    assert "nan" not in finding.verdict.lower()
    text = (tmp_path / name / "README.md").read_text(encoding="utf-8")
    for said in (reproduction.title(experiment), experiment.CLAIM, finding.verdict, "invented"):
        assert said in text
    assert (tmp_path / name / "figure.png").stat().st_size > 5000
    for label, table in finding.tables.items():
        read = pd.read_csv(tmp_path / name / f"{label}.csv")
        assert len(read) == len(table) > 0


def test_the_list_names_every_experiment() -> None:
    result = CliRunner().invoke(app, ["reproduce", "--list"])
    assert result.exit_code == 0
    for name in nngp_nas.EXPERIMENTS:
        assert f"nngp_nas/{name}" in result.output
        assert set(importlib.import_module(f"experiments.nngp_nas.{name}").NEEDS) <= set(
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


def test_recorded_commands_name_experiments_and_no_folders(tmp_path: Path) -> None:
    store = tmp_path / "scores.db"
    words = ["reproduce", "nngp_nas/hybrid", "--store", str(store), "--data-dir", str(tmp_path)]
    expected = ["reproduce", "nngp_nas/hybrid", "--store", "scores.db", "--data-dir", "DIR"]
    assert named(words) == expected
