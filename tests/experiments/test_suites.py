"""The suites fc_ntk and nngp_mnas from end to end, on few images and few architectures."""

import dataclasses
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from nasproxy import NNGP, Params, Store, Training, metrics
from nasproxy.data import from_arrays
from nasproxy.errors import SettingError, TruthError
from nasproxy.proxies import Score
from nasproxy.reproduce import statistics
from nasproxy.reproduce import suites as reproduction
from nasproxy.reproduce.pool import Pool
from nasproxy.reproduce.scores import Request
from nasproxy.reproduce.suites import Options
from nasproxy_experiments import fc_ntk, nngp_mnas
from nasproxy_experiments.fc_ntk import (
    finite_networks,
    fixed_point,
    paper_steps,
    spectrum,
    timing,
)
from nasproxy_experiments.fc_ntk import study as kernels
from nasproxy_experiments.nngp_mnas import against_size
from nasproxy_experiments.nngp_mnas import study as spaces
from nasproxy_experiments.nngp_mnas.study import ACCEL, MACRO, TOPOLOGY, Benchmark, Study
from search_spaces import AccelNASBench, NASBench201, NASBenchMacro
from tests.support.data import pictures, write_pictures, write_prepared
from tests.support.sentences import plain


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 20)
    monkeypatch.setattr(spectrum, "EPOCHS", 50)


def written(suite: str, name: str, study: object, folder: Path) -> reproduction.Finding:
    experiment = importlib.import_module(f"nasproxy_experiments.{suite}.{name}")
    finding = experiment.run(study)
    reproduction.write(folder / name, experiment, finding, study)  # type: ignore[arg-type]
    assert re.search(r"\d", finding.verdict)
    plain(finding.verdict)
    assert (folder / name / "figure.png").stat().st_size > 5000
    assert finding.verdict in (folder / name / "README.md").read_text(encoding="utf-8")
    return finding


@pytest.mark.slow
def test_kernels_of_wide_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "WIDTHS", (8,))
    monkeypatch.setattr(kernels, "SEEDS", (0, 1))
    monkeypatch.setattr(finite_networks, "WIDTHS", (8,))
    monkeypatch.setattr(finite_networks, "SEEDS", (0, 1))
    monkeypatch.setattr(paper_steps, "SEEDS", (0, 1))
    monkeypatch.setattr(kernels, "STEPS_WIDTH", 8)
    monkeypatch.setattr(kernels, "PASSES", 1)
    monkeypatch.setattr(timing, "REPEATS", 2)
    monkeypatch.setattr(timing, "WIDTH", 8)
    monkeypatch.setattr(timing, "MOST_EPOCHS", 2)
    monkeypatch.setattr(fixed_point, "MOST", 60)
    study = fc_ntk.prepare(Options(cells=3, points=200, out=tmp_path, progress=False))
    try:
        found = {n: written("fc_ntk", n, study, tmp_path) for n in fc_ntk.EXPERIMENTS}
    finally:
        study.close()
    iterations = (
        found["spectrum"].tables["iterations"].set_index("descent")["iterations to error 0.1"]
    )
    assert iterations.iloc[1] <= iterations["plain"]
    depth = found["depth"].tables["depth"]
    assert set(depth["depth"]) == {1, 2, 3}
    assert (depth["error"] < 0.3).all()  # Digits are easy; chance is .9.
    assert found["accuracy"].tables["accuracy"]["accuracy"].min() > 0.7


def test_more_points_than_there_are() -> None:
    with pytest.raises(SettingError, match="class-balanced"):
        fc_ntk.prepare(Options(points=10**6))
    with pytest.raises(SettingError, match="--truth"):
        fc_ntk.prepare(Options(truth=Path("truth")))


def untrained(_: Any, space: Any, *rest: Any) -> Callable[[Any], Score]:
    """Stands in for training, which takes long."""
    return lambda architecture: Score(len(space.key(architecture)) / 100, 0.0)


@pytest.fixture(scope="module")
def ranked() -> Iterator[Study]:
    """Networks whose invented truth follows their size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "prepare", untrained)
        yield invented()


def invented() -> Study:
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 4
    images = rng.normal(size=(80, 32, 32, 3)) + labels[:, None, None, None]
    data = from_arrays(images[:48], labels[:48], images[48:], labels[48:], name="tiny")
    store = Store(None)
    benchmarks = {}
    space, n = NASBench201(width=8), 12
    # Mobile networks take minutes to compile, and look no different.
    for name in (TOPOLOGY, ACCEL, MACRO):
        keyed = {space.key(a): a for a in space.sample(n, 0)}
        pool = Pool(space, keyed, data, store, "invented", progress=False)
        size = pool.frame(Request(Params(), n))["params"].map(np.log)
        truth = 0.9 + 0.01 * size + pd.Series(0.001 * rng.normal(size=n), index=size.index)
        nngp = NNGP(n_train=(16, 32), n_valid=32, norm_images=8, width=8)
        requests = {"nngp": Request(nngp, n)}
        requests |= spaces._limits(requests["nngp"], n, n_train=48)
        requests |= spaces._members(requests["nngp"], n, ensemble=(1, 2))
        requests |= spaces._by_seeds(requests["nngp"], n)
        if name == ACCEL:
            requests["nngp, 10 labels"] = Request(dataclasses.replace(nngp, n_train=32), n)
            requests["training"] = Request(Training(epochs=5), 10)
        latency = pd.Series(rng.uniform(5, 50, n), index=list(keyed))
        benchmarks[name] = Benchmark(name, pool, truth, latency, "invented", requests)
    return Study("nngp_mnas", benchmarks)


def test_size_is_found_where_truth_follows_it(ranked: Study, tmp_path: Path) -> None:
    finding = written("nngp_mnas", "nasbench201", ranked, tmp_path)
    table = finding.tables["scores"].set_index("score")
    assert float(table["τ"]["parameters"]) > 0.8
    assert float(table["τ"]["fit on size"]) > 0.5
    assert re.search("loses to|is not told apart from", finding.verdict)
    assert re.search("ranks better than counting (does not hold|is undecided)", finding.verdict)


def test_fits_predict_what_they_did_not_see() -> None:
    rng = np.random.default_rng(1)
    noise = [rng.normal(size=60) for _ in range(20)]
    target = rng.normal(size=60)
    assert np.corrcoef(against_size.cross_fitted(noise, target), target)[0, 1] < 0.4
    ranks = scipy.stats.rankdata(target)
    exact = against_size.cross_fitted([2 * ranks + 1, noise[0]], target)
    np.testing.assert_allclose(exact, ranks - ranks.mean(), atol=1e-8)


def test_what_limits_names_every_space(ranked: Study, tmp_path: Path) -> None:
    finding = written("nngp_mnas", "what_limits", ranked, tmp_path)
    rankings = finding.tables["rankings"]
    assert set(rankings["space"]) == {TOPOLOGY, ACCEL, MACRO}
    assert (rankings["cells"] == 12).all()
    by_members, by_size = finding.verdict.split(". ")[1:]
    for space in (TOPOLOGY, ACCEL, MACRO):
        assert re.search(rf"{space} \(τ -?0\.\d\d by 2\)", by_members)
        assert re.search(rf"{space} \([+-]0\.\d\d\d\)", by_size)


@pytest.mark.parametrize("space", [TOPOLOGY, ACCEL, MACRO])
def test_seeds_of_a_space_by_every_truth(space: str, ranked: Study, tmp_path: Path) -> None:
    name = f"{space}_by_seeds"
    finding = written("nngp_mnas", name, ranked, tmp_path)
    table = finding.tables["ranking"]
    assert set(table["predicts"]) == {"accuracy", "reward"}
    assert (table["networks"] == 12).all()
    kept = pd.read_parquet(tmp_path / name / "scores.parquet")
    score = "NNGP −validation MSE (32, 32, 1)"
    taus = [
        metrics.kendall_tau(kept[f"{score}, seed {seed}"], kept["accuracy"])
        for seed in spaces.SEEDS
    ]
    found = table[table["predicts"] == "accuracy"].set_index("score")["τ"]
    assert found[score] == pytest.approx(np.mean(taus))
    assert found["parameters"] == pytest.approx(
        metrics.kendall_tau(kept["parameters"], kept["accuracy"])
    )


@pytest.mark.slow
def test_accel_nasbench_by_accuracy_and_reward(ranked: Study, tmp_path: Path) -> None:
    finding = written("nngp_mnas", "accel_nasbench", ranked, tmp_path)
    assert set(finding.tables) == {"accuracy", "reward"}
    top = written("nngp_mnas", "top_networks", ranked, tmp_path).tables["top"]
    assert top["share of random choices below"].between(0, 1).all()


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=r"accel_nasbench\.parquet"):
        nngp_mnas.prepare(Options(truth=tmp_path, out=tmp_path))
    with pytest.raises(SettingError, match="at least 10"):
        nngp_mnas.prepare(Options(cells=2, out=tmp_path))
    assert spaces.COLUMNS[TOPOLOGY].unit == 100
    with pytest.raises(SettingError, match="--data pets comes with --truth"):
        nngp_mnas.prepare(Options(data="pets", out=tmp_path))


def test_data_is_the_imagenet_like_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the Accel-NASBench part, with its settings; the other spaces keep CIFAR-10."""
    monkeypatch.setenv("NASPROXY_CACHE", str(tmp_path / "cache"))
    columns = spaces.COLUMNS
    accel, rows = AccelNASBench(), []
    for blocks in accel.sample(10, 0):
        row = {
            f"block{i}_{column}": value
            for i, b in enumerate(blocks)
            for column, value in zip("ekl", (b.expansion, b.kernel, b.layers), strict=True)
        }
        rows.append(row | {f"block{i}_se": b.se > 0 for i, b in enumerate(blocks)})
    for name, keyed in (
        (ACCEL, pd.DataFrame(rows)),
        (MACRO, pd.DataFrame({"arch": NASBenchMacro().sample(10, 0)})),
        (TOPOLOGY, pd.DataFrame({"arch_str": NASBench201().sample(10, 0)})),
    ):
        truth = dict.fromkeys((*columns[name].accuracy, columns[name].latency or "ms"), 50.0)
        table = keyed.assign(**truth)
        if name == ACCEL:  # Nine of the benchmark's own were trained twice.
            table = pd.concat([table, table.iloc[:1].assign(imagenet_top1=60.0)])
        table.to_parquet(tmp_path / columns[name].table)
    write_prepared(tmp_path, "cifar10", {"train": pictures(50)})
    pets = write_pictures(tmp_path / "pets", [f"class{i:02}" for i in range(12)], count=8)
    options = Options(cells=10, truth=tmp_path, data_dir=tmp_path, out=tmp_path / "out")
    text = f"{pets}:resolution=40,labels=11,valid_fraction=0.5"
    study = nngp_mnas.prepare(dataclasses.replace(options, data=text))
    study.close()
    benchmark = study.benchmarks[ACCEL]
    used = {label: benchmark.pool_of(label).images for label in benchmark.requests}
    assert (
        used["nngp"].name
        == used["more"].name
        == "pets:"
        + text.partition(":")[2].replace("resolution=40,labels=11", "labels=11,resolution=40")
    )
    assert (used["nngp"].classes, used["nngp"].image_shape) == (11, (40, 40, 3))
    assert len(used["nngp"].valid_labels) == 11 * 4
    assert benchmark.published is not None
    assert sorted(benchmark.published) == [50.0] * 9 + [55.0]
    few, small = used["nngp, 10 labels"], used["training"]
    assert (few.classes, few.image_shape) == (10, (40, 40, 3))
    assert (small.classes, small.image_shape) == (10, (32, 32, 3))
    assert used["seed 2"].name == used["nngp"].name
    text = f"{pets}:resolution=40,valid_fraction=0.25"
    larger = nngp_mnas.prepare(dataclasses.replace(options, data=text))
    larger.close()
    drawn = larger.benchmarks[ACCEL]
    names = [drawn.pool_of(label).images.name for label in ("more", "seed 2", "seed 4")]
    fractions = [0.25, 0.34, 0.34]
    assert names == [f"pets:resolution=40,valid_fraction={part}" for part in fractions]
    assert {study.benchmarks[n].pool.images.name for n in (MACRO, TOPOLOGY)} == {"cifar10"}
    with pytest.raises(SettingError, match=r"--data digits: .*ten of its labels"):
        nngp_mnas.prepare(dataclasses.replace(options, data="digits"))
    with pytest.raises(SettingError, match="no setting 'size'"):
        nngp_mnas.prepare(dataclasses.replace(options, data=f"{pets}:size=3"))
