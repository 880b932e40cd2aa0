"""What kills, crowds and a full disk cost a store: ``python -m experiments.benchmarks.durability``.

Processes are killed by SIGKILL at random moments, again and again on one store: bare writers, the
driver of a scoring run with two workers, and its workers. Nothing that was acknowledged may be
lost, nothing may be there twice or be computed again, and the file is whole after each round.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from experiments.benchmarks.common import report
from nasproxy.errors import StoreError
from nasproxy.machine import peak_memory
from nasproxy.store import Store
from tests.support.store import make

WRITER = """
import itertools, sys
from nasproxy.store import Store
from tests.support.store import make
store = Store(sys.argv[1])
for i in itertools.count():
    store.put(make(sys.argv[2] + "-" + str(i), i))
    print(sys.argv[2] + "-" + str(i), flush=True)
"""
DRIVER = """
import sys
from nasproxy.proxies import NNGP
from nasproxy.scoring import score
from search_spaces import NASBench101
if __name__ == "__main__":
    space = NASBench101(width=4, stacks=1, cells=1)
    proxy = NNGP(n_train=16, n_valid=16, norm_images=8)
    cells = space.sample(int(sys.argv[2]), 3)
    score(cells, space, proxy, "digits", store=sys.argv[1], workers=2, progress=False)
"""
FULL = """
import resource, signal, sys
from nasproxy.errors import StoreError
from nasproxy.store import Store
from tests.support.store import make
store = Store(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    for i in range(10**6):
        store.put(make(str(i)))
        print(i, flush=True)
except StoreError:
    pass
"""
Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of each kind")
    parser.add_argument("--rows", type=int, default=100_000, help="of the large store")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    rows = []
    for part in (
        lambda folder: writers_killed(folder, args.kills, rng),
        lambda folder: drivers_killed(folder, args.kills, rng),
        lambda folder: workers_killed(folder, max(1, args.kills // 5), rng),
        writers_at_once,
        full_disk,
    ):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(part(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        notes = [large(Path(folder), args.rows)]
    report("Stores under kills, crowds and a full disk", rows, notes)


def begun(folder: Path, code: str, *words: str) -> "subprocess.Popen[str]":
    # A name of its own: another process may be reading the last one.
    script = folder / f"script-{len(list(folder.glob('script-*')))}.py"
    script.write_text(code)
    command = [sys.executable, str(script), *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["experiments", os.getcwd()])}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=(folder / "errors.txt").open("a"),
        text=True,
        env=environment,
    )


def line(what: str, rounds: int, kept: int, lost: int, bad: int, again: int) -> Row:
    return {
        "what": what,
        "rounds": str(rounds),
        "acknowledged": f"{kept:,}",
        "lost": str(lost),
        "corrupt": str(bad),
        "computed again": str(again),
    }


def held(path: Path) -> dict[str, float]:
    """When each score was made."""
    if not path.exists():
        return {}
    with Store(path) as store:
        return {r.key.architecture: r.created for r in store.records()}


def killed(process: "subprocess.Popen[str]") -> list[str]:
    """What a killed process had acknowledged."""
    process.send_signal(signal.SIGKILL)
    text = process.communicate()[0]
    return [word.strip() for word in text.splitlines(keepends=True) if word.endswith("\n")]


def writers_killed(folder: Path, kills: int, rng: random.Random) -> Row:
    path, acknowledged, corrupt = folder / "s.db", set[str](), 0
    there: dict[str, float] = {}
    for number in range(kills):
        process = begun(folder, WRITER, str(path), str(number))
        assert process.stdout is not None
        first = process.stdout.readline().strip()
        time.sleep(rng.uniform(0, 0.2))
        acknowledged |= {first, *killed(process)}
        try:
            there = held(path)
        except StoreError:
            corrupt += 1
            continue
    lost = len(acknowledged - there.keys())
    return line("a writer killed", kills, len(acknowledged), lost, corrupt, 0)


def drivers_killed(folder: Path, kills: int, rng: random.Random) -> Row:
    path, before, lost, corrupt, again = folder / "s.db", dict[str, float](), 0, 0, 0
    for number in range(kills):
        process = begun(folder, DRIVER, str(path), str(20 * (number + 1)))
        seen = len(before)
        wait(lambda seen=seen: len(held(path)) > seen)
        time.sleep(rng.uniform(0, 0.5))
        killed(process)
        try:
            after = held(path)
        except StoreError:
            corrupt += 1
            continue
        lost += len(before.keys() - after.keys())
        again += sum(after[key] != made for key, made in before.items() if key in after)
        before = after
    return line("a driver of two workers killed", kills, len(before), lost, corrupt, again)


def workers_killed(folder: Path, kills: int, rng: random.Random) -> Row:
    """One worker in each round; the driver has to end well with every score."""
    path, missing = folder / "s.db", 0
    for number in range(kills):
        wanted = 60 * (number + 1)
        seen = len(held(path))
        process = begun(folder, DRIVER, str(path), str(wanted))
        wait(lambda seen=seen: len(held(path)) > seen)
        time.sleep(rng.uniform(0, 0.3))
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]
        if workers:
            rng.choice(workers).kill()
        process.communicate()
        missing += process.returncode != 0
    return line("a worker killed", kills, len(held(path)), missing, 0, 0)


def writers_at_once(folder: Path, count: int = 10, each: int = 200) -> Row:
    path = folder / "s.db"
    code = WRITER.replace("itertools.count()", f"range({each})")
    crowd = [begun(folder, code, str(path), str(number)) for number in range(count)]
    said = {word for process in crowd for word in process.communicate()[0].split()}
    return line(f"{count} writers at once", 1, len(said), len(said - held(path).keys()), 0, 0)


def full_disk(folder: Path) -> Row:
    process = begun(folder, FULL, str(folder / "s.db"))
    said = set(process.communicate()[0].split())
    return line("a full disk", 1, len(said), len(said - held(folder / "s.db").keys()), 0, 0)


def large(folder: Path, rows: int) -> str:
    """What a put costs in an empty and in a large store, in words."""
    with Store(folder / "s.db") as store:
        store.put(make("first"))
        times, memory = [], peak_memory()
        for batch in range(rows // 1_000):
            start = time.perf_counter()
            for i in range(20):
                store.put(make(f"{batch}-{i}"))
            times.append((time.perf_counter() - start) / 20)
            store.put_many(make(f"{batch}-{i}") for i in range(20, 1_000))
            if batch == 0:
                memory = peak_memory()
    return (
        f"{rows:,} rows: a put takes {1e3 * times[0]:.2f} ms at first, {1e3 * times[-1]:.2f} ms at "
        f"last; memory grew by {1024 * (peak_memory() - memory):.0f} MiB"
    )


def wait(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("nothing was stored")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
