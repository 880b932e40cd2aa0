"""Convolutional networks: their graphs, their limit, the proxy of their kernels, old stores."""

import logging
import shutil
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
from nasproxy.kernels import CNNVec, monte_carlo
from nasproxy.named import proxy_of
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies import InfiniteWidth
from nasproxy.scoring import score
from nasproxy.settings import describe, former
from nasproxy.solvers.ridge import KernelSweep
from nasproxy.store import Store
from search_spaces import ConvolutionalNetworks, FullyConnectedNetworks
from search_spaces.convolutional import Convolutional
from tests.support.cli import run

SPACE = ConvolutionalNetworks(width=8)
OLD = Path(__file__).parents[1] / "store" / "stored_by_0.1.0.db"


def member(network: Convolutional, width: int, seed: int, images: np.ndarray) -> np.ndarray:
    """Features of one network drawn at random, scaled as the readout's mean has them."""
    graph = ConvolutionalNetworks(width=width).graph(network, images.shape[1:], 4)
    drawn = Initialised.draw(graph, (seed, width))
    phi = np.asarray(drawn.features(jax.device_put(images)))[:, : graph.features]
    return phi * np.float32(np.sqrt(2 / phi.shape[1]))


@pytest.mark.parametrize(
    "network",
    [
        Convolutional(2, "flatten"),
        Convolutional(2, "pool", "erf"),
        Convolutional(1, "pool", "gelu"),
    ],
    ids=str,
)
def test_monte_carlo_comes_to_the_kernel_of_infinite_width(network: Convolutional) -> None:
    """The error of M networks of width w falls as 1/√(w·M): by half for four times of either."""
    images = np.random.default_rng(0).normal(size=(6, 4, 4, 3)).astype(np.float32)
    name, settings = SPACE.infinite_width(network)
    assert name == "CNNVec"
    exact = CNNVec(kind="nngp", bias_variance=0.0, dtype="float64", **settings)(images)
    errors = {}
    for width in (16, 64):
        members = [member(network, width, seed, images) for seed in range(128)]
        for count in (4, 16):
            groups = [members[start : start + count] for start in range(0, 128, count)]
            stacked = [monte_carlo.stacked(group) for group in groups]
            apart = [np.square(phi @ phi.T - exact).mean() for phi in stacked]
            errors[width, count] = float(np.sqrt(np.mean(apart) / np.square(exact).mean()))
    assert errors[64, 16] < 0.2
    # Eight ensembles tell an error to about a fifth.
    for four_times in ((64, 4), (16, 16)):
        assert 0.33 < errors[four_times] / errors[16, 4] < 0.75
    assert 0.15 < errors[64, 16] / errors[16, 4] < 0.4


def test_the_graph_is_plain() -> None:
    graph = SPACE.graph(Convolutional(3, "flatten", width=5), (8, 8, 3), 4)
    assert [s.name for s in graph.steps] == ["conv1", "conv2", "conv3", "end", "readout"]
    assert graph.features == 8 * 8 * 5
    assert graph.parameters == (27 + 1) * 5 + 2 * (45 + 1) * 5 + (320 + 1) * 4
    assert SPACE.graph(Convolutional(3, "pool"), (8, 8, 3), 4).features == 8
    assert SPACE.counts(Convolutional(3, "pool")) == {"conv3x3": 3, "pools": 1}


def test_depths_share_their_layers() -> None:
    """So that a grid of depths compiles what its shallowest network of two layers does."""
    layers = {s.layer for d in (2, 9) for s in SPACE.graph(Convolutional(d), (8, 8, 3), 4).steps}
    assert len(layers) == 4


def test_keys_and_grids() -> None:
    grid = SPACE.grid(depth=(3, 5), end=("flatten", "pool"))
    assert [SPACE.key(n) for n in grid] == [
        "relu-3-flatten",
        "relu-3-pool",
        "relu-5-flatten",
        "relu-5-pool",
    ]
    wide = Convolutional(5, "pool", "erf", 64)
    assert SPACE.key(wide) == "erf-5x64-pool"
    assert SPACE.find("erf-5x64-pool") == wide
    assert SPACE.mutate(wide, np.random.default_rng(0)).width == 64
    assert SPACE.canonical(" relu-03-pool ") == "relu-3-pool"
    for key in ("relu-5", "relu-5x-pool", "relu-0-pool", "tanh-5-pool", "relu-5-max", "relu-1e3-"):
        with pytest.raises(ArchitectureError):
            SPACE.find(key)
    with pytest.raises(SettingError, match="no axis 'pools'"):
        SPACE.grid(depth=(1,), pools=(1,))
    with pytest.raises(SettingError, match="needs depths"):
        SPACE.grid(end=("pool",))


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_the_proxy_is_a_ridge_on_the_kernel(tiny_data: Dataset, kind: str) -> None:
    proxy = InfiniteWidth(kind, n_train=(20, 40), n_valid=32)
    found = proxy.prepare(SPACE, tiny_data, 0)(Convolutional(2, "pool"))
    train, y = tiny_data.subset("train", 40, 0)
    valid, labels = tiny_data.subset("valid", 32, 0)
    kernel = CNNVec(2, kind, end="pool", dtype="float64")
    sweep = KernelSweep(kernel(train), np.eye(4)[y] - 0.25)
    curve = (sweep.predict(kernel(valid, train), np.logspace(-7, 2, 20)).argmax(2) == labels).mean(
        1
    )
    assert found.value == pytest.approx(curve.max(), abs=1 / 32)
    assert "n_train=20,n_valid=32,ensemble=1" in found.columns
    assert found.flops > 50 * kernel.stack.entries(8) * 40 * 72


def test_eigenpro_fits_convolutional_kernels(tiny_data: Dataset) -> None:
    proxy = InfiniteWidth(
        solver="eigenpro", n_train=60, n_valid=32, top=20, train_accuracy=0.99, epochs=500
    )
    found = proxy.prepare(SPACE, tiny_data, 0)(Convolutional(1))
    assert found.columns["train_accuracy"] >= 0.99
    assert found.value > 0.4


def test_a_grid_is_ranked_by_the_limit_and_by_finite_networks(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    words = ["--grid", "depth=1,2", "--grid", "end=flatten,pool", "--out", str(out), "--quiet"]
    words += ["--proxy", "infinite_width:kind=nngp,n_train=60,n_valid=60"]
    words += ["--proxy", "nngp:n_train=60,n_valid=60,ensemble=2,norm_images=8", "--width", "8"]
    run("score", "convolutional", *words)
    frame = pd.read_csv(out, index_col="architecture")
    assert list(frame.index) == ["relu-1-flatten", "relu-1-pool", "relu-2-flatten", "relu-2-pool"]
    assert (frame["infinite_width"] > 0.3).all()
    assert frame["nngp"].notna().all()


def test_old_names_serve_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = proxy_of("ntk_regression:kernel=nngp,n_train=50")
    assert found == InfiniteWidth("nngp", n_train=50)
    assert "infinite_width" in caplog.text
    assert former(describe(found, found.name, full=False)) == [
        "ntk_regression:kernel=nngp,n_train=50"
    ]


def test_scores_stored_under_the_old_name_are_found(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD, tmp_path / "scores.db"))
    with Store(path) as store:
        before = [r for r in store.records() if r.key.proxy.startswith("ntk_regression")]
        assert before
        space = FullyConnectedNetworks()
        networks = [space.find(record.key.architecture) for record in before]
        count = len(list(store.records()))
        proxy = "infinite_width:n_train=100,n_valid=100"
        frame = score(networks, space, proxy, data.load("digits"), store=store, progress=False)
        assert len(list(store.records())) == count
        assert frame["infinite_width"].tolist() == [record.value for record in before]
        ranked = store.rank({record.key.architecture: record.value or 0 for record in before})
    assert "infinite_width" in " ".join(ranked["proxy"])
    assert "ntk_regression" not in " ".join(ranked["proxy"])


def test_a_file_of_architectures(tmp_path: Path) -> None:
    listed: dict[str, Any] = {
        "relu-2-pool": Convolutional(2, "pool"),
        '{"depth": 4}': Convolutional(4),
    }
    (tmp_path / "networks.txt").write_text("\n".join(listed))
    assert read_architectures(tmp_path / "networks.txt", SPACE) == list(listed.values())
