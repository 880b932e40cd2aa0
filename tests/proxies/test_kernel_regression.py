"""Kernels that tell no images apart have no score, whatever the proxy; others keep theirs."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.data import Dataset, load
from nasproxy.errors import DataError, SettingError
from nasproxy.proxies import NNGP, NTK, InfiniteWidth
from nasproxy.proxies.base import NoScore, Score
from nasproxy.proxies.kernel_regression import MEASURES, OF_VALIDATION, Problem, judge
from nasproxy.proxies.nngp import ROUNDING
from nasproxy.settings import describe, parse_settings, said
from nasproxy.solvers.ridge import KernelSweep, RidgeSweep
from search_spaces import FullyConnectedNetworks, NASBench101
from tests.conftest import tiny_dataset

CLASSES, N_TRAIN, N_VALID = 4, 24, 20
LABELS = np.arange(N_TRAIN + N_VALID) % CLASSES


def judged(
    phi: Any,
    *,
    kernel: bool = False,
    n_train: Any = N_TRAIN,
    n_valid: int = N_VALID,
    balanced: bool = True,
    measure: str = "accuracy",
) -> Score:
    """The score of features ``[n_train + n_valid, d]``, by features or by their kernel."""
    phi = np.asarray(phi, np.float64)
    labels = LABELS if balanced else np.where(np.arange(len(LABELS)) < 9, 2, LABELS)
    targets = np.eye(CLASSES)[labels[:N_TRAIN]] - 1 / CLASSES
    unseen = labels[N_TRAIN : N_TRAIN + n_valid]
    problem = Problem(None, targets, unseen)  # type: ignore[arg-type]  # no images

    def fit(some: int, _: int) -> Any:
        if not kernel:
            return RidgeSweep(phi[:some], targets[:some]), phi[N_TRAIN : N_TRAIN + n_valid]
        gram = phi @ phi[:some].T
        return KernelSweep(gram[:some], targets[:some]), gram[N_TRAIN : N_TRAIN + n_valid]

    return judge(
        problem,
        fit,
        lambda train, valid, _: float(train + 1000 * valid),
        n_train=n_train,
        n_valid=n_valid,
        measure=measure,
        resolution=ROUNDING**2,
    )


def blind(name: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n, direction = N_TRAIN + N_VALID, rng.normal(size=8)
    sizes = rng.uniform(0.5, 2, (n, 1))
    return {
        "constant": np.tile(direction, (n, 1)),
        "constant, up to rounding": direction * (1 + 1e-15 * rng.normal(size=(n, 8))),
        "rank one": sizes * direction,
        "rank one, up to rounding": sizes * direction * (1 + 1e-15 * rng.normal(size=(n, 8))),
        "one unit alive": sizes * np.eye(8)[3],
    }[name]


BLIND = (
    "constant",
    "constant, up to rounding",
    "rank one",
    "rank one, up to rounding",
    "one unit alive",
)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(BLIND),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-18, 1e-6, 1.0, 1e6, 1e18]),
    kernel=st.booleans(),
    balanced=st.booleans(),
)
def test_what_tells_no_images_apart_is_no_score(
    name: str, seed: int, scale: float, kernel: bool, balanced: bool
) -> None:
    """One class is ahead for all images, or none: the accuracy is its share."""
    with pytest.raises(NoScore, match=r"tie|the same for all|of one class"):
        judged(scale * blind(name, seed), kernel=kernel, balanced=balanced)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    apart=st.sampled_from([1e-5, 1e-3, 1.0]),
    kernel=st.booleans(),
    width=st.integers(1, 40),
)
def test_a_little_that_tells_images_apart_is_a_score(
    seed: int, apart: float, kernel: bool, width: int
) -> None:
    """Also bad ones, of features that know nothing of the labels."""
    rng = np.random.default_rng(seed)
    phi = 1 + apart * rng.normal(size=(N_TRAIN + N_VALID, width))
    if width == 1:
        phi = phi - 1  # Else of rank one, and of one sign.
    assert 0 <= judged(phi, kernel=kernel).value <= 1


def test_features_of_the_labels_are_right_everywhere() -> None:
    for kernel in (False, True):
        score = judged(np.eye(CLASSES)[LABELS] + 1e3, kernel=kernel)
        assert (score.value, score.columns["loo_accuracy"]) == (1, 1)


def test_each_case_says_what_was_seen() -> None:
    phi = np.eye(CLASSES)[LABELS]
    dark = np.where(np.arange(len(LABELS)) < N_TRAIN, 1, 0)[:, None] * phi
    with pytest.raises(NoScore, match="tie between classes"):
        judged(dark)
    same = np.where(np.arange(len(LABELS))[:, None] < N_TRAIN, phi, phi[3])
    with pytest.raises(NoScore, match="the same for all validation images"):
        judged(same)
    with pytest.raises(NoScore, match="of one class for all images"):
        judged(blind("rank one"))
    with pytest.raises(NoScore, match="vanishes"):
        judged(0 * phi)
    for broken in (np.nan, np.inf):
        with pytest.raises(NoScore, match="NaN or infinity"):
            judged(np.where(phi > 0, broken, phi))
    with pytest.raises(NoScore, match="overflow"):
        judged(1e200 * phi)


def test_ties_of_some_images_are_no_failure() -> None:
    phi = np.eye(CLASSES)[LABELS]
    phi[N_TRAIN + 10 :] = 0
    assert judged(phi).value == pytest.approx((10 + 2.5) / 20, abs=0.05 + 1e-9)


def test_of_several_sizes_only_those_that_say_something_count() -> None:
    """The first 8 images are alike; of 24 the others are told apart."""
    phi = np.eye(CLASSES)[LABELS] + 1
    phi[:8] = 1
    score = judged(phi, n_train=(8, 24))
    assert score.value == 1
    small = {name: v for name, v in score.columns.items() if name.startswith("n_train=8")}
    assert len(small) == len(MEASURES)
    assert all(np.isnan(v) for v in small.values())


@pytest.mark.parametrize("solver", ["ridge", "eigenpro"])
@pytest.mark.parametrize(("activation", "depth"), [("erf", 2000), ("relu", 10_000)])
def test_deep_kernels_that_collapse_are_no_score(solver: str, activation: str, depth: int) -> None:
    """erf's in its ordered phase; of ReLU's, float64 resolves what is left at any depth."""
    data = load("digits")
    space = FullyConnectedNetworks()
    options: Any = {"weight_variance": 0.5, "bias_variance": 1.0} if activation == "erf" else {}
    proxy = InfiniteWidth(kind="nngp", solver=solver, n_train=40, n_valid=40, top=0, **options)
    scorer = proxy.prepare(space, data, 0)
    architecture = space.grid(depth=(depth,), activation=(activation,))[0]
    if solver == "ridge" and activation == "relu":
        assert 0.1 <= scorer(architecture).value <= 1
        return
    with pytest.raises(NoScore, match=r"tie|same|one class"):
        scorer(architecture)


@pytest.mark.parametrize("proxy", [NNGP(n_train=1, n_valid=9), NTK(n_train=1, n_valid=9)])
def test_training_images_of_one_class_are_refused_before_scoring(
    proxy: Any, tiny_data: Dataset
) -> None:
    with pytest.raises(DataError, match=r"n_train=1 .* are all of class \d.*larger n_train"):
        proxy.prepare(NASBench101(width=4, stacks=1, cells=1), tiny_data, 0)


@pytest.mark.parametrize("classes", [2, 4])
def test_eigenpro_scores_are_the_estimators(classes: int) -> None:
    data = tiny_dataset(0)
    if classes == 2:
        keep, valid = data.train_labels < 2, data.valid_labels < 2
        from nasproxy.data import from_arrays

        data = from_arrays(
            data.train_images[keep],
            data.train_labels[keep],
            data.valid_images[valid],
            data.valid_labels[valid],
            name="two",
        )
    space = FullyConnectedNetworks()
    proxy = InfiniteWidth(solver="eigenpro", n_train=40, n_valid=30, top=10)
    network = space.grid(depth=(2,), width=(8,))[0]
    score = proxy.prepare(space, data, 0)(network)
    train, y = data.subset("train", 40, 0)
    images, labels = data.subset("valid", 30, 0)
    model = proxy._eigenpro(proxy._function(*space.infinite_width(network)), 0).fit(
        train.reshape(40, -1), y
    )
    assert score.value == model.score(images.reshape(30, -1), labels) > 1 / classes


def test_images_with_hardly_anything_in_common_have_a_score() -> None:
    """A kernel all but diagonal: predictions are tiny, and as exact as large ones."""
    phi = np.eye(CLASSES)[LABELS]
    problem_targets = np.eye(CLASSES)[LABELS[:N_TRAIN]] - 1 / CLASSES
    gram = 1e-20 * phi @ phi[:N_TRAIN].T
    gram[:N_TRAIN] += np.eye(N_TRAIN)
    problem = Problem(None, problem_targets, LABELS[N_TRAIN:])  # type: ignore[arg-type]
    score = judge(
        problem,
        lambda *_: (KernelSweep(gram[:N_TRAIN], problem_targets), gram[N_TRAIN:]),
        lambda *_: 1.0,
        n_train=N_TRAIN,
        n_valid=N_VALID,
    )
    assert score.value == 1
    assert np.isnan(score.columns["loo_accuracy"]), "which is one less that rounds to itself"


@pytest.mark.parametrize("solver", ["ridge", "eigenpro"])
def test_what_one_depth_does_is_no_fault_of_the_run(solver: str, tiny_data: Dataset) -> None:
    """Variances beyond the dtype at a great depth; a rank below ``top`` likewise."""
    space = FullyConnectedNetworks()
    proxy = InfiniteWidth(solver=solver, n_train=24, n_valid=24, top=5, weight_variance=9.0)
    scorer = proxy.prepare(space, tiny_data, 0)
    shallow, deep = space.grid(depth=(1, 900))
    assert scorer(shallow).value > 0.25
    with pytest.raises(NoScore, match="nearer to 2"):
        scorer(deep)


def test_sizes_that_do_not_fit_are_refused_before_scoring(tiny_data: Dataset) -> None:
    for options, message in (({"batch": 25}, "batch=25"), ({"top": 24}, "top=24")):
        own: Any = {"solver": "eigenpro", "n_train": 24, "n_valid": 24} | options
        proxy = InfiniteWidth(**own)
        with pytest.raises(SettingError, match=message):
            proxy.prepare(FullyConnectedNetworks(), tiny_data, 0)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("n_valid", [0, N_VALID])
def test_any_measure_is_the_score_and_the_others_columns(measure: str, n_valid: int) -> None:
    """Without validation images those that need none are the same numbers."""
    phi = np.random.default_rng(0).normal(size=(N_TRAIN + N_VALID, 12)) + np.eye(12)[LABELS]
    usual = judged(phi, n_train=(16, N_TRAIN))
    if not n_valid and measure in OF_VALIDATION:
        with pytest.raises(KeyError):
            judged(phi, n_valid=0, measure=measure)
        return
    score = judged(phi, n_train=(16, N_TRAIN), n_valid=n_valid, measure=measure)
    assert score.value == (usual.columns | {"accuracy": usual.value})[measure]
    there = [m for m in MEASURES if n_valid or m not in OF_VALIDATION]
    assert len(score.columns) == 2 * len(there) - 1
    for name in set(there) - {measure, "accuracy"}:
        assert score.columns[name] == usual.columns[name]
    used = 1000 * n_valid if measure in OF_VALIDATION else 0
    assert score.flops == N_TRAIN + used, "what a measure does not use, it is not charged for"
    small = f"n_train=16,n_valid={n_valid},ensemble=1"
    assert score.info["flops"][small] == 16 + used


@pytest.mark.parametrize("kind", [NNGP, NTK, InfiniteWidth])
def test_columns_of_training_images_need_no_others(kind: Any, tiny_data: Dataset) -> None:
    """The same numbers, at the same charge, as with validation images beside them."""
    wide = kind is InfiniteWidth
    space: Any = FullyConnectedNetworks() if wide else NASBench101(width=4, stacks=1, cells=1)
    architectures = space.grid(depth=(2, 5)) if wide else space.sample(2, 0)
    options = {"n_train": (16, 24), "measure": "negative_loo_mse"}
    without = kind(n_valid=0, **options).prepare(space, tiny_data, 0)
    beside = kind(n_valid=20, **options).prepare(space, tiny_data, 0)
    for architecture in architectures:
        score, other = without(architecture), beside(architecture)
        assert score.value == pytest.approx(other.value, rel=1e-6)
        assert score.flops == other.flops
        assert "accuracy" not in score.columns
        for name, value in score.columns.items():
            same = name.replace("n_valid=0", "n_valid=20")
            assert value == pytest.approx(other.columns[same], rel=1e-5, abs=1e-9)
            charge = other.info["flops"].get(same, other.flops)
            assert score.info["flops"].get(name, score.flops) == charge


def test_a_measure_that_needs_validation_images_gets_some() -> None:
    for measure in OF_VALIDATION:
        with pytest.raises(SettingError, match="negative_gcv"):
            NNGP(n_valid=0, measure=measure)
    with pytest.raises(SettingError, match="0 alone"):
        NNGP(n_valid=(0, 5), measure="log_evidence")
    with pytest.raises(SettingError, match="measure"):
        NNGP(measure="gcv")
    with pytest.raises(SettingError, match="solver=ridge"):
        InfiniteWidth(solver="eigenpro", measure="log_evidence")


@pytest.mark.parametrize("kind", [NNGP, NTK])
def test_presets_leave_nothing_to_defaults(kind: Any) -> None:
    """But the width, which is the space's."""
    names = {field.name for field in dataclasses.fields(kind)} - {"width"}
    for preset in kind.presets.values():
        assert set(preset) == names


@pytest.mark.parametrize("kind", [NNGP, NTK, InfiniteWidth])
def test_stores_do_not_name_the_measure_that_old_rows_have(kind: Any) -> None:
    assert "measure" not in describe(kind(), kind.name, full=True)
    other = describe(kind(measure="log_evidence"), kind.name, full=True)
    assert "measure=log_evidence" in other
    assert said(kind, parse_settings(describe(kind(), kind.name, full=True))[1])["measure"] == (
        "accuracy"
    )


def test_leave_one_out_accuracy_is_biased_on_balanced_images() -> None:
    """Of features that say nothing: each image left out is of the rarest class among the others.

    Chance is 1/4; twenty draws of 40 images, of which each class has 10.
    """
    labels = np.arange(40) % CLASSES
    found = []
    for seed in range(20):
        phi = 1 + 0.01 * np.random.default_rng(seed).normal(size=(40, 8))
        targets = np.eye(CLASSES)[labels] - 1 / CLASSES
        left_out = RidgeSweep(phi, targets).leave_one_out([10.0])[0]
        found.append((left_out.argmax(1) == labels).mean())
    assert np.mean(found) < 0.05


@pytest.mark.parametrize("proxy", [NNGP(), NTK()])
def test_how_it_is_solved_is_not_in_old_keys(proxy: NNGP | NTK) -> None:
    """Stores name neither setting while it is what it was before there was one."""
    text = describe(proxy, proxy.name, full=True)
    assert "solver" not in text
    assert "regularisers" not in text
    chosen = dataclasses.replace(proxy, solver="cholesky", regularisers=(1e-3, 0.1))
    text = describe(chosen, proxy.name, full=True)
    assert "solver=cholesky,regularisers=0.001/0.1" in text
    assert type(proxy)(**said(type(proxy), parse_settings(text)[1])) == chosen


@pytest.mark.parametrize("given", ["qr", None, 3])
def test_solvers_that_there_are_not(given: Any) -> None:
    with pytest.raises(SettingError, match=r"solver=.* of nngp"):
        NNGP(solver=given)


@pytest.mark.parametrize("given", [0.0, (1e-3, -1.0), "few", ()])
def test_regularisers_that_cannot_be(given: Any) -> None:
    with pytest.raises(SettingError, match=r"regularisers=.* of ntk"):
        NTK(regularisers=given)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "eigen"])
def test_one_regulariser_is_one_point_of_the_curve(solver: str) -> None:
    """Its accuracy is that of the whole sweep there, however it is solved."""
    data = tiny_dataset(0)
    space = NASBench101(width=4, stacks=1, cells=1)
    cell = space.sample(1, 0)[0]
    sizes: Any = {"n_train": 24, "n_valid": 40, "norm_images": 8, "ensemble": 2}
    every = NNGP(**sizes).prepare(space, data, 0)(cell)
    (curve,) = every.info["accuracy"].values()
    for place in (8, 15):
        epsilon = float(np.logspace(-7, 2, 20)[place])
        proxy = NNGP(**sizes, solver=solver, regularisers=epsilon)
        found = proxy.prepare(space, data, 0)(cell)
        assert found.value == curve[place]
        assert found.info["epsilon"] == epsilon
        assert found.flops < every.flops
        assert found.columns["negative_loo_mse"] <= every.columns["negative_loo_mse"] + 1e-9


@pytest.mark.parametrize("solver", ["ridge", "cholesky", "eigen"])
def test_analytic_kernels_are_solved_alike(solver: str) -> None:
    data = tiny_dataset(0)
    space = FullyConnectedNetworks(width=16)
    network = space.grid(depth=[2])[0]
    sizes: Any = {"n_train": 24, "n_valid": 40}
    proxy = InfiniteWidth(**sizes, solver=solver, regularisers=(1e-3, 1e-2))
    plain = InfiniteWidth(**sizes, solver="eigen", regularisers=(1e-3, 1e-2))
    found, wanted = (p.prepare(space, data, 0)(network) for p in (proxy, plain))
    assert found.value == wanted.value
    np.testing.assert_allclose(
        list(found.columns.values()), list(wanted.columns.values()), rtol=1e-6
    )
