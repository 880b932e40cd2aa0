"""Spaces whose architectures are a fixed number of independent choices."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from nasproxy.checks import OneOf, Optional, Whole, checked
from nasproxy.errors import ArchitectureError

A = TypeVar("A")


class ProductSpace(ABC, Generic[A]):
    """Sampling, mutation and reading for a space of independent choices.

    Subclasses say what may be chosen and how an architecture is made of choices and named.
    """

    name: ClassVar[str]
    samplers: ClassVar[tuple[str, ...]] = ("uniform",)

    @property
    @abstractmethod
    def choices(self) -> tuple[tuple[Any, ...], ...]:
        """What may be chosen at every position; a value listed twice is drawn twice as often."""

    @property
    def positions(self) -> tuple[str, ...]:
        """A name for each choice."""
        return tuple(f"choice{i + 1}" for i in range(len(self.choices)))

    @abstractmethod
    def assemble(self, values: Sequence[Any]) -> A:
        """The architecture of one value a position."""

    @abstractmethod
    def values(self, architecture: A) -> tuple[Any, ...]:
        """Values that :meth:`assemble` makes the architecture of."""

    @abstractmethod
    def key(self, architecture: A) -> str:
        """A readable name, equal for architectures that are the same network."""

    def sample(self, n: int, seed: int, sampler: str | None = None) -> list[A]:
        """Draws ``n`` distinct architectures, every choice by itself; repeats are drawn again.

        Raises:
            SettingError: another sampler than ``uniform``; ``n`` negative or beyond the space.
        """
        checked(self.name, "sampler", sampler, Optional(OneOf(*self.samplers)))
        size = math.prod(len(set(values)) for values in self.choices)
        n = checked(self.name, "n", n, Whole(0, size, hint="as many as it holds"))
        rng = np.random.default_rng(seed)
        drawn: dict[str, A] = {}
        while len(drawn) < n:
            architecture = self.assemble([_drawn(values, rng) for values in self.choices])
            drawn.setdefault(self.key(architecture), architecture)
        return list(drawn.values())

    def mutate(self, architecture: A, rng: np.random.Generator) -> A:
        """Another value at one position, drawn again while the network stays the same."""
        values = self.values(architecture)
        while True:
            position = int(rng.integers(len(values)))
            others = [v for v in set_of(self.choices[position]) if v != values[position]]
            if not others:
                continue
            edited = [*values[:position], _drawn(others, rng), *values[position + 1 :]]
            mutant = self.assemble(edited)
            if self.key(mutant) != self.key(architecture):
                return mutant


class NamedSpace(ProductSpace[str]):
    """A product space whose architectures are their own keys.

    Attributes:
        columns: of the benchmark's tables, the one that holds the key.
    """

    columns: ClassVar[tuple[str, ...]]

    def key(self, architecture: str) -> str:
        """The architecture itself."""
        return architecture

    def row_key(self, row: Mapping[Any, Any]) -> str:
        """The key in a row of the benchmark's table; raises ArchitectureError if it is none."""
        text = str(row[self.columns[0]])
        return self.canonical(text) or self.find(text)

    def canonical(self, text: str) -> str | None:
        """The key without blanks around it; None if it is none."""
        try:
            return self.find(self.spelled(text.strip()))
        except ArchitectureError:
            return None

    def spelled(self, text: str) -> str:
        """What a text that is no key stands for, where that is beyond doubt."""
        return text

    @abstractmethod
    def find(self, key: str) -> str:
        """The key again, if it is one; else raises ArchitectureError."""

    def to_json(self, architecture: str) -> str:
        """``{"arch": key}``."""
        return json.dumps({"arch": architecture})

    def from_json(self, text: str) -> str:
        """A key, checked by :meth:`find`."""
        record = read_json(text)
        if record.keys() != {"arch"} or not isinstance(record["arch"], str):
            raise ArchitectureError(f'{text[:80]!r} is no architecture: write {{"arch": "..."}}')
        return self.find(record["arch"])


def read_json(text: str) -> dict[str, Any]:
    """A JSON object; raises ArchitectureError for anything else."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArchitectureError(f"{text[:80]!r} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise ArchitectureError(f"{text[:80]!r} is no architecture: write a JSON object")
    return record


def set_of(values: Sequence[Any]) -> list[Any]:
    """Each value once, in order."""
    return list(dict.fromkeys(values))


def _drawn(values: Sequence[Any], rng: np.random.Generator) -> Any:
    return values[int(rng.integers(len(values)))]
