"""Counts of layers, against numbers counted by hand and the published tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasproxy import Counts, metrics, score, truth
from nasproxy.data import Dataset
from search_spaces import (
    AccelNASBench,
    FullyConnectedNetworks,
    NASBench101,
    NASBench201,
    NASBenchMacro,
)
from search_spaces.nasbench101 import Cell
from tests.conftest import tiny_dataset

TRUTH = Path(__file__).parents[3] / "shared" / "data" / "truth"


def counted(space: Any, architecture: Any, data: Dataset) -> dict[str, float]:
    found = Counts().prepare(space, data, 0)(architecture)
    return {"layers": found.value, **found.columns}


def test_a_cell_of_nasbench101(tiny_data: Dataset) -> None:
    """Input to a 3×3 convolution and a pool, both to the output: two projections of the input a
    cell, one within the pool's edge; three stacks of three cells, the stem and the readout."""
    cell = Cell.create(
        [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
        ["input", "conv3x3-bn-relu", "maxpool3x3", "output"],
    )
    found = counted(NASBench101(width=16), cell, tiny_data)
    # A cell has a projection and a 3×3 convolution, a projection before the pool.
    assert found == {
        "layers": 1 + 9 * 3 + 1,
        "conv3x3": 1 + 9,
        "pools": 9,
        "depth": 1 + 9 * 2 + 1,
        "input_edges": 2,
    }


def test_cells_of_nasbench201(tiny_data: Dataset) -> None:
    """The second node's convolution of the first is dead where nothing reads it."""
    live = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    dead = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"
    space = NASBench201(cells=1)
    reductions = 2 * 3  # each of two: two 3×3 convolutions and a 1×1 shortcut
    fixed = 2 + reductions
    found = counted(space, live, tiny_data)
    assert found["layers"] == fixed + 3 * 3
    assert (found["skips"], found["pools"], found["conv3x3"]) == (1, 3 + 2, 1 + 2 * 2 + 3 * 2)
    assert found["depth"] == 2 + 2 * 2 + 3 * 2
    assert counted(space, dead, tiny_data)["layers"] == fixed + 3


def test_other_spaces(tiny_data: Dataset) -> None:
    macro = counted(NASBenchMacro(), "10000002", tiny_data)
    assert macro["skips"] == 6
    assert "input_edges" not in macro
    accel = AccelNASBench()
    (blocks,) = accel.sample(1, 0)
    own = counted(accel, blocks, tiny_dataset(32))
    assert own["expansion"] == sum(b.expansion * b.layers for b in blocks)
    dense = FullyConnectedNetworks()
    (deep,) = dense.grid(depth=(5,))
    assert counted(dense, deep, tiny_data) == {"layers": 6, "depth": 6}


@pytest.mark.skipif(not TRUTH.is_dir(), reason="published tables are not at hand")
def test_counts_rank_as_they_are_known_to(tiny_data: Dataset) -> None:
    """Kendall's τ of 3×3 convolutions on all 423,624 cells is .408; ± .02 of 2,000 of them."""
    space = NASBench101()
    frame = score(space.sample(2000, 0), space, Counts(), tiny_data, progress=False)
    accuracy = truth.read(TRUTH / "nasbench101_cells.parquet", "test_accuracy_108")
    known = accuracy.loc[frame.index]
    tau = {name: metrics.kendall_tau(frame[name], known) for name in frame if "counts" in name[:6]}
    np.testing.assert_allclose(tau["counts[conv3x3]"], 0.408, atol=0.03)
    np.testing.assert_allclose(tau["counts[pools]"], -0.365, atol=0.03)
