"""How arrays lie for Numba: images side by side in lanes, a network as the programs' arguments."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from nasproxy.kernels.convolutional.planes import Stack


def arguments(stack: Stack, side: int, dtype: str) -> tuple[Any, ...]:
    """The first arguments of every program: activations, stages, σ_w² and σ_b²."""
    from nasproxy.kernels.convolutional.native.programs import marks

    T = np.dtype(dtype).type
    counts = np.array(stack.convolutions, np.int64)
    reach = np.array([stack.reach(s, side >> s) for s in range(len(counts))], np.int64)
    scale = stack.weight_variance / (2 if stack.activation == "relu" else 1)
    return (
        *marks(stack.activation, stack.layer_norm),
        counts,
        reach,
        T(scale),
        T(stack.bias_variance),
    )


def pixels(stack: Stack, values: Float[np.ndarray, "n h h c"]) -> Float[np.ndarray, "n _ h"]:
    """Images times σ_w/√channels, ``[n, channel·row, column]``."""
    n, side, _, channels = values.shape
    factor = (stack.weight_variance / channels) ** 0.5
    return np.moveaxis(values * factor, -1, 1).reshape(n, channels * side, side)


def grouped(v: NDArray[Any], groups: int, lanes: int) -> NDArray[Any]:
    """``[n, row, column]`` as ``[group, row, column·lane]``, zeros after the last."""
    n, rows, width = v.shape
    full = np.zeros((groups * lanes, rows, width), v.dtype)
    full[:n] = v
    moved = np.moveaxis(full.reshape(groups, lanes, rows, width), 1, 3)
    return np.ascontiguousarray(moved).reshape(groups, rows, width * lanes)
