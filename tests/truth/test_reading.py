"""Tables as others write them: the right numbers, or a word about the row that is odd."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy import truth
from nasproxy.errors import TruthError
from search_spaces import (
    FullyConnectedNetworks,
    NASBench101,
    NASBench201,
    NASBench301,
    NASBenchMacro,
)

TEXT = "key,acc\na,0.5\nb,0.25\n"
WANTED = {"a": 0.5, "b": 0.25}


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("0.5", " 0.5 "),
        TEXT.replace("0.5", "5e-1"),
        TEXT + "c,\nd,NA\ne,nan\nf,None\n",
        'key,acc,note\na,0.5,"x,y;z"\nb,0.25,"p"\n',
    ],
    ids=["plain", "bom", "semicolon", "tab", "crlf", "blanks", "exponent", "missing", "quoted"],
)
def test_csv_of_all_hands(content: str | bytes, tmp_path: Path) -> None:
    assert truth.read(written(tmp_path, content), "acc").to_dict() == WANTED


@pytest.mark.parametrize(
    "values",
    [
        [Decimal("0.5"), Decimal("0.25")],
        ["0.5", "0.25"],
        pd.array(["0.5", "0.25"], dtype="string"),
        np.array([0.5, 0.25], np.float16),
        pd.array([0.5, 0.25], dtype="Float64"),
    ],
    ids=["decimal", "object", "string", "float16", "Float64"],
)
def test_parquet_of_all_types(values: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"key": ["a", "b"], "acc": values}).to_parquet(path)
    assert truth.read(path, "acc").to_dict() == WANTED


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,1\nb,-\nc,2\n", r"row 2 of .* has '-' in 'acc': write a number"),
        ("a,1\nb,2\nc,n.a.\n", r"row 3 of .* has 'n\.a\.' in 'acc'"),
        ('a,1\nb,"0,93"\nc,2\n', "write decimals with a point"),
        ("a,1\nb,1_000\nc,2\n", "row 2 of .* has '1_000'"),
        ("a,true\nb,false\n", "holds .*name a column of numbers"),
    ],
)
def test_an_odd_cell_is_named_with_its_row(rows: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=said):
        truth.read(written(tmp_path, f"key,acc\n{rows}"), "acc")


LONG = pd.DataFrame(
    {
        "key": ["a", "a", "b", "b"],
        "dataset": ["cifar10", "svhn", "cifar10", "svhn"],
        "seed": [0, 0, 0, 0],
        "acc": [0.9, 0.1, 0.8, 0.2],
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_long_tables_need_a_word_on_which_rows(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{suffix}"
    truth.write_table(LONG, path)
    with pytest.raises(TruthError, match=r"2 keys .*'a' with 0\.1 to 0\.9: .*--where.* dataset"):
        truth.read(path, "acc")
    chosen = truth.read(path, "acc", where={"dataset": "cifar10", "seed": 0})
    assert chosen.to_dict() == {"a": 0.9, "b": 0.8}
    assert (chosen.attrs["rows"], chosen.attrs["repeated"]) == (2, 0)
    averaged = truth.read(path, "acc", average=True)
    assert averaged.to_dict() == pytest.approx({"a": 0.5, "b": 0.5})
    assert averaged.attrs["repeated"] == 2
    with pytest.raises(TruthError, match="dataset=mnist; it holds cifar10, svhn"):
        truth.read(path, "acc", where={"dataset": "mnist"})
    with pytest.raises(TruthError, match="no column 'budget'"):
        truth.read(path, "acc", where={"budget": "12"})


def test_repeats_that_agree_are_one(tmp_path: Path) -> None:
    series = truth.read(written(tmp_path, "key,acc\na,1\na,1.0\nb,2\n"), "acc")
    assert series.to_dict() == {"a": 1, "b": 2}
    assert series.attrs["repeated"] == 1


SORTED = "((0, 0), (1, 5), (0, 1), (1, 1), (0, 3), (1, 3), (1, 3), (3, 2))"
SWAPPED = f"({SORTED.replace('(0, 0), (1, 5)', '(1, 5), (0, 0)')}, {SORTED})"
CELL = NASBench101().key(NASBench101().sample(1, 0)[0])


@pytest.mark.parametrize(
    ("space", "cell", "key"),
    [
        (NASBench101(), CELL.upper(), CELL),
        (NASBench101(), f" {CELL}\n", CELL),
        (NASBenchMacro(), 1201201, "01201201"),
        (NASBenchMacro(), 1201201.0, "01201201"),
        (NASBenchMacro(), " 01201201", "01201201"),
        (FullyConnectedNetworks(), "relu-05", "relu-5"),
        (NASBench301(), f"{SWAPPED} ".replace(" ", ""), f"({SORTED}, {SORTED})"),
        (NASBench201(), f" {'|none~0|+|none~0|none~1|+|none~0|none~1|none~2|'} ", None),
    ],
)
def test_keys_come_to_the_form_of_their_space(
    space: Any, cell: Any, key: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"key": [cell], "acc": [0.5]}).to_parquet(path)
    series = truth.read(path, "acc", spaces=[space])
    assert series.index.tolist() == [key or str(cell).strip()]
    assert series.attrs["mended"] == 1
    assert space.key(space.find(str(series.index[0]))) == series.index[0]


def test_keys_of_no_space_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, f"key,acc\n{CELL},1\nsomething else,2\n")
    series = truth.read(path, "acc", spaces=[NASBench101()])
    assert (series.attrs["mended"], series.attrs["foreign"]) == (0, 1)


def test_a_flipped_bit_of_a_parquet_file_is_found(tmp_path: Path) -> None:
    """Checksums of pages: in what this package writes no number changes without a word."""
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"key": [f"k{i}" for i in range(500)], "acc": np.arange(500.0)})
    truth.write_table(frame, path)
    good = path.read_bytes()
    wrong = 0
    for position in np.random.default_rng(0).integers(4, len(good) - 8, 60).tolist():
        damaged = bytearray(good)
        damaged[position] ^= 1
        path.write_bytes(bytes(damaged))
        try:
            found = truth.read(path, "acc")
        except TruthError:
            continue
        wrong += not np.array_equal(found.to_numpy(), np.arange(500.0))
    assert not wrong


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=8),
    delimiter=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
)
def test_what_is_written_is_read(
    values: list[float], delimiter: str, end: str, bom: bool, tmp_path_factory: Any
) -> None:
    rows = [f"key{delimiter}x", *(f"k{i}{delimiter}{v!r}" for i, v in enumerate(values))]
    text = ("\ufeff" if bom else "") + end.join(rows) + end
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(text.encode())
    assert truth.read(path, "x").tolist() == values
