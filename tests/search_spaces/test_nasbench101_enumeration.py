"""The enumeration holds the published cells, each once, in the official file's vertex order."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy.errors import ArchitectureError, SettingError
from search_spaces.nasbench101.cell import (
    CONV1X1,
    CONV3X3,
    INPUT,
    OPS,
    OUTPUT,
    Cell,
    vertex_channels,
)
from search_spaces.nasbench101.enumeration import CellTable, all_cells, decode
from search_spaces.nasbench101.space import NASBench101
from tests.conftest import ROOT

TRUTH = ROOT.parent / "shared/data/truth/nasbench101_cells.parquet"
needs_truth = pytest.mark.skipif(
    not TRUTH.exists(), reason=f"needs {TRUTH.name} under ../shared/data/truth"
)
COUNTS = [(2, 1), (3, 7), (4, 91), (5, 2_532), (6, 64_542), (7, 423_624)]  # Ying et al. 2019


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NASPROXY_CACHE", str(tmp_path))
    return tmp_path


def fresh(max_vertices: int) -> CellTable:
    """A table without the hashes that another test has left on the shared one."""
    return CellTable(all_cells(max_vertices).codes)


def parameters(cell: Cell) -> int:
    """Trainable parameters of the official network (SPEC.md, section 3), summed layer by layer."""

    def conv(size: int, width_in: int, width_out: int) -> int:
        return size * size * width_in * width_out + 2 * width_out

    total, width = conv(3, 3, 128) + 512 * 10 + 10, 128
    for out in (128, 128, 128, 256, 256, 256, 512, 512, 512):
        channels = vertex_channels(cell, width, out)
        for v in range(1, cell.num_vertices):
            total += conv(1, width, channels[v]) if cell.adjacency[0][v] else 0
            total += conv(3, channels[v], channels[v]) if cell.ops[v] == CONV3X3 else 0
            total += conv(1, channels[v], channels[v]) if cell.ops[v] == CONV1X1 else 0
        width = out
    return total


@pytest.mark.parametrize(("max_vertices", "count"), COUNTS)
def test_published_counts(max_vertices: int, count: int) -> None:
    table = all_cells(max_vertices)
    assert len(table) == count
    assert table.codes.dtype == np.uint32
    assert (np.diff(table.codes.astype(np.int64)) > 0).all()


def test_every_small_cell_is_there_once() -> None:
    """Against all matrices and labelings of up to five vertices, created and hashed one by one."""
    brute = set()
    for size in range(2, 6):
        pairs = list(combinations(range(size), 2))
        for edges in product((0, 1), repeat=len(pairs)):
            matrix = np.zeros((size, size), int)
            matrix[tuple(np.transpose(pairs))] = edges
            if not (matrix[:-1].any(axis=1).all() and matrix[:, 1:].any(axis=0).all()):
                continue  # pruning would shrink it: met at a smaller size
            if matrix.sum() > 9:
                continue
            for ops in product(OPS, repeat=size - 2):
                brute.add(Cell.create(matrix, [INPUT, *ops, OUTPUT]).key)
    listed = [cell.key for cell in all_cells(5)]
    assert len(set(listed)) == len(listed)
    assert set(listed) == brute


def test_decoded_cells_are_valid_and_already_pruned() -> None:
    rng = np.random.default_rng(0)
    for cell in [*all_cells(4), *all_cells().sample(500, rng)]:
        assert Cell.create(cell.adjacency, cell.ops) == cell


def test_codes_follow_the_order_of_generate_graphs() -> None:
    table = all_cells(4)
    assert table[0] == Cell(((0, 1), (0, 0)), (INPUT, OUTPUT))
    assert [cell.ops[1] for cell in list(table)[1:4]] == list(OPS)
    sizes = [cell.num_vertices for cell in table]
    assert sizes == sorted(sizes)
    assert decode(int(table.codes[-1])) == table[-1] == table[len(table) - 1]


def test_index_out_of_range() -> None:
    with pytest.raises(IndexError):
        all_cells(3)[7]


@pytest.mark.parametrize("max_vertices", [1, 0, 8])
def test_vertices_out_of_range(max_vertices: int) -> None:
    with pytest.raises(SettingError, match=f"max_vertices={max_vertices}"):
        all_cells(max_vertices)


def test_sample_is_distinct_and_repeatable() -> None:
    table = all_cells(4)
    drawn = table.sample(91, np.random.default_rng(1))
    assert set(drawn) == set(table)
    assert drawn == table.sample(91, np.random.default_rng(1))
    assert table.sample(0, np.random.default_rng(1)) == []


@pytest.mark.parametrize("n", [-1, 92])
def test_sample_rejects(n: int) -> None:
    with pytest.raises(SettingError, match=f"n={n}"):
        all_cells(4).sample(n, np.random.default_rng(0))


def test_find_returns_each_cell(cache: Path) -> None:
    table = fresh(4)
    assert [table.find(cell.key) for cell in table] == list(table)
    assert table.hashes.dtype == np.dtype("S32")


@pytest.mark.parametrize("module_hash", ["", "0" * 32, "f" * 32, "no hash", "é"])
def test_find_rejects_unknown_hashes(module_hash: str, cache: Path) -> None:
    with pytest.raises(ArchitectureError, match="no cell here has the module hash"):
        fresh(3).find(module_hash)


@pytest.mark.parametrize("key", ["", "no hash", "f" * 31, "g" * 32, "é", "5" * 1_000_000])
def test_find_of_what_is_no_hash_costs_no_hashing(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CellTable, "find", lambda *_: pytest.fail("cells were looked through"))
    with pytest.raises(ArchitectureError, match="is no module hash: give 32 hexadecimal") as info:
        NASBench101().find(key)
    assert len(str(info.value)) < 300


def test_hashes_are_read_back(cache: Path) -> None:
    hashes = fresh(4).hashes
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    assert np.array_equal(fresh(4).hashes, hashes)
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_hashes_are_made_anew(damage: str, cache: Path) -> None:
    hashes = fresh(4).hashes
    (file,) = cache.iterdir()
    good = file.read_bytes()
    bad = {"truncated": good[:-5], "flipped": bytes([good[0] ^ 1]) + good[1:], "empty": b""}
    file.write_bytes(bad[damage])
    assert np.array_equal(fresh(4).hashes, hashes)
    assert file.read_bytes() == good
    assert list(cache.iterdir()) == [file]


def test_hashes_without_a_writable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("NASPROXY_CACHE", str(blocked / "below"))
    assert fresh(3).hashes[0].decode() == all_cells(3)[0].key


@needs_truth
def test_official_parameter_counts_of_a_sample() -> None:
    """Only the official vertex order gives these: 1.84 % of the table's own `edges` do not."""
    official = pd.read_parquet(TRUTH, columns=["module_hash", "trainable_parameters"])
    official = official.set_index("module_hash")["trainable_parameters"]
    cells = [*all_cells(4), *all_cells().sample(3000, np.random.default_rng(0))]
    assert [parameters(cell) for cell in cells] == [official[cell.key] for cell in cells]


@pytest.mark.slow
@needs_truth
def test_all_hashes_are_the_official_ones(cache: Path) -> None:
    official = pd.read_parquet(TRUTH, columns=["module_hash"])["module_hash"]
    table = fresh(7)
    assert np.array_equal(np.sort(table.hashes), np.sort(official.to_numpy().astype("S32")))
    assert table.find(official.iloc[0]).key == official.iloc[0]
