"""NNGP: its features against a NumPy network, its accuracies against SciPy's solves."""

import itertools
import math
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

import nasproxy
from nasproxy.data import Dataset, load
from nasproxy.errors import DataError, SettingError
from nasproxy.networks import features
from nasproxy.networks.features import BatchNorm
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies import NNGP, Score
from nasproxy.proxies.base import NoScore
from nasproxy.proxies.kernel_regression import REGULARISERS
from nasproxy.proxies.nngp import tells_apart
from nasproxy.settings import make
from search_spaces import NASBench101
from tests.conftest import tiny_dataset
from tests.support.networks import features as plain_features

SPACE: Any = NASBench101(width=8, stacks=2, cells=1)
TINY = NNGP(n_train=32, n_valid=40, ensemble=2, norm_images=16)
CELLS = SPACE.sample(3, seed=0)


def scored(proxy: NNGP, data: Dataset, cell: Any = CELLS[0], seed: int = 0) -> Score:
    return proxy.prepare(SPACE, data, seed)(cell)


def plain_curve(
    members: list[np.ndarray], n_train: int, targets: np.ndarray, labels: np.ndarray
) -> list[float]:
    """Accuracy for each ε: kernels averaged over networks, one dual solve at a time."""
    kernel = sum((phi @ phi[:n_train].T for phi in members), np.zeros(())) / len(members)
    train, valid = kernel[:n_train], kernel[n_train:]
    curve = []
    for epsilon in np.logspace(-7, 2, 20):
        system = train + epsilon * np.trace(train) / n_train * np.eye(n_train)
        predictions = valid @ scipy.linalg.solve(system, targets, assume_a="pos")
        curve.append(float((predictions.argmax(1) == labels).mean()))
    return curve


def only_curve(score: Score) -> list[float]:
    (curve,) = score.info["accuracy"].values()
    return curve


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.key[:6])
@pytest.mark.parametrize("momentum", [0.997, 0.0])
def test_the_score_equals_a_plain_one(cell: Any, momentum: float, tiny_data: Dataset) -> None:
    """A whole second implementation in float64: a handful of the 40 images may differ at small ε,
    where a system of condition 1e9 magnifies the float32 rounding of features."""
    proxy = replace(TINY, momentum=momentum)
    score = scored(proxy, tiny_data, cell, seed=5)
    graph = SPACE.graph(cell, tiny_data.image_shape, tiny_data.classes)
    train, y_train = tiny_data.subset("train", 32, 5)
    valid, y_valid = tiny_data.subset("valid", 40, 5)
    batch, _ = tiny_data.subset("train", 16, 6, balanced=False)
    images = np.concatenate([train, valid])
    members = [plain_features(graph, images, batch, momentum, (5, m)) for m in range(2)]
    expected = plain_curve(members, 32, np.eye(4)[y_train] - 0.25, y_valid)
    curve = only_curve(score)
    np.testing.assert_array_equal(curve[8:], expected[8:])
    np.testing.assert_allclose(curve, expected, atol=2.5 / 40)
    assert score.value == max(curve)


def test_solves_equal_scipys_on_the_same_features(tiny_data: Dataset) -> None:
    """Solving in float64: equal at every ε, which float32 would not give."""
    score = scored(TINY, tiny_data)
    graph = SPACE.graph(CELLS[0], tiny_data.image_shape, tiny_data.classes)
    train, y_train = tiny_data.subset("train", 32, 0)
    valid, y_valid = tiny_data.subset("valid", 40, 0)
    norm = BatchNorm(images=16)
    batch = jax.device_put(tiny_data.subset("train", 16, 1, balanced=False)[0])
    batches = features.split(np.concatenate([train, valid]), graph, norm)
    members = [
        features.features(Initialised.draw(graph, (0, m)), batches, batch, norm)[:72].astype(
            np.float64
        )
        for m in range(2)
    ]
    targets = np.eye(4)[y_train] - 0.25
    assert only_curve(score) == plain_curve(members, 32, targets, y_valid)

    kernel = sum((phi @ phi[:32].T for phi in members), np.zeros(())) / 2
    errors, hits, left_errors, gcv, evidence = [], [], [], [], []
    for epsilon in REGULARISERS:
        damping = epsilon * np.trace(kernel[:32]) / 32 * np.eye(32)
        predictions = kernel[32:] @ scipy.linalg.solve(kernel[:32] + damping, targets)
        errors.append(np.mean((predictions - (np.eye(4)[y_valid] - 0.25)) ** 2))
        left_out = []
        for i in range(32):
            kept = np.arange(32) != i
            system = (kernel[:32] + damping)[np.ix_(kept, kept)]
            left_out.append(kernel[i, kept] @ scipy.linalg.solve(system, targets[kept]))
        hits.append(np.mean(np.argmax(left_out, 1) == y_train))
        left_errors.append(np.mean((left_out - targets) ** 2))
        system = kernel[:32] + damping
        residual = targets - kernel[:32] @ np.linalg.solve(system, targets)
        free = 1 - np.trace(kernel[:32] @ np.linalg.inv(system)) / 32
        gcv.append(np.mean(residual**2) / free**2)
        variance = np.sum(targets * np.linalg.solve(system, targets)) / targets.size
        gaussian = scipy.stats.multivariate_normal(np.zeros(32), variance * system)
        evidence.append(gaussian.logpdf(targets.T).sum() / targets.size)
    np.testing.assert_allclose(score.columns["negative_mse"], -min(errors), rtol=1e-6)
    assert score.columns["loo_accuracy"] == max(hits)
    np.testing.assert_allclose(score.columns["negative_loo_mse"], -min(left_errors), rtol=1e-6)
    np.testing.assert_allclose(score.columns["negative_gcv"], -min(gcv), rtol=1e-6)
    np.testing.assert_allclose(score.columns["log_evidence"], max(evidence), rtol=1e-6)


@pytest.mark.parametrize("n_train", [(16, 32), (32, 16)])
def test_nested_sizes_equal_separate_runs(n_train: tuple[int, ...], tiny_data: Dataset) -> None:
    nested = scored(replace(TINY, n_train=n_train, n_valid=(20, 40), ensemble=(1, 2)), tiny_data)
    assert len(nested.columns) == 8 * 6 - 1, "six measures of eight settings; one is the value"
    for n_t, n_v, m in itertools.product((16, 32), (20, 40), (1, 2)):
        alone = scored(replace(TINY, n_train=n_t, n_valid=n_v, ensemble=m), tiny_data)
        label = f"n_train={n_t},n_valid={n_v},ensemble={m}"
        assert nested.info["accuracy"][label] == only_curve(alone)
        if (n_t, n_v, m) == (32, 40, 2):
            assert nested.value == alone.value
            assert alone.columns.items() <= nested.columns.items()
        else:
            assert nested.columns[label] == alone.value
            for measure, value in alone.columns.items():
                np.testing.assert_allclose(nested.columns[f"{label},{measure}"], value, rtol=1e-4)
    assert nested.flops == scored(TINY, tiny_data).flops


@pytest.mark.parametrize("seed", range(3))
def test_of_equal_accuracies_the_largest_epsilon_is_reported(seed: int, tiny_data: Dataset) -> None:
    """Few validation images, so that several ε tie."""
    score = scored(replace(TINY, n_valid=4), tiny_data, seed=seed)
    curve = np.array(only_curve(score))
    ties = np.array(REGULARISERS)[curve == curve.max()]
    assert len(ties) > 1
    assert score.info["epsilon"] == ties.max()


def test_a_seed_names_the_score(tiny_data: Dataset) -> None:
    values = {seed: only_curve(scored(TINY, tiny_data, seed=seed)) for seed in range(4)}
    assert len(set(map(tuple, values.values()))) > 1
    assert only_curve(scored(TINY, tiny_data, seed=2)) == values[2]


def test_scores_do_not_depend_on_what_was_scored_before(tiny_data: Dataset) -> None:
    scorer = TINY.prepare(SPACE, tiny_data, 0)
    forwards = [scorer(cell).value for cell in CELLS]
    scorer = TINY.prepare(SPACE, tiny_data, 0)
    assert [scorer(cell).value for cell in reversed(CELLS)] == forwards[::-1]


def test_batch_norm_settings_are_different_proxies(tiny_data: Dataset) -> None:
    """Momentum 1 leaves batch norm the identity, and .997 almost; 0 and training do not."""
    data, options = tiny_data, {"momentum": [1.0, 0.997, 0.0], "batch_norm": ["training"]}
    curves = {
        value: np.mean([only_curve(scored(replace(TINY, **{k: value}), data, c)) for c in CELLS], 0)
        for k, values in options.items()
        for value in values
    }
    distance = {value: np.abs(curve - curves[0.997]).mean() for value, curve in curves.items()}
    assert distance[1.0] < distance[0.0]
    assert distance[1.0] < distance["training"]
    assert distance[0.0] > 0.01


def test_presets() -> None:
    """The notebook of Park et al.: 100 and 200 images of one shuffled split, two networks."""
    colab = make(NNGP, "nngp", {"preset": "colab"})
    assert (colab.n_train, colab.n_valid, colab.ensemble) == (100, 200, 2)
    assert (colab.balanced, colab.valid_from, colab.momentum) == (False, "train", 0.997)
    assert make(NNGP, "nngp", {"preset": "paper"}) == NNGP()
    assert make(NNGP, "nngp", {"preset": "colab", "ensemble": 4}).ensemble == 4
    with pytest.raises(SettingError, match="choose one of colab, paper"):
        make(NNGP, "nngp", {"preset": "papers"})


def test_validation_from_the_training_split_does_not_overlap(tiny_data: Dataset) -> None:
    """96 images in all: 64 + 32 fit and 64 + 33 do not; nothing comes from the other split."""
    shared = replace(TINY, n_train=64, n_valid=32, balanced=False, valid_from="train")
    value = scored(shared, tiny_data).value
    other = tiny_dataset(seed=1)
    swapped = replace(tiny_data, valid_images=other.valid_images, valid_labels=other.valid_labels)
    assert scored(shared, swapped).value == value
    with pytest.raises(DataError, match="96 images"):
        scored(replace(shared, n_valid=33), tiny_data)


def test_more_images_learn_more() -> None:
    """On real digits, above chance of .1, and further with 400 images than with 20."""
    data = nasproxy.data.load("digits")
    score = scored(NNGP(n_train=(20, 400), n_valid=200), data)
    few = score.columns["n_train=20,n_valid=200,ensemble=1"]
    assert few > 0.2
    assert score.value > few + 0.1


def test_flops_are_the_papers_count(tiny_data: Dataset) -> None:
    """M·F·(n_t+n_v) + 2·M·d·(n_t² + n_t·n_v), and R·(n_t³/3 + 2·n_t²·L + 2·n_t·n_v·L)."""
    graph = SPACE.graph(CELLS[0], tiny_data.image_shape, tiny_data.classes)
    kernels = 2 * graph.flops * 72 + 2 * 2 * 16 * (32**2 + 32 * 40)
    solves = 20 * (32**3 / 3 + 2 * 32**2 * 4 + 2 * 32 * 40 * 4)
    assert math.isclose(scored(TINY, tiny_data).flops, kernels + solves)


@pytest.mark.parametrize(("scale", "seen"), [(0.0, "vanish"), (1e37, "overflow")])
def test_features_that_vanish_or_overflow_are_no_score(
    scale: float, seen: str, tiny_data: Dataset
) -> None:
    """Predictions would all be class 0, an accuracy at chance like any other."""
    mean, std = tiny_data.mean * 0, tiny_data.std / scale if scale else tiny_data.std
    broken = replace(tiny_data, mean=mean, std=std)
    if not scale:
        dark = np.zeros_like(tiny_data.train_images)
        broken = replace(broken, train_images=dark, valid_images=dark[:64])
    with pytest.raises(NoScore, match=f"features {seen}"):
        scored(TINY, broken)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_train": 0}, "n_train=0"),
        ({"n_train": ()}, "n_train"),
        ({"n_valid": (16, -1)}, "n_valid"),
        ({"ensemble": 1.5}, "ensemble=1.5"),
        ({"momentum": 1.1}, "from 0 to 1"),
        ({"momentum": "high"}, "from 0 to 1"),
        ({"batch_norm": "test"}, "inference or training"),
        ({"norm_images": 1}, "at least 2"),
        ({"norm_images": "all"}, "at least 2"),
        ({"valid_from": "test"}, "valid or train"),
        ({"balanced": "yes"}, "true or false"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        NNGP(**settings)


def test_settings_that_do_not_fit_the_data_are_refused_before_scoring(tiny_data: Dataset) -> None:
    with pytest.raises(DataError, match="96 images of its train split"):
        NNGP(n_train=97, n_valid=8).prepare(SPACE, tiny_data, 0)
    with pytest.raises(DataError, match="64 images of its valid split"):
        NNGP(n_train=8, n_valid=65).prepare(SPACE, tiny_data, 0)


def test_features_that_only_rounding_tells_apart_are_no_score() -> None:
    rng = np.random.default_rng(0)
    same = np.tile(rng.normal(size=24).astype(np.float32), (30, 1))
    assert not tells_apart(same)
    rounded = np.nextafter(same, np.where(rng.random(same.shape) < 0.5, np.inf, same))
    assert not tells_apart(rounded.astype(np.float32))
    assert not tells_apart(np.zeros((30, 24), np.float32))
    assert not tells_apart(np.where(np.eye(30, 24) > 0, np.inf, same).astype(np.float32))
    slightly = (same * (1 + 1e-5 * rng.normal(size=(30, 24)))).astype(np.float32)
    assert tells_apart(slightly)


def test_a_dead_network_is_a_failure_and_no_chance_level() -> None:
    """At width 4 some cells of digits have lost all that reads the images."""
    space, digits = NASBench101(width=4), load("digits")
    scorer = NNGP(n_train=40, n_valid=40).prepare(space, digits, 0)
    values, reasons = [], []
    for cell in space.sample(30, 0):
        try:
            values.append(scorer(cell).value)
        except NoScore as reason:
            reasons.append(str(reason))
    assert set(reasons) == {
        "features are the same for all training images, up to float32's rounding"
    }
    assert len(reasons) < 10
    assert min(values) > 0.1
