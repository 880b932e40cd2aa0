"""Parameters counted from the graph equal those in the benchmark's table."""

import pandas as pd
import pytest

from search_spaces import NASBench101

SPACE = NASBench101()
"""128 channels: the benchmark's network."""


def counted(key: str) -> int:
    return SPACE.graph(SPACE.find(key), (32, 32, 3), 10).parameters


def test_the_cell_of_the_specification() -> None:
    assert counted("00005c142e6f48ac74fdcf73e3439874") == 8_555_530


def test_a_random_sample_of_the_table(truth_cells: pd.DataFrame) -> None:
    """400 cells, besides every one of up to four vertices, whose channels split in every way."""
    small = truth_cells[truth_cells["num_vertices"] <= 4]
    assert len(small) == 91
    sample = pd.concat([small, truth_cells.sample(400, random_state=0)])
    counts = sample["trainable_parameters"].tolist()
    expected = dict(zip(map(str, sample.index), counts, strict=True))
    assert {key: counted(key) for key in expected} == expected


@pytest.mark.parametrize(("extreme", "parameters"), [("min", 227_274), ("max", 49_979_274)])
def test_the_extremes_of_the_table(
    extreme: str, parameters: int, truth_cells: pd.DataFrame
) -> None:
    column = truth_cells["trainable_parameters"]
    assert int(column.agg(extreme)) == parameters
    keys = [str(key) for key in column.index[column == parameters]]
    assert [counted(key) for key in keys[:3]] == [parameters] * len(keys[:3])
