"""Kernels of fully-connected networks against neural-tangents, in one run.

    python -m experiments.benchmarks.fully_connected                   # 2,000 inputs
    python -m experiments.benchmarks.fully_connected --points 5000     # as the goals have it

One depth: one NTK matrix, programs compiled beforehand on both sides; neural-tangents computes it
as its users do, ``jax.jit`` of stax's kernel function on all inputs at once, float32 on both sides.
All depths: one pass of ours, every matrix handed out, against one neural-tangents call a depth.
That would take hours and, unrolled, does not compile at the deepest: the depths of --sample are
timed, a straight line through seconds against depth is summed over 1..--deepest, and compilation is
left out, all in the peer's favour. Goals: ≥ 1.5× for one depth, ≥ 50× for depths 1..200.
"""

import argparse
from collections.abc import Callable
from statistics import median

import jax
import numpy as np

from experiments.benchmarks.common import in_turn, ratio, report, seconds
from nasproxy.kernels import FullyConnected, neural_tangents


def peer(depth: int) -> Callable[[np.ndarray], np.ndarray]:
    """neural-tangents' NTK of the same network."""
    stax = neural_tangents.load().stax
    dense = stax.Dense(1, W_std=2**0.5, b_std=0.1)
    _, _, kernel = stax.serial(*[dense, stax.Relu()] * depth, dense)
    compiled = jax.jit(kernel, static_argnames="get")
    return lambda x: np.asarray(compiled(x, None, get="ntk"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=2000, help="inputs of 3,072 numbers")
    parser.add_argument("--depth", type=int, default=5, help="of the one-depth comparison")
    parser.add_argument("--deepest", type=int, default=200, help="of all depths")
    parser.add_argument("--sample", type=int, nargs="+", default=[1, 5, 20], help="peer's depths")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    x = np.random.default_rng(0).standard_normal((args.points, 3072), dtype=np.float32)
    ours = FullyConnected(args.depth)

    def every_depth() -> None:
        for block in ours.grid(x, None, range(1, args.deepest + 1)):
            assert block[0, 0] > 0

    theirs = {depth: peer(depth) for depth in sorted({args.depth, *args.sample})}
    apart = np.abs(ours(x) - theirs[args.depth](x)).max() / ours.diagonal(x).max()
    times = in_turn({"nasproxy": ours, "neural-tangents": theirs[args.depth]}, [x] * args.repeats)
    rows = [
        {
            "job": f"depth {args.depth}",
            "contender": name,
            "seconds": f"{median(values):.2f}",
            "nasproxy is": ratio(values, times["nasproxy"]),
        }
        for name, values in times.items()
    ]

    next(ours.grid(x[:600], None, (args.deepest,)))
    whole = seconds(every_depth)
    sampled = []
    for depth in args.sample:
        theirs[depth](x)
        sampled.append(min(seconds(lambda d=depth: theirs[d](x)) for _ in range(args.repeats)))
    slope, start = np.polyfit(args.sample, sampled, 1)
    depths = np.arange(1, args.deepest + 1)
    extrapolated = float((start + slope * depths).sum())
    job = f"depths 1..{args.deepest}"
    for name, value in (("nasproxy", whole), ("neural-tangents, extrapolated", extrapolated)):
        rows.append(
            {
                "job": job,
                "contender": name,
                "seconds": f"{value:.1f}",
                "nasproxy is": f"{value / whole:.0f}×",
            }
        )
    shown = ", ".join(f"{d}: {s:.2f} s" for d, s in zip(args.sample, sampled, strict=True))
    report(
        f"NTK matrices of {args.points} inputs of 3,072 numbers, ReLU, float32",
        rows,
        [
            f"neural-tangents by depth, compiled: {shown}; line {start:.2f} + {slope:.3f}·depth s",
            f"largest difference at depth {args.depth}: {apart:.1e} of the diagonal (theirs loses "
            "the angle of an input with itself)",
        ],
    )


if __name__ == "__main__":
    main()
