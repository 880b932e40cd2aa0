"""The interval of τ over a thousand resamples: all at once against SciPy, one by one.

    python -m experiments.benchmarks.intervals

The peer is ``scipy.stats.bootstrap`` of ``scipy.stats.kendalltau``, as a SciPy user would write it.
Both draw the same resamples, so their ends have to agree; of 50,000 architectures up to what the
linear part leaves out.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from experiments.benchmarks.common import in_turn, ratio, report
from nasproxy import metrics

Pair = tuple[np.ndarray, np.ndarray]
RESAMPLES = 1000


def nasproxy(pair: Pair) -> tuple[float, float]:
    return metrics.bootstrap(metrics.kendall_tau, *pair, n_resamples=RESAMPLES)


def scipy(pair: Pair) -> tuple[float, float]:
    found = stats.bootstrap(
        pair,
        lambda x, y: stats.kendalltau(x, y)[0],
        n_resamples=RESAMPLES,
        paired=True,
        vectorized=False,
        method="percentile",
        rng=0,
    ).confidence_interval
    return float(found.low), float(found.high)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--architectures", type=int, nargs="+", default=[60, 300, 1000, 2000, 5000, 50000]
    )
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for n in args.architectures:
        rng = np.random.default_rng(n)
        truth = rng.normal(size=n)
        pair = (np.round(truth + rng.normal(size=n), 1), truth)
        apart = max(abs(a - b) for a, b in zip(nasproxy(pair), scipy(pair), strict=True))
        contenders: dict[str, Callable[[Any], object]] = {
            "nasproxy": lambda _, pair=pair: nasproxy(pair),
            "SciPy": lambda _, pair=pair: scipy(pair),
        }
        times = in_turn(contenders, range(args.repeat))
        rows.append(
            {
                "architectures": f"{n:,}",
                **{f"{name}, s": f"{np.median(of):.3f}" for name, of in times.items()},
                "ratio": ratio(times["SciPy"], times["nasproxy"]),
                "ends apart": f"{apart:.0e}",
            }
        )
    report(f"95 % interval of τ, {RESAMPLES:,} resamples", rows)


if __name__ == "__main__":
    main()
