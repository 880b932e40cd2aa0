"""Ridge regression for 20 regularisers: one factorisation against SciPy's Cholesky for each.

    python -m experiments.benchmarks.ridge                       # 1,000 images, seconds
    python -m experiments.benchmarks.ridge --points 8000         # some minutes

Features have 512 numbers a network; ``M`` networks in a row have a kernel of rank M·512, at most
the number of images. Both predict the same validation images from the same features in float64;
the peer forms the kernel once. ``left out`` is the time with leave-one-out predictions as well,
which the peer does not make; they need a spectrum, where predictions alone do with a band matrix at
full rank. Goals at 8,000 images: ≥ 50× for M = 1, ≥ 8× for M = 4, ≥ 2× at full rank.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from experiments.benchmarks.common import in_turn, ratio, report
from nasproxy.proxies.kernel_regression import REGULARISERS
from nasproxy.solvers.ridge import Matrix, RidgeSweep, sweep


def cholesky(train: Matrix, valid: Matrix, targets: Matrix) -> Matrix:
    """Predictions ``[20, n_valid, classes]`` as a SciPy user would write them."""
    kernel, cross = train @ train.T, valid @ train.T
    scale = np.trace(kernel) / len(train)
    predictions = []
    for epsilon in REGULARISERS:
        damped = kernel.copy()
        damped[np.diag_indices_from(damped)] += epsilon * scale
        factor = cho_factor(damped, overwrite_a=True, check_finite=False)
        predictions.append(cross @ cho_solve(factor, targets, check_finite=False))
    return np.stack(predictions)


def nasproxy(train: Matrix, valid: Matrix, targets: Matrix) -> Matrix:
    return sweep(train, valid, targets, REGULARISERS)


def left_out(train: Matrix, valid: Matrix, targets: Matrix) -> Matrix:
    sweep = RidgeSweep(train, targets)
    sweep.leave_one_out(REGULARISERS)
    return sweep.predict(valid, REGULARISERS)


def problem(points: int, rank: int, classes: int = 10) -> tuple[Matrix, Matrix, Matrix]:
    """Features with a spectrum that falls by a power, as those of networks do."""
    rng = np.random.default_rng(0)
    scales = np.arange(1, rank + 1) ** -0.75
    train, valid = (rng.standard_normal((n, rank)) * scales for n in (points, points // 8))
    return train, valid, np.eye(classes)[rng.integers(classes, size=points)] - 1 / classes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=1000, help="training images")
    parser.add_argument("--features", type=int, default=512, help="of one network")
    parser.add_argument("--members", type=int, nargs="+", default=[1, 4, 16], help="networks")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for members in args.members:
        given = problem(args.points, members * args.features)
        apart = float(np.abs(nasproxy(*given) - cholesky(*given)).max())
        contenders: dict[str, Callable[[Any], object]] = {
            "nasproxy": lambda _, given=given: nasproxy(*given),
            "left out": lambda _, given=given: left_out(*given),
            "SciPy": lambda _, given=given: cholesky(*given),
        }
        times = in_turn(contenders, range(args.repeat))
        rows.append(
            {
                "M": str(members),
                "rank": str(min(args.points, members * args.features)),
                **{f"{name}, s": f"{np.median(values):.2f}" for name, values in times.items()},
                "nasproxy is": ratio(times["SciPy"], times["nasproxy"]),
                "with left out": ratio(times["SciPy"], times["left out"]),
                "largest difference": f"{apart:.0e}",
            }
        )
    report(
        f"{len(REGULARISERS)} regularisers, {args.points} + {args.points // 8} images, 10 classes",
        rows,
    )


if __name__ == "__main__":
    main()
