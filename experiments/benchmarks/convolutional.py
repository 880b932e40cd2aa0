"""Kernels of convolutional networks against neural-tangents, a pair of images, in one run.

    taskset -c 1 python -m experiments.benchmarks.convolutional --side 8   # seconds
    taskset -c 1 python -m experiments.benchmarks.convolutional            # 16×16 pixels

NTK in float32, both sides compiled beforehand, images made ready beforehand on ours (notes say
what that takes, and compiling, which begins with an empty cache). neural-tangents is called as its
users do, ``jax.jit`` of stax's kernel function, on as many pairs at once as suit it. Goals:
Myrtle-10 ≥ 150×, CNN-Vec ≥ 15×; two threads ≥ 1.7× (without ``taskset``: the row of one thread).
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.common import in_turn, ratio, report, seconds
from nasproxy.kernels import CNNVec, Myrtle, neural_tangents
from nasproxy.threads import cores, pool

PEER = {"myrtle": {8: 16, 16: 4, 32: 1}, "vec": {8: 64, 16: 64, 32: 32}}
"""Images of a side that neural-tangents does fastest at once, by the images' own."""


def peer(kernel: CNNVec | Myrtle) -> Any:
    """neural-tangents' NTK of the same network."""
    nt = neural_tangents.load().stax
    weight, bias = kernel.weight_variance**0.5, kernel.bias_variance**0.5
    layers: list[Any] = []
    for stage, count in enumerate(kernel.stack.convolutions):
        layers += [nt.AvgPool((2, 2), (2, 2))] * (stage > 0)
        layers += [nt.Conv(1, (3, 3), padding="SAME", W_std=weight, b_std=bias), nt.Relu()] * count
    end = nt.Flatten() if kernel.end == "flatten" else nt.GlobalAvgPool()
    fn = nt.serial(*layers, end, nt.Dense(1, weight, bias))[2]
    compiled = jax.jit(fn, static_argnames="get")
    return lambda x, y: np.asarray(compiled(x, y, get="ntk"))


def threaded(count: int, run: Callable[[], object]) -> None:
    """Runs with so many threads."""
    os.environ["NPROC"] = str(count)
    pool.cache_clear()
    run()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--side", type=int, default=16, choices=(8, 16, 32))
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    os.environ["NASPROXY_CACHE"] = tempfile.mkdtemp()
    threads = cores()
    rng, rows, notes = np.random.default_rng(0), [], []
    side = args.side
    for name, kernel, count in (("myrtle", Myrtle(10), (8, 64)), ("vec", CNNVec(8), (256, 512))):
        x, y = (rng.normal(size=(n, side, side, 3)).astype(np.float32) for n in count)
        few = PEER[name][side]
        p, q = x[:few], y[:few]
        first = seconds(lambda k=kernel, p=p: k.prepare(p[:1]))
        a, b = kernel.prepare(x), kernel.prepare(y)
        preparing = seconds(lambda k=kernel, y=y: k.prepare(y)) / len(y)
        compiling = seconds(lambda k=kernel, a=a, b=b: k(a, b))
        theirs = peer(kernel)
        apart = np.abs(kernel(p, q) / theirs(p, q) - 1).max()
        own = {f"nasproxy, {n} threads": n for n in sorted({threads, 1}, reverse=True)}
        contenders: dict[str, Any] = {
            name: lambda _, n=n, k=kernel, a=a, b=b: threaded(n, lambda: k(a, b))
            for name, n in own.items()
        }
        contenders["neural-tangents"] = lambda _, f=theirs, p=p, q=q: f(p, q)
        times = in_turn(contenders, range(args.repeats))
        threaded(threads, lambda: None)
        pairs = dict.fromkeys(own, len(x) * len(y)) | {"neural-tangents": len(p) * len(q)}
        each = {n: [t / pairs[n] for t in values] for n, values in times.items()}
        for who, values in each.items():
            best = float(np.median(values))
            rows.append(
                {
                    "network": f"{type(kernel).__name__} {kernel.stack.convolutions}",
                    "contender": who,
                    "pairs/s": f"{1 / best:,.0f}",
                    "ns an entry and layer": f"{best / kernel.stack.entries(side) * 1e9:.2f}",
                    "nasproxy is": ratio(values, each[next(iter(own))]),
                }
            )
        notes.append(
            f"{type(kernel).__name__}: apart by {apart:.0e} at most; making an image ready takes "
            f"{preparing * 1e3:.2f} ms; compiling {first:.1f} s what makes ready, "
            f"{compiling:.1f} s the kernel"
        )
    notes.append(f"load of the machine {os.getloadavg()[0]:.1f}, this work's own included")
    report(f"NTK of {side}×{side} pixels, float32", rows, notes)


if __name__ == "__main__":
    main()
