"""τ of many resamples at once equals τ of each, whatever ties and groups there are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasproxy import metrics
from nasproxy.metrics import kendall_tau, resamples, tau_within


@given(
    n=st.integers(2, 40),
    levels=st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 4)),
    seed=st.integers(0, 10**6),
)
def test_all_at_once_is_one_by_one(n: int, levels: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, group = (rng.integers(level, size=n).astype(float) for level in levels)
    draws = [np.arange(n), *(rng.integers(n, size=n) for _ in range(8))]
    for statistic, arrays in ((kendall_tau, [x, y]), (tau_within, [x, y, group])):
        found = resamples.values(statistic, arrays, draws)
        expected = [statistic(*(array[i] for array in arrays)) for i in draws]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)
    if levels[0] == 1:
        assert np.isnan(found).all()


def test_values_that_differ_by_little_or_by_much() -> None:
    """Only their order counts: no difference is taken that could vanish or overflow."""
    x = np.array([0.0, 5e-324, 1e-300, 1.0, 1e308, -1e308])
    y = np.arange(6.0)
    draws = [np.arange(6), np.array([0, 1, 1, 4, 5, 5])]
    found = resamples.values(kendall_tau, [x, y], draws)
    assert found.tolist() == [kendall_tau(x[i], y[i]) for i in draws]


def test_more_resamples_and_architectures_than_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50))
    whole = metrics.bootstrap(kendall_tau, x, y, n_resamples=50)
    monkeypatch.setattr(resamples, "CHUNK", 7)
    assert metrics.bootstrap(kendall_tau, x, y, n_resamples=50) == whole
    monkeypatch.setattr(resamples, "MOST", 49)
    assert metrics.bootstrap(kendall_tau, x, y, n_resamples=50) == whole


def test_no_draw() -> None:
    assert resamples.values(kendall_tau, [np.arange(3.0), np.arange(3.0)], []).size == 0
