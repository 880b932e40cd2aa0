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

from nasproxy.errors import TruthError
from nasproxy.truth.tfrecord import FRAME_SIZE, read_records

StrPath = str | os.PathLike[str]

_STATISTICS = ("validation_accuracy", "test_accuracy", "train_accuracy", "training_time")
_OPERATIONS_ENDS = ("input", "output")


def import_nasbench101(
    path: StrPath, progress: Callable[[float], object] | None = None
) -> pd.DataFrame:
    """Reads NAS-Bench-101's official ``nasbench_full.tfrecord`` or ``nasbench_only108.tfrecord``.

    The format is that of Ying et al., "NAS-Bench-101" (2019).

    Args:
        path: the file, downloaded as https://github.com/google-research/nasbench says.
        progress: called now and then with the fraction read, from 0 to 1.

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
        TruthError: damage, with the record's number (from 1).
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
