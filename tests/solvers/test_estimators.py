"""scikit-learn's contract: every solver, as regressor and as classifier, on any kind of kernel."""

from typing import Any

import numpy as np
import pytest
from sklearn import clone
from sklearn.kernel_ridge import KernelRidge as Peer
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from nasproxy.errors import DataError, SettingError
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import (
    BlockDiagonal,
    BlockDiagonalClassifier,
    ConjugateGradient,
    ConjugateGradientClassifier,
    EigenPro,
    EigenProClassifier,
    KernelRidge,
    KernelRidgeClassifier,
    Nystrom,
    NystromClassifier,
    Precomputed,
    SubsetOfRegressors,
    SubsetOfRegressorsClassifier,
)
from tests.solvers.test_eigenpro import gauss, points

REGRESSORS: dict[Any, dict[str, Any]] = {
    KernelRidge: {},
    ConjugateGradient: {"tolerance": 1e-8},
    EigenPro: {"tolerance": 1e-8, "epochs": 3000, "patience": 1000},
    SubsetOfRegressors: {},
    Nystrom: {},
    BlockDiagonal: {},
}
CLASSIFIERS: dict[Any, dict[str, Any]] = {
    KernelRidgeClassifier: {},
    ConjugateGradientClassifier: {"tolerance": 1e-8},
    EigenProClassifier: {"tolerance": 1e-8, "epochs": 3000, "patience": 1000},
    SubsetOfRegressorsClassifier: {},
    NystromClassifier: {},
    BlockDiagonalClassifier: {},
}
EVERY = [*REGRESSORS, *CLASSIFIERS]


@parametrize_with_checks([kind() for kind in EVERY])
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, labels = points(90)
    return x, labels, np.stack([np.sin(x[:, 0]), x[:, 1]], 1)


@pytest.mark.parametrize("kind", REGRESSORS)
def test_all_solvers_give_scikit_learns_answer(kind: Any) -> None:
    """With the mean eigenvalue 1, ``ridge`` is scikit-learn's ``alpha``."""
    x, _, y = data()
    model = kind(gauss, ridge=0.1, **REGRESSORS[kind]).fit(x, y)
    peer: Any = Peer(alpha=0.1, kernel="precomputed")  # type: ignore[arg-type]  # its stub is wrong
    peer.fit(gauss(x), y)
    np.testing.assert_allclose(model.dual_coef_, peer.dual_coef_, atol=1e-5)
    fresh = points(30, seed=1)[0]
    expected = peer.predict(gauss(fresh, x))
    np.testing.assert_allclose(model.predict(fresh), expected, atol=1e-5)
    assert model.score(x, y) == pytest.approx(r2_score(y, model.predict(x)))
    one = kind(gauss, ridge=0.1, **REGRESSORS[kind]).fit(x, y[:, 0])
    assert one.predict(fresh).shape == (30,)
    np.testing.assert_allclose(one.predict(fresh), expected[:, 0], atol=1e-5)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_all_classifiers_agree(kind: Any) -> None:
    x, labels, _ = data()
    names = np.array(["ant", "bee", "cat"])[labels]
    model = kind(gauss, ridge=0.1, **CLASSIFIERS[kind]).fit(x, names)
    alpha = np.linalg.solve(gauss(x) + 0.1 * np.eye(90), np.eye(3)[labels] - 1 / 3)
    np.testing.assert_allclose(model.dual_coef_, alpha, atol=1e-5)
    fresh = points(30, seed=1)[0]
    scores = gauss(fresh, x) @ alpha
    np.testing.assert_allclose(model.decision_function(fresh), scores, atol=1e-5)
    assert model.predict(fresh).tolist() == model.classes_[scores.argmax(1)].tolist()
    two = kind(gauss, ridge=0.1, **CLASSIFIERS[kind]).fit(x, labels == 1)
    ahead = two.decision_function(fresh)
    assert ahead.shape == (30,)
    assert ((ahead > 0) == two.predict(fresh)).all()


def plain(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A function of two arrays and no fewer."""
    return gauss(a, b)


class Exact:
    """A kernel object with the least that one has to have."""

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return gauss(a, b)


@pytest.mark.parametrize("kind", EVERY)
def test_kernels_of_all_kinds_give_one_answer(kind: Any) -> None:
    x, labels, y = data()
    target = labels if kind in CLASSIFIERS else y
    fresh = points(30, seed=1)[0]
    settings: dict[str, Any] = {"ridge": 0.1, **(REGRESSORS | CLASSIFIERS)[kind]}
    expected = kind(gauss, **settings).fit(x, target).predict(fresh)
    for kernel in (plain, Exact(), lambda a, b=None: gauss(a, b)):
        found = kind(kernel, **settings).fit(x, target).predict(fresh)
        np.testing.assert_array_equal(found, expected)
    precomputed = kind("precomputed", **settings).fit(gauss(x), target)
    np.testing.assert_allclose(_numbers(precomputed.predict(gauss(fresh, x))), _numbers(expected))
    everything = np.concatenate([x, fresh])
    matrix = Precomputed(gauss(everything))
    by_index = kind(matrix, **settings).fit(np.arange(90), target)
    np.testing.assert_allclose(_numbers(by_index.predict(np.arange(90, 120))), _numbers(expected))


def _numbers(predicted: np.ndarray) -> np.ndarray:
    return predicted.astype(float)


@pytest.mark.parametrize("kind", EVERY)
def test_images_are_taken_as_they_are(kind: Any) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(40, 4, 4, 3)).astype(np.float32), np.arange(40) % 2
    images[labels == 1] += 1
    model = kind(FullyConnected(2)).fit(images, labels)
    flat = kind(FullyConnected(2)).fit(images.reshape(40, -1), labels)
    np.testing.assert_allclose(
        model.predict(images[:7]), flat.predict(images[:7].reshape(7, -1)), atol=1e-4
    )


@pytest.mark.parametrize("kind", EVERY)
def test_parameters_are_those_of_scikit_learn(kind: Any) -> None:
    model = kind(FullyConnected(2), ridge=0.5)
    assert model.get_params()["kernel__depth"] == 2
    copy: Any = clone(model)
    copy.set_params(kernel__depth=5)
    assert (copy.kernel.depth, model.kernel.depth, copy.ridge) == (5, 2, 0.5)
    with pytest.raises(SettingError, match=r"ridge=-1 of \w+: give a number"):
        kind(gauss, ridge=-1).fit(*points())
    with pytest.raises(ValueError, match="kernel__width"):
        copy.set_params(kernel__width=5)
    with pytest.raises(ValueError, match="no parameters to set"):
        kind(gauss).set_params(kernel__depth=5)


@pytest.mark.parametrize("kind", EVERY)
def test_pipelines_and_searches(kind: Any) -> None:
    x, labels, y = data()
    target = labels if kind in CLASSIFIERS else y
    piped = make_pipeline(StandardScaler(), kind(FullyConnected(2), ridge=0.1)).fit(x, target)
    by_hand = kind(FullyConnected(2), ridge=0.1).fit(StandardScaler().fit_transform(x), target)
    np.testing.assert_array_equal(
        piped.predict(x), by_hand.predict(StandardScaler().fit_transform(x))
    )
    grid = {"kernel": [FullyConnected(1), FullyConnected(3)], "ridge": [1e-2, 1.0]}
    found = GridSearchCV(kind(), grid, cv=3).fit(x, target)
    assert found.best_params_["kernel"] in grid["kernel"]
    nested = GridSearchCV(kind(FullyConnected()), {"kernel__depth": [1, 2]}, cv=3).fit(x, target)
    assert nested.best_estimator_.kernel.depth in (1, 2)


@pytest.mark.parametrize("kind", EVERY)
def test_precomputed_kernels_are_cut_in_both_ways(kind: Any) -> None:
    """By cross-validation, which has to know that the columns are points too."""
    x, labels, y = data()
    target = labels if kind in CLASSIFIERS else y[:, 0]
    settings = (REGRESSORS | CLASSIFIERS)[kind]
    cut = cross_val_score(kind("precomputed", ridge=0.1, **settings), gauss(x), target, cv=3)
    whole = cross_val_score(kind(gauss, ridge=0.1, **settings), x, target, cv=3)
    np.testing.assert_allclose(cut, whole, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, bool, np.float16, np.float32])
def test_a_kernels_dtype_rounds_no_coefficients(dtype: Any) -> None:
    """Whole numbers are computed with as real ones, not the coefficients as whole numbers."""
    matrix = np.array([[4, 1, 0, 0], [1, 4, 0, 0], [0, 0, 4, 1], [0, 0, 1, 4]])
    matrix = np.eye(4) if dtype is bool else matrix
    labels, rows = np.array([0, 0, 1, 1]), np.arange(4)
    expected = KernelRidgeClassifier(Precomputed(matrix.astype(float))).fit(rows, labels)
    for kernel in (Precomputed(matrix.astype(dtype)), lambda a, b: matrix[np.ix_(a, b)]):
        if not isinstance(kernel, Precomputed):
            kernel.requires_vector_input = False  # type: ignore[attr-defined]  # of a function
        model = KernelRidgeClassifier(kernel).fit(rows, labels)
        found = model.decision_function(rows)
        np.testing.assert_allclose(found, expected.decision_function(rows), rtol=1e-6)
        assert abs(found).min() > 0.9


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        ("rbf", "kernel='rbf': give \"ntk\""),
        (3, "kernel=3: give a function of two arrays"),
        (lambda: 1, "give a function of two arrays"),
        (lambda a: a, "give a function of two arrays"),
        (lambda a, b: a, r"gave an array \[\d+, 6\] for \d+ and \d+ inputs"),
        (lambda a, b: gauss(a, b) * 1j, "complex"),
        (lambda a, b: np.full((len(a), len(b)), "x"), "no numbers"),
        (lambda a, b: gauss(a, b) * np.inf, "NaN or infinity"),
    ],
)
@pytest.mark.parametrize("kind", [KernelRidgeClassifier, EigenProClassifier])
def test_what_is_no_kernel_is_said(kind: Any, kernel: Any, said: str) -> None:
    x, y = points()
    with pytest.raises((SettingError, DataError), match=said):
        kind(kernel).fit(x, y)


def test_a_precomputed_matrix_has_to_fit() -> None:
    x, y = points(20)
    with pytest.raises(DataError, match="square"):
        KernelRidgeClassifier("precomputed").fit(gauss(x)[:, :10], y)
    model = KernelRidgeClassifier("precomputed").fit(gauss(x), y)
    with pytest.raises(ValueError, match="20 features"):
        model.predict(gauss(x)[:, :10])
    with pytest.raises(DataError, match="called with indices"):
        KernelRidgeClassifier(Precomputed(gauss(x))).fit(x, y)


def test_zero_targets_are_met_at_once() -> None:
    x, _ = points()
    for kind in REGRESSORS:
        assert not kind(gauss, ridge=0.1).fit(x, np.zeros(len(x))).predict(x).any()


K = np.array([[4.0, 1, 0, 0], [1, 4, 0, 0], [0, 0, 4, 1], [0, 0, 1, 4]])


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.triu(K), r"not symmetric: entry \[\d, \d\] is [01], \[\d, \d\] [01]"),
        (K.max() - K, "a kernel is largest where points are alike"),
        (-K, r"entry \[0, 0\] of the kernel is -4, .* never negative"),
        (np.where(K == 4, np.nan, K), "NaN"),
        (np.zeros((4, 4)), "zero"),
    ],
    ids=["half", "distances", "sign", "nan", "zero"],
)
@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("how", ["matrix", "indices", "function"])
def test_matrices_that_are_no_kernels(kind: Any, matrix: np.ndarray, said: str, how: str) -> None:
    """In every solver, however the matrix comes; no ridge is advised that would not help."""
    rows, labels = np.arange(4), np.array([0, 0, 1, 1])
    settings: dict[str, Any] = {} if kind is not EigenProClassifier else {"top": 1}

    def function(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return matrix[np.ix_(a[:, 0].astype(int), b[:, 0].astype(int))]

    kernel, inputs = {
        "matrix": ("precomputed", matrix),
        "indices": (Precomputed(matrix), rows),
        "function": (function, rows[:, None].astype(float)),
    }[how]
    with pytest.raises(ValueError, match=f"{said}|NaN") as caught:
        kind(kernel, **settings).fit(inputs, labels)
    assert "ridge" not in str(caught.value)


def test_sparse_inputs_are_refused() -> None:
    from scipy.sparse import csr_array

    for kernel in ("precomputed", "ntk"):
        with pytest.raises(TypeError, match=r"[Ss]parse"):
            KernelRidgeClassifier(kernel).fit(csr_array(K), np.array([0, 0, 1, 1]))
