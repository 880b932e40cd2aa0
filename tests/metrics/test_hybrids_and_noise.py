"""Hybrids are judged on labels they did not see; noise is taken out as a simulation put it in."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from nasproxy.errors import SettingError
from nasproxy.metrics import (
    MetricError,
    cross_fitted,
    kendall_tau,
    noise_corrected,
    pearson,
    rank_mean,
)

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(200, 3)) * [1, 10, 100] + [0, 5, -3]
TARGET = FEATURES @ [1, 0.1, 0.005] + 0.5 * RNG.normal(size=200)


def test_each_part_is_scored_by_a_regression_on_the_others() -> None:
    found = cross_fitted(FEATURES, TARGET, folds=4, seed=7)
    fold = np.random.default_rng(7).permutation(200) % 4
    for k in range(4):
        model = LinearRegression().fit(FEATURES[fold != k], TARGET[fold != k])
        expected = model.predict(FEATURES[fold == k]) - model.predict(FEATURES.mean(0)[None])
        np.testing.assert_allclose(found[fold == k], expected, atol=1e-10)


def test_no_label_has_a_say_in_its_own_part() -> None:
    found = cross_fitted(FEATURES, TARGET, folds=5)
    fold = np.random.default_rng(0).permutation(200) % 5
    changed = np.where(fold == 2, 100 * RNG.normal(size=200), TARGET)
    again = cross_fitted(FEATURES, changed, folds=5)
    np.testing.assert_array_equal(again[fold == 2], found[fold == 2])
    assert not np.allclose(again[fold != 2], found[fold != 2])


def test_useless_features_rank_at_random_even_where_the_target_is_the_truth() -> None:
    taus = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=60)
        taus.append(kendall_tau(cross_fitted(rng.normal(size=(60, 2)), truth, folds=10), truth))
    assert abs(np.mean(taus)) < 0.05, "with an intercept, by -.08"


def test_units_and_constant_or_repeated_columns_change_nothing() -> None:
    found = cross_fitted(FEATURES, TARGET)
    scaled = np.column_stack([FEATURES * [1e6, 1e-6, 3], np.full(200, 4.0)])
    np.testing.assert_allclose(cross_fitted(scaled, TARGET), found, atol=1e-9)
    doubled = np.column_stack([FEATURES, FEATURES[:, 1]])
    np.testing.assert_allclose(cross_fitted(doubled, TARGET), found, atol=1e-9)


def test_the_rank_mean_by_hand() -> None:
    features = np.array([[0.1, 5], [0.3, 5], [0.2, 7]])
    assert rank_mean(features).tolist() == [1.25, 2.25, 2.5]


def test_what_is_no_fit_is_refused() -> None:
    with pytest.raises(MetricError, match="features has shape"):
        cross_fitted([1, 2, 3], [1, 2, 3])
    with pytest.raises(MetricError, match=r"target has shape \(2,\)"):
        cross_fitted(FEATURES, [1, 2])
    with pytest.raises(SettingError, match="folds=1"):
        cross_fitted(FEATURES, TARGET, folds=1)
    with pytest.raises(SettingError, match="leaves 2 of 4 architectures for a fit of 3"):
        cross_fitted(FEATURES[:4], TARGET[:4], folds=2)


@pytest.mark.parametrize("statistic", ["pearson", "spearman", "kendall"])
def test_the_noise_of_trainings_is_taken_out(statistic: str) -> None:
    """Of a bivariate normal with correlation .5 the three have closed forms."""
    rng = np.random.default_rng(1)
    n, r = 40_000, 0.5
    expected_truth = rng.normal(size=n)
    score = r * expected_truth + math.sqrt(1 - r**2) * rng.normal(size=n)
    trainings = expected_truth + 0.8 * rng.normal(size=(3, n))
    closed = {
        "pearson": r,
        "spearman": 6 / math.pi * math.asin(r / 2),
        "kendall": 2 / math.pi * math.asin(r),
    }[statistic]
    found = noise_corrected(score, trainings, statistic=statistic)
    assert found.corrected == pytest.approx(closed, abs=0.015)
    assert found.observed < closed - 0.03
    if statistic == "pearson":
        assert found.reliability == pytest.approx(1 / (1 + 0.8**2 / 3), abs=0.01)
        assert found.observed == pytest.approx(pearson(score, trainings.mean(0)))


def test_trainings_that_agree_need_no_correction_and_those_that_do_not_allow_none() -> None:
    score, truth = np.random.default_rng(0).normal(size=(2, 50))
    same = noise_corrected(score, [truth, truth])
    assert same.corrected == pytest.approx(same.observed)
    assert same.reliability == pytest.approx(1)
    opposed = noise_corrected(score, [truth, -truth + 1e-3 * score])
    assert math.isnan(opposed.corrected)
    with pytest.raises(MetricError, match="one training"):
        noise_corrected(score, truth)
    with pytest.raises(SettingError, match="give pearson, spearman, kendall"):
        noise_corrected(score, [truth, truth], statistic="r")
    assert stats.pearsonr(score, truth)[0] == pytest.approx(same.observed)
