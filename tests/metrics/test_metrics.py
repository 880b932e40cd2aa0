"""The metrics against SciPy, scikit-learn, and enumeration of every way to break a tie."""

import math
import time
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from nasproxy.errors import NasproxyError, SettingError
from nasproxy.metrics import (
    MetricError,
    bootstrap,
    discovered_performance,
    disjoint_parts,
    kendall_tau,
    pearson,
    pqetp,
    pqetp_curve,
    spearman,
)

CORRELATIONS = [kendall_tau, pearson, spearman]
# Scores of few values, so that ties are the rule; truth from a small grid too.
PAIRS = st.integers(2, 25).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-3, 3), min_size=n, max_size=n),
        st.lists(st.integers(-4, 4), min_size=n, max_size=n),
    )
)


def sample(n: int, n_values: int | None = None, seed: int = 0) -> tuple[NDArray, NDArray]:
    """A truth and a score that follows it; the score rounded to about `n_values` values."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    score = truth + rng.normal(size=n)
    return (score if n_values is None else np.round(score * n_values / 6)), truth


def discovered_by_enumeration(score: ArrayLike, truth: ArrayLike, top: int) -> float:
    """Mean best truth over every set that some breaking of ties makes the top k."""
    score, truth = np.asarray(score, float), np.asarray(truth, float)
    best = [
        truth[list(chosen)].max()
        for chosen in combinations(range(score.size), top)
        if score[list(chosen)].min() >= np.delete(score, list(chosen)).max(initial=-np.inf)
    ]
    return float(np.mean(best))


@pytest.mark.parametrize("n_values", [None, 5])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (kendall_tau, lambda x, y: stats.kendalltau(x, y, variant="b")[0]),
        (pearson, lambda x, y: stats.pearsonr(x, y)[0]),
        (spearman, lambda x, y: stats.spearmanr(x, y)[0]),
    ],
)
def test_correlations_match_scipy(metric, reference, n_values) -> None:
    score, truth = sample(200, n_values)
    value = metric(score, truth)
    assert type(value) is float
    assert value == pytest.approx(reference(score, truth), abs=1e-12)
    assert 0.2 < value < 0.8


def test_kendall_tau_b_by_hand() -> None:
    # Five concordant pairs and none discordant of six; one pair tied in the score.
    assert kendall_tau([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(5 * 6))


@given(PAIRS)
def test_correlations_are_symmetric_bounded_and_antisymmetric(pair) -> None:
    score, truth = np.array(pair[0]), np.array(pair[1])
    for metric in CORRELATIONS:
        value = metric(score, truth)
        if np.ptp(score) == 0 or np.ptp(truth) == 0:
            assert math.isnan(value)
            continue
        assert -1 <= value <= 1
        assert metric(truth, score) == pytest.approx(value, abs=1e-12)
        assert metric(-score, truth) == pytest.approx(-value, abs=1e-12)
        assert metric(truth, truth) == pytest.approx(1, abs=1e-12)
        assert metric(-truth, truth) == pytest.approx(-1, abs=1e-12)


@given(PAIRS)
def test_rank_metrics_ignore_monotone_transforms(pair) -> None:
    score, truth = np.array(pair[0]), np.array(pair[1])
    for metric in (kendall_tau, spearman):
        expected = metric(score, truth)
        assert metric(np.exp(score), truth**3) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    expected = pqetp(score, truth, 0)
    assert pqetp(np.exp(score), truth, 0) == pytest.approx(expected, nan_ok=True)
    top = min(3, score.size)
    assert discovered_performance(np.exp(score), truth, top=top).mean == pytest.approx(
        discovered_performance(score, truth, top=top).mean, abs=1e-12
    )


@given(PAIRS, st.floats(0.1, 10), st.floats(-10, 10))
def test_pearson_ignores_affine_transforms(pair, slope, shift) -> None:
    score, truth = np.array(pair[0]), np.array(pair[1])
    expected = pearson(score, truth)
    assert pearson(slope * score + shift, truth) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200, 1e308])
def test_pearson_at_extreme_scales(scale) -> None:
    truth = np.array([0.1, 0.9, 0.3, 0.6])
    score = np.array([0.1, 1, 0.4, 0.7])
    assert pearson(score * scale, truth) == pytest.approx(pearson(score, truth), rel=1e-6)


def test_pearson_of_nearly_constant_score() -> None:
    score = 0.9 + np.array([0, 1, 2, 3]) * np.spacing(0.9)
    assert pearson(score, [0, 1, 2, 3]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize(
    ("score", "truth"), [([2, 2, 2], [1, 2, 3]), ([1, 2, 3], [0.1, 0.1, 0.1]), ([1, 1], [2, 2])]
)
def test_constant_input_has_no_correlation(metric, score, truth) -> None:
    assert math.isnan(metric(score, truth))


@pytest.mark.parametrize("n_values", [None, 4])
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.5])
def test_pqetp_matches_sklearn(threshold, n_values) -> None:
    score, truth = sample(300, n_values)
    expected = roc_auc_score(truth > threshold, score)
    assert pqetp(score, truth, threshold) == pytest.approx(expected, abs=1e-12)
    assert pqetp(-score, truth, threshold) == pytest.approx(1 - expected, abs=1e-12)


def test_pqetp_counts_ties_half_and_excludes_the_threshold_itself() -> None:
    # Better than 2: the last two, scores 1 and 3; not better: scores 1, 1, 2.
    assert pqetp([1, 1, 2, 1, 3], [0, 1, 2, 3, 4], 2) == pytest.approx((0.5 + 0.5 + 0 + 3) / 6)
    assert pqetp([5, 5, 5, 5], [1, 2, 3, 4], 2) == 0.5


@pytest.mark.parametrize("percentile", [0, 37.5, 90])
def test_pqetp_percentile_is_a_threshold_from_truth(percentile) -> None:
    score, truth = sample(100)
    expected = pqetp(score, truth, float(np.percentile(truth, percentile)))
    assert pqetp(score, truth, percentile=percentile) == expected
    assert 0.5 < expected < 1


@pytest.mark.parametrize("threshold", [0.5, 4, 9, math.inf, -math.inf])
def test_pqetp_of_one_class_is_nan(threshold) -> None:
    assert math.isnan(pqetp([1, 2, 3, 4], [1, 2, 3, 4], threshold))


def test_pqetp_of_one_class_by_percentile_is_nan() -> None:
    assert math.isnan(pqetp([1, 2, 3, 4], [1, 2, 3, 4], percentile=100))


def test_pqetp_pairs_do_not_overflow() -> None:
    n = 200_000
    assert pqetp(np.arange(n), np.arange(n), n // 2) == 1.0


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"threshold": 0.5, "percentile": 50},
        {"threshold": math.nan},
        {"percentile": -1},
        {"percentile": 100.5},
        {"percentile": math.nan},
    ],
)
def test_pqetp_wants_exactly_one_valid_threshold(arguments) -> None:
    with pytest.raises(SettingError, match=r"threshold|percentile"):
        pqetp([1, 2], [0, 1], **arguments)


@settings(deadline=None)
@given(
    st.integers(2, 9).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, 2), min_size=n, max_size=n),
            st.lists(st.integers(-5, 5), min_size=n, max_size=n),
            st.integers(1, n),
        )
    )
)
def test_discovered_performance_is_the_mean_over_tie_breaks(case) -> None:
    score, truth, top = case
    expected = discovered_by_enumeration(score, truth, top)
    result = discovered_performance(score, truth, top=top)
    assert result.mean == pytest.approx(expected, abs=1e-12)
    assert result.values.tolist() == [result.mean]
    assert math.isnan(result.standard_error)


def test_discovered_performance_without_ties_takes_the_top() -> None:
    score, truth = [5, 4, 3, 2, 1], [0.2, 0.6, 0.1, 0.9, 0.3]
    best = [discovered_performance(score, truth, top=k).mean for k in (1, 2, 3, 4, 5)]
    assert best == [0.2, 0.6, 0.6, 0.9, 0.9]


def test_discovered_performance_of_constant_score_ignores_the_order() -> None:
    truth = np.arange(100.0)
    expected = 10 * 101 / 11 - 1  # E[max of 10 of 1..100], shifted by one
    for order in (truth, truth[::-1]):
        assert discovered_performance(np.zeros(100), order).mean == pytest.approx(expected)


def test_discovered_performance_defaults_to_the_top_ten() -> None:
    truth = np.arange(30.0)
    assert discovered_performance(-truth, truth).mean == 9


def test_discovered_performance_over_subsets() -> None:
    score, truth = sample(400)
    result = discovered_performance(score, truth, top=5, subset=50, n_subsets=8, seed=3)
    assert result.values.shape == (8,)
    assert len(set(result.values)) > 1
    assert result.mean == pytest.approx(result.values.mean())
    assert result.standard_error == pytest.approx(stats.sem(result.values))
    again = discovered_performance(score, truth, top=5, subset=50, n_subsets=8, seed=3)
    other = discovered_performance(score, truth, top=5, subset=50, n_subsets=8, seed=4)
    np.testing.assert_array_equal(result.values, again.values)
    assert not np.array_equal(result.values, other.values)


def test_discovered_performance_subsets_are_disjoint() -> None:
    # All of each part is taken, so that the best of the parts are the best of blocks of a shuffle.
    truth = np.arange(1.0, 21.0)
    result = discovered_performance(truth, truth, top=5, subset=5, n_subsets=100)
    assert len(set(result.values)) == 4, "as many as fit, and none holds another's best"
    assert result.values.max() == 20
    parts = disjoint_parts(20, 5, 4)
    assert sorted(np.concatenate(parts)) == list(range(20))
    assert result.values.tolist() == [truth[part].max() for part in parts]
    with pytest.raises(SettingError, match=r"count=5 is out of range; .* at most 4"):
        disjoint_parts(20, 5, 5)


def test_discovered_performance_subset_mean_is_unbiased() -> None:
    # With k = the subset, the best of 5 of 20 at random: 5 · 21 / 6 on average.
    truth = np.arange(1.0, 21.0)
    means = [
        discovered_performance(truth, truth, top=5, subset=5, seed=seed).mean for seed in range(500)
    ]
    assert np.mean(means) == pytest.approx(5 * 21 / 6, abs=4 * stats.sem(means))


def test_discovered_performance_error_is_that_of_another_draw() -> None:
    # Halves that overlap said a third of this: the deviation over many draws of architectures.
    found = [discovered_performance(*sample(200, seed=s), top=1, subset=20) for s in range(200)]
    deviation = np.std([one.mean for one in found], ddof=1)
    stated = np.sqrt(np.mean([one.standard_error**2 for one in found]))
    assert stated == pytest.approx(deviation, rel=0.2)


def test_discovered_performance_of_one_subset_has_no_error() -> None:
    score, truth = sample(40)
    result = discovered_performance(score, truth, subset=20, n_subsets=1)
    assert result.values.shape == (1,)
    assert math.isnan(result.standard_error)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("top", {"top": 0}),
        ("top", {"top": 21}),
        ("top", {"top": 2.5}),
        ("top", {"top": 10, "subset": 9}),
        ("subset", {"subset": 1, "top": 1}),
        ("subset", {"subset": 21}),
        ("n_subsets", {"subset": 15, "n_subsets": 0}),
        ("seed", {"subset": 15, "seed": -1}),
    ],
)
def test_discovered_performance_names_a_bad_setting(name, arguments) -> None:
    with pytest.raises(SettingError, match=rf"^{name}={arguments[name]} is .*; pass an integer"):
        discovered_performance(np.arange(20), np.arange(20), **arguments)


def test_bootstrap_covers_the_normal_interval() -> None:
    x = np.random.default_rng(0).normal(3, 2, size=400)
    low, high = bootstrap(np.mean, x, n_resamples=4000)
    half_width = 1.96 * x.std() / 20
    assert low == pytest.approx(x.mean() - half_width, abs=0.03)
    assert high == pytest.approx(x.mean() + half_width, abs=0.03)


def test_bootstrap_confidence_sets_the_quantiles() -> None:
    x = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap(np.mean, x, confidence=0.5, n_resamples=4000)
    assert high - low == pytest.approx(2 * 0.6745 * x.std() / 20, rel=0.1)


def test_bootstrap_resamples_in_pairs() -> None:
    truth = np.arange(50.0)
    assert bootstrap(pearson, truth, 2 * truth) == pytest.approx((1, 1))
    assert bootstrap(lambda x, y: float(np.abs(x - y).max()), truth, truth) == (0, 0)


def test_bootstrap_draws_with_replacement() -> None:
    truth = np.arange(50.0)
    low, high = bootstrap(lambda x: float(np.unique(x).size), truth)
    # 50 · (1 - (1 - 1/50)^50) = 31.8 distinct of 50 on average.
    assert low < 31.8 < high < 40


def test_bootstrap_depends_on_its_seed_alone() -> None:
    score, truth = sample(60)
    first = bootstrap(kendall_tau, score, truth, n_resamples=100, seed=5)
    assert first == bootstrap(kendall_tau, score, truth, n_resamples=100, seed=5)
    assert first != bootstrap(kendall_tau, score, truth, n_resamples=100, seed=6)
    assert first.low < kendall_tau(score, truth) < first.high


def test_bootstrap_leaves_undefined_resamples_out() -> None:
    # One architecture in ten is above the threshold: (9/10)^10 = 35 % of resamples lack it.
    score, truth = np.arange(10.0), np.arange(10.0)
    resampled = []

    def one_class_is_nan(s: NDArray, t: NDArray) -> float:
        resampled.append(pqetp(s, t, 8.5))
        return resampled[-1]

    interval = bootstrap(one_class_is_nan, score, truth)
    assert 0.3 < np.isnan(resampled).mean() < 0.4
    assert interval == (1, 1)


def test_bootstrap_is_nan_where_most_resamples_are() -> None:
    values = iter([math.nan] * 51 + [1.0] * 49)
    assert np.isnan(bootstrap(lambda _: next(values), [0, 1], n_resamples=100)).all()
    values = iter([math.nan] * 50 + [1.0] * 50)
    assert bootstrap(lambda _: next(values), [0, 1], n_resamples=100) == (1, 1)
    assert np.isnan(bootstrap(kendall_tau, [1, 1, 1], [1, 2, 3])).all()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("n_resamples", {"n_resamples": 0}),
        ("n_resamples", {"n_resamples": 10.0}),
        ("seed", {"seed": -1}),
        ("confidence", {"confidence": 0}),
        ("confidence", {"confidence": 1}),
        ("confidence", {"confidence": 95}),
        ("confidence", {"confidence": math.nan}),
    ],
)
def test_bootstrap_names_a_bad_setting(name, arguments) -> None:
    with pytest.raises(SettingError, match=rf"^{name}={arguments[name]} is .*; pass "):
        bootstrap(np.mean, [1, 2, 3], **arguments)


def test_bootstrap_without_arrays() -> None:
    with pytest.raises(MetricError, match="no array"):
        bootstrap(np.mean)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([1, math.nan, 3], r"score\[1\] is nan; 1 of 3"),
        ([1, math.inf, math.nan], r"score\[1\] is inf; 2 of 3"),
        ([1, 2, -math.inf], r"score\[2\] is -inf; 1 of 3"),
        ([1, 2, 3, 4], "lengths differ: score has 4, truth has 3"),
        ([[1, 2, 3]], r"score has shape \(1, 3\)"),
        (5.0, r"score has shape \(\)"),
        ([1, [2, 3], 4], "score is no array"),
        (["1", "2", "3"], "score holds .* such as .*pass real numbers"),
        ([b"1", b"2", b"3"], "score holds"),
        (np.array(["1", "2", "3"], dtype=object), "score holds object"),
        ([1, None, 3], "score holds object"),
        ([1, 2, 3j], "score holds complex128"),
        (np.array([1, 2, 3], dtype="timedelta64[s]"), "score holds timedelta64"),
        (pd.Series(["a", "b", "c"]), "score holds"),
    ],
)
@pytest.mark.parametrize(
    "metric", [*CORRELATIONS, lambda s, t: pqetp(s, t, 2), discovered_performance]
)
def test_metrics_refuse_bad_arrays(metric, bad, message) -> None:
    with pytest.raises(MetricError, match=message):
        metric(bad, [1, 2, 3])


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_metrics_check_truth_too(metric) -> None:
    with pytest.raises(MetricError, match=r"truth\[0\] is nan"):
        metric([1, 2], [math.nan, 1])


@pytest.mark.parametrize("points", [[], [1]])
@pytest.mark.parametrize("metric", CORRELATIONS)
def test_metrics_need_two_points(metric, points) -> None:
    with pytest.raises(MetricError, match=f"score has {len(points)} entries; .* at least 2"):
        metric(points, points)


def test_bootstrap_refuses_bad_arrays() -> None:
    with pytest.raises(MetricError, match=r"array 1\[0\] is nan"):
        bootstrap(pearson, [1, 2], [math.nan, 2])
    with pytest.raises(MetricError, match="array 0 has 3, array 1 has 2"):
        bootstrap(pearson, [1, 2, 3], [1, 2])


def test_metric_error_is_a_users_value_error() -> None:
    assert issubclass(MetricError, NasproxyError)
    assert issubclass(MetricError, ValueError)


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        pd.Series,
        lambda x: np.asarray(x, np.float32),
        lambda x: np.asarray(x, np.int8),
        lambda x: np.asarray(x, object),
        lambda x: pd.Series(x, index=["d", "c", "b", "a"]),
    ],
)
def test_metrics_accept_any_array_of_numbers(convert) -> None:
    score = [3, 1, 2, 2]
    assert kendall_tau(convert(score), [4, 1, 2, 3]) == kendall_tau(score, [4, 1, 2, 3])


def test_metrics_leave_their_input_alone() -> None:
    score, truth = sample(20)
    before = score.copy(), truth.copy()
    for metric in (*CORRELATIONS, discovered_performance):
        metric(score, truth)
    np.testing.assert_array_equal((score, truth), before)


def test_a_thousand_resamples_take_seconds() -> None:
    score, truth = sample(3000, 200)
    start = time.perf_counter()
    bootstrap(kendall_tau, score, truth)
    assert time.perf_counter() - start < 20


def test_all_of_nasbench101_takes_seconds() -> None:
    score, truth = sample(423_624, 200)
    start = time.perf_counter()
    kendall_tau(score, truth)
    pqetp(score, truth, percentile=90)
    discovered_performance(score, truth, subset=10_000)
    assert time.perf_counter() - start < 10


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30),
    st.lists(st.floats(-1, 6), min_size=1, max_size=8),
)
def test_the_pqetp_curve_is_pqetp_at_every_threshold(
    pairs: list[tuple[int, int]], thresholds: list[float]
) -> None:
    score, truth = np.array(pairs, float).T
    expected = [pqetp(score, truth, threshold) for threshold in thresholds]
    np.testing.assert_allclose(pqetp_curve(score, truth, thresholds), expected)
