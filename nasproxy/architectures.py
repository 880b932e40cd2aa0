"""Architectures as users give them: objects, keys, JSON, or a file of these."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nasproxy.errors import ArchitectureError
from nasproxy.space import SearchSpace
from nasproxy.truth import tables


def by_key(given: Iterable[Any], space: SearchSpace[Any]) -> dict[str, Any]:
    """Architectures of a space by key, in the order given; a text is a key or its JSON.

    Raises:
        ArchitectureError: what is none of the space's, with its place (from 0).
    """
    if isinstance(given, str | bytes | os.PathLike):
        raise ArchitectureError(
            f"architectures is {str(given)[:80]!r}: give several in a list; of a file, what "
            "nasproxy.architectures.read_architectures reads"
        )
    if not isinstance(given, Iterable):
        raise ArchitectureError(
            f"architectures is of type {type(given).__name__}: give several in a list"
        )
    keyed: dict[str, Any] = {}
    for place, one in enumerate(given):
        try:
            architecture = of_text(one, space) if isinstance(one, str) else one
            keyed[space.key(architecture)] = architecture
        except ArchitectureError as error:
            raise ArchitectureError(f"architectures[{place}]: {error}") from error
        except (AttributeError, TypeError) as error:
            raise ArchitectureError(
                f"architectures[{place}] is of type {type(one).__name__}, which is no architecture "
                f"of {space.name} ({error}): give what sample, find or from_json return, or keys"
            ) from error
    return keyed


def of_text(text: str, space: SearchSpace[Any]) -> Any:
    """The architecture of a key or of JSON; raises ArchitectureError if it is neither."""
    text = text.strip()
    return space.from_json(text) if text[:1] in ("{", "[") else space.find(text)


def read_architectures(path: str | os.PathLike[str], space: SearchSpace) -> list[Any]:
    """Architectures of a text file, a key or JSON a line, or of a .parquet or .csv table.

    Of text, blank lines and what follows ``#`` are left out. Of a table, each architecture is read
    once, by the columns that :func:`nasproxy.truth.read_keys` looks for.

    Raises:
        ArchitectureError: the file cannot be read or holds nothing, or a line is neither a key nor
            JSON of the space; says which line and why.
        TruthError: a table that cannot be read or has unknown columns.
    """
    if Path(path).suffix.lower() in (".parquet", ".csv"):
        found = _of_table(path, space)
    else:
        found = _of_text(path, space)
    if not found:
        raise ArchitectureError(
            f"{path} holds no architecture: write one a line, a key of {space.name} or its JSON"
        )
    return found


def _of_table(path: str | os.PathLike[str], space: SearchSpace) -> list[Any]:
    found = []
    for key in tables.read_keys(path, space):
        try:
            found.append(space.find(key))
        except ArchitectureError as error:
            raise ArchitectureError(f"{path}: {error}") from error
    return found


def _of_text(path: str | os.PathLike[str], space: SearchSpace) -> list[Any]:
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()  # with a mark or without
    except (OSError, UnicodeDecodeError) as error:
        raise ArchitectureError(
            f"cannot read architectures from {path}: {error}; give a text file with one "
            "architecture a line"
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        try:
            found.append(of_text(text, space))
        except ArchitectureError as error:
            raise ArchitectureError(f"{path}, line {number}: {error}") from error
    return found
