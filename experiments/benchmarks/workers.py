"""Scoring by several processes against one: ``python experiments/benchmarks/workers.py``.

Each contender is a command of its own with a store of its own, in turn. A rate is of the second
half of the scores: in the first, programs are loaded and processes start; the last column has all.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from experiments.benchmarks.common import report
from nasproxy.cluster import Crew
from nasproxy.store import Store
from tests.support.jobs import Squares

ONE_THREAD = dict.fromkeys(
    ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="*", default=[8, 16, 32], help="of images")
    parser.add_argument("--cells", type=int, nargs="*", default=[800, 400, 150])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    contenders = {
        "one process": ([], {}),
        "one process, one core": (["taskset", "-c", str(cores[0])], ONE_THREAD),
        "--workers 2": ([], {}),
    }
    rows = []
    for side, cells in zip(args.sides, args.cells, strict=True):
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        whole: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(args.rounds):
            for name, (before, environment) in contenders.items():
                words = name.split() if name.startswith("--") else []
                rate, seconds = scored(side, cells, words, before, environment)
                rates[name].append(rate)
                whole[name].append(seconds)
        alone = rates["one process, one core"]
        for name, found in rates.items():
            gain = median(a / b for a, b in zip(found, alone, strict=True))
            rows.append(
                {
                    "images": f"{side}×{side}",
                    "contender": name,
                    "cells a second": f"{median(found):.2f}",
                    "against one core": f"{gain:.2f}×",
                    "cells": str(cells),
                    "seconds in all": f"{median(whole[name]):.1f}",
                }
            )
    report("NNGP of NAS-Bench-101 cells, 100 + 100 images, stem 16", rows, [overhead()])


def scored(
    side: int, cells: int, words: list[str], before: list[str], environment: dict[str, str]
) -> tuple[float, float]:
    """Cells a second once it runs, and seconds of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        images, labels = rng.normal(size=(400, side, side, 3)), np.arange(400) % 10
        data, store = Path(folder) / "noise.npz", Path(folder) / "s.db"
        np.savez(
            data,
            x_train=images[:200],
            y_train=labels[:200],
            x_valid=images[200:],
            y_valid=labels[200:],
        )
        command = [*before, sys.executable, "-m", "nasproxy", "score", "nasbench101", *words]
        command += ["--sample", str(cells), "--proxy", "nngp:n_train=100,n_valid=100"]
        command += ["--data", str(data), "--store", str(store), "--quiet"]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | environment)
        seconds = time.perf_counter() - start
        with Store(store) as opened:
            ends = sorted(record.created for record in opened.records())
    first = len(ends) // 2
    return (len(ends) - first - 1) / (ends[-1] - ends[first]), seconds


def overhead() -> str:
    """What handing out a chunk costs, in words."""
    with tempfile.TemporaryDirectory() as folder, Crew(1) as crew:
        list(crew.run(Squares(Path(folder)), [1]))
        times = []
        for _ in range(100):
            start = time.perf_counter()
            list(crew.run(Squares(Path(folder)), [1]))
            times.append(time.perf_counter() - start)
    return f"a chunk, job and all: {1e3 * median(times):.1f} ms"


if __name__ == "__main__":
    main()
