"""τ of many resamples at once equals τ of each, whatever ties and groups there are."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasproxy import metrics
from nasproxy.metrics import kendall_tau, resamples, tau_within
from nasproxy.metrics.concordance import partners


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


@given(
    n=st.integers(1, 40),
    levels=st.tuples(st.integers(1, 6), st.integers(1, 40)),
    seed=st.integers(0, 10**6),
)
def test_partners_of_each_are_those_of_its_pairs(
    n: int, levels: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = (np.unique(rng.integers(k, size=n), return_inverse=True)[1] for k in levels)
    pairs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
    concordant, discordant = partners(x, y)
    assert concordant.tolist() == (pairs > 0).sum(1).tolist()
    assert discordant.tolist() == (pairs < 0).sum(1).tolist()


def test_groups_in_blocks_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small groups, of which several share a product and one has its own."""
    rng = np.random.default_rng(0)
    n = 300
    x, y = rng.integers(20, size=(2, n)).astype(float)
    group = np.minimum(rng.integers(40, size=n), 25).astype(float)
    draws = [np.arange(n), *(rng.integers(n, size=n) for _ in range(8))]
    expected = [tau_within(x[i], y[i], group[i]) for i in draws]
    monkeypatch.setattr(resamples, "MOST", 150)
    monkeypatch.setattr(resamples, "PACKED", 50)
    monkeypatch.setattr(resamples, "HELD", 2 * n)
    assert np.bincount(group.astype(int)).max() > 50
    found = resamples.values(tau_within, [x, y, group], draws)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("noise", [0.1, 1.0, 100.0, -1.0])
@pytest.mark.parametrize("statistic", [kendall_tau, tau_within])
def test_linear_part_has_almost_the_whole_spread(
    statistic: Callable[..., float], noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves out of a resample's τ is a few √n-ths of the deviation, and nothing of τ."""
    rng = np.random.default_rng(0)
    n = 1600
    x = rng.normal(size=n).round(1)
    arrays = [x, np.sign(noise) * x + noise * rng.normal(size=n)]
    if statistic is tau_within:
        arrays.append((np.arange(n) < 1000).astype(float))
    draws = [np.arange(n), *(rng.integers(n, size=n) for _ in range(400))]
    exact = resamples.values(statistic, arrays, draws)
    monkeypatch.setattr(resamples, "MOST", 300)
    monkeypatch.setattr(resamples, "LINEAR", 300)
    linear = resamples.values(statistic, arrays, draws)
    assert linear[0] == pytest.approx(exact[0], abs=1e-12)
    left_out = np.std(linear[1:] - exact[1:]) / np.std(exact[1:])
    assert 0 < left_out < (10 if noise == 0.1 else 5) / np.sqrt(n)
    assert np.std(linear[1:]) == pytest.approx(np.std(exact[1:]), rel=0.05)
    assert abs(np.mean(linear[1:] - exact[1:])) < 2 / np.sqrt(n) * np.std(exact[1:])


def test_no_draw() -> None:
    assert resamples.values(kendall_tau, [np.arange(3.0), np.arange(3.0)], []).size == 0
