"""A kernel of more points than memory is given: two Dask workers, one killed, and a solve on disk.

    python -m experiments.benchmarks.beyond_memory --tiles DIR                 # digits, a minute
    python -m experiments.benchmarks.beyond_memory --tiles DIR --data cifar10 --data-dir DATA \
        --points 2500 5000 10000 20000 40000 --valid 10000 --side 2048         # about an hour

The NTK of depth 3 of all points is computed in tiles by two worker processes of a Dask cluster, of
which one is killed by SIGKILL when a third of the tiles are there; none that was there may be
written again. Conjugate gradients then solve for the first n points, growing, on these tiles, all
regularisers and classes together, and scikit-learn's KernelRidge does in memory, one regulariser
after the other, in the float64 that it makes of it and in float32, its memory limited to --limit.
OpenBLAS may crash in its threaded factorisation of many rows: then KernelRidge is given one thread.

Every solve runs in a process of its own, whose anonymous memory is looked at every 10 ms. What is
done is kept in DIR: killed, the same command goes on; a solve of conjugate gradients from its
checkpoint. ``exact`` is the share of validation images on which the least regulariser gives the
class that KernelRidge gives in float64. CPU s, of all threads, says more than seconds on a busy
machine.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import psutil

from experiments.benchmarks.common import report
from experiments.benchmarks.memory import anonymous
from nasproxy import data as datasets
from nasproxy import files
from nasproxy.kernels import FullyConnected
from nasproxy.reproduce.provenance import commit
from nasproxy.solvers import ConjugateGradient, sweep
from nasproxy.tiles import Tiles
from nasproxy.tiles.layout import tile_path

LOOK = 0.01
"""Seconds between two looks at a process's memory."""
ROOM = 2.0
"""GiB that are left to others while KernelRidge takes its own, where that is more than 1 GiB."""
CONTENDERS = ("nasproxy", "KernelRidge", "KernelRidge float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiles", type=Path, required=True, help="folder that all is kept in")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--points", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--valid", type=int, default=400)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--ridges", type=float, nargs="+", default=[1e-4, 1e-3, 1e-2])
    parser.add_argument("--rank", type=int, default=500, help="of the preconditioner")
    parser.add_argument("--tolerance", type=float, default=1e-2)
    parser.add_argument("--most", type=int, default=1000, help="iterations at most")
    parser.add_argument("--memory", type=float, default=0.75, help="GiB of tiles in a solve")
    parser.add_argument("--limit", type=float, default=14.0, help="GiB that KernelRidge may hold")
    parser.add_argument("--solvers", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contender:
        solve(args)
        return
    args.tiles.mkdir(parents=True, exist_ok=True)
    made = step(args, "tiles", lambda: computed(args))
    rows = []
    for contender in args.solvers:
        for n in args.points:
            name = f"{contender} {n}"
            rows.append((n, contender, step(args, name, lambda n=n, c=contender: ran(args, c, n))))
    show(args, made, sorted(rows, key=lambda row: row[0]))


def step(args: argparse.Namespace, name: str, make: Any) -> dict[str, Any]:
    """What was found before under this name, or is now."""
    path = args.tiles / "found.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if name not in found:
        made = make() | {"commit": commit()}
        found = (json.loads(path.read_text()) if path.exists() else {}) | {name: made}
        files.write_text(path, json.dumps(found))
        print(name, {k: v for k, v in made.items() if k != "classes"}, flush=True)
    return found[name]


def computed(args: argparse.Namespace) -> dict[str, Any]:
    """Tiles by two workers of which one is killed; times of this run, if an earlier one began."""
    from distributed import Client, LocalCluster

    data = datasets.load(args.data, data_dir=args.data_dir)
    (train, labels), (valid, wanted) = (
        data.select(split, n, 0, balanced=False)
        for split, n in (("train", max(args.points)), ("valid", args.valid))
    )
    tiles = Tiles.create(
        args.tiles / "kernel",
        FullyConnected(3),
        train[:],
        valid[:],
        y=labels,
        y_valid=wanted,
        side=args.side,
    )
    start = time.perf_counter()
    workers: Any = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=""
    )
    with workers as cluster, Client(cluster) as client:
        there: Any = client.run(os.getpid)
        with killing(tiles, next(iter(there.values()))) as deaths:
            tiles.compute(client)
        spent: Any = client.run(time.process_time)
    seconds = time.perf_counter() - start
    again = sum(
        tile_path(tiles.folder, place).stat().st_mtime_ns != when
        for place, when in deaths["there"].items()
    )
    status = tiles.status()
    return {
        "seconds": seconds,
        "cpu": sum(spent.values()),
        "tiles": status.there,
        "wanted": status.wanted,
        "GiB": status.bytes / 2**30,
        "killed": deaths["killed"],
        "before": len(deaths["there"]),
        "again": again,
        "damaged": len(tiles.verify()),
    }


@contextmanager
def killing(tiles: Tiles, process: int) -> Iterator[dict[str, Any]]:
    """Kills a process when a third of the tiles are there; notes which were, and since when."""
    deaths: dict[str, Any] = {"killed": 0, "there": {}}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            there, wanted, _ = tiles.status()
            if 3 * there >= wanted:
                os.kill(process, signal.SIGKILL)
                missing = set(tiles.missing())
                deaths["killed"] = process
                deaths["there"] = {
                    place: tile_path(tiles.folder, place).stat().st_mtime_ns
                    for place in tiles.manifest.places()
                    if place not in missing
                }
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield deaths
    finally:
        over.set()
        thread.join()


def ran(args: argparse.Namespace, contender: str, n: int) -> dict[str, Any]:
    """A solve in its own process, with one thread if it crashed with all."""
    free = psutil.virtual_memory().available / 2**30
    if contender != "nasproxy" and 16 * n**2 > 2**30 and free < args.limit + ROOM:
        raise SystemExit(
            f"{free:.1f} GiB are free, and {contender} may take {args.limit:g}: run this again "
            "when there are more, or with a smaller --limit"
        )
    found = attempted(args, contender, n, {})
    if found["failed"] and "signal" in found["failed"] and contender != "nasproxy":
        one = attempted(args, contender, n, {"OPENBLAS_NUM_THREADS": "1"})
        said = f"{found['failed']} with all threads"
        found = one | {"note": f"{said}; {one['failed'] or 'one thread'}"}
    return found


def attempted(
    args: argparse.Namespace, contender: str, n: int, environment: dict[str, str]
) -> dict[str, Any]:
    command = [sys.executable, "-m", "experiments.benchmarks.beyond_memory", *sys.argv[1:]]
    command += ["--contender", contender, "--n", str(n)]
    most = 0
    # Files, not pipes: nobody reads while it is watched, and a pipe holds 64 kB of its classes.
    with TemporaryFile("w+") as out, TemporaryFile("w+") as errors:
        with subprocess.Popen(
            command, stdout=out, stderr=errors, env=os.environ | environment
        ) as process:
            while process.poll() is None:
                most = max(most, anonymous(process.pid))
                time.sleep(LOOK)
        said, complaints = _lines(out), _lines(errors)
    found: dict[str, Any] = {"GiB": most / 2**30, "failed": "", "note": ""}
    if process.returncode < 0:
        return found | {"failed": f"signal {signal.Signals(-process.returncode).name}"}
    if process.returncode:
        return found | {"failed": (complaints or ["no word"])[-1][:100]}
    return found | json.loads(said[-1])


def _lines(file: Any) -> list[str]:
    """Those that say something."""
    file.seek(0)
    return [line.strip() for line in file if line.strip()]


def solve(args: argparse.Namespace) -> None:
    """One contender; prints what it took as JSON."""
    tiles = Tiles(args.tiles / "kernel", memory=args.memory)
    assert tiles.targets is not None
    y, points = np.eye(10)[tiles.targets[: args.n]] - 0.1, np.arange(args.n)
    extra: dict[str, Any] = {}
    if args.contender == "nasproxy":
        start, before = time.perf_counter(), time.process_time()
        model = ConjugateGradient(
            tiles, rank=args.rank, tolerance=args.tolerance, iterations=args.most
        )
        found = sweep(model, points, y, args.ridges, checkpoint=args.tiles / f"cg-{args.n}.npz")
        values = found.predict(tiles.valid)
        seconds, spent = time.perf_counter() - start, time.process_time() - before
        history, residuals = found.solutions.history, found.solutions.residuals
        extra = {
            "iterations": len(history),
            "residual": float(residuals.max()),
            "solving": history[-1]["seconds"],
        }
    else:
        import resource

        from sklearn.kernel_ridge import KernelRidge

        resource.setrlimit(resource.RLIMIT_DATA, (int(args.limit * 2**30), resource.RLIM_INFINITY))
        gram, cross = tiles(points), tiles(tiles.valid, points)
        y = y.astype(gram.dtype) if args.contender.endswith("float32") else y
        scale = float(gram.diagonal().astype(np.float64).mean())
        start, before = time.perf_counter(), time.process_time()
        values = [
            KernelRidge(alpha=ridge * scale, kernel="precomputed").fit(gram, y).predict(cross)
            for ridge in args.ridges
        ]
        seconds, spent = time.perf_counter() - start, time.process_time() - before
    classes = [one.argmax(1).tolist() for one in values]
    print(json.dumps({"seconds": seconds, "cpu": spent, "classes": classes, **extra}))


def show(
    args: argparse.Namespace, made: dict[str, Any], rows: list[tuple[int, str, dict[str, Any]]]
) -> None:
    wanted = Tiles(args.tiles / "kernel").valid_targets
    exact = {n: found for n, name, found in rows if name == "KernelRidge"}
    table, notes = [], []
    for n, contender, found in rows:
        line = {"points": f"{n:,}", "solver": contender, "GiB": f"{found['GiB']:.2f}"}
        if found["failed"]:
            line |= dict.fromkeys(
                ("seconds", "CPU s", "iterations", "residual", "accuracy", "exact"), "–"
            )
            notes.append(f"{contender} at {n:,}: {found['note'] or found['failed']}")
            table.append(line)
            continue
        if found["note"]:
            notes.append(f"{contender} at {n:,}: {found['note']}")
        classes = np.array(found["classes"])
        peer = exact.get(n, {}).get("classes")
        line |= {
            "seconds": f"{found['seconds']:.1f}",
            "CPU s": f"{found['cpu']:.1f}",
            "iterations": str(found.get("iterations", "–")),
            "residual": f"{found['residual']:.0e}" if "residual" in found else "–",
            "accuracy": " ".join(f"{share:.3f}" for share in (classes == wanted).mean(1)),
            "exact": f"{(classes[0] == np.array(peer[0])).mean():.4f}" if peer else "–",
        }
        table.append(line)
    commits = sorted({made["commit"], *(found["commit"] for _, _, found in rows)})
    report(
        f"{args.data}, NTK of depth 3, {args.valid:,} validation images, 10 classes, ridges "
        f"{' '.join(f'{ridge:g}' for ridge in args.ridges)}",
        table,
        [
            f"{made['tiles']} of {made['wanted']} tiles of {args.side}², {made['GiB']:.2f} GiB, "
            f"made in {made['seconds']:.0f} s by two Dask workers of one thread (those alive at "
            f"the end spent {made['cpu']:.0f} s of processor), one of them killed when "
            f"{made['before']} were there; of these {made['again']} were written again, and "
            f"{made['damaged']} of all are damaged.",
            f"GiB is the most anonymous memory of the whole process; memory={args.memory:g} GiB of "
            f"tiles for nasproxy, which makes a preconditioner of rank {args.rank} within its "
            f"seconds; KernelRidge may hold {args.limit:g} GiB, and is given the matrix.",
            *notes,
            f"measured at {', '.join(commits)}",
        ],
    )


if __name__ == "__main__":
    main()
