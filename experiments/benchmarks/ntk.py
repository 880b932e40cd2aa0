"""Empirical NTK of new NAS-Bench-101 cells against the NNGP, and against neural-tangents.

    python -m experiments.benchmarks.ntk             # 8×8 and 32×32 images, 80+40, width 16
    python -m experiments.benchmarks.ntk --images 300 --cells 10

NTK and NNGP score the same cells on the same images, all that a cell costs that was never seen
before, once the layers' programs are there. neural-tangents (``empirical_ntk_fn``, implementation
1) gets one of those networks whole, with fresh weights, without batch-norm pass and solves; "first"
contains what jax.jit takes to compile it, as it must for every new cell.
Goal: an NTK within the cost of a few forward passes more, a backward pass being two to three.
"""

import argparse
from collections.abc import Callable
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.common import in_turn, ratio, report, seconds
from nasproxy import NNGP, NTK, data
from nasproxy.data import Dataset
from nasproxy.kernels import neural_tangents
from nasproxy.networks import convolution
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import ConvBN, ProjectAdd, total
from search_spaces import NASBench101

SPACE = NASBench101(width=16)


def whole(graph: Graph) -> Callable[[Any, jax.Array], jax.Array]:
    """Logits over √classes, summed, as one function in XLA's own convolutions."""

    def function(params: Any, x: jax.Array) -> jax.Array:
        values = [x]
        for step, arrays in zip(graph.steps, params, strict=True):
            inputs = tuple(values[i] for i in step.inputs)
            values.append(_layer(step.layer, arrays, inputs))
        return values[-1].sum(-1, keepdims=True) / values[-1].shape[-1] ** 0.5

    return function


def _layer(layer: Any, arrays: Any, inputs: tuple[jax.Array, ...]) -> jax.Array:
    if not isinstance(layer, ConvBN):
        return layer.infer(arrays, {}, *inputs)
    project = isinstance(layer, ProjectAdd)
    x = inputs[0] if project else total(inputs, layer.inputs)
    y = jnp.maximum(convolution.plain(x, arrays["kernel"]) * arrays["scale"] + arrays["bias"], 0)
    return total((y, *inputs[1:]), layer.outputs) if project else y


def peer(cell: Any, dataset: Dataset, n: tuple[int, int]) -> tuple[float, float]:
    """Seconds of neural-tangents on one cell's network: the first call, and the next."""
    graph = SPACE.graph(cell, dataset.image_shape, dataset.classes)
    params = Initialised.draw(graph, (0, 0)).complete
    images = np.concatenate([dataset.train_images[: n[0]], dataset.valid_images[: n[1]]])
    nt = neural_tangents.load()
    kernel = nt.batch(
        nt.empirical_ntk_fn(whole(graph), trace_axes=(-1,), vmap_axes=0, implementation=1),
        batch_size=min(20, *n),
        store_on_device=False,
    )

    def run() -> object:
        return jax.block_until_ready(kernel(images, images[: n[0]], params))

    return seconds(run), seconds(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=80, help="training; half as many validate")
    parser.add_argument("--cells", type=int, default=4, help="new cells to time")
    parser.add_argument("--warm", type=int, default=12, help="cells scored beforehand")
    args = parser.parse_args()

    n = args.images, args.images // 2
    rng = np.random.default_rng(0)
    rows, peers = [], []
    cells = SPACE.sample(args.warm + args.cells, seed=1)
    for shape in ((8, 8, 1), (32, 32, 3)):
        pixels = rng.standard_normal((2 * args.images, *shape), dtype=np.float32)
        labels = np.arange(args.images) % 10
        halves = np.split(pixels, 2)
        dataset = data.from_arrays(halves[0], labels, halves[1], labels)
        contenders: dict[str, Callable[[Any], object]] = {
            name: proxy(n_train=n[0], n_valid=n[1], norm_images=args.images).prepare(
                SPACE, dataset, 0
            )
            for name, proxy in (("nngp", NNGP), ("ntk", NTK))
        }
        for cell in cells[: args.warm]:
            for score in contenders.values():
                score(cell)
        times = in_turn(contenders, cells[args.warm :])
        side = f"{shape[0]}×{shape[1]}"
        rows += [
            {
                "images": side,
                "proxy": name,
                "median s a cell": f"{median(values):.3f}",
                "ms an image": f"{1e3 * median(values) / sum(n):.2f}",
                "nngp's": ratio(values, times["nngp"]),
            }
            for name, values in times.items()
        ]
        new = times["ntk"]
        ours = min(new)
        first, again = peer(cells[args.warm + new.index(ours)], dataset, n)
        peers.append(
            f"{side}, the fastest of the cells: ntk {ours:.2f} s; neural-tangents {first:.1f} s "
            f"first ({first / ours:.0f}×), {again:.1f} s again ({again / ours:.1f}×)"
        )
    report(f"NTK and NNGP of new cells, {n[0]}+{n[1]} images, stem 16, M = 1", rows, peers)


if __name__ == "__main__":
    main()
