"""The suite kernel_solvers: its rules each way, and its experiments on few images."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasproxy.errors import DataError, SettingError
from nasproxy.reproduce import suites
from nasproxy.reproduce.statistics import Estimate
from nasproxy.reproduce.suites import Options
from nasproxy_experiments import kernel_solvers
from nasproxy_experiments.kernel_solvers import (
    approximations,
    cost,
    methods,
    nystrom,
    precision,
    preconditioners,
    rules,
)
from nasproxy_experiments.kernel_solvers.study import KERNELS, RIDGES, Judged, Study
from tests.support.sentences import plain


def hits(share: float, draws: int = 5, images: int = 900, seed: int = 0) -> np.ndarray:
    """Images that are right, about a share of them."""
    return (np.random.default_rng(seed).random((draws, images)) < share).astype(float)


def test_an_interval_of_a_mean_over_draws_and_images() -> None:
    """Where draws are alike, the error is that of the images alone."""
    one = hits(0.3, draws=1)
    found = rules.gain(np.repeat(one, 5, 0))
    half = 1.96 * one.std() / np.sqrt(one.size)
    assert found.value == one.mean()
    np.testing.assert_allclose(found.high - found.value, half, rtol=0.1)
    wider = rules.gain(np.repeat(one, 5, 0), comparisons=16)
    ratio = stats.norm.ppf(1 - 0.025 / 16) / stats.norm.ppf(0.975)
    np.testing.assert_allclose(wider.high - wider.value, ratio * (found.high - found.value))
    with pytest.raises(DataError, match="two draws"):
        rules.gain(one)


def test_a_ratio_is_students_of_logarithms() -> None:
    values = np.array([2.0, 3.0, 5.0])
    expected = stats.ttest_1samp(np.log(values), 0).confidence_interval(0.95)
    np.testing.assert_allclose(rules.ratio(values)[1:], np.exp(expected))
    np.testing.assert_allclose(rules.ratio(values).value, 30 ** (1 / 3))
    for bad in (np.array([1.0]), np.array([1.0, 0.0])):
        with pytest.raises(DataError, match="all positive"):
            rules.ratio(bad)


@pytest.mark.parametrize(
    ("rule", "found", "verdict"),
    [
        (lambda e: rules.above(e, 2), (3, 2.5, 4), "holds"),
        (lambda e: rules.above(e, 2), (1, 0.5, 1.5), "does not hold"),
        (lambda e: rules.above(e, 2), (2.2, 1.5, 3), "is undecided"),
        (rules.alike, (0, -0.004, 0.004), "holds"),
        (rules.alike, (0.02, 0.01, 0.03), "does not hold"),
        (rules.alike, (0.004, -0.002, 0.01), "is undecided"),
        (rules.needed, (0.02, 0.01, 0.03), "holds"),
        (rules.needed, (0.001, -0.001, 0.003), "does not hold"),
        (rules.needed, (0.004, 0.001, 0.007), "is undecided"),
        (rules.needed, (0.0, 0.0, 0.0), "does not hold"),
    ],
)
def test_rules_each_way(rule: Any, found: Any, verdict: str) -> None:
    assert rule(Estimate(*found)) == verdict
    assert rule(Estimate(np.nan, np.nan, np.nan)) == "is undecided"


def test_several_verdicts() -> None:
    assert rules.all_of(["holds", "holds"]) == "holds"
    assert rules.all_of(["holds", "is undecided"]) == "is undecided"
    assert rules.all_of(["is undecided", "does not hold"]) == "does not hold"
    assert rules.all_of([]) == "is undecided"


def cases(exact: float, low_rank: tuple[float, float], parts: tuple[float, float]) -> Any:
    """Invented accuracies of every method at two sizes, of which the second is the larger."""
    found: dict[tuple[str, str, int], list[Judged]] = {}

    def put(method: str, size: int, share: float) -> None:
        found["FC3", method, size] = [
            Judged(right.astype(bool), np.zeros(900), 0) for right in hits(share)
        ]

    put("conjugate gradients", 100, exact)
    for i, size in enumerate((10, 50)):
        for method in approximations.LOW_RANK:
            put(method, size, low_rank[i])
        for method in approximations.PARTITIONED:
            put(method, size, parts[i])
        put(approximations.SUBSET, size, low_rank[i])
    return found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0.9, (0.4, 0.7), (0.3, 0.6)), ("holds", "holds", "holds", "holds")),
        ((0.5, (0.4, 0.7), (0.3, 0.6)), ("does not hold", "holds", "holds", "does not hold")),
        (
            (0.9, (0.6, 0.4), (0.8, 0.7)),
            ("holds", "does not hold", "does not hold", "holds"),
        ),
        ((0.9, (0.4, 0.401), (0.4, 0.401)), ("holds", "is undecided", "is undecided", "holds")),
    ],
)
def test_verdicts_on_approximations(given: Any, said: tuple[str, ...]) -> None:
    found = cases(*given)
    exact = approximations.right(found["FC3", "conjugate gradients", 100])
    others = (*methods.APPROXIMATE, approximations.SUBSET)
    behind = {
        (m, s): rules.gain(exact - approximations.right(found["FC3", m, s]), 8)
        for m in others
        for s in (10, 50)
    }
    sentences = approximations.sentences("FC3", found, behind, [10, 50])
    for sentence, verdict in zip(sentences, said, strict=True):
        assert f" {verdict} (" in sentence


def iterations(plain: int, greedy: int, other: int) -> pd.DataFrame:
    """Invented runs."""
    rows = []
    for draw in range(4):
        for ridge in (1e-4, 1e-2):
            rows.append(("FC3", ridge, "none", 0, draw, plain + draw))
            for rank in (10, 30):
                rows.append(("FC3", ridge, "random", rank, draw, other + draw))
                rows.append(("FC3", ridge, "uniform", rank, draw, other - draw))
                rows.append(("FC3", ridge, "greedy", rank, draw, greedy + draw))
    return pd.DataFrame(rows, columns=["kernel", "ridge", "pivot", "rank", "draw", "iterations"])


@pytest.mark.parametrize(
    ("plain", "greedy", "critical", "worse"),
    [
        (500, 150, "holds", "holds"),
        (120, 80, "does not hold", "does not hold"),
        (203, 100, "is undecided", "is undecided"),
    ],
)
def test_verdicts_on_preconditioners(plain: int, greedy: int, critical: str, worse: str) -> None:
    said = preconditioners.sentence(iterations(plain, greedy, 100), "FC3")
    assert f"is critical {critical}:" in said
    assert f"take more {worse}:" in said


def test_verdicts_on_nystrom_and_cost() -> None:
    good, bad, open_ = Estimate(0.1, 0.05, 0.15), Estimate(-0.1, -0.2, -0.05), Estimate(0, -1, 1)
    assert nystrom.judged([good, good]) == "holds"
    assert nystrom.judged([good, bad]) == "does not hold"
    assert nystrom.judged([good, open_]) == "is undecided"
    frame = pd.DataFrame({"kernel seconds": [4.0, 8.0, 16.0], "cg seconds": [1.0, 2.0, 4.0]})
    np.testing.assert_allclose(cost.times(frame), 4)


def test_float32_cholesky_fails_where_it_must() -> None:
    """A condition number beyond float32, which float64 bears."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    gram = (basis * np.logspace(0, -12, 40)) @ basis.T
    y = rng.normal(size=(40, 2))
    alpha = precision._cholesky(gram, y, 1e-9)
    np.testing.assert_allclose(gram @ alpha + 1e-9 * gram.trace() / 40 * alpha, y, atol=1e-4)
    with pytest.raises(np.linalg.LinAlgError):
        precision._cholesky(gram.astype(np.float32), y.astype(np.float32), 1e-9)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    made = kernel_solvers.prepare(Options(points=120, out=tmp_path_factory.mktemp("results")))
    made.draws = 2
    return made


def test_methods_are_the_direct_solve_where_they_must_be(study: Study) -> None:
    """At the whole size, each approximation is kernel ridge regression on all points."""
    given = study.draw("FC3", 0)
    exact = methods.subset(given, len(given.y), 0)
    for method in methods.APPROXIMATE:
        found = methods.approximate(method, given, len(given.y), 0)
        np.testing.assert_allclose(found, exact, atol=5e-3)
    found = methods.conjugate_gradients(given, 30, tolerance=1e-6)
    np.testing.assert_allclose(found, exact, atol=1e-3)
    assert len(RIDGES) == len(exact)


def test_images_that_choose_and_images_that_judge(study: Study) -> None:
    """The regulariser is the best of the first images, the verdict of the others alone."""
    wanted = study.targets[study.pool :]
    predictions = np.stack([wanted, -wanted])
    predictions[0, study.chosen_on :] = -wanted[study.chosen_on :]
    judged = study.judge(predictions)
    assert judged.chosen == 0
    assert not judged.right.any()
    assert len(judged.right) == study.valid - study.chosen_on
    assert judged.failed == 0
    predictions[1] = np.nan
    assert study.judge(predictions).failed == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", kernel_solvers.EXPERIMENTS)
def test_an_experiment_from_end_to_end(name: str, study: Study, tmp_path: Path) -> None:
    experiment = importlib.import_module(f"nasproxy_experiments.kernel_solvers.{name}")
    finding = experiment.run(study)
    written: Any = study
    suites.write(tmp_path / name, experiment, finding, written)
    text = (tmp_path / name / "README.md").read_text(encoding="utf-8")
    assert finding.verdict in text
    plain(finding.verdict)
    for kernel in KERNELS:
        assert f"{kernel}:" in finding.verdict
    raw = finding.tables["raw"]
    assert set(raw["draw"]) == {0, 1}
    numbers = raw.select_dtypes("number").drop(columns=["residual"], errors="ignore")
    assert np.isfinite(numbers.to_numpy()).all()
    if name == "residual":
        tight = raw[raw["tolerance"] == 1e-4]
        assert (tight["residual"] < 2e-4).all()
        assert (tight["predictions apart"] < 1e-2).all()


def test_what_is_refused() -> None:
    with pytest.raises(SettingError, match=r"points=7 .* allows 60"):
        kernel_solvers.prepare(Options(points=7))
    with pytest.raises(SettingError, match="--truth"):
        kernel_solvers.prepare(Options(truth=Path("truth")))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("does not hold", "float64 is needed for no part."),
        ("holds", "float64 is needed instead of: Cholesky in float32."),
        ("is undecided", "float64 may be needed instead of: Cholesky in float32."),
    ],
)
def test_a_sentence_says_for_what_float64_is_needed(verdict: str, said: str) -> None:
    rows = [
        {
            "case": "FC3",
            "λ": ridge,
            "arm": arm,
            "accuracy lost": 0.01 if decisive else 0.0,
            "accuracy lost low": 0.0,
            "accuracy lost high": 0.02 if decisive else 0.0,
            "predictions apart": 1e-5,
            "float64 is needed": verdict if decisive else "does not hold",
        }
        for ridge in precision.RIDGES
        for arm in precision.ARMS
        for decisive in [arm == "Cholesky in float32" and ridge == precision.RIDGES[0]]
    ]
    sentence = precision._sentence(pd.DataFrame(rows), "FC3")
    assert said in sentence
    assert "0.0100 [0.0000, 0.0200], Cholesky in float32 at λ = 1e-07" in sentence
