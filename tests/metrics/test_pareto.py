"""The Pareto front is what its definition says, row by row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nasproxy.metrics import MetricError, pareto_front


def dominated(values: np.ndarray, row: int) -> bool:
    """By the definition, one pair after the other."""
    return any(
        all(a >= b for a, b in zip(other, values[row], strict=True))
        and any(a > b for a, b in zip(other, values[row], strict=True))
        for other in values.tolist()
    )


@given(st.integers(1, 4).flatmap(lambda d: arrays(int, (12, d), elements=st.integers(-3, 3))))
def test_the_front_is_what_nothing_dominates(values: np.ndarray) -> None:
    expected = [not dominated(values, row) for row in range(len(values))]
    assert pareto_front(values).tolist() == expected


def test_equal_rows_are_both_on_it_and_none_of_none() -> None:
    assert pareto_front([[1, 2], [1, 2], [0, 2]]).tolist() == [True, True, False]
    assert pareto_front(np.empty((0, 2))).tolist() == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], r"shape \(2,\): pass \(n, d\)"),
        (np.empty((3, 0)), r"shape \(3, 0\)"),
        ([[1.0, 2.0], [np.nan, 0.0]], r"values\[1\] of a front"),
        ([["a", "b"]], "no numbers"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(values: object, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        pareto_front(values)  # type: ignore[arg-type]
