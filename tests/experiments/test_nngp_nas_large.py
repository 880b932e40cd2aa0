"""Claims at the paper's size: recomputed plainly from made-up scores, and judged each way."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasproxy import metrics
from nasproxy.reproduce.claims import FAILS, HOLDS, NOT_TESTED, UNDECIDED, Claim, judge
from nasproxy.reproduce.suites import Options
from nasproxy_experiments.nngp_nas_large import at_paper_size, prepare
from nasproxy_experiments.nngp_nas_large.at_paper_size import COUNT, LAYERS, NNGP, SIZE
from nasproxy_experiments.nngp_nas_large.study import NAME, SEEDS, SMALL, of_seed

SIDE = 20
CLAIMS: tuple[Claim, ...] = importlib.import_module(
    "nasproxy_experiments.nngp_nas_large.claims"
).CLAIMS


def made(quality: float, size: float, noise: float, trained: float) -> pd.DataFrame:
    """Cells of every quality and size together; a score follows both, training only the first.

    Args:
        quality, size, noise: how much of each is in the score.
        trained: the noise of training.
    """
    rng = np.random.default_rng(0)
    truth, sizes = (grid.ravel() for grid in np.meshgrid(*2 * [np.linspace(-1.7, 1.7, SIDE)]))
    # Among cells of one quality or size the order is chance's, and the same in truth and score.
    truth, sizes = (grid + 1e-3 * rng.normal(size=SIDE**2) for grid in (truth, sizes))
    known = pd.DataFrame({"architecture": np.arange(SIDE**2).astype(str), "truth": truth})
    known = known.assign(**{SIZE: sizes, LAYERS: -sizes, COUNT: np.round(sizes)})
    for epochs in ("4 epochs", "12 epochs"):
        known[epochs] = truth + trained * rng.normal(size=SIDE**2)
    parts = []
    for seed in SEEDS:
        score = quality * truth + size * sizes + noise * rng.normal(size=SIDE**2)
        parts.append(known.assign(**{NNGP: score, "NNGP −validation MSE": -score, "seed": seed}))
    return pd.concat(parts, ignore_index=True)


def judged(table: pd.DataFrame, results: Path) -> dict[str, str]:
    folder = results / NAME / "at_paper_size"
    folder.mkdir(parents=True)
    (folder / "README.md").touch()
    table.to_csv(folder / "ranking.csv")
    return {claim.number: judge(claim, results).verdict for claim in CLAIMS}


def test_without_a_report_nothing_is_tested(tmp_path: Path) -> None:
    assert {judge(claim, tmp_path).verdict for claim in CLAIMS} == {NOT_TESTED}


@pytest.mark.parametrize(
    ("quality", "size", "noise", "trained", "verdict"),
    [(1.0, 0.0, 0.3, 1.5, HOLDS), (-1.0, 1.0, 0.3, 0.05, FAILS)],
)
def test_scores_decide(
    quality: float, size: float, noise: float, trained: float, verdict: str, tmp_path: Path
) -> None:
    """One sees better than training does, and nothing of size; one is upside down, and follows it.

    That training tells the best, 6g, is the other way round.
    """
    found = judged(at_paper_size.ranked(made(quality, size, noise, trained)), tmp_path)
    assert found.pop("6g") == (FAILS if verdict == HOLDS else HOLDS)
    assert set(found.values()) == {verdict}, found


def test_numbers_are_means_over_seeds() -> None:
    kept = made(quality=1.0, size=0.0, noise=1.0, trained=1.0)
    table = at_paper_size.ranked(kept).set_index("score")
    by_seed = [own for _, own in kept.groupby("seed")]
    taus = [metrics.kendall_tau(own[NNGP], own["truth"]) for own in by_seed]
    assert table["τ"][NNGP] == pytest.approx(np.mean(taus))
    training = metrics.kendall_tau(by_seed[0]["12 epochs"], by_seed[0]["truth"])
    assert table["τ over 12 epochs"][NNGP] == pytest.approx(np.mean(taus) - training)
    upper = [
        metrics.pqetp(own[NNGP], own["truth"], threshold=own["truth"].median())
        - metrics.pqetp(own["12 epochs"], own["truth"], threshold=own["truth"].median())
        for own in by_seed
    ]
    assert table["AUROC 50% over 12 epochs"][NNGP] == pytest.approx(np.mean(upper))
    assert table["seeds"].to_dict() == {
        name: 3 if name.startswith("NNGP") else 1 for name in table.index.astype(str)
    }


def test_what_rests_on_too_few_cells_is_undecided(tmp_path: Path) -> None:
    """The best 5 % of 60 cells are three."""
    kept = made(quality=1.0, size=0.0, noise=0.3, trained=1.5)
    few = kept[kept["architecture"].astype(int) % 7 == 0]
    found = judged(at_paper_size.ranked(few), tmp_path)
    assert found["6g"] == UNDECIDED
    assert found["4g"] == HOLDS


def test_a_rehearsal_is_small_and_has_a_folder_of_its_own(tmp_path: Path) -> None:
    study = prepare(Options(cells=12, out=tmp_path, progress=False))
    study.close()
    assert study.name == f"{NAME}_embedded"
    assert (tmp_path / study.name / "scores.db").is_file()
    requests = [study.requests[of_seed(seed)] for seed in SEEDS]
    assert [request.seed for request in requests] == list(SEEDS)
    assert {request.proxy.width for request in requests} == {SMALL["width"]}
    assert {request.cells for request in requests} == {12}
