"""Fully-connected networks: their graphs, their training, the proxy of their kernels, the fits."""

import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from nasproxy import data
from nasproxy.architectures import read_architectures
from nasproxy.data import Dataset
from nasproxy.errors import ArchitectureError, SettingError
from nasproxy.kernels import FullyConnected, fully_connected
from nasproxy.networks import execution, features
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import DenseActivation
from nasproxy.proxies import InfiniteWidth, Training, infinite_width
from nasproxy.proxies.kernel_regression import REGULARISERS
from nasproxy.scoring import score
from nasproxy.solvers import EigenProClassifier
from nasproxy.training import Recipe, Trainer, batches, fit
from search_spaces import FullyConnectedNetworks, NASBench101
from search_spaces.fully_connected import Perceptron
from tests.support.cli import run

SPACE = FullyConnectedNetworks(width=16)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_the_network_is_the_textbooks(activation: str) -> None:
    graph = SPACE.graph(Perceptron(2, activation, 7), (4, 4, 3), 5)
    rng = np.random.default_rng(0)
    params = execution.initialise(graph, rng)
    params = [p | {"bias": rng.normal(size=p["kernel"].shape[1])} for p in params]
    images = rng.normal(size=(6, 4, 4, 3)).astype(np.float32)
    found = execution.logits(graph, params, [{}] * 3, jax.numpy.asarray(images))
    h = images.reshape(6, -1)
    for layer in params[:2]:
        z = h @ layer["kernel"] + layer["bias"]
        h = np.maximum(z, 0) if activation == "relu" else np.vectorize(math.erf)(z)
    expected = h @ params[2]["kernel"] + params[2]["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert graph.parameters == 48 * 7 + 7 + 7 * 7 + 7 + 7 * 5 + 5


def test_wide_networks_have_the_analytic_nngp(tiny_data: Dataset) -> None:
    """Their weights are those that the kernel is of: σ_w² = 2, and no biases at the start."""
    images, _ = tiny_data.subset("train", 16, 0)
    wide = FullyConnectedNetworks(width=1024)
    graph = wide.graph(Perceptron(3), (8, 8, 3), 4)
    norm, batch = features.BatchNorm(momentum=1), jax.numpy.asarray(images)
    kernels = []
    for seed in range(8):
        phi = features.features(Initialised.draw(graph, (seed,)), [batch], batch, norm)
        kernels.append(2 * phi @ phi.T / phi.shape[1])
    exact = fully_connected(images, depth=3, kernel="nngp", bias_variance=0)
    assert np.abs(np.mean(kernels, axis=0) / exact - 1).max() < 0.1


def test_layers_are_as_wide_as_they_are_named() -> None:
    shapes = SPACE.graph(Perceptron(3, width=5), (2, 2, 1), 4).shapes
    assert shapes == ((2, 2, 1), (5,), (5,), (5,), (4,))
    assert SPACE.graph(Perceptron(1), (2, 2, 1), 4).shapes[1] == (16,)
    assert DenseActivation(4, 5).parameters() == {"kernel": (4, 5), "bias": (5,)}


def test_a_grid_has_every_combination_in_order() -> None:
    found = SPACE.grid(depth=(1, 3), width=(8, 16))
    assert [SPACE.key(a) for a in found] == ["relu-1x8", "relu-1x16", "relu-3x8", "relu-3x16"]
    with pytest.raises(SettingError, match=r"'stride'.*depth, activation, width"):
        SPACE.grid(depth=(1,), stride=(2,))
    with pytest.raises(SettingError, match="needs depths"):
        SPACE.grid(width=(2,))
    with pytest.raises(ArchitectureError, match="depth=0"):
        SPACE.grid(depth=(0,))


@pytest.mark.parametrize("key", ["relu", "relu-", "tanh-3", "relu-0", "relu-3x", "relu-3x0", "3"])
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(ArchitectureError):
        SPACE.find(key)


@pytest.mark.parametrize("text", ['{"depth": true}', '{"depth": 2, "size": 1}', '{"width": 3}'])
def test_other_architectures_are_refused(text: str) -> None:
    with pytest.raises(ArchitectureError):
        SPACE.from_json(text)


@pytest.mark.parametrize(
    "key", ["relu-10001", "relu-1000000000", "relu-" + "9" * 5000, "relu-2x" + "9" * 5000]
)
def test_sizes_without_bound_are_refused_before_anything_is_made(key: str) -> None:
    with pytest.raises(ArchitectureError, match=r"a whole number from 1 to 10000|names no") as info:
        SPACE.find(key)
    assert len(str(info.value)) < 250
    assert SPACE.find("relu-10000") == Perceptron(10_000)
    assert SPACE.canonical(key) is None


@pytest.mark.parametrize("text", ["[" * 100_000, '{"depth": ' + "9" * 5000 + "}", "{" * 10_000])
def test_json_without_bound_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(ArchitectureError, match="is not JSON") as info:
        SPACE.from_json(text)
    assert len(str(info.value)) < 300


def test_a_text_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("relu-3\nerf-4\n", encoding="utf-8-sig")
    assert read_architectures(path, SPACE) == [Perceptron(3), Perceptron(4, "erf")]


def test_finite_networks_train_until_an_accuracy(tiny_data: Dataset) -> None:
    graph = SPACE.graph(Perceptron(2, width=32), (8, 8, 3), 4)
    recipe = Recipe(batch=16, learning_rate=0.05, augment=False)
    trainer = Trainer(graph, recipe, 60, len(tiny_data.train_labels))
    order, weights = np.random.default_rng(0), np.random.default_rng(1)
    state, _ = fit(trainer, batches(tiny_data, trainer, order), weights, until=0.8)
    assert 0 < state.step < trainer.steps
    images = tiny_data.standardise(tiny_data.train_images)
    correct = trainer.predict(state, [jax.numpy.asarray(images)]) == tiny_data.train_labels
    assert correct.mean() >= 0.75


def test_training_counts_the_epochs_that_it_made(tiny_data: Dataset) -> None:
    proxy = Training(epochs=40, batch=16, learning_rate=0.05, augment=False, until=0.6)
    short = proxy.prepare(SPACE, tiny_data, 0)(Perceptron(1))
    made = short.columns["epochs_made"]
    assert 1 <= made < 40
    graph = SPACE.graph(Perceptron(1), (8, 8, 3), 4)
    assert short.flops == graph.flops * (3 * made * 96 + 64)
    with pytest.raises(SettingError, match=r"0\.8"):
        Training(until=80)


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_the_proxy_is_a_ridge_regression_on_the_kernel(tiny_data: Dataset, kernel: str) -> None:
    train, y = tiny_data.subset("train", 40, 3)
    valid, labels = tiny_data.subset("valid", 32, 3)
    function = FullyConnected(4, kernel, dtype="float64")
    gram, cross = np.asarray(function(train)), np.asarray(function(valid, train))
    best = max(float((_predict(gram, cross, y, e) == labels).mean()) for e in REGULARISERS)
    proxy = InfiniteWidth(kernel, n_train=40, n_valid=32)
    assert proxy.prepare(SPACE, tiny_data, 3)(Perceptron(4)).value == best


def _predict(gram: np.ndarray, cross: np.ndarray, y: np.ndarray, epsilon: float) -> np.ndarray:
    damped = gram + epsilon * np.trace(gram) / len(gram) * np.eye(len(gram))
    return (cross @ np.linalg.solve(damped, np.eye(4)[y] - 0.25)).argmax(1)


def test_depths_share_a_pass_in_any_order(tiny_data: Dataset) -> None:
    proxy = InfiniteWidth(n_train=(20, 40), n_valid=32)
    networks = SPACE.grid(depth=(1, 2, 5, 300), activation=("relu", "erf"))
    scorer = proxy.prepare(SPACE, tiny_data, 0)
    together = [scorer(network) for network in networks]
    alone = [proxy.prepare(SPACE, tiny_data, 0)(network) for network in reversed(networks)]
    for one, other in zip(together, reversed(alone), strict=True):
        assert one.value == other.value
        np.testing.assert_equal(one.columns, other.columns)  # NaN is NaN
    assert "n_train=20,n_valid=32,ensemble=1" in together[0].columns


@pytest.mark.parametrize("shared", [infinite_width.SHARED, 0])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_the_proxy_is_an_eigenpro_fit_on_the_kernel(
    tiny_data: Dataset, loss: str, shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infinite_width, "SHARED", shared)
    proxy = InfiniteWidth(
        solver="eigenpro",
        n_train=60,
        n_valid=32,
        loss=loss,
        top=20,
        train_accuracy=0.99,
        epochs=500,
    )
    found = proxy.prepare(SPACE, tiny_data, 0)(Perceptron(3))
    train, y = tiny_data.subset("train", 60, 0)
    valid, labels = tiny_data.subset("valid", 32, 0)
    model = EigenProClassifier(
        FullyConnected(3), top=20, loss=loss, train_accuracy=0.99, tolerance=1e-2, epochs=500
    )
    model.fit(train, y)
    assert found.value == pytest.approx(model.score(valid, labels), abs=1 / 32)
    assert found.columns["train_accuracy"] >= 0.99
    assert found.info["stopped"] == model.stopped_ == "train_accuracy"


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "rbf"},
        {"solver": "lu"},
        {"solver": "eigenpro", "n_train": (10, 20)},
        {"loss": "hinge"},
        {"n_train": 0},
        {"weight_variance": -1},
    ],
)
def test_settings_of_the_proxy_are_checked(given: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        InfiniteWidth(**given)


def test_a_space_without_an_analytic_kernel_is_refused(tiny_data: Dataset) -> None:
    with pytest.raises(SettingError, match="nasbench101 has no analytic kernel"):
        InfiniteWidth().prepare(NASBench101(), tiny_data, 0)


def test_a_grid_is_scored_from_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    proxies = ["--proxy", "infinite_width:n_train=100,n_valid=100", "--proxy", "flops"]
    proxies += ["--proxy", "nngp:n_train=50,n_valid=50,width=8,norm_images=8"]
    grid = ["--grid", "depth=1,2,5", "--grid", "activation=relu"]
    run("score", "fully_connected", *grid, *proxies, "--out", str(out), "--quiet")
    frame = pd.read_csv(out, index_col="architecture")
    assert list(frame.index) == ["relu-1", "relu-2", "relu-5"]
    assert (frame["infinite_width"] > 0.8).all()
    assert (frame["nngp"] > 0.3).all()
    for words, named in [
        (["nasbench101", "--grid", "depth=1"], "has no grid"),
        (["fully_connected"], "or --grid AXIS=VALUES"),
        (["fully_connected", "--grid", "depth=1", "--sample", "3"], "leave out the other ways"),
        (["fully_connected", "--grid", "depth=1", "--grid", "depth=2"], "each axis once"),
        (["fully_connected", "--grid", "depth"], "key=value"),
    ]:
        with pytest.raises(SettingError, match=named):
            run("score", *words, "--proxy", "flops")


def test_a_fit_from_the_command_line_resumes(tmp_path: Path) -> None:
    checkpoint = tmp_path / "fit.npz"
    words = ["fit", "--depth", "4", "--n-train", "200", "--n-valid", "100"]
    words += ["--loss", "cross_entropy", "--tolerance", "0", "--checkpoint", str(checkpoint)]
    whole = run(*words, "--epochs", "6", "--quiet")
    checkpoint.unlink()
    run(*words, "--epochs", "2", "--quiet")
    parts = run(*words, "--epochs", "6", "--quiet")

    def kept(text: str) -> list[str]:
        rows = [line.replace(" ", "") for line in text.splitlines() if "│" in line]
        return [row for row in rows if "seconds" not in row and "peak" not in row]

    assert kept(parts) == kept(whole)
    assert "│epochs│6│" in kept(whole)


@pytest.mark.parametrize("solver", ["ridge", "cg"])
def test_an_exact_fit_from_the_command_line(digits: Dataset, solver: str) -> None:
    words = ["--n-train", "300", "--n-valid", "200", "--ridge", ".01", "--tolerance", "1e-5"]
    output = run("fit", "--solver", solver, *words, "--quiet")
    train, y = digits.subset("train", 300, 0)
    valid, labels = digits.subset("valid", 200, 0)
    function = FullyConnected(3)
    gram = np.asarray(function(train), np.float64)
    gram += 0.01 * np.trace(gram) / 300 * np.eye(300)
    alpha = np.linalg.solve(gram, np.eye(10)[y] - 0.1)
    expected = ((np.asarray(function(valid, train)) @ alpha).argmax(1) == labels).mean()
    (line,) = [line for line in output.splitlines() if "valid accuracy" in line]
    assert f"{expected:.4g}" in line


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--solver", "magic"], "eigenpro, cg, ridge"),
        (["--solver", "ridge", "--loss", "cross_entropy"], "is for --solver eigenpro"),
        (["--solver", "ridge", "--checkpoint", "x.npz"], "checkpoint"),
        (["--kernel", "rbf"], "choose fc3, cv8"),
        (["--n-train", "100", "--batch", "101"], "at most 100"),
        (["--patience", "0"], "patience=0"),
        (["--checkpoint", "nodir/x.npz"], "no folder nodir"),
    ],
)
def test_fits_that_cannot_be_are_refused(words: list[str], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        run("fit", *words)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return data.load("digits")


def test_scores_of_a_grid_are_stored(tmp_path: Path, tiny_data: Dataset) -> None:
    store = tmp_path / "fc.db"
    proxy = InfiniteWidth(n_train=20, n_valid=20)
    networks = SPACE.grid(depth=(1, 2))
    first = score(networks, SPACE, proxy, tiny_data, store=store, progress=False)
    again = score(networks, SPACE, proxy, tiny_data, store=store, progress=False)
    pd.testing.assert_frame_equal(first, again)
    assert json.loads(SPACE.to_json(networks[0])) == {
        "depth": 1,
        "activation": "relu",
        "width": None,
    }
