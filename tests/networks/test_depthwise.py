"""``depthwise`` and strided ``convolve`` equal XLA's convolution, with their gradients."""

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.networks.convolution import convolve, depthwise
from tests.networks.test_layers import lax_convolution, some


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
    images, kernel = some(rng, 2, height, width, 4), some(rng, size, size, 1, 4)
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
    images, kernel = some(rng, 2, *shape, 3), some(rng, size, size, 3, 4)
    compare(
        lambda x, k: convolve(x, k, stride),
        lambda x, k: lax_convolution(x, k, stride, groups=1),
        images,
        kernel,
    )
