"""States of a fit on disk: those of this fit are taken up, all others are refused in a line."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasproxy.errors import SettingError, StoreError
from nasproxy.solvers import EigenPro

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 2))


def rbf(a: Any, b: Any) -> Any:
    return np.exp(-np.square(a[:, None] - b[None]).sum(-1))


def fitted(path: Path | None, epochs: int = 6, top: int | None = 4) -> EigenPro:
    model = EigenPro(rbf, top=top, subsample=20, batch=10, epochs=epochs, tolerance=0, patience=99)
    return model.fit(X, Y, checkpoint=path)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """As a fit of three epochs writes it."""
    path = tmp_path_factory.mktemp("state") / "fit.npz"
    fitted(path, epochs=3)
    with np.load(path) as file:
        return dict(file)


def history(state: dict[str, Any], **changes: Any) -> str:
    rows = json.loads(str(state["history"]))
    rows[1] |= changes
    return json.dumps(rows)


CRAFTED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "many epochs": lambda s: {"epoch": 10**9},
    "more epochs": lambda s: {"epoch": 4},
    "no epochs": lambda s: {"epoch": 0, "history": "[]"},
    "negative epochs": lambda s: {"epoch": -1},
    "epochs as an array": lambda s: {"epoch": np.arange(3)},
    "epochs as text": lambda s: {"epoch": "three"},
    "epochs of NaN": lambda s: {"epoch": np.nan},
    "half an epoch": lambda s: {"epoch": 2.5},
    "history that is no JSON": lambda s: {"history": "[{"},
    "history deep": lambda s: {"history": "[" * 100_000},
    "history of numbers": lambda s: {"history": "[1, 2, 3]"},
    "history of text": lambda s: {"history": history(s, loss="low")},
    "history of NaN": lambda s: {"history": history(s, gradient=float("nan"))},
    "history of null": lambda s: {"history": history(s, gradient=None)},
    "history out of order": lambda s: {"history": history(s, epoch=7)},
    "history of errors beyond 1": lambda s: {"history": history(s, error=3)},
    "history with more": lambda s: {"history": history(s, more=1)},
    "history an object": lambda s: {"history": "{}"},
    "history as bytes": lambda s: {"history": np.arange(4)},
    "negative time": lambda s: {"spent": -1.0},
    "infinite time": lambda s: {"spent": np.inf},
    "alpha transposed": lambda s: {"alpha": s["alpha"].T},
    "alpha of fewer points": lambda s: {"alpha": s["alpha"][:-1]},
    "alpha with a column more": lambda s: {"alpha": np.ones((40, 3))},
    "alpha of one column": lambda s: {"alpha": s["alpha"][:, :1]},
    "alpha flat": lambda s: {"alpha": s["alpha"].ravel()},
    "alpha of NaN": lambda s: {"alpha": s["alpha"] * np.nan},
    "alpha float32": lambda s: {"alpha": s["alpha"].astype(np.float32)},
    "alpha of whole numbers": lambda s: {"alpha": s["alpha"].astype(int)},
    "alpha complex": lambda s: {"alpha": s["alpha"] + 0j},
    "alpha text": lambda s: {"alpha": s["alpha"].astype(str)},
    "vectors of others": lambda s: {"vectors": s["vectors"][:-1]},
    "vectors fewer": lambda s: {"vectors": s["vectors"][:, :-1]},
    "vectors of NaN": lambda s: {"vectors": s["vectors"] * np.nan},
    "eigenvalues fewer": lambda s: {"eigenvalues": s["eigenvalues"][:-1]},
    "eigenvalues rising": lambda s: {"eigenvalues": s["eigenvalues"][::-1]},
    "eigenvalues of 0": lambda s: {"eigenvalues": 0 * s["eigenvalues"]},
    "level 0": lambda s: {"level": 0.0},
    "reach negative": lambda s: {"reach": -1.0},
    "ridge NaN": lambda s: {"ridge": np.nan},
    "a field more": lambda s: {"more": 1},
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_state_is_refused(name: str, state: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    np.savez(path, **(state | CRAFTED[name](state)))
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"is damaged: .*; remove it") as caught:
        fitted(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert path.read_bytes() == before


@pytest.mark.parametrize("field", ["alpha", "epoch", "spent", "history", "vectors", "reach"])
def test_a_state_with_something_missing_is_refused(
    field: str, state: dict[str, Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "fit.npz", **{k: v for k, v in state.items() if k != field})
    with pytest.raises(StoreError, match=f"{field} missing"):
        fitted(tmp_path / "fit.npz")


def test_whatever_is_no_state_is_said_to_be_none(state: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    np.savez(path, **state)
    whole = path.read_bytes()

    def of_one_array() -> None:
        with path.open("wb") as file:
            np.save(file, state["alpha"])

    def of_objects() -> None:
        objects: Any = {"history": np.array([{}], object)}
        np.savez(path, **(state | objects))

    def of_gigabytes() -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("alpha.npy", bytes(2**28))

    for make in (
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(whole[:-100]),
        lambda: path.write_bytes(b"PK\x03\x04" + bytes(100)),
        of_one_array,
        of_objects,
        of_gigabytes,
    ):
        make()
        with pytest.raises(SettingError, match="is no checkpoint") as caught:
            fitted(path)
        assert "\n" not in str(caught.value)
    np.savez(path, alpha=1)
    with pytest.raises(SettingError, match="of another fit"):
        fitted(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SettingError, match="no regular file"):
        fitted(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_changes_nothing(
    where: float, bit: int, state: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "fit.npz"
    np.savez(path, **state)
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = fitted(path)
    except (SettingError, StoreError):
        return
    np.testing.assert_array_equal(found.dual_coef_, fitted(None).dual_coef_)


@pytest.mark.parametrize("top", [4, None])
def test_a_sound_state_is_taken_up(top: int | None, tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    fitted(path, epochs=3, top=top)
    calls = fitted(path, top=top)
    np.testing.assert_array_equal(calls.dual_coef_, fitted(None, top=top).dual_coef_)
    assert calls.n_iter_ == 6
