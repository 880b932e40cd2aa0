"""EigenPro against a direct solve, plain gradient descent, and its own growth, in one run.

    python -m experiments.benchmarks.eigenpro                              # digits, small
    python -m experiments.benchmarks.eigenpro --points 10000 20000 --data cifar10 --data-dir DIR
    python -m experiments.benchmarks.eigenpro --grow 5000 40000 --fly 5000 10000 40000 …

Every contender runs in a process of its own, for its peak memory, on the same images and the same
NTK of depth 3, and classifies the same test images. ``KernelRidge`` is scikit-learn's, with the
matrix that FullyConnected computes, regularised by --ridge of the mean eigenvalue; where its
threaded factorisation crashes (OpenBLAS beyond some 15,000 rows), it gets one thread. ``Ridge`` is
nasproxy's own direct solve. EigenPro minimises the same function until its gradient has fallen to
--tolerance; at the sizes of --fly it keeps no kernel and computes every block when it needs it.
``agree`` is the share of test images on which the two say the same class. ``steps`` are those
before the gradient was measured that ended it. Plain kernel gradient descent (top = 0) takes the
same step rule and the same tolerance, full batches on both sides, at --plain points. ``GiB`` is
what the process held at most while it fitted, beyond the images and libraries that it held before.
Goals: faster than KernelRidge at equal error.
"""

import argparse
import json
import os
import signal
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
from nasproxy.kernels import FullyConnected
from nasproxy.solvers import EigenProClassifier, KernelRidgeClassifier


def work(args: argparse.Namespace) -> None:
    """One contender on one size, in its own process; prints what it took as JSON."""
    arrays = np.load(args.images)
    x, y = arrays["x"][: args.points[0]], arrays["y"][: args.points[0]]
    tests, labels = arrays["tests"], arrays["labels"]
    kernel = FullyConnected(3)
    extra: dict[str, Any] = {}
    start, peak = time.perf_counter(), Peak()
    if args.contender == "KernelRidge":
        from sklearn.kernel_ridge import KernelRidge

        gram = np.asarray(kernel(x))
        model = KernelRidge(alpha=args.ridge * float(np.trace(gram)) / len(x), kernel="precomputed")
        model.fit(gram, np.eye(int(y.max()) + 1)[y] - 1 / (int(y.max()) + 1))
        seconds, memory = time.perf_counter() - start, peak.gib()
        predicted = model.predict(np.asarray(kernel(tests, x))).argmax(1)
    elif args.contender == "Ridge":
        model = KernelRidgeClassifier(kernel, ridge=args.ridge).fit(x, y)
        seconds, memory = time.perf_counter() - start, peak.gib()
        predicted = model.predict(tests)
    else:
        plain = args.contender == "gradient descent"
        full = args.full or plain
        machine = EigenProClassifier(
            kernel,
            top=0 if plain else args.top,
            subsample=min(len(x), args.subsample) if args.subsample else None,
            ridge=args.ridge,
            batch=len(x) if full else None,
            epochs=args.epochs,
            tolerance=args.tolerance,
            patience=args.epochs,
            memory=args.memory,
        ).fit(x, y)
        seconds, memory = time.perf_counter() - start, peak.gib()
        predicted = machine.predict(tests)
        last = machine.history_[-1]
        extra = {
            "epochs": int(last["epoch"]),
            "iterations": int(last["iteration"]),
            "gradient": last["gradient"],
            "stopped": machine.stopped_,
            "fall": float(machine.preconditioner_.eigenvalues[0] / machine.preconditioner_.level),
        }
    print(
        json.dumps(
            {
                "seconds": seconds,
                "memory": memory,
                "accuracy": float((predicted == labels).mean()),
                "predicted": predicted.tolist(),
                **extra,
            }
        )
    )


def measure(
    contender: str, points: int, images: Path, given: argparse.Namespace, **changed: Any
) -> dict[str, Any]:
    command = [sys.executable, "-m", "experiments.benchmarks.eigenpro", "--contender", contender]
    command += ["--images", str(images), "--points", str(points)]
    for name in ("ridge", "top", "tolerance", "memory", "epochs", "subsample"):
        if (value := changed.get(name, getattr(given, name))) is not None:
            command += [f"--{name}", str(value)]
    if given.full:
        command.append("--full")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == -signal.SIGSEGV and contender == "KernelRidge":
        one = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=one)
        print(f"KernelRidge crashed at {points} points with several threads: measured with one")
    if done.returncode:
        raise SystemExit(f"{contender} at {points} points failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def row(contender: str, points: int, got: dict[str, Any], direct: dict[str, Any] | None) -> Any:
    same = np.equal(got["predicted"], direct["predicted"]).mean() if direct else None
    return {
        "contender": contender,
        "points": str(points),
        "seconds": f"{got['seconds']:.1f}",
        "GiB": f"{got['memory']:.2f}",
        "correct": f"{got['accuracy']:.4f}",
        "agree": "–" if same is None else f"{same:.4f}",
        "steps": str(got.get("iterations", "–")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, nargs="+", default=[500, 1000], help="sizes")
    parser.add_argument("--grow", type=int, nargs="*", default=[], help="EigenPro alone, larger")
    parser.add_argument(
        "--fly", type=int, nargs="*", default=[], help="the same, and no kernel is kept"
    )
    parser.add_argument(
        "--plain", type=int, default=500, help="points of gradient descent; 0: none"
    )
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--ridge", type=float, default=1e-3, help="of the mean eigenvalue")
    parser.add_argument("--top", type=int, default=200)
    parser.add_argument("--subsample", type=int)
    parser.add_argument("--tolerance", type=float, default=1e-2)
    parser.add_argument("--epochs", type=int, default=3000, help="at most")
    parser.add_argument("--memory", type=float, default=4.0, help="GiB of kernel that is kept")
    parser.add_argument("--full", action="store_true", help="full batches")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contender:
        work(args)
        return

    dataset = datasets.load(args.data, data_dir=args.data_dir)
    most = max(*args.points, *args.grow, *args.fly, args.plain)
    x, y = dataset.subset("train", most, 0, balanced=False)
    tests, labels = dataset.subset("valid", min(5000, len(dataset.valid_labels)), 0, balanced=False)
    rows, notes = [], []
    with TemporaryDirectory() as folder:
        images = Path(folder) / "images.npz"
        np.savez(images, x=x, y=y, tests=tests, labels=labels)
        for points in args.points:
            direct = measure("KernelRidge", points, images, args)
            own = measure("Ridge", points, images, args)
            ours = measure("EigenPro", points, images, args)
            rows += [
                row("KernelRidge", points, direct, None),
                row("Ridge", points, own, direct),
                row("EigenPro", points, ours, direct),
            ]
            notes.append(
                f"{points} points: EigenPro is {direct['seconds'] / ours['seconds']:.2f}× as fast "
                f"and takes {ours['memory'] / direct['memory']:.2f} of the memory"
            )
        for points in args.grow:
            rows.append(row("EigenPro", points, measure("EigenPro", points, images, args), None))
        for points in args.fly:
            computed = measure("EigenPro", points, images, args, memory=0)
            rows.append(row("EigenPro, none kept", points, computed, None))
        if args.plain:
            args.full = True
            damped = measure("EigenPro", args.plain, images, args)
            plain = measure("gradient descent", args.plain, images, args)
            rows += [
                row("EigenPro, full batch", args.plain, damped, None),
                row("gradient descent", args.plain, plain, damped),
            ]
            least = "" if plain["stopped"] == "tolerance" else "at least "
            notes.append(
                f"gradient descent takes {least}"
                f"{plain['iterations'] / max(1, damped['iterations']):.0f}× "
                f"the iterations; the top eigenvalue falls by a factor of {damped['fall']:.0f}"
            )
    report(
        f"NTK of depth 3 on {dataset.name}, ridge {args.ridge:g}, gradient to {args.tolerance:g}",
        rows,
        notes,
    )


if __name__ == "__main__":
    main()
