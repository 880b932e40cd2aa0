"""MNAS's reward of accuracy and latency."""

import numpy as np
from numpy.typing import ArrayLike

from nasproxy.errors import SettingError
from nasproxy.metrics.arrays import MetricError, Vector, vectors


def mnas_reward(
    accuracy: ArrayLike, latency_ms: ArrayLike, target: float = 75.0, exponent: float = -0.07
) -> Vector:
    """MNAS's trade of accuracy against latency, ACC·(LAT/TAR)^w, an entry an architecture.

    Args:
        accuracy: (n,), in whatever unit; its reward has the same.
        latency_ms: (n,) milliseconds, positive (a ``latency`` proxy's scores are minus these).
        target: TAR, milliseconds.
        exponent: w, the same above and below the target: −.07 is the soft constraint of Tan et
            al. (2019), under which twice the latency must buy 5 % more accuracy.

    Raises:
        MetricError: arrays that are not finite or of unequal length, or a latency that is not
            positive.
        SettingError: a target that is none.
    """
    if not (np.isfinite(target) and target > 0 and np.isfinite(exponent)):
        raise SettingError(
            f"target={target!r}, exponent={exponent!r}: give positive milliseconds and a number"
        )
    accuracy, latency = vectors(accuracy=accuracy, latency_ms=latency_ms)
    if (latency <= 0).any():
        first = int((latency <= 0).argmax())
        raise MetricError(
            f"latency_ms[{first}] is {latency[first]:g}; pass positive milliseconds (a latency "
            "proxy's scores with the sign turned)"
        )
    return accuracy * (latency / target) ** exponent
