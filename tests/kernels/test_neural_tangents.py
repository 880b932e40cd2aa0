"""neural-tangents imports on current JAX, computes what it should, and leaves JAX as it was."""

import subprocess
import sys

import numpy as np
import pytest

from nasproxy.errors import DependencyError
from nasproxy.kernels import neural_tangents
from tests.conftest import ROOT

pytest.importorskip("frozendict", reason="neural-tangents is not installed")
nt = neural_tangents.load()


def in_fresh_process(code: str) -> None:
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def arc_cosine(x: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """NNGP and NTK of ReLU layers with weights of variance 2 (Cho and Saul 2009, degrees 1, 0)."""
    nngp = 2 * x @ x.T / x.shape[1]
    ntk = nngp
    for _ in range(depth):
        norms = np.sqrt(np.diag(nngp))
        angle = np.arccos(np.clip(nngp / np.outer(norms, norms), -1, 1))
        slope = (np.pi - angle) / np.pi
        nngp = np.outer(norms, norms) * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
        ntk = nngp + slope * ntk
    return nngp, ntk


@pytest.mark.parametrize("depth", [1, 3])
def test_relu_kernels_are_arc_cosine_kernels(depth: int) -> None:
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    layers = [layer for _ in range(depth) for layer in (nt.stax.Dense(1, 2**0.5), nt.stax.Relu())]
    _, _, kernel_fn = nt.stax.serial(*layers, nt.stax.Dense(1, 2**0.5))
    kernels = kernel_fn(x, None, ("nngp", "ntk"))
    nngp, ntk = arc_cosine(x.astype(np.float64), depth)
    np.testing.assert_allclose(kernels.nngp, nngp, rtol=1e-4)
    np.testing.assert_allclose(kernels.ntk, ntk, rtol=2e-3)


def test_jax_is_left_as_it_was() -> None:
    """In a process of its own, where no other import has changed it; warnings are errors."""
    in_fresh_process("""
import sys
import jax.core
from jax.interpreters import ad
from nasproxy.kernels import neural_tangents
before = set(vars(jax.core)), set(vars(ad)), "jax.util" in sys.modules
module = neural_tangents.load()
assert (set(vars(jax.core)), set(vars(ad)), "jax.util" in sys.modules) == before
assert neural_tangents.load() is module is sys.modules["neural_tangents"]
assert not [name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "tf2jax")]
""")


def test_many_threads_get_one_module() -> None:
    in_fresh_process("""
from concurrent.futures import ThreadPoolExecutor
from nasproxy.kernels import neural_tangents
with ThreadPoolExecutor(8) as pool:
    modules = [f.result() for f in [pool.submit(neural_tangents.load) for _ in range(16)]]
assert len(set(map(id, modules))) == 1
assert callable(modules[0].empirical_ntk_fn)
""")


def test_a_missing_package_is_named() -> None:
    in_fresh_process("""
import sys
from nasproxy.errors import DependencyError
from nasproxy.kernels import neural_tangents
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nowhere())
for missing, message in ("frozendict", "(No module named 'frozendict')"), ("", None):
    try:
        neural_tangents.load()
    except DependencyError as error:
        assert message in str(error), error
        assert "neural_tangents" not in sys.modules
    else:
        assert message is None, "loads once nothing is missing"
""")


def test_not_installed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "neural_tangents")
    monkeypatch.setattr(neural_tangents, "find_spec", lambda _: None)
    with pytest.raises(DependencyError, match=r"nasproxy\[analytic\]"):
        neural_tangents.load()
