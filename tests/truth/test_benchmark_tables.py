"""Tables that name architectures by columns of their own: read to be scored, joined as truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasproxy import Params, score, truth
from nasproxy.architectures import read_architectures
from nasproxy.data import Dataset
from nasproxy.errors import SettingError, TruthError
from nasproxy.proxies import Macs
from nasproxy.ranking.reference import read_truth
from nasproxy.space import Tabular
from nasproxy.store import Store
from search_spaces import MNAS, AccelNASBench, NASBench101, NASBench201, NASBenchMacro
from tests.support.cli import run

ACCEL = AccelNASBench()


def accel_rows(architectures: list[Any]) -> pd.DataFrame:
    """The benchmark's columns, written out by hand."""
    rows = []
    for blocks in architectures:
        row: dict[str, Any] = {}
        for i, block in enumerate(blocks):
            row |= {f"block{i}_e": block.expansion, f"block{i}_k": block.kernel}
            row |= {f"block{i}_l": block.layers, f"block{i}_se": block.se > 0}
        rows.append(row)
    return pd.DataFrame(rows)


def write(frame: pd.DataFrame, path: Path) -> Path:
    truth.write_table(frame, path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_accel_rows_are_read_and_joined(suffix: str, tmp_path: Path) -> None:
    """In the table's order, each once; two rows of one architecture are averaged as truth."""
    drawn = ACCEL.sample(5, 0)
    frame = accel_rows([*drawn, drawn[1]]).assign(top1=[1.0, 2, 3, 4, 5, 8])
    path = write(frame, tmp_path / f"table{suffix}")
    assert read_architectures(path, ACCEL) == drawn
    series = truth.read(path, "top1", spaces=[ACCEL], average=True)
    assert series.to_dict() == dict(zip(map(ACCEL.key, drawn), [1, 5, 3, 4, 5], strict=True))
    assert series.attrs["repeated"] == 1


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("space", "column"), [(NASBenchMacro(), "arch"), (NASBench201(), "arch_str")]
)
def test_named_rows_keep_their_text(space: Any, column: str, suffix: str, tmp_path: Path) -> None:
    """00011110 is no number."""
    keys = [*space.sample(4, 0), "00011110"][: 5 if column == "arch" else 4]
    frame = pd.DataFrame({column: keys, "x": range(len(keys))})
    path = write(frame, tmp_path / f"table{suffix}")
    assert read_architectures(path, space) == keys
    assert truth.read(path, "x", spaces=[space]).index.tolist() == keys


def test_a_table_of_keys_serves_every_space(tmp_path: Path) -> None:
    mnas = MNAS()
    drawn = mnas.sample(3, 0)
    path = write(pd.DataFrame({"key": [mnas.key(a) for a in drawn]}), tmp_path / "table.csv")
    assert read_architectures(path, mnas) == drawn
    assert not isinstance(mnas, Tabular)
    assert not isinstance(NASBench101(), Tabular)
    assert isinstance(ACCEL, Tabular)


def test_unknown_columns(tmp_path: Path) -> None:
    path = write(accel_rows(ACCEL.sample(2, 0)).drop(columns="block3_k"), tmp_path / "table.csv")
    with pytest.raises(
        TruthError, match=r"nor all of block0_e, .* \(columns: block0_e, .*\); rename .* to key, "
    ):
        read_architectures(path, ACCEL)
    with pytest.raises(TruthError, match="none of the key columns"):
        read_architectures(path, NASBench101())


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("block2_k", 7, "row 2 of .*block 2 of accel_nasbench has kernel=7: choose one of 3, 5"),
        ("block0_l", 4, "row 2 of .*block 0 .*layers=4"),
        ("block6_se", 2, "row 2 of .*block6_se is 2"),
    ],
)
def test_rows_of_no_architecture(column: str, value: int, says: str, tmp_path: Path) -> None:
    frame = accel_rows(ACCEL.sample(2, 0)).astype(int)
    frame.loc[1, column] = value
    path = write(frame, tmp_path / "table.parquet")
    with pytest.raises(TruthError, match=says):
        read_architectures(path, ACCEL)


def test_keys_of_no_architecture(tmp_path: Path) -> None:
    path = write(pd.DataFrame({"arch": ["01201201", "3"]}), tmp_path / "table.parquet")
    with pytest.raises(TruthError, match=r"row 2 of .*table.parquet: '3' is no architecture"):
        read_architectures(path, NASBenchMacro())


def test_truth_of_a_store(tmp_path: Path) -> None:
    """The store says which space its table's columns are read by."""
    data = Dataset(
        "zeros", 10, *[np.zeros((4, 32, 32, 3), np.uint8), np.arange(4, dtype=np.int32)] * 2,
        mean=np.zeros(3, np.float32), std=np.ones(3, np.float32),
    )  # fmt: skip
    drawn = ACCEL.sample(4, 0)
    path = write(accel_rows(drawn).assign(top1=range(4)), tmp_path / "table.parquet")
    with Store(None) as store:
        proxies = [Params(), Macs()]
        table = score(drawn, ACCEL, proxies, data, store=store, progress=False)
        series = read_truth(f"{path}:top1", store)
    assert series.index.tolist() == table.index.tolist()
    graph = ACCEL.graph(drawn[0], (32, 32, 3), 10)
    assert table["macs"].iloc[0] == graph.flops / 2
    assert table["params"].iloc[0] == graph.parameters


def test_a_sample_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line draws it: distinct architectures of the file, by the seed."""
    monkeypatch.setenv("NASPROXY_CACHE", str(tmp_path))
    drawn = NASBenchMacro().sample(20, 0)
    table = write(pd.DataFrame({"arch": drawn, "acc": range(20)}), tmp_path / "macro.csv")
    words = ["score", "nasbench_macro", "--proxy", "macs", "--architectures", str(table)]

    def scored(*more: str) -> list[str]:
        out = tmp_path / "out.parquet"
        run(*words, *more, "--out", str(out))
        return pd.read_parquet(out).index.tolist()

    assert scored() == drawn
    some = scored("--sample", "7", "--seed", "1", "--store", str(tmp_path / "s.db"))
    assert len(set(some)) == 7
    assert set(some) < set(drawn)
    assert some == scored("--sample", "7", "--seed", "1")
    assert some != scored("--sample", "7")
    ranked = ["rank", "--store", str(tmp_path / "s.db"), "--truth", f"{table}:acc"]
    assert "file macro.csv, n=7, seed=1" in run(*ranked, "--format", "csv")
    with pytest.raises(SettingError, match="holds 20 architectures"):
        run(*words, "--sample", "21")
