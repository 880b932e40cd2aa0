"""Analytic kernels against neural-tangents, the recursion in 80 bits, and finite networks."""

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.errors import DataError, DependencyError, SettingError
from nasproxy.kernels import FullyConnected, fully_connected, neural_tangents, tiles

eighty_bits = pytest.mark.skipif(
    bool(np.finfo(np.longdouble).eps > 1e-18), reason="this machine's long double is a double"
)


def inputs(n: int, size: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)


def hard_inputs() -> np.ndarray:
    """Equal, nearly equal, opposite, nearly opposite and scaled inputs among ordinary ones."""
    x = inputs(24, 16)
    noise = inputs(24, 16, seed=1)
    x[1] = x[0]
    x[3] = x[2] + 1e-5 * noise[3]
    x[5] = 1.5 * x[4] + 1e-3 * noise[5]
    x[7] = -x[6]
    x[9] = -2 * x[8] + 1e-4 * noise[9]
    x[11] = 30 * x[10]
    x[13] = x[12] + 0.1 * noise[13]
    return x


def recursion(
    x: np.ndarray, depth: int, activation: str, weight: float, bias: float
) -> tuple[np.ndarray, np.ndarray]:
    """Textbook NNGP and NTK (Lee et al. 2019, appendix E) in 80 bits."""
    x = x.astype(np.longdouble)
    pi = 4 * np.arctan(np.longdouble(1))
    k = weight * (x @ x.T) / x.shape[1] + bias
    ntk = k.copy()
    for _ in range(depth):
        q = np.diag(k)
        if activation == "relu":
            scale = np.sqrt(np.outer(q, q))
            cosine = np.clip(k / scale, -1, 1)
            theta = np.arccos(cosine)
            dot = (pi - theta) / (2 * pi)
            k = scale * (np.sqrt(1 - cosine**2) + (pi - theta) * cosine) / (2 * pi)
        else:
            scale = np.sqrt(np.outer(1 + 2 * q, 1 + 2 * q))
            dot = 4 / pi / np.sqrt(scale**2 - 4 * k**2)
            k = 2 / pi * np.arcsin(2 * k / scale)
        k = weight * k + bias
        ntk = weight * ntk * dot + k
    return k, ntk


def assert_close(actual: Any, expected: np.ndarray, tolerance: float) -> None:
    """Relative to √(k(x, x) k(x', x'))."""
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    error = np.abs((np.asarray(actual) - expected) / scale).max()
    assert error < tolerance, float(error)


@eighty_bits
@pytest.mark.parametrize("depth", [1, 2, 5, 50, 200])
@pytest.mark.parametrize("bias", [0.0, 0.01, 0.5])
@pytest.mark.parametrize(("activation", "tolerance"), [("relu", 1e-5), ("erf", 5e-5)])
def test_float32_is_exact_to_depth_200(
    activation: str, tolerance: float, bias: float, depth: int
) -> None:
    x = hard_inputs()
    nngp, ntk = recursion(x, depth, activation, 2.0, bias)
    found = fully_connected(
        x, depth=depth, kernel="both", activation=activation, bias_variance=bias
    )
    assert found.nngp.dtype == np.float32
    assert_close(found.nngp, nngp, tolerance)
    assert_close(found.ntk, ntk, tolerance)


@eighty_bits
@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_float64(activation: str, weight: float) -> None:
    """Where the textbook's own angles keep their digits."""
    x = inputs(20, 16)
    for depth in (1, 7, 60):
        nngp, ntk = recursion(x, depth, activation, weight, 0.05)
        found = fully_connected(
            x,
            depth=depth,
            kernel="both",
            activation=activation,
            weight_variance=weight,
            bias_variance=0.05,
            dtype="float64",
        )
        assert found.ntk.dtype == np.float64
        assert_close(found.nngp, nngp, 1e-12)
        assert_close(found.ntk, ntk, 1e-9)


@pytest.fixture(scope="module")
def stax() -> Any:
    try:
        return neural_tangents.load().stax
    except DependencyError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize(("weight", "bias"), [(2.0, 0.01), (1.5, 0.0)])
def test_equals_neural_tangents(stax: Any, activation: str, weight: float, bias: float) -> None:
    """In float64, for depths 1 to 50, in one pass of ours."""
    depths = (1, 2, 3, 10, 50)
    x1, x2 = inputs(7), inputs(5, seed=1)
    kernel = FullyConnected(
        activation=activation, weight_variance=weight, bias_variance=bias, dtype="float64"
    )
    dense = stax.Dense(1, W_std=weight**0.5, b_std=bias**0.5, parameterization="ntk")
    nonlinearity = stax.Relu() if activation == "relu" else stax.Erf()
    with jax.enable_x64(True):
        for depth, block in zip(depths, kernel.grid(x1, x2, depths), strict=True):
            _, _, theirs = stax.serial(*[dense, nonlinearity] * depth, dense)
            ntk = theirs(x1.astype(np.float64), x2.astype(np.float64), "ntk")
            np.testing.assert_allclose(block, ntk, rtol=1e-8)


@pytest.mark.parametrize(("activation", "function"), [("relu", None), ("erf", "erf")])
def test_finite_networks_have_this_nngp(activation: str, function: str | None) -> None:
    """Mean over wide random networks of two hidden layers, within five standard errors."""
    rng = np.random.default_rng(0)
    x = inputs(4)
    products = []
    for _ in range(60):
        h = x.astype(np.float64)
        for width in (400, 400, 400):
            z = rng.normal(size=(h.shape[1], width)) * np.sqrt(2 / h.shape[1])
            z = h @ z + rng.normal(size=width) * np.sqrt(0.1)
            h = np.maximum(z, 0) if function is None else np.asarray(jax.scipy.special.erf(z))
        products.append(z @ z.T / z.shape[1])
    error = np.std(products, axis=0) / np.sqrt(len(products))
    found = fully_connected(x, depth=2, kernel="nngp", activation=activation, bias_variance=0.1)
    assert (np.abs(np.mean(products, axis=0) - found) < 5 * error + 0.01).all()


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_many_tiles_are_one_matrix(monkeypatch: pytest.MonkeyPatch, activation: str) -> None:
    x, other = hard_inputs(), inputs(19, 16, seed=3)
    kernel = FullyConnected(depth=4, activation=activation)
    one, cross = kernel(x), kernel(x, other)
    monkeypatch.setattr(tiles, "TILE", 16)
    np.testing.assert_allclose(kernel(x), one, rtol=0, atol=2e-5)
    np.testing.assert_allclose(kernel(x, other), cross, rtol=0, atol=2e-5)
    np.testing.assert_allclose(kernel(x, x), one, rtol=0, atol=2e-5)
    np.testing.assert_array_equal(kernel(x), np.asarray(kernel(x)).T)


def test_accelerators_take_another_way_to_the_same_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large tiles, the Gram matrix in float64 on the device, the result left there."""
    x, other = hard_inputs(), inputs(19, 16, seed=3)
    kernel = FullyConnected(depth=4)
    expected, cross = kernel(x), kernel(x, other)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(tiles, "ACCELERATOR_TILE", 16)
    found = kernel(x)
    assert isinstance(found, jax.Array)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(kernel(x, other), cross, rtol=0, atol=2e-5)


def test_a_grid_is_its_depths() -> None:
    x = inputs(30)
    depths = (1, 2, 7, 20)
    stacked = fully_connected(x, depths=depths)
    assert stacked.shape == (4, 30, 30)
    for depth, block in zip(depths, stacked, strict=True):
        np.testing.assert_allclose(block, fully_connected(x, depth=depth), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(stacked, fully_connected(x, depths=np.array(depths)))
    again = list(FullyConnected().grid(x, None, [20, 1, 7, 2, 7]))
    np.testing.assert_array_equal(stacked, again)


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_diagonal_and_normalisation(kind: str, activation: str) -> None:
    x = hard_inputs()
    kernel = FullyConnected(6, kind, activation)
    block = np.asarray(kernel(x))
    np.testing.assert_allclose(kernel.diagonal(x), np.diag(block), rtol=1e-6)
    unit = FullyConnected(6, kind, activation, normalise=True)
    scale = np.sqrt(np.outer(np.diag(block), np.diag(block)))
    np.testing.assert_allclose(unit(x), block / scale, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(unit.diagonal(x), np.ones(len(x)))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    depth=st.integers(1, 120),
    scale=st.floats(1e-18, 1e18),
    activation=st.sampled_from(["relu", "erf"]),
    kind=st.sampled_from(["ntk", "nngp"]),
)
def test_kernels_are_positive_and_know_no_units(
    seed: int, depth: int, scale: float, activation: str, kind: str
) -> None:
    """No negative eigenvalue; a ReLU network without biases is homogeneous."""
    x = np.random.default_rng(seed).normal(size=(16, 5))
    kernel = FullyConnected(depth, kind, activation, normalise=True)
    block = np.asarray(kernel(x)).astype(np.float64)
    assert np.linalg.eigvalsh(block)[0] > -1e-5
    free = FullyConnected(depth, kind, bias_variance=0, normalise=True)
    np.testing.assert_allclose(free(x * scale), free(x), rtol=0, atol=3e-6)


def test_images_are_flattened_and_prepared_inputs_are_the_same() -> None:
    x = inputs(10, 12)
    kernel = FullyConnected()
    ready = kernel.prepare(x)
    expected = kernel(x)
    np.testing.assert_array_equal(kernel(x.reshape(10, 2, 2, 3)), expected)
    np.testing.assert_array_equal(kernel(ready), expected)
    np.testing.assert_allclose(kernel(ready[2:5], ready), expected[2:5], rtol=0, atol=1e-5)


def test_a_black_image_needs_a_bias() -> None:
    x = inputs(4)
    x[2] = 0
    with pytest.raises(DataError, match=r"input 2 is all zeros.*bias_variance"):
        fully_connected(x, bias_variance=0.0)
    block = fully_connected(x, depth=1, kernel="nngp", bias_variance=0.25)
    # Its hidden layer is √(σ_b²) z, whatever the image: E[max(z, 0)²]·σ_w²·σ_b² + σ_b².
    assert block[2, 2] == pytest.approx(2 * 0.25 / 2 + 0.25)


def test_complex_inputs_are_refused() -> None:
    with pytest.raises(DataError, match="complex"):
        fully_connected(inputs(4) * 1j)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    x = inputs(4)
    x[3, 5] = bad
    with pytest.raises(DataError, match="input 3"):
        fully_connected(x)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"depth": 0}, "depth=0"),
        ({"depths": (1, 2.5)}, "2.5"),
        ({"depths": (3, 1)}, "ascending"),
        ({"depths": ()}, "at least one"),
        ({"kernel": "rbf"}, "kernel='rbf'.* or both"),
        ({"activation": "gelu"}, "'gelu'"),
        ({"weight_variance": 0}, "weight_variance"),
        ({"bias_variance": -1}, "bias_variance"),
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"weight_variance": 9.0, "depth": 200, "bias_variance": 0}, "nearer to 2"),
        ({"weight_variance": 0.2, "depth": 200, "bias_variance": 0}, "nearer to 2"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        fully_connected(inputs(3), **given)


def test_inputs_of_two_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="12 and of 7"):
        fully_connected(inputs(3), inputs(3, 7))
    with pytest.raises(DataError, match="shape"):
        fully_connected(np.ones(5))
