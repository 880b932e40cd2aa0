"""Scores of features from anywhere: by NumPy's own algebra, and as the proxy's of the same."""

from typing import Any

import numpy as np
import pytest

from nasproxy import NNGP, kernel_score
from nasproxy.data import Dataset
from nasproxy.errors import DataError, SettingError
from nasproxy.kernels import monte_carlo
from nasproxy.networks.features import BatchNorm, features, split
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies.kernel_regression import REGULARISERS, Problem
from search_spaces import NASBench101


def problem(classes: int = 3) -> Any:
    """Features that tell classes apart, more of them than images."""
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(classes, 60))
    y, y_valid = np.arange(30) % classes, np.arange(21) % classes
    made = [patterns[labels] + 5 * rng.normal(size=(len(labels), 60)) for labels in (y, y_valid)]
    return made[0], y, made[1], y_valid


def test_measures_are_those_of_plain_ridge_regression() -> None:
    x, y, x_valid, y_valid = problem()
    targets = np.eye(3)[y] - 1 / 3
    kernel, cross = x @ x.T, x_valid @ x.T
    accuracy, errors, left_out = [], [], []
    for ridge in REGULARISERS:
        inverse = np.linalg.inv(kernel + ridge * np.trace(kernel) / 30 * np.eye(30))
        predicted = cross @ inverse @ targets
        accuracy.append((predicted.argmax(1) == y_valid).mean())
        errors.append(np.square(predicted - np.eye(3)[y_valid] + 1 / 3).mean())
        residuals = (inverse @ targets) / np.diag(inverse)[:, None]
        left_out.append(((targets - residuals).argmax(1) == y).mean())
    found = kernel_score(x, y, x_valid, y_valid)
    assert found.value == pytest.approx(max(accuracy))
    assert found.columns["negative_mse"] == pytest.approx(-min(errors))
    assert found.columns["loo_accuracy"] == pytest.approx(max(left_out))
    assert 1 / 3 < found.value < 1


def test_it_is_the_proxys_score_of_the_same_features(tiny_data: Dataset) -> None:
    space = NASBench101(width=8, stacks=1, cells=1)
    (cell,) = space.sample(1, seed=1)
    nngp = NNGP(n_train=32, n_valid=32, ensemble=2, momentum=1.0)
    score = nngp.prepare(space, tiny_data, 0)(cell)
    graph = space.graph(cell, tiny_data.image_shape, tiny_data.classes)
    asked = Problem.of(tiny_data, 0, n_train=32, n_valid=32, balanced=True, valid_from="valid")
    norm = BatchNorm(momentum=1.0)
    batches = split(asked.images, graph, norm)
    members = [
        features(Initialised.draw(graph, (0, m)), batches, batches[0], norm)[:64] for m in range(2)
    ]
    phi = monte_carlo.stacked(members).astype(np.float32)
    _, y = tiny_data.select("train", 32, 0)
    found = kernel_score(phi[:32], y, phi[32:], asked.valid_labels)
    assert found.value == score.value
    for name in ("negative_mse", "loo_accuracy", "negative_loo_mse", "log_evidence"):
        assert found.columns[name] == pytest.approx(score.columns[name], rel=1e-4)


def test_scale_order_and_names_of_classes_do_not_matter() -> None:
    x, y, x_valid, y_valid = problem()
    found = kernel_score(x, y, x_valid, y_valid)
    names = np.array([7, -2, 40])
    again = kernel_score(1e3 * x.reshape(30, 6, 10), names[y], 1e3 * x_valid, names[y_valid])
    assert again.value == found.value
    assert again.columns["negative_mse"] == pytest.approx(found.columns["negative_mse"], rel=1e-6)


def test_without_validation_images_the_training_images_judge() -> None:
    x, y, *valid = problem()
    found = kernel_score(x, y)
    assert found.value == kernel_score(x, y, *valid).columns["loo_accuracy"]
    assert "accuracy" not in found.columns
    assert kernel_score(x, y, measure="negative_gcv").value == found.columns["negative_gcv"]
    with pytest.raises(SettingError, match="measure='accuracy'"):
        kernel_score(x, y, measure="accuracy")


def test_what_is_no_problem_is_refused() -> None:
    x, y, x_valid, y_valid = problem()
    bad = x.copy()
    bad[3, 2] = np.nan
    cases: list[tuple[tuple[Any, ...], str]] = [
        ((bad, y), r"features_train\[3\] holds NaN"),
        ((x, y[:-1]), "whole numbers"),
        ((x, y / 1.0), "whole numbers"),
        ((x, np.zeros_like(y)), "two classes"),
        ((x, y, x_valid), "both or neither"),
        ((x, y, x_valid[:, 1:], y_valid), "59 features"),
        ((x, y, x_valid, y_valid + 1), "holds 3"),
        ((x[:, 0], y), "give \\[n, d\\]"),
        ((np.ones_like(x), y, np.ones_like(x_valid), y_valid), "have no score: .* the same"),
        ((0 * x, y, 0 * x_valid, y_valid), "have no score: .* vanish"),
    ]
    for arguments, message in cases:
        with pytest.raises(DataError, match=message):
            kernel_score(*arguments)
