"""Fitted models in files: read back as they were, or refused in a line."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasproxy import solvers
from nasproxy.errors import SettingError, StoreError
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import KernelRidge, KernelRidgeClassifier, load, save
from nasproxy.tiles import Tiles
from tests.solvers.test_eigenpro import gauss, points
from tests.support.kernels import Gauss

KINDS = sorted(name for name in solvers.__all__ if hasattr(getattr(solvers, name), "fit"))


@pytest.mark.parametrize("name", KINDS)
def test_every_model_comes_back(name: str, tmp_path: Path) -> None:
    x, labels = points(90)
    fresh = points(30, seed=1)[0]
    targets = labels if name.endswith("Classifier") else np.stack([x[:, 0], x[:, 1]], 1)
    model = getattr(solvers, name)(FullyConnected(depth=2, bias_variance=np.float64(0.3)))
    model.set_params(ridge=np.float32(0.5)).fit(x, targets)
    save(model, tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert type(again) is type(model)
    assert again.get_params()["kernel"] == model.kernel
    np.testing.assert_array_equal(again.predict(fresh), model.predict(fresh))
    for one in ("deviation", "sample"):
        if hasattr(model, one):
            np.testing.assert_array_equal(getattr(again, one)(fresh), getattr(model, one)(fresh))
    again.fit(x, targets)
    np.testing.assert_array_equal(again.predict(fresh), model.predict(fresh))


def test_labels_of_text_and_images(tmp_path: Path) -> None:
    x, labels = points(60)
    names = np.array(["ape", "bee", "cat"], object)[labels]
    images = x.reshape(60, 3, 2, 1)
    model = KernelRidgeClassifier("nngp").fit(images, names)
    save(model, tmp_path / "a")
    again = load(tmp_path / "a")
    assert again.predict(images).tolist() == model.predict(images).tolist()
    assert again.kernel == "nngp"


def test_kernels_that_are_nobodys_settings_are_given_again(tmp_path: Path) -> None:
    x, _ = points(70)
    path = tmp_path / "model"
    tiles = Tiles.create(tmp_path / "tiles", Gauss(), x, points(20)[0], side=64).compute()
    for kernel, inputs, other in (
        (gauss, x, Gauss(width=1.0)),
        (tiles, tiles.train, lambda a, b: np.ones((len(a), len(b)))),
    ):
        model = KernelRidge(kernel).fit(inputs, x[:, 0])
        save(model, path)
        with pytest.raises(SettingError, match=r"give it as load\(path, kernel="):
            load(path)
        with pytest.raises(SettingError, match="another kernel"):
            load(path, kernel=other)
        again = load(path, kernel=kernel)
        np.testing.assert_array_equal(again.predict(inputs[:9]), model.predict(inputs[:9]))


def test_what_is_no_fitted_model_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="not fitted"):
        save(KernelRidge(), tmp_path / "a")
    x = points(60)[0]
    with pytest.raises(SettingError, match="precomputed"):
        save(KernelRidge("precomputed").fit(gauss(x), x), tmp_path / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "broken",
    ["nothing", "text", "torn", "os.path", "class", "params", "format", "dual_coef_", "fields"],
)
def test_damaged_files_are_said_and_run_nothing(tmp_path: Path, broken: str) -> None:
    x = points(60)[0]
    path = tmp_path / "model.npz"
    save(KernelRidge(FullyConnected()).fit(x, x), path)
    with np.load(path) as file:
        arrays: dict[str, Any] = dict(file)
    head = json.loads(str(arrays["model"]))
    if broken == "torn":
        path.write_bytes(path.read_bytes()[:900])
    elif broken == "text":
        path.write_text("a model")
    elif broken == "nothing":
        path.write_bytes(b"")
    else:
        if broken == "os.path":
            head["kernel"] |= {"module": "os.path", "name": "join"}
        elif broken == "class":
            head["class"] = "Precomputed"
        elif broken == "params":
            head["params"] = {"nonsense": 3}
        elif broken == "format":
            head["format"] = 2
        elif broken == "fields":
            head["kernel"]["fields"]["depth"] = -1
        else:
            del arrays["array:dual_coef_"]
        arrays["model"] = np.array(json.dumps(head))
        with path.open("wb") as opened:
            np.savez(opened, **arrays)
        assert zipfile.is_zipfile(path)
    with pytest.raises(StoreError, match="no model that can be read"):
        load(path)
    with pytest.raises(SettingError, match="no such file"):
        load(tmp_path / "b")
