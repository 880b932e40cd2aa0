"""The bias against linear networks: relative rank by residual connections (figure 4).

A residual connection is an edge of the cell that skips a vertex: an entry of the adjacency matrix
on the second superdiagonal or beyond, vertices in the official order.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import binomtest, rankdata

from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import Estimate, Mean, mean, settled, student
from nasproxy.reproduce.suites import Finding, markdown
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "Competitive networks with poor NNGP performance are mostly linear, with few residual "
    "connections: these do poorly early in training and improve with training, and NNGP predicts "
    "them poor."
)
NEEDS = ("many",)
FEW = 1
"""Residual connections that a network may have and count as linear: none or a small number."""
QUARTER = 0.25
"""Competitive is the best quarter by the truth, poor the worst quarter by a score."""
ACCURACY = f"NNGP {MEASURES['accuracy']}"


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
    pairs = {n: competitive(ranks[n], ranks["truth"], counts) for n in columns}
    table = _by_count(ranks, counts)
    return Finding(
        _verdict(study, ranks, counts, pairs[ACCURACY]),
        {"competitive": _compared(pairs), "ranks": table},
        _figure(table, list(ranks)),
        (
            f"First the competitive cells, the best {QUARTER:.0%} by the truth of {len(truth):,}: "
            f"those in the worst {QUARTER:.0%} by a score against the others. A cell with at most "
            f"{FEW} residual connection counts as linear. The paper does not say which diagonals "
            "it counts; here all beyond the first superdiagonal.",
            "Then mean relative ranks by residual connections, of all cells. A relative rank is "
            "the share of cells ranked at or below (ties share their mean), so that 0.5 is the "
            "middle. Intervals (95 %) are Student's t, cut at the possible 0 and 1; a single cell "
            "has none.",
            markdown(_wide(table)),
        ),
    )


def _residual(adjacency: tuple[tuple[int, ...], ...]) -> int:
    return int(np.triu(np.array(adjacency), 2).sum())


def competitive(
    rank: np.ndarray, truth: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Residual connections of the competitive cells: of those a score has poor, and the others.

    Args:
        rank: ``[cells]``, relative ranks by the score.
        truth: ``[cells]``, relative ranks by the truth.
        counts: ``[cells]``, residual connections.
    """
    good, poor = truth > 1 - QUARTER, rank <= QUARTER
    return counts[good & poor], counts[good & ~poor]


def _linear(counts: np.ndarray) -> Estimate:
    """Share of linear cells, with its exact binomial interval."""
    of = binomtest(int((counts <= FEW).sum()), len(counts))
    return Estimate(float(of.statistic), *map(float, of.proportion_ci()))


def _difference(poor: np.ndarray, others: np.ndarray) -> Estimate:
    """Of mean residual connections; Student's t with the smaller group's degrees of freedom."""
    own, other = mean(poor), mean(others)
    error = float(np.hypot(own.error, other.error))
    return student(Mean(own.value - other.value, error), min(len(poor), len(others)))


def _compared(pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    rows = []
    for name, (poor, others) in pairs.items():
        row = {"poor by": name, "poor": len(poor), "others": len(others)}
        if min(len(poor), len(others)) > 1:
            share, difference = _linear(poor), _difference(poor, others)
            row |= {"linear poor": share.value, "low": share.low, "high": share.high}
            row |= {"linear others": _linear(others).value, "residual poor": poor.mean()}
            row |= {"residual others": others.mean(), "difference": difference.value}
            row |= {"difference low": difference.low, "difference high": difference.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _by_count(ranks: dict[str, np.ndarray], counts: np.ndarray) -> pd.DataFrame:
    """Every group, however small."""
    rows = []
    for name, rank in ranks.items():
        for count in np.unique(counts):
            group = rank[counts == count]
            value, low, high = student(mean(group), len(group))
            rows.append(
                {
                    "ranked by": name,
                    "residual connections": int(count),
                    "cells": len(group),
                    "mean relative rank": value,
                    "low": max(low, 0.0) if len(group) > 1 else low,
                    "high": min(high, 1.0) if len(group) > 1 else high,
                }
            )
    return pd.DataFrame(rows)


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """A row a number of residual connections, a column a ranking."""
    shown = table.assign(
        text=[
            f"{value:.2f}" if np.isnan(low) else f"{Estimate(value, low, high):.2f}"
            for value, low, high in table[["mean relative rank", "low", "high"]].to_numpy()
        ]
    )
    index = ["residual connections", "cells"]
    wide = shown.pivot_table("text", index, "ranked by", aggfunc="first", sort=False)
    return wide.reset_index()


def _verdict(
    study: Study,
    ranks: dict[str, np.ndarray],
    counts: np.ndarray,
    pair: tuple[np.ndarray, np.ndarray],
) -> str:
    poor, others = pair
    linear, first = counts <= FEW, f"{study.budgets[0]} epochs"
    if min(len(poor), len(others), linear.sum()) < 2:
        return (
            f"The claim is undecided: {len(poor)} competitive cells are poor by NNGP, and "
            f"{int(linear.sum())} have at most {FEW} residual connection."
        )
    share, fewer = _linear(poor), -_difference(poor, others)
    more = Estimate(*(end - 0.5 for end in share))

    def rank(values: np.ndarray) -> Estimate:
        return student(mean(values[linear]), int(linear.sum()))

    early, by_truth, by_nngp = (ranks[n] for n in (first, "truth", ACCURACY))
    improved = rank(by_truth - early)
    return (
        f"The claim {settled(more, fewer, improved, rank(0.5 - early), rank(0.5 - by_nngp))}. Of "
        f"the {len(poor)} competitive cells with poor NNGP {share:.0%} are linear, and they have "
        f"{-fewer:+.2f} residual connections to the other {len(others):,}. The {linear.sum()} "
        f"linear cells of all rank {rank(early):.2f} after {first}, and long training moves them "
        f"by {improved:+.2f}. NNGP accuracy ranks them {rank(by_nngp):.2f}, "
        f"{rank(by_nngp - by_truth):+.2f} from the truth."
    )


def _figure(table: pd.DataFrame, names: list[str]) -> Figure:
    figure, axes = figures.panels(2, sharey=True)
    trained = [n for n in names if n.endswith("epochs")] + ["truth"]
    nngp = [n for n in names if n.startswith("NNGP")] + ["truth"]
    for one, shown in zip(axes, (trained, nngp), strict=True):
        for number, (colour, name) in enumerate(zip(figures.COLOURS, shown, strict=False)):
            rows = table[table["ranked by"] == name]
            colour = "black" if name == "truth" else colour
            x = rows["residual connections"] + 0.12 * (number - (len(shown) - 1) / 2)
            estimates = rows[["mean relative rank", "low", "high"]].astype(float)
            figures.intervals(
                one,
                x,
                estimates,
                colour,
                label="long training (truth)" if name == "truth" else name,
            )
            one.plot(x, rows["mean relative rank"], color=colour, lw=0.8)
        one.axhline(0.5, color="0.5", lw=0.8, ls=":")
        one.set_ylim(0, 1)
        cells = table.drop_duplicates("residual connections")
        ticks = [f"{c}\n({n:,})" for c, n in zip(cells.iloc[:, 1], cells["cells"], strict=True)]
        one.set_xticks(cells["residual connections"], ticks)
        figures.label(one, "residual connections of the cell (cells)", "")
        figures.legend(one, loc="upper left")
    axes[0].set_ylabel("mean relative rank (1 is best)", fontsize=9)
    return figure
