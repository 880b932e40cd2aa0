"""Sweeps by reduction to a band against solves of each system, at sizes around its tiles."""

import numpy as np
import pytest
from numpy.typing import NDArray

from nasproxy.errors import DataError, SettingError
from nasproxy.solvers import band, ridge
from nasproxy.solvers.band import BandSweep
from nasproxy.solvers.ridge import KernelSweep, sweep
from tests.solvers.test_eigenpro import gauss

EPSILONS = np.logspace(-7, 2, 5)


def kernel(n: int, m: int = 0) -> NDArray[np.float64]:
    phi = np.random.default_rng(0).standard_normal((n + m, n + m))
    phi *= np.arange(1, n + m + 1) ** -0.75
    return phi @ phi.T


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels and tiles so small that a matrix of a hundred rows has many."""
    monkeypatch.setattr(band, "WIDTH", 8)
    monkeypatch.setattr(band, "STRIP", 20)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16, 17, 24, 59, 60, 61, 100, 163])
def test_the_band_is_similar_to_the_kernel(n: int) -> None:
    """The same eigenvalues, whichever way panels and tiles end."""
    matrix = kernel(n)
    found, turns = band.reduce(matrix.copy())
    assert len(turns) == max(0, -(-(n - 8) // 8))
    whole = np.diag(found[0])
    for offset in range(1, len(found)):
        below = found[offset, : n - offset]
        whole += np.diag(below, -offset) + np.diag(below, offset)
    expected = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(np.linalg.eigvalsh(whole), expected, atol=1e-12 * expected[-1])


@pytest.mark.parametrize("n", [3, 128, 129, 700])
def test_every_ridge_is_a_solve_by_itself(n: int) -> None:
    matrix, y = kernel(n), np.random.default_rng(1).normal(size=(n, 3))
    cross = np.random.default_rng(2).normal(size=(5, n)) @ matrix / n
    model = BandSweep(matrix, y)
    scale = np.trace(matrix) / n
    alpha = model.solve(EPSILONS)
    for epsilon, found in zip(EPSILONS, alpha, strict=True):
        system = matrix + epsilon * scale * np.eye(n)
        np.testing.assert_allclose(system @ found, y, atol=1e-7)
    expected = KernelSweep(matrix, y).predict(cross, EPSILONS)
    np.testing.assert_allclose(model.predict(cross, EPSILONS), expected, atol=1e-6)


def test_both_sweeps_of_features_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "BANDED", 50)
    rng = np.random.default_rng(0)
    for d in (20, 90):
        train, valid, y = (
            rng.normal(size=(60, d)),
            rng.normal(size=(9, d)),
            rng.normal(size=(60, 2)),
        )
        found = [sweep(train, valid, y, EPSILONS, s) for s in ("auto", "eigen", "band")]
        np.testing.assert_allclose(found[0], found[1], atol=1e-7)
        np.testing.assert_allclose(found[2], found[1], atol=1e-7)
    with pytest.raises(SettingError, match="solver='best'"):
        sweep(train, valid, y, EPSILONS, "best")


def test_what_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(DataError, match="39 targets of 40"):
        BandSweep(gauss(x), x[1:])
    with pytest.raises(DataError, match="not symmetric"):
        BandSweep(np.triu(gauss(x)), x)
    model = BandSweep(gauss(x), x)
    with pytest.raises(DataError, match="give 40 numbers"):
        model.predict(gauss(x)[:, 1:], [1.0])
    with pytest.raises(SettingError, match="regulariser 0"):
        model.solve([0.0])
    with pytest.raises(SettingError, match="not positive definite"):
        BandSweep(gauss(x) - 0.6, x).solve([1e-6])
