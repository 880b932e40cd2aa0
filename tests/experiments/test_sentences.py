"""What the experiments' sentences rest on: intervals, fits, groups and clusters."""

import ast
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nasproxy.errors import SettingError
from nasproxy.proxies import NNGP
from nasproxy.reproduce import statistics
from nasproxy.reproduce.scores import MEASURES, spelled
from nasproxy.reproduce.statistics import Estimate
from nasproxy.reproduce.words import listed
from nasproxy_experiments import nasbench101_cifar10, nngp_nas_notebook
from nasproxy_experiments.fc_ntk import accuracy, depth, spectrum
from nasproxy_experiments.fc_ntk.study import NAMES
from nasproxy_experiments.nngp_mnas import against_size, top_networks
from nasproxy_experiments.nngp_nas import (
    batch_norm_momentum,
    discovered_performance,
    hybrid,
    hybrid_sizes,
    linear_networks,
    network_size,
    small_networks,
)
from search_spaces import NASBench101


@pytest.mark.parametrize("better", [True, False])
def test_hybrids_of_more_images_gain_where_their_noise_falls(better: bool) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    four, twelve = truth + 2 * rng.normal(size=300), truth + rng.normal(size=300)
    noise = {100: 4.0, 1000: 2.0, 8000: 0.5 if better else 4.0}
    by_size = {n: truth + scale * rng.normal(size=300) for n, scale in noise.items()}
    made = hybrid_sizes.compared(by_size, four, twelve, truth)
    table: dict[Any, Any] = {(row["hybrid"], row["n_t"]): row for row in made.to_dict("records")}
    for kind in hybrid_sizes.KINDS:
        last = table[kind, 8000]
        apart = last["τ"] - table[kind, 100]["τ"]
        assert last["over least"] == pytest.approx(apart)
        assert (last["over least low"] > 0) == better
        assert (last["over 4 epochs low"] > 0) or not better
    assert np.isnan(table["linear fit", 100]["over least"])


def test_student_is_scipys_interval() -> None:
    values = np.random.default_rng(0).normal(0.3, 2.0, 7)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    got = statistics.student(statistics.mean(values), len(values))
    np.testing.assert_allclose(got[1:], expected)
    alone = statistics.student(statistics.mean([1.0]), 1)
    assert alone.value == 1.0
    assert np.isnan(alone.low)


def test_more_draws_of_disjoint_subsets_narrow_nothing() -> None:
    truth = np.random.default_rng(0).normal(size=2000)
    draws = [
        [truth[s].max() for s in statistics.subsets(len(truth), seed=seed)] for seed in range(40)
    ]
    once = np.mean([np.diff(statistics.over_subsets(d, len(truth))[1:]) for d in draws[:20]])
    often = np.diff(statistics.over_subsets(draws, len(truth))[1:]).item()
    assert often == pytest.approx(once, rel=0.15)
    one = statistics.student(statistics.mean(draws[0]), 10)
    np.testing.assert_allclose(statistics.over_subsets(draws[0], len(truth)), one)


def test_overlapping_halves_have_the_error_of_all() -> None:
    """The mean of a random half of n varies, over halves, as that of n values does: s / √n."""
    values = np.random.default_rng(1).normal(size=60)
    halves = [[values[s].mean() for s in statistics.subsets(60, seed=seed)] for seed in range(200)]
    expected = values.std(ddof=1) / np.sqrt(60)
    assert statistics.subset_mean(halves, 60).error == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ([Estimate(1, 0.5, 1.5), Estimate(1, 0.1, 2)], "holds"),
        ([Estimate(1, 0.5, 1.5), Estimate(1, -0.1, 2)], "is undecided"),
        ([Estimate(1, -0.5, 1.5), Estimate(-1, -2, -0.1)], "does not hold"),
        ([Estimate(1, np.nan, np.nan)], "is undecided"),
    ],
)
def test_settled(gains: list[Estimate], said: str) -> None:
    assert statistics.settled(*gains) == said


def test_estimates_print_their_ends_alike() -> None:
    assert f"{Estimate(0.1, -0.2, 0.35):+.2f}" == "+0.10 [-0.20, +0.35]"
    assert f"{-Estimate(0.1, -0.2, 0.35):+.2f}" == "-0.10 [-0.35, +0.20]"


@pytest.mark.parametrize(
    ("early", "late", "said"),
    [
        ((-2e-3, -3e-3, -1e-3), (-3e-3, -4e-3, -2e-3), "The claim holds"),
        ((2e-3, 1e-3, 3e-3), (-3e-3, -4e-3, -2e-3), "The claim does not hold"),
        ((2e-3, -1e-3, 5e-3), (-3e-3, -4e-3, -2e-3), "The claim is undecided"),
        ((-2e-3, -3e-3, -1e-3), (3e-3, 2e-3, 4e-3), "The claim does not hold"),
    ],
)
def test_nngp_at_most_as_good_as_short_training(early: tuple, late: tuple, said: str) -> None:
    rows = [
        {"score": f"NNGP {text}", "setting": "(1)"}
        | statistics.columns("over 4 epochs", Estimate(*early))
        | statistics.columns("over 12 epochs", Estimate(*late))
        for text in MEASURES.values()
    ]
    study = SimpleNamespace(budgets=[4, 12, 36])
    verdict = discovered_performance._verdict(study, pd.DataFrame(rows), "(1)")  # type: ignore[arg-type]  # budgets are all it reads
    assert verdict.startswith(said)


def test_fits_see_no_other_targets() -> None:
    rng = np.random.default_rng(0)
    features, fit = rng.normal(size=(200, 2)), np.arange(60)
    target = features @ [2.0, -1.0] + 0.5
    np.testing.assert_allclose(hybrid.fitted(features, target, fit), target, atol=1e-2)
    hidden = np.where(np.arange(200) < 60, target, 99.0)
    np.testing.assert_array_equal(
        hybrid.fitted(features, hidden, fit), hybrid.fitted(features, target, fit)
    )


@pytest.mark.parametrize("n", [40, 600])
def test_no_cell_is_fitted_and_judged(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    judged: list[np.ndarray] = []
    monkeypatch.setattr(hybrid, "DRAWS", 2)

    def fitted(features: np.ndarray, target: np.ndarray, fit: np.ndarray) -> np.ndarray:
        seen.append(fit)
        return features[:, 0]

    def found(score: np.ndarray, truth: np.ndarray, drawn: list[np.ndarray]) -> np.ndarray:
        judged.extend(drawn)
        return np.zeros(1)

    monkeypatch.setattr(hybrid, "fitted", fitted)
    monkeypatch.setattr(hybrid, "found", found)
    truth = np.random.default_rng(0).normal(size=n)
    got = hybrid._judged({}, {"fit": [truth]}, truth, truth)
    assert len(seen) == len(judged) == 20
    assert not any(set(fit) & set(subset) for fit, subset in zip(seen, judged, strict=True))
    assert all(len(fit) == round(0.3 * n) for fit in seen)
    np.testing.assert_allclose(got["fit"][0], 1.0)


def test_competitive_cells_are_parted_by_a_score() -> None:
    truth = np.arange(1, 9) / 8
    rank = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2, 0.95])
    counts = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    poor, others = linear_networks.competitive(rank, truth, counts)
    assert poor.tolist() == [6]
    assert others.tolist() == [7]


def test_every_group_of_residual_connections_is_shown() -> None:
    counts = np.array([0, 1, 1, 2, 2, 2])
    table = linear_networks._by_count({"score": np.arange(1, 7) / 6}, counts)
    assert table["cells"].tolist() == [1, 2, 3]
    assert table["low"].isna().tolist() == [True, False, False]
    assert table["low"].min() >= 0
    assert table["high"].max() <= 1


@pytest.mark.parametrize("ties", [2, 100])
def test_tau_within_clusters_counts_their_pairs(ties: int) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(4, size=60)
    score, truth = rng.integers(ties, size=60), rng.normal(size=60) + 10 * codes
    surplus = untied_score = untied_truth = 0
    for i, j in combinations(range(60), 2):
        if codes[i] == codes[j]:
            signs = np.sign(score[i] - score[j]), np.sign(truth[i] - truth[j])
            surplus += signs[0] * signs[1]
            untied_score, untied_truth = untied_score + signs[0] ** 2, untied_truth + signs[1] ** 2
    expected = surplus / np.sqrt(untied_score * untied_truth)
    assert network_size.within_clusters(score, truth, codes) == pytest.approx(expected)
    assert np.isnan(network_size.within_clusters(np.zeros(60), truth, codes))


def test_clusters_part_the_sizes() -> None:
    """Where one vertex feeds the output, a 3×3 convolution more outweighs all other edges."""
    space = NASBench101()
    sizes: dict[int, list[int]] = {}
    for cell in space.sample(400, seed=0):
        feeding, convolutions = network_size.cluster(cell)
        if feeding == 1:
            graph = space.graph(cell, (32, 32, 3), 10)
            sizes.setdefault(convolutions, []).append(graph.parameters)
    assert len(sizes) >= 4
    for fewer, more in zip(sorted(sizes), sorted(sizes)[1:], strict=False):
        assert max(sizes[fewer]) < min(sizes[more])


@pytest.mark.parametrize(
    ("lost", "said"), [(0.02, "holds"), (0.0, "is undecided"), (-0.02, "does not hold")]
)
def test_size_loses_most_among_small_networks(lost: float, said: str) -> None:
    rng = np.random.default_rng(0)
    names = [small_networks.SIZE, small_networks.NNGP, "4 epochs", "12 epochs"]
    best = {
        (group, name): 0.93 + 1e-4 * rng.normal(size=(2, 10))
        for group in (small_networks.ALL, small_networks.SMALL)
        for name in names
    }
    best[small_networks.SMALL, small_networks.SIZE] -= lost
    verdict = small_networks._verdict(best, 5000, [4, 12, 36])
    assert verdict.startswith(f"That size loses most under 10M parameters {said}")


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.1, 0.2, "above"), (-0.2, -0.1, "below"), (-0.1, 0.1, "at")]
)
def test_momentum_zero_is_beside_chance_where_its_interval_is(
    low: float, high: float, said: str
) -> None:
    names = ["accuracy at 0", "accuracy at .997", "more low", "more high", "τ at 0", "τ at .997"]
    row = dict.fromkeys([*names, "τ gain", "gain low", "gain high"], 0.0)
    causes = pd.DataFrame([row | {"changed": "nothing", "τ low": low, "τ high": high}])
    assert f"ranks {said} chance" in batch_norm_momentum._verdict(causes)


@pytest.mark.parametrize(
    ("at_200", "said"),
    [(0.40, "holds"), (0.62, "does not hold"), (0.501, "is undecided"), (None, "is not tested")],
)
def test_the_deepest_is_best_where_errors_say_so(at_200: float | None, said: str) -> None:
    errors = {5: 0.5, 50: 0.6} | ({} if at_200 is None else {200: at_200})
    rows = [
        {"solver": solver, "k": k, "depth": d, "error": e}
        for solver in NAMES.values()
        for k in (350, 500)
        for d, e in errors.items()
    ]
    rows.append({"solver": "direct", "k": np.nan, "depth": 5, "error": 0.1})
    assert depth.deepest_best(pd.DataFrame(rows), 5000).startswith(said)


def test_one_loss_that_is_worse_at_depth_200_is_enough() -> None:
    rows = [("a", 5, 0.5), ("a", 200, 0.4), ("b", 5, 0.4), ("b", 200, 0.5)]
    table = pd.DataFrame(rows, columns=pd.Index(["solver", "depth", "error"])).assign(k=350)
    assert depth.deepest_best(table, 5000) == "does not hold"


@pytest.mark.parametrize(
    ("squared", "cross_entropy", "images", "said"),
    [
        (0.85, 0.88, 5000, "holds"),
        (0.835, 0.88, 40_000, "holds"),
        (0.85, 0.70, 40_000, "does not hold"),
        (0.58, 0.57, 5000, "is undecided at 5,000 images"),
    ],
)
def test_claimed_accuracies_are_judged_up_to_their_error(
    squared: float, cross_entropy: float, images: int, said: str
) -> None:
    rows = {
        loss: {"accuracy": value, "standard error": 0.005, "images": images}
        for loss, value in (("squared", squared), ("cross_entropy", cross_entropy))
    }
    assert accuracy.reached(rows) == said


@pytest.mark.parametrize(
    ("ratio", "images", "said"),
    [
        (3000, 5000, "does not hold"),
        (3200, 5000, "holds"),
        (31_000, 5000, "holds"),
        (45_000, 5000, "does not hold"),
        (9000, 500, "is not tested (500 images, not 5,000)"),
    ],
)
def test_an_order_of_magnitude_is_nearest_on_the_logarithm(
    ratio: float, images: int, said: str
) -> None:
    assert spectrum.order(ratio, images) == said


ABOVE, BELOW, ASTRIDE = Estimate(0.2, 0.1, 0.3), Estimate(-0.2, -0.3, -0.1), Estimate(0, -0.1, 0.1)


def test_what_is_worth_its_price_follows_from_gains() -> None:
    said = nasbench101_cifar10.worth({"a over b": ABOVE, "c over b": BELOW, "d over b": ASTRIDE})
    assert "better: a over b (+0.200" in said
    assert "worse: c over b (-0.200" in said
    assert "not told apart: d over b (+0.000" in said
    assert "worse" not in nasbench101_cifar10.worth({"a over b": ABOVE})


@pytest.mark.parametrize(
    ("gain", "said", "added"),
    [
        (ABOVE, "beats", "gains"),
        (BELOW, "loses to", "loses"),
        (ASTRIDE, "is not told apart from", "does not measurably change it"),
    ],
)
def test_size_is_beaten_where_the_interval_says_so(gain: Estimate, said: str, added: str) -> None:
    assert against_size._said(gain) == said
    assert against_size.added(gain) == added


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ([0.01, 0.02], "The claim holds"),
        ([0.97, 0.99], "The claim does not hold"),
        ([0.01, 0.5], "The claim is not shown: of 2 choices by NNGP 1 are"),
    ],
)
def test_choices_are_compared_with_random_ones(shares: list[float], said: str) -> None:
    names = ["random 10", "NNGP a", "NNGP b", "parameters"]
    table = pd.DataFrame({"chosen by": names, "best": 0.6})
    table = table.assign(among=["all", "all", "some trained", "all"])
    table[top_networks.SHARE] = [0.5, *shares, 0.9]
    verdict = top_networks._verdict(table, untrained=["all"])
    assert verdict.startswith(said)
    assert f"{shares[0]:.0%} of random choices), by parameters 0.60" in verdict
    assert f"{shares[1]:.0%}" not in verdict, "where something was trained"


@pytest.mark.parametrize(
    ("items", "said"), [((), ""), ((1,), "1"), ((1, 2), "1 and 2"), ((1, 2, 3), "1, 2 and 3")]
)
def test_a_sentence_lists(items: tuple[int, ...], said: str) -> None:
    assert listed(items) == said


def test_the_notebooks_cells_are_distinct_and_in_the_order_drawn() -> None:
    space = NASBench101()
    cells = nngp_nas_notebook.distinct(space, 60, 0)
    keys = [cell.key for cell in cells]
    assert len(set(keys)) == 60
    drawn = [cell.key for cell in space.sample(300, 0, "random_matrix")]
    assert keys == list(dict.fromkeys(drawn))[:60]
    assert keys[:10] == [cell.key for cell in nngp_nas_notebook.distinct(space, 10, 0)]


def test_the_notebooks_inception_like_cell_is_the_benchmarks() -> None:
    """Its parameters as the official release prints them for that example."""
    graph = NASBench101().graph(nngp_nas_notebook.INCEPTION, (32, 32, 3), 10)
    assert graph.parameters == 2_694_282


def test_a_suite_names_every_setting() -> None:
    paper = NNGP.presets["paper"]
    assert spelled(NNGP, paper, n_train=64, width=8) == NNGP(n_train=64, width=8)
    with pytest.raises(SettingError, match="leaves out momentum: name every setting"):
        spelled(NNGP, {name: value for name, value in paper.items() if name != "momentum"})
    with pytest.raises(SettingError, match="has no setting n_test"):
        spelled(NNGP, paper, n_test=3)


def test_no_suite_takes_a_default() -> None:
    """No class of settings is called by a suite but through ``spelled``."""
    kinds = {"NNGP", "NTK", "InfiniteWidth", "Training"}
    called = [
        f"{path.name}:{node.lineno}"
        for path in Path(depth.__file__).parents[1].rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in kinds
    ]
    assert not called


def test_the_committed_depths_are_judged_by_the_rule() -> None:
    table = pd.read_csv(Path(__file__).parents[2] / "results" / "fc_ntk" / "depth" / "depth.csv")
    assert depth.deepest_best(table, 5000) == "does not hold"
