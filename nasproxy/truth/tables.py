"""Benchmark tables: official files in, one schema out, and the join of scores with the truth.

A table is a parquet or CSV file with a column of architecture keys, or the columns by which a
search space's own benchmark names architectures, and columns of numbers.
"""

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from nasproxy import files
from nasproxy.errors import ArchitectureError, TruthError
from nasproxy.space import Canonical, Tabular
from nasproxy.truth import reading

StrPath = str | os.PathLike[str]
Scores = TypeVar("Scores", pd.DataFrame, pd.Series)

_KEY_COLUMNS = ("module_hash", "key", "architecture")
_SPEC = re.compile(
    r"(?P<path>.+?\.(?:parquet|csv))(?::(?P<column>.*?)(?::(?P<better>lower|higher))?)?",
    re.IGNORECASE,
)


class Joined(NamedTuple, Generic[Scores]):
    """Scores and truth of the same architectures, row by row, in the order of the scores.

    ``unmatched_scores`` counts scored architectures without truth, ``unmatched_truth`` the reverse.
    """

    scores: Scores
    truth: pd.Series
    unmatched_scores: int
    unmatched_truth: int


class Spec(NamedTuple):
    """A column of a table.

    Attributes:
        path: of the table.
        column: its name.
        lower: whether a lower value is a better one.
    """

    path: Path
    column: str
    lower: bool = False


def parse_spec(text: str) -> Spec:
    """Split "FILE:COLUMN" where the file's .parquet or .csv ends, so that "C:\\x.csv:top1" works.

    "FILE:COLUMN:lower" is of a column whose lower values are better, a loss or an error;
    ":higher" says the usual.

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
        listed = _listed(reading.names(path))
        raise TruthError(f"{text!r} names no column; give {path}:COLUMN, {listed}")
    return Spec(path, column, (match["better"] or "").lower() == "lower")


def read(
    path: StrPath,
    column: str,
    key: str | None = None,
    spaces: Sequence[Any] = (),
    *,
    where: Mapping[str, Any] | None = None,
    lower: bool = False,
    average: bool = False,
) -> pd.Series:
    """Read a column of a parquet or CSV table: a float64 Series indexed by architecture key (text).

    Args:
        path: the table; its suffix tells the format, and a .csv file's first line its delimiter.
        column: a column of numbers, in whatever unit the table has.
        key: the column of keys; by default what ``spaces`` have, then "module_hash", "key" or
            "architecture", in this order.
        spaces: search spaces that scores are of. Where the table has all columns by which one's
            benchmark names architectures, keys are made of these; keys are brought to the form
            that the spaces write them in.
        where: which rows to read, by column, of a table with several rows an architecture:
            ``{"dataset": "cifar10"}``.
        lower: whether a lower value is a better one, kept as ``.attrs["lower"]``.
        average: take the mean over rows of one key whose numbers differ.

    Returns:
        One entry an architecture, in the table's order. Rows whose truth is missing (NaN or
        infinite) are dropped. ``.attrs`` counts ``rows`` read, those that were ``missing`` or
        ``repeated``, and keys that were ``mended`` or are ``foreign`` to the spaces.

    Raises:
        TruthError: a file that cannot be read, an unknown column, a cell that is no number, keys
            that repeat with different numbers, or a table without keys or numbers.
    """
    path, where = Path(path), {name: str(value) for name, value in (where or {}).items()}
    columns = reading.names(path)
    naming = None if key else _naming(columns, spaces)
    cure = "name the one that holds keys by --key (in Python, key=)"
    keyed = list(naming.columns) if naming else [_key_column(path, columns, key, spaces, cure)]
    for name in (column, *where):
        if name not in columns:
            raise TruthError(f"{path} has no column {name!r}; {_listed(columns)}")
    if column in keyed:
        raise TruthError(f"{column!r} holds the keys of {path}; {_listed(columns)}")
    text = [*(keyed if len(keyed) == 1 else []), column, *where]
    frame = reading.columns(path, text, keyed)
    frame = frame[reading.chosen(path, frame, where)]
    keys, mended, foreign = _keys(path, frame, keyed, naming, spaces)
    values = reading.numbers(path, column, frame[column])
    series = pd.Series(values, index=keys, name=column)
    present = series[np.isfinite(values)]
    if present.empty:
        raise TruthError(f"column {column!r} of {path} holds no number; {_listed(columns)}")
    grouped = present.groupby(level=0, sort=False)
    if not average:
        _check_repeats(path, present, grouped, columns, [*keyed, column, *where])
    truth = grouped.mean()
    truth.attrs = {
        "rows": len(series),
        "missing": len(series) - len(present),
        "repeated": len(present) - len(truth),
        "mended": mended,
        "foreign": foreign,
        "lower": lower,
    }
    return truth


def _check_repeats(
    path: Path, present: pd.Series, grouped: Any, columns: list[str], used: list[str]
) -> None:
    """Raises TruthError for keys that repeat with different numbers: which of them is meant?"""
    if len(present) == grouped.ngroups:
        return
    spread = grouped.agg(["min", "max"])
    apart = spread[spread["min"] != spread["max"]]
    if apart.empty:
        return
    key = apart.index[0]
    others = [name for name in columns if name not in used]
    by = f" such as {', '.join(others[:5])}" if others else ""
    raise TruthError(
        f"{len(apart)} keys of {path} stand in several rows with different numbers, {key!r} with "
        f"{apart['min'].iloc[0]:g} to {apart['max'].iloc[0]:g}: choose rows by --where "
        f"COLUMN=VALUE (in Python, where=) of a column{by}, or take means by --average"
    )


def read_keys(path: StrPath, space: object) -> list[str]:
    """The distinct keys of a table's architectures, in its order.

    They are made of the columns by which the space's benchmark names architectures, or stand in
    "module_hash", "key" or "architecture".

    Raises:
        TruthError: a file that cannot be read or has none of these columns.
    """
    path = Path(path)
    columns, spaces = reading.names(path), [space] if isinstance(space, Tabular) else []
    naming = _naming(columns, spaces)
    cure = "rename the one that holds keys to key, or give a text file, an architecture a line"
    keyed = list(naming.columns) if naming else [_key_column(path, columns, None, spaces, cure)]
    frame = reading.columns(path, keyed if len(keyed) == 1 else [], keyed)
    keys, _, _ = _keys(path, frame, keyed, naming, [space])
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


def check_table(path: StrPath) -> None:
    """Raises TruthError where :func:`write_table` would, before there is something to write."""
    path = Path(path)
    reading.suffix(path)
    try:
        files.check_place(path)
    except OSError as error:
        raise TruthError(f"{path} cannot be written ({error}); check the folder") from error


def write_table(frame: pd.DataFrame, path: StrPath) -> None:
    """Write a table to a .parquet or .csv file, its index too if named, whole or not at all.

    Raises:
        TruthError: another suffix, or a folder that cannot be written.
    """
    path = Path(path)
    index = any(name is not None for name in frame.index.names)
    is_csv = reading.suffix(path) == ".csv"
    write = frame.to_csv if is_csv else partial(frame.to_parquet, write_page_checksum=True)
    try:
        with files.replacing(path) as file:
            write(file, index=index)
    except OSError as error:
        raise TruthError(f"{path} cannot be written ({error}); check the folder") from error


def _naming(columns: list[str], spaces: Sequence[Any]) -> Tabular | None:
    """The first space whose columns are all there."""
    tabular = (space for space in spaces if isinstance(space, Tabular))
    return next((space for space in tabular if set(space.columns) <= set(columns)), None)


def _key_column(
    path: Path, columns: list[str], key: str | None, spaces: Sequence[Any], cure: str
) -> str:
    if key is None:
        key = next((name for name in _KEY_COLUMNS if name in columns), None)
        if key is None:
            own = "".join(
                f", nor all of {_abridged(space.columns)}"
                for space in spaces
                if isinstance(space, Tabular)
            )
            raise TruthError(
                f"{path} has none of the key columns {', '.join(_KEY_COLUMNS)}{own} "
                f"({_listed(columns)}); {cure}"
            )
    elif key not in columns:
        raise TruthError(f"{path} has no key column {key!r}; {_listed(columns)}")
    return key


def _keys(
    path: Path, frame: pd.DataFrame, keyed: list[str], naming: Tabular | None, spaces: Sequence[Any]
) -> tuple[pd.Index, int, int]:
    """The architecture key of every row; how many were mended, how many no space has."""
    nameless = int((frame[keyed].isna() | (frame[keyed] == "")).any(axis=1).sum())
    if nameless:
        named = repr(keyed[0]) if len(keyed) == 1 else _abridged(keyed)
        raise TruthError(f"{nameless} rows of {path} have no {named}; fill or remove those rows")
    if naming is not None:
        keys = []
        for number, row in zip(frame.index.tolist(), frame[keyed].to_dict("records"), strict=True):
            try:
                keys.append(naming.row_key(row))
            except ArchitectureError as error:
                raise TruthError(f"row {number + 1} of {path}: {error}") from error
        return pd.Index(keys, name="architecture"), 0, 0
    written = [_text(cell) for cell in frame[keyed[0]].tolist()]
    canonical = [space.canonical for space in spaces if isinstance(space, Canonical)]
    if not canonical or len(canonical) < len(spaces):
        return pd.Index(written, name=keyed[0]), 0, 0
    keys, mended, foreign = [], 0, 0
    for text in written:
        found = next((key for read in canonical if (key := read(text)) is not None), None)
        foreign += found is None
        mended += found is not None and found != text
        keys.append(text if found is None else found)
    return pd.Index(keys, name=keyed[0]), mended, foreign


def _text(cell: Any) -> str:
    """A key as text; of a number that is whole, without a point."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


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
