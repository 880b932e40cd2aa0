"""Columns of .parquet and .csv files as text and numbers: the one place that reads tables."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray
from pyarrow import csv, parquet

from nasproxy.errors import TruthError

EMPTY = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})
"""Cells, in small letters, that stand for a missing number."""
_DELIMITERS = (",", ";", "\t")
_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)


def names(path: Path) -> list[str]:
    """The names of a table's columns, without reading it.

    Raises:
        TruthError: no table, one that cannot be read, or one that names a column twice.
    """
    if not path.exists():
        raise TruthError(f"there is no table {path}; check the path")
    try:
        if suffix(path) == ".csv":
            with csv.open_csv(path, parse_options=_parsing(path)) as reader:
                found = reader.schema.names
        else:
            found = parquet.read_schema(path).names
    except TruthError:
        raise
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise TruthError(f"{path} cannot be read ({error}); is it complete?") from error
    repeated = sorted({name for name in found if found.count(name) > 1})
    if repeated:
        raise TruthError(f"{path} has several columns {repeated[0]!r}; name each once")
    return found


def columns(path: Path, text: Sequence[str], others: Sequence[str]) -> pd.DataFrame:
    """Some columns, as the file has them; of a .csv file as what their cells look like.

    Of a .csv file ``text`` comes as it is written: 0012 is no number, and NA may be a name.
    """
    wanted = list(dict.fromkeys([*text, *others]))
    try:
        if suffix(path) == ".csv":
            options = csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(text, pyarrow.string()),
                strings_can_be_null=False,
            )
            table = csv.read_csv(path, parse_options=_parsing(path), convert_options=options)
        else:
            table = parquet.read_table(path, columns=wanted, page_checksum_verification=True)
        return table.to_pandas(ignore_metadata=True)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise TruthError(f"{path} cannot be read ({error}); is it complete?") from error


def suffix(path: Path) -> str:
    """``.parquet`` or ``.csv``."""
    found = path.suffix.lower()
    if found not in (".parquet", ".csv"):
        raise TruthError(f"{path} ends in {found!r}; a table is a .parquet or .csv file")
    return found


def numbers(path: Path, column: str, values: pd.Series) -> NDArray[np.float64]:
    """A column as float64, NaN where a cell is missing; text that is a number is one.

    Raises:
        TruthError: a cell that is no number; names it and its row, counted from 1.
    """
    if pd.api.types.is_bool_dtype(values):
        raise TruthError(f"column {column!r} of {path} holds true and false; name one of numbers")
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan)
    found, cells = np.empty(len(values)), values.tolist()
    for row, value in enumerate(cells):
        number = _number(value)
        if number is None:
            said = repr(value)[:80]
            if sum(_number(cell) is None for cell in cells[:100]) > min(len(cells), 100) / 2:
                raise TruthError(
                    f"column {column!r} of {path} holds {values.dtype}, such as {said}; name a "
                    f"column of numbers, columns: {', '.join(names(path))}"
                )
            cure = "write a number, or leave the cell empty"
            if isinstance(value, str) and _COMMA.fullmatch(value.strip()):
                cure = "write decimals with a point"
            raise TruthError(f"row {row + 1} of {path} has {said} in {column!r}: {cure}")
        found[row] = number
    return found


def chosen(path: Path, frame: pd.DataFrame, where: dict[str, str]) -> NDArray[np.bool_]:
    """The rows whose cells are what ``where`` says, as text or as numbers.

    Raises:
        TruthError: there is none; lists what the column holds.
    """
    kept = np.ones(len(frame), np.bool_)
    for column, wanted in where.items():
        cells = frame[column]
        same = cells.astype(str).str.strip().to_numpy(dtype=object) == wanted.strip()
        number = _number(wanted)
        if number is not None and not math.isnan(number):
            same |= np.array([_number(cell) == number for cell in cells.tolist()])
        kept &= same.astype(np.bool_)
        if not kept.any():
            held = cells.astype(str).drop_duplicates().tolist()
            listed = ", ".join(held[:10]) + (f" and {len(held) - 10} more" * (len(held) > 10))
            raise TruthError(f"no row of {path} has {column}={wanted}; it holds {listed}")
    return kept


def _number(value: Any) -> float | None:
    """NaN for a missing cell, None for what is neither that nor a number."""
    if value is None or value is pd.NA:
        return math.nan
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float | Decimal | np.number):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text.lower() in EMPTY:
        return math.nan
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def _parsing(path: Path) -> csv.ParseOptions:
    """The delimiter that the first line has most of."""
    with path.open("rb") as file:
        first = file.readline(1 << 20).decode("utf-8", "replace")
    counts = {mark: first.count(mark) for mark in _DELIMITERS}
    return csv.ParseOptions(delimiter=max(_DELIMITERS, key=lambda mark: counts[mark]))
