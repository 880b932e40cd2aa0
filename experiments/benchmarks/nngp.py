"""NNGP of new NAS-Bench-101 cells against what a user would do instead, in one run.

    python -m experiments.benchmarks.nngp                # embedded default: 8×8, 512+512, width 16
    python -m experiments.benchmarks.nngp --cifar        # 32×32, 1,000+1,000 images, width 16
    python -m experiments.benchmarks.nngp --cifar --width 128 --cells 5 --images 100

Peers do the same job on the same images: ``torch`` takes nasbench_pytorch's features and solves 20
ridge systems with SciPy; ``jit`` draws and runs the network of each cell in one program of jax.jit,
without the batch-norm pass and the solves. All time what a cell costs that was never seen before:
build, initialise, batch-norm pass, features, solves.
Goals: ≥ 8× torch on the embedded default, ≥ 10× on CIFAR-10 shapes, ≥ 2× at full width; ≥ 40, 75
and 85 % of the matrix product's rate in the forward pass. Operations are counted as of
direct convolutions, which Winograd's tiles do less of. With Numba (the extra ``fast``) both engines
run.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.linalg import cho_factor, cho_solve

from experiments.benchmarks.common import in_turn, ratio, report, seconds
from nasproxy import NNGP, data
from nasproxy.networks import convolution, features
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import EPSILON, ConvBN, MaxPool3x3, ProjectAdd, total
from nasproxy.proxies.kernel_regression import REGULARISERS
from search_spaces import NASBench101


def torch_score(cell, images, batch, labels, n_train, width, classes=10):
    """NNGP accuracy the way a PyTorch user would write it."""
    import torch
    from nasbench_pytorch.model import Network

    matrix, ops = np.asarray(cell.adjacency), list(cell.ops)
    network = Network((matrix, ops), classes, images[0].shape[1], width, momentum=0.003)
    with torch.no_grad():
        network.train()(batch)
        network.eval()
        outputs = []
        for x in images:
            for layer in network.layers:
                x = layer(x)
            outputs.append(x.mean((2, 3)))
        phi = torch.cat(outputs).numpy().astype(np.float64)
    train, valid = phi[:n_train], phi[n_train:]
    kernel, cross = train @ train.T, valid @ train.T
    targets = np.eye(classes)[labels[:n_train]] - 1 / classes
    scale = np.trace(kernel) / n_train
    best = 0.0
    for epsilon in REGULARISERS:
        damped = kernel + epsilon * scale * np.eye(n_train)
        predictions = cross @ cho_solve(cho_factor(damped), targets)
        best = max(best, float((predictions.argmax(1) == labels[n_train:]).mean()))
    return best


def jit_score(cell, space, images, shape):
    """Features of a network drawn and run in one program, compiled as it is for every new cell.

    Written as a Flax user would: jax.random initialisers, XLA's convolution and pooling.
    """
    graph = space.graph(cell, shape, 10)
    fresh = 1e-30 * np.random.default_rng().random()  # so that no earlier run's program is found
    initialise = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")

    def run(layer, key, *inputs):
        if isinstance(layer, MaxPool3x3):
            x = total(inputs, layer.channels)
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
        if not isinstance(layer, ConvBN):
            return layer.infer({}, {}, *inputs)
        kernel = initialise(key, layer.parameters()["kernel"])
        image = inputs[0] if isinstance(layer, ProjectAdd) else total(inputs, layer.inputs)
        y = jnp.maximum(convolution.plain(image, kernel) * (1 + EPSILON) ** -0.5, 0)
        return total((y, *inputs[1:]), layer.outputs) if isinstance(layer, ProjectAdd) else y

    @jax.jit
    def network(key, x):
        values = [x + fresh]
        for step, k in zip(graph.steps[:-1], jax.random.split(key, len(graph.steps)), strict=False):
            values.append(run(step.layer, k, *(values[i] for i in step.inputs)))
        return values[-1]

    return [network(jax.random.key(0), x).block_until_ready() for x in images]


def matmul_rate(size: int = 2048) -> float:
    """GFLOP/s of this machine's float32 matrix product, the best of several."""
    a = jnp.asarray(np.random.default_rng(0).standard_normal((size, size), dtype=np.float32))
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    return (
        2e-9 * size**3 / min(seconds(lambda: product(a, a).block_until_ready()) for _ in range(9))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cifar", action="store_true", help="32×32 colour images, not 8×8 grey")
    parser.add_argument("--images", type=int, help="training and as many validation images")
    parser.add_argument("--width", type=int, default=16, help="stem channels")
    parser.add_argument("--cells", type=int, default=20, help="new cells to time")
    parser.add_argument("--warm", type=int, default=60, help="cells scored beforehand")
    parser.add_argument("--jit", type=int, default=2, help="cells to compile whole")
    args = parser.parse_args()

    n = args.images or (1000 if args.cifar else 512)
    rng = np.random.default_rng(0)
    shape = (32, 32, 3) if args.cifar else (8, 8, 1)
    pixels = rng.standard_normal((4 * n, *shape), dtype=np.float32)
    labels = np.tile(np.arange(10), 4 * n)[: 4 * n]
    dataset = data.from_arrays(pixels[: 2 * n], labels[: 2 * n], pixels[2 * n :], labels[2 * n :])
    space = NASBench101(width=args.width)
    proxy = NNGP(n_train=n, n_valid=n)
    scorer = proxy.prepare(space, dataset, 0)
    cells = space.sample(args.warm + args.cells, seed=1)
    for cell in cells[: args.warm]:
        scorer(cell)
    new = cells[args.warm :]
    contenders: dict[str, Callable[[Any], object]] = {"nasproxy": scorer}
    if features.engine() == "lanes":
        with by_xla():
            for cell in cells[: args.warm]:
                scorer(cell)

        def xla(cell: Any) -> None:
            with by_xla():
                scorer(cell)

        contenders["nasproxy by XLA"] = xla

    try:
        import torch
    except ImportError:
        torch = None
    if torch is not None:
        size = 128 if args.cifar else 512
        x = torch.from_numpy(np.ascontiguousarray(pixels[: 2 * n].transpose(0, 3, 1, 2)))
        chunks = list(x.split(size if args.width <= 32 else 32))
        batch = x[:128]
        torch_score(cells[0], chunks, batch, labels[: 2 * n], n, args.width)
        contenders["torch"] = lambda cell: torch_score(
            cell, chunks, batch, labels[: 2 * n], n, args.width
        )
    times = in_turn(contenders, new)

    graphs = [space.graph(cell, shape, 10) for cell in new]
    batches = features.split(pixels[: 2 * n], graphs[0], features.BatchNorm())
    peak = matmul_rate()
    rates = {features.engine_name(): _rates(graphs, batches, n)}
    if features.engine() == "lanes":
        with by_xla():
            rates["XLA"] = _rates(graphs, batches, n)
    rows = [
        {
            "contender": name,
            "median s a cell": f"{median(values):.3f}",
            "cells a second": f"{1 / median(values):.2f}",
            "nasproxy is": ratio(values, times["nasproxy"]),
        }
        for name, values in times.items()
    ]
    if args.jit:
        slow = [seconds(lambda c=c: jit_score(c, space, batches, shape)) for c in new[: args.jit]]
        rows.append(
            {
                "contender": "jit",
                "median s a cell": f"{median(slow):.3f}",
                "cells a second": f"{1 / median(slow):.2f}",
                "nasproxy is": ratio(slow, times["nasproxy"][: args.jit]),
            }
        )
    height, width, _ = shape
    report(
        f"NNGP of new cells, {height}×{width} images, {n}+{n}, stem {args.width}, M = 1",
        rows,
        [
            f"forward pass by {name}: {median(found):.0f} GFLOP/s, {100 * median(found) / peak:.0f}"
            f" % of the matrix product's {peak:.0f}"
            for name, found in rates.items()
        ],
    )


@contextmanager
def by_xla() -> Iterator[None]:
    """Features by XLA, though Numba is there."""
    engine = features.engine
    features.engine = lambda: "xla"  # type: ignore[assignment]
    try:
        yield
    finally:
        features.engine = engine


def _rates(graphs: Sequence[Graph], batches: Sequence[jax.Array], n: int) -> list[float]:
    """GFLOP/s of real operations, network by network, of 2 n images."""
    return [2e-9 * n * graph.flops / _forward(graph, batches) for graph in graphs]


def _forward(graph: Graph, batches: Sequence[jax.Array]) -> float:
    """Seconds of one pass of the images by weights that are drawn, without the batch-norm pass."""
    norm, network = features.BatchNorm(momentum=1), Initialised.draw(graph, (0, 0))

    def run() -> None:
        features.features(network, batches, batches[0], norm)

    run()
    return median(seconds(run) for _ in range(5))


if __name__ == "__main__":
    main()
