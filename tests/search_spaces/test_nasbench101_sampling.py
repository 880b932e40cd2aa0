"""Draws follow the law that they name: uniform, or the official sampler; mutants are new."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.errors import SettingError
from search_spaces.nasbench101.cell import CONV3X3, INPUT, OUTPUT, Cell
from search_spaces.nasbench101.enumeration import all_cells
from search_spaces.nasbench101.sampling import mutate, random_matrix, uniform

SKIP = Cell.create([[0, 1], [0, 0]], [INPUT, OUTPUT])


def vertex_shares(cells: list[Cell]) -> dict[int, float]:
    counts = Counter(cell.num_vertices for cell in cells)
    return {size: count / len(cells) for size, count in counts.items()}


@pytest.mark.parametrize("sampler", [uniform, random_matrix])
def test_samplers_repeat_with_the_seed(sampler: Callable[[int, int], list[Cell]]) -> None:
    assert sampler(20, 3) == sampler(20, 3)
    assert sampler(20, 3) != sampler(20, 4)
    assert sampler(0, 3) == []
    with pytest.raises(SettingError, match="n=-1"):
        sampler(-1, 3)


def test_uniform_is_distinct_and_follows_the_space() -> None:
    cells = uniform(2000, 0)
    assert len({cell.key for cell in cells}) == 2000
    assert vertex_shares(cells)[7] == pytest.approx(359_082 / 423_624, abs=0.03)


def test_uniform_rejects_more_than_the_space() -> None:
    with pytest.raises(SettingError, match="423624"):
        uniform(423_625, 0)


def test_random_matrix_has_the_law_of_a_pruned_fair_coin() -> None:
    """Against rejection written with plain loops, on whether and how large a cell is drawn."""
    rng = np.random.default_rng(1)
    sizes = []
    while len(sizes) < 1500:
        edges = {(u, v) for v in range(7) for u in range(v) if rng.random() < 0.5}
        ahead, behind = {0}, {6}
        for _ in range(7):
            ahead |= {v for u, v in edges if u in ahead}
            behind |= {u for u, v in edges if v in behind}
        live = ahead & behind
        if 6 in ahead and sum(u in live and v in live for u, v in edges) <= 9:
            sizes.append(len(live))
    expected = Counter(sizes)
    shares = vertex_shares(random_matrix(1500, 0))
    for size in range(2, 8):
        assert shares.get(size, 0) == pytest.approx(expected[size] / 1500, abs=0.06)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 423_623), st.integers(0, 2**32))
def test_mutants_are_other_cells_of_the_space(index: int, seed: int) -> None:
    cell = all_cells()[index]
    mutant = mutate(cell, np.random.default_rng(seed))
    assert mutant.key != cell.key
    assert Cell.create(mutant.adjacency, mutant.ops) == mutant
    assert mutant == mutate(cell, np.random.default_rng(seed))


def test_a_mutant_of_a_full_cell_is_one_edit_away() -> None:
    """Seven vertices leave nothing loose: one edge or one operation differs before pruning."""
    rng = np.random.default_rng(0)
    for cell in uniform(200, 5):
        if cell.num_vertices < 7:
            continue
        mutant = mutate(cell, rng)
        if mutant.num_vertices == 7:
            edges = np.not_equal(cell.adjacency, mutant.adjacency).sum()
            ops = sum(a != b for a, b in zip(cell.ops, mutant.ops, strict=True))
            assert edges + ops == 1
        else:
            assert mutant.num_edges < cell.num_edges


def test_small_cells_reach_each_other() -> None:
    """The seven cells of up to three vertices, joined by sampled mutations: strongly connected."""
    rng = np.random.default_rng(0)
    small = list(all_cells(3))
    keys = [cell.key for cell in small]
    joined = np.zeros((7, 7), bool)
    for row, cell in enumerate(small):
        for _ in range(300):
            mutant = mutate(cell, rng).key
            if mutant in keys:
                joined[row, keys.index(mutant)] = True
    assert (np.linalg.matrix_power(joined + np.eye(7), 7) > 0).all()


def test_cells_grow_to_the_limits_and_shrink_again() -> None:
    rng = np.random.default_rng(0)
    cell, largest = SKIP, (2, 1)
    for _ in range(200):
        cell = mutate(cell, rng)
        largest = max(largest, (cell.num_vertices, cell.num_edges))
    assert largest == (7, 9)
    for _ in range(2000):
        child = mutate(cell, rng)
        if child.num_edges <= cell.num_edges or child.adjacency[0][-1] > cell.adjacency[0][-1]:
            cell = child
        if cell == SKIP:
            break
    assert cell == SKIP


def test_operations_of_grown_vertices_vary() -> None:
    rng = np.random.default_rng(0)
    chain = Cell.create([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [INPUT, CONV3X3, OUTPUT])
    seen = {op for _ in range(100) for op in mutate(chain, rng).ops}
    assert len(seen) == 5
