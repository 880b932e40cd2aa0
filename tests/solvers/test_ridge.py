"""One factorisation for all regularisers against a solve for each."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from nasproxy.solvers import ridge

EPSILONS = np.logspace(-7, 2, 20)
eighty_bits = pytest.mark.skipif(
    bool(np.finfo(np.longdouble).eps > 1e-18), reason="this machine's long double is a double"
)


def problem(
    n_train: int, features: int, seed: int = 0, n_valid: int = 15, classes: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scales = np.logspace(0, -1, features)
    train = np.maximum(rng.normal(size=(n_train, features)), 0) * scales
    valid = np.maximum(rng.normal(size=(n_valid, features)), 0) * scales
    targets = np.eye(classes)[rng.integers(classes, size=n_train)] - 1 / classes
    return train, valid, targets


def damping(train: np.ndarray, epsilon: float) -> float:
    return epsilon * np.trace(train @ train.T) / len(train)


def dual(train: np.ndarray, valid: np.ndarray, targets: np.ndarray, epsilon: float) -> np.ndarray:
    """The paper's equation as it stands."""
    system = train @ train.T + damping(train, epsilon) * np.eye(len(train))
    return valid @ train.T @ scipy.linalg.solve(system, targets, assume_a="pos")


def primal(train: np.ndarray, valid: np.ndarray, targets: np.ndarray, epsilon: float) -> np.ndarray:
    system = train.T @ train + damping(train, epsilon) * np.eye(train.shape[1])
    return valid @ scipy.linalg.solve(system, train.T @ targets, assume_a="pos")


def exact(train: np.ndarray, valid: np.ndarray, targets: np.ndarray, epsilon: float) -> np.ndarray:
    """The paper's equation by a Cholesky factorisation in 80 bits."""
    train, valid, targets = (a.astype(np.longdouble) for a in (train, valid, targets))
    kernel = train @ train.T
    n = len(kernel)
    system = kernel + np.longdouble(epsilon) * np.trace(kernel) / n * np.eye(n)
    lower = np.zeros_like(system)
    for j in range(n):
        lower[j:, j] = system[j:, j] - lower[j:, :j] @ lower[j, :j]
        lower[j:, j] /= np.sqrt(lower[j, j])
    solution = targets.copy()
    for i in range(n):
        solution[i] = (solution[i] - lower[i, :i] @ solution[:i]) / lower[i, i]
    for i in reversed(range(n)):
        solution[i] = (solution[i] - lower[i + 1 :, i] @ solution[i + 1 :]) / lower[i, i]
    return valid @ train.T @ solution


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float = 1e-8) -> None:
    np.testing.assert_allclose(actual, expected.astype(np.float64), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("n_train", "features"), [(40, 100), (60, 200)])
def test_full_rank_equals_twenty_dual_solves(n_train: int, features: int) -> None:
    train, valid, targets = problem(n_train, features)
    assert np.linalg.matrix_rank(train) == n_train
    swept = ridge.sweep(train, valid, targets, EPSILONS)
    assert swept.shape == (20, 15, 4)
    assert swept.dtype == np.float64
    for predictions, epsilon in zip(swept, EPSILONS, strict=True):
        close(predictions, dual(train, valid, targets, epsilon))


@pytest.mark.parametrize(("n_train", "features"), [(200, 40), (120, 119)])
def test_fewer_features_than_images_equals_twenty_primal_solves(
    n_train: int, features: int
) -> None:
    """The dual system is singular but for ε there; its own solve is off by 5e-8 at ε = 1e-7."""
    train, valid, targets = problem(n_train, features)
    swept = ridge.sweep(train, valid, targets, EPSILONS)
    for predictions, epsilon in zip(swept, EPSILONS, strict=True):
        close(predictions, primal(train, valid, targets, epsilon))
        close(predictions, dual(train, valid, targets, epsilon), tolerance=1e-6)


@eighty_bits
@pytest.mark.parametrize(
    ("n_train", "features"), [(60, 12), (60, 59), (60, 60), (60, 61), (40, 90)]
)
def test_equals_eighty_bits_in_both_regimes(n_train: int, features: int) -> None:
    train, valid, targets = problem(n_train, features)
    swept = ridge.sweep(train, valid, targets, EPSILONS)
    for predictions, epsilon in zip(swept, EPSILONS, strict=True):
        close(predictions, exact(train, valid, targets, epsilon), tolerance=1e-9)


@pytest.mark.parametrize(("n_train", "features"), [(20, 50), (30, 8), (20, 20)])
def test_leaving_one_out_equals_solving_without_it(n_train: int, features: int) -> None:
    """With the regulariser's absolute size kept, which the trace of all images sets."""
    train, _, targets = problem(n_train, features)
    epsilons = EPSILONS[6:]
    left_out = ridge.RidgeSweep(train, targets).leave_one_out(epsilons)
    assert left_out.shape == (len(epsilons), n_train, 4)
    for predictions, epsilon in zip(left_out, epsilons, strict=True):
        for i in range(n_train):
            rest, known = np.delete(train, i, 0), np.delete(targets, i, 0)
            system = rest.T @ rest + damping(train, epsilon) * np.eye(features)
            close(predictions[i], train[i] @ scipy.linalg.solve(system, rest.T @ known), 1e-7)


@eighty_bits
def test_repeated_images_and_dead_features() -> None:
    """Rank below both sides: 20 images thrice, and half of the features always zero."""
    train, valid, targets = problem(20, 100)
    train[:, ::2] = 0
    train = np.tile(train, (3, 1))
    targets = np.tile(targets, (3, 1))
    assert np.linalg.matrix_rank(train) == 20
    swept = ridge.sweep(train, valid, targets, EPSILONS)
    for predictions, epsilon in zip(swept, EPSILONS, strict=True):
        close(predictions, exact(train, valid, targets, epsilon))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(2, 30), st.integers(1, 60), st.integers(0, 2**32), st.floats(1e-3, 1e3))
def test_the_scale_of_features_does_not_matter(
    n_train: int, features: int, seed: int, scale: float
) -> None:
    """The regulariser is a fraction of the mean eigenvalue, so predictions keep."""
    train, valid, targets = problem(n_train, features, seed)
    assume(train.any())
    one = ridge.sweep(train, valid, targets, EPSILONS[5:])
    close(ridge.sweep(train * scale, valid * scale, targets, EPSILONS[5:]), one, tolerance=1e-6)


def test_float32_features_are_solved_in_float64() -> None:
    arrays = [a.astype(np.float32) for a in problem(80, 30)]
    swept = ridge.sweep(arrays[0], arrays[1], arrays[2], EPSILONS)
    widened = [a.astype(np.float64) for a in arrays]
    close(swept, ridge.sweep(widened[0], widened[1], widened[2], EPSILONS), tolerance=1e-12)


def test_limits() -> None:
    """No regulariser interpolates; a huge one shrinks to zero."""
    train, _, targets = problem(30, 80)
    small, large = ridge.sweep(train, train, targets, np.array([1e-14, 1e12]))
    close(small, targets, tolerance=1e-6)
    assert np.abs(large).max() < 1e-9


@pytest.mark.parametrize(("n_train", "features"), [(30, 80), (60, 12)])
def test_a_kernel_by_itself_gives_what_its_features_give(n_train: int, features: int) -> None:
    train, valid, targets = problem(n_train, features)
    epsilons = EPSILONS[4:]  # below, a kernel of lower rank than rows has lost what features hold
    by_features = ridge.RidgeSweep(train, targets)
    by_kernel = ridge.KernelSweep(train @ train.T, targets)
    close(by_kernel.predict(valid @ train.T, epsilons), by_features.predict(valid, epsilons), 1e-7)
    close(by_kernel.leave_one_out(epsilons), by_features.leave_one_out(epsilons), 1e-7)
    largest = by_features.spectrum[-12:]
    np.testing.assert_allclose(by_kernel.spectrum[-12:], largest, rtol=1e-10)
    assert len(by_kernel.spectrum) == n_train
    assert by_kernel.spectrum.min() >= 0


@pytest.mark.parametrize(("n_train", "features"), [(30, 50), (60, 12), (25, 25)])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_measures_of_training_images_equal_their_definitions(
    n_train: int, features: int, scale: float
) -> None:
    """GCV by the hat matrix, the evidence by SciPy's density; neither depends on the scale."""
    train, _, targets = problem(n_train, features)
    epsilons = np.logspace(-4, 1, 6)
    for sweep in (
        ridge.RidgeSweep(scale * train, targets),
        ridge.KernelSweep(scale**2 * train @ train.T, targets),
    ):
        gcv, evidence = sweep.gcv(epsilons), sweep.log_evidence(epsilons)
        for i, epsilon in enumerate(epsilons):
            system = train @ train.T + damping(train, epsilon) * np.eye(n_train)
            hat = train @ train.T @ np.linalg.inv(system)
            residual = targets - hat @ targets
            free = np.trace(np.eye(n_train) - hat) / n_train
            np.testing.assert_allclose(gcv[i], np.mean(residual**2) / free**2, rtol=1e-7)
            variance = np.sum(targets * np.linalg.solve(system, targets)) / targets.size
            gaussian: Any = multivariate_normal(np.zeros(n_train), variance * system)  # type: ignore[arg-type]  # its stub is of one dimension
            mean = gaussian.logpdf(targets.T).sum() / targets.size
            np.testing.assert_allclose(evidence[i], mean, rtol=1e-7)


def test_the_evidence_is_at_its_best_where_the_targets_were_drawn_from() -> None:
    """Targets of N(0, K + λI): the likelihood's maximum over ε is near λ, n = 400."""
    rng = np.random.default_rng(0)
    train = rng.normal(size=(400, 40))
    kernel = train @ train.T
    noise = 0.1 * np.trace(kernel) / 400
    root = np.linalg.cholesky(kernel + noise * np.eye(400))
    evidence = ridge.RidgeSweep(train, root @ rng.normal(size=(400, 10))).log_evidence(EPSILONS)
    assert 0.03 < EPSILONS[evidence.argmax()] < 0.3
