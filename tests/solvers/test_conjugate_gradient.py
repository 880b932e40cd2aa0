"""Conjugate gradients against direct solves."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.errors import DivergedError, SettingError
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import (
    ConjugateGradient,
    ConjugateGradientClassifier,
    KernelRidgeClassifier,
)
from tests.solvers.test_eigenpro import N, gauss, points


@pytest.mark.parametrize("rank", [0, 1, 30, N, 500])
@pytest.mark.parametrize("memory", [0.0, 4.0])
def test_it_ends_at_the_direct_solution(rank: int, memory: float) -> None:
    x, y = points()
    model = ConjugateGradientClassifier(
        gauss,
        rank=rank,
        ridge=1e-3,
        tolerance=1e-10,
        memory=memory,
    ).fit(x, y)
    assert model.stopped_ == "tolerance"
    direct = KernelRidgeClassifier(gauss, ridge=1e-3).fit(x, y)
    np.testing.assert_allclose(model.dual_coef_, direct.dual_coef_, atol=1e-6)
    residual = gauss(x) @ model.dual_coef_ + 1e-3 * model.dual_coef_ - np.eye(3)[y] + 1 / 3
    assert np.linalg.norm(residual) < 1e-8


def test_the_preconditioner_saves_iterations() -> None:
    x, y = points(400)
    counts = [
        len(
            ConjugateGradientClassifier(
                gauss,
                rank=rank,
                ridge=1e-2,
                tolerance=1e-6,
            )
            .fit(x, y)
            .history_
        )
        for rank in (0, 50, 200)
    ]
    assert counts[0] > 2 * counts[1] > 4 * counts[2] > 0


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), rank=st.integers(0, 40), ridge=st.floats(1e-2, 10))
def test_any_problem_is_solved(seed: int, rank: int, ridge: float) -> None:
    x, _ = points(40, seed=seed)
    targets = np.random.default_rng(seed).normal(size=(40, 2))
    model = ConjugateGradient(gauss, rank=rank, ridge=ridge, tolerance=1e-9).fit(x, targets)
    expected = np.linalg.solve(gauss(x) + ridge * np.eye(40), targets)
    np.testing.assert_allclose(model.dual_coef_, expected, atol=1e-5)


def test_float32_kernels_and_a_target_of_zeros() -> None:
    x, y = points()
    kernel = FullyConnected(normalise=True)
    model = ConjugateGradientClassifier(kernel, rank=40, ridge=1e-2, tolerance=1e-5).fit(x, y)
    assert model.stopped_ == "tolerance"
    assert model.score(x, y) == KernelRidgeClassifier(kernel, ridge=1e-2).fit(x, y).score(x, y)
    targets = np.stack([x[:, 0], np.zeros(N)], 1)
    silent = ConjugateGradient(gauss, rank=40, ridge=1e-2, tolerance=1e-5).fit(x, targets)
    assert not silent.dual_coef_[:, 1].any()


def test_a_kernel_that_is_none_is_found_out() -> None:
    x, y = points()
    with pytest.raises(DivergedError, match="not positive definite"):
        ConjugateGradientClassifier(lambda a, b: gauss(a, b) - 0.5, rank=0).fit(x, y)


@pytest.mark.parametrize(
    "given", [{"rank": -1}, {"ridge": 0.0}, {"tolerance": 0.0}, {"iterations": 0}, {"memory": -1}]
)
def test_settings_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(given))):
        ConjugateGradientClassifier(gauss, **given).fit(*points())


def test_too_few_iterations_are_said() -> None:
    x, y = points()
    model = ConjugateGradientClassifier(
        gauss,
        rank=0,
        ridge=1e-4,
        tolerance=1e-8,
        iterations=3,
    ).fit(x, y)
    assert model.stopped_ == "iterations"
    assert len(model.history_) == 3
