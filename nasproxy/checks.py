"""What settings are checked by: rules, and one message for all.

A settings class says in its ``__post_init__`` what each of its fields may be::

    check("training", self, batch=Whole(2, hint="batch norm needs a variance"), augment=Flag())

``batch=1 of training: give a whole number of at least 2, batch norm needs a variance``
"""

import math
import operator
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real as AnyReal
from typing import Any, Protocol

import numpy as np

from nasproxy.errors import SettingError


class Unfit(ValueError):
    """What to do instead of a value, to follow "NAME=VALUE of OWNER: "."""


class Rule(Protocol):
    """What a value may be.

    Attributes:
        accepted: it in words, to follow "give".
    """

    @property
    def accepted(self) -> str: ...

    def read(self, value: Any) -> Any:
        """The value in the form that it is kept in, equal to it; raises Unfit if it is none."""
        ...


@dataclass(frozen=True)
class Whole:
    """A whole number from ``least`` to ``most``, NumPy's among them; kept as an int."""

    least: int = 1
    most: int | None = None
    hint: str = ""

    @property
    def accepted(self) -> str:
        most = self.most
        bounds = f"of at least {self.least}" if most is None else f"from {self.least} to {most}"
        return _hinted(f"a whole number {bounds}", self.hint)

    def read(self, value: Any) -> int:
        number = whole(value, self.least)
        if number is None or (self.most is not None and number > self.most):
            raise Unfit(f"give {self.accepted}")
        return number


@dataclass(frozen=True)
class Real:
    """A finite number within the bounds that are given, NumPy's among them; kept as a float."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    hint: str = ""

    @property
    def accepted(self) -> str:
        bounds = {
            "of at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
        }
        given = [f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None]
        said = " and ".join(given)
        if self.least is not None and self.most is not None:
            said = f"from {self.least:g} to {self.most:g}"
        return _hinted(f"a number {said}".rstrip(), self.hint)

    def read(self, value: Any) -> float:
        number = math.nan
        if isinstance(value, AnyReal) and not isinstance(value, bool):
            with suppress(OverflowError):
                number = float(value)
        if not (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
        ):
            raise Unfit(f"give {self.accepted}")
        return number


class Flag:
    """A boolean, and no number for one."""

    accepted = "true or false"

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool | np.bool_):
            raise Unfit(f"give {self.accepted}")
        return bool(value)


class OneOf:
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    @property
    def accepted(self) -> str:
        return " or ".join(filter(None, [", ".join(self.words[:-1]), self.words[-1]]))

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise Unfit(f"give {self.accepted}")
        return str(value)


@dataclass(frozen=True)
class Several:
    """What another rule accepts, alone or in a tuple; a list is kept as a tuple.

    Attributes:
        rule: of each.
        example: of several, as the command line has them.
        count: how many there must be; then a tuple only.
    """

    rule: Rule
    example: str = ""
    count: int | None = None

    @property
    def accepted(self) -> str:
        if self.count is not None:
            return f"{self.count} joined by slashes, each {self.rule.accepted}"
        return _hinted(self.rule.accepted, f"several as {self.example}")

    def read(self, value: Any) -> Any:
        given = tuple(value) if isinstance(value, tuple | list) else (value,)
        alone = not isinstance(value, tuple | list)
        if not given or (self.count is not None and (alone or len(given) != self.count)):
            raise Unfit(f"give {self.accepted}")
        try:
            read = tuple(map(self.rule.read, given))
        except Unfit as unfit:
            usual = str(unfit) == f"give {self.rule.accepted}"
            raise Unfit(f"give {self.accepted}") if usual else unfit from None
        return read[0] if alone else read


@dataclass(frozen=True)
class Optional:
    """What another rule accepts, or None."""

    rule: Rule

    @property
    def accepted(self) -> str:
        return f"{self.rule.accepted}, or none"

    def read(self, value: Any) -> Any:
        if value is None:
            return None
        try:
            return self.rule.read(value)
        except Unfit as unfit:
            raise Unfit(f"{unfit}, or none") from None


def check(owner: str, settings: Any, /, **rules: Rule) -> None:
    """Holds the fields of a dataclass, frozen or not, to rules, and keeps what these read.

    Args:
        owner: whose settings they are, for messages.
        settings: the dataclass's instance.
        **rules: by field.

    Raises:
        SettingError: the first field that is unfit, what it was and what to give.
    """
    for name, rule in rules.items():
        object.__setattr__(settings, name, checked(owner, name, getattr(settings, name), rule))


def checked(owner: str, name: str, value: Any, rule: Rule) -> Any:
    """One value, as its rule keeps it; see :func:`check`."""
    try:
        return rule.read(value)
    except Unfit as unfit:
        raise SettingError(f"{name}={value!r} of {owner}: {unfit}") from None


def whole(value: Any, least: int) -> int | None:
    """A whole number, NumPy's among them, as an int; None if it is none, or below ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return None if isinstance(value, bool) or number < least else number


def _hinted(words: str, hint: str) -> str:
    return f"{words}, {hint}" if hint else words
