"""Several seeds: each is scored as it would be alone, whoever works and whatever interrupts."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from nasproxy.data import Dataset, load
from nasproxy.errors import ScoringError, SettingError
from nasproxy.proxies import NNGP, Counts, Params, Score
from nasproxy.scoring import score
from nasproxy.store import Store
from nasproxy.truth import write_table
from search_spaces import NASBench101
from search_spaces.nasbench101 import Cell
from tests.conftest import ROOT
from tests.support.cli import run as command

SPACE = NASBench101(width=4, stacks=1, cells=1)
CELLS = SPACE.sample(5, seed=0)
KEYS = [cell.key for cell in CELLS]
TINY = NNGP(n_train=16, n_valid=16, norm_images=8)


@dataclass(frozen=True)
class Seeded:
    """Edges and a hundred times the seed; a column at odd seeds only."""

    name: ClassVar[str] = "seeded"
    seeded: ClassVar[bool] = True
    calls: ClassVar[list[tuple[str, int]]] = []
    prepared: ClassVar[list[int]] = []
    failing: ClassVar[set[tuple[str, int]]] = set()

    def prepare(self, space: Any, data: Dataset, seed: int) -> Callable[[Cell], Score]:
        self.prepared.append(seed)

        def scorer(cell: Cell) -> Score:
            self.calls.append((cell.key, seed))
            if (cell.key, seed) in self.failing:
                raise ArithmeticError("none")
            value = float(cell.num_edges + (100 * seed if self.seeded else 0))
            return Score(value, 1.0, {"odd": value} if seed % 2 else {})

        return scorer


@dataclass(frozen=True)
class Unseeded(Seeded):
    """Edges."""

    name: ClassVar[str] = "unseeded"
    seeded: ClassVar[bool] = False


@pytest.fixture(autouse=True)
def _forget() -> None:
    for kept in (Seeded.calls, Seeded.prepared, Seeded.failing):
        kept.clear()


def run(proxies: Any, data: Dataset, store: Any = None, **options: Any) -> pd.DataFrame:
    cells = options.pop("cells", CELLS)
    return score(cells, SPACE, proxies, data, store=store, progress=False, **options)


def test_rows_are_an_architectures_and_a_seeds(tiny_data: Dataset) -> None:
    frame = run([Seeded(), Params()], tiny_data, seeds=(3, 0))
    assert frame.index.names == ["architecture", "seed"]
    assert frame.index.tolist() == [(key, seed) for key in KEYS for seed in (3, 0)]
    expected = [cell.num_edges + 100 * seed for cell in CELLS for seed in (3, 0)]
    assert frame["seeded"].tolist() == expected
    assert frame["seeded[odd]"].isna().tolist() == [False, True] * len(CELLS)
    own = ["seeded", "seeded[odd]", "seeded seconds", "seeded flops"]
    sizes = ["params", "params seconds", "params flops"]
    assert frame.columns.tolist() == own + sizes
    later = run([Seeded(), Params()], tiny_data, seeds=(0, 3)).columns.tolist()
    assert (set(later[:4]), later[4:]) == (set(own), sizes), "a proxy's columns stand together"


def test_each_seed_is_what_it_is_alone(tmp_path: Path, tiny_data: Dataset) -> None:
    several = run(TINY, tiny_data, tmp_path / "s.db", seeds=[0, 1])
    for seed in (0, 1):
        alone = run(TINY, tiny_data, seeds=seed)
        assert alone.index.tolist() == KEYS
        of_several: Any = several.xs(seed, level="seed")
        assert_frame_equal(
            of_several.drop(columns="nngp seconds"),
            alone.drop(columns="nngp seconds"),
            check_exact=True,
        )
        stored = run(TINY, tiny_data, tmp_path / "s.db", seeds=seed)
        assert_frame_equal(stored, of_several, check_exact=True)  # the seconds too
    assert (several["nngp"].unstack("seed")[0] != several["nngp"].unstack("seed")[1]).any()


def test_one_seed_in_a_list_is_several(tiny_data: Dataset) -> None:
    assert run(Seeded(), tiny_data, seeds=range(1)).index.names == ["architecture", "seed"]
    assert run(Seeded(), tiny_data, seeds=np.int64(2))["seeded"].iloc[0] >= 200
    assert run(Seeded(), tiny_data, seeds=(0, 1), cells=[]).empty


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((), r"seeds=\(\) of scoring: give a whole number from 0"),
        ((0, 1, 0), r"seeds=\(0, 1, 0\) of scoring: give 0 once"),
        (-1, "seeds=-1 of scoring"),
        ((0, 2**63), "of scoring: give a whole number from 0 to"),
        ("0,1", "several as 0,1,2"),
        (True, "seeds=True"),
        ((0, 1.5), "of scoring"),
    ],
)
def test_seeds_that_are_none(seeds: Any, said: str, tiny_data: Dataset) -> None:
    with pytest.raises(SettingError, match=said):
        run(Seeded(), tiny_data, seeds=seeds)
    assert not Seeded.prepared


def test_what_is_stored_is_not_computed_again(tmp_path: Path, tiny_data: Dataset) -> None:
    run(Seeded(), tiny_data, tmp_path / "s.db", seeds=1)
    assert Seeded.calls == [(key, 1) for key in KEYS]
    run(Seeded(), tiny_data, tmp_path / "s.db", seeds=(0, 1, 2))
    assert Seeded.calls[5:] == [(key, seed) for seed in (0, 2) for key in KEYS]
    with Store(tmp_path / "s.db") as store:
        assert [(group.seed, group.ok) for group in store.groups()] == [(0, 5), (1, 5), (2, 5)]


def test_a_seed_is_made_ready_when_its_turn_comes(tmp_path: Path, tiny_data: Dataset) -> None:
    """The first one's checks are all seeds'."""
    run(Seeded(), tiny_data, tmp_path / "s.db", seeds=2)
    Seeded.prepared.clear()
    run(Seeded(), tiny_data, tmp_path / "s.db", seeds=(0, 2, 1))
    assert Seeded.prepared == [0, 1]


def test_failures_count_once_a_seed(tiny_data: Dataset) -> None:
    Seeded.failing.update({(KEYS[0], 0), (KEYS[0], 1), (KEYS[3], 1)})
    with Store(None) as store:
        for before in ({}, {"ArithmeticError: none": 3}):
            frame = run(Seeded(), tiny_data, store, seeds=(0, 1, 2))
            assert frame.attrs["failed"] == {"seeded": {"ArithmeticError: none": 3}}
            assert frame.attrs["failed before"] == {"seeded": before}
        assert frame["seeded"].isna().sum() == 3
        Seeded.failing.clear()
        Seeded.calls.clear()
        assert run(Seeded(), tiny_data, store, seeds=(0, 1), retry_failed=True)["seeded"].all()
        assert sorted(Seeded.calls) == sorted([(KEYS[0], 0), (KEYS[0], 1), (KEYS[3], 1)])


# What depends on no seed


def test_it_is_computed_once_and_stored_under_each(tmp_path: Path, tiny_data: Dataset) -> None:
    path = tmp_path / "s.db"
    frame = run(Unseeded(), tiny_data, path, seeds=(0, 1, 2), drawn="by hand")
    assert Seeded.calls == [(key, 0) for key in KEYS]
    assert frame["unseeded"].tolist() == [cell.num_edges for cell in CELLS for _ in range(3)]
    assert frame["unseeded seconds"].groupby(level="architecture").nunique().eq(1).all()
    with Store(path) as store:
        assert [(group.seed, group.ok) for group in store.groups()] == [(0, 5), (1, 5), (2, 5)]
        assert {record.info["drawn"] for record in store.records()} == {"by hand"}
    run(Unseeded(), tiny_data, path, seeds=2)
    assert len(Seeded.calls) == len(CELLS)


def test_it_is_taken_from_whichever_seed_has_it(tmp_path: Path, tiny_data: Dataset) -> None:
    path = tmp_path / "s.db"
    run(Unseeded(), tiny_data, path, seeds=1, cells=CELLS[:2], drawn="before")
    run(Unseeded(), tiny_data, path, seeds=2, cells=CELLS[1:3])
    Seeded.calls.clear()
    run(Unseeded(), tiny_data, path, seeds=(0, 1, 2), drawn="now")
    assert Seeded.calls == [(key, 0) for key in KEYS[3:]]
    with Store(path) as store:
        assert [group.ok for group in store.groups()] == [5, 5, 5]
        drawn = {(r.key.architecture, r.key.seed): r.info.get("drawn") for r in store.records()}
    assert drawn[KEYS[0], 1] == "before"
    assert drawn[KEYS[0], 0] == drawn[KEYS[0], 2] == "now", "as what is computed says"


def test_its_failures_are_every_seeds(tmp_path: Path, tiny_data: Dataset) -> None:
    path = tmp_path / "s.db"
    Seeded.failing.add((KEYS[1], 0))
    frame = run(Unseeded(), tiny_data, path, seeds=(0, 1))
    assert frame.attrs["failed"]["unseeded"] == {"ArithmeticError: none": 2}
    Seeded.failing.clear()
    Seeded.calls.clear()
    again = run(Unseeded(), tiny_data, path, seeds=(0, 1), retry_failed=True)
    assert Seeded.calls == [(KEYS[1], 0)]
    assert again["unseeded"].notna().all()
    assert again.attrs["failed"]["unseeded"] == {}


@pytest.mark.parametrize("proxy", ["params", "flops", "macs", "counts"])
def test_sizes_and_counts_depend_on_no_seed(proxy: str, tiny_data: Dataset) -> None:
    one, other = (run(proxy, tiny_data, seeds=seed)[proxy] for seed in (0, 1))
    assert one.tolist() == other.tolist()
    both = run(proxy, tiny_data, seeds=(0, 1))[proxy]
    assert both.groupby(level="architecture", sort=False).nunique().eq(1).all()


# Workers


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def test_workers_share_the_work_of_all_seeds(tmp_path: Path, digits: Dataset) -> None:
    proxies = [TINY, Counts()]
    with Store(tmp_path / "s.db") as store:
        run(TINY, digits, store, seeds=1, cells=CELLS[:3])
        shared = run(proxies, digits, store, seeds=(0, 1, 2), workers=2)
        assert len(list(store.records())) == 2 * 3 * len(CELLS)
        assert run(proxies, digits, store, seeds=(0, 1, 2)).equals(shared)
    alone = run(proxies, digits, seeds=(0, 1, 2))
    assert shared.index.equals(alone.index)
    assert (shared["counts"] == alone["counts"]).all()
    # Up to ties: batches depend on the number of threads.
    np.testing.assert_allclose(shared["nngp"], alone["nngp"], atol=1 / 16 + 1e-9)


def test_a_run_that_ends_keeps_what_other_seeds_have(tiny_data: Dataset) -> None:
    Seeded.failing.update((key, 1) for key in KEYS)

    class Odd(Seeded):
        def prepare(self, space: Any, data: Dataset, seed: int) -> Callable[[Cell], Score]:
            scorer = super().prepare(space, data, seed)

            def raising(cell: Cell) -> Score:
                try:
                    return scorer(cell)
                except ArithmeticError:
                    raise RuntimeError("out of ideas") from None

            return raising

    with Store(None) as store:
        with pytest.raises(ScoringError, match="all 5 that were tried"):
            run(Odd(), tiny_data, store, seeds=(0, 1, 2))
        assert [(group.seed, group.ok) for group in store.groups()] == [(0, 5)]


DRIVER = """
import sys
from nasproxy.proxies import NNGP, Counts
from nasproxy.scoring import score
from search_spaces import NASBench101
from nasproxy.data import load

if __name__ == "__main__":
    space = NASBench101(width=4, stacks=1, cells=1)
    proxies = [Counts(), NNGP(n_train=16, n_valid=16, norm_images=8)]
    frame = score(
        space.sample(40, 3), space, proxies, load("digits"),
        seeds=(0, 1, 2), store=sys.argv[1], workers=2, progress=False,
    )
    print(len(frame), int(frame[["counts", "nngp"]].notna().all(axis=1).sum()), flush=True)
"""


def stored(path: Path) -> dict[tuple[str, str, int], tuple[float | None, float]]:
    if not path.exists():
        return {}
    with Store(path) as store:
        return {
            (r.key.proxy, r.key.architecture, r.key.seed): (r.value, r.created)
            for r in store.records()
        }


@pytest.mark.slow
def test_a_killed_driver_goes_on_at_every_seed(tmp_path: Path) -> None:
    """Killed twice with its workers at work: nothing that was stored is computed again or lost."""
    script, path = tmp_path / "driver.py", tmp_path / "s.db"
    script.write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'experiments'}"}
    words = [sys.executable, str(script), str(path)]
    rng, kept = random.Random(0), {}
    for _ in range(2):
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
        # Into the kernels: the counts, 120 of them, come in a moment.
        target, deadline = max(len(kept), 120) + rng.randint(5, 25), time.monotonic() + 120
        while len(stored(path)) < target and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was done before it was killed"
        now = stored(path)
        assert kept.items() <= now.items()
        kept = now
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.communicate(timeout=180)[0].split() == ["120", "120"]
    final = stored(path)
    assert kept.items() <= final.items()
    assert len(final) == 2 * 3 * 40
    alone = run(TINY, load("digits"), path, seeds=2, cells=SPACE.sample(40, 3))
    fresh = run(TINY, load("digits"), None, seeds=2, cells=SPACE.sample(40, 3)[:5])
    np.testing.assert_allclose(alone["nngp"].iloc[:5], fresh["nngp"], atol=1 / 16 + 1e-9)


# Tables and the command line


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_of_seeds_is_written_whole(suffix: str, tmp_path: Path, tiny_data: Dataset) -> None:
    frame = run(Params(), tiny_data, seeds=(0, 1))
    path = tmp_path / f"scores.{suffix}"
    write_table(frame, path)
    found = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path).reset_index()
    assert found.set_index(["architecture", "seed"])["params"].equals(frame["params"])


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["score", "nasbench101", "--proxy", "params", "--sample", "4", "--quiet"]
    drawn = "uniform, n=4, seed={}"
    cases: dict[str, tuple[list[str], int, list[int]]] = {
        "0.db": ([], 0, [0]),
        "1.db": (["--seed", "7"], 7, [7]),
        "2.db": (["--seeds", "5,0"], 5, [0, 5]),
        "3.db": (["--seeds", "0,1,2", "--sample-seed", "9"], 9, [0, 1, 2]),
        "4.db": (["--seed", "3", "--sample-seed", "0"], 0, [3]),
    }
    for name, (options, sampled, seeds) in cases.items():
        said = command(*words, *options, "--store", name, "--out", "scores.csv")
        assert "4 best of 4 architectures by params" in said
        assert ("mean of" in said) == (len(seeds) > 1)
        with Store(name) as store:
            records = list(store.records())
        expected = {cell.key for cell in NASBench101().sample(4, sampled)}
        assert {record.key.architecture for record in records} == expected
        assert {record.info["drawn"] for record in records} == {drawn.format(sampled)}
        assert sorted({record.key.seed for record in records}) == seeds
    table = pd.read_csv("scores.csv")
    assert table.columns[:1].tolist() == ["architecture"]
    assert "seed" not in table


def test_a_files_sample_has_its_seed(tmp_path: Path) -> None:
    cells = tmp_path / "cells.txt"
    cells.write_text("\n".join(cell.key for cell in NASBench101().sample(20, 1)))
    words = ["score", "nasbench101", "--architectures", str(cells), "--sample", "5"]
    words += ["--proxy", "params", "--quiet"]
    drawn = {}
    for seeds in (["--sample-seed", "4"], ["--seed", "4"], ["--seed", "1", "--sample-seed", "4"]):
        path = tmp_path / f"{len(drawn)}.db"
        command(*words, *seeds, "--store", str(path))
        with Store(path) as store:
            drawn[path] = frozenset(r.key.architecture for r in store.records())
            assert {r.info["drawn"] for r in store.records()} == {"file cells.txt, n=5, seed=4"}
    assert len(set(drawn.values())) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", "1", "--seeds", "0,1"], "--seed 1 and --seeds 0,1: give one of them"),
        (["--seed", "0", "--seeds", "0"], "give one of them"),
        (["--seeds", "0,0"], "give 0 once"),
        (["--seeds", ""], "give whole numbers from 0, such as 0,1,2"),
        (["--seeds", "0,-1"], "give whole numbers from 0"),
        (["--seeds", "0;1"], "give whole numbers from 0"),
        (["--seeds", "9223372036854775808"], "from 0 to 9223372036854775807"),
    ],
)
def test_options_that_cannot_be(options: list[str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        command("score", "nasbench101", "--proxy", "params", "--sample", "2", *options)


def test_a_seed_of_no_sample_is_refused(tmp_path: Path) -> None:
    cells = tmp_path / "cells.txt"
    cells.write_text(KEYS[0])
    words = ["score", "nasbench101", "--proxy", "params", "--sample-seed", "2"]
    with pytest.raises(SettingError, match="--sample-seed 2 draws nothing: give --sample N"):
        command(*words, "--architectures", str(cells))
