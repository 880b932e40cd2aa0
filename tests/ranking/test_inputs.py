"""What scores and truths may be: series and mappings of numbers, nothing to be guessed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasproxy.errors import SettingError, TruthError
from nasproxy.ranking import rank

KEYS = list("abcdefgh")
SCORES = pd.Series([3.0, 1, 2, 5, 4, 8, 6, 7], index=KEYS)
TRUTH = pd.Series([1.0, 2, 3, 4, 5, 6, 7, 8], index=KEYS)
EXPECTED = rank(SCORES, TRUTH, n_resamples=10)


@pytest.mark.parametrize(
    "form",
    [
        pd.Series.to_dict,
        lambda s: s.astype(object),
        lambda s: s.map(Decimal),
        lambda s: s.astype(str),
        lambda s: s.astype("Float64"),
        lambda s: s.astype(np.float32),
        lambda s: s.astype(np.int64),
        lambda s: s[::-1],
    ],
)
def test_numbers_of_any_kind_rank_alike(form: Callable[[pd.Series], Any]) -> None:
    assert rank(form(SCORES), TRUTH, n_resamples=10) == EXPECTED
    assert rank(SCORES, form(TRUTH), n_resamples=10) == EXPECTED


def test_the_direction_is_kept_whatever_the_kind_of_numbers() -> None:
    loss = (10 - TRUTH).astype(object)
    loss.attrs["lower"] = True
    assert rank(SCORES, loss).kendall_tau == EXPECTED.kendall_tau


@pytest.mark.parametrize("missing", [None, pd.NA, float("nan"), float("inf")])
def test_what_is_missing_is_left_out(missing: Any) -> None:
    found = rank(pd.Series([*SCORES[:-1], missing], index=KEYS, dtype=object), TRUTH)
    assert (found.n, found.failed) == (7, 1)
    assert found.kendall_tau == rank(SCORES[:-1], TRUTH).kendall_tau


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (TRUTH.to_numpy(), "is ndarray, which names no architectures: give a pandas Series"),
        (TRUTH.to_list(), "is list, which names no"),
        (TRUTH.to_frame(), "is DataFrame, which"),
        (None, "is NoneType"),
        ("test_accuracy", "is str"),
        (TRUTH.astype(complex), "are complex numbers"),
        (pd.Series([*"1234567x"], index=KEYS), "has 'x' at 'h': give a number"),
        (pd.Series([*TRUTH[:-1], [1]], index=KEYS, dtype=object), r"has \[1\] at 'h'"),
        (pd.Series([*TRUTH[:-1], "x" * 10_000], index=KEYS), "has 'x"),
    ],
)
def test_others_are_refused(given: Any, said: str) -> None:
    for name, both in (("scores", (given, TRUTH)), ("truth", (SCORES, given))):
        with pytest.raises(TruthError, match=rf"^{name} {said}") as info:
            rank(*both)
        assert len(str(info.value)) < 300


@pytest.mark.parametrize("wrong", [{"percentile": "50"}, {"threshold": "1"}, {"percentile": True}])
def test_a_level_is_a_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"is no number; pass one|give a number"):
        rank(SCORES, TRUTH, **wrong)
