"""The table of all cells: its parts, the rule of its setting, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy import NNGP, data, score
from nasproxy.errors import StoreError
from nasproxy_experiments.nasbench101_space import assemble, choose, parts, setting
from nasproxy_experiments.nasbench101_space.family import Family
from search_spaces import NASBench101
from search_spaces.nasbench101.enumeration import all_cells
from tests.conftest import ROOT

SMALL = NNGP(n_train=40, n_valid=0, width=4, norm_images=16, measure="loo_accuracy")


def test_parts_hold_every_cell_once() -> None:
    assert len(all_cells()) == parts.CELLS
    every = np.concatenate([parts.rows(part) for part in range(parts.PARTS)])
    assert np.array_equal(np.sort(every), np.arange(parts.CELLS))
    shares = [(parts.rows(part) < parts.CELLS // 2).mean() for part in range(parts.PARTS)]
    assert max(abs(share - 0.5) for share in shares) < 0.06, "each is a draw of the whole"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A space of six cells in two parts."""
    monkeypatch.setattr(parts, "CELLS", 6)
    monkeypatch.setattr(parts, "PARTS", 2)


def made(part: int, proxy: NNGP = SMALL) -> pd.DataFrame:
    cells = [all_cells()[int(row)] for row in parts.rows(part)]
    scored = score(cells, NASBench101(), [proxy], data.load("digits"))
    about = {"proxy": "p", "data": "d", "seed": 0, "commit": "c", "versions": {}, "seconds": 1.0}
    return parts.frame(scored, proxy, part, about)


@pytest.mark.usefixtures("few")
def test_parts_come_together_in_the_space_s_order(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no part yet"):
        assemble.joined(tmp_path)
    frames = [made(part) for part in range(2)]
    parts.write(tmp_path, frames[1])
    assert parts.finished(tmp_path) == [1]
    assert len(assemble.joined(tmp_path)[0]) == 3
    parts.write(tmp_path, frames[0])
    whole, about, failures = assemble.joined(tmp_path)
    assert whole[parts.ROW].tolist() == list(range(6))
    assert about["parts"] == 2
    assert sum(failures.values()) == whole["loo_accuracy"].isna().sum()
    alone = score([all_cells()[4]], NASBench101(), [SMALL], data.load("digits"))
    assert whole["negative_gcv"][4] == np.float32(alone["nngp[negative_gcv]"].iloc[0])
    assert whole["loo_accuracy"][4] == np.float32(alone["nngp"].iloc[0])


@pytest.mark.usefixtures("few")
def test_one_file_takes_the_place_of_all_parts(tmp_path: Path) -> None:
    for part in range(2):
        parts.write(tmp_path, made(part))
    found = assemble.joined(tmp_path)
    assemble.settle(tmp_path, found)
    assert parts.finished(tmp_path) == []
    whole, *others = assemble.joined(tmp_path)
    pd.testing.assert_frame_equal(whole, found[0], check_exact=True)
    assert others == list(found[1:])
    assemble.settle(tmp_path, found)
    short = pd.read_parquet(tmp_path / parts.TABLE)
    short.iloc[1:].to_parquet(tmp_path / parts.TABLE)
    with pytest.raises(StoreError, match="is not the whole table"):
        assemble.joined(tmp_path)
    cut = (tmp_path / parts.TABLE).read_bytes()[:-100]
    (tmp_path / parts.TABLE).write_bytes(cut)
    with pytest.raises(StoreError, match=r"nngp.parquet is damaged .* restore it"):
        assemble.joined(tmp_path)


def test_the_committed_table_is_whole() -> None:
    whole, about, failures = assemble.joined(ROOT / setting.OUT)
    assert len(whole) == len(all_cells()) == parts.CELLS
    missing = whole[list(parts.MEASURED)].isna()
    assert (missing.any(axis=1) == missing.all(axis=1)).all(), "a cell has all measures or none"
    assert missing.all(axis=1).sum() == sum(failures.values()) > 0
    assert about["proxy"].startswith("nngp:n_train=700,")
    assert about["parts"] == parts.PARTS
    readme = (ROOT / setting.OUT / "README.md").read_text()
    assert f"Failed cells: {sum(failures.values())};" in readme


@pytest.mark.usefixtures("few")
def test_what_is_refused(tmp_path: Path) -> None:
    frame = made(0)
    parts.write(tmp_path, frame)
    parts.path(tmp_path, 0).rename(parts.path(tmp_path, 1))
    with pytest.raises(StoreError, match="is no part 1"):
        assemble.joined(tmp_path)
    other = frame.copy()
    other.attrs.update(frame.attrs | {"part": 1})
    parts.write(tmp_path, other)
    with pytest.raises(StoreError, match="holds other cells"):
        assemble.joined(tmp_path)
    other = made(1)
    other.attrs["seed"] = 1
    parts.write(tmp_path, frame)
    parts.write(tmp_path, other)
    with pytest.raises(StoreError, match="of different settings"):
        assemble.joined(tmp_path)
    silent = frame.copy()
    silent.loc[0, "loo_accuracy"] = np.nan
    parts.write(tmp_path, silent)
    parts.path(tmp_path, 1).unlink()
    with pytest.raises(StoreError, match="1 cells have no score, 0 say why"):
        assemble.joined(tmp_path)


def test_the_rule_takes_the_cheapest_of_the_best_that_are_affordable() -> None:
    every = list(choose.candidates())
    first, second, third = every[0], every[10], every[-1]
    prices = {first: 0.05, second: 0.02, third: choose.PRICE + 0.01}
    assert choose.choose({first: 0.40, second: 0.30, third: 0.9}, prices) == first
    assert choose.choose({first: 0.40, second: 0.40 - choose.WITHIN / 2, third: 0.9}, prices) == (
        second
    )
    with pytest.raises(ValueError, match="empty"):
        choose.choose({third: 0.9}, prices)


def test_values_are_the_columns_of_a_candidate() -> None:
    family = Family(1, 4, 16, (20, 40), (1, 2))
    cells = NASBench101().sample(3, 0)
    proxy = family.proxy(family.n_train, family.ensemble)
    frame = score(cells, NASBench101(), [proxy], data.load("digits"), seeds=(0,))
    for n_train, ensemble in ((20, 1), (40, 2)):
        alone = family.proxy(n_train, ensemble)
        own = score(cells, NASBench101(), [alone], data.load("digits"))
        one = choose.Candidate(family, n_train, ensemble, ("negative_gcv",))
        np.testing.assert_allclose(choose.values(frame, one, 0), own["nngp[negative_gcv]"])
        one = choose.Candidate(family, n_train, ensemble, ("loo_accuracy",))
        np.testing.assert_allclose(choose.values(frame, one, 0), own["nngp"])
