"""The bias against linear networks: relative rank by residual connections (figure 4).

A residual connection is an edge of the cell that skips a vertex: an entry of the adjacency matrix
on the second superdiagonal or beyond, vertices in the official order.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import rankdata

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.scores import MEASURES
from experiments.statistics import Estimate, estimate

CLAIM = (
    "Competitive networks with poor NNGP performance are mostly linear, with few residual "
    "connections: these do poorly early in training and improve with training, and NNGP predicts "
    "them poor."
)
NEEDS = ("many",)
FEWEST = 10


def run(study: Study) -> Finding:
    scores = study.scores("many")
    columns = {f"NNGP {text}": scores.column(measure=m) for m, text in MEASURES.items()}
    columns |= {f"{e} epochs": study.shortened[e] for e in study.budgets}
    residual = pd.Series(
        {key: _residual(cell.adjacency) for key, cell in study.cells.items()}, dtype=float
    )
    *values, counts, truth = study.joined(*columns.values(), residual)
    ranks = {n: rankdata(v) / len(v) for n, v in zip(columns, values, strict=True)}
    ranks["truth"] = rankdata(truth) / len(truth)
    groups = [c for c in np.unique(counts) if (counts == c).sum() >= FEWEST]
    rows = []
    for name, rank in ranks.items():
        for count in groups:
            value, low, high = estimate(_mean, rank[counts == count])
            rows.append(
                {
                    "ranked by": name,
                    "residual connections": int(count),
                    "cells": int((counts == count).sum()),
                    "mean relative rank": value,
                    "low": low,
                    "high": high,
                }
            )
    table = pd.DataFrame(rows)
    return Finding(
        _verdict(study, ranks, counts),
        {"ranks": table},
        _figure(table, list(ranks)),
        (
            "Relative rank is the share of cells ranked at or below (ties share their mean), so "
            "that 0.5 is the middle. All scores are ranked among the same "
            f"{len(truth):,} cells. The paper does not say which diagonals it counts; here all "
            "beyond the first superdiagonal.",
        ),
    )


def _residual(adjacency: tuple[tuple[int, ...], ...]) -> int:
    return int(np.triu(np.array(adjacency), 2).sum())


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def _verdict(study: Study, ranks: dict[str, np.ndarray], counts: np.ndarray) -> str:
    linear = counts <= 1
    if linear.sum() < FEWEST:
        return f"Only {linear.sum()} cells have at most one residual connection: too few to say."
    first = f"{study.budgets[0]} epochs"
    accuracy = f"NNGP {MEASURES['accuracy']}"

    def against_truth(name: str) -> Estimate:
        return estimate(_mean, (ranks[name] - ranks["truth"])[linear])

    early, nngp = against_truth(first), against_truth(accuracy)
    good = linear & (ranks["truth"] >= 0.5)
    best = estimate(_mean, ranks[accuracy][good]) if good.sum() >= FEWEST else None
    holds = early.high < 0 and nngp.high < 0
    return (
        f"The claim {'holds' if holds else 'does not hold as stated'}: the "
        f"{int(linear.sum())} cells with at most one residual connection rank "
        f"{estimate(_mean, ranks['truth'][linear])} by the truth; after {first} they rank {early} "
        f"from there, by NNGP accuracy {nngp}"
        + (
            f", and the {int(good.sum())} of them in the better half rank {best} by NNGP."
            if best
            else "."
        )
    )


def _figure(table: pd.DataFrame, names: list[str]) -> Figure:
    figure, axes = figures.panels(2, sharey=True)
    trained = [n for n in names if n.endswith("epochs")] + ["truth"]
    nngp = [n for n in names if n.startswith("NNGP")] + ["truth"]
    for one, shown in zip(axes, (trained, nngp), strict=True):
        for colour, name in zip(figures.COLOURS, shown, strict=False):
            rows = table[table["ranked by"] == name]
            value, low, high = (
                rows[c].to_numpy(float) for c in ("mean relative rank", "low", "high")
            )
            figures.band(
                one,
                rows["residual connections"].to_numpy(float),
                value,
                low,
                high,
                "black" if name == "truth" else colour,
                "long training (truth)" if name == "truth" else name,
                marker="o",
                ms=3,
            )
        one.axhline(0.5, color="0.5", lw=0.8, ls=":")
        figures.label(one, "residual connections of the cell", "")
        figures.legend(one, loc="lower right")
    axes[0].set_ylabel("mean relative rank (1 is best)", fontsize=9)
    return figure
