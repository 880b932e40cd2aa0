"""Flax modules of one's own: scored as our networks are, by what Flax itself computes."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from nasproxy import ModuleSpace, Session, Store, score, score_modules
from nasproxy.data import Dataset
from nasproxy.errors import ArchitectureError, SettingError
from nasproxy.kernels import neural_tangents
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.wrapped import graph_of
from nasproxy.proxies import NNGP, NTK, Params
from nasproxy.search import search
from nasproxy.space import SearchSpace, network
from search_spaces import NASBench101

SMALL: Any = {"n_train": 24, "n_valid": 24}
IMAGE, CLASSES = (8, 8, 3), 4


class Chain(nnx.Module):
    """Convolutions, batch norm and dropout, with the features apart."""

    def __init__(self, depth: int, width: int, *, rngs: nnx.Rngs):
        self.stem = nnx.Conv(3, width, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.convs = nnx.List([nnx.Conv(width, width, (3, 3), rngs=rngs) for _ in range(depth)])
        self.gain = nnx.Param(jnp.ones(()))
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.readout = nnx.Linear(width, CLASSES, rngs=rngs)

    def features(self, x: Any) -> Any:
        x = nnx.relu(self.norm(self.stem(x)))
        for conv in self.convs:
            x = nnx.relu(conv(x))
        return self.gain[...] * self.dropout(x.mean((1, 2)))

    def __call__(self, x: Any) -> Any:
        return self.readout(self.features(x))


class LinenChain(linen.Module):
    """Of Linen, in one call: there are no features."""

    width: int = 6
    classes: int = CLASSES

    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.Conv(self.width, (3, 3))(x)
        x = linen.BatchNorm(use_running_average=not train, momentum=0.8)(x)
        return linen.Dense(self.classes)(linen.relu(x).mean((1, 2)))


class LinenFeatures(linen.Module):
    """Of Linen, with set-up."""

    width: int

    def setup(self) -> None:
        self.conv, self.readout = linen.Conv(self.width, (3, 3)), linen.Dense(CLASSES)

    def features(self, x: Any) -> Any:
        return linen.relu(self.conv(x)).mean((1, 2))

    def __call__(self, x: Any) -> Any:
        return self.readout(self.features(x))


def chains(**settings: Any) -> ModuleSpace:
    return ModuleSpace(Chain, {"depth": (1, 2, 3), "width": (4, 8)}, **settings)


def images(n: int) -> Any:
    return jnp.asarray(np.random.default_rng(0).normal(size=(n, *IMAGE)), jnp.float32)


@pytest.mark.usefixtures("lenient")
def test_features_logits_and_counts_are_flaxs_own() -> None:
    module = Chain(2, 4, rngs=nnx.Rngs(3))
    graph = graph_of(lambda rngs: module, IMAGE, CLASSES, "features", "chain")
    initialised, x = Initialised.draw(graph, (0, 0)), images(5)
    module.eval()
    np.testing.assert_allclose(initialised.logits(x), module(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(initialised.features(x), module.features(x), rtol=1e-5, atol=1e-6)
    learnt = jax.tree.leaves(nnx.state(module, nnx.Param))
    assert graph.parameters == sum(leaf.size for leaf in learnt)
    # Two for each multiply-add: three convolutions of 3×3 with padding, and the readout.
    assert graph.flops == 2 * (64 * 9 * (3 * 4 + 2 * 4 * 4) + 4 * CLASSES)


@pytest.mark.usefixtures("lenient")
def test_a_batch_moves_statistics_as_flax_does() -> None:
    """By the module's own momentum if that is what is asked for; by another if it is not."""
    module = Chain(1, 4, rngs=nnx.Rngs(0))
    graph = graph_of(lambda rngs: module, IMAGE, CLASSES, "features", "chain")
    x = images(16)
    settled = Initialised.draw(graph, (0, 0)).settled(x, 0.9)
    fresh = Initialised.draw(graph, (0, 0)).settled(x, 0.0).stats[0]
    module.train()
    module.dropout.deterministic = True
    batch = np.asarray(module.stem(x)).var((0, 1, 2))
    module(x)  # Moves them.
    np.testing.assert_allclose(settled.stats[0]["norm.mean"], module.norm.mean[...], rtol=1e-4)
    np.testing.assert_allclose(settled.stats[0]["norm.var"], module.norm.var[...], rtol=1e-5)
    np.testing.assert_allclose(fresh["norm.var"], batch, rtol=1e-4)
    module.eval()
    np.testing.assert_allclose(settled.features(x), module.features(x), rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("lenient")
def test_batch_norm_of_linen_is_told_by_its_argument() -> None:
    module: Any = LinenChain()
    x = images(16)
    graph = graph_of(lambda rngs: module, IMAGE, CLASSES, None, "chain")
    network = Initialised.draw(graph, (0, 0))
    flat = {path: np.asarray(a) for path, a in network.given[0].items()}
    params: dict[str, Any] = {}
    for path, array in flat.items():
        layer, _, name = path.partition(".")
        params.setdefault(layer, {})[name] = array
    stats = {"BatchNorm_0": {"mean": jnp.zeros(6), "var": jnp.ones(6)}}
    variables = {"params": params, "batch_stats": stats}
    _, moved = module.apply(variables, x, train=True, mutable=["batch_stats"])
    settled = network.settled(x, 0.8)
    for name in ("mean", "var"):
        np.testing.assert_allclose(
            settled.stats[0][f"BatchNorm_0.{name}"],
            moved["batch_stats"]["BatchNorm_0"][name],
            rtol=1e-4,
            atol=1e-6,
        )
    logits = module.apply({"params": params, "batch_stats": moved["batch_stats"]}, x)
    np.testing.assert_allclose(settled.logits(x), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("lenient")
def test_the_ntk_is_neural_tangents(tiny_data: Dataset) -> None:
    """Kernel of all logits, of a module with batch norm at rest."""
    pytest.importorskip("neural_tangents")
    nt = neural_tangents.load()
    module = Chain(1, 4, rngs=nnx.Rngs(0))
    module.eval()
    definition, params, rest = nnx.split(module, nnx.Param, ...)
    x, _ = tiny_data.subset("train", 12, seed=0)

    def apply(params: Any, x: Any) -> Any:
        return nnx.merge(definition, params, rest)(x)

    theirs = nt.empirical_ntk_fn(apply, trace_axes=(-1,), vmap_axes=0)(x, None, params)
    graph = graph_of(lambda rngs: module, IMAGE, CLASSES, "features", "chain")
    from nasproxy.kernels import empirical_ntk
    from nasproxy.networks.features import BatchNorm

    norm = BatchNorm(momentum=1.0)
    ours = empirical_ntk.ntk(
        Initialised.draw(graph, (0, 0)), [jnp.asarray(x)], 12, jnp.asarray(x), norm, "trace"
    )
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)


@pytest.mark.usefixtures("lenient")
def test_a_module_of_a_cell_scores_as_the_cell_does(tiny_data: Dataset) -> None:
    """Our own network as a Flax module, by everything that does not draw other weights."""
    space = NASBench101(width=8, stacks=1, cells=1)
    (cell,) = space.sample(1, seed=2)
    module = network(space, cell, tiny_data.image_shape, tiny_data.classes, rngs=(0, 0))
    proxies = [NNGP(**SMALL), NTK(**SMALL), Params(), "flops"]
    theirs = score_modules({"cell": module}, proxies, tiny_data, progress=False).iloc[0]
    ours = score([cell], space, proxies, tiny_data, progress=False).iloc[0]
    for name in ("params", "flops"):
        assert theirs[name] == ours[name]
    for name in ("nngp[negative_mse]", "nngp[negative_loo_mse]", "ntk[negative_mse]"):
        assert theirs[name] == pytest.approx(ours[name], rel=1e-3)
    assert theirs["ntk[log_trace]"] == pytest.approx(ours["ntk[log_trace]"], rel=1e-3)


def test_a_family_is_a_search_space(tiny_data: Dataset) -> None:
    space = chains()
    assert isinstance(space, SearchSpace)
    assert space == chains()
    keys = [space.key(a) for a in space.grid()]
    assert keys[:3] == ["depth=1,width=4", "depth=1,width=8", "depth=2,width=4"]
    assert len(set(keys)) == 6
    for architecture in space.sample(6, seed=1):
        assert space.find(space.key(architecture)) == architecture
        assert space.from_json(space.to_json(architecture)) == architecture
        mutant = space.mutate(architecture, np.random.default_rng(0))
        assert sum(mutant[axis] != architecture[axis] for axis in architecture) == 1
    assert {space.key(a) for a in space.sample(6, seed=1)} == set(keys)
    assert space.key({"width": 8, "depth": 3}) == "depth=3,width=8"
    assert space.row_key({"depth": np.int64(3), "width": np.int64(8)}) == "depth=3,width=8"
    assert pickle.loads(pickle.dumps(space)) == space
    with Store(None) as store:
        table = score(
            space.grid(depth=(1, 2)),
            space,
            ["params", "nngp:n_train=24,n_valid=24"],
            tiny_data,
            store=store,
            progress=False,
        )
        assert np.isfinite(table[["params", "nngp"]]).all(axis=None)
        assert table.loc["depth=1,width=4", "params"] == (27 * 4 + 4) + 8 + 148 + 1 + 20
        ranked = store.rank(table["params"])
        assert ranked.set_index("proxy").loc["params", "kendall_tau"] == 1


def test_scores_are_named_by_the_seed_and_differ_between_members(tiny_data: Dataset) -> None:
    space = chains()
    first, again, other = (
        score(["depth=1,width=4"], space, NNGP(**SMALL), tiny_data, seeds=s, progress=False).iloc[0]
        for s in (0, 0, 1)
    )
    columns = [c for c in first.index if "seconds" not in c]
    assert (first[columns] == again[columns]).all()
    assert (first[columns] != other[columns]).any()
    graph = space.graph({"depth": 1, "width": 4}, IMAGE, CLASSES)
    members = [Initialised.draw(graph, (0, m)).given[0]["stem.kernel"] for m in range(3)]
    assert len({m.tobytes() for m in members}) == 3


def test_search_finds_the_largest(tiny_data: Dataset) -> None:
    trace = search(chains(), "params", tiny_data, strategy="random", budget=30, progress=False)
    assert trace["best_architecture"].iloc[-1] == "depth=3,width=8"


def test_a_session_knows_its_best(tiny_data: Dataset) -> None:
    space = chains()
    with Store(None) as store:
        session = Session("params", space, tiny_data, store)
        assert session.best is None
        for architecture in space.grid():
            session(architecture)
        assert session.best is not None
        assert session.best.key.architecture == "depth=3,width=8"
        session({"depth": 1, "width": 4})
        assert session.best.key.architecture == "depth=3,width=8"


def test_linen_families_and_modules(tiny_data: Dataset) -> None:
    space = ModuleSpace(LinenFeatures, {"width": (4, 8)})
    nngp = NNGP(**SMALL, ensemble=2)
    table = score(space.grid(), space, [nngp, "params"], tiny_data, progress=False)
    assert table["params"].tolist() == [28 * w + w * CLASSES + CLASSES for w in (4, 8)]
    assert np.isfinite(table["nngp"]).all()
    given = {"a": LinenFeatures(4), "b": LinenFeatures(8)}
    again = score_modules(given, [nngp, "params"], tiny_data, progress=False)
    np.testing.assert_array_equal(again["nngp"], table["nngp"])


def test_modules_are_left_as_they_were(tiny_data: Dataset) -> None:
    module = Chain(1, 4, rngs=nnx.Rngs(0))
    before = jax.tree.map(
        np.array, nnx.to_pure_dict(nnx.state(module, nnx.Param, nnx.BatchStat)[0])
    )
    score_modules(
        {"a": module}, [NNGP(**SMALL), "training:epochs=1,batch=32"], tiny_data, progress=False
    )
    after = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, before, after)
    assert not module.norm.use_running_average


def test_what_a_module_lacks_is_said(tiny_data: Dataset) -> None:
    nngp = NNGP(**SMALL)
    for features in ("features", None):
        with pytest.raises(SettingError, match="features"):
            score_modules({"a": LinenChain()}, nngp, tiny_data, features=features, progress=False)
    with pytest.raises(SettingError, match=r"10 outputs .* 4 classes"):
        score_modules({"a": LinenChain(classes=10)}, "params", tiny_data, progress=False)
    modules = {"a": LinenFeatures(4), "b": Chain(1, 4, rngs=nnx.Rngs(0))}
    with pytest.raises(SettingError, match="ensemble=2 of nngp: b has its weights"):
        score_modules(modules, NNGP(**SMALL, ensemble=2), tiny_data, progress=False)
    with pytest.raises(SettingError, match="of type int"):
        score_modules({"a": 3}, "params", tiny_data, progress=False)
    half = nnx.Linear(3, 4, param_dtype=jnp.float16, rngs=nnx.Rngs(0))
    with pytest.raises(SettingError, match="float16"):
        score_modules({"a": half}, "params", tiny_data, progress=False)
    with pytest.raises(SettingError, match="no stem to widen"):
        score(["depth=1,width=4"], chains(), "nngp:width=8", tiny_data, progress=False)


def test_a_module_that_does_not_take_the_images_has_failed(tiny_data: Dataset) -> None:
    def make(channels: int, rngs: nnx.Rngs) -> nnx.Module:
        pooled = nnx.Linear(channels, CLASSES, rngs=rngs)
        return nnx.Sequential(lambda x: x.mean((1, 2)), pooled)

    space = ModuleSpace(make, {"channels": (3, 5)}, called="sums")
    table = score(space.grid(), space, "params", tiny_data, progress=False)
    assert table["params"].isna().tolist() == [False, True]
    (reason,) = table.attrs["failed"]["params"]
    assert "does not take images 8×8×3" in reason


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "give values by name"),
        ({"depth": (1, 1)}, "different"),
        ({"depth": ()}, "different"),
        ({"depth": 3}, "different"),
        ({"width": ("a,b",)}, "different"),
        ({"height": (1, 2)}, "takes depth, width"),
        ({"rngs": (1, 2)}, "takes depth, width"),
    ],
)
def test_axes_that_are_none_are_refused(axes: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ModuleSpace(Chain, axes)


def test_architectures_that_are_none_are_refused() -> None:
    space = chains()
    for key in ("", "depth=1", "depth=4,width=4", "depth=1,width=4,width=4", "depth=True,width=4"):
        with pytest.raises(ArchitectureError, match="depth: 1, 2, 3; width: 4, 8"):
            space.find(key)
    for given in ({"depth": 1}, {"depth": True, "width": 4}, {"depth": 1.0, "width": 4}, 3):
        with pytest.raises(ArchitectureError):
            space.key(given)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(SettingError, match=r"called='.*lambda"):
        ModuleSpace(lambda depth: None, {"depth": (1, 2)})
    one = ModuleSpace(Chain, {"depth": (1,), "width": (4,)})
    with pytest.raises(SettingError, match="nothing to search"):
        one.mutate({"depth": 1, "width": 4}, np.random.default_rng(0))


def test_stores_know_a_family_by_its_name_and_not_its_axes(tiny_data: Dataset) -> None:
    """More values find what fewer have scored."""
    with Store(None) as store:

        def scored(space: ModuleSpace) -> Any:
            session = Session("params", space, tiny_data, store)
            return session(space.find("depth=1,width=4"))

        first = scored(chains())
        wider = ModuleSpace(Chain, {"depth": (1, 9), "width": (4,)})
        assert scored(wider).created == first.created
        assert scored(chains(called="others")).key != first.key


def test_modules_are_scored_by_gradients(tiny_data: Dataset) -> None:
    """Of a module's arrays with two and more axes, as JAX differentiates them."""
    module = Chain(1, 4, rngs=nnx.Rngs(0))
    names = ["l2_norm:batch=8", "grad_norm:batch=8", "snip:batch=8", "jacov:batch=8"]
    frame = score_modules({"mine": module}, names, tiny_data, progress=False)
    found: Any = frame.loc["mine"]
    images, labels = tiny_data.subset("train", 8, 0)
    module.set_attributes(deterministic=True, raise_if_not_found=False)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        definition, params, rest = nnx.split(module, nnx.Param, ...)

        def loss(params: Any) -> Any:
            logits = nnx.merge(definition, params, rest, copy=True)(images)
            return -jax.nn.log_softmax(logits)[jnp.arange(8), labels].mean()

        grads = jax.jit(jax.grad(loss))(params)
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(grads), strict=True)
    kernels = [(np.asarray(w), np.asarray(g)) for w, g in pairs if w.ndim > 1]
    assert found["l2_norm"] == pytest.approx(sum(np.linalg.norm(w) for w, _ in kernels), rel=1e-5)
    assert found["grad_norm"] == pytest.approx(sum(np.linalg.norm(g) for _, g in kernels), rel=1e-4)
    assert found["snip"] == pytest.approx(sum(np.abs(w * g).sum() for w, g in kernels), rel=1e-4)
    assert np.isfinite(found["jacov"])
    for name in ("nwot", "zen", "synflow", "fisher", "grasp"):
        refused = score_modules({"mine": module}, name, tiny_data, progress=False)
        (reason,) = refused.attrs["failed"][name]
        assert "looks inside layers, and Module" in reason
    with pytest.raises(SettingError, match="draws its own weights"):
        score_modules({"mine": module}, "snip:batch=8,init=pytorch", tiny_data, progress=False)
