"""The empirical neural tangent kernel Θ = J Jᵀ of networks at initialisation, layer by layer."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import NDArray

from nasproxy.errors import SettingError
from nasproxy.networks import features
from nasproxy.networks.differentiation import pullback_each
from nasproxy.networks.features import BatchNorm, Sliceable
from nasproxy.networks.graph import Graph
from nasproxy.networks.initialised import Initialised
from nasproxy.networks.layers import Arrays, up

OUTPUTS = ("sum", "logit", "trace")
"""What of the logits a kernel is of, see :func:`ntk`."""
BUFFER_BYTES = 2**30
"""Gradients kept at once; networks that have more are gone through several times."""
ACCELERATOR_BYTES = 32 * 2**20
"""Bytes of the stem's output in a batch there, where all of a batch's values are kept."""
COLUMNS = 4096
"""Parameters whose products are summed in float32 before they are added up in float64."""


def ntk(
    network: Initialised,
    images: Sequence[jax.Array],
    n_train: int,
    batch: Float[jax.Array, "m h w c"],
    norm: BatchNorm,
    output: str = "sum",
) -> Float64[np.ndarray, "n n_train"]:
    """Empirical NTK of one network, against its first images.

    With J the Jacobian ``[n, P]`` of one function of the logits by all P trainable parameters
    (kernels, batch norm's scales and biases, the readout) in inference mode, Θ = J Jᵀ; the network
    is that whose features :func:`nasproxy.networks.features.features` gives. ``output`` says of
    which function: ``sum``, the logits' sum over √classes (the pseudo-NTK of Mohamadi et al. 2023);
    ``logit``, the first logit; ``trace``, all of them, the mean of their kernels, which is
    ``neural_tangents.empirical_ntk_fn``'s with trace axis −1 (Novak et al. 2022) and takes a
    backward pass for each. In expectation over readouts all three are the same.

    A gradient for every image and a product of matrices for every layer cost n·n_train·P products,
    where contracting activations and cotangents would cost n·n_train·(h·w)²: more in all but the
    last layers. Gradients are float32, as the networks are; so are the products of ``COLUMNS``
    parameters at a time, less their mean over images, whose sums over all parameters are float64:
    eigenvalues are off by about 1e-8 of their mean.

    Memory: ``BUFFER_BYTES`` of gradients, and a batch's values and gradients a core. Where all
    gradients (4·n·P bytes an output) take more, the images go through the network once for every
    buffer full.

    Args:
        network: fresh.
        images: batches of one shape, as :func:`split` makes them.
        n_train: how many of the first images are columns of the kernel.
        batch: ``norm.images`` of them, for the batch-norm pass.
        norm: in mode ``inference``: in training mode, images would share gradients.
        output: one of ``OUTPUTS``.

    Returns:
        Θ, n counting the images that fill up the last batch.

    Raises:
        SettingError: an output that does not exist, or batch norm in training mode.
    """
    if norm.mode != "inference":
        raise SettingError(f"batch-norm mode {norm.mode!r} has no empirical NTK: choose inference")
    graph = network.graph
    cotangents = _cotangents(output, graph.shapes[-1][0])
    settled = network.settled(batch, norm.momentum)
    padded, params = settled.padded, settled.params
    settled.weights  # noqa: B018  placed once, before all threads ask for them
    n = sum(map(len, images))
    kernel = np.zeros((n, n_train))
    for group in _groups(_blocks(graph, len(cotangents), n), n):

        def gradients(x: jax.Array, group: list[_Block] = group) -> Any:
            values = settled.values(x)
            found: dict[_Block, Any] = {}
            for output in {block.output for block in group}:
                asked = [block for block in group if block.output == output]
                last = min(block.step for block in asked)
                cotangent = jax.device_put(np.tile(cotangents[output], (len(x), 1)))
                pulled = pullback_each(padded, params, settled.stats, values, cotangent)
                for step, arrays in pulled:
                    own = settled.own(step, arrays)
                    found |= {b: b.of(own) for b in asked if b.step == step}
                    if step == last:
                        break
            return _joined([found[block] for block in group])

        _add_products(kernel, features.each(images, gradients))
    return kernel


def split(images: Sliceable, graph: Graph) -> Sequence[jax.Array]:
    """Images in batches on the device, see :func:`nasproxy.networks.features.split`."""
    return features.split(images, graph, BatchNorm(), ACCELERATOR_BYTES)


def _cotangents(output: str, classes: int) -> NDArray[np.float32]:
    """Rows v whose kernels of logits·v add up to Θ."""
    if output not in OUTPUTS:
        raise SettingError(f"output={output!r} of an NTK: choose one of {', '.join(OUTPUTS)}")
    eye = np.eye(classes, dtype=np.float32)
    scale = np.float32(classes**-0.5)
    return {"sum": eye.sum(0, keepdims=True) * scale, "logit": eye[:1], "trace": eye * scale}[
        output
    ]


@dataclass(frozen=True)
class _Block:
    """Some outputs' channels of one parameter."""

    output: int
    step: int
    name: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def of(self, arrays: Arrays) -> Any:
        """The block of a step's gradients ``[b, …]``, ``[b, size]``."""
        array = arrays[self.name][..., self.start : self.start + self.shape[-1]]
        return array.reshape(len(array), -1)


def _blocks(graph: Graph, outputs: int, n: int) -> Iterator[_Block]:
    """Parameters that the logits depend on, for every output, the last steps first.

    None is larger than the buffer.
    """
    largest = max(1, BUFFER_BYTES // (4 * n))
    for output in range(outputs):
        for step in reversed([i for i, live in enumerate(graph.live) if live]):
            for name, (*rows, channels) in graph.steps[step].layer.parameters().items():
                few = max(1, largest // math.prod(rows))
                for start in range(0, channels, few):
                    shape = (*rows, min(few, channels - start))
                    yield _Block(output, step, name, shape, start)


def _groups(blocks: Iterator[_Block], n: int) -> Iterator[list[_Block]]:
    """Blocks whose gradients fit into the buffer together."""
    group: list[_Block] = []
    for block in blocks:
        if group and 4 * n * sum(b.size for b in [*group, block]) > BUFFER_BYTES:
            yield group
            group = []
        group.append(block)
    yield group


def _joined(blocks: list[Any]) -> Any:
    """Blocks ``[b, size]`` beside each other, filled up with zeros to a multiple of COLUMNS."""
    size = sum(block.shape[1] for block in blocks)
    module = np if isinstance(blocks[0], np.ndarray) else jnp
    filling = module.zeros((len(blocks[0]), up(size, COLUMNS) - size), np.float32)
    return module.concatenate([*blocks, filling], axis=1)


def _add_products(kernel: NDArray[np.float64], parts: Sequence[Any]) -> None:
    """Adds G·Gᵀ to the kernel, G ``[n, p]`` in parts of some rows each."""
    module = np if isinstance(parts[0], np.ndarray) else jnp
    for start in range(0, parts[0].shape[1], COLUMNS):
        some = module.concatenate([part[:, start : start + COLUMNS] for part in parts])
        product, side, square = map(np.asarray, _products(some, kernel.shape[1]))
        kernel += product
        kernel += side[:, None] + np.float64(side[: kernel.shape[1]]) + square


@partial(jax.jit, static_argnums=1)
def _products(gradients: jax.Array, n_train: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Terms of G·Gᵀ with G = C + 1·mᵀ: C·Cᵀ, C·m and m·m, m the mean of the training rows.

    Gradients of one network point much the same way: m is often 99 % of the trace, and rounding
    its square would blur the small eigenvalues, which are of C.
    """
    mean = gradients[:n_train].mean(0)
    centred = gradients - mean[None]
    multiply = partial(jnp.matmul, precision="highest")  # else in TF32 on a GPU
    return multiply(centred, centred[:n_train].T), multiply(centred, mean), multiply(mean, mean)
