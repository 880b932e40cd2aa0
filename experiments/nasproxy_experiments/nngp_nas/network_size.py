"""Network size: NNGP's correlation with it, size as a predictor, and its clusters (6, S7–S9)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import (
    DRAWS,
    Estimate,
    correlations,
    estimate,
    found,
    kind,
    over_subsets,
    settled,
    sort,
    subset_mean,
    subsets,
    tau,
    tau_gain,
)
from nasproxy.reproduce.suites import Finding, markdown
from nasproxy_experiments.nngp_nas.study import Study
from search_spaces.nasbench101.cell import CONV3X3

CLAIM = (
    "NNGP hardly correlates with network size, so it captures more than that; size ranks poorly "
    "overall but finds the best networks; within clusters of like size NNGP still tells networks "
    "apart."
)
NEEDS = ("many",)
FEWEST = 20
"""Cells of a cluster that a τ within it is given for."""
ACCURACY = f"NNGP {MEASURES['accuracy']}"


def run(study: Study) -> Finding:
    scores = study.scores("many")
    columns = {
        f"NNGP {text} {setting}": scores.column(setting, m)
        for m, text in MEASURES.items()
        for setting in scores.settings
    }
    columns |= {f"{e} epochs": study.shortened[e] for e in study.budgets}
    columns["parameters"] = study.sizes["params"]
    divided = pd.DataFrame({key: cluster(cell) for key, cell in study.cells.items()}).T
    *values, feeding, convolutions, truth = study.joined(*columns.values(), divided[0], divided[1])
    by_name = dict(zip(columns, values, strict=True))
    params, n = by_name["parameters"], len(truth)
    draws = [subsets(n, seed=seed) for seed in range(DRAWS)]
    best = {
        name: np.array([found(value, truth, drawn) for drawn in draws])
        for name, value in by_name.items()
    }
    rows = []
    for name, value in by_name.items():
        own = correlations(value, params)
        with_size = {f"{k[0]} with size{k[1:]}": v for k, v in own.items() if k != "cells"}
        row = {"score": name, "cells": own["cells"], **with_size, **correlations(value, truth)}
        rows.append(
            row | dict(zip(("discovered", "error"), subset_mean(best[name], n), strict=True))
        )
    accuracy = f"{ACCURACY} {scores.largest}"
    shown = [f"NNGP {text} {scores.largest}" for text in MEASURES.values()]
    shown += ["parameters", *(f"{e} epochs" for e in study.budgets)]
    codes = 100 * feeding + convolutions
    clusters = _clusters(codes, {name: by_name[name] for name in shown}, truth)
    explained = _explained(codes, np.log(params))
    within = {name: estimate(within_clusters, by_name[name], truth, codes) for name in shown}
    table = sort(pd.DataFrame(rows), "τ")
    return Finding(
        _verdict(by_name, best, within, accuracy, truth),
        {"size": table, "clusters": clusters},
        _figure(table, by_name, feeding, within, truth, accuracy),
        (
            f"{n:,} cells; parameters at the benchmark's width; τ and Pearson's r with it and with "
            f"the truth; discovered performance ± standard error over {kind(n)}, averaged over "
            f"{DRAWS} draws of them. PQETP-λ with bands is in threshold_exceedance; models under "
            "10M parameters are in small_networks.",
            "A cell's channels are divided among the vertices that feed its output, and most "
            "parameters are in its 3×3 convolutions: the two numbers make the clusters, and "
            f"explain {explained:.0%} of the variance of log size. τ with the truth of the cells "
            f"of each cluster, where it has at least {FEWEST}; NNGP at {scores.largest}:",
            markdown(clusters),
        ),
    )


def cluster(cell: Any) -> tuple[int, int]:
    """Interior vertices that feed the output, and 3×3 convolutions, of a cell."""
    feeding = [v for v in cell.predecessors(cell.num_vertices - 1) if v > 0]
    return len(feeding), cell.ops.count(CONV3X3)


def within_clusters(score: np.ndarray, truth: np.ndarray, codes: np.ndarray) -> float:
    """Kendall's τ_b over the pairs of cells that share a cluster."""
    return metrics.tau_given(score, truth, codes).tau


def _clusters(codes: np.ndarray, shown: dict[str, np.ndarray], truth: np.ndarray) -> pd.DataFrame:
    params, rows = shown["parameters"], []
    for code in np.unique(codes):
        group = codes == code
        row = {
            "feeding the output": int(code // 100),
            "3×3 convolutions": int(code % 100),
            "cells": int(group.sum()),
            "parameters from": int(params[group].min()),
            "to": int(params[group].max()),
            "mean truth": float(truth[group].mean()),
            "best truth": float(truth[group].max()),
        }
        for name, score in shown.items():
            enough = group.sum() >= FEWEST
            label = f"τ {name.partition(' (')[0]}"
            row[label] = metrics.kendall_tau(score[group], truth[group]) if enough else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _explained(codes: np.ndarray, values: np.ndarray) -> float:
    """Share of the values' variance between clusters."""
    means = pd.Series(values).groupby(codes).transform("mean")
    return float(means.var(ddof=0) / values.var())


def _verdict(
    by_name: dict[str, np.ndarray],
    best: dict[str, np.ndarray],
    within: dict[str, Estimate],
    accuracy: str,
    truth: np.ndarray,
) -> str:
    params, nngp = by_name["parameters"], by_name[accuracy]
    less = tau_gain(truth, nngp, params)
    ranks = tau_gain(nngp, params, truth)
    finds = over_subsets(best["parameters"] - best[accuracy], len(truth))
    told = within[accuracy]
    return (
        f"The claim {settled(less, ranks, finds, told)}. NNGP accuracy's τ with size is "
        f"{tau(nngp, params)}, {-less:+.3f} from the truth's own. NNGP ranks {ranks:+.3f} better "
        f"than size, and size finds {finds:+.4f} over NNGP. Within clusters of like size NNGP's τ "
        f"is {told}, size's {within['parameters']}."
    )


def _figure(
    table: pd.DataFrame,
    by_name: dict[str, np.ndarray],
    feeding: np.ndarray,
    within: dict[str, Estimate],
    truth: np.ndarray,
    accuracy: str,
) -> Figure:
    figure, axes = figures.panels(2, 2)
    millions = by_name["parameters"] / 1e6
    floor = np.percentile(truth, 2)
    seen = truth >= floor
    dots: dict[str, Any] = {"s": 4, "alpha": 0.35, "lw": 0, "rasterized": True}
    for colour, count in zip(figures.COLOURS, np.unique(feeding), strict=False):
        group = feeding == count
        axes[0].scatter(millions[group & seen], truth[group & seen], color=colour, **dots)
        axes[1].scatter(
            millions[group], by_name[accuracy][group], color=colour, label=f"{count:.0f}", **dots
        )
    left = f"{(~seen).sum()} cells below {floor:.3f} are left out"
    figures.label(axes[0], "parameters, millions", "accuracy after long training", left)
    figures.label(axes[1], "parameters, millions", ACCURACY)
    for one in axes[:2]:
        figures.logarithmic(one)
    figures.legend(
        axes[1],
        title="vertices feeding the output",
        title_fontsize=7,
        loc="upper left",
        markerscale=3,
    )
    others = [name for name in by_name if name != "parameters"]
    rows = table.set_index("score").loc[others].reset_index()
    _with_size(axes[2], rows)
    figures.legend(axes[2])
    every = {name: tau(by_name[name], truth) for name in within}
    for offset, (text, values) in enumerate((("all", every), ("within clusters", within))):
        places = np.arange(len(values)) + 0.25 * (offset - 0.5)
        estimates = list(values.values())
        figures.intervals(axes[3], places, estimates, figures.COLOURS[offset], label=text)
    ticks = [name.partition(" (")[0] for name in within]
    axes[3].set_xticks(range(len(ticks)), ticks, rotation=30, ha="right", fontsize=7)
    figures.label(axes[3], "", "Kendall τ with the truth")
    figures.legend(axes[3])
    return figure


def _with_size(axes: Axes, rows: pd.DataFrame) -> None:
    """τ with size of every setting, and of shortened training."""
    columns = [f"τ with size{end}" for end in ("", " low", " high")]
    parts = rows["score"].str.extract(r"^(?:NNGP )?(.*?)(?: (\(.*\)))?$")
    ticks = [*dict.fromkeys(parts[1].dropna()), *parts[0][parts[1].isna()]]
    for number, (colour, measure) in enumerate(
        zip(figures.COLOURS, MEASURES.values(), strict=False)
    ):
        own = parts[0] == measure
        places = [ticks.index(t) + 0.2 * (number - 1) for t in parts[1][own]]
        figures.intervals(axes, places, rows[columns][own], colour, label=f"NNGP {measure}")
    trained = parts[1].isna()
    places = [ticks.index(t) for t in parts[0][trained]]
    figures.intervals(axes, places, rows[columns][trained], "black", label="shortened training")
    axes.axhline(0, color="0.5", lw=0.8, ls=":")
    axes.set_xticks(range(len(ticks)), ticks, rotation=30, ha="right", fontsize=7)
    figures.label(axes, "", "Kendall τ with size")
