"""Kernels of convolutional networks: Numba, XLA, neural-tangents and finite networks agree."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasproxy.errors import DataError, DependencyError, SettingError
from nasproxy.kernels import CNNVec, Kernels, Myrtle, neural_tangents, stax
from nasproxy.kernels.convolutional import blocks, networks
from nasproxy.solvers import KernelRidge
from tests.conftest import ROOT

Network = CNNVec | Myrtle
NETWORKS = [
    Myrtle(5, "both", weight_variance=1.7, bias_variance=0.1),
    Myrtle(7, "both"),
    Myrtle(10, "both"),
    Myrtle(5, "both", end="flatten", bias_variance=0.1),
    CNNVec(3, "both"),
    CNNVec(2, "both", weight_variance=1.5, end="pool"),
]


def images(n: int, side: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, side, side, channels))


def theirs(kernel: Network) -> Any:
    """neural-tangents' kernel function of the same network."""
    try:
        nt = neural_tangents.load().stax
    except DependencyError as error:
        pytest.skip(str(error))
    weight, bias = kernel.weight_variance**0.5, kernel.bias_variance**0.5
    conv = nt.Conv(1, (3, 3), padding="SAME", W_std=weight, b_std=bias)
    phi = {
        "relu": nt.Relu,
        "erf": nt.Erf,
        "gelu": nt.Gelu,
        "exponential": lambda: nt.ExpNormalized(1, -1),
    }[kernel.activation]()
    conv = nt.serial(conv, nt.LayerNorm(eps=0.0)) if kernel.layer_norm else conv
    layers, last = [], len(kernel.stack.convolutions) - 1
    for stage, count in enumerate(kernel.stack.convolutions):
        layers += [conv, phi] * count + [nt.AvgPool((2, 2), (2, 2))] * (stage < last)
    end = nt.GlobalAvgPool() if kernel.end == "pool" else nt.Flatten()
    return nt.serial(*layers, end, nt.Dense(1, weight, bias))[2]


@pytest.fixture(params=["numba", "xla"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    monkeypatch.setattr(networks, "engine", lambda: request.param)
    return request.param


def check_against_theirs(kernel: Network, side: int) -> None:
    x, y = images(2, side), images(3, side, seed=1)
    cross, own, fn = kernel(x, y), kernel(x), theirs(kernel)
    for kind, a, b in zip(("nngp", "ntk"), cross, own, strict=True):
        reference = stax(fn, kind, dtype="float64")
        np.testing.assert_allclose(a, reference(x, y), rtol=1e-13)
        # Where images are the same, their arc cosine of 1 has lost half of its digits.
        np.testing.assert_allclose(b, reference(x), rtol=1e-13 if kind == "nngp" else 1e-8)


@pytest.mark.parametrize("kernel", NETWORKS, ids=str)
def test_equals_neural_tangents(engine: str, kernel: Network) -> None:
    check_against_theirs(replace(kernel, dtype="float64"), 8)


def test_stages_of_an_odd_side(engine: str) -> None:
    check_against_theirs(Myrtle(5, "both", dtype="float64"), 12)


@pytest.mark.parametrize("activation", ["erf", "gelu", "exponential"])
@pytest.mark.parametrize("network", [CNNVec(2, "both"), Myrtle(5, "both")], ids=str)
def test_other_activations_equal_neural_tangents(
    engine: str, activation: str, network: Network
) -> None:
    kernel = replace(network, activation=activation, bias_variance=0.1, dtype="float64")
    check_against_theirs(kernel, 4)


def test_layer_normalisation_equals_neural_tangents(engine: str) -> None:
    kernel = Myrtle(5, "both", bias_variance=0.1, dtype="float64", layer_norm=True)
    check_against_theirs(kernel, 4)


def test_normalised_layers_forget_the_scale_of_images(engine: str) -> None:
    """Without biases; an image without variance stays one."""
    x = images(3, 4)
    kernel = CNNVec(2, "both", bias_variance=0, dtype="float64", layer_norm=True)
    for one, other in zip(kernel(x), kernel(7 * x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    x[0] = 0
    assert (kernel(x).nngp[0] == 0).all()


@pytest.mark.parametrize("kernel", [Myrtle(10, "both"), CNNVec(8, "both")], ids=str)
def test_float32_is_float64_rounded(engine: str, kernel: Network) -> None:
    x = images(5)
    apart = ~np.eye(5, dtype=bool)
    exact = replace(kernel, dtype="float64")
    for single, double in zip(kernel(x), exact(x), strict=True):
        assert single.dtype == np.float32
        np.testing.assert_allclose(single[apart], double[apart], rtol=1e-6)
        np.testing.assert_allclose(np.diag(single), np.diag(double), rtol=1e-7)


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_both_is_either_and_the_diagonal_is_its_own(engine: str, kind: str) -> None:
    x = images(4)
    kernel = Myrtle(5, kind, dtype="float64")
    found = kernel(x)
    np.testing.assert_allclose(found, getattr(Myrtle(5, "both", dtype="float64")(x), kind))
    np.testing.assert_array_equal(kernel.diagonal(x), np.diag(found))
    np.testing.assert_array_equal(found, found.T)


def test_numba_groups_and_columns_are_one_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """More images than a group has lanes, in several column blocks, both ways round."""
    pytest.importorskip("numba", reason="Numba is not installed")
    x = images(150, 4)
    kernel = CNNVec(2, "both")
    monkeypatch.setattr(networks, "engine", lambda: "xla")
    expected = kernel(x)
    monkeypatch.setattr(networks, "engine", lambda: "numba")
    monkeypatch.setattr(blocks, "COLUMNS", 64)
    for block, other, cross in zip(kernel(x), expected, kernel(x[:70], x), strict=True):
        np.testing.assert_allclose(block, other, rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(cross[0, 1:], other[0, 1:], rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(cross[69, :69], other[69, :69], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("kernel", [CNNVec(2), Myrtle(5), Myrtle(5, end="flatten")], ids=str)
def test_finite_networks_have_this_nngp(kernel: Network, lenient: None) -> None:
    """Mean over random networks of 256 channels, within five standard errors."""
    kernel = replace(kernel, kind="nngp", bias_variance=0.1)
    x = jnp.asarray(images(3), jnp.float32)
    rng, width, draws = np.random.default_rng(0), 256, 40

    @jax.jit
    def conv(h: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
        z = jax.lax.conv_general_dilated(
            h, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jax.nn.relu(z + b)

    products = []
    for _ in range(draws):
        h = x
        for stage, count in enumerate(kernel.stack.convolutions):
            if stage:
                n, side = h.shape[:2]
                h = h.reshape(n, side // 2, 2, side // 2, 2, -1).mean((2, 4))
            for _ in range(count):
                c = h.shape[-1]
                w = rng.normal(size=(3, 3, c, width)) * np.sqrt(2 / (9 * c))
                b = rng.normal(size=width) * np.sqrt(0.1)
                h = conv(h, jnp.asarray(w, jnp.float32), jnp.asarray(b, jnp.float32))
        h = h.mean((1, 2)) if kernel.end == "pool" else h.reshape(len(h), -1)
        products.append(2 * np.asarray(h @ h.T, np.float64) / h.shape[1] + 0.1)
    error = np.std(products, axis=0) / np.sqrt(draws)
    found = kernel(np.asarray(x))
    assert (np.abs(np.mean(products, axis=0) - found) < 5 * error).all()
    assert (error < 0.03 * found).all()  # Otherwise any kernel would pass.


def test_black_pixels_have_no_angle(engine: str) -> None:
    """Without a bias their variance is 0: what they touch is 0, and nothing NaN."""
    x = images(2)
    x[0, :5] = 0
    kernel = CNNVec(1, "nngp", bias_variance=0, dtype="float64")
    found = kernel(x)
    assert np.isfinite(found).all()
    # k(x, x) of one ReLU layer is the mean of its variances: 2/3·|x|² over 9 pixels.
    padded = np.pad(np.square(x[0]).sum(-1) * 2 / 3, 1)
    shifts = [padded[i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    assert found[0, 0] == pytest.approx(np.sum(shifts, 0).mean() / 9)


def test_solvers_take_them() -> None:
    x, y = images(12), np.arange(12.0)
    kernel = CNNVec(2)
    model = KernelRidge(kernel=kernel, ridge=1e-6).fit(x, y)
    np.testing.assert_allclose(model.predict(x), y, atol=0.05)
    assert model.set_params(kernel__depth=3).kernel == CNNVec(3)


def test_images_made_ready_are_the_same() -> None:
    x = images(5)
    kernel = Myrtle(5)
    ready = kernel.prepare(x)
    np.testing.assert_array_equal(kernel(ready), kernel(x))
    np.testing.assert_allclose(kernel(ready[1:3], ready[3:]), kernel(x)[1:3, 3:], rtol=1e-6)
    with pytest.raises(DataError, match="prepare them by this kernel"):
        Myrtle(7)(ready)


def test_machine_code_is_kept_and_found_by_the_next_process(tmp_path: Any) -> None:
    pytest.importorskip("numba", reason="Numba is not installed")
    code = """
import sys, numpy as np
from nasproxy.kernels import CNNVec
assert "numba" not in sys.modules
CNNVec(1, "nngp")(np.ones((2, 4, 4, 1)))
from nasproxy.kernels.convolutional.native import programs
print(sum(programs._compiled("relu", False, "float32", False).stats.cache_hits.values()))
"""
    hits = []
    for _ in range(2):
        made = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PATH": "", "NASPROXY_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert made.returncode == 0, made.stderr
        hits.append(int(made.stdout))
    assert hits == [0, 1]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: CNNVec(0), "depth=0"),
        (lambda: Myrtle(6), "layers=6.*5, 7 or 10"),
        (lambda: Myrtle(kind="rbf"), "kind='rbf'"),
        (lambda: Myrtle(activation="swish"), "'swish'"),
        (lambda: CNNVec(end="max"), "'max'"),
        (lambda: CNNVec(weight_variance=0), "weight_variance"),
        (lambda: CNNVec(bias_variance=-1), "bias_variance"),
        (lambda: CNNVec(dtype="float16"), "float16"),
        (lambda: CNNVec(1, "both").diagonal(images(1, 4)), "two diagonals"),
        (lambda: CNNVec(1)(images(2, 4) * 1e25), "float64, or images"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, named: str) -> None:
    with pytest.raises(SettingError, match=named):
        make()


@pytest.mark.parametrize(
    ("x", "named"),
    [
        (images(2).reshape(2, -1), r"\[n, h, w, c\]"),
        (images(2).transpose(0, 3, 1, 2), "channels last"),
        (images(2, 6), "multiple of 4"),
        (np.where(images(3) > 3, np.nan, images(3)) * np.nan, "image 0 holds NaN"),
        (images(2) * 1e200, "overflows"),
        (images(2) * 1j, "complex"),
    ],
)
def test_what_are_no_images_is_refused(x: np.ndarray, named: str) -> None:
    with pytest.raises(DataError, match=named):
        Myrtle(5)(x)


def test_images_of_two_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="images of one shape"):
        CNNVec(1)(images(2, 8), images(2, 4))


def test_both_has_names() -> None:
    assert isinstance(CNNVec(1, "both")(images(2, 4)), Kernels)
