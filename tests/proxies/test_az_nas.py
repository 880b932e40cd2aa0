"""AZ-NAS's parts: blocks by name, entropies in closed form, Jacobians that are known."""

from typing import Any

import numpy as np
import pytest

from nasproxy.data import Dataset
from nasproxy.networks.graph import Builder, Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import Dense, GlobalAverage, PointwiseConv
from nasproxy.proxies import Expressivity, Progressivity, Trainability
from nasproxy.proxies.az_nas import Block, blocks, entropy, top_singular
from nasproxy.proxies.base import NoScore
from search_spaces import FullyConnectedNetworks, NASBench101
from tests.support.zero_cost import SPACES


def names(graph: Graph, block: Block) -> set[str]:
    return {graph.steps[i].name.rpartition(".")[0] or graph.steps[i].name for i in block.steps}


def test_blocks_are_the_cells() -> None:
    space, cell = SPACES["nasbench201"]
    graph = space.graph(cell, (8, 8, 3), 4)
    found = blocks(graph)
    assert [names(graph, block) for block in found] == [
        {"stem"},
        {"stage1.cell1"},
        {"stage2.reduction"},
        {"stage2.cell1"},
        {"stage3.reduction"},
        {"stage3.cell1"},
    ]
    assert [block.made for block in found[:-1]] == [block.read for block in found[1:]]
    assert found[0].read == 0
    assert graph.steps[-3].name == "head"
    assert graph.steps[-3].inputs == (found[-1].made,)


def test_a_pool_between_stacks_belongs_to_the_next_cell() -> None:
    space = NASBench101(width=8, stacks=2, cells=1)
    graph = space.graph(SPACES["nasbench101"][1], (8, 8, 3), 4)
    found = blocks(graph)
    assert [names(graph, block) for block in found] == [
        {"stem"},
        {"stack1.cell1"},
        {"stack2", "stack2.cell1"},
    ]


def test_entropies_in_closed_form() -> None:
    assert entropy(np.eye(8)) == pytest.approx(np.log(8), abs=1e-6)
    assert entropy(np.ones((4, 4))) == pytest.approx(0, abs=1e-6)
    with pytest.raises(NoScore, match="no entropy"):
        entropy(np.zeros((3, 3)))
    with pytest.raises(NoScore, match="overflow"):
        entropy(np.full((3, 3), np.inf))


def test_signs_estimate_the_jacobian() -> None:
    """Of a linear map of channels, and of one that halves the image."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(6, 4))
    signs = 2.0 * rng.integers(2, size=(64, 16, 16, 4)) - 1
    expected = np.linalg.norm(matrix, 2)
    assert top_singular(signs @ matrix.T, signs) == pytest.approx(expected, rel=0.05)
    spread = np.zeros((64, 32, 32, 6))
    spread[:, ::2, 1::2] = signs @ matrix.T
    assert top_singular(spread, signs) == pytest.approx(expected, rel=0.05)


def test_linear_blocks_have_the_scores_of_their_matrices(tiny_data: Dataset) -> None:
    """1×1 convolutions without a norm: the Jacobian is the kernel."""
    builder = Builder((8, 8, 3))
    x = builder.add(PointwiseConv(3, 8), builder.image, name="stem")
    with builder.scope("cell1"):
        x = builder.add(PointwiseConv(8, 8), x, name="conv")
    builder.add(Dense(8, 4), builder.add(GlobalAverage(), x))
    graph = builder.graph()

    class Space:
        def graph(self, *_: Any) -> Graph:
            return graph

    space: Any = Space()
    kernel = Initialised.draw(graph, (0, 0)).given[1]["kernel"][0, 0]
    sigma = np.linalg.norm(kernel, 2)
    score = Trainability().prepare(space, tiny_data, 0)(None).value
    assert score == pytest.approx(2 - sigma - 1 / sigma, abs=0.05)
    stem = Initialised.draw(graph, (0, 0)).given[0]["kernel"][0, 0].astype(np.float64)
    both = stem @ kernel
    entropies = [entropy(k.T @ k) for k in (stem, both)]  # of unit normal images
    total = Expressivity(batch=512).prepare(space, tiny_data, 0)(None).value
    assert total == pytest.approx(sum(entropies), abs=0.02)
    grown = Progressivity(batch=512).prepare(space, tiny_data, 0)(None).value
    assert grown == pytest.approx(entropies[1] - entropies[0], abs=0.02)


def test_networks_without_blocks_have_no_score(tiny_data: Dataset) -> None:
    space = FullyConnectedNetworks(width=8)
    (network,) = space.grid(depth=[2], activation=["relu"])
    with pytest.raises(NoScore, match="no global average"):
        Expressivity().prepare(space, tiny_data, 0)(network)
