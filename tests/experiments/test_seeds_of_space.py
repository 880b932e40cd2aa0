"""What further seeds do to the table of all cells: read, recomputed plainly, and judged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy import metrics
from nasproxy.errors import StoreError
from nasproxy.reproduce.claims import FAILS, HOLDS, UNDECIDED, judge
from nasproxy_experiments.nasbench101_space import parts
from nasproxy_experiments.nngp_nas import claims_of_space, seeds_of_space, subsets
from nasproxy_experiments.nngp_nas.published import EPOCHS, Published
from search_spaces.nasbench101.enumeration import all_cells

N, SEEDS = 300, 3
ABOUT = {"proxy": "p", "data": "d", "commit": "c", "versions": {}, "seconds": 1.0, "failures": {}}


def part(number: int, seed: int, **changes: object) -> pd.DataFrame:
    rng = np.random.default_rng((number, seed))
    made = pd.DataFrame({parts.ROW: parts.rows(number)})
    for measure in parts.MEASURED:
        made[measure] = rng.normal(size=len(made)).astype(np.float32)
    made.attrs.update(ABOUT | {"part": number, "seed": seed} | changes)
    return made


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A space of eight cells in two parts."""
    monkeypatch.setattr(parts, "CELLS", 8)
    monkeypatch.setattr(parts, "PARTS", 2)


@pytest.mark.usefixtures("few")
def test_the_cells_that_all_seeds_have(tmp_path: Path) -> None:
    for number in range(2):
        parts.write(tmp_path, part(number, 0))
    with pytest.raises(StoreError, match="has no seed_K: run compute with --seed K"):
        seeds_of_space.read(tmp_path)
    further = tmp_path / seeds_of_space.FOLDER
    parts.write(further / "seed_1", part(1, 1))
    found = seeds_of_space.read(tmp_path)
    assert list(found) == [0, 1]
    for seed, one in found.items():
        assert one[parts.ROW].tolist() == parts.rows(1).tolist()
        assert one["negative_gcv"].tolist() == part(1, seed)["negative_gcv"].tolist()
    parts.write(further / "seed_2", part(1, 1))
    with pytest.raises(StoreError, match="seed_2 has seed 1, as another folder"):
        seeds_of_space.read(tmp_path)
    parts.write(further / "seed_2", part(1, 2, data="of others"))
    with pytest.raises(StoreError, match="different settings"):
        seeds_of_space.read(tmp_path)
    parts.path(further / "seed_2", 1).unlink()
    parts.write(further / "seed_2", part(0, 2))
    with pytest.raises(StoreError, match="no cell is scored by all seeds"):
        seeds_of_space.read(tmp_path)


def scored(signal: float = 1.0) -> tuple[list[pd.DataFrame], Published]:
    """Scores of a hidden quality by three seeds, beside sizes that tell nothing of it."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(parts.CELLS, N, replace=False))
    cells = [all_cells()[int(row)] for row in rows]
    keys = pd.Index([cell.key for cell in cells])
    quality = rng.normal(size=N)
    sizes = pd.Series(rng.normal(size=N), keys)
    by_seed = []
    for _ in range(SEEDS):
        whole = pd.DataFrame({parts.ROW: rows}, index=keys)
        for measure in parts.MEASURED:
            whole[measure] = signal * quality + rng.normal(size=N)
        by_seed.append(subsets.signals(whole, cells, sizes))
    trained = pd.DataFrame({e: quality + 12 / e * rng.normal(size=N) for e in EPOCHS}, index=keys)
    return by_seed, Published(pd.Series(quality, keys), trained.iloc[:120], sizes)


def row(frame: pd.DataFrame, score: str) -> pd.Series:
    return frame.set_index("score").loc[[score]].iloc[0]


def test_a_row_is_the_mean_over_seeds() -> None:
    by_seed, published = scored()
    true = published.truth.to_numpy()
    table = seeds_of_space.ranked(by_seed, true)
    own = row(table, subsets.NNGP)
    matrix = [one[subsets.NNGP].to_numpy() for one in by_seed]
    taus = [metrics.kendall_tau(one, true) for one in matrix]
    assert own["τ"] == pytest.approx(np.mean(taus))
    assert [own[f"τ of seed {i}"] for i in range(SEEDS)] == pytest.approx(taus)
    assert own["deviation of τ"] == pytest.approx(np.std(taus, ddof=1))
    pairs = [metrics.kendall_tau(matrix[i], matrix[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert own["τ with itself"] == pytest.approx(np.mean(pairs))
    size = by_seed[0][subsets.SIZE].to_numpy()
    assert own[f"τ over {subsets.SIZE}"] == pytest.approx(
        np.mean(taus) - metrics.kendall_tau(size, true)
    )
    given = [metrics.tau_given(one, true, by_seed[0].attrs["counts"]).tau for one in matrix]
    assert own[seeds_of_space.GIVEN] == pytest.approx(np.mean(given))
    together = row(table, seeds_of_space.TOGETHER)
    ranks = np.mean([np.argsort(np.argsort(one)) for one in matrix], axis=0)
    assert together["τ"] == pytest.approx(metrics.kendall_tau(ranks, true), abs=1e-3), "up to ties"
    assert together["seeds"] == SEEDS, "it rests on all of them"
    assert together[f"τ over {subsets.NNGP} low"] > 0, "noise of three seeds averages out"
    assert np.isnan(row(table, subsets.SIZE)["τ with itself"])


def test_what_scores_add_to_training() -> None:
    by_seed, published = scored()
    table = seeds_of_space.complementary(by_seed, published)
    assert set(table["cells"]) == {120}
    own = row(table, f"4 epochs + {subsets.NNGP}")
    assert own["seeds"] == SEEDS
    assert own["gain"] == pytest.approx(own["τ"] - row(table, "4 epochs")["τ"])
    assert own["gain low"] > 0
    assert row(table, f"4 epochs + {subsets.SIZE}")["gain high"] < own["gain"]


@pytest.mark.parametrize(("signal", "word"), [(1.0, HOLDS), (-1.0, FAILS)])
def test_claims_come_out_either_way(tmp_path: Path, signal: float, word: str) -> None:
    by_seed, published = scored(signal)
    found = {
        "ranking": seeds_of_space.ranked(by_seed, published.truth.to_numpy()),
        "complementary": seeds_of_space.complementary(by_seed, published),
    }
    seeds_of_space.write(tmp_path / claims_of_space.BY_SEED, found, range(SEEDS))
    text = (tmp_path / claims_of_space.BY_SEED / "README.md").read_text()
    assert f"{N} cells, each scored by {SEEDS} seeds" in text
    assert "nan" not in text
    for name in (subsets.NNGP, subsets.COUNTS, f"12 epochs + {subsets.NNGP}"):
        assert f"| {subsets.short(name)} " in text
    assert subsets.COUNTS not in text, "a heading as short as a row"
    judged = {
        claim.number: judge(claim, tmp_path).verdict
        for claim in claims_of_space.CLAIMS
        if claim.report.startswith(f"{claims_of_space.BY_SEED}/")
    }
    assert judged.keys() == {"20as", "33as", "33bs", "34s", "n1s", "n2s", "n4"}
    assert judged["n2s"] == judged["n4"] == word
    assert judged["20as"] == (HOLDS if word == HOLDS else UNDECIDED), "the paper's kernel is larger"
    assert judged["33as"] == word
