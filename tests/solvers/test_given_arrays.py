"""What solvers are given: the caller's dtype decides nothing, and what is no array is refused."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nasproxy.errors import DataError, SettingError
from nasproxy.kernels import FullyConnected, measures
from nasproxy.kernels.inputs import Inputs
from nasproxy.solvers import (
    ConjugateGradient,
    ConjugateGradientClassifier,
    EigenPro,
    EigenProClassifier,
    KernelRidge,
    KernelRidgeClassifier,
    Precomputed,
)
from nasproxy.solvers.direct import solve
from nasproxy.solvers.ridge import KernelSweep, RidgeSweep

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(30, 4)), np.arange(30) % 3
TARGETS = RNG.normal(size=(30, 2))
EPSILONS = np.logspace(-4, 1, 4)
CLASSIFIERS: list[Callable[[Any], Any]] = [
    lambda kernel: KernelRidgeClassifier(kernel),
    lambda kernel: ConjugateGradientClassifier(kernel, rank=8, tolerance=1e-10),
    lambda kernel: ConjugateGradientClassifier(kernel, rank=0, tolerance=1e-10),
    lambda kernel: EigenProClassifier(kernel, top=3, tolerance=1e-8, epochs=2000),
]
REGRESSORS: list[Callable[[Any], Any]] = [
    lambda kernel: KernelRidge(kernel),
    lambda kernel: ConjugateGradient(kernel, rank=8),
    lambda kernel: EigenPro(kernel, top=3),
]


def rbf(a: Any, b: Any) -> NDArray[np.float64]:
    apart = np.asarray(a, float)[:, None] - np.asarray(b, float)[None]
    return np.exp(-np.square(apart).sum(-1) / 2)


def whole(a: Any, b: Any) -> NDArray[np.int64]:
    """A kernel of whole numbers: a polynomial of whole inputs, and the points themselves."""
    return (a @ b.T).astype(np.int64) ** 2 + 50 * (a[:, None] == b[None]).all(-1)


@pytest.mark.parametrize("machine", CLASSIFIERS)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint32, object, np.float32, jnp.int32])
def test_a_kernels_dtype_is_not_the_arithmetics(machine: Callable[..., Any], dtype: Any) -> None:
    x = RNG.integers(-4, 5, size=(30, 4))

    def cast(a: Any, b: Any) -> Any:
        block = whole(a, b)
        return jnp.asarray(block, dtype) if dtype is jnp.int32 else block.astype(dtype)

    expected = machine(lambda a, b: whole(a, b).astype(float)).fit(x, LABELS)
    found = machine(cast).fit(x, LABELS)
    tolerance = 1e-2 if dtype is np.float32 else 1e-9
    np.testing.assert_allclose(
        found.decision_function(x), expected.decision_function(x), atol=tolerance
    )
    assert np.abs(expected.decision_function(x)).max() > 0.1


@settings(max_examples=30, deadline=None)
@given(
    dtype=st.sampled_from(["int8", "uint8", "bool", "float16", "int64", "float32", "object"]),
    n=st.integers(2, 12),
    d=st.integers(1, 16),
    seed=st.integers(0, 10**6),
)
def test_sweeps_are_float64_whatever_comes(dtype: str, n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    phi = rng.integers(0, 2 if dtype == "bool" else 100, size=(n, d))
    phi[0] = 1
    targets = rng.integers(0, 2, size=(n, 3))
    exact = phi.astype(float)
    expected = RidgeSweep(exact, targets.astype(float)).predict(exact, EPSILONS)
    found = RidgeSweep(phi.astype(dtype), targets.astype(bool)).predict(phi.astype(dtype), EPSILONS)
    np.testing.assert_array_equal(found, expected)
    gram = exact @ exact.T
    by_kernel = KernelSweep(gram.astype(np.int64), targets).predict(gram.astype(int), EPSILONS)
    np.testing.assert_allclose(by_kernel, expected, atol=1e-7)
    for epsilon, prediction in zip(EPSILONS, expected, strict=True):
        system = gram + epsilon * np.trace(gram) / n * np.eye(n)
        plain = gram @ scipy.linalg.solve(system, targets.astype(float))
        np.testing.assert_allclose(prediction, plain, atol=1e-7)


@pytest.mark.parametrize(("n", "d"), [(9, 4), (4, 9)])
def test_fitted_predictions_are_those_of_the_training_rows(n: int, d: int) -> None:
    phi, targets = RNG.normal(size=(n, d)), RNG.normal(size=(n, 2))
    one = RidgeSweep(phi, targets)
    np.testing.assert_allclose(one.fitted(EPSILONS), one.predict(phi, EPSILONS), atol=1e-9)
    gram = phi @ phi.T
    other = KernelSweep(gram, targets)
    np.testing.assert_allclose(other.fitted(EPSILONS), other.predict(gram, EPSILONS), atol=1e-9)


NOT_NUMBERS = {
    "sparse": (lambda a: scipy.sparse.csr_matrix(np.asarray(a, float)), "sparse|Sparse"),
    "sparse array": (lambda a: scipy.sparse.coo_array(np.asarray(a, float)), "sparse|Sparse"),
    "masked": (lambda a: np.ma.masked_equal(a, np.max(a)), "masked"),
    "complex": (lambda a: np.asarray(a) + 0j, "complex|Complex"),
    "text": (lambda a: np.asarray(a).astype(str), "text|no numbers"),
    "text in objects": (lambda a: np.asarray(a).astype(str).astype(object), "text|no numbers"),
}


@pytest.mark.parametrize("odd", NOT_NUMBERS)
@pytest.mark.parametrize("machine", [*CLASSIFIERS, *REGRESSORS])
def test_what_are_no_numbers_is_refused_by_machines(machine: Callable[..., Any], odd: str) -> None:
    make, message = NOT_NUMBERS[odd]
    y: Any = LABELS if machine in CLASSIFIERS else TARGETS
    refused = (ValueError, TypeError)  # scikit-learn's own, of sparse inputs.
    fitted = machine(rbf).fit(X, y)
    tried: list[Callable[[], Any]] = [
        lambda: machine(rbf).fit(make(X), y),
        lambda: machine("precomputed").fit(make(rbf(X, X)), y),
        lambda: machine(lambda a, b: make(rbf(a, b))).fit(X, y),
        lambda: machine(Precomputed(make(rbf(X, X)))).fit(np.arange(30), y),
        lambda: fitted.predict(make(X)),
    ]
    if odd in ("sparse", "sparse array", "masked") or machine in REGRESSORS:
        tried.append(lambda: machine(rbf).fit(X, make(y[None] if y.ndim == 1 else y)))
    for attempt in tried:
        with pytest.raises(refused, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("odd", NOT_NUMBERS)
def test_what_are_no_numbers_is_refused_by_functions(odd: str) -> None:
    make, message = NOT_NUMBERS[odd]
    gram = rbf(X, X)
    for attempt in (
        lambda: RidgeSweep(make(X), TARGETS),
        lambda: RidgeSweep(X, make(TARGETS)),
        lambda: RidgeSweep(X, TARGETS).predict(make(X), EPSILONS),
        lambda: KernelSweep(make(gram), TARGETS),
        lambda: KernelSweep(gram, make(TARGETS)),
        lambda: solve(make(gram), TARGETS, 0.1),
        lambda: solve(gram, make(TARGETS), 0.1),
        lambda: measures.alignment(make(gram), TARGETS),
        lambda: measures.alignment(gram, make(TARGETS)),
        lambda: measures.condition(make(X[0])),
        lambda: Inputs.of(make(X)),
        lambda: FullyConnected()(X, make(X)),
        lambda: FullyConnected().diagonal(make(X)),
    ):
        with pytest.raises(DataError, match=message):
            attempt()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(broken: float) -> None:
    def spoilt(given: NDArray[np.float64]) -> NDArray[np.float64]:
        made = given.copy()
        made[-1, -1] = broken
        return made

    gram = rbf(X, X)
    for attempt in (
        lambda: RidgeSweep(spoilt(X), TARGETS),
        lambda: RidgeSweep(X, spoilt(TARGETS)),
        lambda: RidgeSweep(X, TARGETS).predict(spoilt(X), EPSILONS),
        lambda: RidgeSweep(X, TARGETS).predict(X, [1.0, broken]),
        lambda: KernelSweep(spoilt(gram), TARGETS),
        lambda: solve(spoilt(gram), TARGETS, 0.1),
        lambda: solve(gram, spoilt(TARGETS), 0.1),
        lambda: measures.alignment(spoilt(gram), TARGETS),
        lambda: measures.condition([1.0, broken]),
        lambda: FullyConnected()(spoilt(X)),
    ):
        with pytest.raises(DataError, match=r"NaN or infinity|finite"):
            attempt()


@pytest.mark.parametrize(
    "shape", [(30,), (30, 2, 1), (1, 2), (2, 30), (29, 2), (0, 2), ()], ids=str
)
def test_shapes_are_not_broadcast(shape: tuple[int, ...]) -> None:
    odd, gram = np.ones(shape), rbf(X, X)
    for attempt in (
        lambda: RidgeSweep(X, odd),
        lambda: KernelSweep(gram, odd),
        lambda: measures.alignment(gram, odd),
        lambda: KernelSweep(odd, TARGETS),
        lambda: RidgeSweep(X, TARGETS).predict(odd, EPSILONS),
    ):
        with pytest.raises(DataError, match=r"shape|targets|square"):
            attempt()


@pytest.mark.parametrize("epsilon", [0.0, -1e-3])
def test_regularisers_are_positive(epsilon: float) -> None:
    with pytest.raises(SettingError, match="give positive ones"):
        RidgeSweep(X, TARGETS).predict(X, [1.0, epsilon])


def test_matrices_that_are_no_kernels_are_refused_by_sweeps() -> None:
    gram = rbf(X, X)
    apart = np.square(X[:, None] - X[None]).sum(-1)
    for matrix, message in (
        (np.triu(gram), "not symmetric"),
        (-gram, "sign wrong"),
        (apart, "beyond what"),
        (gram - 0.5, "negative"),
        (0 * gram, "zero everywhere"),
        (gram[:20], "square"),
        (np.tanh(X @ X.T - 0.1), "negative"),
    ):
        with pytest.raises(DataError, match=message):
            KernelSweep(matrix, TARGETS[: len(matrix)])


@pytest.mark.parametrize("machine", CLASSIFIERS)
@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda a, b=None: rbf(a, a) if b is None else rbf(b, a), r"gave an array \[10, 30\]"),
        (lambda a, b: rbf(a, b) * (1 + np.arange(len(b))), "not symmetric|not agree"),
        (lambda a, b: rbf(a, b) + 0.3 * (len(a) != len(b)), "not agree"),
        (lambda a, b: rbf(a, b)[:, :, None], "gave an array"),
        (lambda a, b: rbf(a, b).mean(1), "gave an array"),
    ],
)
def test_kernel_functions_that_disagree_with_themselves(
    machine: Callable[..., Any], kernel: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        machine(kernel).fit(X, LABELS)


def test_a_diagonal_of_its_own_is_compared() -> None:
    class Own:
        def __call__(self, a: Any, b: Any) -> Any:
            return rbf(a, b)

        def diagonal(self, x: Any) -> Any:
            return np.full(len(x), 7.0)

    with pytest.raises(DataError, match="the kernel's own diagonal, 7"):
        EigenProClassifier(Own(), top=3).fit(X, LABELS)


@pytest.mark.parametrize("machine", CLASSIFIERS)
def test_inputs_of_another_shape_than_were_fitted(machine: Callable[..., Any]) -> None:
    fitted = machine(rbf).fit(X, LABELS)
    with pytest.raises(DataError, match=r"inputs of shape \[4, 1\], but \[4\] were fitted"):
        fitted.predict(X[..., None])


def test_constants_say_nothing_of_labels() -> None:
    """.1 is no binary fraction: centring leaves its rounding, which is no alignment."""
    assert measures.alignment(np.full((30, 30), 0.1), np.eye(3)[LABELS]) == 0
    with pytest.raises(DataError, match="no kernel's"):
        measures.condition([-1.0, 0.0])
