"""EigenPro against direct solves, autodiff and a general optimiser."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score

from nasproxy.errors import DataError, DivergedError, SettingError
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import (
    ConjugateGradientClassifier,
    EigenPro,
    EigenProClassifier,
    KernelRidgeClassifier,
    Precomputed,
    direct,
    ridge,
)
from nasproxy.solvers.kernel import Kernel
from nasproxy.solvers.losses import LOSSES
from nasproxy.solvers.preconditioner import precondition, top_eigenpairs

N = 120


def points(n: int = N, seed: int = 0, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    centres = np.random.default_rng(99).normal(size=(classes, 6))
    return centres[labels] + rng.normal(size=(n, 6)), labels


def gauss(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """exp(−|x − x'|²/8) in float64."""
    b = a if b is None else b
    return np.exp(-np.square(a[:, None] - b).sum(-1) / 8)


@pytest.mark.parametrize(
    "kind",
    [
        {"top": 40, "subsample": N, "batch": N},
        {"top": 40, "subsample": N, "batch": 30},
        {"top": 20, "subsample": 60, "batch": N},
        {"top": 20, "subsample": 60, "batch": 17},
        {"top": 20, "subsample": 60},
        {"top": 0, "subsample": 60, "batch": 40},
    ],
    ids=str,
)
def test_squared_loss_ends_at_the_direct_solution(kind: dict[str, Any]) -> None:
    x, y = points()
    ridge = 0.05
    model = EigenProClassifier(**kind, ridge=ridge, epochs=3000, tolerance=1e-10, patience=400)
    model.set_params(kernel=gauss).fit(x, y)
    assert model.stopped_ == "tolerance"
    system = gauss(x) + ridge * np.eye(N)  # Its mean eigenvalue is 1.
    alpha = np.linalg.solve(system, np.eye(3)[y] - 1 / 3)
    np.testing.assert_allclose(model.dual_coef_, alpha, atol=1e-7)
    other, _ = points(20, seed=1)
    np.testing.assert_allclose(model.decision_function(other), gauss(other, x) @ alpha, atol=1e-7)


@pytest.mark.parametrize("batch", [None, 12, 60])
@pytest.mark.parametrize("ridge", [0.3, 1.0, 10.0, 100.0])
def test_large_ridges_are_stable_in_minibatches(ridge: float, batch: int | None) -> None:
    """A batch carries the whole ridge beside its own rows of the kernel."""
    x, y = points()
    model = EigenProClassifier(gauss, top=40, ridge=ridge, batch=batch, tolerance=1e-8).fit(x, y)
    assert model.stopped_ == "tolerance"
    alpha = np.linalg.solve(gauss(x) + ridge * np.eye(N), np.eye(3)[y] - 1 / 3)
    np.testing.assert_allclose(model.dual_coef_, alpha, atol=1e-6)
    entropy = EigenProClassifier(
        top=40,
        loss="cross_entropy",
        ridge=ridge,
        batch=batch,
        tolerance=1e-6,
        epochs=400,
    )
    assert entropy.set_params(kernel=gauss).fit(x, y).stopped_ == "tolerance"
    optimum = softmax(gauss(x) @ entropy.dual_coef_, 1) - np.eye(3)[y]
    np.testing.assert_allclose(-ridge * entropy.dual_coef_, optimum, atol=1e-5)


def test_without_a_ridge_it_interpolates() -> None:
    x, y = points(60)
    model = EigenProClassifier(top=40, subsample=60, epochs=5000, tolerance=1e-9, patience=500)
    model.set_params(kernel=gauss).fit(x, y)
    expected = np.linalg.solve(gauss(x), np.eye(3)[y] - 1 / 3)
    fresh = gauss(points(20, seed=1)[0], x)
    np.testing.assert_allclose(fresh @ model.dual_coef_, fresh @ expected, atol=1e-5)
    assert model.score(x, y) == 1


def test_real_targets() -> None:
    x, _ = points()
    targets = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], 1)
    model = EigenPro(gauss, top=30, ridge=0.1, tolerance=1e-9, epochs=500).fit(x, targets)
    expected = gauss(x) @ np.linalg.solve(gauss(x) + 0.1 * np.eye(N), targets)
    np.testing.assert_allclose(model.predict(x), expected, atol=1e-6)
    assert model.score(x, targets) == pytest.approx(r2_score(targets, expected), abs=1e-6)
    assert np.isfinite(model.history_[-1]["loss"])
    one = EigenPro(gauss, top=30, ridge=0.1, tolerance=1e-9, epochs=500).fit(x, targets[:, 0])
    np.testing.assert_allclose(one.predict(x), expected[:, 0], atol=1e-6)


@pytest.mark.parametrize("batch", [N, 25])
def test_cross_entropy_ends_where_a_general_optimiser_does(batch: int) -> None:
    x, y = points()
    ridge, gram, targets = 0.05, gauss(x), np.eye(3)[y]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        alpha = flat.reshape(N, 3)
        f = gram @ alpha
        value = -(targets * log_softmax(f, 1)).sum() + ridge / 2 * np.vdot(alpha, f)
        return value, (gram @ (softmax(f, 1) - targets + ridge * alpha)).ravel()

    found = minimize(objective, np.zeros(3 * N), jac=True, method="L-BFGS-B", tol=1e-14)
    model = EigenProClassifier(
        gauss,
        top=30,
        subsample=80,
        loss="cross_entropy",
        ridge=ridge,
        batch=batch,
        epochs=2000,
        tolerance=1e-10,
        patience=300,
    ).fit(x, y)
    assert objective(model.dual_coef_.ravel())[0] <= found.fun + 1e-9
    np.testing.assert_allclose(gram @ model.dual_coef_, gram @ found.x.reshape(N, 3), atol=1e-2)


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradients_equal_autodiff(name: str) -> None:
    """Also with respect to α, as the paper's equation 8 has it: K (σ(K α) − Y)."""
    x, y = points(30)
    gram, targets = gauss(x), np.eye(3)[y]
    alpha = np.random.default_rng(0).normal(size=(30, 3))

    def loss(alpha: Any) -> Any:
        f = jnp.asarray(gram) @ alpha
        if name == "squared":
            return jnp.sum((f - targets) ** 2) / 2
        return -jnp.sum(targets * jax.nn.log_softmax(f, axis=1))

    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(loss)(jnp.asarray(alpha))
    ours = LOSSES[name]
    assert ours.value(gram @ alpha, targets) == pytest.approx(float(value), rel=1e-12)
    np.testing.assert_allclose(
        gram @ ours.gradient(gram @ alpha, targets), gradient, rtol=1e-10, atol=1e-12
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_the_curvature_bounds_the_cross_entropys_hessian(seed: int, classes: int) -> None:
    p = softmax(3 * np.random.default_rng(seed).normal(size=classes))
    largest = np.linalg.eigvalsh(np.diag(p) - np.outer(p, p))[-1]
    assert largest <= LOSSES["cross_entropy"].curvature + 1e-12


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_the_damped_spectrum_is_flat_where_it_was_steep(ridge: float) -> None:
    """Eigenvalues of P (K/n + ridge): the top k at the level of the next, the others kept."""
    x, _ = points()
    top = 25
    found = precondition(Kernel(gauss), x, N, top, ridge, np.random.default_rng(0))
    gram = gauss(x)
    before = np.linalg.eigvalsh(gram / N)[::-1] + ridge
    damping = np.eye(N) - found.correct(gram)
    after = np.sort(np.linalg.eigvals(damping @ (gram / N + ridge * np.eye(N))).real)[::-1]
    assert before[0] / before[top] > 20
    np.testing.assert_allclose(after[: top + 1], before[top], rtol=1e-6)
    np.testing.assert_allclose(after[top:], before[top:], rtol=1e-6, atol=1e-12)
    assert found.level == pytest.approx(before[top], rel=1e-6)
    functions = np.diag(gram - gram @ found.correct(gram))
    assert found.reach == pytest.approx(functions.max() + N * ridge, rel=1e-3)


def test_what_a_subsample_leaves_is_measured_elsewhere() -> None:
    x, _ = points(600)
    found = precondition(Kernel(gauss), x, 100, 60, 0.0, np.random.default_rng(0))
    gram = gauss(x)
    damped = gram - gram[:, :100] @ found.correct(gram[:100])
    level = np.linalg.eigvalsh(damped)[-1] / len(x)
    assert level > 1.5 * found.eigenvalues[-1]
    assert found.level == pytest.approx(level, rel=0.5)
    batch = 300
    assert found.step(batch) / batch * np.linalg.eigvalsh(damped[-batch:, -batch:])[-1] < 2


def test_what_subspace_iteration_leaves_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no points outside the subsample, a level of λ_{k+1} would allow too long a step."""
    monkeypatch.setattr("nasproxy.solvers.preconditioner.EXACT", 10)
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(300, 300)))[0]
    gram = (basis / np.arange(1, 301) ** 0.7) @ basis.T
    kernel = Kernel(Precomputed((gram + gram.T) / 2))
    found = precondition(kernel, np.arange(300), 300, 60, 0.0, rng)
    level = np.linalg.eigvalsh(gram - gram @ found.correct(gram))[-1] / 300
    assert level > 1.1 * found.eigenvalues[-1]
    assert 0.99 * level < found.level < 1.001 * level


def test_subspace_iteration_finds_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    gram = gauss(points(300)[0])
    values, vectors = top_eigenpairs(gram, 20, np.random.default_rng(0))
    monkeypatch.setattr("nasproxy.solvers.preconditioner.EXACT", 10)
    found, basis = top_eigenpairs(gram, 20, np.random.default_rng(0))
    np.testing.assert_allclose(found[:10], values[:10], rtol=1e-3)
    assert (found <= values * (1 + 1e-12)).all()  # From below, as Ritz values are.
    assert (found > 0.97 * values).all()
    np.testing.assert_allclose(basis.T @ basis, np.eye(20), atol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(basis * vectors, 0))[:8], 1, atol=1e-4)


@pytest.mark.parametrize("batch", [N, 30])
def test_iterations_are_steps_before_a_measurement(batch: int) -> None:
    x, y = points()
    model = EigenProClassifier(gauss, top=20, batch=batch, epochs=3, tolerance=0).fit(x, y)
    steps = N // batch
    assert [row["iteration"] for row in model.history_] == [steps * e - 1 for e in (1, 2, 3)]
    first = model.history_[0]
    if batch == N:  # Nothing has moved: all are said to be of the first class.
        assert first["error"] == np.mean(y != 0)
        assert first["gradient"] == pytest.approx(1)
    else:
        assert first["gradient"] < 1


def test_numbers_of_numpy_are_whole_numbers_too(tmp_path: Path) -> None:
    x, y = points()
    kind: dict[str, Any] = {"top": 20, "subsample": 60, "batch": 30, "epochs": 3, "seed": 4}
    expected = EigenProClassifier(gauss, **kind).fit(x, y)
    numpys: dict[str, Any] = {name: np.int64(value) for name, value in kind.items()}
    model = EigenProClassifier(**numpys)
    model.set_params(kernel=gauss).fit(x, y, checkpoint=tmp_path / "fit.npz")
    np.testing.assert_array_equal(model.dual_coef_, expected.dual_coef_)


def test_a_checkpoint_without_a_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the kernel was computed")

    x, y = points()
    with pytest.raises(SettingError, match="there is no folder"):
        EigenProClassifier(never, top=5).fit(x, y, checkpoint=tmp_path / "nodir" / "fit.npz")


@pytest.mark.parametrize(
    "kind", [EigenPro, EigenProClassifier, KernelRidgeClassifier, ConjugateGradientClassifier]
)
def test_what_is_not_fitted_says_so(kind: Any) -> None:
    with pytest.raises(NotFittedError, match=f"{kind.__name__} instance is not fitted yet"):
        kind().predict(points()[0])


def test_preconditioning_saves_iterations() -> None:
    x, y = points()
    shared: dict[str, Any] = {
        "subsample": N,
        "batch": N,
        "ridge": 1e-3,
        "tolerance": 1e-3,
        "epochs": 20000,
    }
    plain, damped = (
        EigenProClassifier(gauss, top=top, patience=20000, **shared).fit(x, y) for top in (0, 60)
    )
    assert plain.stopped_ == damped.stopped_ == "tolerance"
    assert len(plain.history_) > 20 * len(damped.history_)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_a_fit_resumes_in_the_same_numbers(tmp_path: Path, loss: str) -> None:
    x, y = points()
    kind: dict[str, Any] = {"top": 20, "subsample": 60, "loss": loss, "batch": 30, "seed": 5}
    whole = EigenProClassifier(gauss, **kind, epochs=7, tolerance=0).fit(x, y)
    path = tmp_path / "fit.npz"
    EigenProClassifier(gauss, **kind, epochs=3, tolerance=0).fit(x, y, checkpoint=path)
    calls = []
    parts = EigenProClassifier(
        gauss,
        **kind,
        epochs=7,
        tolerance=0,
    ).fit(x, y, checkpoint=path, callback=calls.append)
    assert [row["epoch"] for row in calls] == [4, 5, 6, 7]
    np.testing.assert_array_equal(parts.dual_coef_, whole.dual_coef_)
    clocks = ("seconds",)
    for a, b in zip(parts.history_, whole.history_, strict=True):
        assert {k: v for k, v in a.items() if k not in clocks} == {
            k: v for k, v in b.items() if k not in clocks
        }
    again = EigenProClassifier(gauss, **kind, epochs=7, tolerance=0).fit(x, y, checkpoint=path)
    np.testing.assert_array_equal(again.dual_coef_, whole.dual_coef_)
    with pytest.raises(SettingError, match="another fit"):
        EigenProClassifier(gauss, **{**kind, "seed": 6}).fit(x, y, checkpoint=path)
    with pytest.raises(SettingError, match="another fit"):
        EigenProClassifier(gauss, **kind).fit(x, 2 - y, checkpoint=path)
    path.write_text("not a state")
    with pytest.raises(SettingError, match="no checkpoint"):
        EigenProClassifier(gauss, **kind).fit(x, y, checkpoint=path)


def test_kept_computed_and_read_kernels_agree(tmp_path: Path) -> None:
    x, y = points()
    kernel = FullyConnected(depth=2, normalise=True)
    kind: dict[str, Any] = {"top": 20, "subsample": 60, "batch": 40, "epochs": 6}
    kept = EigenProClassifier(kernel, **kind).fit(x, y)
    computed = EigenProClassifier(kernel, **kind, memory=0).fit(x, y)
    np.save(tmp_path / "k.npy", np.asarray(kernel(x)))
    matrix = np.load(tmp_path / "k.npy", mmap_mode="r")
    read = EigenProClassifier(Precomputed(matrix), **kind, memory=0).fit(np.arange(N), y)
    for other in (computed, read):
        np.testing.assert_allclose(
            other.decision_function(x if other is computed else np.arange(N)),
            kept.decision_function(x),
            atol=1e-3,
        )


def test_labels_may_be_anything() -> None:
    x, y = points()
    names = np.array(["ant", "bee", "cat"])[y]
    model = EigenProClassifier(top=20, loss="cross_entropy", train_accuracy=0.95, epochs=500)
    model.set_params(kernel=gauss).fit(x, names)
    assert model.stopped_ == "train_accuracy"
    assert set(model.predict(x)) == {"ant", "bee", "cat"}
    assert model.score(x, names) > 0.9
    assert model.history_[-1]["error"] <= 0.05


def test_it_stops_where_nothing_moves() -> None:
    """float32 products reach about 1e-6 of the gradient and no less."""
    x, y = points()
    kernel = FullyConnected(normalise=True)
    model = EigenProClassifier(top=40, ridge=0.01, tolerance=1e-12, epochs=2000, patience=10)
    assert model.set_params(kernel=kernel).fit(x, y).stopped_ == "patience"
    assert model.history_[-1]["gradient"] < 1e-4


@pytest.mark.parametrize("batch", [10, N])
def test_too_long_a_step_is_explained(batch: int) -> None:
    x, y = points()
    fitted = EigenProClassifier(gauss, top=20, batch=batch, epochs=1).fit(x, y)
    with pytest.raises(DivergedError, match="give a step of at most") as caught:
        EigenProClassifier(gauss, top=20, batch=batch, step=20 * fitted.step_, epochs=500).fit(x, y)
    assert f"{fitted.step_:.3g}" in str(caught.value)


def test_divergence_of_another_cause_is_not_blamed_on_the_subsample() -> None:
    x, y = points()

    def indefinite(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        b = a if b is None else b
        return gauss(a, b) - 0.3 * np.outer(np.sin(a[:, 0]), np.sin(b[:, 0]))

    settings: dict[str, Any] = {"top": 10, "epochs": 5000, "patience": 5000}
    with pytest.raises(DivergedError, match="negative eigenvalues"):
        EigenProClassifier(indefinite, **settings).fit(x, y)
    with pytest.raises(DivergedError, match="give a larger subsample"):
        EigenProClassifier(indefinite, **settings, subsample=60).fit(x, y)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"loss": "hinge"}, "squared or cross_entropy"),
        ({"top": -1}, "top=-1"),
        ({"top": 60, "subsample": 60}, "subsample has 60 points"),
        ({"top": N}, f"subsample has {N} points"),
        ({"top": 5, "subsample": N + 1}, f"there are {N} points"),
        ({"top": 5, "batch": N + 1}, f"there are {N} points"),
        ({"batch": 0}, "batch=0"),
        ({"step": -1.0}, "step"),
        ({"ridge": float("nan")}, "ridge"),
        ({"train_accuracy": 99}, "0.99"),
        ({"epochs": 0}, "epochs"),
        ({"top": True}, "top=True"),
        ({"top": 5.0}, "top=5.0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, Any], named: str) -> None:
    x, y = points()
    with pytest.raises(SettingError, match=named):
        EigenProClassifier(gauss, **given).fit(x, y)


def test_a_top_beyond_the_rank_is_refused() -> None:
    x, y = points()
    with pytest.raises(SettingError, match="give top=5 or less"):
        EigenProClassifier(lambda a, b: a @ b.T, top=30).fit(x, y)


@pytest.mark.parametrize("kind", [EigenProClassifier, KernelRidgeClassifier])
def test_data_that_cannot_be_fitted_is_refused(kind: Any) -> None:
    x, y = points()
    solver = kind(gauss)
    with pytest.raises(DataError, match=r"one class, 0: .* at least two classes"):
        solver.fit(x, np.zeros(N, int))
    with pytest.raises(DataError, match="one class, 'ant': "):
        solver.fit(x, np.full(N, "ant"))
    with pytest.raises(ValueError, match="Unknown label type"):
        solver.fit(x, np.linspace(0, 1, N))
    with pytest.raises(ValueError, match="1d array"):
        solver.fit(x, np.zeros((N, 2)))
    with pytest.raises(DataError, match="119 labels"):
        solver.fit(x, y[:-1])
    with pytest.raises(ValueError, match="NaN"):
        solver.fit(x, np.where(np.arange(N) == 3, np.nan, y))
    broken = x.copy()
    broken[7] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        solver.fit(broken, y)
    with pytest.raises(DataError, match="kernel gave NaN"):
        kind(lambda a, b: gauss(a, b) * np.nan).fit(x, y)


def test_a_sweep_is_many_ridges() -> None:
    """The names that ``from nasproxy.solvers import ridge`` is good for."""
    x, y = points()
    other, _ = points(50, seed=1)
    predicted = ridge.KernelSweep(gauss(x), np.eye(3)[y] - 1 / 3).predict(gauss(other, x), [0.1, 2])
    on_features = ridge.sweep(x, other, np.eye(3)[y] - 1 / 3, [0.1, 2])
    for i, regulariser in enumerate((0.1, 2)):
        model = KernelRidgeClassifier(ridge=regulariser)
        expected = model.set_params(kernel=gauss).fit(x, y).decision_function(other)
        np.testing.assert_allclose(predicted[i], expected, atol=1e-10)
        linear = model.set_params(kernel=lambda a, b: a @ b.T).fit(x, y)
        np.testing.assert_allclose(on_features[i], linear.decision_function(other), atol=1e-10)


def test_a_singular_system_is_explained() -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    gram = x @ x.T - 1e-3 * np.eye(80)
    with pytest.raises(SettingError, match="not positive definite") as caught:
        direct.solve(gram, np.ones((80, 1)), 1e-6)
    advised = float(str(caught.value).split("ridge of at least ")[1].split(",")[0])
    assert np.isfinite(direct.solve(gram, np.ones((80, 1)), advised)).all()


@pytest.mark.parametrize("block", [7, 40, 100])
def test_systems_are_solved_block_by_block(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(direct, "BLOCK", block)
    rng = np.random.default_rng(0)
    factor, targets = rng.normal(size=(80, 90)), rng.normal(size=(80, 3))
    gram = factor @ factor.T
    expected = np.linalg.solve(gram + 0.1 * np.trace(gram) / 80 * np.eye(80), targets)
    np.testing.assert_allclose(direct.solve(gram, targets, 0.1), expected, rtol=1e-9)
