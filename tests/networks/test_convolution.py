"""``convolve`` and ``depthwise`` equal XLA's convolution whichever form they take for a shape."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import Array

from nasproxy.networks.convolution import convolve, depthwise
from tests.support.networks import lax_convolution, some


def arrays(n: int, height: int, width: int, side: int, c: int, d: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng([n, height, width, side, c, d])
    images = rng.normal(size=(n, height, width, c)).astype(np.float32)
    kernel = rng.normal(size=(side, side, c, d)).astype(np.float32)
    return images, kernel


def assert_same(actual: Array, expected: Array) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    tolerance = 1e-5 * float(abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    side=st.sampled_from([3, 3, 1]),
    c=st.integers(1, 17),
    d=st.integers(1, 33),
)
@example(n=2, height=1, width=1, side=3, c=3, d=8)
@example(n=2, height=2, width=2, side=3, c=64, d=128)
@example(n=2, height=1, width=4, side=3, c=5, d=7)
@example(n=2, height=4, width=4, side=3, c=8, d=16)
@example(n=2, height=9, width=8, side=3, c=8, d=8)
@example(n=2, height=8, width=9, side=3, c=8, d=8)
def test_equals_xla_on_any_shape(
    n: int, height: int, width: int, side: int, c: int, d: int
) -> None:
    images, kernel = arrays(n, height, width, side, c, d)
    assert_same(jax.jit(convolve)(images, kernel), jax.jit(lax_convolution)(images, kernel))


@pytest.mark.parametrize(
    ("height", "width", "d"), [(2, 2, 16), (4, 4, 8), (8, 8, 8), (8, 8, 5), (7, 7, 8), (8, 8, 24)]
)
def test_gradients_equal_those_of_xla(height: int, width: int, d: int) -> None:
    """Training differentiates through every form."""
    images, kernel = arrays(2, height, width, 3, 6, d)
    weights = np.random.default_rng(1).normal(size=(2, height, width, d)).astype(np.float32)

    def gradients(form: Callable[[Array, Array], Array]) -> Callable[..., tuple[Array, Array]]:
        return jax.jit(jax.grad(lambda x, k: (form(x, k) * weights).sum(), argnums=(0, 1)))

    for actual, expected in zip(
        gradients(convolve)(images, kernel), gradients(lax_convolution)(images, kernel), strict=True
    ):
        assert_same(actual, expected)


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize(("height", "width", "d"), [(2, 2, 16), (8, 8, 5), (7, 6, 8)])
def test_gradients_image_by_image_equal_those_of_xla(
    height: int, width: int, d: int, side: int
) -> None:
    """Under vmap every image has a product of its own instead of a convolution."""
    images, kernel = arrays(4, height, width, side, 6, d)
    weights = np.random.default_rng(1).normal(size=(height, width, d)).astype(np.float32)

    def gradients(form: Callable[[Array, Array], Array]) -> Callable[..., tuple[Array, Array]]:
        of_one = jax.grad(lambda x, k: (form(x[None], k)[0] * weights).sum(), argnums=(0, 1))
        return jax.jit(jax.vmap(of_one, in_axes=(0, None)))

    for actual, expected in zip(
        gradients(convolve)(images, kernel), gradients(lax_convolution)(images, kernel), strict=True
    ):
        assert len(actual) == 4
        assert_same(actual, expected)


def test_padding_is_zeros_around_the_image() -> None:
    """A kernel of ones counts the neighbours that lie inside."""
    ones = np.ones((1, 4, 4, 1), np.float32)
    counted = convolve(jax.numpy.asarray(ones), jax.numpy.ones((3, 3, 1, 1)))
    assert counted[0, :, :, 0].tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]


def test_a_kernel_is_not_flipped() -> None:
    """Cross-correlation: the top left tap reads the pixel above and to the left."""
    image = np.zeros((1, 6, 6, 1), np.float32)
    image[0, 2, 2] = 1
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[0, 0] = 1
    moved = np.asarray(jax.jit(convolve)(image, kernel))
    assert np.argwhere(moved).tolist() == [[0, 3, 3, 0]]


def compare(ours: Any, plain: Any, *arrays: np.ndarray) -> None:
    got, pull = jax.vjp(ours, *arrays)
    want, plain_pull = jax.vjp(plain, *arrays)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    cotangent = jax.numpy.asarray(some(np.random.default_rng(1), *want.shape))
    for ours_part, plain_part in zip(pull(cotangent), plain_pull(cotangent), strict=True):
        np.testing.assert_allclose(ours_part, plain_part, rtol=1e-4, atol=2e-4)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    size=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2, 3]),
)
def test_depthwise_equals_grouped_convolution(
    height: int, width: int, size: int, stride: int
) -> None:
    rng = np.random.default_rng([height, width, size, stride])
    images, kernel = map(
        jax.device_put, (some(rng, 2, height, width, 4), some(rng, size, size, 1, 4))
    )
    compare(
        lambda x, k: depthwise(x, k, stride),
        lambda x, k: lax_convolution(x, k, stride, groups=4),
        images,
        kernel,
    )


@pytest.mark.parametrize("shape", [(5, 6), (4, 4), (1, 3)])
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("stride", [2, 3])
def test_strided_convolution(shape: tuple[int, int], size: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    images, kernel = map(jax.device_put, (some(rng, 2, *shape, 3), some(rng, size, size, 3, 4)))
    compare(
        lambda x, k: convolve(x, k, stride),
        lambda x, k: lax_convolution(x, k, stride, groups=1),
        images,
        kernel,
    )
