"""Convolutions, full and depthwise, in the form that runs fastest for their shape.

XLA's CPU convolution is a matrix product with one column for each output channel. Narrow layers and
small images leave most of the processor idle in it, so they are computed in other forms: the same
sums, some with added terms that are zero. ``experiments/benchmarks/convolution.py`` times them all.

Images are framed by k // 2 zeros on every side, whatever the stride, as PyTorch's networks have it
(TensorFlow's SAME frames a strided convolution unevenly); ⌈h / stride⌉ rows come out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, reduce
from itertools import product
from typing import cast

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

LAYOUT = ("NHWC", "HWIO", "NHWC")
COLUMNS = 32
"""Columns of the matrix product worth having: neighbouring pixels are grouped up to this (twice
this where the images have fewer channels than a vector register, as in the stem)."""
GROUP = 4
"""Most pixels to a group: each further one adds products with zero."""
DENSE = 128
"""Pixels × output channels up to which a 3×3 convolution of 4×4 images is a dense map."""
FUSED = 16
"""Channels up to which a 1×1 convolution is a loop fused with what follows it."""


_derivable = ContextVar("derivable", default=False)


@contextmanager
def derivable() -> Iterator[None]:
    """What is traced within takes forward mode, too, which the forms below have no rule for."""
    before = _derivable.set(True)
    try:
        yield
    finally:
        _derivable.reset(before)


def convolve(
    images: Float[Array, "n h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int = 1,
) -> Float[Array, "n rows columns d"]:
    """Convolution framed by k // 2 zeros, differentiable in reverse mode.

    Args:
        images: ``[n, h, w, c]``.
        kernel: ``[k, k, c, d]``, k odd.
        stride: between output pixels.

    Returns:
        ``[n, ⌈h / stride⌉, ⌈w / stride⌉, d]``, in the dtype of ``images``.
    """
    if _derivable.get():
        return plain(images, kernel, stride)
    if kernel.shape[:2] == (1, 1):
        return _convolve(images[:, ::stride, ::stride], kernel, 1)
    return _convolve(images, kernel, stride)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(images: Array, kernel: Array, stride: int) -> Array:
    if images.dtype == jnp.float64:
        return tapped(images, kernel, stride)
    if jax.default_backend() != "cpu" or stride > 1:
        return plain(images, kernel, stride)
    height, width = images.shape[1:3]
    size, _, inputs, outputs = kernel.shape
    if size == 1 and max(inputs, outputs) <= FUSED:
        return summed(images, kernel)
    if size == 3:
        pixels = height * width
        if pixels <= 4 or (pixels <= 16 and pixels * outputs <= DENSE):
            return dense(images, kernel)
        group = min(GROUP, COLUMNS * (1 if inputs >= 8 else 2) // outputs)
        while group > 1 and width % group:
            group -= 1
        if group > 1:
            return grouped(images, kernel, group)
    return plain(images, kernel)


def _forward(images: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return cast(Array, _convolve(images, kernel, stride)), (images, kernel)


def _backward(stride: int, inputs: tuple[Array, Array], cotangent: Array) -> tuple[Array, Array]:
    """Cotangents of images and kernel.

    On a CPU the images' is a convolution like any other, with the kernel turned: up to ten times
    faster than what JAX derives from the forms below.
    """
    images, kernel = inputs
    if images.dtype == jnp.float64:
        spread = dilate(cotangent, stride, images.shape)
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        taps = [
            jnp.einsum("nhwc,nhwd->cd", part, cotangent)
            for part in _shifts(images, kernel.shape[0], stride)
        ]
        return tapped(spread, turned), jnp.stack(taps).reshape(kernel.shape)
    alone = len(images) == 1  # as under vmap, where XLA's convolution has a group for every image
    if jax.default_backend() != "cpu" and not alone:
        return jax.vjp(lambda x, k: plain(x, k, stride), images, kernel)[1](cotangent)
    spread = dilate(cotangent, stride, images.shape)
    to_images = cast(Array, _convolve(spread, kernel[::-1, ::-1].swapaxes(2, 3), 1))
    if alone:
        return to_images, of_one(images[0], spread[0], kernel.shape[0])
    if kernel.shape[:2] == (1, 1):
        to_kernel = jnp.einsum("nhwc,nhwd->cd", images, cotangent)[None, None]
    else:
        (to_kernel,) = jax.vjp(lambda k: plain(images, k, stride), kernel)[1](cotangent)
    return to_images, to_kernel


_convolve.defvjp(_forward, _backward)


def of_one(
    image: Float[Array, "h w c"],
    cotangent: Float[Array, "h w d"],
    size: int,
) -> Float[Array, "{size} {size} c d"]:
    """A kernel's cotangent from one image, as one matrix product; under ``vmap`` one for each.

    The image shifted along rows against the cotangent shifted along columns, ``[size·c, size·d]``:
    two to four times as fast as patches of ``size²·c`` against ``d`` columns.

    Args:
        image: ``[h, w, c]``.
        cotangent: ``[h, w, d]``.

    Returns:
        ``[size, size, c, d]``.
    """
    width, side = image.shape[1], size // 2
    image = jnp.pad(image, ((side, side), (side, side), (0, 0)))
    across = jnp.stack([image[:, j : j + width] for j in range(size)], axis=2)
    shifts = [((i, size - 1 - i), (0, 0), (0, 0)) for i in range(size)]
    down = jnp.stack([jnp.pad(cotangent, shift) for shift in shifts], axis=2)
    return jnp.einsum("hwjc,hwid->ijcd", across, down)


def dilate(
    images: Float[Array, "n h w c"], stride: int, shape: tuple[int, ...]
) -> Float[Array, "n {shape[1]} {shape[2]} c"]:
    """Images ``stride`` pixels apart in the height and width of ``shape``, zeros between."""
    if stride == 1:
        return images
    rows, columns = ((size - 1) * stride + 1 for size in images.shape[1:3])
    between = stride - 1
    edges = (0, 0, 0), (0, shape[1] - rows, between), (0, shape[2] - columns, between), (0, 0, 0)
    return lax.pad(images, jnp.zeros((), images.dtype), edges)


def plain(
    images: Float[Array, "n h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int = 1,
) -> Float[Array, "n rows columns d"]:
    """The convolution as XLA has it."""
    return _in_xla(images, kernel, stride, groups=1)


def _in_xla(images: Array, kernel: Array, stride: int, groups: int, dilation: int = 1) -> Array:
    frame = dilation * (kernel.shape[0] // 2)
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        ((frame, frame), (frame, frame)),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=LAYOUT,
        feature_group_count=groups,
    )


def tapped(
    images: Float[Array, "n h w c"],
    kernel: Float[Array, "k k c d"],
    stride: int = 1,
) -> Float[Array, "n rows columns d"]:
    """The convolution as a sum of k² matrix products; in float64 XLA's is a loop on a CPU."""
    taps = product(range(kernel.shape[0]), repeat=2)
    shifted = _shifts(images, kernel.shape[0], stride)
    return reduce(jnp.add, (x @ kernel[i, j] for (i, j), x in zip(taps, shifted, strict=True)))


def summed(
    images: Float[Array, "n h w c"], kernel: Float[Array, "1 1 c d"]
) -> Float[Array, "n h w d"]:
    """1×1 convolution as a sum over input channels, which XLA fuses with the layer's other sums.

    A matrix product would write its result to memory and read it back for them.
    """
    terms = (
        images[..., i : i + 1] * lax.broadcast_to_rank(kernel[0, 0, i], 4)
        for i in range(kernel.shape[2])
    )
    return reduce(jnp.add, terms)


def grouped(
    images: Float[Array, "n h w c"],
    kernel: Float[Array, "3 3 c d"],
    group: int,
) -> Float[Array, "n h w d"]:
    """3×3 convolution over windows of 3×(group + 2) pixels, each giving ``group`` output pixels.

    Has ``group`` times the columns for (group + 2)/3 times the products. ``w`` must be a multiple
    of ``group``.
    """
    n, height, width, _ = images.shape
    size, _, inputs, outputs = kernel.shape
    shifted = [
        jnp.pad(kernel, ((0, 0), (pixel, group - 1 - pixel), (0, 0), (0, 0)))
        for pixel in range(group)
    ]
    wide = jnp.stack(shifted, axis=3).reshape(size, group + 2, inputs, group * outputs)
    result = lax.conv_general_dilated(
        images, wide, (1, group), ((1, 1), (1, 1)), dimension_numbers=LAYOUT
    )
    return result.reshape(n, height, width, outputs)


def dense(
    images: Float[Array, "n h w c"], kernel: Float[Array, "3 3 c d"]
) -> Float[Array, "n h w d"]:
    """3×3 convolution as a dense map of whole images, for images of a few pixels.

    On 2×2 pixels every output sees every input: 16·c·d products instead of 36·c·d, as one matrix
    product.
    """
    n, height, width, _ = images.shape
    _, _, inputs, outputs = kernel.shape
    nothing = jnp.zeros((inputs, outputs), kernel.dtype)
    pixels = list(product(range(height), range(width)))
    rows = []
    for i, j in pixels:
        # Input pixel (i, j) reaches output pixel (u, v) through tap (i - u + 1, j - v + 1).
        taps = [
            kernel[i - u + 1, j - v + 1] if max(abs(i - u), abs(j - v)) <= 1 else nothing
            for u, v in pixels
        ]
        rows.append(jnp.concatenate(taps, axis=1))
    matrix = jnp.concatenate(rows, axis=0)
    return (images.reshape(n, -1) @ matrix).reshape(n, height, width, outputs)


def depthwise(
    images: Float[Array, "n h w c"],
    kernel: Float[Array, "k k 1 c"],
    stride: int = 1,
    dilation: int = 1,
) -> Float[Array, "n rows columns c"]:
    """Convolution of every channel by itself, framed by dilation · (k // 2) zeros.

    On a CPU a sum of k² shifted images, each times a weight a channel, which XLA fuses into one
    loop: 10 to 150 times as fast as its grouped convolution on the shapes of MobileNets.

    Args:
        images: ``[n, h, w, c]``.
        kernel: ``[k, k, 1, c]``, k odd.
        stride: between output pixels.
        dilation: between the pixels that a kernel's neighbouring taps meet.

    Returns:
        ``[n, ⌈h / stride⌉, ⌈w / stride⌉, c]``, in the dtype of ``images``.
    """
    if _derivable.get():
        return _in_xla(images, kernel, stride, images.shape[3], dilation)
    return _depthwise(images, kernel, stride, dilation)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise(images: Array, kernel: Array, stride: int, dilation: int) -> Array:
    if jax.default_backend() != "cpu":
        return _in_xla(images, kernel, stride, images.shape[3], dilation)
    taps = product(range(kernel.shape[0]), repeat=2)
    shifted = _shifts(images, kernel.shape[0], stride, dilation)
    weighted = (
        part * lax.broadcast_to_rank(kernel[i, j, 0], 4)
        for (i, j), part in zip(taps, shifted, strict=True)
    )
    return reduce(jnp.add, weighted)


def _shifts(images: Array, size: int, stride: int, dilation: int = 1) -> Iterator[Array]:
    """What each tap of a kernel meets, ``[n, ⌈h / stride⌉, ⌈w / stride⌉, c]``, row by row."""
    _, height, width, _ = images.shape
    frame = dilation * (size // 2)
    framed = jnp.pad(images, ((0, 0), (frame, frame), (frame, frame), (0, 0)))
    for i, j in product(range(0, size * dilation, dilation), repeat=2):
        yield framed[:, i : i + height : stride, j : j + width : stride]


def _depthwise_forward(
    images: Array, kernel: Array, stride: int, dilation: int
) -> tuple[Array, tuple[Array, Array]]:
    return cast(Array, _depthwise(images, kernel, stride, dilation)), (images, kernel)


def _depthwise_backward(
    stride: int, dilation: int, inputs: tuple[Array, Array], cotangent: Array
) -> tuple[Array, Array]:
    images, kernel = inputs
    if jax.default_backend() != "cpu":
        groups = images.shape[3]
        pull = jax.vjp(lambda x, k: _in_xla(x, k, stride, groups, dilation), images, kernel)[1]
        return pull(cotangent)
    spread = dilate(cotangent, stride, images.shape)
    to_images = cast(Array, _depthwise(spread, kernel[::-1, ::-1], 1, dilation))
    taps = [
        jnp.einsum("nhwc,nhwc->c", part, cotangent)
        for part in _shifts(images, kernel.shape[0], stride, dilation)
    ]
    return to_images, jnp.stack(taps).reshape(kernel.shape)


_depthwise.defvjp(_depthwise_forward, _depthwise_backward)
