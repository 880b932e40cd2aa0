"""Monte-Carlo NNGP kernels of finite networks (Novak et al. 2019)."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64


def stacked(members: Sequence[Float32[np.ndarray, "n d"]]) -> Float64[np.ndarray, "n Md"]:
    """Features Φ of an ensemble, whose kernel Φ Φᵀ is the mean of the members' kernels.

    float64, as what is solved with it is.

    Args:
        members: features of M networks.

    Returns:
        Φ, ``[n, M·d]``.
    """
    phi = np.concatenate(members, axis=1, dtype=np.float64)
    phi /= math.sqrt(len(members))
    return phi
