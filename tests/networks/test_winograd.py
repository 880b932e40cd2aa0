"""Convolutions by tiles, and pools in one pass, against NumPy's in float64."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="Numba, the extra 'fast', is not installed")

from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.lanes import engine, winograd
from nasproxy.networks.lanes import layers as ops
from nasproxy.networks.lanes.plan import Stage, plan
from nasproxy.networks.layers import ConvBN, Dense, GlobalAverage, MaxPool3x3, ProjectAdd
from search_spaces import NASBench101
from tests.conftest import network_of
from tests.support.lanes import check_on
from tests.support.networks import some

SHAPES = [(8, 6), (4, 4), (6, 10), (4, 12)]
CHANNELS = [(6, 6), (6, 17), (19, 5), (40, 33), (7, 16)]


def by_tiles(graph: Graph) -> int:
    """Layers that are computed so."""
    return int((plan(graph).rows[:, ops.WORK] >= 0).sum())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
@pytest.mark.parametrize("activation", ["relu", "relu6", "swish", "none"])
def test_convolutions_equal_their_definition(
    shape: tuple[int, int], channels: tuple[int, int], activation: str
) -> None:
    """Tiles that fill their products or do not, blocks of any size, with a ReLU before or not."""
    inputs, outputs = channels
    builder = Builder((*shape, 3))
    wide = builder.add(ConvBN(1, 3, inputs, activation="none"), builder.image)
    first = activation == "none"
    layer = ConvBN(3, inputs, outputs, activation=activation, preactivation=first)
    check_on(builder, builder.add(layer, wide), seed=len(activation))
    assert by_tiles(builder.graph()) == 1


@pytest.mark.parametrize("others", [1, 2])
def test_what_is_added_is_added_after_the_activation(others: int) -> None:
    builder = Builder((8, 6, 3))
    wide = builder.add(ConvBN(1, 3, 8), builder.image)
    pooled = builder.add(MaxPool3x3(8), wide)
    x = builder.add(ProjectAdd(3, 8, 8, activation="relu6"), wide, *(pooled, wide)[:others])
    check_on(builder, x, seed=6)
    assert by_tiles(builder.graph()) == 1


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(7, 8, 9), (8, 7, 9), (2, 8, 9), (8, 8, 5)], ids=str
)
def test_what_tiles_do_not_suit_is_computed_directly(
    height: int, width: int, channels: int
) -> None:
    builder = Builder((height, width, 3))
    wide = builder.add(ConvBN(1, 3, channels), builder.image)
    check_on(builder, builder.add(ConvBN(3, channels, channels), wide), seed=7)
    assert by_tiles(builder.graph()) == 0


def test_transforms_share_their_memory() -> None:
    """As many planes as the widest convolution needs, whatever the number of them."""
    work = Stage(1, winograd.TILES, 0)
    assert work.plane == winograd.PLANE
    few, many = (plan(network_of(NASBench101(width=8, cells=n), 3)) for n in (1, 5))
    assert few.planes[work] == many.planes[work] > 0


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_a_largest_keeps_what_is_no_number(bad: float) -> None:
    """NaN goes on, wherever in a neighbourhood it stands; infinity is larger than numbers."""
    builder = Builder((5, 6, 2))
    x = builder.add(MaxPool3x3(2), builder.image)
    builder.add(Dense(2, 2), builder.add(GlobalAverage(), x))
    graph = builder.graph()
    rng = np.random.default_rng(0)
    for row, column in np.ndindex(5, 6):
        images = some(rng, 3, 5, 6, 2)
        images[1, row, column, 0] = bad
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
        nine = [padded[:, i : i + 5, j : j + 6] for i in range(3) for j in range(3)]
        found = engine.features(Initialised.draw(graph, (0, 0)), [images], None, 1.0)
        with np.errstate(invalid="ignore"):
            expected = np.max(nine, 0).mean((1, 2))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
