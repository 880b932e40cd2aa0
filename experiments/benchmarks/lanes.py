"""NNGP of new architectures by Numba's lanes, by XLA and by torch, in one run.

    python -m experiments.benchmarks.lanes                   # every row below; minutes
    python -m experiments.benchmarks.lanes cifar digits      # some of them
    taskset -c 0 python -m experiments.benchmarks.lanes      # on one core

A row is a space, a size of images and a width. Each architecture is scored by all contenders in
turn, every one with BLAS as it is set up for scoring, after programs are compiled. ``forward`` is
one pass of all images at momentum 1, its rate by operations of the unpadded network; the matrix
product it is compared with is NumPy's, of float32, in the same run. Operations are those of direct
convolutions: 3×3 kernels by Winograd's tiles do 2.25 times less, so that a rate may exceed it.
``same`` counts scores that do not differ, and the largest difference in images, 1/n_valid.
Goals on two cores: CIFAR width 16 ≤ .065 s a cell, ≥ 10× torch, ≥ 75 % of the matrix product's
rate; digits ≥ 40 %; width 128 ≥ 85 %.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np

from experiments.benchmarks.common import in_turn, ratio, report, seconds
from experiments.benchmarks.nngp import torch_score
from nasproxy import NNGP, data
from nasproxy.networks import features
from nasproxy.networks.features import Batches, BatchNorm
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies.base import NoScore
from nasproxy.threads import cores, solving
from search_spaces import MNAS, AccelNASBench, NASBench101, NASBench201, NASBenchMacro


@dataclass(frozen=True)
class Case:
    """What is timed: a space on images, so many for training and as many for validation."""

    space: Any
    shape: tuple[int, int, int]
    images: int
    count: int
    torch: bool = False


CIFAR, DIGITS = (32, 32, 3), (8, 8, 1)
CASES = {
    "cifar": Case(NASBench101(width=16), CIFAR, 300, 15, torch=True),
    "digits": Case(NASBench101(width=16), DIGITS, 512, 20, torch=True),
    "wide": Case(NASBench101(width=128), CIFAR, 96, 4),
    "nasbench201": Case(NASBench201(width=16), CIFAR, 300, 8),
    "macro": Case(NASBenchMacro(width=16), CIFAR, 300, 8),
    "mnas": Case(MNAS(width=16), CIFAR, 300, 8),
    "accel": Case(AccelNASBench(width=16), (64, 64, 3), 100, 8),
}


def matmul_rate(size: int = 2048) -> float:
    """GFLOP/s of NumPy's float32 matrix product, the best of several."""
    a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    return 2e-9 * size**3 / min(seconds(lambda: a @ a) for _ in range(9))


def measured(name: str, case: Case) -> dict[str, str]:
    """A row of the table."""
    n, shape = case.images, case.shape
    rng = np.random.default_rng(0)
    pixels = rng.standard_normal((4 * n, *shape), dtype=np.float32)
    labels = np.tile(np.arange(10), 4 * n)[: 4 * n]
    dataset = data.from_arrays(pixels[: 2 * n], labels[: 2 * n], pixels[2 * n :], labels[2 * n :])
    new = _scored(case, dataset)
    scores: dict[str, list[float]] = {"lanes": [], "xla": []}
    contenders: dict[str, Callable[[Any], object]] = {}
    for engine in scores:
        scorer = NNGP(n_train=n, n_valid=n).prepare(case.space, dataset, 0)

        def by(architecture: Any, engine: str = engine, scorer: Any = scorer) -> None:
            with patch.object(features, "engine", lambda: engine):
                scores[engine].append(scorer(architecture).value)

        contenders[engine] = by
        for architecture in new:
            by(architecture)
        scores[engine].clear()
    if case.torch:
        contenders |= _torch(case, pixels[: 2 * n], labels[: 2 * n])
    times = in_turn(contenders, new)

    rates: dict[str, list[float]] = {"lanes": [], "xla": []}
    images = Batches(pixels[: 2 * n], 2 * n, held=True)
    for architecture in new:
        graph = case.space.graph(architecture, shape, 10)
        by_size = features.split(pixels[: 2 * n], graph, BatchNorm(1.0))
        for engine, those in (("lanes", images), ("xla", by_size)):
            with patch.object(features, "engine", lambda engine=engine: engine):
                network = Initialised.draw(graph, (0, 0))

                def run(network: Any = network, those: Any = those) -> None:
                    features.features(network, those, those[0], BatchNorm(1.0))

                run()
                best = min(seconds(run) for _ in range(3))
                rates[engine].append(2e-9 * n * graph.flops / best)
    peak = matmul_rate()
    steps = [round(abs(a - b) * n) for a, b in zip(*scores.values(), strict=True)]
    return {
        "row": f"{name}, {n}+{n}",
        "lanes s": f"{median(times['lanes']):.4f}",
        "xla s": f"{median(times['xla']):.4f}",
        "over xla": ratio(times["xla"], times["lanes"]),
        "over torch": ratio(times["torch"], times["lanes"]) if "torch" in times else "",
        "GFLOP/s": f"{median(rates['lanes']):.0f}",
        "xla's": f"{median(rates['xla']):.0f}",
        "sgemm": f"{100 * median(rates['lanes']) / peak:.0f} %",
        "same": f"{steps.count(0)}/{len(steps)}, ≤ {max(steps)}",
    }


def _scored(case: Case, dataset: data.Dataset) -> list[Any]:
    """Architectures that have a score: the output of some reads nothing of the images."""
    scorer = NNGP(n_train=case.images, n_valid=1).prepare(case.space, dataset, 0)
    found: list[Any] = []
    for architecture in case.space.sample(2 * case.count, seed=1):
        with suppress(NoScore):
            scorer(architecture)
            found.append(architecture)
    return found[: case.count]


def _torch(
    case: Case, pixels: np.ndarray, labels: np.ndarray
) -> dict[str, Callable[[Any], object]]:
    """The contender, where it is installed; BLAS as for the others."""
    try:
        import torch
    except ImportError:
        return {}
    x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    chunks, n, width = list(x.split(128)), case.images, case.space.width

    def run(cell: Any) -> None:
        with solving(n):
            torch_score(cell, chunks, x[:128], labels, n, width)

    return {"torch": run}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="row", help=", ".join(CASES))
    chosen = parser.parse_args().rows or CASES
    if features.engine() != "lanes":
        raise SystemExit("Numba is not installed, or JAX computes on an accelerator")
    rows = [measured(name, CASES[name]) for name in chosen]
    report(f"NNGP of new architectures by {features.engine_name()}, {cores()} cores", rows)


if __name__ == "__main__":
    main()
