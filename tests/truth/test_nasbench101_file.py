"""The official file of NAS-Bench-101, from bytes that are encoded here by hand."""

import base64
import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasproxy import truth
from nasproxy.errors import TruthError
from nasproxy.truth import nasbench101_file
from nasproxy.truth.nasbench101_file import import_nasbench101
from tests.conftest import ROOT
from tests.support.tfrecord import write_records

DATA = ROOT.parent / "shared" / "data" / "truth"
EPOCHS = (4, 12, 36, 108)
# Module hashes that the authors' file lists for the cells below.
FIRST = "5498ba534c256c9d086596e2b51cf170"
SECOND = "043721b9c7fe8c5fad811d47d83132ec"
THIRD = "09fc2d10bdd6225e167a6f81a22a3f06"
# Adjacency matrices, operations, and what the table is to hold of them.
CELLS = {
    FIRST: ("0110001100010000", "input,conv3x3-bn-relu,maxpool3x3,output"),
    SECOND: ("0100", "input,output"),
    THIRD: ("011001000", "input,conv1x1-bn-relu,output"),
}
PARAMETERS = {FIRST: 8_555_530, SECOND: 882_570, THIRD: 100}


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def double(field: int, value: float) -> bytes:
    return bytes([field << 3 | 1]) + struct.pack("<d", value)


def text(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + varint(len(value)) + value


def evaluation(epoch: float, seconds: float, train: float, validation: float, test: float) -> bytes:
    """EvaluationData on the wire, with the checkpoint that the reader has no use for."""
    numbers = (epoch, seconds, train, validation, test)
    fields = b"".join(double(i, value) for i, value in enumerate(numbers, 1))
    return fields + text(6, b"/model/ckpt-1234")


def statistics(module_hash: str, epochs: int, trial: int) -> dict[str, float]:
    """Distinct numbers for every cell, budget and trial."""
    base = list(CELLS).index(module_hash) / 10 + epochs / 1000 + trial / 64
    return {
        "train_accuracy": base + 0.3,
        "validation_accuracy": base + 0.2,
        "test_accuracy": base + 0.1,
        "training_seconds": 1000 * base,
    }


def metrics(module_hash: str, epochs: int, trial: int) -> bytes:
    """ModelMetrics on the wire: 3 evaluations, of which the last is what counts."""
    s = statistics(module_hash, epochs, trial)
    final = (s["training_seconds"], s["train_accuracy"], s["validation_accuracy"])
    evaluations = [
        evaluation(0, 0, 0.1, 0.1, 0.1),
        evaluation(epochs / 2, 7, 0.5, 0.5, 0.5),
        evaluation(epochs, *final, s["test_accuracy"]),
    ]
    parameters = b"\x10" + varint(PARAMETERS[module_hash])
    return b"".join(text(1, e) for e in evaluations) + parameters + double(3, 1234.5)


def fields(module_hash: str = FIRST, epochs: int = 108, trial: int = 0) -> list[Any]:
    encoded = base64.b64encode(metrics(module_hash, epochs, trial)).decode()
    return [module_hash, epochs, *CELLS[module_hash], encoded]


def records(epochs: tuple[int, ...] = EPOCHS) -> Iterator[bytes]:
    for module_hash in CELLS:
        for budget in epochs:
            for trial in range(3):
                yield json.dumps(fields(module_hash, budget, trial)).encode()


@pytest.fixture
def official(tmp_path: Path) -> Path:
    path = tmp_path / "nasbench_full.tfrecord"
    write_records(path, records())
    return path


def test_import_describes_the_cells(official: Path) -> None:
    frame = import_nasbench101(official, partial=True)
    assert frame["module_hash"].tolist() == [FIRST, SECOND, THIRD]
    assert frame["num_vertices"].tolist() == [4, 2, 3]
    assert frame["edges"].tolist() == ["110111", "1", "111"]
    assert frame["ops"].tolist() == ["conv3x3-bn-relu,maxpool3x3", "", "conv1x1-bn-relu"]
    assert frame["trainable_parameters"].tolist() == list(PARAMETERS.values())
    assert frame.index.equals(pd.RangeIndex(3))


@pytest.mark.parametrize("epochs", EPOCHS)
def test_import_averages_the_trials(official: Path, epochs: int) -> None:
    frame = import_nasbench101(official, partial=True).set_index("module_hash")
    for module_hash in CELLS:
        trials = pd.DataFrame([statistics(module_hash, epochs, trial) for trial in range(3)])
        (row,) = frame.loc[[module_hash]].to_dict("records")
        for name in trials:
            assert row[f"{name}_{epochs}"] == pytest.approx(trials[name].mean(), rel=1e-14)
        assert row[f"trials_{epochs}"] == 3
        first = trials["validation_accuracy"].iloc[0]
        assert row[f"validation_accuracy_{epochs}_trial0"] == first
        assert row[f"validation_accuracy_{epochs}"] != first


def test_import_has_the_schema_of_the_table_at_hand(official: Path) -> None:
    table = DATA / "nasbench101_cells.parquet"
    if not table.exists():
        pytest.skip(f"{table} is absent")
    ours, theirs = import_nasbench101(official, partial=True), pd.read_parquet(table)
    assert ours.dtypes[theirs.columns].to_dict() == theirs.dtypes.to_dict()
    assert (theirs["edges"].str.len() == theirs["num_vertices"] * (theirs["num_vertices"] - 1) / 2)[
        :1000
    ].all()


def test_import_finds_the_budgets_there_are(tmp_path: Path) -> None:
    path = tmp_path / "nasbench_only108.tfrecord"
    write_records(path, records((108,)))
    columns = import_nasbench101(path, partial=True).columns
    assert columns.tolist() == [
        "module_hash",
        "num_vertices",
        "edges",
        "ops",
        "trainable_parameters",
        "validation_accuracy_108",
        "test_accuracy_108",
        "train_accuracy_108",
        "training_seconds_108",
        "trials_108",
        "validation_accuracy_108_trial0",
    ]


def test_import_of_interleaved_and_incomplete_trials(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    order = [(SECOND, 12, 1), (FIRST, 4, 2), (SECOND, 12, 0), (THIRD, 12, 0), (FIRST, 4, 0)]
    write_records(path, [json.dumps(fields(*which)).encode() for which in order])
    frame = import_nasbench101(path, partial=True).set_index("module_hash")
    assert frame.index.tolist() == [SECOND, FIRST, THIRD]
    assert [name for name in frame if "trials" in str(name)] == ["trials_4", "trials_12"]
    assert frame["trials_4"].tolist() == [0, 2, 0]
    assert frame["trials_12"].tolist() == [2, 0, 1]
    for name in ("validation_accuracy_4", "validation_accuracy_4_trial0", "training_seconds_4"):
        assert frame[name].isna().tolist() == [True, False, True]
    expected = [statistics(FIRST, 4, trial)["validation_accuracy"] for trial in (2, 0)]
    assert frame.loc[FIRST, "validation_accuracy_4"] == pytest.approx(np.mean(expected))
    assert frame.loc[FIRST, "validation_accuracy_4_trial0"] == expected[0]


def test_import_reads_base64_in_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.tfrecord"
    encoded = base64.encodebytes(metrics(FIRST, 108, 0)).decode()
    assert "\n" in encoded[:-1]
    write_records(path, [json.dumps([*fields()[:4], encoded]).encode()])
    assert import_nasbench101(path, partial=True)["trainable_parameters"].tolist() == [8_555_530]


def test_import_reports_progress(tmp_path: Path) -> None:
    path = tmp_path / "many.tfrecord"
    record = json.dumps(fields()).encode()
    write_records(path, [record] * 20_001)
    seen: list[float] = []
    import_nasbench101(path, seen.append, partial=True)
    assert seen == pytest.approx([0, 10_000 / 20_001, 20_000 / 20_001, 1])


FINAL = evaluation(108, 1, 0.9, 0.9, 0.9)
PARAMETERS_FIELD = b"\x10" + varint(5)


def with_final(**changed: float) -> bytes:
    s = {"time": 1.0, "train": 0.9, "validation": 0.9, "test": 0.9} | changed
    final = evaluation(108, s["time"], s["train"], s["validation"], s["test"])
    return with_metrics(2 * text(1, FINAL) + text(1, final) + PARAMETERS_FIELD)


def with_metrics(wire: bytes) -> bytes:
    return json.dumps([*fields()[:4], base64.b64encode(wire).decode()]).encode()


def with_cell(adjacency: str, operations: str) -> bytes:
    changed = fields()
    changed[0], changed[2:4] = "b" * 32, [adjacency, operations]
    return json.dumps(changed).encode()


def with_field(position: int, value: object) -> bytes:
    changed = fields()
    changed[position] = value
    return json.dumps(changed).encode()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"{not json", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"{}", "holds dict, not a list of 5 fields"),
        (b"null", "holds NoneType"),
        (json.dumps(fields()[:4]).encode(), "holds a list of 4, not"),
        (json.dumps([*fields(), 1]).encode(), "holds a list of 6, not"),
        (with_field(1, "108"), "type str, str, str, str, str, not str, int"),
        (with_field(1, True), "type str, bool"),
        (with_field(0, None), "type NoneType"),
        (with_field(2, "0110"), "ops .*, not input, 0 operations and output"),
        (with_field(2, "01100011000100"), "adjacency '01100011000100', not the 0/1 of a square"),
        (with_field(2, "0120001100010000"), "not the 0/1 of a square"),
        (with_field(2, ""), "adjacency '', not"),
        (with_field(2, "0110001100010001"), "not upper-triangular"),
        (with_field(2, "0110101100010000"), "not upper-triangular"),
        (with_field(3, "input,output"), "ops 'input,output', not input, 2 operations"),
        (with_field(3, "conv,conv,conv,output"), "ops 'conv"),
        (with_field(3, "input,conv,conv,conv"), "ops 'input"),
        (with_field(4, "AAA"), "no base64 protobuf"),
        (with_field(4, "é"), "no base64 protobuf"),
        (with_metrics(metrics(FIRST, 108, 0)[:-3]), "no base64 protobuf"),
        (with_metrics(b""), "has 0 evaluations, not 3"),
        (with_metrics(text(1, FINAL) + PARAMETERS_FIELD), "has 1 evaluations, not 3"),
        (with_metrics(4 * text(1, FINAL) + PARAMETERS_FIELD), "has 4 evaluations"),
        (with_metrics(3 * text(1, FINAL)), "lacks trainable_parameters"),
        (
            with_metrics(2 * text(1, FINAL) + text(1, double(4, 0.9)) + PARAMETERS_FIELD),
            "lacks test_accuracy, train_accuracy, training_time;",
        ),
        (with_final(validation=math.nan), "has validation_accuracy nan, not a fraction from 0 to"),
        (with_final(test=math.inf), "has test_accuracy inf, not a fraction"),
        (with_final(train=7.0), "has train_accuracy 7, not"),
        (with_final(test=-1.0), "has test_accuracy -1, not"),
        (with_final(time=-5.0), "has training_time -5, not finite seconds of at least 0"),
        (with_final(time=math.inf), "has training_time inf, not finite"),
        (with_field(1, -108), "has '-108' epochs, not one of 4, 12, 36, 108"),
        (with_field(1, 10**9), "has '1000000000' epochs, not one of"),
        (with_field(0, SECOND), "has another cell than the first record of its hash"),
        (with_field(0, "a" * 32), f"has hash 'a{{32}}', of its cell it is '{FIRST}'"),
        (with_field(0, FIRST.upper()), f"of its cell it is '{FIRST}'"),
        (with_cell("0" * 39_999, ""), r"adjacency '0{100}' … \(39,999 characters\), not the 0/1"),
        (with_cell("0" * 40_000, ""), "has 200 vertices, more than 7"),
        (
            with_cell("011001000", "input,rm -rf,output"),
            "holds no cell of the benchmark .unknown operation 'rm -rf'",
        ),
        (with_cell("000000000", "input,maxpool3x3,output"), "no cell .*not connected"),
        (b"[" * 1_000_000, "is not JSON"),
        (with_metrics(metrics(FIRST, 108, 0) + b"\x10" + varint(2**64 - 1)), "less than 0|another"),
    ],
)
def test_import_names_a_malformed_record(tmp_path: Path, record: bytes, message: str) -> None:
    path = tmp_path / "damaged.tfrecord"
    write_records(path, [*records((4,)), record])
    with pytest.raises(TruthError, match=rf"^record 10 of .*damaged\.tfrecord .*{message}") as info:
        import_nasbench101(path, partial=True)
    assert "download it again" in str(info.value)


def test_import_refuses_more_trials_than_the_table_counts(tmp_path: Path) -> None:
    path = tmp_path / "many.tfrecord"
    write_records(path, [json.dumps(fields()).encode()] * (2**15 - 1))
    assert import_nasbench101(path, partial=True)["trials_108"].tolist() == [2**15 - 1]
    write_records(path, [json.dumps(fields()).encode()] * 2**15)
    with pytest.raises(TruthError, match=r"record 32768 of .* more than 32,767 trials of a cell"):
        import_nasbench101(path, partial=True)


@pytest.mark.parametrize("epochs", [(108,), EPOCHS])
def test_import_says_where_a_file_is_not_whole(
    tmp_path: Path, epochs: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cut.tfrecord"
    whole = list(records(epochs))
    write_records(path, whole)
    with pytest.raises(TruthError, match=r"holds 3 of 423,624 cells.*; .* by --partial"):
        import_nasbench101(path)
    monkeypatch.setattr(nasbench101_file, "_N_CELLS", 3)
    assert import_nasbench101(path)["trials_108"].tolist() == [3, 3, 3]
    for kept in (whole[:-1], whole[1:], whole[:-3], [*whole, whole[0]]):
        write_records(path, kept)
        with pytest.raises(TruthError, match=r"is not whole: .* other than 3 trials|holds 2 of"):
            import_nasbench101(path)
        assert len(import_nasbench101(path, partial=True)) in (2, 3)
    if len(epochs) > 1:
        write_records(path, records(epochs[1:]))
        with pytest.raises(TruthError, match=r"is not whole: .* budgets of 12, 36, 108 epochs;"):
            import_nasbench101(path)


def test_import_of_a_damaged_file(official: Path) -> None:
    official.write_bytes(official.read_bytes()[:-1])
    with pytest.raises(TruthError, match=r"record 36 at byte .* cut short"):
        import_nasbench101(official, partial=True)


def test_import_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(TruthError, match="holds no records"):
        import_nasbench101(tmp_path / "empty", partial=True)


def test_the_imported_table_can_be_written_and_read(official: Path, tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    frame = import_nasbench101(official, partial=True)
    truth.write_table(frame, path)
    series = truth.read(*truth.parse_spec(f"{path}:validation_accuracy_108")[:2])
    assert series.index.tolist() == [FIRST, SECOND, THIRD]
    assert series.tolist() == frame["validation_accuracy_108"].tolist()
