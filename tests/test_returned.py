"""What a proxy returns, or raises, ends no run: it is a score, or a failure with its reason."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.data import Dataset
from nasproxy.proxies import Score
from nasproxy.proxies.base import NoScore
from nasproxy.scoring import score
from nasproxy.scoring.evaluation import LONGEST
from nasproxy.store import Record, Store
from search_spaces import NASBench101
from tests.conftest import tiny_dataset

SPACE = NASBench101(width=4, stacks=1, cells=1)
CELLS = SPACE.sample(2, seed=0)


@dataclass(frozen=True)
class Returning:
    """Whatever a test puts there, for the first architecture; 1 for the others."""

    name: ClassVar[str] = "returning"
    given: ClassVar[Any] = None

    def prepare(self, space: Any, data: Dataset, seed: int) -> Any:
        def scorer(cell: Any) -> Any:
            if cell.key != CELLS[0].key:
                return Score(1.0, 0.0)
            if isinstance(self.given, BaseException):
                raise self.given
            return self.given

        return scorer


def records(given: Any, path: Path | None = None, drawn: str | None = None) -> list[Record]:
    """Of both architectures, the first of which gets what is given."""
    Returning.given = given
    with Store(path) as store:
        score(CELLS, SPACE, Returning(), tiny_dataset(0), store=store, drawn=drawn, progress=False)
        found = {record.key.architecture: record for record in store.records()}
    assert found[CELLS[1].key].value == 1, "the others are scored"
    return [found[cell.key] for cell in CELLS]


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (0.5, 0.5),
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.array(2.5), 2.5),
        (jnp.float32(0.25), 0.25),
        (Score(np.float32(0.5), np.int64(3)), 0.5),  # type: ignore[arg-type]
    ],
)
def test_numbers_are_scores(returned: Any, value: float, tmp_path: Path) -> None:
    found = records(returned, tmp_path / "s.db")[0]
    assert (found.value, found.error) == (value, None)
    assert type(found.value) is float


def test_columns_may_be_numpys_or_undefined() -> None:
    columns: Any = {"a": np.float32(0.5), "b": np.int64(2), "c": math.nan, "d": -math.inf}
    found = records(Score(1.0, 2.0, columns, {"note": [1, "x", None]}))[0]
    assert found.info["columns"] == {"a": 0.5, "b": 2.0}
    assert found.info["undefined"] == ["c", "d"]
    assert found.info["note"] == [1, "x", None]
    assert found.flops == 2.0


def test_how_it_was_drawn_is_no_proxys_to_say() -> None:
    found = records(Score(1.0, 0.0, {}, {"drawn": "best", "columns": {"x": 1}}), drawn="even")[0]
    assert found.info == {"drawn": "even", "columns": {}}


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (Score(1.0, math.nan), "flops=nan"),
        (Score(1.0, -1.0), "flops=-1.0"),
        (Score(1.0, "many"), "flops='many'"),  # type: ignore[arg-type]
        (Score(1.0, 0.0, {}, {"a": math.nan}), "info of the score is no JSON"),
        (Score(1.0, 0.0, {}, {"a": np.arange(3)}), "info of the score is no JSON"),
        (Score(1.0, 0.0, {}, {"a": np.float32(1)}), "info of the score is no JSON"),
        (Score(1.0, 0.0, {}, {("a", "b"): 1}), "info of the score is no JSON"),  # type: ignore[dict-item]
        (Score(1.0, 0.0, {}, [1]), "columns and info"),  # type: ignore[arg-type]
        (Score(1.0, 0.0, {"a": "high"}), "column 'a' of the score is 'high'"),  # type: ignore[dict-item]
        (Score(1.0, 0.0, {"a": True}), "column 'a' of the score is True"),
        (Score(1.0, 0.0, {3: 1.0}), "column 3 of the score"),  # type: ignore[dict-item]
        (Score("0.5", 0.0), "returned '0.5': a score is a number"),  # type: ignore[arg-type]
        (None, "returned None"),
        (True, "returned True"),
        ((0.5, 1.0), r"returned \(0.5, 1.0\)"),
        (np.arange(2.0), r"returned array\(\[0., 1.\]\)"),
        (1 + 2j, "a score is a number"),
        (10**400, "the score is inf"),
        (math.nan, "the score is nan"),
        (ValueError("\udcff lone"), r"ValueError: \\udcff lone"),
        (ValueError("line\n" * 2000), r"ValueError: line line .* … \(1\d,\d{3} characters\)"),
        (RuntimeError(), "RuntimeError"),
        (NoScore("nothing was\nseen"), "^nothing was seen$"),
    ],
)
def test_whatever_else_is_a_failure_of_one_line(returned: Any, reason: str, tmp_path: Path) -> None:
    found = records(returned, tmp_path / "s.db")[0]
    assert found.value is None
    assert found.error is not None
    assert re.search(reason, found.error), found.error
    assert len(found.error) < LONGEST + 40
    assert "\n" not in found.error
    found.error.encode()


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_exception_that_cannot_be_said_is_named() -> None:
    assert (records(_Unspeakable())[0].error or "").startswith("_Unspeakable")


@settings(max_examples=40, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_info_is_kept_or_refused(info: Any) -> None:
    found = records(Score(1.0, 0.0, {}, {"a": info}))[0]
    try:
        json.dumps(info, allow_nan=False)
    except ValueError:
        assert found.error is not None
    else:
        assert found.info["a"] == json.loads(json.dumps(info))
