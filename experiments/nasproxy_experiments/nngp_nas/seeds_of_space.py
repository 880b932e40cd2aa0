"""What another seed of images and weights does to what the table of all cells says.

    python -m nasproxy_experiments.nasbench101_space.compute --data-dir DIR --parts 0-5 --seed 1 \\
      --out results/nasbench101_space/by_seed/seed_1
    python -m nasproxy_experiments.nngp_nas.seeds_of_space --truth DIR

Cells of the table's first parts are scored again by further seeds, each with images and weights of
its own. A number is the mean over seeds, and its interval (95 %, bootstrap) is over cells and
seeds. Of the whole table, by one seed, is :mod:`nasproxy_experiments.nngp_nas.subsets`.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import files, metrics, truth
from nasproxy.errors import StoreError
from nasproxy.reproduce import figures
from nasproxy.reproduce.provenance import statement
from nasproxy.reproduce.statistics import RESAMPLES, Estimate, columns
from nasproxy_experiments.nasbench101_space import assemble, parts, setting
from nasproxy_experiments.nngp_nas.published import Published
from nasproxy_experiments.nngp_nas.subsets import (
    CONVOLUTIONS,
    COUNTS,
    NNGP,
    OWN,
    SIZE,
    asked,
    interval,
    markdown,
    short,
    signals,
)
from search_spaces.nasbench101.enumeration import all_cells

FOLDER = assemble.FURTHER
"""Of the table's folder, where a folder a seed is."""
TOGETHER = "NNGP, mean rank over all seeds"
BUDGETS = (4, 12)
"""Epochs of shortened training that a score is added to."""
GIVEN = "τ given counts"
LESS = "AUROC 50 % less 1 %"
OUT = setting.OUT / FOLDER


def main() -> None:
    folder, out, published, parameters = asked(__doc__, OUT)
    table = all_cells()
    by_seed = read(folder)
    rows = next(iter(by_seed.values()))[parts.ROW].to_numpy()
    keys, cells = table.hashes[rows].astype(str), [table[int(row)] for row in rows]
    sizes = parameters.reindex(keys)
    scored = [signals(one.set_index(keys), cells, sizes) for one in by_seed.values()]
    found = {
        "ranking": ranked(scored, published.truth.reindex(keys).to_numpy(float)),
        "complementary": complementary(scored, published),
    }
    write(out, found, list(by_seed))


def read(folder: Path) -> dict[int, pd.DataFrame]:
    """The measures of the cells that all seeds have, in the space's order, by seed.

    Raises:
        StoreError: fewer than two seeds, one twice, no common cell, or different settings.
    """
    found, made = {}, set()
    for place in (folder, *sorted((folder / FOLDER).glob("seed_*"))):
        whole, about, _ = assemble.joined(place)
        if about["seed"] in found:
            raise StoreError(f"{place.name} has seed {about['seed']}, as another folder: remove it")
        found[about["seed"]] = whole
        made.add((about["proxy"], about["data"]))
    if len(found) < 2:
        raise StoreError(f"{folder.name}/{FOLDER} has no seed_K: run compute with --seed K")
    if len(made) > 1:
        raise StoreError("seeds are of different settings: keep one setting's in a folder")
    rows = sorted(set.intersection(*(set(one[parts.ROW]) for one in found.values())))
    if not rows:
        raise StoreError("no cell is scored by all seeds: compute the same parts of each")
    return {seed: one.set_index(parts.ROW).loc[rows].reset_index() for seed, one in found.items()}


def ranked(by_seed: Sequence[pd.DataFrame], true: np.ndarray) -> pd.DataFrame:
    """A row a score: how it ranks, over size, over counts and among cells of equal counts.

    Args:
        by_seed: of each seed, a column a score, of :func:`.subsets.signals`.
        true: ``[cells]``.
    """
    counted = by_seed[0].attrs["counts"]
    groups = np.unique(counted, axis=0, return_inverse=True)[1].reshape(-1).astype(float)
    scores = {name: np.stack([one[name].to_numpy(float) for one in by_seed]) for name in _own()}
    scores[TOGETHER] = metrics.rank_mean(scores[NNGP].T)[None]
    for name in (SIZE, "3×3 convolutions", CONVOLUTIONS, COUNTS):
        scores[name] = by_seed[0][name].to_numpy(float)[None]
    rows = []
    for name, matrix in scores.items():
        seeds = len(by_seed) if name == TOGETHER else len(matrix)
        row: dict[str, object] = {"score": name, "cells": len(true), "seeds": seeds}
        taus = metrics.over_seeds(metrics.kendall_tau, matrix, true, n_resamples=RESAMPLES)
        row |= columns("τ", Estimate(*taus[:3]))
        for other in (SIZE, COUNTS, NNGP):
            if other != name and (other != NNGP or name == TOGETHER):
                gain = metrics.paired_gain(matrix, scores[other], true, n_resamples=RESAMPLES)
                row |= columns(f"τ over {other}", Estimate(*gain[:3]))
        if name != COUNTS:
            given = metrics.over_seeds(
                metrics.tau_within, matrix, true, groups, n_resamples=RESAMPLES
            )
            row |= columns(GIVEN, Estimate(*given[:3]))
        less = metrics.over_seeds(_less, matrix, true, n_resamples=RESAMPLES)
        row |= columns(LESS, Estimate(*less[:3]))
        row["deviation of τ"] = taus.seed_deviation
        pairs = [metrics.kendall_tau(*pair) for pair in combinations(matrix, 2)]
        row["τ with itself"] = float(np.mean(pairs)) if pairs else float("nan")
        row |= {f"τ of seed {i}": metrics.kendall_tau(one, true) for i, one in enumerate(matrix)}
        rows.append(row)
    return pd.DataFrame(rows)


def _own() -> tuple[str, ...]:
    return (NNGP, *OWN)


def _less(score: np.ndarray, true: np.ndarray) -> float:
    """How much better a score tells the upper half than the best per cent."""
    middle, best = (metrics.pqetp(score, true, percentile=p) for p in (50, 99))
    return middle - best


def complementary(by_seed: Sequence[pd.DataFrame], published: Published) -> pd.DataFrame:
    """Shortened training, and what the mean rank of it and a score gains over it."""
    both = by_seed[0].index.intersection(published.shortened.index)
    true = published.truth.reindex(both).to_numpy(float)
    rows = []
    for epochs in BUDGETS:
        training = published.shortened.loc[both, epochs].to_numpy(float)
        alone = metrics.over_seeds(metrics.kendall_tau, training, true, n_resamples=RESAMPLES)
        row: dict[str, object] = {"score": f"{epochs} epochs", "cells": len(both)}
        rows.append(row | columns("τ", Estimate(*alone[:3])))
        for name in (NNGP, SIZE, COUNTS):
            seeds = by_seed if name == NNGP else by_seed[:1]
            matrix = np.stack(
                [
                    metrics.rank_mean(np.column_stack([training, one.loc[both, name]]))
                    for one in seeds
                ]
            )
            row = {"score": f"{epochs} epochs + {name}", "cells": len(both), "seeds": len(matrix)}
            taus = metrics.over_seeds(metrics.kendall_tau, matrix, true, n_resamples=RESAMPLES)
            gain = metrics.paired_gain(matrix, training, true, n_resamples=RESAMPLES)
            row |= columns("τ", Estimate(*taus[:3]))
            rows.append(row | columns("gain", Estimate(*gain[:3])))
    return pd.DataFrame(rows)


def write(out: Path, found: dict[str, pd.DataFrame], seeds: Sequence[int]) -> None:
    """The tables, a figure and a page that says what they say."""
    out.mkdir(parents=True, exist_ok=True)
    for name, table in found.items():
        truth.write_table(table, out / f"{name}.csv")
    ranking, added = found["ranking"], found["complementary"]
    _figure(ranking).savefig(out / "figure.png", dpi=150)
    by_name = {str(row["score"]): row for _, row in ranking.iterrows()}
    nngp, together = by_name[NNGP], by_name[TOGETHER]
    lines = [
        "# What another seed does to what the table of all cells says",
        "",
        f"{nngp['cells']:,} cells, each scored by {len(seeds)} seeds of images and weights. NNGP "
        f"ranks with τ {interval(nngp, 'τ')}; between seeds τ has a standard deviation of "
        f"{nngp['deviation of τ']:.3f}, and two seeds' orders agree with τ "
        f"{nngp['τ with itself']:.2f}. The mean rank over all seeds has τ "
        f"{interval(together, 'τ')}, counts {interval(by_name[COUNTS], 'τ')}.",
        "",
        "![figure](figure.png)",
        "",
        "Intervals (95 %) are over cells and seeds (pigeonhole bootstrap); those of "
        f"`{short(TOGETHER)}`, of size and of counts over cells alone. Failed cells, `{GIVEN}` and "
        "scores as in [subsets](../subsets/README.md), which are of all finished cells and one "
        "seed.",
        "",
        markdown(ranking.set_index("score"), ("τ", f"τ over {SIZE}", f"τ over {COUNTS}", GIVEN)),
        "",
        "Beside shortened training, on the cells that it is published of, by mean rank:",
        "",
        markdown(added.set_index("score"), ("τ", "gain")),
        "",
        "All columns, τ by seed among them, are in `ranking.csv` and `complementary.csv`; raw "
        f"scores are in the table and the parts of this folder, seeds {_listed(seeds)}.",
        "",
        statement("python -m nasproxy_experiments.nngp_nas.seeds_of_space"),
    ]
    files.write_text(out / "README.md", "\n".join(lines))


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _figure(ranking: pd.DataFrame) -> Figure:
    figure, (axis,) = figures.panels(1)
    shown = ranking.sort_values("τ")
    places = np.arange(len(shown))
    singles = shown.filter(like="τ of seed").to_numpy(float)
    several = shown["score"].isin(_own()).to_numpy()
    for column in singles.T:
        axis.plot(column[several], places[several], "|", ms=7, color=figures.COLOURS[1])
    error = np.abs(shown[["τ low", "τ high"]].to_numpy().T - shown["τ"].to_numpy())
    axis.errorbar(shown["τ"], places, xerr=error, fmt="o", ms=3, lw=0.8, color=figures.COLOURS[0])
    axis.set_yticks(places, [short(name) for name in shown["score"]], fontsize=7)
    figures.label(axis, "Kendall τ with long training; strokes are single seeds", "")
    figure.set_size_inches(6.5, 3.3)
    return figure


if __name__ == "__main__":
    main()
