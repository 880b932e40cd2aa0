"""Intervals over architectures and seeds cover what another draw of both would give."""

import math

import numpy as np
import pytest
from scipy import stats

from nasproxy import metrics
from nasproxy.metrics import MetricError, bootstrap, kendall_tau, over_seeds, paired_gain
from nasproxy.metrics import share_of_ceiling as share


def drawn(seeds: int, n: int, rng: np.random.Generator, spread: float) -> tuple:
    """Scores whose quality differs by seed, and a truth."""
    truth = rng.normal(size=n)
    quality = 0.5 + spread * rng.normal(size=(seeds, 1))
    return quality * truth + rng.normal(size=(seeds, n)), truth


def test_of_one_seed_it_is_the_bootstrap() -> None:
    (score,), truth = drawn(1, 60, np.random.default_rng(0), 0)
    for given in (score, score[None]):
        found = over_seeds(kendall_tau, given, truth, n_resamples=50, seed=3)
        assert found.value == kendall_tau(score, truth)
        assert found[1:3] == bootstrap(kendall_tau, score, truth, n_resamples=50, seed=3)
        assert math.isnan(found.seed_deviation)


def test_the_value_is_the_mean_over_seeds() -> None:
    scores, truth = drawn(3, 60, np.random.default_rng(0), 0.3)
    taus = [kendall_tau(score, truth) for score in scores]
    found = over_seeds(kendall_tau, scores, truth, n_resamples=50)
    assert found.value == pytest.approx(np.mean(taus))
    assert found.seed_deviation == pytest.approx(np.std(taus, ddof=1))
    assert found.low < found.value < found.high
    assert over_seeds(kendall_tau, scores[::-1], truth, n_resamples=50).value == found.value


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_interval_is_as_wide_as_draws_of_both_differ(seeds: int) -> None:
    """Its variance is, on average, that over other architectures and other seeds."""
    rng = np.random.default_rng(0)
    half = float(stats.norm.ppf(0.975))
    values, variances, narrow = [], [], []
    for _ in range(60):
        scores, truth = drawn(seeds, 100, rng, 0.4)
        found = over_seeds(metrics.pearson, scores, truth, n_resamples=200)
        values.append(found.value)
        variances.append(((found.high - found.low) / 2 / half) ** 2)
        low, high = bootstrap(metrics.pearson, scores[0], truth, n_resamples=200)
        narrow.append(((high - low) / 2 / half) ** 2)
    assert np.mean(variances) == pytest.approx(np.var(values, ddof=1), rel=0.5)
    assert np.mean(narrow) < 0.6 * np.var(values, ddof=1) * seeds


def test_a_gain_is_the_difference_by_the_same_resamples() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    score = truth + rng.normal(size=200)
    close = score + 0.1 * rng.normal(size=200)
    found = paired_gain(score, close, truth, n_resamples=200)
    assert found.value == kendall_tau(score, truth) - kendall_tau(close, truth)
    alone = bootstrap(kendall_tau, score, truth, n_resamples=200)
    assert found.high - found.low < 0.3 * (alone.high - alone.low), "what is shared cancels"
    expected = bootstrap(
        lambda s, o, t: kendall_tau(s, t) - kendall_tau(o, t), score, close, truth, n_resamples=200
    )
    assert found[1:3] == pytest.approx(expected)
    assert paired_gain(score, score, truth, n_resamples=20)[:3] == (0, 0, 0)
    assert paired_gain(close, score, truth, n_resamples=9).value == -found.value


def test_seeds_of_both_are_drawn_alike_where_they_are_as_many() -> None:
    scores, truth = drawn(3, 80, np.random.default_rng(0), 0.5)
    assert paired_gain(scores, scores, truth, n_resamples=20) == (0, 0, 0, 0)
    against_one = paired_gain(scores, scores[0], truth, n_resamples=100)
    assert math.isnan(against_one.seed_deviation)
    assert against_one.low < against_one.value < against_one.high


def test_a_share_of_a_ceiling() -> None:
    scores, truth = drawn(1, 80, np.random.default_rng(0), 0)
    ceiling = truth + 0.3 * np.random.default_rng(1).normal(size=80)
    found = share(scores, ceiling, truth, n_resamples=100)
    assert found.value == kendall_tau(scores[0], truth) / kendall_tau(ceiling, truth)
    assert found.low < found.value < found.high < 1
    assert math.isnan(share(scores, -ceiling, truth, n_resamples=20).value)


def test_seeds_of_unequal_architectures_are_refused() -> None:
    with pytest.raises(MetricError, match="score"):
        over_seeds(kendall_tau, [[1, 2, 3], [1, 2]], [1, 2, 3])
    with pytest.raises(MetricError, match="lengths differ: score has 3, other has 2"):
        paired_gain([[1, 2, 3]], [1, 2], [1, 2, 3])
    with pytest.raises(MetricError, match=r"score\[1\]\[2\] is nan"):
        over_seeds(kendall_tau, [[1, 2, 3], [1, 2, math.nan]], [1, 2, 3])
