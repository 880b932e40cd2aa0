"""neural-tangents' kernel functions in our solvers and blocks."""

from typing import Any

import numpy as np
import pytest

from nasproxy.errors import DataError, SettingError
from nasproxy.kernels import FullyConnected, neural_tangents, stax
from nasproxy.solvers import KernelRidge

pytest.importorskip("frozendict", reason="neural-tangents is not installed")
nt = neural_tangents.load().stax
dense = nt.Dense(1, W_std=2**0.5, b_std=0.1)
_, _, network = nt.serial(dense, nt.Relu(), dense)


def inputs(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6))


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_batches_are_the_closed_form(kind: str) -> None:
    x, y = inputs(11), inputs(7, 1)
    kernel, ours = (
        stax(network, kind, batch=4, dtype="float64"),
        FullyConnected(1, kind, dtype="float64"),
    )
    np.testing.assert_allclose(kernel(x, y), ours(x, y), rtol=1e-8)
    np.testing.assert_allclose(kernel(x), ours(x), rtol=1e-7)
    np.testing.assert_allclose(kernel.diagonal(x), ours.diagonal(x), rtol=1e-7)


def test_only_the_upper_half_is_computed() -> None:
    calls = []

    def counted(a: Any, b: Any, get: str) -> Any:
        calls.append(len(a) * len(a if b is None else b))
        return network(a, b, get)

    block = stax(counted, batch=2)(inputs(8))
    assert sum(calls) == 4 * (4 + 3 + 2 + 1)
    np.testing.assert_array_equal(block, block.T)


def test_solvers_take_it() -> None:
    x, y = inputs(10), np.arange(10.0)
    found = KernelRidge(kernel=stax(network, dtype="float64"), ridge=1e-6).fit(x, y)
    ours = KernelRidge(kernel=FullyConnected(1, dtype="float64"), ridge=1e-6).fit(x, y)
    np.testing.assert_allclose(found.predict(inputs(3, 1)), ours.predict(inputs(3, 1)), rtol=1e-4)


@pytest.mark.parametrize(
    ("given", "named"),
    [({"kind": "both"}, "kind='both'"), ({"batch": 0}, "batch=0"), ({"dtype": "int8"}, "int8")],
)
def test_settings_out_of_range_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        stax(network, **given)
    with pytest.raises(SettingError, match="third of what"):
        stax(nt)


def test_inputs_are_checked() -> None:
    x = inputs(4)
    with pytest.raises(DataError, match="one shape"):
        stax(network)(x, x[:, :3])
    x[2, 1] = np.inf
    with pytest.raises(DataError, match="input 2"):
        stax(network)(x)
