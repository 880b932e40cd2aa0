"""Benchmark tables: NAS-Bench-101 from bytes encoded here by hand, tables, and the join."""

import base64
import json
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal

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
NUMBER = "1e" + "5" * 30  # to a careless CSV reader
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


@pytest.mark.parametrize(
    ("spec", "path", "column"),
    [
        ("a.parquet:top1", "a.parquet", "top1"),
        ("dir.csv/a.CSV:x", "dir.csv/a.CSV", "x"),
        ("C:\\data\\a.csv:top1", "C:\\data\\a.csv", "top1"),
        ("C:/a.parquet:b:c", "C:/a.parquet", "b:c"),
        ("a.csv:b.csv:c", "a.csv", "b.csv:c"),
    ],
)
def test_parse_spec(spec: str, path: str, column: str) -> None:
    assert truth.parse_spec(spec) == (Path(path), column, False)
    assert truth.parse_spec(f"{spec}:lower") == (Path(path), column, True)
    assert truth.parse_spec(f"{spec}:higher") == (Path(path), column, False)


@pytest.mark.parametrize("spec", ["", "top1", "a.txt:top1", ":top1", "C:\\a.pkl", ".csvx:a"])
def test_parse_spec_without_a_table(spec: str) -> None:
    with pytest.raises(TruthError, match=r"names no table; give FILE:COLUMN with a \.parquet"):
        truth.parse_spec(spec)


@pytest.mark.parametrize("end", ["", ":top1"])
def test_parse_spec_of_an_absent_file_of_no_table(tmp_path: Path, end: str) -> None:
    with pytest.raises(TruthError, match=r"there is no table .*absent; give FILE:COLUMN"):
        truth.parse_spec(f"{tmp_path / 'absent'}{end}")
    with pytest.raises(TruthError, match=r"names no table; give FILE:COLUMN"):
        truth.parse_spec(f"{tmp_path}{end}")


@pytest.mark.parametrize("end", ["", ":"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_parse_spec_without_a_column_lists_them(tmp_path: Path, suffix: str, end: str) -> None:
    path = tmp_path / f"a{suffix}"
    truth.write_table(pd.DataFrame({"key": ["a"], "top1": [1.0]}), path)
    with pytest.raises(TruthError, match=r"names no column; give .*:COLUMN, columns: key, top1"):
        truth.parse_spec(f"{path}{end}")


def test_parse_spec_without_a_column_of_an_absent_table(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=r"there is no table .*absent.csv"):
        truth.parse_spec(str(tmp_path / "absent.csv"))


TABLE = pd.DataFrame(
    {
        "module_hash": [NUMBER, FIRST, "0012", "NA"],
        "accuracy": [0.1, 1 / 3, 0.93376, 0.7],
        "trials": [3, 2, 1, 3],
        "note": ["a", "b", "c", "d"],
    }
)


@pytest.fixture(params=[".parquet", ".csv"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"table{request.param}"
    truth.write_table(TABLE, path)
    return path


def test_read(table: Path) -> None:
    series = truth.read(table, "accuracy")
    assert series.index.tolist() == [NUMBER, FIRST, "0012", "NA"]
    assert series.tolist() == TABLE["accuracy"].tolist()
    assert (series.name, series.index.name) == ("accuracy", "module_hash")
    assert (series.attrs["missing"], series.attrs["repeated"]) == (0, 0)
    assert_series_equal(truth.read(str(table), "accuracy"), series)


def test_read_makes_integers_float64(table: Path) -> None:
    series = truth.read(table, "trials")
    assert series.dtype == np.float64
    assert series.tolist() == [3, 2, 1, 3]


def test_read_of_a_csv_whose_fractions_come_late(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    n = 100_000  # more than a block of a megabyte
    path.write_text("key,x\n" + "".join(f"cell{i},50\n" for i in range(n)) + "last,50.5\n")
    series = truth.read(path, "x")
    assert (len(series), series["last"]) == (n + 1, 50.5)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_read_finds_the_key_column(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frame = pd.DataFrame({"x": [1.5], "architecture": ["a"], "key": ["k"], "module_hash": ["h"]})
    for name, key in (("module_hash", "h"), ("key", "k"), ("architecture", "a")):
        truth.write_table(frame, path)
        assert truth.read(path, "x").index.tolist() == [key]
        del frame[name]
    truth.write_table(frame, path)
    message = r"none of the key columns module_hash, key, architecture \(columns: x\); name .*--key"
    with pytest.raises(TruthError, match=message):
        truth.read(path, "x")


def test_read_by_another_key(table: Path) -> None:
    assert truth.read(table, "accuracy", key="note").index.tolist() == ["a", "b", "c", "d"]
    # Integers are keys too, as text.
    assert truth.read(table, "accuracy", key="trials", average=True).index.tolist() == [
        "3",
        "2",
        "1",
    ]


def test_read_of_a_parquet_table_with_an_index(tmp_path: Path) -> None:
    path = tmp_path / "indexed.parquet"
    TABLE.set_index("module_hash").to_parquet(path)
    assert truth.read(path, "accuracy")[FIRST] == 1 / 3


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_read_averages_repeated_keys_and_drops_missing_truth(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frame = pd.DataFrame(
        {
            "key": ["b", "a", "b", "c", "a", "b", "d"],
            "x": [1.0, 5.0, 2.0, np.nan, np.nan, 6.0, np.inf],
        }
    )
    truth.write_table(frame, path)
    with pytest.raises(TruthError, match=r"1 keys .* different numbers, 'b'"):
        truth.read(path, "x")
    series = truth.read(path, "x", average=True)
    assert series.to_dict() == {"b": 3.0, "a": 5.0}
    assert series.index.tolist() == ["b", "a"]
    assert (series.attrs["missing"], series.attrs["repeated"]) == (3, 2)


@pytest.mark.parametrize(
    ("column", "key", "message"),
    [
        ("top1", None, "has no column 'top1'; columns: module_hash, accuracy, trials, note"),
        ("accuracy", "hash", "has no key column 'hash'; columns: module_hash, accuracy"),
        ("note", None, r"'note' of .* such as 'a'; name a column of numbers, columns: m"),
        ("module_hash", None, "'module_hash' holds the keys"),
    ],
)
def test_read_lists_the_columns(table: Path, column: str, key: str | None, message: str) -> None:
    with pytest.raises(TruthError, match=message):
        truth.read(table, column, key)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_read_refuses_rows_without_a_key(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    truth.write_table(pd.DataFrame({"key": ["a", None], "x": [1.0, 2.0]}), path)
    with pytest.raises(TruthError, match=r"1 rows of .* have no 'key'"):
        truth.read(path, "x")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("values", [[np.nan, np.nan], []])
def test_read_refuses_a_column_without_numbers(tmp_path: Path, suffix: str, values: list) -> None:
    path = tmp_path / f"a{suffix}"
    keys = pd.Series(["a", "b"][: len(values)], dtype=str)
    truth.write_table(pd.DataFrame({"key": keys, "x": np.array(values, float)}), path)
    with pytest.raises(TruthError, match=r"'x' of .* holds (no number|object)"):
        truth.read(path, "x")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "cannot be read"),
        ("a.csv", b"key,x\na,1\nb,2,3,4\n", "cannot be read"),
        ("a.csv", b"key,x\n\xff,1\n", "cannot be read"),
        ("a.parquet", b"PAR1 and nothing more", "cannot be read"),
        ("a.json", b"{}", r"ends in '.json'; a table is a .parquet or .csv"),
    ],
)
def test_read_of_a_damaged_table(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TruthError, match=message):
        truth.read(tmp_path / name, "x")


def test_read_of_a_parquet_table_damaged_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    truth.write_table(TABLE, path)
    damaged = bytearray(path.read_bytes())
    damaged[4:200] = bytes(196)
    path.write_bytes(damaged)
    with pytest.raises(TruthError, match="cannot be read"):
        truth.read(path, "accuracy")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ""])
def test_read_of_an_absent_table(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(TruthError, match="there is no table"):
        truth.read(tmp_path / f"absent{suffix}", "x")


TRUTH = pd.Series([0.1, 0.2, 0.3], index=["a", "b", "c"], name="top1")


def test_join_keeps_the_order_of_the_scores() -> None:
    scores = pd.Series([3.0, 9.0, 1.0], index=["c", "z", "a"])
    joined = truth.join(scores, TRUTH)
    assert joined.scores.to_dict() == {"c": 3.0, "a": 1.0}
    assert joined.scores.index.tolist() == joined.truth.index.tolist() == ["c", "a"]
    assert joined.truth.tolist() == [0.3, 0.1]
    assert (joined.unmatched_scores, joined.unmatched_truth) == (1, 1)


def test_join_of_a_table_of_scores() -> None:
    scores = pd.DataFrame({"nngp": [1.0, 2.0], "flops": [3.0, np.nan]}, index=["b", "a"])
    joined = truth.join(scores, TRUTH)
    assert_frame_equal(joined.scores, scores)
    assert joined.truth.tolist() == [0.2, 0.1]
    assert (joined.unmatched_scores, joined.unmatched_truth) == (0, 1)


def test_join_compares_keys_as_text() -> None:
    joined = truth.join(pd.Series([5.0], index=[12]), pd.Series([0.5, 0.6], index=["12", "13"]))
    assert joined.truth.to_dict() == {"12": 0.5}
    assert (joined.unmatched_scores, joined.unmatched_truth) == (0, 1)


def test_join_leaves_its_input_alone() -> None:
    scores = pd.Series([5.0], index=[12])
    truth.join(scores, pd.Series([0.5], index=[12]))
    assert scores.index.tolist() == [12]


def test_join_without_a_match_shows_a_key_of_each() -> None:
    with pytest.raises(TruthError, match=r"none of 1 .* the 3 of .* such as 'z', the truth 'a'"):
        truth.join(pd.Series([1.0], index=["z"]), TRUTH)
    with pytest.raises(TruthError, match=r"none of 0 .* it is empty"):
        truth.join(pd.Series([], dtype=float), TRUTH)


def test_join_refuses_repeated_keys() -> None:
    twice = pd.Series([1.0, 2.0, 3.0], index=["a", "b", "b"])
    with pytest.raises(TruthError, match=r"scores repeat key 'b' \(1 rows too many\)"):
        truth.join(twice, TRUTH)
    with pytest.raises(TruthError, match="truth repeat key 'b'"):
        truth.join(TRUTH, twice)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_write_table_round_trips_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    values = np.random.default_rng(0).normal(size=200) * 10.0 ** np.arange(-100, 100)
    frame = pd.DataFrame({"key": [f"k{i}" for i in range(200)], "x": values})
    truth.write_table(frame, path)
    assert truth.read(path, "x").tolist() == values.tolist()
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_write_table_keeps_a_named_index_only(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frame = pd.DataFrame({"key": ["a"], "x": [1.0]})
    for written in (frame.set_index("key"), frame):
        truth.write_table(written, path)
        with pytest.raises(TruthError, match=r"columns: (key, x|x, key)$"):
            truth.read(path, "y")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_write_table_is_whole_or_not_at_all(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    truth.write_table(TABLE, path)
    before = path.read_bytes()

    def half(self: pd.DataFrame, target: BinaryIO, **_: object) -> None:
        target.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", half)
    with pytest.raises(TruthError, match=r"a\.(csv|parquet) cannot be written \(disk full\)"):
        truth.write_table(TABLE, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_write_table_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=r"ends in '.xlsx'"):
        truth.write_table(TABLE, tmp_path / "a.xlsx")
    with pytest.raises(TruthError, match=r"cannot be written .* check the folder"):
        truth.write_table(TABLE, tmp_path / "absent" / "a.csv")


def test_the_imported_table_can_be_written_and_read(official: Path, tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    frame = import_nasbench101(official, partial=True)
    truth.write_table(frame, path)
    series = truth.read(*truth.parse_spec(f"{path}:validation_accuracy_108")[:2])
    assert series.index.tolist() == [FIRST, SECOND, THIRD]
    assert series.tolist() == frame["validation_accuracy_108"].tolist()


def test_nasbench101_at_hand() -> None:
    path = DATA / "nasbench101_cells.parquet"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    accuracy = truth.read(path, "test_accuracy_108")
    assert (accuracy.attrs["missing"], accuracy.attrs["repeated"]) == (0, 0)
    assert len(accuracy) == 423_624
    assert accuracy.max() == pytest.approx(0.943175, abs=1e-6)
    assert accuracy.median() == pytest.approx(0.90638, abs=1e-5)
    parameters = truth.read(path, "trainable_parameters")
    assert parameters["00005c142e6f48ac74fdcf73e3439874"] == 8_555_530
    joined = truth.join(accuracy.iloc[:1000], parameters)
    assert len(joined.truth) == 1000
    assert (joined.unmatched_scores, joined.unmatched_truth) == (0, 422_624)
