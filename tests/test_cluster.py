"""Work on other processes: what comes back, who did it, and what a death costs."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from nasproxy import cluster
from nasproxy.cluster import Crew, Done
from nasproxy.data import load
from nasproxy.errors import DataError, ScoringError, SettingError
from nasproxy.proxies import NNGP, Latency, Params
from nasproxy.scoring import score
from nasproxy.store import Store
from search_spaces import MNAS, NASBench101
from tests.conftest import ROOT
from tests.support.jobs import Squares


def spawning(n: int) -> Executor:
    return ProcessPoolExecutor(n, mp_context=get_context("spawn"))


def collected(workers: Any, job: Squares, items: list[int]) -> dict[int, tuple[int, int]]:
    with Crew(workers) as crew:
        done = [one for chunk in crew.run(job, items) for one in chunk]
    assert len({one.place for one in done}) == len(done), "no item is done twice"
    return {one.place: one.result for one in done}


@pytest.mark.parametrize("kind", ["own", "processes", "threads"])
def test_every_item_comes_back_once_from_jobs_made_ready_once(kind: str, tmp_path: Path) -> None:
    items = list(range(40, 80))
    job = Squares(tmp_path, seconds=0.002)
    if kind == "own":
        found = collected(2, job, items)
    else:
        with spawning(2) if kind == "processes" else ThreadPoolExecutor(2) as executor:
            found = collected(executor, job, items)
    assert {place: square for place, (square, _) in found.items()} == {
        place: item**2 for place, item in enumerate(items)
    }
    processes = {pid for _, pid in found.values()}
    assert len(list(tmp_path.glob("ready-*"))) == len(processes)
    assert (os.getpid() in processes) == (kind == "threads")


def test_nothing_to_do_starts_nothing(tmp_path: Path) -> None:
    assert collected(2, Squares(tmp_path), []) == {}
    assert not list(tmp_path.iterdir())


def test_a_second_job_is_not_taken_for_the_first(tmp_path: Path) -> None:
    with Crew(1) as crew:
        for seconds in (0.0, 0.001):
            (chunk,) = crew.run(Squares(tmp_path, seconds), [3])
            assert chunk[0].result[0] == 9
    assert len(list(tmp_path.glob("ready-*"))) == 2


def test_chunks_grow_to_a_second_of_work(tmp_path: Path) -> None:
    with Crew(1) as crew:
        sizes = [len(chunk) for chunk in crew.run(Squares(tmp_path, 0.001), list(range(800)))]
    assert sizes[0] == 1
    assert max(sizes) > 50


def test_a_dead_processs_chunk_is_done_by_another(tmp_path: Path) -> None:
    found = collected(2, Squares(tmp_path, 0.002, deadly=17), list(range(40)))
    assert [found[i][0] for i in range(40)] == [i**2 for i in range(40)]
    assert len(list(tmp_path.glob("dead-*"))) == 1


def test_a_pool_that_breaks_between_two_looks_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk may be handed to processes that have just died."""
    submit, calls = cluster._Own.submit, itertools.count()

    def breaking(self: Any, items: list[Any], *, send: bool = False) -> Any:
        if next(calls) == 3:
            raise BrokenProcessPool("just now")
        return submit(self, items, send=send)

    monkeypatch.setattr(cluster._Own, "submit", breaking)
    found = collected(2, Squares(tmp_path, 0.002), list(range(30)))
    assert [found[i][0] for i in range(30)] == [i**2 for i in range(30)]


def test_what_kills_one_process_after_the_other_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="processes died, one after the other, over the items 3"):
        collected(1, Squares(tmp_path, deadly=3, deaths=99), list(range(6)))
    assert len(list(tmp_path.glob("dead-*"))) <= cluster.ATTEMPTS


def test_an_error_comes_back_after_the_results_before_it(tmp_path: Path) -> None:
    done: list[Done] = []

    def work() -> None:
        with Crew(1) as crew:
            for chunk in crew.run(Squares(tmp_path, wrong=12), list(range(20))):
                done.extend(chunk)
                time.sleep(0.2)  # The next two chunks come back together.

    with pytest.raises(DataError, match="item 12 is wrong"):
        work()
    assert {one.place for one in done} == set(range(12))


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2", None, [2]])
def test_workers_are_a_number_an_executor_or_a_client(workers: Any) -> None:
    with pytest.raises(SettingError, match="workers="):
        Crew(workers)


def test_what_cannot_be_sent_is_said(tmp_path: Path) -> None:
    class Local(Squares):
        pass

    with pytest.raises(SettingError, match="Local cannot be sent"), Crew(1) as crew:
        list(crew.run(Local(tmp_path), [1]))


# Scores


SPACE = NASBench101(width=4, stacks=1, cells=1)
TINY = NNGP(n_train=16, n_valid=16, norm_images=8)


def test_workers_score_as_one_process_does(tmp_path: Path) -> None:
    """Up to ties: a network's images are cut into batches by the number of threads."""
    cells, data = SPACE.sample(12, 0), load("digits")
    proxies = [TINY, Params(), Latency(batch=1)]
    alone = score(cells, SPACE, proxies, data, progress=False)
    with Store(tmp_path / "s.db") as store:
        shared = score(cells, SPACE, proxies, data, store=store, workers=2, progress=False)
        assert len(list(store.records())) == 3 * len(shared)
        again = score(cells, SPACE, proxies, data, store=store, progress=False)
    assert again.equals(shared)
    assert (shared["params"] == alone["params"]).all()
    np.testing.assert_allclose(shared["nngp"], alone["nngp"], atol=1 / 16 + 1e-9)
    assert (shared["latency"] < 0).all()


def test_what_ends_a_run_ends_it_from_a_worker_too() -> None:
    data = load("digits")
    with pytest.raises(DataError, match="at least 32"):
        score(MNAS().sample(2, 0), MNAS(), "params", data, workers=1, progress=False)


DRIVER = """
import sys
from nasproxy.proxies import NNGP
from nasproxy.scoring import score
from search_spaces import NASBench101
from nasproxy.data import load

if __name__ == "__main__":
    space = NASBench101(width=4, stacks=1, cells=1)
    proxy = NNGP(n_train=16, n_valid=16, norm_images=8)
    frame = score(
        space.sample(40, 3), space, proxy, load("digits"),
        store=sys.argv[1], workers=2, progress=False,
    )
    print(len(frame), int(frame["nngp"].notna().sum()), flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "driver.py").write_text(DRIVER)
    return tmp_path / "driver.py"


def started(script: Path, store: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'experiments'}"}
    command = [sys.executable, str(script), str(store)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def stored(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    with Store(path) as store:
        return {r.key.architecture: r.created for r in store.records()}


def until(condition: Any, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_driver_leaves_no_workers_and_resumes(script: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    driver = started(script, path)
    until(lambda: len(stored(path)) >= 3)
    children = psutil.Process(driver.pid).children(recursive=True)
    assert children
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    before = stored(path)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert driver.stdout is not None
    driver.stdout.close()
    resumed = started(script, path)
    counts = resumed.communicate(timeout=120)[0].split()
    assert resumed.returncode == 0
    assert counts[0] == counts[1]
    after = stored(path)
    assert {key: after[key] for key in before} == before, "nothing is computed twice"


@pytest.mark.slow
def test_a_killed_worker_costs_its_chunk_only(script: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    driver = started(script, path)
    until(lambda: len(stored(path)) >= 3)
    workers = [
        child
        for child in psutil.Process(driver.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]
    workers[0].kill()
    counts = driver.communicate(timeout=180)[0].split()
    assert driver.returncode == 0
    assert counts[0] == counts[1]
    assert len(stored(path)) == int(counts[0])


# A cluster


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler and two workers, started as on a cluster: real processes of this machine."""
    pytest.importorskip("distributed", reason="needs nasproxy[cluster]")
    folder = tmp_path_factory.mktemp("dask")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'experiments'}",
        "NPROC": "1",
    }
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    file = folder / "scheduler.json"
    listening = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    quiet: dict[str, Any] = {"env": environment, "cwd": folder, "stderr": subprocess.DEVNULL}
    begun = [subprocess.Popen([*module, *listening, "--scheduler-file", str(file)], **quiet)]
    until(file.exists)
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file)]
    worker += ["--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    begun += [subprocess.Popen(worker, **quiet) for _ in range(2)]
    yield json.loads(file.read_text())["address"]
    for process in reversed(begun):
        process.terminate()
    for process in begun:
        process.wait(20)


@pytest.mark.slow
def test_a_dask_cluster_scores(scheduler: str, tmp_path: Path) -> None:
    """From the command line; a second run computes nothing; then a worker dies under a third."""
    from distributed import Client

    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        command = [sys.executable, "-m", "nasproxy", "score", "nasbench101:stacks=1,cells=1"]
        command += ["--sample", "12", "--width", "4", "--cluster", scheduler, "--quiet"]
        command += ["--proxy", "nngp:n_train=16,n_valid=16,norm_images=8", "--store", "s.db"]
        for _ in range(2):
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        with Store(tmp_path / "s.db") as store:
            before = {r.key.architecture: r.value or np.nan for r in store.records()}
        assert len(before) == 12
        local = score(SPACE.sample(12, 0), SPACE, TINY, "digits", progress=False)["nngp"]
        np.testing.assert_allclose(local, [before[k] for k in local.index], atol=1 / 16 + 1e-9)
        found = collected(client, Squares(tmp_path, 0.02, deadly=5), list(range(30)))
        assert [found[i][0] for i in range(30)] == [i**2 for i in range(30)]
        assert list(tmp_path.glob("dead-*"))


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nasproxy.cli import parsing
    from tests.support.cli import run

    pytest.importorskip("distributed", reason="needs nasproxy[cluster]")
    monkeypatch.setattr(parsing, "_ANSWER_SECONDS", 0.5)
    words = ("score", "nasbench101", "--sample", "1", "--proxy", "params", "--quiet")
    with pytest.raises(SettingError, match="no scheduler answers"):
        run(*words, "--cluster", "tcp://127.0.0.1:1")
    with pytest.raises(SettingError, match="give one"):
        run(*words, "--cluster", "tcp://127.0.0.1:1", "--workers", "2")
