"""Monte-Carlo NNGP kernels of finite networks (Novak et al. 2019)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stacked(members: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Features Φ of an ensemble, whose kernel Φ Φᵀ is the mean of the members' kernels.

    float64, as what is solved with it is.

    Args:
        members: features ``[n, d]`` of M networks.

    Returns:
        ``[n, M·d]``.
    """
    phi = np.concatenate(members, axis=1, dtype=np.float64)
    phi /= math.sqrt(len(members))
    return phi
