"""3×3 and 1×1 convolutions in the form that runs fastest for their shape.

XLA's CPU convolution is a matrix product whose columns are the output channels, so a layer with
8 output channels, or an image of 2×2 pixels, leaves most of the processor idle. Both forms below
compute the same sums (the added terms are zeros) as one better-shaped product. What they gain on a
two-core AVX-512 machine is printed by ``experiments/benchmarks/convolution.py``.
"""

from itertools import product

import jax
import jax.numpy as jnp
from jax import Array, lax

LAYOUT = ("NHWC", "HWIO", "NHWC")
NARROW = 8
"""Output channels up to which two neighbouring output pixels are computed as one (:func:`paired`)."""
SMALL = 256
"""Pixels × output channels up to which a 3×3 convolution is a dense map (:func:`dense`)."""


def convolve(images: Array, kernel: Array) -> Array:
    """Convolution of stride 1 with SAME padding.

    Args:
        images: ``[n, h, w, c]``.
        kernel: ``[k, k, c, d]``, k odd.

    Returns:
        ``[n, h, w, d]``, in the dtype of ``images``.
    """
    height, width = images.shape[1:3]
    size, _, _, outputs = kernel.shape
    if size == 3 and jax.default_backend() == "cpu":
        if min(height, width) > 1 and height * width <= 4:
            return dense(images, kernel)
        if height * width <= 16 and height * width * outputs <= SMALL:
            return dense(images, kernel)
        if outputs <= NARROW and width % 2 == 0:
            return paired(images, kernel)
    return plain(images, kernel)


def plain(images: Array, kernel: Array) -> Array:
    """The convolution as XLA has it."""
    return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT)


def paired(images: Array, kernel: Array) -> Array:
    """3×3 convolution over 3×4 windows of stride 2, each giving two output pixels.

    Costs 4/3 of the operations and doubles the columns of the matrix product. ``w`` must be even.
    """
    n, height, width, _ = images.shape
    size, _, inputs, outputs = kernel.shape
    left, right = ((0, 0), (0, 1), (0, 0), (0, 0)), ((0, 0), (1, 0), (0, 0), (0, 0))
    pair = jnp.stack([jnp.pad(kernel, left), jnp.pad(kernel, right)], axis=3)
    pair = pair.reshape(size, size + 1, inputs, 2 * outputs)
    result = lax.conv_general_dilated(
        images, pair, (1, 2), ((1, 1), (1, 1)), dimension_numbers=LAYOUT
    )
    return result.reshape(n, height, width, outputs)


def dense(images: Array, kernel: Array) -> Array:
    """3×3 convolution as a dense map of whole images, for images of a few pixels.

    On 2×2 pixels every output sees every input: 16·c·d products instead of 36·c·d, as one matrix
    product.
    """
    n, height, width, _ = images.shape
    _, _, inputs, outputs = kernel.shape
    rows = []
    for i, j in product(range(height), range(width)):
        # Input pixel (i, j) reaches output pixel (u, v) through tap (i - u + 1, j - v + 1).
        taps = [
            kernel[i - u + 1, j - v + 1]
            if abs(i - u) <= 1 and abs(j - v) <= 1
            else jnp.zeros((inputs, outputs), kernel.dtype)
            for u, v in product(range(height), range(width))
        ]
        rows.append(jnp.concatenate(taps, axis=1))
    matrix = jnp.concatenate(rows, axis=0)
    return (images.reshape(n, -1) @ matrix).reshape(n, height, width, outputs)
