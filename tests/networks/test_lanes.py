"""Features in lanes against XLA's and against NumPy networks in float64."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import Array

pytest.importorskip("numba", reason="Numba, the extra 'fast', is not installed")

from nasproxy.networks import features
from nasproxy.networks.features import Batches, BatchNorm
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.lanes import engine, passes
from nasproxy.networks.lanes.plan import knows, plan
from nasproxy.networks.layers import (
    Add,
    Arrays,
    AveragePool3x3,
    BNReLU,
    Concatenate,
    ConvBN,
    Dense,
    DepthwiseBN,
    DepthwiseConv,
    GlobalAverage,
    Halve,
    HalveByMean,
    Layer,
    MaxPool3x3,
    OddPixels,
    PlainBN,
    PointwiseConv,
    ProjectAdd,
    Shape,
    SqueezeExcite,
    Zero,
)
from search_spaces import (
    MNAS,
    AccelNASBench,
    FullyConnectedNetworks,
    NASBench101,
    NASBench201,
    NASBench301,
    NASBenchMacro,
)
from tests.conftest import ROOT, network_of
from tests.support import reference
from tests.support.lanes import check_on
from tests.support.networks import close, moved_statistics, some, weights

SIDES = st.integers(1, 9)
SPACES: dict[str, tuple[Any, st.SearchStrategy[int], int]] = {
    "nasbench101": (NASBench101, st.integers(4, 13), 1),
    "nasbench201": (lambda width: NASBench201(width=width, cells=1), st.integers(1, 9), 4),
    "nasbench301": (lambda width: NASBench301(width=width, cells=3), st.integers(1, 5), 4),
    "macro": (NASBenchMacro, st.integers(1, 5), 8),
    "mnas": (MNAS, st.sampled_from([3, 8]), 32),
    "mnas_swish": (
        lambda width: MNAS(width=width, activation="swish", gate="hard_sigmoid"),
        st.sampled_from([5, 8]),
        32,
    ),
    "mnas_relu6": (lambda width: MNAS(width=width, activation="relu6"), st.just(8), 32),
    "accel": (AccelNASBench, st.just(8), 32),
}
"""A space of a width, its widths, and what images' sides are multiples of."""

CELL = network_of(NASBench101(width=7, stacks=2, cells=1), seed=1)


@st.composite
def networks(draw: st.DrawFn, least: int = 2) -> tuple[Graph, int]:
    """Any architecture of any space on images of any size, and a number of images."""
    make, widths, multiple = SPACES[draw(st.sampled_from(sorted(SPACES)))]
    space = make(width=draw(widths))
    sides = [draw(SIDES) for _ in range(2)]
    least = 4 if multiple == 1 else 1
    height, width = (
        max(side, least) if multiple == 1 else -(-side // 3) * multiple for side in sides
    )
    channels, seed = draw(st.integers(1, 4)), draw(st.integers(0, 10_000))
    graph = space.graph(space.sample(1, seed)[0], (height, width, channels), 4)
    return graph, draw(st.integers(least, 40))


def by_xla(network: Initialised, images: np.ndarray) -> np.ndarray:
    return np.asarray(network.features(jax.device_put(images)))[:, : network.graph.features]


@settings(max_examples=12, deadline=None)
@given(networks(), st.integers(0, 1000))
def test_features_are_xlas(drawn: tuple[Graph, int], seed: int) -> None:
    """At momentum 1, where no rounding of statistics is between."""
    graph, n = drawn
    assert knows(graph)
    images = some(np.random.default_rng(seed), n, *graph.image_shape)
    network = Initialised.draw(graph, (seed, 0))
    found, expected = engine.features(network, [images], None, 1.0), by_xla(network, images)
    if np.abs(found - expected).max() <= 5e-6 * np.abs(expected).max():
        return
    # Where large numbers cancel, float32 is further from float64 than that, in either engine.
    drawn_weights = weights(graph, (seed, 0))
    stats = moved_statistics(graph, drawn_weights, images, 1.0)
    exact = reference.forward(graph, drawn_weights, stats, images)[0]
    assert np.abs(found - exact).max() <= 4 * np.abs(expected - exact).max()


@settings(max_examples=6, deadline=None)
@given(networks(least=24), st.integers(0, 1000))
def test_statistics_are_as_good_as_float32s(drawn: tuple[Graph, int], seed: int) -> None:
    """Of float64's statistics and features in training mode, about as far as XLA's are. A few
    values are divided by small deviations, where both are far: so images are not too few."""
    graph, n = drawn
    images = some(np.random.default_rng(seed), n, *graph.image_shape)
    network = Initialised.draw(graph, (seed, 0))
    expected, _, _ = reference.forward(graph, weights(graph, (seed, 0)), None, images)
    trained, _ = network.train(jax.device_put(images))
    scale = float(np.abs(expected).max())

    def error(found: Any) -> float:
        return float(np.abs(np.asarray(found)[:, : graph.features] - expected).max())

    reach = 16 * error(trained) + 2e-5 * scale
    assert error(engine.trained(network, [images])) <= reach


@pytest.mark.parametrize("momentum", [0.997, 0.3, 0.0])
@pytest.mark.parametrize("n", [5, 16, 37])
def test_the_batch_moves_the_statistics(momentum: float, n: int) -> None:
    """Also of a number of images that leaves lanes empty."""
    rng = np.random.default_rng(n)
    images, batch = some(rng, 21, 8, 8, 3), some(rng, n, 8, 8, 3) + 1
    network = Initialised.draw(CELL, (3, 1))
    stats = moved_statistics(CELL, weights(CELL, (3, 1)), batch, momentum)
    expected = reference.forward(CELL, weights(CELL, (3, 1)), stats, images)[0]
    close(engine.features(network, [images], batch, momentum), expected, 5e-5)


def test_statistics_far_from_zero() -> None:
    """A mean of ten thousand deviations leaves the variance its digits."""
    builder = Builder((6, 5, 2))
    x = builder.add(BNReLU(2), builder.image)
    builder.add(Dense(2, 2), builder.add(GlobalAverage(), x))
    graph = builder.graph()
    batch = some(np.random.default_rng(0), 37, 6, 5, 2) + np.float32(1e4)
    found = engine.statistics(Initialised.draw(graph, (0, 0)), batch)[0]
    exact = batch.astype(np.float64)
    np.testing.assert_allclose(found["mean"], exact.mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(found["variance"], exact.var((0, 1, 2)), rtol=1e-6)


ACTIVATIONS = ["relu", "relu6", "swish", "none"]
LAYERS: list[Layer] = [
    *(ConvBN(size, 5, 6, stride) for size in (1, 3, 5, 7) for stride in (1, 2, 3)),
    *(ConvBN(3, 5, c) for c in (1, 2, 3, 4, 9, 17)),
    *(ConvBN(3, 5, 6, activation=a, preactivation=True) for a in ACTIVATIONS),
    *(DepthwiseBN(size, 5, stride) for size in (3, 5, 7) for stride in (1, 2)),
    *(DepthwiseBN(3, 5, activation=a) for a in ACTIVATIONS),
    *(DepthwiseConv(size, 5, s, d) for size in (3, 5) for s in (1, 2) for d in (1, 2, 3)),
    ConvBN(1, 5, 6, activation="none", preactivation=True, affine=False),
    BNReLU(5),
    PlainBN(5),
    PointwiseConv(5, 7),
    SqueezeExcite(5, 2),
    SqueezeExcite(4, 3, "hard_sigmoid"),
    *(MaxPool3x3(5, stride) for stride in (1, 2)),
    *(AveragePool3x3(5, stride) for stride in (1, 2)),
    OddPixels(),
    Halve(),
    HalveByMean(),
    Add(4),
]


@pytest.mark.parametrize("shape", [(7, 11), (2, 2), (1, 3), (4, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_every_layer_equals_its_definition(layer: Layer, shape: tuple[int, int]) -> None:
    """On maps of any size, of two inputs with more channels, weights and statistics anywhere."""
    if isinstance(layer, Halve) and min(shape) < 2:
        pytest.skip("nothing is left")
    builder = Builder((*shape, 3))
    wide = builder.add(ConvBN(3, 3, 6), builder.image)
    other = builder.add(ConvBN(1, 3, 7, activation="none"), builder.image)
    single = isinstance(layer, Halve)
    x = builder.add(layer, *((wide,) if single else (wide, other, wide)))
    check_on(builder, x, seed=4)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("others", [0, 1, 2])
def test_projections_add_what_they_are_given(activation: str, others: int) -> None:
    builder = Builder((5, 6, 3))
    wide = builder.add(ConvBN(3, 3, 6), builder.image)
    pooled = builder.add(MaxPool3x3(6), wide)
    layer = ProjectAdd(3, 6, 5, activation=activation)
    check_on(builder, builder.add(layer, wide, *(pooled, wide)[:others]), seed=5)


def test_concatenations_are_made_in_place_or_copied() -> None:
    """Of parts that are truncated, read again, concatenated twice, the image, or zeros."""
    builder = Builder((5, 6, 3))
    a = builder.add(ConvBN(3, 3, 6), builder.image)
    b = builder.add(ConvBN(1, 3, 4), builder.image)
    zeros = builder.add(Zero(2), a)
    first = builder.add(Concatenate((6, 4, 3, 6, 2)), a, b, builder.image, a, zeros)
    second = builder.add(Concatenate((21, 3, 2)), first, b, a)
    check_on(builder, builder.add(ConvBN(3, 26, 5), second), seed=6)


def test_networks_and_shapes_in_turn_leave_no_trace() -> None:
    """They share one memory, whose frames nobody writes."""
    rng = np.random.default_rng(0)
    drawn: list[tuple[Any, Shape]] = [
        (NASBench101(width=7), (8, 8, 3)),
        (MNAS(width=8), (32, 32, 3)),
        (NASBench101(width=19), (9, 5, 1)),
        (NASBench201(width=6, cells=1), (8, 8, 3)),
    ]
    graphs = [
        space.graph(space.sample(1, seed)[0], shape, 4) for space, shape in drawn for seed in (0, 1)
    ]
    inputs = [some(rng, 40, *graph.image_shape) for graph in graphs]

    def run() -> list[np.ndarray]:
        return [
            engine.features(Initialised.draw(graph, (0, 0)), [images], images[:20], 0.5)
            for graph, images in zip(graphs, inputs, strict=True)
        ]

    for once, again in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(once, again)
    assert len(passes.run.overloads) == 1, "a network or a shape was compiled for"


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = some(np.random.default_rng(0), 70, 8, 8, 3)
    network = Initialised.draw(CELL, (0, 0))
    expected = engine.features(network, [images], images[:50], 0.0)
    monkeypatch.setattr(engine, "cores", lambda: threads)
    if threads > 2:  # A barrier needs all of its threads at once.
        more = ThreadPoolExecutor(threads)
        monkeypatch.setattr(engine, "pool", lambda: more)
    np.testing.assert_array_equal(engine.features(network, [images], images[:50], 0.0), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_stays_with_its_image(bad: float) -> None:
    """Through every activation and pool; no image beside it sees it."""
    for graph in (CELL, network_of(MNAS(width=8, activation="swish"), 0, (32, 32, 3))):  # type: ignore[arg-type]
        images = some(np.random.default_rng(0), 20, *graph.image_shape)
        network = Initialised.draw(graph, (0, 0))
        clean = engine.features(network, [images], None, 1.0)
        images[3, 4, 4] = bad
        found = engine.features(network, [images], None, 1.0)
        others = np.arange(20) != 3
        np.testing.assert_array_equal(found[others], clean[others])
        assert not np.isfinite(found[3]).all()
        assert np.isnan(found[3]).any() == np.isnan(by_xla(network, images)[3]).any()


class Own(ConvBN):
    """A layer that lanes cannot know."""

    def infer(self, params: Arrays, stats: Arrays, *inputs: Array) -> Array:
        return 2 * super().infer(params, stats, *inputs)


def test_unknown_layers_are_xlas() -> None:
    builder = Builder((8, 8, 3))
    x = builder.add(Own(3, 3, 4), builder.image)
    builder.add(Dense(4, 2), builder.add(GlobalAverage(), x))
    graph = builder.graph()
    assert not knows(graph)
    network = Initialised.draw(graph, (0, 0))
    images = some(np.random.default_rng(0), 6, 8, 8, 3)
    batches = Batches(images, 3)
    found = features.features(network, batches, batches[0], BatchNorm(1.0))
    close(found, by_xla(network, images), 1e-6)
    for space in (FullyConnectedNetworks(),):
        assert not knows(space.graph(space.sample(1, 0)[0], (4, 4, 1), 3))


def test_without_numba_xla_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert features.engine() == "lanes"
    assert "Numba" in features.engine_name()
    monkeypatch.setitem(sys.modules, "nasproxy.networks.lanes.engine", None)
    assert features.engine.__wrapped__() == "xla"
    monkeypatch.setattr(features, "engine", lambda: "xla")
    assert features.engine_name() == "XLA on cpu"


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("held", [True, False])
def test_features_are_the_same_by_either_engine(
    mode: str, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images in batches, held or made part by part, or a plain list of arrays."""
    images = some(np.random.default_rng(0), 41, 8, 8, 3)
    monkeypatch.setattr(features, "HELD_BYTES", images.nbytes - (not held))
    monkeypatch.setattr(features, "PART_BYTES", 20 * images[0].nbytes)
    norm = BatchNorm(0.5, mode, images=16)
    network = Initialised.draw(CELL, (0, 0))
    batches = features.split(images, CELL, norm)
    found = features.features(network, batches, jax.device_put(images[:16]), norm)
    listed = features.features(network, list(batches), jax.device_put(images[:16]), norm)
    monkeypatch.setattr(features, "engine", lambda: "xla")
    expected = features.features(network, batches, jax.device_put(images[:16]), norm)
    close(found[:41], expected[:41], 5e-5)
    close(listed[:41], expected[:41], 5e-5)


def test_planes_are_used_again() -> None:
    """Memory is that of the maps alive at once, not of all that are made."""
    space = NASBench101(width=8)
    planned = plan(network_of(space, 0))
    deep = plan(network_of(NASBench101(width=8, cells=9), 0))
    assert sum(deep.planes.values()) <= 1.5 * sum(planned.planes.values())


def test_shapes_of_features() -> None:
    shape: Shape = (8, 8, 3)
    network = Initialised.draw(CELL, (0, 0))
    images = some(np.random.default_rng(0), 33, *shape)
    parts = [images[:5], images[5:]]
    joined = engine.features(network, parts, None, 1.0)
    np.testing.assert_array_equal(joined, engine.features(network, [images], None, 1.0))
    assert joined.dtype == np.float32


def test_an_interrupt_waits_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """They write memory that the next network gets."""
    ended: list[int] = []

    def slow(me: int) -> None:
        if me == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        ended.append(me)

    with ThreadPoolExecutor(3) as threads:
        monkeypatch.setattr(engine, "pool", lambda: threads)
        with pytest.raises(KeyboardInterrupt):
            engine.shared(slow, 3)
        assert sorted(ended) == [1, 2]


def test_memory_that_could_not_be_had_is_not_thought_to_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory, stage = engine.Memory(), next(iter(plan(CELL).planes))
    memory.bases({stage: 2}, 1)

    def full(rows: int, floats: int) -> Any:
        if floats:
            raise MemoryError
        return aligned(rows, floats)

    aligned = engine.aligned
    with monkeypatch.context() as patch:
        patch.setattr(engine, "aligned", full)
        with pytest.raises(MemoryError):
            memory.bases({stage: 9}, 1)
    memory.bases({stage: 9}, 1)
    assert memory.maps.shape[1] >= 9 * stage.plane


@pytest.mark.slow
def test_a_damaged_cache_of_programs_is_made_again(tmp_path: Path) -> None:
    """Cut short at any place; and where nothing can be written it is compiled each time."""
    code = "from nasproxy.networks import features; print(features.engine())"

    def run(cache: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NASPROXY_CACHE": cache},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run(str(tmp_path)) == "lanes"
    kept = [file for file in (tmp_path / "lanes").rglob("*") if file.is_file()]
    assert kept
    assert (tmp_path / "lanes").stat().st_mode & 0o777 == 0o700
    for file in kept:
        os.truncate(file, file.stat().st_size // 2)
    assert run(str(tmp_path)) == "lanes"
    assert all(file.stat().st_size > 100 for file in (tmp_path / "lanes").rglob("*.nbi"))
    assert run("/proc/nowhere") == "lanes"
