"""The zero-cost proxies of new cells against the same formulas in PyTorch, in one run.

    python -m experiments.benchmarks.suite                 # NAS-Bench-201, 16 channels
    python -m experiments.benchmarks.suite --space nasbench101 --cells 2   # 128 channels

CIFAR's images in shape, batches of 64, full width. The peer runs each proxy as NASLib does, on a
copy of the network and by a pass of its own; ours runs each alone, and all of them together. All
time what a cell costs that was never seen before, its network built and drawn.
Goals: the suite at least 3 times as fast as the peer's proxies one after the other; none slower.
"""

import argparse
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch

from experiments.benchmarks import torch_proxies
from experiments.benchmarks.common import in_turn, ratio, report, seconds
from nasproxy import data
from nasproxy.networks.initialised import Initialised
from nasproxy.proxies import passes
from nasproxy.proxies.base import NoScore
from nasproxy.proxies.suite import members
from search_spaces import NASBench101, NASBench201

SPACES: dict[str, Any] = {"nasbench101": NASBench101(), "nasbench201": NASBench201()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--space", choices=SPACES, default="nasbench201")
    parser.add_argument("--cells", type=int, default=5, help="new cells to time")
    parser.add_argument("--warm", type=int, default=5, help="cells scored beforehand")
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()

    n, shape = 3 * args.batch, (32, 32, 3)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((n, *shape), dtype=np.float32)
    labels = np.arange(n) % 10
    dataset = data.from_arrays(images, labels, images[:20], labels[:20])
    space = SPACES[args.space]
    proxies = members("suite", {"batch": args.batch})
    together = passes.prepare(proxies, space, dataset, 0)
    names = [proxy.name for proxy in proxies]
    x, y = dataset.subset("train", args.batch, 0)
    torch_x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    torch_y = torch.from_numpy(y.astype(np.int64))

    def ours(places: tuple[int, ...]) -> Callable[[Any], object]:
        def run(cell: Any) -> None:
            for made in together(cell, places):
                if isinstance(made, Exception) and not isinstance(made, NoScore):
                    raise made

        return run

    def theirs(some: list[str]) -> Callable[[Any], object]:
        def run(cell: Any) -> None:
            drawn = Initialised.draw(space.graph(cell, shape, 10), (0, 0))
            network = torch_proxies.Network(drawn).train()
            for name in some:
                torch_proxies.PROXIES[name](network, torch_x, torch_y)

        return run

    every = tuple(range(len(names)))
    contenders: dict[str, Callable[[Any], object]] = {}
    for place, name in enumerate(names):
        contenders[name] = ours((place,))
        contenders[f"{name} by torch"] = theirs([name])
    contenders["suite"] = ours(every)
    contenders["suite by torch"] = theirs(names)

    cells = scorable(space, shape, args.warm + args.cells)
    for cell in cells[: args.warm]:
        contenders["suite"](cell)  # which compiles all that any of ours does
        print(f"warm with {space.key(cell)}", file=sys.stderr, flush=True)
    told: dict[str, Callable[[Any], object]] = {
        name: said(name, run) for name, run in contenders.items()
    }
    times = in_turn(told, cells[args.warm :])
    rows = [
        {
            "proxy": name,
            "nasproxy, s a cell": f"{median(times[name]):.3f}",
            "PyTorch": f"{median(times[f'{name} by torch']):.3f}",
            "nasproxy is": ratio(times[f"{name} by torch"], times[name]),
        }
        for name in [*names, "suite"]
    ]
    report(
        f"Zero-cost proxies of {args.cells} new cells of {args.space}, width {space.width}, "
        f"32×32 images, batch {args.batch}",
        rows,
        [f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"],
    )


def said(name: str, run: Callable[[Any], object]) -> Callable[[Any], None]:
    """The same, which says how long it took, for who waits."""

    def and_say(cell: Any) -> None:
        took = seconds(lambda: run(cell))
        print(f"{name}: {took:.2f} s", file=sys.stderr, flush=True)

    return and_say


def scorable(space: Any, shape: tuple[int, int, int], count: int) -> list[Any]:
    """Cells drawn at random that are not dead: an image reaches their logits."""
    from nasproxy.proxies.counts import reached

    cells = space.sample(4 * count, 1)
    alive = [cell for cell in cells if reached(space.graph(cell, shape, 10))[-1]]
    return alive[:count]


if __name__ == "__main__":
    main()
