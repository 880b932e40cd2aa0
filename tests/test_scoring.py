"""Scoring through a store: never computed twice, never lost, the same whatever interrupted it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from nasproxy.data import Dataset, load
from nasproxy.errors import DataError, NasproxyError, ScoringError, SettingError
from nasproxy.proxies import NNGP, Params, Score
from nasproxy.scoring import score
from nasproxy.search import search
from nasproxy.store import Store
from search_spaces import MNAS, NASBench101
from search_spaces.nasbench101 import Cell
from tests.conftest import tiny_dataset

SPACE = NASBench101(width=4, stacks=1, cells=1)
CELLS = SPACE.sample(6, seed=0)


@dataclass(frozen=True)
class Counting:
    """The number of edges, and a list of what it was asked for; fails on the keys it is told."""

    scale: float = 1.0
    width: int | None = None
    name: ClassVar[str] = "counting"
    calls: ClassVar[list[str]] = []
    failing: ClassVar[set[str]] = set()

    def prepare(self, space: Any, data: Dataset, seed: int) -> Callable[[Cell], Score]:
        def scorer(cell: Cell) -> Score:
            self.calls.append(cell.key)
            if cell.key in self.failing:
                raise RuntimeError("out of ideas")
            value = self.scale * cell.num_edges
            return Score(value, 7.0, {"half": value / 2}, {"vertices": cell.num_vertices})

        return scorer


@pytest.fixture(autouse=True)
def _forget() -> None:
    Counting.calls.clear()
    Counting.failing.clear()


def keys(cells: list[Cell]) -> list[str]:
    return [cell.key for cell in cells]


def run(
    cells: list[Cell], proxies: Any, data: Dataset, path: Path | Store | None, **options: Any
) -> pd.DataFrame:
    space = options.pop("space", SPACE)
    return score(cells, space, proxies, data, store=path, progress=False, **options)


def test_the_table(tiny_data: Dataset) -> None:
    frame = run(CELLS, [Counting(), Params()], tiny_data, None)
    assert frame.index.tolist() == keys(CELLS)
    assert frame.index.name == "architecture"
    own = ["counting", "counting[half]", "counting seconds", "counting flops"]
    assert frame.columns.tolist() == [*own, "params", "params seconds", "params flops"]
    assert frame["counting"].tolist() == [cell.num_edges for cell in CELLS]
    assert (frame["counting[half]"] * 2 == frame["counting"]).all()
    assert (frame["counting flops"] == 7).all()
    graphs = [SPACE.graph(cell, tiny_data.image_shape, tiny_data.classes) for cell in CELLS]
    assert frame["params"].tolist() == [graph.parameters for graph in graphs]


def test_a_second_run_computes_nothing(tmp_path: Path, tiny_data: Dataset) -> None:
    first = run(CELLS, Counting(), tiny_data, tmp_path / "s.db")
    assert Counting.calls == keys(CELLS)
    second = run(CELLS, Counting(), tiny_data, tmp_path / "s.db")
    assert Counting.calls == keys(CELLS)
    assert_frame_equal(first, second, check_exact=True)  # the seconds too
    more = SPACE.sample(8, seed=1)
    run([*more[:4], *CELLS, *more[4:]], Counting(), tiny_data, tmp_path / "s.db")
    assert Counting.calls == keys(CELLS) + keys(more)


def test_what_is_done_is_stored_before_the_next_begins(
    tmp_path: Path, tiny_data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    class Interrupting(Counting):
        def prepare(self, space: Any, data: Dataset, seed: int) -> Callable[[Cell], Score]:
            scorer = super().prepare(space, data, seed)

            def interrupted(cell: Cell) -> Score:
                if len(self.calls) == 4:
                    raise KeyboardInterrupt
                return scorer(cell)

            return interrupted

    with pytest.raises(KeyboardInterrupt):
        run(CELLS, Interrupting(), tiny_data, tmp_path / "s.db")
    assert f"is in {tmp_path / 's.db'}; the same call goes on" in caplog.text
    run(CELLS, Counting(), tiny_data, tmp_path / "s.db")
    assert Counting.calls == keys(CELLS)


def test_a_failure_is_recorded_and_the_run_goes_on(tmp_path: Path, tiny_data: Dataset) -> None:
    bad = CELLS[2].key
    Counting.failing.add(bad)
    frame = run(CELLS, Counting(), tiny_data, tmp_path / "s.db")
    assert frame["counting"].isna().tolist() == [key == bad for key in keys(CELLS)]
    with Store(tmp_path / "s.db") as store:
        records = {record.key.architecture: record for record in store.records()}
    assert records[bad].error == "RuntimeError: out of ideas"
    assert records[bad].value is None
    assert len(records) == len(CELLS)

    run(CELLS, Counting(), tiny_data, tmp_path / "s.db")
    assert len(Counting.calls) == len(CELLS), "a failure is not tried again unasked"
    Counting.failing.clear()
    retried = run(CELLS, Counting(), tiny_data, tmp_path / "s.db", retry_failed=True)
    assert Counting.calls == [*keys(CELLS), bad]
    assert retried["counting"].tolist() == [cell.num_edges for cell in CELLS]


def test_reasons_of_failures_are_counted(tmp_path: Path, tiny_data: Dataset) -> None:
    class Moody(Counting):
        def prepare(self, space: Any, data: Dataset, seed: int) -> Callable[[Cell], Score]:
            def scorer(cell: Cell) -> Score:
                number = keys(CELLS).index(cell.key)
                if number < 4:
                    raise ValueError("tired" if number % 4 == 1 else "bored")
                return Score(1.0, 0.0)

            return scorer

    counts = {"ValueError: bored": 3, "ValueError: tired": 1}
    for _ in range(2):  # also where failures come from the store
        failed = run(CELLS, [Moody(), Params()], tiny_data, tmp_path / "s.db").attrs["failed"]
        assert failed == {"counting": counts, "params": {}}
        assert list(failed["counting"]) == list(counts), "the commonest first"
    assert run(CELLS[4:], Moody(), tiny_data, tmp_path / "s.db").attrs["failed"]["counting"] == {}


@pytest.mark.parametrize("proxy", [Params(), NNGP(n_train=16, n_valid=16)])
def test_images_too_small_end_the_run_with_the_spaces_own_error(
    proxy: Any, tmp_path: Path, tiny_data: Dataset
) -> None:
    space = MNAS(width=8)
    with pytest.raises(DataError, match=r"images of 8×8 pixels.*at least 32×32"):
        score(space.sample(2, 0), space, proxy, tiny_data, store=tmp_path / "s.db", progress=False)
    with Store(tmp_path / "s.db") as store:
        assert list(store.records()) == [], "no failure is kept that is not the architecture's"


def test_what_was_computed_before_images_fail_is_kept(tmp_path: Path, tiny_data: Dataset) -> None:
    class Unreadable(Counting):
        def prepare(self, space: Any, data: Dataset, seed: int) -> Callable[[Cell], Score]:
            scorer = super().prepare(space, data, seed)

            def reading(cell: Cell) -> Score:
                if len(self.calls) == 3:
                    raise DataError("the disk is gone")
                return scorer(cell)

            return reading

    with pytest.raises(DataError, match="the disk is gone"):
        run(CELLS, Unreadable(), tiny_data, tmp_path / "s.db")
    frame = run(CELLS, Counting(), tiny_data, tmp_path / "s.db")
    assert Counting.calls == keys(CELLS), "the first three are not computed again"
    assert frame["counting"].tolist() == [cell.num_edges for cell in CELLS]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_a_failure(
    value: float, tmp_path: Path, tiny_data: Dataset
) -> None:
    frame = run(CELLS, Counting(scale=value), tiny_data, tmp_path / "s.db")
    assert frame["counting"].isna().all()
    with Store(tmp_path / "s.db") as store:
        errors = {record.error for record in store.records()}
    assert all(error is not None and f"the score is {value}" in error for error in errors)


def test_isomorphic_architectures_are_scored_once(tiny_data: Dataset) -> None:
    one = Cell.create(
        [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
        ["input", "conv3x3-bn-relu", "maxpool3x3", "output"],
    )
    same = replace(one, ops=(one.ops[0], one.ops[2], one.ops[1], one.ops[3]))
    assert one != same
    frame = run([one, CELLS[0], same, CELLS[0]], Counting(), tiny_data, None)
    assert frame.index.tolist() == [one.key, CELLS[0].key]
    assert Counting.calls == [one.key, CELLS[0].key]


def test_two_proxies_of_one_name_are_named_by_their_settings(tiny_data: Dataset) -> None:
    frame = run(CELLS, [Counting(), Counting(scale=3.0)], tiny_data, None)
    assert (frame["counting:scale=3"] == 3 * frame["counting"]).all()
    with pytest.raises(SettingError, match="asked for twice"):
        run(CELLS, [Counting(), Counting()], tiny_data, None)


CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "a setting": (Counting(scale=2.0), {}),
    "a setting in its tenth digit": (Counting(scale=1.0000000001), {}),
    "the proxy's width": (Counting(width=8), {}),
    "the seed": (Counting(), {"seeds": 1}),
    "the space": (Counting(), {"space": NASBench101(width=4, stacks=1, cells=2)}),
}


@pytest.mark.parametrize("change", [*CHANGES, "the data"])
def test_what_changes_a_score_changes_its_key(
    change: str, tmp_path: Path, tiny_data: Dataset
) -> None:
    run(CELLS, Counting(), tiny_data, tmp_path / "s.db")
    proxy, options = CHANGES.get(change, (Counting(), {}))
    data = tiny_dataset(seed=1) if change == "the data" else tiny_data
    run(CELLS, proxy, data, tmp_path / "s.db", **options)
    assert len(Counting.calls) == 2 * len(CELLS)
    with Store(tmp_path / "s.db") as store:
        assert [group.ok for group in store.groups()] == [len(CELLS)] * 2


def test_a_width_is_the_same_from_the_proxy_or_the_space(
    tmp_path: Path, tiny_data: Dataset
) -> None:
    run(CELLS, Counting(width=8), tiny_data, tmp_path / "s.db")
    run(CELLS, Counting(), tiny_data, tmp_path / "s.db", space=replace(SPACE, width=8))
    assert Counting.calls == keys(CELLS)


def test_settings_that_do_not_fit_are_refused_before_anything_runs(
    tmp_path: Path, tiny_data: Dataset
) -> None:
    with pytest.raises(DataError):
        run(CELLS, [Counting(), NNGP(n_train=10_000)], tiny_data, tmp_path / "s.db")
    assert Counting.calls == []


def test_how_architectures_were_drawn_is_kept(tiny_data: Dataset) -> None:
    with Store(None) as store:
        run(CELLS, Counting(), tiny_data, store, drawn="uniform, seed 0")
        records = list(store.records())  # the store stays open: it is the caller's
    assert {record.info["drawn"] for record in records} == {"uniform, seed 0"}
    assert [SPACE.from_json(record.architecture_json) for record in records] == CELLS
    assert all(record.info["vertices"] <= 7 for record in records)


def test_names_in_place_of_objects(tiny_data: Dataset) -> None:
    """Keys, JSON, and names of spaces, proxies and data give what the objects give."""
    found = score(
        [CELLS[0].key, SPACE.to_json(CELLS[1]), CELLS[2]],
        "nasbench101:width=4,stacks=1,cells=1",
        "params",
        "digits",
        progress=False,
    )
    expected = score(CELLS[:3], SPACE, [Params()], load("digits"), progress=False)
    assert found.drop(columns="params seconds").equals(expected.drop(columns="params seconds"))
    several = score(CELLS[:1], SPACE, ["params", Counting()], tiny_data, progress=False)
    assert several.loc[CELLS[0].key, "counting"] == CELLS[0].num_edges
    trace = search("nasbench101", "params", "digits", budget=2, progress=False)
    assert (trace["score"] > 0).all()


@dataclass(frozen=True)
class Impostor(Params):
    """Filed as the registered proxy, if it were let in."""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"proxies": "ngp"}, "choose one of"),
        ({"proxies": []}, "proxies is empty"),
        ({"proxies": None}, "proxy is None: give a proxy, or the name"),
        ({"proxies": Params}, r"proxy is the class Params: give an object, Params\(\)"),
        ({"proxies": [3]}, "proxy is of type int"),
        ({"proxies": Impostor()}, "Impostor is called 'params', as a registered proxy is"),
        ({"space": 3}, "space is of type int: give a search space"),
        ({"space": Counting()}, "space is of type Counting"),
        ({"data": np.zeros((3, 3))}, "data is of type ndarray: give a Dataset"),
        ({"data": None}, "data is None"),
        ({"architectures": CELLS[0].key}, "give several in a list"),
        ({"architectures": 7}, "give several in a list"),
        ({"architectures": [CELLS[0], "f" * 32]}, r"architectures\[1\]: .*f{32}"),
        ({"architectures": [CELLS[0], 12]}, r"architectures\[1\] is of type int"),
        ({"architectures": [CELLS[0], ""]}, r"architectures\[1\]"),
        ({"architectures": [None]}, "NoneType, which is no architecture of nasbench101"),
    ],
)
def test_what_is_neither_object_nor_name(
    changes: dict[str, Any], said: str, tiny_data: Dataset
) -> None:
    given = {"architectures": CELLS, "space": SPACE, "proxies": Counting(), "data": tiny_data}
    with pytest.raises(NasproxyError, match=said):
        score(**(given | changes), progress=False)
    assert not Counting.calls


def test_failures_wait_for_a_score_that_shows_them_to_be_the_architectures(
    tmp_path: Path, tiny_data: Dataset
) -> None:
    """Four fail first: they are stored with the first success; without one, nothing is."""
    Counting.failing.update(keys(CELLS[:4]))
    run(CELLS, Counting(), tiny_data, tmp_path / "s.db")
    with Store(tmp_path / "s.db") as store:
        assert {r.key.architecture for r in store.records() if r.error} == set(keys(CELLS[:4]))
    Counting.failing.update(keys(CELLS))
    with pytest.raises(ScoringError, match=r"all 5 .* failed by RuntimeError: out of ideas"):
        run(CELLS, Counting(scale=2.0), tiny_data, tmp_path / "s.db")
    assert len(Counting.calls) == 6 + 5
    with pytest.raises(ScoringError, match="all 2 that were tried"):
        run(CELLS[:2], Counting(scale=2.0), tiny_data, tmp_path / "s.db")
    with Store(tmp_path / "s.db") as store:
        assert len(store.groups()) == 1
    # A score of an earlier run shows it as well.
    frame = run(SPACE.sample(20, 9), Counting(), tiny_data, tmp_path / "s.db")
    assert frame["counting"].notna().any()
    Counting.failing.update(keys(SPACE.sample(9, 5)))
    assert run(SPACE.sample(9, 5), Counting(), tiny_data, tmp_path / "s.db").attrs["failed"]


def test_a_limit_of_time_is_the_architectures_failure(tmp_path: Path, tiny_data: Dataset) -> None:
    class Sleeping(Counting):
        def prepare(self, space: Any, data: Dataset, seed: int) -> Callable[[Cell], Score]:
            scorer = super().prepare(space, data, seed)

            def slow(cell: Cell) -> Score:
                try:
                    time.sleep(5 * (cell == CELLS[1]))
                except Exception:  # As many proxies do.
                    pytest.fail("the limit was caught")
                return scorer(cell)

            return slow

    frame = run(CELLS[:3], Sleeping(), tiny_data, tmp_path / "s.db", timeout=0.2)
    assert frame["counting"].isna().tolist() == [False, True, False]
    assert frame["counting seconds"].iloc[1] < 4
    (reason,) = frame.attrs["failed"]["counting"]
    assert reason == "it took longer than 0.2 s, the timeout"
    again = run(CELLS[:3], Counting(), tiny_data, tmp_path / "s.db", retry_failed=True)
    assert again["counting"].notna().all()


def test_a_call_beside_many_rows_asks_for_its_own(tiny_data: Dataset) -> None:
    """What the store is asked for does not grow with what it holds."""
    with Store(None) as store:
        run(CELLS, Counting(), tiny_data, store)
        found = next(store.records())
        many = (replace(found, key=replace(found.key, architecture=str(i))) for i in range(3000))
        store.put_many(many)
        read: list[int] = []
        rows = store._rows

        def counted(*given: Any) -> list[Any]:
            page = rows(*given)
            read.append(len(page))
            return page

        store._rows = counted  # type: ignore[method-assign]
        run(CELLS[:2], Counting(), tiny_data, store)
    assert sum(read) == 2


def test_processes_on_one_list_compute_each_score_about_once(
    tmp_path: Path, tiny_data: Dataset
) -> None:
    """Threads stand in for them: side by side they would meet at every architecture."""
    cells = SPACE.sample(150, 2)
    count = len({cell.key for cell in cells})

    class Slow(Counting):
        def prepare(self, space: Any, data: Dataset, seed: int) -> Callable[[Cell], Score]:
            scorer = super().prepare(space, data, seed)

            def slow(cell: Cell) -> Score:
                time.sleep(0.005)
                return scorer(cell)

            return slow

    def work() -> pd.DataFrame:
        return run(cells, Slow(), tiny_data, tmp_path / "s.db")

    with ThreadPoolExecutor(4) as crowd:
        frames = [future.result() for future in [crowd.submit(work) for _ in range(4)]]
    assert all(frame["counting"].notna().all() for frame in frames)
    assert set(Counting.calls) == {cell.key for cell in cells}
    assert len(Counting.calls) < 1.5 * count


def test_each_reason_of_failure_is_logged_once(
    tiny_data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    Counting.failing.update(keys(CELLS[:2]))
    run(CELLS, Counting(), tiny_data, None)
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert CELLS[0].key in record.getMessage()
    assert "out of ideas" in record.getMessage()


def test_no_architectures(tiny_data: Dataset) -> None:
    assert run([], Counting(), tiny_data, None).empty
