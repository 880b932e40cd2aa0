"""Shapes and dtypes of arrays, checked at every call of the library's numerics.

beartype looks at those annotations only that name arrays (jaxtyping). Pyright checks all the
others, and what an entrance makes of an argument of a wrong type is for tests to see.
"""

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from beartype import beartype
from jaxtyping import AbstractArray

ROOMS = ("networks", "kernels", "solvers", "data", "proxies", "training", "metrics", "tiles")
"""Parts of nasproxy that compute with arrays."""

Function = TypeVar("Function", bound=Callable[..., Any])


def check(function: Function) -> Function:
    """The function, checked where its annotations name arrays."""
    hints = {n: hint for n, hint in function.__annotations__.items() if _names_array(hint)}
    if not hints:
        return function
    function.__annotations__ = hints
    return beartype(function)


def _names_array(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_names_array(part) for part in get_args(hint))
