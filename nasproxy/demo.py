"""The main job on embedded data: from cells to a ranking table, on a laptop, in minutes."""

from pathlib import Path

import typer

from nasproxy import data, ranking
from nasproxy.named import space_of
from nasproxy.proxies import NNGP, Flops, Params, Training
from nasproxy.ranking.reference import read_truth
from nasproxy.scoring import score
from nasproxy.store import Store

WIDTH = 16
"""Stem channels of the networks that are run; 128 is the benchmark's."""
TRUTH = Training(epochs=4, batch=32, learning_rate=0.02, width=WIDTH)
"""Shortened training, the truth of the demo: few images want small batches and a lower rate."""


def run(out: Path, cells: int, *, seed: int = 0, progress: bool = True) -> None:
    """Scores cells on scikit-learn's digits, trains them, and ranks the scores by the training.

    Writes ``scores.db``, ``ranking.csv``, ``ranking.md`` and ``ranking.png`` to ``out``; a second
    run reads the scores from the store.

    Args:
        out: folder, made if need be.
        cells: how many cells of NAS-Bench-101 to draw uniformly.
        seed: of the draw, the subsets and the initialisations.
        progress: show progress bars.
    """
    out.mkdir(parents=True, exist_ok=True)
    space = space_of("nasbench101")
    digits = data.load("digits")
    drawn = space.sample(cells, seed)
    with Store(out / "scores.db") as store:
        score(
            drawn,
            space,
            [Params(), Flops(), NNGP(width=WIDTH), TRUTH],
            digits,
            seeds=seed,
            store=store,
            drawn=f"uniform, n={cells}, seed={seed}",
            progress=progress,
        )
        truth = read_truth(TRUTH.name, store)
        table = ranking.rank_store(store, truth)
        typer.echo(ranking.render(table))
        for name in ("csv", "markdown"):
            path = out / f"ranking.{'md' if name == 'markdown' else name}"
            path.write_text(ranking.render(table, name), encoding="utf-8")
        ranking.plot_store(store, truth, out / "ranking.png")
    typer.echo(
        f"table: {out / 'ranking.csv'} and {out / 'ranking.md'}; plot: {out / 'ranking.png'}; "
        f"scores: {out / 'scores.db'}"
    )
