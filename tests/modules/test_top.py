"""The best of a table."""

import numpy as np
import pandas as pd
import pytest

from nasproxy import top
from nasproxy.errors import SettingError


def table() -> pd.DataFrame:
    scores = [0.3, 0.9, np.nan, 0.1, 0.9, 0.2, 0.8, 0.5, 0.4, 0.7]
    return pd.DataFrame({"nngp": scores, "name": list("abcdefghij")}, index=list("abcdefghij"))


def test_the_largest_come_first_and_equals_in_their_order() -> None:
    assert top(table(), "nngp").index.tolist() == ["b", "e", "g"]
    assert top(table(), "nngp", 0.31).index.tolist() == ["b", "e", "g", "j"]
    assert top(table(), "nngp", 0.01).index.tolist() == ["b"]
    assert top(table(), "nngp", 1.0).index.tolist() == list("begjhiafd")


def test_several_seeds_are_rows_of_their_own() -> None:
    index = pd.MultiIndex.from_product([["a", "b"], [0, 1]], names=["architecture", "seed"])
    scores = pd.DataFrame({"nngp": [1.0, 4.0, 3.0, 2.0]}, index=index)
    assert top(scores, "nngp", 0.5).index.tolist() == [("a", 1), ("b", 0)]


@pytest.mark.parametrize(
    ("column", "share", "message"),
    [
        ("ntk", 0.3, "the table has nngp"),
        ("name", 0.3, "numbers"),
        ("nngp", 0, "such as 0.3"),
        ("nngp", 30, "such as 0.3"),
    ],
)
def test_what_cannot_be_ranked_is_refused(column: str, share: float, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        top(table(), column, share)
