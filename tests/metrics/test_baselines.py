"""τ given baselines: counted pair by pair; partial τ against its formula and a regression."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nasproxy.metrics import (
    MetricError,
    group_pairs,
    kendall_tau,
    partial_kendall,
    partial_spearman,
    tau_given,
)

ROWS = st.lists(
    st.tuples(*(st.integers(0, 3) for _ in range(2)), *(st.integers(0, 1) for _ in range(2))),
    min_size=2,
    max_size=20,
)


@given(ROWS)
def test_it_is_counted_over_the_pairs_of_equal_baselines(rows: list[tuple[int, ...]]) -> None:
    score, truth, *given = np.array(rows, float).T
    baselines = np.column_stack(given)
    pairs = [
        p for p in combinations(range(len(rows)), 2) if (np.ptp(baselines[[*p]], 0) == 0).all()
    ]
    signs = [(np.sign(score[i] - score[j]), np.sign(truth[i] - truth[j])) for i, j in pairs]
    x, y = np.array(signs).reshape(-1, 2).T
    untied = np.abs(x).sum() * np.abs(y).sum()
    found = tau_given(score, truth, baselines)
    assert found.pairs == len(pairs) == group_pairs(baselines)
    assert found.tau == pytest.approx(
        (x @ y) / math.sqrt(untied) if untied else math.nan, nan_ok=True
    )


def test_without_a_baseline_that_differs_it_is_tau() -> None:
    score, truth = np.random.default_rng(0).normal(size=(2, 300)).round(1)
    found = tau_given(score, truth, np.zeros(300))
    assert found.tau == pytest.approx(kendall_tau(score, truth), abs=1e-12)
    assert found.pairs == 300 * 299 // 2


def test_what_only_counts_says_nothing_given_them() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, 2000)
    truth = counts + rng.normal(size=2000)
    score = counts + rng.normal(size=2000)
    assert kendall_tau(score, truth) > 0.4
    assert abs(tau_given(score, truth, counts).tau) < 0.05
    assert math.isnan(tau_given(counts, truth, counts).tau)


def test_all_singletons_have_no_pairs() -> None:
    found = tau_given([1, 2, 3], [1, 2, 3], [[0, 1], [0, 2], [1, 1]])
    assert math.isnan(found.tau)
    assert found.pairs == 0


def test_partial_tau_by_kendalls_formula() -> None:
    s, t, g = np.random.default_rng(0).normal(size=(3, 100))
    s, t = s + g, t + g
    st_, sg, tg = kendall_tau(s, t), kendall_tau(s, g), kendall_tau(t, g)
    expected = (st_ - sg * tg) / math.sqrt((1 - sg**2) * (1 - tg**2))
    assert partial_kendall(s, t, g) == pytest.approx(expected)
    assert expected < st_ / 2


def test_partial_rho_is_that_of_regressions_on_ranks() -> None:
    rng = np.random.default_rng(1)
    given = rng.normal(size=(200, 2))
    score, truth = (given @ rng.normal(size=2) + rng.normal(size=200) for _ in range(2))
    ranks = np.column_stack([np.ones(200), *map(stats.rankdata, given.T)])
    left = [
        r - ranks @ np.linalg.lstsq(ranks, r, rcond=None)[0]
        for r in (stats.rankdata(score), stats.rankdata(truth))
    ]
    expected = stats.pearsonr(*left)[0]
    assert partial_spearman(score, truth, given) == pytest.approx(expected)
    # A column twice says no more than once.
    doubled = np.column_stack([given, given[:, 0]])
    assert partial_spearman(score, truth, doubled) == pytest.approx(expected)


def test_a_score_that_is_the_baseline_leaves_nothing() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 30))
    assert math.isnan(partial_kendall(x, y, x))
    assert math.isnan(partial_kendall(x, y, np.zeros(30)))


@pytest.mark.parametrize("given", [[1, 2], [[1, 2, 3]], np.zeros((3, 0)), [1, math.nan, 2]])
def test_bad_baselines_are_refused(given: list) -> None:
    for metric in (tau_given, partial_kendall):
        with pytest.raises(MetricError, match="given"):
            metric([1, 2, 3], [1, 2, 3], given)
