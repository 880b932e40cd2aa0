"""A factorisation for each regulariser against one spectrum for all, and against plain algebra."""

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import multivariate_normal

from nasproxy.errors import DataError, SettingError
from nasproxy.solvers.cholesky import FEW, CholeskySweep, by_features, by_kernel
from nasproxy.solvers.ridge import KernelSweep, RidgeSweep
from tests.solvers.test_ridge import problem

EPSILONS = np.array([1e-6, 1e-3, 1e-1, 10.0])


def test_all_that_a_spectrum_says() -> None:
    train, valid, targets = problem(40, 60)
    kernel, cross = train @ train.T, valid @ train.T
    expected, found = RidgeSweep(train, targets), CholeskySweep(kernel, targets)
    for name in ("fitted", "leave_one_out", "gcv", "log_evidence"):
        wanted = getattr(expected, name)(EPSILONS)
        np.testing.assert_allclose(getattr(found, name)(EPSILONS), wanted, rtol=1e-8, atol=1e-10)
    wanted = expected.predict(valid, EPSILONS)
    np.testing.assert_allclose(found.predict(cross, EPSILONS), wanted, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.spectrum, expected.spectrum, rtol=1e-9, atol=1e-10)
    assert found.reach(cross) == KernelSweep(kernel, targets).reach(cross)


def test_plain_algebra() -> None:
    train, valid, targets = problem(25, 50, seed=1)
    kernel, cross = train @ train.T, valid @ train.T
    found = CholeskySweep(kernel, targets)
    epsilon = 1e-2
    system = kernel + epsilon * np.trace(kernel) / 25 * np.eye(25)
    wanted = cross @ scipy.linalg.solve(system, targets)
    np.testing.assert_allclose(found.predict(cross, [epsilon])[0], wanted, rtol=1e-9, atol=1e-11)
    for i in (0, 24):
        kept = np.arange(25) != i
        alone = scipy.linalg.solve(system[np.ix_(kept, kept)], targets[kept])
        np.testing.assert_allclose(
            found.leave_one_out([epsilon])[0, i], kernel[i, kept] @ alone, rtol=1e-8, atol=1e-10
        )
    variance = np.sum(targets * scipy.linalg.solve(system, targets)) / targets.size
    gaussian = multivariate_normal(np.zeros(25), variance * system)
    evidence = gaussian.logpdf(targets.T).sum() / targets.size
    np.testing.assert_allclose(found.log_evidence([epsilon])[0], evidence, rtol=1e-9)


def test_auto_takes_what_is_faster_and_what_works() -> None:
    train, valid, targets = problem(20, 30)
    kernel = train @ train.T
    few, many = EPSILONS[:FEW], np.logspace(-5, 1, FEW + 1)
    assert isinstance(by_kernel(kernel, targets, few, "auto"), CholeskySweep)
    assert isinstance(by_kernel(kernel, targets, many, "auto"), KernelSweep)
    assert isinstance(by_kernel(kernel, targets, many, "cholesky"), CholeskySweep)
    assert isinstance(by_kernel(kernel, targets, few, "eigen"), KernelSweep)
    narrow = train[:, :5]
    assert isinstance(by_features(narrow, valid[:, :5], targets, few, "auto")[0], RidgeSweep)
    assert isinstance(by_features(train, valid, targets, few, "auto")[0], CholeskySweep)
    expected = None
    for solver in ("auto", "cholesky", "eigen"):
        sweep, rows = by_features(train, valid, targets, few, solver)
        predicted = sweep.predict(rows, few)
        expected = predicted if expected is None else expected
        np.testing.assert_allclose(predicted, expected, rtol=1e-8, atol=1e-10)


def test_an_eigenvalue_that_rounding_made_negative() -> None:
    train, _, targets = problem(20, 30)
    kernel = train @ train.T
    values, vectors = np.linalg.eigh(kernel)
    values[0] = -1e-6 * values[-1]
    bent = (vectors * values) @ vectors.T
    with pytest.raises(DataError, match=r"not positive definite .* solver=eigen"):
        by_kernel(bent, targets, [1e-7], "cholesky")
    assert isinstance(by_kernel(bent, targets, [1e-7], "auto"), KernelSweep)


def test_what_is_refused() -> None:
    train, valid, targets = problem(20, 30)
    kernel = train @ train.T
    with pytest.raises(DataError, match="19 targets of 20 points"):
        CholeskySweep(kernel, targets[:19])
    with pytest.raises(DataError, match="not symmetric"):
        CholeskySweep(np.tril(kernel), targets)
    found = CholeskySweep(kernel, targets)
    with pytest.raises(DataError, match="give 20 numbers a row"):
        found.predict(valid @ train[:7].T, [1e-3])
    with pytest.raises(SettingError, match="regulariser 0: give positive ones"):
        found.gcv([0.0])
    with pytest.raises(SettingError, match="auto, cholesky"):
        by_kernel(kernel, targets, [1e-3], "qr")
