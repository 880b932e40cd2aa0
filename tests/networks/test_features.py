"""Images in batches, and features of them, against a NumPy network in float64."""

from typing import Any

import jax
import numpy as np
import pytest

from nasproxy.data import Dataset
from nasproxy.networks import features
from nasproxy.networks.features import Batches, BatchNorm
from nasproxy.networks.initialised import Initialised
from search_spaces import NASBench101
from tests.support import reference
from tests.support.networks import features as defined
from tests.support.networks import weights

SPACE: Any = NASBench101(width=8, stacks=2, cells=1)
CELL = SPACE.sample(3, seed=0)[1]


@pytest.mark.parametrize("momentum", [0.997, 0.3, 0.0, 1.0])
def test_features_equal_a_numpy_network(momentum: float, tiny_data: Dataset) -> None:
    graph = SPACE.graph(CELL, tiny_data.image_shape, tiny_data.classes)
    images, _ = tiny_data.subset("train", 20, 0)
    batch, _ = tiny_data.subset("train", 16, 1)
    norm = BatchNorm(momentum, images=16)
    batches = features.split(images, graph, norm)
    network = Initialised.draw(graph, (3, 1))
    phi = features.features(network, batches, jax.device_put(batch), norm)[:20]
    expected = defined(graph, images, batch, momentum, (3, 1))
    np.testing.assert_allclose(phi, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_training_mode_normalises_each_batch_by_itself(tiny_data: Dataset) -> None:
    """26 images in batches of 16: the last is filled up with images, whatever the momentum."""
    graph = SPACE.graph(CELL, tiny_data.image_shape, tiny_data.classes)
    images, _ = tiny_data.subset("train", 26, 0)
    results = []
    for momentum in (0.997, 0.0):
        norm = BatchNorm(momentum, "training", images=16)
        batches = features.split(images, graph, norm)
        assert [len(batch) for batch in batches] == [16, 16]
        results.append(
            features.features(Initialised.draw(graph, (0, 0)), batches, batches[0], norm)[:26]
        )
    np.testing.assert_array_equal(*results)
    params = weights(graph, (0, 0))
    filled = np.concatenate([images[16:], images[:6]])
    expected = np.concatenate(
        [reference.forward(graph, params, None, part)[0] for part in (images[:16], filled)]
    )[:26]
    np.testing.assert_allclose(results[0], expected, rtol=0, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(("n", "size"), [(10, 5), (11, 4), (3, 8), (1, 1)])
@pytest.mark.parametrize("wrap", [True, False])
def test_batches_have_one_shape_and_lose_nothing(n: int, size: int, wrap: bool) -> None:
    """The last is filled up with zeros, or with the first images as often as it takes."""
    images = np.arange(1, n * 4 + 1, dtype=np.float32).reshape(n, 2, 2, 1)
    batches = Batches(images, size, wrap=wrap)
    assert len(batches) == len(list(batches))
    assert {batch.shape for batch in batches} == {(size, 2, 2, 1)}
    joined = np.concatenate(list(batches))
    missing = -n % size
    filling = np.resize(images, (missing, 2, 2, 1)) if wrap else np.zeros((missing, 2, 2, 1))
    np.testing.assert_array_equal(joined, np.concatenate([images, filling]))


def test_batches_end() -> None:
    batches = Batches(np.zeros((3, 2, 2, 1), np.float32), 2)
    for index in (-1, 2):
        with pytest.raises(IndexError):
            batches[index]


def held(batches: Any) -> bool:
    """Whether a batch that is asked for twice is made once."""
    return batches[0] is batches[0]


def test_images_too_many_to_hold_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = SPACE.graph(CELL, (8, 8, 3), 4)
    images = np.zeros((5, 8, 8, 3), np.float32)
    assert held(features.split(images, graph, BatchNorm()))
    monkeypatch.setattr(features, "HELD_BYTES", images.nbytes - 1)
    assert not held(features.split(images, graph, BatchNorm()))
