"""A score as a row of the database: what it is, its checksum, and how it comes back."""

import hashlib
import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

from nasproxy.errors import StoreError


@dataclass(frozen=True)
class Key:
    """What a score is a score of; the caller makes the strings canonical.

    ``data`` names contents, not only a name: ``digits@<fingerprint>``.
    """

    space: str
    architecture: str
    proxy: str
    data: str
    seed: int


@dataclass(frozen=True)
class Record:
    """One score, or why there is none: exactly one of ``value`` and ``error`` is None.

    Attributes:
        key: of what.
        value: the score.
        seconds: wall time.
        flops: floating-point operations that it took.
        info: whatever the proxy reports; strict JSON, no NaN.
        error: the reason of a failure.
        architecture_json: of its search space.
        created: seconds since the epoch.
    """

    key: Key
    value: float | None
    seconds: float
    flops: float
    info: dict[str, Any]
    error: str | None
    architecture_json: str
    created: float = field(default_factory=time.time)


COLUMNS = (
    *("space", "proxy", "data", "seed", "architecture"),
    *("value", "seconds", "flops", "info", "error", "architecture_json", "created"),
)
"""Of a row, in the order of :func:`row`, the digest after them."""
RUN = 4
"""How many of the columns, the first, are the run's."""
Row = tuple[Any, ...]


def row(record: Record) -> Row:
    """The columns of a record, then their digest; plain numbers, as SQLite keeps NumPy's as bytes.

    Raises:
        ValueError: a number that is not finite, an info that is no JSON, a text that is no Unicode,
            or a record that holds both a value and an error, or neither.
    """
    key = record.key
    if (record.value is None) == (record.error is None):
        raise ValueError(
            f"{key}: needs a value or an error, one of them;"
            f" got value={record.value}, error={record.error!r}"
        )
    numbers = {"value": record.value, "seconds": record.seconds, "flops": record.flops}
    for name, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise ValueError(f"{key}: {name} is {number}, not finite: store it as an error")
    try:
        info = json.dumps(record.info, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{key}: info is not strict JSON ({error}): {record.info!r}") from error
    if not 0 <= int(key.seed) < 2**63:
        raise ValueError(f"{key}: the seed is not from 0 to 2^63 - 1")
    # SQLite keeps -0 as 0: adding 0 does so before the digest is taken.
    value = None if record.value is None else float(record.value) + 0.0
    columns = (
        *(key.space, key.proxy, key.data, int(key.seed), key.architecture),
        *(value, float(record.seconds) + 0.0, float(record.flops) + 0.0, info),
        *(record.error, record.architecture_json, float(record.created) + 0.0),
    )
    return (*columns, digest(columns))


def digest(columns: Row) -> bytes:
    """8 bytes of BLAKE2b over the columns, written so that no two rows look alike."""
    plain = [c.hex() if isinstance(c, float) else c for c in columns]
    return hashlib.blake2b(json.dumps(plain).encode(), digest_size=8).digest()


def record(found: Row) -> Record:
    """The record of a row.

    Raises:
        StoreError: its digest is of something else, or a column is of another kind than is stored.
            Rows of older stores come without a digest, None.
    """
    *columns, kept = found
    space, proxy, data, seed, architecture, value, seconds, flops, info, error, *rest = columns
    text, created = rest
    if kept is not None and kept != digest(tuple(columns)):
        raise StoreError(_damaged(architecture, proxy, "its checksum is of something else"))
    kinds: tuple[tuple[str, Any, type | tuple[type, ...]], ...] = (
        *((name, c, str) for name, c in zip(COLUMNS, columns, strict=True) if name in _TEXT),
        ("seed", seed, int),
        ("value", value, (float, type(None))),
        ("error", error, (str, type(None))),
        *(("seconds", seconds, float), ("flops", flops, float), ("created", created, float)),
    )
    for name, given, kind in kinds:
        if not isinstance(given, kind):
            raise StoreError(_damaged(architecture, proxy, f"its {name} is {str(given)[:80]!r}"))
    if (value is None) == (error is None):
        raise StoreError(_damaged(architecture, proxy, "it has a value and an error, or neither"))
    try:
        loaded = json.loads(info)
    except (ValueError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("columns", {}), dict):
        raise StoreError(_damaged(architecture, proxy, f"its info is {info[:80]!r}"))
    if not all(_is_score(column) for column in loaded.get("columns", {}).values()):
        raise StoreError(_damaged(architecture, proxy, "a column of its info is no number"))
    key = Key(space, architecture, proxy, data, seed)
    return Record(key, value, seconds, flops, loaded, error, text, created)


_TEXT = ("space", "proxy", "data", "architecture", "info", "architecture_json")


def _is_score(given: Any) -> bool:
    return given is None or (
        isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
    )


def _damaged(architecture: Any, proxy: Any, what: str) -> str:
    return (
        f"the score of {str(architecture)[:80]!r} by {str(proxy)[:80]!r} is damaged: {what}; list "
        "such rows by nasproxy store check, and keep the others by nasproxy store merge FILE "
        "--into NEW --skip-damaged"
    )
