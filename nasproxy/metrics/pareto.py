"""What nothing else beats in everything: the Pareto front."""

import numpy as np
from jaxtyping import Bool
from numpy.typing import ArrayLike

from nasproxy.metrics.arrays import MetricError


def pareto_front(values: ArrayLike) -> Bool[np.ndarray, " n"]:
    """Which of n rows no other row dominates: is as good in all columns and better in one.

    Equal rows do not dominate each other. O(n log n + n · front).

    Args:
        values: (n, d), an architecture a row, an objective a column, larger being better.

    Raises:
        MetricError: no such array, or a value that is not finite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MetricError(f"values of a front are no numbers ({error}): pass (n, d)") from error
    if array.ndim != 2 or array.shape[1] == 0:
        raise MetricError(f"values of a front have shape {array.shape}: pass (n, d), d ≥ 1")
    if not np.isfinite(array).all():
        row = int((~np.isfinite(array)).any(axis=1).argmax())
        raise MetricError(f"values[{row}] of a front is {array[row]}: leave out what failed")
    on = np.zeros(len(array), dtype=bool)
    front = np.empty_like(array)
    count = 0
    # From the best in the first column on, ties by the next: none is beaten by a later one.
    for row in np.lexsort(-array.T[::-1]):
        known = front[:count]
        as_good = (known >= array[row]).all(axis=1)
        if not (as_good & (known > array[row]).any(axis=1)).any():
            on[row] = True
            front[count] = array[row]
            count += 1
    return on
