"""Passes that the engine of lanes keeps, and its way back, against XLA's and autodiff's."""

from typing import Any

import jax
import numpy as np
import pytest

pytest.importorskip("numba", reason="Numba, the extra 'fast', is not installed")

from nasproxy.networks import passes
from nasproxy.networks.curvature import hessian_product
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.lanes.engine import Memory
from nasproxy.networks.lanes.plan import Stage
from nasproxy.networks.lanes.recorded import Recorded
from nasproxy.networks.lanes.tape import derives
from nasproxy.networks.layers import (
    Add,
    AveragePool3x3,
    BNReLU,
    Concatenate,
    ConvBN,
    Dense,
    GlobalAverage,
    Halve,
    HalveByMean,
    MaxPool3x3,
    PlainBN,
    PointwiseConv,
    ProjectAdd,
    Zero,
)
from search_spaces import MNAS, NASBench101, NASBench201, NASBench301
from tests.support.networks import some


def every_layer() -> Graph:
    """Sums of inputs, channels cut off, a part of a concatenation read elsewhere, steps without
    effect, odd sides, ties of maxima."""
    b = Builder((11, 8, 3))
    stem = b.add(ConvBN(3, 3, 9), b.image)
    wide = b.add(ConvBN(5, 3, 6, activation="none"), b.image)
    one = b.add(ConvBN(3, 9, 4, activation="relu6", preactivation=True), stem)
    two = b.add(ConvBN(1, 6, 5), wide, stem)
    joined = b.add(Concatenate((4, 5, 3)), one, two, stem)
    pooled = b.add(MaxPool3x3(6), joined, stem)
    mean = b.add(AveragePool3x3(4), one, two)
    b.add(ConvBN(3, 9, 7), stem)
    none = b.add(Zero(6), pooled)
    added = b.add(ProjectAdd(3, 12, 6, activation="none", preactivation=True), joined, pooled, none)
    normed = b.add(BNReLU(6), added)
    plain = b.add(PlainBN(4), mean)
    small = b.add(Halve(), b.add(Add(4), normed, plain, one))
    smaller = b.add(HalveByMean(), normed)
    strided = b.add(ConvBN(3, 4, 10, stride=2), small)
    short = b.add(PointwiseConv(4, 10), b.add(HalveByMean(), small))
    last = b.add(ConvBN(1, 4, 10), small, smaller)
    last = b.add(HalveByMean(), last)
    # Two rows of the five are dropped by halving, one is not by the stride.
    b.add(ConvBN(1, 10, 3), strided)
    out = b.add(ProjectAdd(1, 10, 10, activation="none"), last, short)
    b.add(Dense(10, 4), b.add(GlobalAverage(), out))
    return b.graph()


SPACES: dict[str, Any] = {
    "nasbench101": NASBench101(width=7, stacks=2, cells=1),
    "nasbench201": NASBench201(width=5, cells=1),
}


def graph_of(name: str, number: int) -> Graph:
    if name == "every layer":
        return every_layer()
    space = SPACES[name]
    return space.graph(space.sample(8, 0)[number], (8, 12, 3), 4)


def both(graph: Graph, n: int, seed: int, **wanted: Any) -> tuple[passes.Forward, passes.Forward]:
    """The pass by XLA, and as it is chosen."""
    network = Initialised.draw(graph, (seed, 0))
    images = jax.device_put(some(np.random.default_rng(seed), n, *graph.image_shape))

    def run(looked: bool) -> passes.Forward:
        return passes.forward(network, network.weights, images, "training", looked=looked, **wanted)

    xla, chosen = run(True), run(False)
    assert xla.recorded is None
    assert chosen.recorded is not None
    return xla, chosen


def cotangent(run: passes.Forward, seed: int) -> np.ndarray:
    made = np.zeros(run.logits.shape, np.float32)
    made[:, :4] = np.random.default_rng((seed, 1)).normal(size=(len(made), 4))
    return made


def alike(found: Any, expected: Any, size: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-5 * size)


@pytest.mark.parametrize(
    ("name", "number", "n"),
    [
        ("every layer", 0, 21),
        *(("nasbench101", i, n) for i, n in enumerate((16, 33, 21))),
        *(("nasbench201", i, n) for i, n in enumerate((40, 32, 17))),
    ],
)
def test_the_way_back_is_xlas(name: str, number: int, n: int) -> None:
    """Gradients, saliences and the images' cotangent, of numbers of images that leave lanes empty;
    of few values a batch norm makes noise large, so that they are not too few."""
    graph, seed = graph_of(name, number), number
    xla, chosen = both(graph, n, seed, units=True)
    given_back = jax.device_put(cotangent(xla, seed))
    wants: Any = {"salience": True, "to_images": True}
    expected = dict(passes.backward(xla, given_back, **wants))
    found = dict(passes.backward(chosen, given_back, **wants))
    assert found.keys() <= expected.keys()
    network = chosen.recorded.network  # type: ignore[union-attr]
    own = {i: network.own(i, p.grads) for i, p in expected.items() if i >= 0}
    size = max(float(abs(g).max()) for grads in own.values() for g in grads.values())
    images = expected[passes.IMAGES].grads["images"]
    alike(found[passes.IMAGES].grads["images"], images, float(abs(images).max()))
    for step, grads in own.items():
        if "kernel" not in grads:
            continue
        kernel = grads["kernel"]
        alike(found[step].grads.get("kernel", np.zeros_like(kernel)), kernel, size)
        salience = np.asarray(expected[step].salience["kernel"])[: kernel.shape[-1]]
        other = found[step].salience.get("kernel", np.zeros_like(salience))
        alike(other, salience, float(salience.max()))
    close = 2e-4 * float(abs(np.asarray(xla.logits)).max())
    np.testing.assert_allclose(chosen.logits, xla.logits, atol=close)


def test_values_and_signs_are_xlas() -> None:
    """Of every layer: what is kept, in the padded network's shapes; how often ReLUs agree."""
    xla, chosen = both(every_layer(), 21, 3, units=True)
    graph = xla.graph
    for number, value in enumerate(xla.values):
        found = chosen.values[number]
        if number and not graph.live[number - 1]:
            assert found is None
            continue
        own = every_layer().shapes[number][-1]
        assert found is not None
        assert value is not None
        assert found.shape == value.shape
        np.testing.assert_allclose(found[..., :own], value[..., :own], atol=2e-5)
    for live, expected, found in zip(graph.live, xla.agreements, chosen.agreements, strict=True):
        if live and expected is not None:
            np.testing.assert_array_equal(found, expected)
    for live, expected, found in zip(graph.live, xla.stats, chosen.stats, strict=True):
        if live and expected:
            own = len(found["variance"])
            np.testing.assert_allclose(found["variance"], expected["variance"][:own], rtol=1e-4)


def test_without_a_way_back_only_maps_are_kept() -> None:
    graph = every_layer()
    network = Initialised.draw(graph, (0, 0))
    images = some(np.random.default_rng(0), 20, *graph.image_shape)
    kept = Recorded(network, images, signs=True)
    maps = graph.steps[-2].inputs[0]
    passed = Recorded(network, images, signs=True, keep=False)
    np.testing.assert_allclose(passed.value(maps), kept.value(maps), atol=1e-6)
    np.testing.assert_allclose(passed.features, kept.features, atol=1e-6)
    for one, other in zip(passed.agreements, kept.agreements, strict=True):
        np.testing.assert_array_equal(one, other)
    assert passed.has(maps)
    assert not passed.has(1)


def test_passes_that_live_at_once_do_not_share_memory() -> None:
    graph = every_layer()
    network = Initialised.draw(graph, (0, 0))
    rng = np.random.default_rng(0)
    first, second = (some(rng, 18, *graph.image_shape) for _ in range(2))
    one = Recorded(network, first)
    before = one.value(1)
    other = Recorded(network, second)
    np.testing.assert_array_equal(one.value(1), before)
    assert np.abs(other.value(1) - before).max() > 0.1


def test_a_memory_lies_as_another_does() -> None:
    """Also one that knows the same sizes of maps, but met them in another order."""
    wide, small = Stage(8, 8, 1), Stage(4, 4, 1)
    one, other = Memory(), Memory()
    first = one.bases({wide: 2, small: 3}, 2)
    assert other.bases({small: 3, wide: 2}, 2) != first
    assert other.bases({small: 1}, 2, one) == first
    assert other.maps.shape == one.maps.shape
    with pytest.raises(RuntimeError, match="too small"):
        other.bases({wide: 100}, 2, one)


@pytest.mark.parametrize("n", [16, 21])
@pytest.mark.parametrize("seed", range(3))
def test_curvature_of_kernels_without_norm_is_xlas(seed: int, n: int) -> None:
    """Of the readout and NAS-Bench-201's shortcuts, which move by themselves."""
    space = NASBench201(width=6, cells=1)
    graph = space.graph(space.sample(4, seed)[3], (8, 8, 3), 4)
    xla, chosen = both(graph, n, seed)
    labels = jax.device_put(np.arange(n) % 4)
    found = []
    for run in (xla, chosen):
        direction: Any = [
            {}
            if getattr(s.layer, "normalised", False)
            else {k: p[k] for k in ("kernel",) if k in p}
            for s, p in zip(run.graph.steps, run.params, strict=True)
        ]
        found.append(dict(hessian_product(run, labels, direction)))
    network = chosen.recorded.network  # type: ignore[union-attr]
    expected = {i: network.own(i, g)["kernel"] for i, g in found[0].items() if "kernel" in g}
    size = max(float(abs(g).max()) for g in expected.values())
    for step, change in expected.items():
        other = found[1][step]["kernel"] if step in found[1] else np.zeros_like(change)
        alike(other, change, size)


@pytest.mark.parametrize("all_layers", [True, False])
def test_curvature_along_any_direction_is_xlas(all_layers: bool) -> None:
    """Where a largest of some moves, or kernels not by themselves, XLA takes over: also after a
    pass of the engine's, whose way back serves what does not move."""
    graph = every_layer()
    xla, chosen = both(graph, 18, 1)
    labels = jax.device_put(np.arange(18) % 4)
    rng = np.random.default_rng(5)
    found: list[Any] = []
    moved = [
        {k: rng.normal(size=np.shape(a)).astype(np.float32) * (np.asarray(a) != 0)}
        if (all_layers or i > 15) and graph.live[i] and "kernel" in p
        else {}
        for i, p in enumerate(xla.params)
        for k, a in [("kernel", p.get("kernel", 0))]
    ]
    for run in (xla, chosen):
        found.append(dict(hessian_product(run, labels, jax.device_put(moved))))
    network = chosen.recorded.network  # type: ignore[union-attr]
    expected = {i: network.own(i, g)["kernel"] for i, g in found[0].items() if "kernel" in g}
    others = {i: network.own(i, g)["kernel"] for i, g in found[1].items() if "kernel" in g}
    size = max(float(abs(g).max()) for g in expected.values())
    assert others.keys() == expected.keys()
    for step, change in expected.items():
        alike(others[step], change, size)


def test_spaces_whose_layers_have_a_way_back() -> None:
    def known(space: Any) -> bool:
        return derives(space.graph(space.sample(1, 0)[0], (32, 32, 3), 10))

    assert known(NASBench101())
    assert known(NASBench201())
    assert not known(MNAS())
    assert not known(NASBench301())
