"""Kernels in tiles on disk: conjugate gradients on them against solves of the whole matrix.

    python -m experiments.benchmarks.tiles                                   # digits, seconds
    python -m experiments.benchmarks.tiles --data cifar10 --data-dir DIR --points 8000 --valid 2000

Every contender runs in a process of its own, for its peak memory, on the same float32 tiles of the
NTK of depth 3, and solves for the same regularisers and all classes. ``KernelRidge`` is
scikit-learn's, ``SciPy cg`` SciPy's, one class after the other to --tolerance; both are given the
matrix in memory, which is read from the tiles before the clock starts. ``nasproxy`` solves all
regularisers together, reads tiles within --memory, and its residual is the true one, in float64.
``exact`` is the share of validation images on which a contender says the class that KernelRidge
says, at the least regulariser. ``EigenPro`` is ours, on the same tiles, one regulariser after the
other until its gradient is --tolerance of the first or for --epochs, which stand in the place of
iterations, summed. ``GiB`` is what the process held at most, beyond what it held before
it saw tiles. Goal: faster at equal error, and within the memory that is said.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from experiments.benchmarks.common import report
from experiments.benchmarks.memory import Peak
from nasproxy import data as datasets
from nasproxy.kernel_fit import subset
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import ConjugateGradient, EigenPro, sweep
from nasproxy.tiles import Tiles


def work(args: argparse.Namespace) -> None:
    """One contender, in its own process; prints what it took as JSON."""
    peak = Peak()
    tiles = Tiles(args.tiles, memory=args.memory)
    assert tiles.targets is not None
    y = np.eye(10)[tiles.targets] - 0.1
    stored = args.contender in ("nasproxy", "EigenPro")
    gram: Any = None if stored else tiles(tiles.train)
    cross: Any = None if stored else tiles(tiles.valid, tiles.train)
    scale, iterations = float(tiles.diagonal(tiles.train).mean()), 0
    start = time.perf_counter()
    if args.contender == "KernelRidge":
        from sklearn.kernel_ridge import KernelRidge

        values = [
            KernelRidge(alpha=ridge * scale, kernel="precomputed").fit(gram, y).predict(cross)
            for ridge in args.ridges
        ]
    elif args.contender == "SciPy cg":
        from scipy.sparse.linalg import LinearOperator, cg

        values = []
        for ridge in args.ridges:
            damping = np.float32(ridge * scale)

            def damped(vector: Any, damping: Any = damping) -> Any:
                return gram @ vector + damping * vector

            system: Any = LinearOperator(gram.shape, damped, dtype=np.float32)  # type: ignore[call-arg]
            columns = []
            for target in y.T.astype(np.float32):
                columns.append(cg(system, target, rtol=args.tolerance, maxiter=args.most)[0])
            values.append(cross @ np.stack(columns, 1))
    elif args.contender == "EigenPro":
        values = []
        for ridge in args.ridges:
            rival = EigenPro(
                tiles,
                ridge=ridge,
                tolerance=args.tolerance,
                epochs=args.epochs,
                memory=args.memory,
            )
            values.append(rival.fit(tiles.train, y).predict(tiles.valid))
            iterations += rival.n_iter_
    else:
        model = ConjugateGradient(
            tiles, rank=args.rank, tolerance=args.tolerance, iterations=args.most
        )
        found = sweep(model, tiles.train, y, args.ridges)
        values, iterations = found.predict(tiles.valid), len(found.solutions.history)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - start,
                "memory": peak.gib(),
                "iterations": iterations,
                "classes": [one.argmax(1).tolist() for one in values],
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--points", type=int, default=1000, help="training images")
    parser.add_argument("--valid", type=int, default=500, help="validation images")
    parser.add_argument("--ridges", type=float, nargs="+", default=[1e-4, 1e-3, 1e-2])
    parser.add_argument("--rank", type=int, default=500, help="of the preconditioner")
    parser.add_argument("--tolerance", type=float, default=1e-2)
    parser.add_argument("--most", type=int, default=2000, help="iterations at most")
    parser.add_argument("--epochs", type=int, default=30, help="of EigenPro at most")
    parser.add_argument("--memory", type=float, default=0.1, help="GiB of tiles in memory")
    parser.add_argument("--side", type=int, help="of tiles")
    parser.add_argument("--tiles", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contender:
        work(args)
        return
    data = datasets.load(args.data, data_dir=args.data_dir)
    (train, labels), (valid, wanted) = (
        subset(data, split, n, 0) for split, n in (("train", args.points), ("valid", args.valid))
    )
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        tiles = Tiles.create(
            folder, FullyConnected(3), train[:], valid[:], y=labels, y_valid=wanted, side=args.side
        ).compute()
        made = time.perf_counter() - start
        rows, exact = [], None
        for contender in ("KernelRidge", "SciPy cg", "EigenPro", "nasproxy"):
            command = [sys.executable, "-m", "experiments.benchmarks.tiles", *sys.argv[1:]]
            command += ["--tiles", folder, "--contender", contender]
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env=dict(os.environ)
            )
            found = json.loads(done.stdout.splitlines()[-1])
            classes = np.array(found["classes"])
            exact = classes[0] if exact is None else exact
            rows.append(
                {
                    "solver": contender,
                    "seconds": f"{found['seconds']:.2f}",
                    "GiB": f"{found['memory']:.2f}",
                    "iterations": str(found["iterations"] or "–"),
                    "accuracy": " ".join(f"{share:.3f}" for share in (classes == wanted).mean(1)),
                    "exact": f"{(classes[0] == exact).mean():.3f}",
                }
            )
        status = tiles.status()
        report(
            f"{args.points:,} + {args.valid:,} images of {data.name}, 10 classes, "
            f"ridges {' '.join(f'{ridge:g}' for ridge in args.ridges)}",
            rows,
            [
                f"{status.there} tiles of {tiles.manifest.side}², {status.bytes / 2**30:.2f} GiB, "
                f"made in {made:.1f} s; memory={args.memory:g} GiB for nasproxy"
            ],
        )


if __name__ == "__main__":
    main()
