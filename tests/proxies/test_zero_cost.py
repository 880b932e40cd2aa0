"""Zero-cost proxies against autodiff of the same weights in Flax, and PyTorch's formulas."""

import math
from typing import Any

import jax
import numpy as np
import pytest

from nasproxy.data import Dataset, from_arrays
from nasproxy.errors import DataError, SettingError
from nasproxy.networks import passes as network_passes
from nasproxy.networks.drawing import INITS, drawn
from nasproxy.networks.graph import Builder
from nasproxy.networks.layers import ConvBN, Dense, GlobalAverage
from nasproxy.plugins import PROXIES
from nasproxy.proxies import EPENAS, NWOT, GradNorm, Jacov, Snip, SynFlow, Zen, passes
from nasproxy.proxies.base import NoScore
from nasproxy.proxies.batches import Images
from nasproxy.proxies.gradients import Summed
from nasproxy.proxies.jacov import correlations
from nasproxy.proxies.suite import GROUPS, members
from search_spaces import FullyConnectedNetworks, NASBench201
from tests.support.zero_cost import BATCH, DEAD, MIXED, NAMES, SPACES, SUITE, Case

TOLERANCES = {"nwot": 1e-3, "jacov": 2e-3, "epe_nas": 1e-4, "zico": 2e-3, "grasp": 2e-3}
"""Relative; where rounding is magnified: inverse eigenvalues, differences of two gradients."""


@pytest.fixture(scope="module", params=SPACES)
def case(request: pytest.FixtureRequest, tiny_data: Dataset) -> Case:
    return Case(*SPACES[request.param], tiny_data)


@pytest.mark.usefixtures("lenient")
def test_equals_autodiff_of_the_flax_module(tiny_data: Dataset) -> None:
    case = Case(*SPACES["nasbench101"], tiny_data)  # The smaller: Flax compiles it whole.
    flax = case.flax
    weights, grads = flax.kernels(flax.params), flax.kernels(flax.grads)
    products = flax.kernels(flax.product)
    pairs = list(zip(weights, grads, strict=True))
    expected = {
        "l2_norm": sum(np.linalg.norm(w) for w in weights),
        "grad_norm": sum(np.linalg.norm(g) for g in grads),
        "snip": sum(np.abs(w * g).sum() for w, g in pairs),
        "grasp": -sum((p * g).sum() for p, g in zip(products, grads, strict=True)),
    }
    for name, value in expected.items():
        assert case.value(name) == pytest.approx(value, rel=2e-3), name
    plain = sum((w * g).sum() for w, g in pairs)
    assert case.value("plain") == pytest.approx(plain, abs=1e-4 * expected["snip"])
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(np.asarray(flax.jacobian).reshape(BATCH, -1)))
    jacov = -(np.log(eigenvalues + 1e-5) + 1 / (eigenvalues + 1e-5)).sum()
    assert case.value("jacov") == pytest.approx(jacov, rel=2e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "zen"])
def test_equals_torch(case: Case, name: str) -> None:
    """The formulas as the public code has them, of a network with the same weights."""
    torch = pytest.importorskip("torch", reason="needs the extra: pip install nasproxy[parity]")
    from experiments.benchmarks import torch_proxies

    def batch(number: int) -> tuple[Any, Any]:
        images, labels = case.batch(number)
        moved = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return torch.from_numpy(moved), torch.from_numpy(labels.astype(np.int64))

    network = torch_proxies.Network(case.drawn).train()
    more = {"more": batch(1)} if name == "zico" else {}
    expected = torch_proxies.PROXIES[name](network, *batch(0), **more)
    close = pytest.approx(expected, rel=TOLERANCES.get(name, 1e-4), abs=1e-6)
    if name == "plain":  # A difference of larger numbers.
        close = pytest.approx(expected, abs=1e-4 * case.value("snip"))
    assert case.value(name) == close


@pytest.mark.parametrize("variance", ["batch", "running"])
def test_zen_equals_torch(case: Case, variance: str) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra: pip install nasproxy[parity]")
    from experiments.benchmarks import torch_proxies

    proxy = Zen(batch=BATCH, variance=variance)
    images = Images(case.data, 0)
    x, moved = (
        torch.from_numpy(np.array(images.batch(wanted.of.batch)[0]).transpose(0, 3, 1, 2).copy())
        for wanted in proxy.wanted()
    )
    network: Any = torch_proxies.Network(drawn(case.graph, (0, 0), "normal")).train()
    unbiased = 0.0
    if variance == "batch":  # At momentum 1 PyTorch keeps the last batch's, and unbiased.
        x, moved = moved, x
        for norm in network.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.momentum = 1.0
        for place, step in enumerate(case.graph.steps):
            if step.layer.statistics():
                n = BATCH * math.prod(case.graph.shapes[place + 1][:2])
                unbiased += 0.5 * math.log(n / (n - 1))
    expected = torch_proxies.zen(network, x, x, moved) - unbiased
    score = proxy.prepare(case.space, case.data, 0)(case.architecture)
    assert score.value == pytest.approx(expected, abs=1e-3)


def test_together_they_score_as_alone(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """By five passes forward: of two batches, of unit normals twice, and of ones."""
    made = []
    run = network_passes.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        made.append(args[3])
        return run(*args, **kwargs)

    monkeypatch.setattr(network_passes, "forward", counted)
    together = passes.prepare(SUITE, case.space, case.data, 0)
    together(case.architecture, range(len(SUITE)))
    assert sorted(made) == ["bypassed", *["training"] * 4]
    for name in ("snip", "jacov", "fisher", "zico"):
        proxy = SUITE[NAMES.index(name)]
        alone = proxy.prepare(case.space, case.data, 0)(case.architecture)
        shared = case.scores[name]
        assert isinstance(shared, passes.Shared)
        assert alone.value == pytest.approx(shared.score.value, rel=1e-5)
        assert alone.flops == shared.score.flops
        assert shared.seconds > 0


def test_nothing_compiles_for_an_architecture(tiny_data: Dataset) -> None:
    """Layers of a scored cell in another order."""
    together = passes.prepare(SUITE, SPACES["nasbench201"][0], tiny_data, 0)
    together(MIXED, range(len(SUITE)))
    programs: Any = [network_passes._run, network_passes._pull]
    before = [program._cache_size() for program in programs]
    together(MIXED.replace("skip_connect~0", "avg_pool_3x3~0"), range(len(SUITE)))
    assert [program._cache_size() for program in programs] == before


def test_in_a_chain_every_layer_carries_the_whole_flow(tiny_data: Dataset) -> None:
    """Tanaka et al. 2020, theorem 1: SynFlow's terms of a layer add up to R."""
    builder = Builder((8, 8, 3))
    x = builder.add(ConvBN(3, 3, 8), builder.image)
    x = builder.add(ConvBN(3, 8, 6), x)
    x = builder.add(ConvBN(1, 6, 8, stride=2), x)
    builder.add(Dense(8, 4), builder.add(GlobalAverage(), x))
    graph = builder.graph()

    class Chain:
        def graph(self, *_: Any) -> Any:
            return graph

    seen: list[float] = []

    class Terms(Summed):
        def forward(self, run: passes.Run) -> None:
            seen.append(float(run.forward.logits.sum()))

    class Split(SynFlow):
        def reader(self, graph: Any) -> passes.Reader:
            def term(weights: np.ndarray, grads: np.ndarray) -> float:
                assert grads.dtype == np.float64
                seen.append(float((weights * grads).sum()))
                return seen[-1]

            return Terms(term, "the flow")

    space: Any = Chain()
    total = Split().prepare(space, tiny_data, 0)(None).value
    assert len(seen) == 5
    np.testing.assert_allclose(seen[1:], seen[0], rtol=1e-10)
    assert total == pytest.approx(4 * seen[0])
    assert SynFlow().prepare(space, tiny_data, 0)(None).value == pytest.approx(total)
    logarithm = SynFlow(log=True).prepare(space, tiny_data, 0)(None).value
    assert logarithm == pytest.approx(math.log(total))


def test_a_dead_cell_has_no_score_and_says_why(tiny_data: Dataset) -> None:
    space = NASBench201(width=8, cells=1)
    together = passes.prepare(SUITE, space, tiny_data, 0)
    made = dict(zip(NAMES, together(DEAD, range(len(SUITE))), strict=True))
    assert isinstance(made.pop("l2_norm"), passes.Shared)
    for name, error in made.items():
        assert isinstance(error, NoScore), name
        assert str(error)


def test_what_has_no_number_is_refused(tiny_data: Dataset) -> None:
    with pytest.raises(DataError, match="no two images of a class"):
        EPENAS(batch=4).prepare(SPACES["nasbench201"][0], tiny_data, 0)
    with pytest.raises(NoScore, match="overflow"):
        correlations(np.full((2, 2, 2, 1), np.nan, np.float32))
    with pytest.raises(NoScore, match="do not feel"):
        correlations(np.ones((2, 2, 2, 1), np.float32))
    overflowing = Summed(lambda weights, grads: math.inf, "the flow")
    overflowing._total = math.inf
    with pytest.raises(NoScore, match="the flow overflows"):
        overflowing.score()
    same = from_arrays(
        np.concatenate([tiny_data.train_images[:8], tiny_data.train_images[:8]]),
        np.tile(np.arange(4), 4),
        tiny_data.valid_images,
        tiny_data.valid_labels,
    )
    with pytest.raises(NoScore, match="same side of every ReLU"):
        NWOT(batch=16).prepare(SPACES["nasbench201"][0], same, 0)(MIXED)
    with pytest.raises(SettingError, match="batch_norm"):
        Snip(batch_norm="bypassed")
    with pytest.raises(SettingError, match="batch=1"):
        Jacov(batch=1)


def test_networks_without_maps_are_scored_where_it_makes_sense(tiny_data: Dataset) -> None:
    space = FullyConnectedNetworks(width=8)
    (network,) = space.grid(depth=[2], activation=["relu"])
    made = dict(
        zip(
            NAMES,
            passes.prepare(SUITE, space, tiny_data, 0)(network, range(len(SUITE))),
            strict=True,
        )
    )
    assert isinstance(made.pop("zen"), NoScore)
    assert all(isinstance(one, passes.Shared) for one in made.values()), made


@pytest.mark.parametrize("init", INITS)
def test_weights_are_drawn_as_said(init: str) -> None:
    graph = NASBench201(width=32, cells=1).graph(MIXED, (8, 8, 3), 4)
    first, again = (drawn(graph, (0, 0), init).given for _ in range(2))
    other = drawn(graph, (1, 0), init).given
    stem, readout = first[0]["kernel"], first[-1]["kernel"]
    place = next(i for i, a in enumerate(first) if a and a["kernel"].shape == (3, 3, 128, 128))
    kernel = first[place]["kernel"]
    variances = {
        "own": 1 / (9 * 128),
        "pytorch": 1 / (3 * 9 * 128),
        "fan_out": 2 / (9 * 128),
        "normal": 1.0,
    }
    assert kernel.var() == pytest.approx(variances[init], rel=0.02)
    assert kernel.dtype == stem.dtype == readout.dtype == np.float32
    assert ("bias" in first[-1]) == (init == "pytorch")
    same = jax.tree.map(np.array_equal, first, again)
    assert all(jax.tree.leaves(same))
    assert not np.array_equal(other[0]["kernel"], stem)


def test_a_group_stands_for_its_members() -> None:
    proxies = members("suite", {"batch": 16, "preset": "naslib"}, width=4)
    assert [proxy.name for proxy in proxies] == list(GROUPS["suite"])
    by_name: Any = {proxy.name: proxy for proxy in proxies}
    assert {proxy.width for proxy in proxies} == {4}
    assert by_name["snip"] == Snip(batch=16, width=4, init="pytorch", balanced=False, augment=True)
    assert by_name["synflow"].batch == 1
    with pytest.raises(SettingError, match="no setting 'sharpness'"):
        members("suite", {"sharpness": 3})


def test_every_proxy_says_its_conditions() -> None:
    for name in PROXIES:
        assert all(PROXIES[name].card), name


def test_batches_of_a_seed(tiny_data: Dataset) -> None:
    """Number and seed name the images; augmentation keeps their labels."""
    images = Images(tiny_data, 0)
    proxy = GradNorm(batch=8)
    first, second = (images.batch(proxy.of_data(number).batch) for number in (0, 1))
    expected, labels = tiny_data.subset("train", 16, 0)
    np.testing.assert_array_equal(np.concatenate([first[0], second[0]]), expected)
    np.testing.assert_array_equal(np.concatenate([first[1], second[1]]), labels)
    moved = images.batch(GradNorm(batch=8, augment=True).of_data().batch)
    np.testing.assert_array_equal(moved[1], first[1])
    assert not np.array_equal(moved[0], first[0])
    with pytest.raises(DataError):
        GradNorm(batch=500).prepare(SPACES["nasbench201"][0], tiny_data, 0)
