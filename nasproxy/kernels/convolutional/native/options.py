"""How machine code is made here."""

from collections.abc import Callable
from inspect import unwrap
from typing import Any

from numba import njit

OPTIONS: Any = {"fastmath": True, "error_model": "numpy", "nogil": True}
"""What is not finite is looked for before and after: fastmath does not see it."""


def helper(function: Callable[..., Any]) -> Any:
    # Tests wrap every function to check its arguments; Numba needs what is in the wrapping.
    return njit(**OPTIONS)(unwrap(function))
