"""The suite kernel_scale: its verdicts each way, its accuracies, and a run from end to end."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy.data import Dataset, from_arrays
from nasproxy.errors import SettingError
from nasproxy.kernels import CNNVec, FullyConnected
from nasproxy.reproduce import suites
from nasproxy.reproduce.statistics import Estimate
from nasproxy.reproduce.suites import Options
from nasproxy.solvers import KernelRidgeClassifier
from nasproxy_experiments import kernel_scale
from nasproxy_experiments.kernel_scale import accuracy, cost, finite_width, order, whitening
from nasproxy_experiments.kernel_scale.accuracy import Case, Tried
from nasproxy_experiments.kernel_scale.finite_width import Slopes
from nasproxy_experiments.kernel_scale.study import Study
from tests.support.sentences import plain


def frame(
    accuracies: dict[str, float], gain: dict[str, float], n: int = 500, draws: int = 4
) -> pd.DataFrame:
    """Accuracies by kernel, what whitening adds to them, and 1 % of difference between draws."""
    rows = []
    for name, value in accuracies.items():
        for draw in range(draws):
            for whitened in (False, True):
                noise = 0.01 * (-1) ** (draw + whitened)
                rows.append(
                    {
                        "kernel": name,
                        "n": n,
                        "draw": draw,
                        "whitened": whitened,
                        "flipped": False,
                        "accuracy": value + noise + whitened * gain.get(name, 0.0),
                        "mse": 0.1,
                        "loo_mse": 0.1,
                        "epsilon": 1e-3,
                        "kernel_seconds": 1.0 if name == "RBF" else 1000.0,
                        "pairs": 1000,
                    }
                )
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ({"FC3": 0.3, "CV8": 0.4, "Myrtle-10": 0.5}, "The claim holds"),
        ({"FC3": 0.45, "CV8": 0.4, "Myrtle-10": 0.5}, "The claim does not hold"),
        ({"FC3": 0.3, "CV8": 0.55, "Myrtle-10": 0.5}, "The claim does not hold"),
    ],
)
def test_order_each_way(accuracies: dict[str, float], said: str) -> None:
    assert order.verdict(frame(accuracies, {})).startswith(said)


def test_order_undecided_and_not_tested() -> None:
    close = frame({"FC3": 0.3, "CV8": 0.4, "Myrtle-10": 0.4}, {})
    close.loc[close["kernel"] == "Myrtle-10", "accuracy"] += [0.03, 0, -0.02, 0, 0.02, 0, -0.03, 0]
    assert "is undecided" in order.verdict(close)
    few = close[(close["kernel"] != "Myrtle-10") | (close["draw"] < 2)]
    assert order.verdict(few).startswith("Not tested: too few draws of Myrtle-10 less CV8.")


def test_the_largest_size_that_both_have_decides() -> None:
    small = frame({"FC3": 0.3, "CV8": 0.25, "Myrtle-10": 0.5}, {}, n=500)
    large = frame({"FC3": 0.3, "CV8": 0.4}, {}, n=2000)
    said = order.verdict(pd.concat([small, large]))
    assert said.startswith("The claim holds")
    assert "+10.0 [+10.0, +10.0] points at n = 2,000" in said
    assert "points at n = 500, 4 draws" in said


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ({"CV8": 0.1, "Myrtle-10": 0.1}, "The claim holds"),
        ({"CV8": -0.1, "Myrtle-10": 0.1}, "The claim does not hold"),
        ({"CV8": 0.0, "Myrtle-10": 0.1}, "The claim is undecided"),
    ],
)
def test_whitening_each_way(gain: dict[str, float], said: str) -> None:
    accuracies = {"FC3": 0.3, "CV8": 0.4, "Myrtle-10": 0.5}
    found = frame(accuracies, gain)
    assert whitening.verdict(found).startswith(said)
    assert whitening.verdict(found[found["kernel"] != "CV8"]).startswith("Not tested")
    table = whitening.gains_by_kernel(found).set_index("kernel")
    assert table.loc["Myrtle-10", "gain"] == pytest.approx(0.1)


def test_cost_each_way() -> None:
    better = frame({"RBF": 0.3, "Myrtle-10": 0.5}, {})
    assert cost.verdict(better).startswith("The claim's direction holds: a pair of Myrtle-10 takes")
    assert "1,000 times" in cost.verdict(better)
    worse = frame({"RBF": 0.6, "Myrtle-10": 0.5}, {})
    assert cost.verdict(worse).startswith("The claim's direction does not hold")
    cheap = better.assign(kernel_seconds=1.0)
    assert cost.verdict(cheap).startswith("The claim's direction does not hold")
    close = frame({"RBF": 0.5, "Myrtle-10": 0.5}, {})
    assert cost.verdict(close).startswith("The claim's direction is undecided")
    assert cost.verdict(better[better["kernel"] == "RBF"]).startswith("Not tested")


def test_slopes_each_way() -> None:
    grid = [(w, m, e) for w in (8, 32, 128) for m in (1, 4) for e in range(3)]
    found = pd.DataFrame(grid, columns=["width", "members", "ensemble"])
    rng = np.random.default_rng(0)
    noise = np.exp(0.01 * rng.normal(size=len(found)))
    exact = found.assign(error=noise * found["width"] ** -0.5 * found["members"] ** -0.5)
    both = finite_width.slopes(exact)
    assert both.width.low < -0.5 < both.width.high
    assert finite_width.verdict({"net": both}).startswith("The claim holds")
    flat = finite_width.slopes(exact.assign(error=noise * found["members"] ** -0.5))
    assert finite_width.verdict({"net": both, "flat": flat}).startswith("The claim does not hold")
    wide = Slopes(Estimate(-0.5, -0.8, -0.2), both.members)
    assert finite_width.verdict({"net": wide}).startswith("The claim is undecided")


@pytest.fixture
def images() -> Dataset:
    """60 + 40 learnable images of 4×4 pixels in 2 classes."""
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(2, 4, 4, 3))
    splits = []
    for n in (60, 40):
        labels = np.arange(n) % 2
        splits += [
            (patterns[labels] + rng.normal(size=(n, 4, 4, 3))).astype(np.float32),
            labels,
        ]
    return from_arrays(*splits, name="tiny")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = {
        "RBF": Tried(None, (20,), 0, 3),
        "FC3": Tried(FullyConnected(1, "nngp"), (20,), 20, 3),
        "CV8": Tried(CNNVec(1, "nngp"), (20,), 20, 3),
        "Myrtle-10-flat": Tried(CNNVec(2, "nngp"), (20,), 0, 3),
        "Myrtle-10": Tried(CNNVec(2, "nngp", end="pool"), (20,), 0, 3),
    }
    monkeypatch.setattr(accuracy, "N_VALID", 30)
    for name, one in tried.items():
        monkeypatch.setitem(accuracy.KERNELS, name, one)
    monkeypatch.setattr(finite_width, "WIDTHS", (4, 8))
    monkeypatch.setattr(finite_width, "MEMBERS", (1, 2))
    monkeypatch.setattr(finite_width, "REPEATS", 2)
    monkeypatch.setattr(finite_width, "IMAGES", 8)
    monkeypatch.setattr(finite_width, "NETWORKS", finite_width.NETWORKS[:2])


def test_a_case_is_the_fit_that_a_user_makes(images: Dataset, few: None) -> None:
    """KernelRidge at the same ridge gives the same accuracy."""
    row = next(accuracy.rows(Case("CV8", 20, 1, whitened=False), images, 30))
    train, y = images.subset("train", 20, 1)
    valid, labels = images.subset("valid", 30, 1)
    root = np.sqrt(4 * 4 * 3)
    x, z = ((accuracy.normalised(v) * root).astype(np.float32) for v in (train, valid))
    model = KernelRidgeClassifier(CNNVec(1, "nngp"), ridge=row.epsilon).fit(x, y)
    assert row.accuracy == pytest.approx(model.score(z, labels), abs=1 / 30)
    assert row.pairs == 20 * 10 + 20 * 30


def test_a_run_from_end_to_end(
    images: Dataset, few: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study("kernel_scale", images, Options(out=tmp_path).opened("kernel_scale"), False)
    try:
        study.compute(("RBF", "CV8"), (0, 1))
        needs = ("RBF", "CV8")
        assert [(p.wanted, p.stored) for p in study.plan(needs, (0, 1))] == [(6, 6), (6, 6)]
        for name, experiment in suites.experiments(kernel_scale).items():
            study.compute(experiment.NEEDS, (0, 1))
            finding = experiment.run(study)
            suites.write(tmp_path / name, experiment, finding, study)  # type: ignore[arg-type]
            assert "Not tested" not in finding.verdict
            plain(finding.verdict)
        # Nothing is computed twice.
        monkeypatch.setattr(accuracy, "rows", None)
        study.compute(("RBF", "FC3", "CV8", "Myrtle-10-flat", "Myrtle-10"), (0, 1))
    finally:
        study.close()
    scores = pd.read_csv(tmp_path / "order" / "scores.csv")
    assert set(scores["flipped"]) == {False, True}
    assert (scores["kernel_seconds"] >= 0).all()


def test_what_the_suite_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="give --data-dir"):
        kernel_scale.prepare(Options(out=tmp_path))
    with pytest.raises(SettingError, match="leave --truth"):
        kernel_scale.prepare(Options(out=tmp_path, points=5, data="digits"))
