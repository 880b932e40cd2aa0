"""Search-space reduction: its expectation is the mean over every way to break every tie."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasproxy.errors import SettingError
from nasproxy.metrics import search_space_reduction

CASES = st.integers(2, 8).flatmap(
    lambda n: st.tuples(
        *(st.lists(st.integers(0, 3), min_size=n, max_size=n) for _ in range(3)),
        st.floats(0.01, 1),
    )
)


def enumerated(score: np.ndarray, second: np.ndarray, truth: np.ndarray, kept: int) -> float:
    """Mean over every set that some breaking of ties keeps, of the mean of the second's best."""
    found = []
    for chosen in map(list, combinations(range(len(score)), kept)):
        others = np.delete(score, chosen)
        if score[chosen].min() >= others.max(initial=-np.inf):
            best = second[chosen] == second[chosen].max()
            found.append(truth[chosen][best].mean())
    return float(np.mean(found))


@given(CASES)
def test_it_is_the_mean_over_all_tie_breaks(case: tuple) -> None:
    score, second, truth = (np.array(column, float) for column in case[:3])
    found = search_space_reduction(score, second, truth, keep=case[3])
    assert found.kept == max(1, round(case[3] * len(score)))
    assert found.found == pytest.approx(enumerated(score, second, truth, found.kept))
    assert found.random == pytest.approx(enumerated(0 * score, second, truth, found.kept))
    assert found.everywhere == pytest.approx(enumerated(0 * score, second, truth, len(score)))


def test_a_random_share_of_many() -> None:
    # Of m of 1, …, n at random the best is m (n + 1) / (m + 1) on average.
    truth = np.arange(1.0, 1001.0)
    found = search_space_reduction(truth, truth, truth, keep=0.1)
    assert found.random == pytest.approx(100 * 1001 / 101)
    assert (found.found, found.everywhere, found.kept) == (1000, 1000, 100)
    backwards = search_space_reduction(-truth, truth, truth, keep=0.1)
    assert backwards.found == 100


def test_all_kept_is_the_second_measure_alone() -> None:
    rng = np.random.default_rng(0)
    score, second, truth = rng.normal(size=(3, 50))
    found = search_space_reduction(score, second, truth, keep=1)
    assert found.found == found.everywhere == pytest.approx(truth[second.argmax()])


@pytest.mark.parametrize("keep", [0, -0.1, 1.1, float("nan"), True])
def test_a_share_is_one(keep: float) -> None:
    with pytest.raises(SettingError, match=r"is no share; pass a number above 0 and at most 1"):
        search_space_reduction([1, 2], [1, 2], [1, 2], keep=keep)
