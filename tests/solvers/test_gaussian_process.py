"""Gaussian processes against scikit-learn's, and samples against their own moments."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor as Peer
from sklearn.gaussian_process.kernels import RBF

from nasproxy.errors import DataError, SettingError
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import (
    ConjugateGradient,
    GaussianProcess,
    KernelRidge,
    Precomputed,
    deviations,
)
from nasproxy.tiles import Tiles
from tests.solvers.test_eigenpro import gauss, points
from tests.support.kernels import Gauss

RIDGE = 0.05


def problem() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    x = points(80)[0]
    y = np.sin(x[:, 0]) + np.random.default_rng(0).normal(scale=0.2, size=80)
    return x, y, points(25, seed=3)[0]


def peer(x: Any, y: Any) -> Any:
    as_it_is: Any = None  # its stub is wrong
    return Peer(RBF(2.0), alpha=RIDGE, optimizer=as_it_is).fit(x, y)


@pytest.mark.parametrize("kernel", [gauss, RBF(2.0), Gauss(width=2.0)])
def test_it_is_scikit_learns(kernel: Any) -> None:
    x, y, fresh = problem()
    model, other = GaussianProcess(kernel, ridge=RIDGE).fit(x, y), peer(x, y)
    mean, deviation = other.predict(fresh, return_std=True)
    _, covariance = other.predict(fresh, return_cov=True)
    np.testing.assert_allclose(model.predict(fresh), mean, atol=1e-8)
    np.testing.assert_allclose(model.deviation(fresh), deviation, atol=1e-8)
    np.testing.assert_allclose(model.covariance(fresh), covariance, atol=1e-8)
    assert model.log_marginal_likelihood_ == pytest.approx(other.log_marginal_likelihood_value_)
    assert model.noise_ == pytest.approx(RIDGE)


def test_several_targets_are_as_many_processes() -> None:
    x, y, fresh = problem()
    both = np.stack([y, y**2], 1)
    model = GaussianProcess(gauss, ridge=RIDGE).fit(x, both)
    each = [peer(x, target) for target in both.T]
    expected = sum(one.log_marginal_likelihood_value_ for one in each)
    assert model.log_marginal_likelihood_ == pytest.approx(expected)
    np.testing.assert_allclose(model.deviation(fresh), each[0].predict(fresh, return_std=True)[1])


def test_the_amplitude_that_is_found_is_the_likeliest() -> None:
    x, y, fresh = problem()
    best = GaussianProcess(gauss, ridge=RIDGE, amplitude=None).fit(x, 7 * y)
    for factor in (0.9, 1.1):
        other = GaussianProcess(gauss, ridge=RIDGE, amplitude=factor * best.amplitude_).fit(
            x, 7 * y
        )
        assert other.log_marginal_likelihood_ < best.log_marginal_likelihood_
    small = GaussianProcess(gauss, ridge=RIDGE, amplitude=None).fit(x, y)
    np.testing.assert_allclose(best.deviation(fresh), 7 * small.deviation(fresh))
    np.testing.assert_allclose(best.predict(fresh), 7 * small.predict(fresh))


def test_samples_have_the_posteriors_moments() -> None:
    x, y, fresh = problem()
    model = GaussianProcess(gauss, ridge=RIDGE).fit(x, y)
    drawn = model.sample(fresh, 20_000, seed=1)
    assert drawn.shape == (20_000, 25)
    error = model.deviation(fresh) / np.sqrt(20_000)
    assert (np.abs(drawn.mean(0) - model.predict(fresh)) < 5 * error + 1e-12).all()
    expected = model.covariance(fresh)
    scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()) / 10_000)
    assert (np.abs(np.cov(drawn.T) - expected) < 6 * scale).all()
    both = GaussianProcess(gauss, ridge=RIDGE).fit(x, np.stack([y, -y], 1))
    assert both.sample(fresh, 3).shape == (3, 25, 2)
    np.testing.assert_array_equal(both.sample(fresh, 3), both.sample(fresh, 3))


def test_points_that_are_known_have_no_deviation() -> None:
    x, y, _ = problem()
    model = GaussianProcess(gauss, ridge=1e-9).fit(x, y)
    assert model.deviation(x).max() < 1e-3
    np.testing.assert_allclose(model.sample(x)[0], y, atol=1e-2)


def test_an_nngp_in_float32() -> None:
    x, y, fresh = problem()
    found, exact = (
        GaussianProcess(FullyConnected(kind="nngp", dtype=dtype), ridge=1e-2).fit(x, y)
        for dtype in ("float32", "float64")
    )
    np.testing.assert_allclose(found.deviation(fresh), exact.deviation(fresh), rtol=1e-3)
    ridge = KernelRidge(FullyConnected(kind="nngp"), ridge=1e-2).fit(x, y)
    np.testing.assert_allclose(found.predict(fresh), ridge.predict(fresh), atol=1e-4)


def test_deviations_by_iteration_are_the_same(tmp_path: Path) -> None:
    x, y, fresh = problem()
    kernel = Gauss(width=2.0)
    expected = GaussianProcess(kernel, ridge=RIDGE).fit(x, y).deviation(fresh)
    plain = ConjugateGradient(kernel, rank=20, ridge=RIDGE, tolerance=1e-9).fit(x, y)
    np.testing.assert_allclose(deviations(plain, fresh), expected, atol=1e-7)
    tiles = Tiles.create(tmp_path, kernel, x, fresh, side=64).compute()
    stored = ConjugateGradient(tiles, rank=20, ridge=RIDGE, tolerance=1e-9).fit(tiles.train, y)
    np.testing.assert_allclose(deviations(stored, tiles.valid), expected, atol=1e-7)
    process = GaussianProcess(tiles, ridge=RIDGE).fit(tiles.train, y)
    np.testing.assert_allclose(process.deviation(tiles.valid), expected, atol=1e-9)
    with pytest.raises(DataError, match="joint=True"):
        process.sample(tiles.valid)


def test_what_is_refused() -> None:
    x, y, fresh = problem()
    model = GaussianProcess("precomputed", ridge=RIDGE).fit(gauss(x), y)
    with pytest.raises(SettingError, match="precomputed"):
        model.deviation(gauss(fresh, x))
    whole = Precomputed(gauss(np.concatenate([x, fresh])))
    same = GaussianProcess(whole, ridge=RIDGE).fit(range(80), y)
    expected = GaussianProcess(gauss, ridge=RIDGE).fit(x, y)
    np.testing.assert_allclose(same.deviation(range(80, 105)), expected.deviation(fresh))
    for given, said in (({"count": 0}, "count=0"), ({"seed": -1}, "seed=-1")):
        with pytest.raises(SettingError, match=said):
            expected.sample(fresh, **given)
    with pytest.raises(ValueError, match="features"):
        expected.deviation(fresh[:, :2])
