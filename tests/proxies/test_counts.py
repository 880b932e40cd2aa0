"""Counts are those made by hand, by autodiff, and rank as public tables say."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from scipy.stats import kendalltau, rankdata

from nasproxy.data import Dataset, from_arrays
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.layers import Add, ConvBN, Dense, GlobalAverage, MaxPool3x3, Zero
from nasproxy.plugins import SPACES
from nasproxy.proxies import Counts
from nasproxy.proxies.counts import depth, seen, weight_layers
from nasproxy.space import network
from search_spaces import (
    MNAS,
    AccelNASBench,
    FullyConnectedNetworks,
    NASBench101,
    NASBench201,
    NASBench301,
    NASBenchMacro,
)
from search_spaces.nasbench101 import Cell

IMAGES = np.random.default_rng(0).normal(size=(40, 32, 32, 3)).astype(np.float32)
DATA: Dataset = from_arrays(IMAGES[:20], np.arange(20) % 4, IMAGES[20:], np.arange(20) % 4)
CELL = Cell.create(
    [[0, 1, 1, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]],
    ["input", "conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu", "output"],
)
LIVE = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
UNFED = "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
UNREAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|none~2|"
DARTS = (
    "(((0, 3), (1, 6), (0, 0), (2, 2), (1, 1), (2, 1), (2, 5), (3, 2)), "
    "((0, 3), (1, 2), (0, 0), (2, 2), (1, 1), (2, 1), (2, 5), (3, 2)))"
)
NOTHING = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"

BY_HAND: dict[str, tuple[Any, Any, dict[str, int]]] = {
    # Stem and readout; in the cell three projections of its input and two convolutions.
    "one cell of 101": (
        NASBench101(stacks=1, cells=1),
        CELL,
        {"": 7, "depth": 4, "conv3x3": 1, "pools": 1, "input_edges": 3},
    ),
    "nine cells of 101": (
        NASBench101(),
        CELL,
        {"": 2 + 9 * 5, "depth": 2 + 9 * 2, "conv3x3": 1, "pools": 1, "input_edges": 3},
    ),
    # Stem, readout, and three in each of two reductions, two of them one after the other.
    "201": (
        NASBench201(cells=1),
        LIVE,
        {
            "": 8 + 3 * 2,
            "depth": 6 + 3 * 2,
            "convolutions": 2,
            "conv3x3": 1,
            "pools": 1,
            "skips": 1,
        },
    ),
    "201, convolutions of zeros": (
        NASBench201(cells=1),
        UNFED,
        {"": 8, "depth": 6, "convolutions": 0, "conv3x3": 0, "pools": 0, "skips": 1},
    ),
    "201, convolutions that nothing reads": (
        NASBench201(),
        UNREAD,
        {"": 8, "depth": 6, "convolutions": 0, "conv3x3": 0, "pools": 0, "skips": 1},
    ),
    "201, nothing": (
        NASBench201(),
        NOTHING,
        {"": 0, "depth": 0, "convolutions": 0, "conv3x3": 0, "pools": 0, "skips": 0},
    ),
    # Stem and readout; each cell has two for its inputs, three after a cell that halves, and
    # eight: four of a separable convolution, two of each dilated one, two of a halving skip (in
    # the first cell the dilated one's). The deepest path is stem, 1 + 4 + 2, twice 1 + 1 + 2.
    "301": (
        NASBench301(cells=3),
        DARTS,
        {
            "": 2 + 2 * (2 + 8) + (3 + 8),
            "depth": 17,
            "convolutions": 5,
            "conv3x3": 4,
            "pools": 6,
            "skips": 5,
        },
    ),
    # Stem, head, readout; a strided 1×1 in place of the first block; four MBConvs of three.
    "macro": (NASBenchMacro(), "01201200", {"": 16, "depth": 16, "layers": 4, "skips": 3}),
    # Without expansion two a layer, else three; squeeze-and-excitation has two.
    "accel": (
        AccelNASBench(),
        AccelNASBench().find("e1k3l1/e4k5l2se/e1k3l1/e1k3l1/e1k3l1/e1k3l1/e6k3l3"),
        {"": 3 + 5 * 2 + 2 * 5 + 3 * 3, "depth": 32, "layers": 10, "expansions": 31},
    ),
    "mnas": (
        MNAS(),
        MNAS().find(
            "conv3-none-100x1/sepconv3-identity-100x2/mbconv3-pool-100x3/conv3-none-100x3/"
            "conv3-none-100x2/conv3-identity-100x2/conv3-none-100x1"
        ),
        {"": 25, "depth": 25, "layers": 14, "expansions": 20, "skips": 2, "pools": 2},
    ),
    "fully connected": (
        FullyConnectedNetworks(),
        FullyConnectedNetworks().find("relu-3"),
        {"": 4, "depth": 4},
    ),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_counts_by_hand(case: str) -> None:
    space, architecture, expected = BY_HAND[case]
    score = Counts().prepare(space, DATA, seed=0)(architecture)
    assert {"": score.value, **score.columns} == expected
    assert score.flops == 0


def test_every_space_has_one_set_of_columns() -> None:
    for name in SPACES:
        space = SPACES[name]()
        scorer = Counts().prepare(space, DATA, seed=0)
        assert len({tuple(scorer(one).columns) for one in space.sample(20, 0)}) == 1


def chain(add: Any) -> Graph:
    builder = Builder((8, 8, 3))
    value = builder.add(ConvBN(3, 3, 4), builder.image)
    value = builder.add(MaxPool3x3(4), value)
    value = builder.add(GlobalAverage(), add(builder, value))
    builder.add(Dense(4, 2), value)
    return builder.graph()


def test_a_space_that_counts_nothing_is_counted_by_its_graph() -> None:
    def longer(builder: Builder, value: int) -> int:
        builder.add(ConvBN(5, 4, 4), value)  # read by nothing
        zeros = builder.add(Zero(4), value)
        unfed = builder.add(ConvBN(3, 4, 4), zeros)
        once = builder.add(ConvBN(1, 4, 4), value)
        twice = builder.add(ConvBN(5, 4, 4), once)
        return builder.add(Add(4), unfed, builder.add(Add(4), once, twice))

    graph = chain(longer)
    assert seen(graph) == {"conv3x3": 2, "pools": 1}
    assert (weight_layers(graph), depth(graph)) == (4, 4)
    assert seen(chain(lambda _, value: value)) == {"conv3x3": 1, "pools": 1}


@pytest.mark.usefixtures("lenient")
def test_weight_layers_are_those_with_a_gradient() -> None:
    """Of logits with respect to each kernel of the Flax module, on a batch of noise."""
    space = NASBench201(width=8, cells=1)
    for architecture in [*space.sample(2, 1), UNFED, UNREAD, NOTHING]:
        model = network(space, architecture, (8, 8, 3), 4)
        gradient = nnx.grad(lambda model: (model(IMAGES[:4, :8, :8]) ** 2).sum())(model)
        kernels = [
            leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(gradient)
            if "kernel" in jax.tree_util.keystr(path)
        ]
        counted = weight_layers(space.graph(architecture, (8, 8, 3), 4))
        assert sum(bool(np.any(np.asarray(leaf) != 0)) for leaf in kernels) == counted


def table(shared: Path, name: str) -> pd.DataFrame:
    path = shared / "data" / "truth" / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"shared/ holds no {name}.parquet")
    return pd.read_parquet(path).sample(3000, random_state=0)


def counted(space: Any, architectures: list[Any]) -> pd.DataFrame:
    rows = [space.counts(architecture) for architecture in architectures]
    return pd.DataFrame(rows)


def tau(x: Any, y: Any) -> float:
    found: Any = kendalltau(x, y)
    return float(found.statistic)


def test_cells_of_101_rank_as_the_whole_table_says(shared: Path) -> None:
    """All 423,624: .408, .438, .547; 3,000 of them: ±.02."""
    cells = table(shared, "nasbench101_cells")
    made = []
    for _, row in cells.iterrows():
        size = row["num_vertices"]
        adjacency = np.zeros((size, size), int)
        adjacency[np.triu_indices(size, 1)] = [int(edge) for edge in row["edges"]]
        interior = row["ops"].split(",") if row["ops"] else []
        made.append(Cell.create(adjacency, ["input", *interior, "output"]))
    found, truth = counted(NASBench101(), made), cells["test_accuracy_108"]
    assert tau(found["conv3x3"], truth) == pytest.approx(0.408, abs=0.04)
    balance = found["conv3x3"] - found["pools"]
    assert tau(balance, truth) == pytest.approx(0.438, abs=0.04)
    both = rankdata(balance) + rankdata(found["input_edges"])
    assert tau(both, truth) == pytest.approx(0.547, abs=0.04)
    assert tau(-found["pools"], truth) > 0.2


def test_other_spaces_rank_as_their_whole_tables_say(shared: Path) -> None:
    cells = table(shared, "nasbench201")
    found = counted(NASBench201(), list(cells["arch_str"]))
    assert tau(found["convolutions"], cells["test_cifar10"]) == pytest.approx(0.610, abs=0.03)
    macro = table(shared, "nasbench_macro")
    truth = macro[[f"test_accuracy_seed{seed}" for seed in range(3)]].mean(axis=1)
    found = counted(NASBenchMacro(), list(macro["arch"]))
    assert tau(found["layers"], truth) == pytest.approx(0.693, abs=0.03)
    accel, space = table(shared, "accel_nasbench"), AccelNASBench()
    found = counted(
        space, [space.find(space.row_key(row.to_dict())) for _, row in accel.iterrows()]
    )
    assert tau(found["expansions"], accel["imagenet_top1"]) == pytest.approx(0.654, abs=0.03)
