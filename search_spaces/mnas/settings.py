"""Checks of MNAS's settings; each raises SettingError for a value that it does not accept."""

import math
from collections.abc import Iterable
from typing import Any

from nasproxy.errors import SettingError


def check_numbers(name: str, setting: str, values: object, least: int, count: int) -> None:
    """A tuple of so many whole numbers, none below ``least``."""
    whole = isinstance(values, tuple) and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= least for v in values
    )
    if not isinstance(values, tuple) or not whole or len(values) != count:
        raise SettingError(
            f"{setting}={values!r} of {name}: give {count} whole numbers of at least {least}, "
            "joined by slashes"
        )


def check_hundredths(
    name: str, setting: str, values: tuple[Any, ...], least: float, most: float
) -> None:
    """One number or more, from ``least`` to ``most``, in hundredths, which keys are written in."""
    if not values:
        raise SettingError(f"{setting}=() of {name}: give at least one number")
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            wrong = "give a number, several as 0.25/0.5"
        elif value < least:
            wrong = f"give at least {least:g}"
        elif value > most:
            wrong = f"give at most {most:g}"
        elif abs(100 * value - round(100 * value)) >= 1e-9:
            wrong = f"keys are written in hundredths, so give {round(value, 2):g} or another one"
        else:
            continue
        raise SettingError(f"{setting}={value!r} of {name}: {wrong}")


def check_choice(name: str, setting: str, value: object, accepted: Iterable[str]) -> None:
    """One of these, but for ``none``."""
    names = [choice for choice in accepted if choice != "none"]
    if value not in names:
        raise SettingError(f"{setting}={value!r} of {name}: choose one of {', '.join(names)}")
