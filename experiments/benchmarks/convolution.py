"""The forms of a convolution against XLA's own, at the shapes that NAS-Bench-101 has.

    python -m experiments.benchmarks.convolution

Processor time a call of the layer's product followed by its affine map and ReLU: the sum over
cores, so that a busy machine changes it less than it changes wall time. "Chosen" is what
``nasproxy.networks.convolution`` makes of the shape, "gain" how much faster that is than plain.
"""

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.benchmarks.common import report
from nasproxy.networks import convolution

SHAPES = (
    # images, side, kernel, inputs, outputs
    (32, 32, 3, 3, 16),
    (32, 32, 3, 16, 16),
    (32, 32, 3, 8, 8),
    (32, 16, 3, 32, 32),
    (32, 16, 3, 16, 16),
    (32, 8, 3, 64, 64),
    (512, 4, 3, 16, 16),
    (512, 4, 3, 8, 8),
    (512, 2, 3, 64, 64),
    (512, 2, 3, 32, 32),
    (32, 32, 1, 16, 8),
    (32, 32, 1, 16, 16),
    (32, 16, 1, 32, 32),
    (8, 32, 3, 128, 128),
)


def forms(side: int, size: int) -> dict[str, Callable[[Array, Array], Array]]:
    """The forms that a shape can be computed in."""
    if size == 1:
        return {"plain": convolution.plain, "summed": convolution.summed}
    found: dict[str, Callable[[Array, Array], Array]] = {"plain": convolution.plain}
    for group in (2, 4):
        if side % group == 0:
            found[f"grouped {group}"] = partial(convolution.grouped, group=group)
    if side <= 4:
        found["dense"] = convolution.dense
    return found


def processor_ms(form: Callable[[Array, Array], Array], images: Array, kernel: Array) -> float:
    """Smallest processor time of several rounds, in milliseconds a call."""

    @jax.jit
    def layer(images: Array, kernel: Array) -> Array:
        return jnp.maximum(form(images, kernel) * 0.5 + 0.1, 0)

    layer(images, kernel).block_until_ready()
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(10):
            layer(images, kernel).block_until_ready()
        rounds.append((time.process_time() - start) * 100)
    return min(rounds)


def main() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for n, side, size, inputs, outputs in SHAPES:
        images = jnp.asarray(rng.standard_normal((n, side, side, inputs), dtype=np.float32))
        kernel = jnp.asarray(rng.standard_normal((size, size, inputs, outputs), dtype=np.float32))
        row = {"shape": f"{n}×{side}×{side}×{inputs} → {outputs}, {size}×{size}"}
        times = {f: processor_ms(run, images, kernel) for f, run in forms(side, size).items()}
        chosen = processor_ms(convolution.convolve, images, kernel)
        for form in ("plain", "summed", "grouped 2", "grouped 4", "dense"):
            row[form] = f"{times[form]:.2f}" if form in times else ""
        row["chosen"] = f"{chosen:.2f}"
        row["gain"] = f"{times['plain'] / chosen:.1f}×"
        rows.append(row)
    report("3×3 and 1×1 convolutions, processor ms a call", rows)


if __name__ == "__main__":
    main()
