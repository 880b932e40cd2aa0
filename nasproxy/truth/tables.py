"""Benchmark tables: official files in, one schema out, and the join of scores with the truth.

A table is a parquet or CSV file with a column of architecture keys, or the columns by which a
search space's own benchmark names architectures, and columns of numbers.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import csv, parquet

from nasproxy import files
from nasproxy.errors import ArchitectureError, TruthError
from nasproxy.space import Tabular

StrPath = str | os.PathLike[str]
Scores = TypeVar("Scores", pd.DataFrame, pd.Series)

_KEY_COLUMNS = ("module_hash", "key", "architecture")
_SPEC = re.compile(r"(?P<path>.+?\.(?:parquet|csv))(?::(?P<column>.*))?", re.IGNORECASE)


class Joined(NamedTuple, Generic[Scores]):
    """Scores and truth of the same architectures, row by row, in the order of the scores.

    ``unmatched_scores`` counts scored architectures without truth, ``unmatched_truth`` the reverse.
    """

    scores: Scores
    truth: pd.Series
    unmatched_scores: int
    unmatched_truth: int


def parse_spec(text: str) -> tuple[Path, str]:
    """Split "FILE:COLUMN" where the file's .parquet or .csv ends, so that "C:\\x.csv:top1" works.

    Raises:
        TruthError: without either part; where the file exists, it lists the columns.
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        path = text.partition(":")[0]
        absent = os.sep in path and not os.path.exists(path)
        raise TruthError(
            (f"there is no table {path}" if absent else f"{text!r} names no table")
            + "; give FILE:COLUMN with a .parquet or .csv file, such as "
            "nasbench101.parquet:test_accuracy_108"
        )
    path, column = Path(match["path"]), match["column"]
    if not column:
        raise TruthError(f"{text!r} names no column; give {path}:COLUMN, {_listed(_columns(path))}")
    return path, column


def read(
    path: StrPath, column: str, key: str | None = None, spaces: Sequence[Tabular] = ()
) -> pd.Series:
    """Read a column of a parquet or CSV table: a float64 Series indexed by architecture key (text).

    Args:
        path: the table; its suffix tells the format.
        column: a column of numbers, in whatever unit the table has.
        key: the column of keys; by default what ``spaces`` have, then "module_hash", "key" or
            "architecture", in this order.
        spaces: search spaces whose benchmark's columns are turned into keys where the table has
            them all.

    Returns:
        One entry an architecture, in the table's order. Rows whose truth is missing (NaN or
        infinite) are dropped, and a key that occurs more than once gets the mean of its rows;
        ``.attrs["missing"]`` and ``.attrs["repeated"]`` count the rows that this removed.

    Raises:
        TruthError: a file that cannot be read, an unknown or non-numeric column, or a table without
            keys or numbers.
    """
    path = Path(path)
    columns = _columns(path)
    space = None if key else _naming(columns, spaces)
    cure = "name the one that holds keys by --key (in Python, key=)"
    keyed = list(space.columns) if space else [_key_column(path, columns, key, spaces, cure)]
    if column not in columns:
        raise TruthError(f"{path} has no column {column!r}; {_listed(columns)}")
    if column in keyed:
        raise TruthError(f"{column!r} holds the keys of {path}; {_listed(columns)}")
    frame = _read_columns(path, keyed, [column])
    if not pd.api.types.is_numeric_dtype(frame[column]):
        raise TruthError(
            f"column {column!r} of {path} holds {frame[column].dtype}, such as "
            f"{frame[column].iloc[:1].tolist()}; name a column of numbers, {_listed(columns)}"
        )
    keys = _keys(path, frame, keyed, space)
    values = frame[column].to_numpy(np.float64, na_value=np.nan)
    series = pd.Series(values, index=keys, name=column)
    present = series[np.isfinite(values)]
    if present.empty:
        raise TruthError(f"column {column!r} of {path} holds no number; {_listed(columns)}")
    truth = present.groupby(level=0, sort=False).mean()
    truth.attrs = {"missing": len(series) - len(present), "repeated": len(present) - len(truth)}
    return truth


def read_keys(path: StrPath, space: object) -> list[str]:
    """The distinct keys of a table's architectures, in its order.

    They are made of the columns by which the space's benchmark names architectures, or stand in
    "module_hash", "key" or "architecture".

    Raises:
        TruthError: a file that cannot be read or has none of these columns.
    """
    path = Path(path)
    columns, spaces = _columns(path), [space] if isinstance(space, Tabular) else []
    naming = _naming(columns, spaces)
    cure = "rename the one that holds keys to key, or give a text file, an architecture a line"
    keyed = list(naming.columns) if naming else [_key_column(path, columns, None, spaces, cure)]
    keys = _keys(path, _read_columns(path, keyed, []), keyed, naming)
    return keys.unique().tolist()


def join(scores: Scores, truth: pd.Series) -> Joined[Scores]:
    """Pair scores with truth by architecture key, both indexed by it; keys compare as text.

    Raises:
        TruthError: no key is in both, or one occurs twice in either.
    """
    scores, truth = _keyed("scores", scores), _keyed("truth", truth)
    places = truth.index.get_indexer(scores.index)  # See known.
    found = places >= 0
    if not found.any():
        raise TruthError(
            f"none of {len(scores)} scored architectures is among the {len(truth)} of the truth: "
            f"scores have keys such as {_example(scores)}, the truth {_example(truth)}; read the "
            "truth with the key column that the search space's keys come from"
        )
    n = int(found.sum())
    return Joined(scores[found], truth.iloc[places[found]], len(scores) - n, len(truth) - n)


def known(keys: pd.Index, truth: pd.Series) -> pd.Index:
    """Those of the keys that the truth has, in their order."""
    # get_indexer keeps the truth's hash table; isin takes seconds on the text of a large table.
    return keys[truth.index.get_indexer(keys) >= 0]


def write_table(frame: pd.DataFrame, path: StrPath) -> None:
    """Write a table to a .parquet or .csv file, its index too if named, whole or not at all.

    Raises:
        TruthError: another suffix, or a folder that cannot be written.
    """
    path = Path(path)
    write = frame.to_csv if _suffix(path) == ".csv" else frame.to_parquet
    index = any(name is not None for name in frame.index.names)
    try:
        with files.replacing(path) as file:
            write(file, index=index)
    except OSError as error:
        raise TruthError(f"{path} cannot be written ({error}); check the folder") from error


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise TruthError(f"{path} ends in {suffix!r}; a table is a .parquet or .csv file")
    return suffix


def _columns(path: Path) -> list[str]:
    """The names of a table's columns, without reading it."""
    if not path.exists():
        raise TruthError(f"there is no table {path}; check the path")
    try:
        if _suffix(path) == ".csv":
            with csv.open_csv(path) as reader:
                return reader.schema.names
        return parquet.read_schema(path).names
    except TruthError:
        raise
    except (OSError, ValueError) as error:
        raise TruthError(f"{path} cannot be read ({error}); is it complete?") from error


def _read_columns(path: Path, keyed: list[str], others: list[str]) -> pd.DataFrame:
    try:
        if _suffix(path) == ".csv":
            # A key stays as it is written: 0012 is no number, and NA no missing value.
            text = {keyed[0]: pyarrow.string()} if len(keyed) == 1 else {}
            options = csv.ConvertOptions(include_columns=[*keyed, *others], column_types=text)
            table = csv.read_csv(path, convert_options=options)
        else:
            table = parquet.read_table(path, columns=[*keyed, *others])
        return table.to_pandas(ignore_metadata=True)
    except (OSError, ValueError) as error:
        raise TruthError(f"{path} cannot be read ({error}); is it complete?") from error


def _naming(columns: list[str], spaces: Sequence[Tabular]) -> Tabular | None:
    """The first space whose columns are all there."""
    return next((space for space in spaces if set(space.columns) <= set(columns)), None)


def _key_column(
    path: Path, columns: list[str], key: str | None, spaces: Sequence[Tabular], cure: str
) -> str:
    if key is None:
        key = next((name for name in _KEY_COLUMNS if name in columns), None)
        if key is None:
            own = "".join(f", nor all of {_abridged(space.columns)}" for space in spaces)
            raise TruthError(
                f"{path} has none of the key columns {', '.join(_KEY_COLUMNS)}{own} "
                f"({_listed(columns)}); {cure}"
            )
    elif key not in columns:
        raise TruthError(f"{path} has no key column {key!r}; {_listed(columns)}")
    return key


def _keys(path: Path, frame: pd.DataFrame, keyed: list[str], space: Tabular | None) -> pd.Index:
    """The architecture key of every row."""
    nameless = int((frame[keyed].isna() | (frame[keyed] == "")).any(axis=1).sum())
    if nameless:
        named = repr(keyed[0]) if len(keyed) == 1 else _abridged(keyed)
        raise TruthError(f"{nameless} rows of {path} have no {named}; fill or remove those rows")
    if space is None:
        return pd.Index(frame[keyed[0]].astype(str), name=keyed[0])
    keys = []
    for number, row in enumerate(frame[keyed].to_dict("records")):
        try:
            keys.append(space.row_key(row))
        except ArchitectureError as error:
            raise TruthError(f"row {number} of {path}: {error}") from error
    return pd.Index(keys, name="architecture")


def _abridged(columns: Sequence[str]) -> str:
    shown = columns if len(columns) <= 4 else [*columns[:3], "…", columns[-1]]
    return ", ".join(shown)


def _keyed(name: str, table: Scores) -> Scores:
    """A copy of ``table`` with keys as text, each there once."""
    table = table.set_axis(table.index.astype(str), axis=0)
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise TruthError(
            f"{name} repeat key {repeated[0]!r} ({len(repeated)} rows too many); average them, or "
            "keep one row an architecture"
        )
    return table


def _example(table: pd.DataFrame | pd.Series) -> str:
    return repr(table.index[0]) if len(table) else "(none: it is empty)"


def _listed(columns: list[str]) -> str:
    return f"columns: {', '.join(columns)}"
