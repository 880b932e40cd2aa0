"""Scoring in processes that are killed, or that share a store."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from nasproxy.data import Dataset
from nasproxy.proxies import NNGP
from nasproxy.scoring import score
from nasproxy.store import Store
from search_spaces import NASBench101
from tests.conftest import ROOT

SCRIPT = """
import sys, time
from nasproxy.proxies import NNGP
from nasproxy.scoring import score
from search_spaces import NASBench101
from tests.conftest import tiny_dataset

prepare = NNGP.prepare
def prepare_slow(self, *arguments):
    scorer = prepare(self, *arguments)
    def slow(cell):
        print(cell.key, flush=True)
        time.sleep(0.02)
        return scorer(cell)
    return slow

NNGP.prepare = prepare_slow
space = NASBench101(width=4, stacks=1, cells=1)
proxy = NNGP(n_train=16, n_valid=16, norm_images=8)
score(space.sample(25, seed=3), space, proxy, tiny_dataset(0), store=sys.argv[1], progress=False)
print("done", flush=True)
"""


def begin(path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SCRIPT, str(path)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def uninterrupted(path: Path | None, data: Dataset) -> pd.DataFrame:
    """What the script makes, without the seconds."""
    space = NASBench101(width=4, stacks=1, cells=1)
    proxy = NNGP(n_train=16, n_valid=16, norm_images=8)
    frame = score(space.sample(25, seed=3), space, proxy, data, store=path, progress=False)
    return frame.drop(columns="nngp seconds")


@pytest.mark.slow
def test_kill_9_at_random_points_loses_at_most_what_was_in_progress(
    tmp_path: Path, tiny_data: Dataset
) -> None:
    path = tmp_path / "s.db"
    rng = random.Random(0)
    stored: dict[str, tuple[Any, ...]] = {}
    for _ in range(3):
        process = begin(path)
        assert process.stdout is not None
        begun = [process.stdout.readline().strip() for _ in range(rng.randint(1, 6))]
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        begun += process.communicate()[0].split()
        assert process.returncode == -signal.SIGKILL
        assert begun[-1] != "done"
        with Store(path) as store:
            stored = {r.key.architecture: (r.value, r.seconds, r.created) for r in store.records()}
        assert set(begun[:-1]) <= stored.keys()
    process = begin(path)
    resumed = process.communicate(timeout=120)[0].split()
    assert process.returncode == 0
    assert not stored.keys() & set(resumed)
    with Store(path) as store:
        final = {r.key.architecture: (r.value, r.seconds, r.created) for r in store.records()}
    assert {key: final[key] for key in stored} == stored
    assert_frame_equal(uninterrupted(path, tiny_data), uninterrupted(None, tiny_data))


@pytest.mark.slow
def test_processes_share_a_store(tmp_path: Path, tiny_data: Dataset) -> None:
    """Three at once on the same architectures: each ends well, and one score stands for each."""
    path = tmp_path / "s.db"
    crowd = [begin(path) for _ in range(3)]
    for process in crowd:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with Store(path) as store:
        (group,) = store.groups()
    assert (group.ok, group.failed) == (25, 0)
    assert_frame_equal(uninterrupted(path, tiny_data), uninterrupted(None, tiny_data))
