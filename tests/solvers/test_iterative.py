"""Preconditioners, sweeps, missing labels, validation and checkpoints of conjugate gradients."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import clone
from sklearn.model_selection import GridSearchCV

from nasproxy.errors import DataError, DivergedError, SettingError, StoreError
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import (
    ConjugateGradient,
    ConjugateGradientClassifier,
    KernelRidge,
    checkpoint,
    sweep,
)
from nasproxy.solvers.kernel import Kernel
from nasproxy.solvers.low_rank import PIVOTS, MaskedPreconditioner, Preconditioner, low_rank
from nasproxy.tiles import Tiles
from tests.solvers.test_eigenpro import gauss, points
from tests.support.kernels import Gauss

RIDGES = (1e-3, 1e-2, 1e-1)


def problem(n: int = 200, c: int = 4) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return points(n)[0], np.random.default_rng(5).normal(size=(n, c))


def exact(x: Any, y: Any, ridge: float) -> NDArray[np.float64]:
    return np.linalg.solve(gauss(x) + ridge * np.eye(len(x)), y)


# Low rank


@pytest.mark.parametrize("pivot", PIVOTS)
def test_all_columns_are_the_whole_kernel(pivot: str) -> None:
    x, _ = problem()
    found = low_rank(Kernel(gauss), x, 200, pivot, 0)
    np.testing.assert_allclose(found.low @ found.low.T, gauss(x), atol=1e-7)


@pytest.mark.parametrize("pivot", ["random", "greedy", "uniform"])
def test_columns_at_the_pivots_are_exact_and_what_is_left_is_positive(pivot: str) -> None:
    """What defines partial Cholesky, whatever way the pivots were found."""
    x, _ = problem()
    found, kernel = low_rank(Kernel(gauss), x, 90, pivot, 0), gauss(x)
    assert len(set(found.pivots.tolist())) == 90
    left = kernel - found.low @ found.low.T
    np.testing.assert_allclose(left[:, found.pivots], 0, atol=1e-10)
    assert np.linalg.eigvalsh(left)[0] > -1e-12
    assert found.left == pytest.approx(np.trace(left) / 200)


def test_better_pivots_leave_less() -> None:
    """On clustered points, of which uniform draws see few of the small clusters."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(scale=9, size=(60, 6)), [400] + [3] * 59, axis=0)
    x += rng.normal(scale=0.05, size=x.shape)
    left = {
        p: np.mean([low_rank(Kernel(Gauss()), x, 60, p, s).left for s in range(4)])
        for p in ("random", "greedy", "uniform")
    }
    assert 10 * left["random"] < left["uniform"]
    assert 10 * left["greedy"] < left["uniform"]
    sketched = low_rank(Kernel(Gauss()), x, 60, "sketch", 0).low
    assert 10 * (1 - np.square(sketched).sum() / len(x)) < left["uniform"]


def test_greedy_pivots_one_at_a_time_are_the_textbooks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = problem()
    monkeypatch.setattr("nasproxy.solvers.low_rank.BLOCK", 1)
    found = low_rank(Kernel(lambda a, b: gauss(a, b) * weight(a) * weight(b).T), x, 20, "greedy", 0)
    left = gauss(x) * weight(x) * weight(x).T
    for pivot in found.pivots:
        assert left[pivot, pivot] == pytest.approx(left.diagonal().max())
        left = left - np.outer(left[pivot], left[pivot]) / left[pivot, pivot]


def weight(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 + np.abs(x[:, :1])


def test_random_pivots_are_drawn_in_proportion_to_what_is_left() -> None:
    """The second of two pivots, against its probabilities by hand, for two blocks' worth of it."""
    x = np.array([[0.0], [0.4], [1.0], [5.0]])
    kernel = gauss(x)
    expected = np.zeros((4, 4))
    for first in range(4):
        left = 1 - np.square(kernel[:, first])
        expected[first] = left / left.sum() / 4
    counts = np.zeros((4, 4))
    draws = 4000
    for seed in range(draws):
        counts[tuple(low_rank(Kernel(gauss), x, 2, "random", seed).pivots)] += 1
    error = np.sqrt(expected / draws) + 1e-9
    assert (np.abs(counts / draws - expected) / error).max() < 4


def test_a_rank_beyond_the_kernels_is_cut() -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    for pivot in ("random", "greedy", "uniform"):
        found = low_rank(Kernel(lambda a, b: a @ b.T), x, 40, pivot, 0)
        assert found.low.shape == (80, 3)
        assert found.left < 1e-12


@pytest.mark.parametrize("rank", [0, 1, 30])
def test_preconditioners_are_inverses(rank: int) -> None:
    x, y = problem(60)
    low = low_rank(Kernel(gauss), x, rank, "random", 0).low
    damping = np.array([1e-6, 1e-3, 1.0, 10.0])
    mask = np.random.default_rng(1).uniform(size=(60, 4)) < 0.6
    mask[:, 3] = mask[:, 0]
    found = Preconditioner(low)(y, damping)
    masked = MaskedPreconditioner(low, mask)(np.where(mask, y, 0), damping, np.arange(4))
    for t, own in enumerate(mask.T):
        system = low @ low.T + damping[t] * np.eye(60)
        np.testing.assert_allclose(system @ found[:, t], y[:, t], atol=1e-6)
        np.testing.assert_allclose(system[np.ix_(own, own)] @ masked[own, t], y[own, t], atol=1e-6)
        assert not masked[~own, t].any()


# What is solved


@pytest.mark.parametrize("pivot", PIVOTS)
def test_a_sweep_is_each_ridge_by_itself(pivot: str) -> None:
    x, y = problem()
    model = ConjugateGradient(gauss, rank=30, tolerance=1e-9, pivot=pivot)
    found = sweep(model, x, y, RIDGES)
    fresh = points(30, seed=3)[0]
    values = found.predict(fresh)
    assert found.solutions.stopped == ["tolerance"] * 3
    for ridge, alpha, value in zip(RIDGES, found.solutions.alpha, values, strict=True):
        np.testing.assert_allclose(alpha, exact(x, y, ridge), atol=1e-5)
        direct = KernelRidge(gauss, ridge=ridge).fit(x, y)
        np.testing.assert_allclose(value, direct.predict(fresh), atol=1e-6)


def test_a_sweep_reads_the_kernel_as_often_as_its_hardest_ridge(tmp_path: Path) -> None:
    x, y = problem()
    tiles = Tiles.create(tmp_path, Gauss(width=2.0), x, side=64).compute()
    passes = 0
    times = tiles.times

    def counted(*given: Any, **options: Any) -> Any:
        nonlocal passes
        passes += 1
        return times(*given, **options)

    tiles.times = counted  # type: ignore[method-assign]
    model = ConjugateGradient(tiles, rank=30, tolerance=1e-6)
    together = sweep(model, tiles.train, y, RIDGES)
    count = len(together.solutions.history)
    assert passes == count + count // 50 + 1  # and looks at the true residual
    passes = 0
    model.set_params(ridge=RIDGES[0]).fit(tiles.train, y)
    assert abs(passes - count - count // 50 - 1) <= 2


def test_missing_labels_are_tasks_by_themselves() -> None:
    """All in one pass: what each gives on its own points, and nothing elsewhere."""
    x, y = problem(150, 6)
    mask = np.random.default_rng(2).uniform(size=y.shape) < np.linspace(0.2, 1, 6)
    spoilt = np.where(mask, y, np.nan)
    model = ConjugateGradient(gauss, rank=40, ridge=1e-2, tolerance=1e-10)
    model.fit(x, spoilt, mask=mask)
    fresh = points(30, seed=3)[0]
    for t, own in enumerate(mask.T):
        one = KernelRidge(gauss, ridge=1e-2).fit(x[own], y[own, t])
        np.testing.assert_allclose(model.dual_coef_[own, t], one.dual_coef_[:, 0], atol=1e-6)
        np.testing.assert_allclose(model.predict(fresh)[:, t], one.predict(fresh), atol=1e-6)
        assert not model.dual_coef_[~own, t].any()


def test_a_ridge_is_a_part_of_what_a_task_has() -> None:
    """Its mean eigenvalue, where points differ in size."""

    def scaled(a: Any, b: Any) -> Any:
        return gauss(a, b) * weight(a) ** 2 * (weight(b) ** 2).T

    x, y = problem(80, 2)
    mask = np.stack([weight(x)[:, 0] > 1.5, np.ones(80, bool)], 1)
    model = ConjugateGradient(scaled, rank=20, ridge=1e-2, tolerance=1e-10).fit(x, y, mask=mask)
    own = mask[:, 0]
    one = KernelRidge(scaled, ridge=1e-2).fit(x[own], y[own, 0])
    np.testing.assert_allclose(model.dual_coef_[own, 0], one.dual_coef_[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.ones((40, 3)), "give booleans"),
        (np.ones((40, 2), bool), "of one shape"),
        (np.arange(120).reshape(40, 3) % 3 < 2, "target 2 has no label"),
    ],
)
def test_masks_that_are_none(mask: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ConjugateGradient(gauss).fit(points(40)[0], np.ones((40, 3)), mask=mask)


# What is said of it


def test_the_residual_that_is_reported_is_the_true_one() -> None:
    """The recursion of float32 products goes on to nothing; what is said is what is left."""
    x, y = problem(300)
    kernel = FullyConnected(depth=2)
    model = ConjugateGradient(kernel, rank=20, ridge=1e-4, tolerance=1e-4).fit(x, y)
    stored = np.asarray(kernel(x)).astype(np.float64)
    damping = 1e-4 * kernel.diagonal(x).mean()
    left = y - stored @ model.dual_coef_ - damping * model.dual_coef_
    true = (np.linalg.norm(left, axis=0) / np.linalg.norm(y, axis=0)).max()
    assert model.residual_ == pytest.approx(true, rel=1e-3)
    assert true < 1e-4


def test_stored_float32_is_solved_to_more_than_its_products_have() -> None:
    """Residuals in float64 refine what float32 products cannot; in the end rounding is said."""
    x, y = problem(300)
    kernel = FullyConnected(depth=2)
    stored = np.asarray(kernel(x))
    damping = 1e-3 * kernel.diagonal(x).mean()
    model = ConjugateGradient(kernel, rank=50, ridge=1e-3, tolerance=1e-9).fit(x, y)
    assert model.stopped_ == "tolerance"
    direct = np.linalg.solve(stored.astype(np.float64) + damping * np.eye(300), y)
    np.testing.assert_allclose(model.dual_coef_, direct, atol=1e-7 * np.abs(direct).max())
    model.set_params(tolerance=1e-30).fit(x, y)
    assert model.stopped_ == "rounding"
    assert 0 < model.residual_ < 1e-9


def test_validation_ends_it_and_keeps_the_best() -> None:
    x, _ = points(200)
    y = np.sin(x[:, :1]) + np.random.default_rng(0).normal(size=(200, 1))
    fresh = points(100, seed=3)[0]
    wanted = np.sin(fresh[:, :1])
    model = ConjugateGradient(gauss, rank=5, ridge=1e-1, tolerance=1e-12)
    plain = model.fit(x, y).predict(fresh)
    count = model.n_iter_
    model.fit(x, y, validation=(fresh, wanted), patience=3)
    assert model.stopped_ == "validation"
    losses = [row["validation"] for row in model.history_]
    error = np.square(model.predict(fresh) - wanted).mean()
    assert error == pytest.approx(min(losses))
    assert len(losses) == np.argmin(losses) + 4
    assert len(losses) < count / 2
    assert error < 1.01 * np.square(plain - wanted).mean()


@pytest.mark.parametrize(
    "given", [3, (np.ones((3, 6)), np.ones(2)), (np.ones((3, 6)), [np.nan] * 3)]
)
def test_validation_that_is_none(given: Any) -> None:
    x, y = problem(40)
    with pytest.raises(DataError, match="validation"):
        ConjugateGradient(gauss).fit(x, y, validation=given)
    with pytest.raises(SettingError, match="patience=0"):
        ConjugateGradient(gauss).fit(x, y, validation=(x, y), patience=0)


# Stored kernels


@pytest.mark.parametrize("memory", [1e-9, 1.0])
@pytest.mark.parametrize("pivot", PIVOTS)
def test_tiles_give_what_the_kernel_gives(tmp_path: Path, pivot: str, memory: float) -> None:
    x, y = problem()
    fresh = points(70, seed=3)[0]
    kernel = Gauss(width=2.0)
    tiles = Tiles.create(tmp_path, kernel, x, fresh, side=64, memory=memory).compute()
    model = ConjugateGradient(tiles, rank=40, ridge=1e-3, tolerance=1e-9, pivot=pivot)
    model.fit(tiles.train, y)
    direct = KernelRidge(kernel, ridge=1e-3).fit(x, y)
    np.testing.assert_allclose(model.dual_coef_, direct.dual_coef_, atol=1e-5)
    np.testing.assert_allclose(model.predict(tiles.valid), direct.predict(fresh), atol=1e-6)
    some = np.random.default_rng(0).permutation(200)[:120]  # as cross-validation has it
    model.fit(some, y[some])
    direct.fit(x[some], y[some])
    np.testing.assert_allclose(model.dual_coef_, direct.dual_coef_, atol=1e-5)


def test_a_direct_solve_of_tiles(tmp_path: Path) -> None:
    x, y = problem()
    tiles = Tiles.create(tmp_path, Gauss(), x, side=64).compute()
    found = KernelRidge(tiles, ridge=1e-2).fit(tiles.train, y).dual_coef_
    np.testing.assert_allclose(found, KernelRidge(Gauss(), ridge=1e-2).fit(x, y).dual_coef_)


# Checkpoints


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", -1.0)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("stop", [1, 5, 17, 60])
def test_an_interrupted_fit_goes_on(tmp_path: Path, stop: int, validated: bool) -> None:
    """To the numbers of one that never was: 60 is behind a look at the true residual."""
    x, y = problem()
    options: dict[str, Any] = {}
    if validated:
        fresh, _ = points(50, seed=3)
        options = {"validation": (fresh, np.zeros((50, 4))), "patience": 200}

    def model(iterations: int) -> ConjugateGradient:
        return ConjugateGradient(gauss, rank=3, ridge=1e-3, tolerance=1e-10, iterations=iterations)

    once = model(300).fit(x, y, **options)
    assert len(once.history_) > 60
    path = tmp_path / "cg"
    model(stop).fit(x, y, checkpoint=path, **options)
    again = model(300).fit(x, y, checkpoint=path, **options)
    np.testing.assert_array_equal(again.dual_coef_, once.dual_coef_)
    residuals = [[row["residual"] for row in one.history_] for one in (once, again)]
    assert residuals[0] == residuals[1]
    assert again.history_[stop]["seconds"] > again.history_[stop - 1]["seconds"]
    third = model(300).fit(x, y, checkpoint=path, **options)  # there is nothing left to do
    np.testing.assert_array_equal(third.dual_coef_, once.dual_coef_)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "change",
    [{"ridge": 2e-3}, {"rank": 4}, {"seed": 1}, {"pivot": "greedy"}, {"kernel": Gauss(width=1.0)}],
)
def test_the_state_of_another_fit_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    x, y = problem(60)
    path = tmp_path / "cg"
    model = ConjugateGradient(gauss, rank=3, iterations=3)
    model.fit(x, y, checkpoint=path)
    with pytest.raises(SettingError, match="another fit"):
        ConjugateGradient(**{"kernel": gauss, "rank": 3} | change).fit(x, y, checkpoint=path)
    with pytest.raises(SettingError, match="another fit"):
        model.fit(x, y + 1, checkpoint=path)


CRAFTED: dict[str, Any] = {
    "history": "[]",
    "alpha": np.ones((60, 3)),
    "reasons": np.array([9], np.int8),
    "active": np.ones(4),
    "energy": np.full(4, np.nan),
    "waited": np.array([0.5]),
}


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", CRAFTED)
def test_a_state_that_no_fit_wrote_is_said(tmp_path: Path, name: str) -> None:
    x, y = problem(60)
    path = tmp_path / "cg.npz"
    model = ConjugateGradient(gauss, rank=3, iterations=3)
    model.fit(x, y, checkpoint=path)
    with np.load(path) as file:
        state = dict(file)
    assert len(json.loads(str(state["history"]))) == 3
    with path.open("wb") as opened:
        np.savez(opened, **state | {name: CRAFTED[name]})
    with pytest.raises(StoreError, match="damaged"):
        model.fit(x, y, checkpoint=path)


def test_what_no_preconditioner_can_be_made_of() -> None:
    x, y = problem(60)
    with pytest.raises(DivergedError, match=r"not positive semidefinite|no kernel"):
        ConjugateGradientClassifier(lambda a, b: gauss(a, b) - 0.5, rank=60).fit(x, points(60)[1])
    with pytest.raises(SettingError, match="pivot='best'"):
        ConjugateGradient(gauss, pivot="best").fit(x, y)


def test_tiles_are_cut_by_scikit_learn(tmp_path: Path) -> None:
    """Classifiers, copies and grid searches, whose points are numbers."""
    x, labels = points(150)
    tiles = Tiles.create(tmp_path, Gauss(width=2.0), x, side=64).compute()
    grid = {"ridge": [1e-3, 1.0, 100.0]}
    numbers = np.arange(150)
    stored, plain = (
        GridSearchCV(ConjugateGradientClassifier(kernel, rank=50, tolerance=1e-8), grid, cv=3)
        for kernel in (tiles, Gauss(width=2.0))
    )
    stored.fit(numbers, labels)
    plain.fit(x, labels)
    np.testing.assert_array_equal(
        stored.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    copy: Any = clone(stored.best_estimator_)
    assert copy.kernel is tiles
    assert stored.score(numbers, labels) == plain.score(x, labels)
