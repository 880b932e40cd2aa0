"""What settings are checked by."""

import operator
from typing import Any


def whole(value: Any, least: int) -> int | None:
    """A whole number, NumPy's among them, as an int; None if it is none, or below ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return None if isinstance(value, bool) or number < least else number
