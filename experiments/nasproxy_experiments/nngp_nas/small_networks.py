"""Everything again among models under 10M parameters: does size lose most there (figure S10)?"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import (
    DRAWS,
    columns,
    estimate,
    found,
    kind,
    over_subsets,
    settled,
    subset_mean,
    subsets,
    tau,
)
from nasproxy.reproduce.suites import Finding, markdown
from nasproxy_experiments.nngp_nas.search_space_reduction import searched
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "Among models under 10M parameters the discovered performance of those chosen by size "
    "declines more than that of those chosen by NNGP or by shortened training, whose order stays."
)
NEEDS = ("many",)
LIMIT = 10_000_000
KEPT = 0.3
"""Share of networks that a score keeps before a random search by shortened training."""
ALL, SMALL = "all", "under 10M"
SEARCH = f"gain, {KEPT:.0%} kept"
SIZE, NNGP, RANDOM = "parameters", f"NNGP {MEASURES['accuracy']}", "random"

Best = dict[tuple[str, str], np.ndarray]
"""Discovered performance by group and score, ``[draws, subsets]``."""


def run(study: Study) -> Finding:
    scores = study.scores("many")
    read = {f"NNGP {text}": scores.column(measure=m) for m, text in MEASURES.items()}
    read |= {SIZE: study.sizes["params"]}
    read |= {f"{e} epochs": study.shortened[e] for e in study.budgets}
    *values, truth = study.joined(*read.values())
    by_name = dict(zip(read, values, strict=True))
    n, small = len(truth), by_name[SIZE] < LIMIT
    every = [subsets(n, seed=seed) for seed in range(DRAWS)]
    groups = {
        ALL: (np.ones(n, bool), every),
        SMALL: (small, [[s[small[s]] for s in drawn] for drawn in every]),
    }
    search = by_name[f"{study.budgets[1]} epochs"]
    screens = [*(f"NNGP {text}" for text in MEASURES.values()), SIZE, RANDOM]
    best: Best = {}
    rows = []
    for group, (chosen, draws) in groups.items():
        kept = max(2, round(KEPT * min(len(s) for drawn in draws for s in drawn)))
        whole = np.array([found(search, truth, drawn) for drawn in draws])
        for name, score in (by_name | {RANDOM: np.zeros(n)}).items():
            best[group, name] = np.array([found(score, truth, drawn) for drawn in draws])
            row = {"among": group, "score": name, "cells": int(chosen.sum())}
            if name != RANDOM:
                row |= columns("τ", tau(score[chosen], truth[chosen]))
                row |= columns("PQETP", estimate(_above_median, score[chosen], truth[chosen]))
            pair = subset_mean(best[group, name], n)
            row |= dict(zip(("discovered", "error"), pair, strict=True))
            if name in screens:
                gain = searched(score, kept, search, truth, draws) - whole
                row |= columns(SEARCH, over_subsets(gain, n))
            rows.append(row)
    table, declines = pd.DataFrame(rows), _declines(best, n)
    return Finding(
        _verdict(best, n, study.budgets),
        {"groups": table, "declines": declines},
        _figure(table),
        (
            f"{n:,} cells, {int(small.sum()):,} of them under 10M parameters at the benchmark's "
            f"width. NNGP at {scores.largest}. PQETP at the median of the group's own truth. "
            f"Discovered performance ± standard error over {kind(n)}, averaged over {DRAWS} draws "
            f"of the subsets; under 10M it is that of the subsets' smaller cells, so that declines "
            f"are paired. {SEARCH}: what a random search by {study.budgets[1]} epochs finds more "
            f"(less, if negative) by looking only at the {KEPT:.0%} that a score puts first. "
            "Intervals (95 %) of discovered performance are Student's t over the subsets of one "
            "draw. The paper draws subsets of 10,000 from either group.",
            "Declines of discovered performance from all to under 10M, and by how much more that "
            "of size declines:",
            markdown(declines),
        ),
    )


def _above_median(score: np.ndarray, truth: np.ndarray) -> float:
    return metrics.pqetp(score, truth, percentile=50)


def decline(best: Best, name: str) -> np.ndarray:
    """How much less a score finds among small networks than among all, ``[draws, subsets]``."""
    return best[ALL, name] - best[SMALL, name]


def _declines(best: Best, n: int) -> pd.DataFrame:
    names = [name for group, name in best if group == ALL]
    return pd.DataFrame(
        [
            {"score": name}
            | columns("decline", over_subsets(decline(best, name), n))
            | columns("size's more", over_subsets(decline(best, SIZE) - decline(best, name), n))
            for name in names
        ]
    )


def _verdict(best: Best, n: int, budgets: list[int]) -> str:
    rivals = [NNGP, *(f"{epochs} epochs" for epochs in budgets[:2])]
    beyond = {r: over_subsets(decline(best, SIZE) - decline(best, r), n) for r in rivals}
    lead = over_subsets(best[SMALL, SIZE] - best[SMALL, NNGP], n)
    declines = over_subsets(decline(best, SIZE), n)
    return (
        f"That size loses most under 10M parameters {settled(*beyond.values())}. Its discovered "
        f"performance declines by {declines:.4f}, {beyond[NNGP]:+.4f} more than that of NNGP. "
        f"There it still finds {lead:+.4f} over NNGP."
    )


def _figure(table: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(2, 2)
    names = list(dict.fromkeys(table["score"]))
    for number, (colour, (_, rows)) in enumerate(
        zip(figures.COLOURS, table.groupby("among", sort=False), strict=False)
    ):
        places = np.arange(len(names)) + 0.25 * (number - 0.5)
        label = str(rows["among"].iloc[0])
        for one, name in ((axes[0], "τ"), (axes[1], "PQETP"), (axes[3], SEARCH)):
            known = rows[name].notna().to_numpy()
            estimates = rows.loc[known, [name, f"{name} low", f"{name} high"]]
            figures.intervals(one, places[known], estimates, colour, label=label)
        axes[2].errorbar(
            places, rows["discovered"], rows["error"], fmt="o", ms=4, lw=0.8, color=colour
        )
    axes[3].axhline(0, color="0.5", lw=0.8, ls=":")
    texts = ("Kendall τ", "PQETP at the median", "discovered ± error", SEARCH)
    for one, text in zip(axes, texts, strict=True):
        one.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=7)
        figures.label(one, "", text)
    figures.legend(axes[0])
    return figure
