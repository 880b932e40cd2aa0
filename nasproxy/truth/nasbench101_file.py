"""The official NAS-Bench-101 file as a table: TFRecords of JSON of protobuf, without TensorFlow."""

import base64
import binascii
import json
import math
import os
import sys
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from nasproxy.errors import ArchitectureError, TruthError
from nasproxy.plugins import SPACES
from nasproxy.truth.tfrecord import FRAME_SIZE, read_records

StrPath = str | os.PathLike[str]

_STATISTICS = ("validation_accuracy", "test_accuracy", "train_accuracy", "training_time")
_OPERATIONS_ENDS = ("input", "output")
_MOST_VERTICES = 7
_BUDGETS = (4, 12, 36, 108)
_N_CELLS, _N_TRIALS = 423_624, 3
_MOST_TRIALS = int(np.iinfo(np.int16).max)  # as the table's columns count them


def import_nasbench101(
    path: StrPath, progress: Callable[[float], object] | None = None, *, partial: bool = False
) -> pd.DataFrame:
    """Reads NAS-Bench-101's official ``nasbench_full.tfrecord`` or ``nasbench_only108.tfrecord``.

    The format is that of Ying et al., "NAS-Bench-101" (2019). Every cell's hash is computed anew,
    0.1 ms a cell, so that no accuracy is filed under another cell's name.

    Args:
        path: the file, downloaded as https://github.com/google-research/nasbench says.
        progress: called now and then with the fraction read, from 0 to 1.
        partial: take a file of other than the official 423,624 cells of 3 trials a budget.

    Returns:
        One row a cell, in the order of the file:

        - ``module_hash``; ``num_vertices``; ``edges``, the upper triangle of the adjacency matrix
          row by row as 0/1; ``ops`` of the interior vertices, comma-joined;
          ``trainable_parameters``;
        - for each epoch budget E of the file ``validation_accuracy_E``, ``test_accuracy_E``,
          ``train_accuracy_E`` (fractions) and ``training_seconds_E``, means over the trials at the
          end of training; ``trials_E``, how many those are; and ``validation_accuracy_E_trial0``,
          the first trial of the file alone, as the paper's shortened training has it. A cell that
          was not trained for E epochs has ``trials_E`` 0, and NaN.

    Raises:
        TruthError: damage, or what cannot be (an accuracy outside 0 to 1, a hash of another cell),
            with the record's number (from 1); or, unless ``partial``, a file that is not whole.
    """
    path = Path(path)
    hash_of = _hashing()
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
            cell = (*_cell(adjacency, operations), metrics.trainable_parameters)
            row = rows.get(module_hash, len(cells))
            if row < len(cells):
                if cell != cells[row]:
                    raise _Malformed("has another cell than the first record of its hash")
            else:
                found = hash_of(adjacency, operations)
                if found != module_hash:
                    raise _Malformed(f"has hash {_short(module_hash)}, of its cell it is {found!r}")
                rows[module_hash] = row
                cells.append(cell)
            budget = budgets.setdefault(epochs, _Budget())
            budget.add(row, [getattr(metrics.evaluation_data[2], name) for name in _STATISTICS])
        except _Malformed as error:
            raise TruthError(
                f"record {number} of {path} {error}; give an official NAS-Bench-101 file, or "
                "download it again"
            ) from None
    if number == 0:
        raise TruthError(f"{path} holds no records; download it again")
    if not partial:
        _check_whole(path, len(cells), budgets)
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
        if self.trials[row] == _MOST_TRIALS:
            raise _Malformed(f"is one of more than {_MOST_TRIALS:,} trials of a cell")
        self.trials[row] += 1
        for column, value in zip(self.sums, values, strict=True):
            column[row] += value

    def is_whole(self, n_rows: int) -> bool:
        return len(self.trials) == n_rows and set(self.trials) == {_N_TRIALS}

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


def _check_whole(path: Path, n_cells: int, budgets: dict[int, _Budget]) -> None:
    """Raises TruthError unless the counts are those of an official file.

    A file that was cut between two records is sound as far as it goes.
    """
    odd = [f"{epochs} epochs" for epochs, budget in budgets.items() if not budget.is_whole(n_cells)]
    if n_cells == _N_CELLS and not odd and sorted(budgets) in ([108], list(_BUDGETS)):
        return
    other = f", other than {_N_TRIALS} trials a cell at {' and '.join(odd)}" * bool(odd)
    raise TruthError(
        f"{path} is not whole: it holds {n_cells:,} of {_N_CELLS:,} cells, with budgets of "
        f"{', '.join(map(str, sorted(budgets)))} epochs{other}; download it again, or take what "
        "there is by --partial (in Python, partial=True)"
    )


def _hashing() -> Callable[[str, str], str]:
    """From adjacency and operations to the module hash, by the space of that name."""
    space = SPACES["nasbench101"]()

    def hash_of(adjacency: str, operations: str) -> str:
        n = math.isqrt(len(adjacency))
        matrix = [[int(entry) for entry in adjacency[i * n : (i + 1) * n]] for i in range(n)]
        text = json.dumps({"adjacency": matrix, "ops": operations.split(",")})
        try:
            return space.key(space.from_json(text))
        except ArchitectureError as error:
            raise _Malformed(f"holds no cell of the benchmark ({error})") from None

    return hash_of


def _short(text: str) -> str:
    return repr(text) if len(text) <= 100 else f"{text[:100]!r} … ({len(text):,} characters)"


def _fields(record: bytes) -> tuple[str, int, str, str, str]:
    """The five fields of a record: hash, epochs, adjacency, operations, metrics in base64."""
    try:
        fields = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"is not JSON ({error})") from None
    if not isinstance(fields, list) or len(fields) != 5:
        found = f"a list of {len(fields)}" if isinstance(fields, list) else type(fields).__name__
        raise _Malformed(f"holds {found}, not a list of 5 fields")
    types = [type(field) for field in fields]
    if types != [str, int, str, str, str]:
        listed = ", ".join(kind.__name__ for kind in types)
        raise _Malformed(f"has fields of type {listed}, not str, int, str, str, str")
    if fields[1] not in _BUDGETS:
        listed = ", ".join(map(str, _BUDGETS))
        raise _Malformed(f"has {_short(str(fields[1]))} epochs, not one of {listed}")
    return fields[0], fields[1], fields[2], fields[3], fields[4]


def _cell(adjacency: str, operations: str) -> tuple[int, str, str]:
    """Vertices, upper triangle and interior operations of a cell."""
    ops = operations.split(",")
    n = math.isqrt(len(adjacency))
    if n < 2 or n * n != len(adjacency) or not set(adjacency) <= {"0", "1"}:
        raise _Malformed(f"has adjacency {_short(adjacency)}, not the 0/1 of a square matrix")
    if n > _MOST_VERTICES:
        raise _Malformed(f"has {n} vertices, more than {_MOST_VERTICES}")
    if len(ops) != n or (ops[0], ops[-1]) != _OPERATIONS_ENDS:
        raise _Malformed(f"has ops {_short(operations)}, not input, {n - 2} operations and output")
    if any("1" in adjacency[i * n : i * n + i + 1] for i in range(n)):
        raise _Malformed(f"has adjacency {_short(adjacency)}, not upper-triangular")
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
    for name in _STATISTICS:
        value = getattr(final, name)
        seconds = name == "training_time"
        if not (0 <= value <= (sys.float_info.max if seconds else 1)):  # NaN is in no range
            span = "finite seconds of at least 0" if seconds else "a fraction from 0 to 1"
            raise _Malformed(f"has {name} {value:g}, not {span}")
    if metrics.trainable_parameters < 0:
        raise _Malformed(f"has {metrics.trainable_parameters} trainable_parameters, less than 0")
    return metrics
