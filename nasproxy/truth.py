"""Benchmark tables: official files in, one schema out, and the join of scores with the truth.

A table is a parquet or CSV file with a column of architecture keys and columns of numbers.
"""

import base64
import binascii
import json
import math
import os
import re
import sys
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from pyarrow import csv, parquet

from nasproxy.errors import TruthError
from nasproxy.tfrecord import FRAME_SIZE, read_records

StrPath = str | os.PathLike[str]
Scores = TypeVar("Scores", pd.DataFrame, pd.Series)

_KEY_COLUMNS = ("module_hash", "key", "architecture")
_SPEC = re.compile(r"(?P<path>.+?\.(?:parquet|csv))(?::(?P<column>.*))?", re.IGNORECASE)
_STATISTICS = ("validation_accuracy", "test_accuracy", "train_accuracy", "training_time")
_OPERATIONS_ENDS = ("input", "output")


class Joined(NamedTuple, Generic[Scores]):
    """Scores and truth of the same architectures, row by row, in the order of the scores.

    `unmatched_scores` counts scored architectures without truth, `unmatched_truth` the reverse.
    """

    scores: Scores
    truth: pd.Series
    unmatched_scores: int
    unmatched_truth: int


def parse_spec(text: str) -> tuple[Path, str]:
    """Split "FILE:COLUMN" where the file's .parquet or .csv ends, so that "C:\\x.csv:top1" works.

    **Raises:** `TruthError` without either part; where the file exists, it lists the columns.
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        raise TruthError(
            f"{text!r} names no table; give FILE:COLUMN with a .parquet or .csv file, such as "
            "nasbench101.parquet:test_accuracy_108"
        )
    path, column = Path(match["path"]), match["column"]
    if not column:
        raise TruthError(f"{text!r} names no column; give {path}:COLUMN, {_listed(_columns(path))}")
    return path, column


def read(path: StrPath, column: str, key: str | None = None) -> pd.Series:
    """Read a column of a parquet or CSV table: a float64 Series indexed by architecture key (text).

    **Arguments:**

    - `path`: the table; its suffix tells the format.
    - `column`: a column of numbers, in whatever unit the table has.
    - `key`: the column of keys; by default "module_hash", "key" or "architecture", in this order.

    **Returns:** one entry an architecture, in the table's order. Rows whose truth is missing (NaN
    or infinite) are dropped, and a key that occurs more than once gets the mean of its rows;
    `.attrs["missing"]` and `.attrs["repeated"]` count the rows that this removed.

    **Raises:** `TruthError` for a file that cannot be read, an unknown or non-numeric column, or a
    table without keys or numbers.
    """
    path = Path(path)
    columns = _columns(path)
    key = _key_column(path, columns, key)
    if column not in columns:
        raise TruthError(f"{path} has no column {column!r}; {_listed(columns)}")
    if column == key:
        raise TruthError(f"{column!r} holds the keys of {path}; {_listed(columns)}")
    frame = _read_columns(path, key, column)
    if not pd.api.types.is_numeric_dtype(frame[column]):
        raise TruthError(
            f"column {column!r} of {path} holds {frame[column].dtype}, such as "
            f"{frame[column].iloc[:1].tolist()}; name a column of numbers, {_listed(columns)}"
        )
    nameless = int((frame[key].isna() | (frame[key] == "")).sum())
    if nameless:
        raise TruthError(f"{nameless} rows of {path} have no {key!r}; fill or remove those rows")
    values = frame[column].to_numpy(np.float64, na_value=np.nan)
    series = pd.Series(values, index=pd.Index(frame[key].astype(str), name=key), name=column)
    present = series[np.isfinite(values)]
    if present.empty:
        raise TruthError(f"column {column!r} of {path} holds no number; {_listed(columns)}")
    truth = present.groupby(level=0, sort=False).mean()
    truth.attrs = {"missing": len(series) - len(present), "repeated": len(present) - len(truth)}
    return truth


def join(scores: Scores, truth: pd.Series) -> Joined[Scores]:
    """Pair scores with truth by architecture key, both indexed by it; keys compare as text.

    **Raises:** `TruthError` where no key is in both, or where one occurs twice in either.
    """
    scores, truth = _keyed("scores", scores), _keyed("truth", truth)
    matched = scores.index[scores.index.isin(truth.index)]
    if matched.empty:
        raise TruthError(
            f"none of {len(scores)} scored architectures is among the {len(truth)} of the truth: "
            f"scores have keys such as {_example(scores)}, the truth {_example(truth)}; read the "
            "truth with the key column that the search space's keys come from"
        )
    n = len(matched)
    return Joined(scores.loc[matched], truth.loc[matched], len(scores) - n, len(truth) - n)


def write_table(frame: pd.DataFrame, path: StrPath) -> None:
    """Write a table to a .parquet or .csv file, its index too if named, whole or not at all.

    **Raises:** `TruthError` for another suffix or a folder that cannot be written.
    """
    path = Path(path)
    write = frame.to_csv if _suffix(path) == ".csv" else frame.to_parquet
    index = any(name is not None for name in frame.index.names)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary, index=index)
        os.replace(temporary, path)
    except OSError as error:
        raise TruthError(f"{path} cannot be written ({error}); check the folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def import_nasbench101(
    path: StrPath, progress: Callable[[float], object] | None = None
) -> pd.DataFrame:
    """Read the official `nasbench_full.tfrecord` or `nasbench_only108.tfrecord` of NAS-Bench-101.

    **Arguments:**

    - `path`: the file, downloaded as https://github.com/google-research/nasbench says.
    - `progress`: called now and then with the fraction read, from 0 to 1.

    **Returns:** one row a cell, in the order of the file:

    - `module_hash`; `num_vertices`; `edges`, the upper triangle of the adjacency matrix row by row
      as 0/1; `ops` of the interior vertices, comma-joined; `trainable_parameters`;
    - for each epoch budget E of the file `validation_accuracy_E`, `test_accuracy_E`,
      `train_accuracy_E` (fractions) and `training_seconds_E`, means over the trials at the end of
      training; `trials_E`, how many those are; and `validation_accuracy_E_trial0`, the first trial
      of the file alone, as the paper's shortened training has it. A cell that was not trained for E
      epochs has `trials_E` 0, and NaN.

    **Raises:** `TruthError` for damage, with the record's number (from 1).
    The format is that of Ying et al., "NAS-Bench-101" (2019).
    """
    path = Path(path)
    rows: dict[str, int] = {}
    cells: list[tuple[int, str, str, int]] = []
    budgets: dict[int, _Budget] = {}
    n_read, number = 0, 0
    for number, record in enumerate(read_records(path), 1):
        if progress is not None and number % 10_000 == 1:
            progress(n_read / path.stat().st_size)
        n_read += len(record) + FRAME_SIZE
        try:
            module_hash, epochs, adjacency, operations, encoded = _fields(record)
            metrics = _metrics(encoded)
            cell = _cell(adjacency, operations)
            row = rows.setdefault(module_hash, len(rows))
            if row == len(cells):
                cells.append((*cell, metrics.trainable_parameters))
            budget = budgets.setdefault(epochs, _Budget())
            budget.add(row, [getattr(metrics.evaluation_data[2], name) for name in _STATISTICS])
        except _Malformed as error:
            raise TruthError(
                f"record {number} of {path} {error}; give an official NAS-Bench-101 file, or "
                "download it again"
            ) from None
    if number == 0:
        raise TruthError(f"{path} holds no records; download it again")
    if progress is not None:
        progress(1.0)
    names = ["num_vertices", "edges", "ops", "trainable_parameters"]
    frame = pd.DataFrame(cells, columns=pd.Index(names))
    frame = frame.astype({"num_vertices": np.int8, "trainable_parameters": np.int32})
    frame.insert(0, "module_hash", list(rows))
    columns = {k: v for e in sorted(budgets) for k, v in budgets[e].columns(e, len(rows)).items()}
    return pd.concat([frame, pd.DataFrame(columns)], axis=1)


class _Malformed(Exception):
    """What is wrong with a record, to follow "record N"."""


class _Budget:
    """The running sums of one epoch budget: 8 bytes a cell and statistic, whatever the trials."""

    def __init__(self) -> None:
        self.trials = array("q")
        self.first = array("d")
        self.sums = [array("d") for _ in _STATISTICS]

    def add(self, row: int, values: Sequence[float]) -> None:
        n_new = row + 1 - len(self.trials)
        if n_new > 0:
            for column in (self.trials, self.first, *self.sums):
                column.frombytes(bytes(8 * n_new))
        if self.trials[row] == 0:
            self.first[row] = values[0]
        self.trials[row] += 1
        for column, value in zip(self.sums, values, strict=True):
            column[row] += value

    def columns(self, epochs: int, n_rows: int) -> dict[str, np.ndarray]:
        def padded(column: array) -> np.ndarray:
            return np.pad(np.asarray(column), (0, n_rows - len(column)))

        trials = padded(self.trials)
        # 0 / 0 is the NaN of a cell without a trial.
        with np.errstate(invalid="ignore"):
            means = [padded(column) / trials for column in self.sums]
        validation, test, train, seconds = means
        return {
            f"validation_accuracy_{epochs}": validation,
            f"test_accuracy_{epochs}": test,
            f"train_accuracy_{epochs}": train,
            f"training_seconds_{epochs}": seconds,
            f"trials_{epochs}": trials.astype(np.int16),
            f"validation_accuracy_{epochs}_trial0": np.where(
                trials > 0, padded(self.first), np.nan
            ),
        }


def _fields(record: bytes) -> tuple[str, int, str, str, str]:
    """The five fields of a record: hash, epochs, adjacency, operations, metrics in base64."""
    try:
        fields = json.loads(record)
    except ValueError as error:
        raise _Malformed(f"is not JSON ({error})") from None
    if not isinstance(fields, list) or len(fields) != 5:
        found = f"a list of {len(fields)}" if isinstance(fields, list) else type(fields).__name__
        raise _Malformed(f"holds {found}, not a list of 5 fields")
    types = [type(field) for field in fields]
    if types != [str, int, str, str, str]:
        listed = ", ".join(kind.__name__ for kind in types)
        raise _Malformed(f"has fields of type {listed}, not str, int, str, str, str")
    return fields[0], fields[1], fields[2], fields[3], fields[4]


def _cell(adjacency: str, operations: str) -> tuple[int, str, str]:
    """Vertices, upper triangle and interior operations of a cell."""
    ops = operations.split(",")
    n = math.isqrt(len(adjacency))
    if n < 2 or n * n != len(adjacency) or not set(adjacency) <= {"0", "1"}:
        raise _Malformed(f"has adjacency {adjacency!r}, not the 0/1 of a square matrix")
    if len(ops) != n or (ops[0], ops[-1]) != _OPERATIONS_ENDS:
        raise _Malformed(f"has ops {operations!r}, not input, {n - 2} operations and output")
    if any("1" in adjacency[i * n : i * n + i + 1] for i in range(n)):
        raise _Malformed(f"has adjacency {adjacency!r}, not upper-triangular")
    edges = "".join(adjacency[i * n + i + 1 : (i + 1) * n] for i in range(n))
    # Interned, since 423,624 cells share a few hundred operation lists.
    return n, sys.intern(edges), sys.intern(",".join(ops[1:-1]))


def _model_metrics() -> Callable[[], Any]:
    """The message class of nasbench/lib/model_metrics.proto (proto2, package nasbench)."""
    kinds = descriptor_pb2.FieldDescriptorProto
    evaluation = descriptor_pb2.DescriptorProto(name="EvaluationData")
    doubles = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy")
    for number, name in enumerate((*doubles, "test_accuracy"), 1):
        evaluation.field.add(
            name=name, number=number, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL
        )
    metrics = descriptor_pb2.DescriptorProto(name="ModelMetrics")
    metrics.field.add(
        name="evaluation_data",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".nasbench.EvaluationData",
        label=kinds.LABEL_REPEATED,
    )
    metrics.field.add(
        name="trainable_parameters",
        number=2,
        type=kinds.TYPE_INT32,
        label=kinds.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(
        descriptor_pb2.FileDescriptorProto(
            name="model_metrics.proto",
            package="nasbench",
            syntax="proto2",
            message_type=[metrics, evaluation],
        ).SerializeToString()
    )
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))


_ModelMetrics = _model_metrics()


def _metrics(encoded: str) -> Any:
    """A ModelMetrics message with everything that is read from it."""
    try:
        metrics = _ModelMetrics()
        metrics.ParseFromString(base64.b64decode(encoded))
    except (binascii.Error, ValueError, message.DecodeError) as error:
        raise _Malformed(f"has metrics that are no base64 protobuf ({error})") from None
    n_evaluations = len(metrics.evaluation_data)
    if n_evaluations != 3:
        raise _Malformed(f"has {n_evaluations} evaluations, not 3 (start, half, end)")
    final = metrics.evaluation_data[2]
    absent = [name for name in _STATISTICS if not final.HasField(name)]
    if not metrics.HasField("trainable_parameters"):
        absent.append("trainable_parameters")
    if absent:
        raise _Malformed(f"lacks {', '.join(absent)}")
    return metrics


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise TruthError(f"{path} ends in {suffix!r}; a table is a .parquet or .csv file")
    return suffix


def _columns(path: Path) -> list[str]:
    """The names of a table's columns, without reading it."""
    try:
        if _suffix(path) == ".csv":
            with csv.open_csv(path) as reader:
                return reader.schema.names
        return parquet.read_schema(path).names
    except FileNotFoundError:
        raise TruthError(f"there is no table {path}; check the path") from None
    except TruthError:
        raise
    except (OSError, ValueError) as error:
        raise TruthError(f"{path} cannot be read ({error}); is it complete?") from error


def _read_columns(path: Path, key: str, column: str) -> pd.DataFrame:
    try:
        if _suffix(path) == ".csv":
            # Keys stay as they are written: 0012 is no number, and NA no missing value.
            options = csv.ConvertOptions(
                include_columns=[key, column], column_types={key: pyarrow.string()}
            )
            table = csv.read_csv(path, convert_options=options)
        else:
            table = parquet.read_table(path, columns=[key, column])
        return table.to_pandas(ignore_metadata=True)
    except (OSError, ValueError) as error:
        raise TruthError(f"{path} cannot be read ({error}); is it complete?") from error


def _key_column(path: Path, columns: list[str], key: str | None) -> str:
    if key is None:
        key = next((name for name in _KEY_COLUMNS if name in columns), None)
        if key is None:
            raise TruthError(
                f"{path} has none of the key columns {', '.join(_KEY_COLUMNS)}; pass key=, "
                f"{_listed(columns)}"
            )
    elif key not in columns:
        raise TruthError(f"{path} has no key column {key!r}; {_listed(columns)}")
    return key


def _keyed(name: str, table: Scores) -> Scores:
    """A copy of `table` with keys as text, each there once."""
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
