"""Tables of truth: specs, reading, the join with scores, writing."""

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal

from nasproxy import truth
from nasproxy.errors import TruthError
from tests.conftest import ROOT

DATA = ROOT.parent / "shared" / "data" / "truth"
FIRST = "5498ba534c256c9d086596e2b51cf170"
NUMBER = "1e" + "5" * 30  # to a careless CSV reader


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
