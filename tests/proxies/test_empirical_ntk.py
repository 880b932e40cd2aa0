"""The NTK as a proxy: its regression, its measures, and the sizes that nest."""

import itertools
import math
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
import scipy.linalg

from nasproxy.data import Dataset
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels import empirical_ntk, measures
from nasproxy.networks.features import BatchNorm
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies import NTK, Score
from nasproxy.proxies.base import NoScore
from nasproxy.proxies.kernel_regression import REGULARISERS
from search_spaces import NASBench101

SPACE: Any = NASBench101(width=8, stacks=2, cells=1)
TINY = NTK(n_train=32, n_valid=40, ensemble=2, norm_images=16)
CELL = SPACE.sample(1, seed=0)[0]


def scored(proxy: NTK, data: Dataset, seed: int = 0) -> Score:
    return proxy.prepare(SPACE, data, seed)(CELL)


def kernel_of(data: Dataset, output: str = "sum") -> np.ndarray:
    """Θ of ``TINY``'s 32 + 40 images against the first 32, the mean over two networks."""
    graph = SPACE.graph(CELL, data.image_shape, data.classes)
    images = [data.subset("train", 32, 0)[0], data.subset("valid", 40, 0)[0]]
    batch = jax.device_put(data.subset("train", 16, 1, balanced=False)[0])
    batches = empirical_ntk.split(np.concatenate(images), graph)
    members = [
        empirical_ntk.ntk(
            Initialised.draw(graph, (0, m)), batches, 32, batch, BatchNorm(images=16), output
        )[:72]
        for m in range(2)
    ]
    return np.mean(members, axis=0)


@pytest.mark.parametrize("output", ["sum", "trace"])
def test_solves_equal_scipys_on_the_same_kernel(output: str, tiny_data: Dataset) -> None:
    score = scored(replace(TINY, output=output), tiny_data)
    kernel = kernel_of(tiny_data, output)
    y_train = tiny_data.subset("train", 32, 0)[1]
    y_valid = tiny_data.subset("valid", 40, 0)[1]
    targets, curve, errors, hits = np.eye(4)[y_train] - 0.25, [], [], []
    for epsilon in REGULARISERS:
        system = kernel[:32] + epsilon * np.trace(kernel[:32]) / 32 * np.eye(32)
        predictions = kernel[32:] @ scipy.linalg.solve(system, targets)
        curve.append((predictions.argmax(1) == y_valid).mean())
        errors.append(np.square(predictions - (np.eye(4)[y_valid] - 0.25)).mean())
        left_out = []
        for i in range(32):
            kept = np.arange(32) != i
            solved = scipy.linalg.solve(system[np.ix_(kept, kept)], targets[kept])
            left_out.append(kernel[i, kept] @ solved)
        hits.append(np.mean(np.argmax(left_out, 1) == y_train))
    assert list(score.info["accuracy"].values()) == [curve]
    assert score.value == max(curve) > 0.3
    assert score.columns["loo_accuracy"] == max(hits)
    np.testing.assert_allclose(score.columns["negative_mse"], -min(errors), rtol=1e-5)


def test_measures_are_of_the_training_images(tiny_data: Dataset) -> None:
    columns = scored(TINY, tiny_data).columns
    kernel = kernel_of(tiny_data)[:32]
    spectrum = np.linalg.eigvalsh(kernel)
    condition = np.log10(spectrum[-1] / spectrum[0])
    assert 0 < condition < 6
    np.testing.assert_allclose(columns["negative_log_condition"], -condition, rtol=1e-4)
    np.testing.assert_allclose(columns["log_trace"], np.log10(np.trace(kernel) / 32), rtol=1e-6)
    labels = np.eye(4)[tiny_data.subset("train", 32, 0)[1]]
    centre = np.eye(32) - 1 / 32
    a, b = centre @ kernel @ centre, centre @ labels @ labels.T @ centre
    expected = np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(columns["alignment"], expected, rtol=1e-6)


def test_measures_are_charged_for_what_they_use(tiny_data: Dataset) -> None:
    """Gradients and products of 32 images by two networks; no solve, no validation image."""
    score = scored(TINY, tiny_data)
    graph = SPACE.graph(CELL, tiny_data.image_shape, tiny_data.classes)
    gradients = 2 * 32 * 3 * graph.flops
    gram = 2 * 32 * 32 * 2 * graph.parameters
    charged = score.info["flops"]
    assert charged["log_trace"] == gradients + gram / 32
    assert charged["alignment"] == gradients + gram + 2 * 32 * 32 * 4
    assert charged["negative_log_condition"] == pytest.approx(gradients + gram + 4 / 3 * 32**3)
    assert max(charged.values()) < score.flops


def test_limits_of_the_measures() -> None:
    labels = np.eye(3)[np.arange(12) % 3]
    assert measures.alignment(labels @ labels.T, labels) == pytest.approx(1)
    assert measures.alignment(labels @ labels.T + 7, labels) == pytest.approx(1), "centred"
    assert measures.alignment(np.ones((12, 12)), labels) == 0, "a constant says nothing"
    assert measures.condition([1.0, 2.0, 8.0]) == 8
    assert measures.condition([0.0, 1.0]) == pytest.approx(2**23), "float32 resolves no more"


def test_nested_sizes_equal_separate_runs(tiny_data: Dataset) -> None:
    nested = scored(replace(TINY, n_train=(16, 32), n_valid=(20, 40), ensemble=(1, 2)), tiny_data)
    assert len(nested.columns) == 8 * 6 - 1 + 3, "and three of the kernel at the largest sizes"
    for n_t, n_v, m in itertools.product((16, 32), (20, 40), (1, 2)):
        alone = scored(replace(TINY, n_train=n_t, n_valid=n_v, ensemble=m), tiny_data)
        label = f"n_train={n_t},n_valid={n_v},ensemble={m}"
        curves = [nested.info["accuracy"][label], alone.info["accuracy"][label]]
        np.testing.assert_allclose(*curves, atol=1.5 / n_v)
        if (n_t, n_v, m) == (32, 40, 2):
            assert nested.value == alone.value
            assert alone.columns == {k: nested.columns[k] for k in alone.columns}
        else:
            mse = nested.columns[f"{label},negative_mse"]
            np.testing.assert_allclose(mse, alone.columns["negative_mse"], rtol=1e-3)
    assert nested.flops == scored(TINY, tiny_data).flops


def test_flops_count_a_forward_and_a_backward_pass_and_the_products(tiny_data: Dataset) -> None:
    graph = SPACE.graph(CELL, tiny_data.image_shape, tiny_data.classes)
    solves = 20 * (32**3 / 3 + 2 * 32**2 * 4 + 2 * 32 * 40 * 4)
    for output, n in (("sum", 1), ("logit", 1), ("trace", 4)):
        kernels = 2 * 72 * ((1 + 2 * n) * graph.flops + n * 2 * graph.parameters * 32)
        flops = scored(replace(TINY, output=output), tiny_data).flops
        assert math.isclose(flops, kernels + solves)


@pytest.mark.parametrize(
    ("scale", "seen"),
    [
        (0.0, "is the same for all pairs"),
        (1e30, "is the same for all pairs"),
        (math.nan, "overflows"),
    ],
)
def test_dead_networks_and_kernels_that_overflow_are_no_score(
    scale: float, seen: str, tiny_data: Dataset
) -> None:
    """Black images leave gradients of biases alone, 1e30 moves batch norm to a variance of ∞."""
    images = [np.asarray(x) * scale for x in (tiny_data.train_images, tiny_data.valid_images)]
    broken = replace(
        tiny_data,
        mean=tiny_data.mean * 0,
        std=tiny_data.std / tiny_data.std,
        train_images=images[0].astype(np.float32),
        valid_images=images[1].astype(np.float32),
    )
    with pytest.raises(NoScore, match=f"the kernel {seen}"):
        scored(replace(TINY, ensemble=1), broken)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_train": 0}, "n_train=0 of ntk"),
        ({"ensemble": (1, 0)}, "ensemble"),
        ({"momentum": 1.1}, "from 0 to 1"),
        ({"valid_from": "test"}, "valid or train"),
        ({"output": "logits"}, "output='logits' of ntk: give sum, logit or trace"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        NTK(**settings)


def test_more_images_than_there_are_are_refused(tiny_data: Dataset) -> None:
    with pytest.raises(DataError, match="96 images of its train split"):
        NTK(n_train=97, n_valid=8).prepare(SPACE, tiny_data, 0)
