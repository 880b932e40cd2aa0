"""Several stores as one: what they hold is there once, and what disagrees is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy.errors import SettingError, StoreError, TruthError
from nasproxy.ranking import rank_store
from nasproxy.store import Record, Store
from nasproxy.store.merging import together
from tests.support.cli import run
from tests.support.store import make

KEYS = [f"a{i:02}" for i in range(40)]
VALUES = np.random.default_rng(0).normal(size=40)
TRUTH = pd.Series(VALUES + np.random.default_rng(1).normal(size=40), index=KEYS, name="truth")


def written(path: Path, records: list[Record]) -> Path:
    with Store(path) as store:
        store.put_many(records)
    return path


@pytest.fixture
def records() -> list[Record]:
    return [make(key, float(value)) for key, value in zip(KEYS, VALUES, strict=True)]


@pytest.mark.parametrize("cut", [(20, 20), (30, 10), (40, 0)], ids=["shards", "overlap", "twice"])
def test_shards_rank_as_the_whole(
    cut: tuple[int, int], records: list[Record], tmp_path: Path
) -> None:
    end, start = cut
    paths = [
        written(tmp_path / "a.db", records[:end]),
        written(tmp_path / "b.db", records[start:][::-1]),
    ]
    with together(paths) as several, together([written(tmp_path / "c.db", records)]) as whole:
        found, expected = (rank_store(store, TRUTH, n_resamples=20) for store in (several, whole))
    assert found["n"].tolist() == [40]
    pd.testing.assert_frame_equal(found, expected)


def test_the_same_file_twice_is_once(records: list[Record], tmp_path: Path) -> None:
    path = written(tmp_path / "a.db", records)
    with together([path, path]) as store:
        assert sum(1 for _ in store.records()) == 40


def test_scores_that_disagree_are_refused_and_roundings_are_not(
    records: list[Record], tmp_path: Path
) -> None:
    first = written(tmp_path / "a.db", records)
    near = written(tmp_path / "b.db", [make(KEYS[3], float(VALUES[3]) * (1 + 1e-7))])
    with together([first, near]) as store:
        assert [r.value for r in store.records()] == [r.value for r in records]
    far = written(tmp_path / "c.db", [make(KEYS[3], float(VALUES[3]) * (1 + 1e-3))])
    with pytest.raises(StoreError, match=r"c\.db has p of a03 as .*a store before it as .*seed 0"):
        together([first, far])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_success_stands_for_a_failure(order: tuple[int, int], tmp_path: Path) -> None:
    paths = [
        written(tmp_path / "a.db", [make("a", None), make("b", 2.0)]),
        written(tmp_path / "b.db", [make("a", 1.0), make("b", None)]),
    ]
    with together([paths[i] for i in order]) as store:
        assert {r.key.architecture: r.value for r in store.records()} == {"a": 1.0, "b": 2.0}


def test_the_command_takes_several(records: list[Record], tmp_path: Path) -> None:
    a, b = (
        str(written(tmp_path / f"{i}.db", part))
        for i, part in enumerate((records[:25], records[20:]))
    )
    table = tmp_path / "t.csv"
    TRUTH.rename_axis("key").to_csv(table)
    rank = ("rank", "--store", a, "--truth", f"{table}:truth", "--format", "json")
    assert [json.loads(run(*rank))[0]["n"], json.loads(run(*rank, "--store", b))[0]["n"]] == [
        25,
        40,
    ]
    with pytest.raises(StoreError, match=r"there is no store .*none\.db"):
        run(*rank, "--store", str(tmp_path / "none.db"))


def test_merging_goes_on_after_a_kill_and_says_what_it_did(
    records: list[Record], tmp_path: Path
) -> None:
    """Part of a shard is there already; the command adds the rest, and again adds nothing."""
    a = written(tmp_path / "a.db", records[:25])
    b = written(tmp_path / "b.db", records[20:])
    into = written(tmp_path / "all.db", records[:3])
    words = ("store", "merge", str(a), str(b), "--into", str(into))
    said = run(*words)
    assert "a.db: 22 added, 3 known" in said
    assert "b.db: 15 added, 5 known" in said
    assert "a.db: 0 added, 25 known" in run(*words)
    with Store(into) as store:
        assert {r.key: r for r in store.records()} == {r.key: r for r in records}
    assert "40 scores are whole, 0 are damaged" in run("store", "check", str(into))
    assert "40 scores, 0 failed" in run("store", "info", str(into))
    with pytest.raises(StoreError, match="merged into itself"):
        run("store", "merge", str(a), "--into", str(a))
    with pytest.raises(StoreError, match="there is no store"):
        run("store", "merge", str(tmp_path / "c.db"), "--into", str(tmp_path / "new.db"))
    assert not (tmp_path / "new.db").exists()


def test_a_job_array_of_shards_is_the_whole(tmp_path: Path) -> None:
    """A store a shard, merged: docs/cluster.md's way without a scheduler, in real processes."""
    words = ["score", "nasbench101", "--sample", "9", "--proxy", "params", "--quiet"]
    jobs = [
        subprocess.Popen(
            [sys.executable, "-m", "nasproxy", *words, "--shard", f"{i}/3", "--store", f"{i}.db"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        for i in range(3)
    ]
    assert [job.wait(120) for job in jobs] == [0, 0, 0]
    parts = [str(tmp_path / f"{i}.db") for i in range(3)]
    run("store", "merge", *parts, "--into", str(tmp_path / "all.db"))
    run(*words, "--store", str(tmp_path / "whole.db"))
    found = []
    for name in ("all.db", "whole.db"):
        with Store(tmp_path / name) as store:
            found.append({r.key: r.value for r in store.records()})
    assert found[0] == found[1]
    assert len(found[0]) == 9


def test_a_store_ranks_itself(records: list[Record], tmp_path: Path) -> None:
    """By a series, a mapping, a table's column or a stored proxy: what the functions give."""
    table = tmp_path / "truth.csv"
    TRUTH.rename_axis("key").to_frame("top1").to_csv(table)
    others = [make(key, -float(value), proxy="q") for key, value in zip(KEYS, VALUES, strict=True)]
    with Store(written(tmp_path / "a.db", records + others)) as store:
        expected = rank_store(store, TRUTH)
        pd.testing.assert_frame_equal(store.rank(TRUTH), expected)
        for truth in (TRUTH.to_dict(), f"{table}:top1"):
            found = store.rank(truth, threshold=0.0)
            assert found["kendall_tau"].tolist() == pytest.approx(expected["kendall_tau"].tolist())
        (against,) = store.rank("q")["kendall_tau"]
        assert against == -1
        with pytest.raises(SettingError, match="of a table"):
            store.rank(TRUTH, key="key")
        with pytest.raises(SettingError, match="of a table"):
            store.rank(TRUTH, average=True)
        with pytest.raises(TruthError, match="names no architectures"):
            store.rank(TRUTH.to_numpy())  # type: ignore[arg-type]


def test_a_store_reads_every_table_alike(records: list[Record], tmp_path: Path) -> None:
    """Key, rows and means are those of all tables that are named, as of the command's."""
    table, size = tmp_path / "truth.csv", VALUES[::-1]
    noise = np.random.default_rng(2).normal(size=40)
    own = pd.DataFrame({"cell": KEYS, "seed": 1, "top1": TRUTH.to_numpy(), "size": size})
    rows = [
        own.assign(top1=own["top1"] + noise, size=size + noise),
        own.assign(top1=own["top1"] - noise, size=size - noise),
        own.assign(seed=0, top1=noise, size=noise),
    ]
    pd.concat(rows).to_csv(table, index=False)
    chosen = {"key": "cell", "where": {"seed": 1}, "average": True}
    asked = {"against": f"{table}:size", "n_resamples": 20}
    with Store(written(tmp_path / "a.db", records)) as store:
        against = pd.Series(size, index=KEYS)
        expected = rank_store(store, TRUTH, against=against, n_resamples=20)
        for truth in (TRUTH, f"{table}:top1"):
            found = store.rank(truth, **chosen, **asked)
            assert found["gain"].tolist() == pytest.approx(expected["gain"].tolist())
            assert found["kendall_tau"].tolist() == pytest.approx(expected["kendall_tau"].tolist())
        elsewhere = store.rank(TRUTH, **chosen | {"where": {"seed": 0}}, **asked)
        assert elsewhere["gain"].tolist() != pytest.approx(expected["gain"].tolist())
        with pytest.raises(TruthError, match="average"):
            store.rank(TRUTH, **chosen | {"average": False}, **asked)
