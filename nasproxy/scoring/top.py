"""The best of a table of scores."""

import math
from typing import Any

import pandas as pd

from nasproxy.checks import Real, checked
from nasproxy.errors import SettingError


def top(scores: pd.DataFrame, column: str, share: float = 0.3) -> pd.DataFrame:
    """The rows with the largest scores, the best first: what to train, or to search among.

    Args:
        scores: of :func:`nasproxy.score`, or any table.
        column: by which; of a loss, give its negative a column of its own.
        share: of all rows, rounded up to whole ones. Failed rows (NaN) count among all, and are
            never returned.

    Raises:
        SettingError: there is no such column, it holds no numbers, or a share outside (0, 1].
    """
    share = checked("top", "share", share, Real(above=0, most=1, hint="such as 0.3"))
    if column not in scores.columns:
        shown = ", ".join(map(str, scores.columns))
        raise SettingError(f"column {column!r} of top: the table has {shown:.500}")
    values: Any = scores[column]
    if not pd.api.types.is_numeric_dtype(values):
        raise SettingError(f"column {column!r} of top holds {values.dtype}: give one of numbers")
    # A little less, so that 0.3 of 10 rows is 3 of them in floating point, too.
    kept = math.ceil(share * len(scores) * (1 - 1e-12))
    order = values.sort_values(ascending=False, kind="stable").dropna().index[:kept]
    return scores.loc[order]
