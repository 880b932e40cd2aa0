"""Discovered performance against FLOPs: the best of the ten that a score puts first (figure 3)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import (
    DRAWS,
    Estimate,
    columns,
    found,
    kind,
    over_subsets,
    settled,
    sort,
    subset_mean,
    subsets,
    top,
)
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = "By discovered performance NNGP is at most as good as 4-epoch training, and worse than 12."
NEEDS = ("many",)


def run(study: Study) -> Finding:
    scores = study.scores("many")
    read = {
        (f"NNGP {MEASURES[m]}", str(s)): (scores.column(s, m), scores.costs[s])
        for s in scores.settings
        for m in MEASURES
    }
    for epochs in study.budgets:
        read[f"{epochs} epochs", ""] = study.shortened[epochs], study.training_cost(epochs)
    read["parameters", ""] = study.sizes["params"], 0.0
    *values, truth = study.joined(*(column for column, _ in read.values()))
    n = len(truth)
    draws = [subsets(n, seed=seed) for seed in range(DRAWS)]
    best = {
        name: np.array([found(value, truth, drawn) for drawn in draws])
        for name, value in zip(read, values, strict=True)
    }
    costs = {name: cost for name, (_, cost) in read.items()}
    best["random", ""] = np.array([found(np.zeros(n), truth, drawn) for drawn in draws])
    best["best there is", ""] = np.array([[truth[s].max() for s in drawn] for drawn in draws])
    rows = []
    for (name, setting), values in best.items():
        value, error = subset_mean(values, n)
        row = {"score": name, "setting": setting, "discovered": value, "error": error}
        for epochs in study.budgets[:2]:
            gain = over_subsets(values - best[f"{epochs} epochs", ""], n)
            row |= columns(f"over {epochs} epochs", gain)
        rows.append(row | {"PFLOPs": costs.get((name, setting), np.nan) / 1e15})
    table = sort(pd.DataFrame(rows), "discovered")
    return Finding(
        _verdict(study, table, str(scores.largest)),
        {"discovered": table},
        _figure(study, table),
        (
            f"The top {top(len(draws[0][0]))} by each score of {kind(n)} of {n:,} scored, ties "
            f"averaged over their orders: mean ± standard error, averaged over {DRAWS} draws of "
            "the subsets. Gains are on the same subsets; their 95 % intervals are Student's t over "
            "the subsets of one draw, each by itself: of many settings, one in forty exceeds 0 by "
            "chance. The paper draws subsets of 10,000 from all 423,624, where the best are better "
            "and ten are a smaller share.",
        ),
    )


def _verdict(study: Study, table: pd.DataFrame, largest: str) -> str:
    """By the largest setting, chosen before looking: the best of many would flatter."""
    short, long = (f"over {epochs} epochs" for epochs in study.budgets[:2])
    rows = table[table["setting"] == largest].set_index("score")

    def gain(measure: str, against: str) -> Estimate:
        names = [against, f"{against} low", f"{against} high"]
        return Estimate(*rows.loc[[f"NNGP {MEASURES[measure]}"], names].to_numpy(float)[0])

    early, late = gain("accuracy", short), gain("accuracy", long)
    others = [
        f"{gain(measure, short):+.4f} ({text})"
        for measure, text in MEASURES.items()
        if measure != "accuracy"
    ]
    return (
        f"The claim {settled(-early, -late)}. NNGP accuracy at {largest} finds {early:+.4f} "
        f"{short} (that it is at most as good {settled(-early)}) and {late:+.4f} {long} (that it "
        f"is worse {settled(-late)}). By other measures the same kernels find "
        f"{' and '.join(others)} {short}."
    )


def _figure(study: Study, table: pd.DataFrame) -> Figure:
    figure, (cost, gain) = figures.panels(2)
    figure.set_size_inches(7.6, 4.0)
    short = study.budgets[0]
    against = f"over {short} epochs"
    ends = [against, f"{against} low", f"{against} high"]
    settings = [str(s) for s in study.requests["many"].settings]
    for number, (colour, measure) in enumerate(
        zip(figures.COLOURS, MEASURES.values(), strict=False)
    ):
        rows = table[table["score"] == f"NNGP {measure}"]
        cost.errorbar(
            rows["PFLOPs"] * 1.25 ** (number - 1),
            rows["discovered"],
            rows["error"],
            fmt="o",
            ms=3,
            color=colour,
            lw=0.8,
            label=f"NNGP {measure}",
        )
        places = [settings.index(s) + 0.2 * (number - 1) for s in rows["setting"]]
        figures.intervals(gain, places, rows[ends], colour)
    spent = table["PFLOPs"][table["PFLOPs"] > 0]
    ends = [spent.min() / 2, spent.max() * 1.5]
    for name, colour in [
        *zip((f"{e} epochs" for e in study.budgets), (*figures.COLOURS[3:5], "0.5"), strict=False),
        ("parameters", "black"),
        ("random", "0.7"),
    ]:
        row = table[table["score"] == name].iloc[0]
        low, high = row["discovered"] - row["error"], row["discovered"] + row["error"]
        cost.fill_between(ends, low, high, color=colour, alpha=0.15, lw=0)
        cost.plot(ends, [row["discovered"]] * 2, color=colour, lw=1, ls="--", label=name)
        if row["PFLOPs"] > 0:
            cost.plot(row["PFLOPs"], row["discovered"], "^", color=colour, ms=5)
        if name != "random":
            gain.axhline(row[against], color=colour, lw=1, ls="--")
    cost.set_xscale("log")
    figures.label(
        cost, "cost of scoring one network, PFLOPs", "discovered accuracy ± standard error"
    )
    cost.set_title("measures of one cost are shifted apart", fontsize=8)
    gain.set_xticks(range(len(settings)), settings, rotation=30, ha="right", fontsize=7)
    figures.label(gain, "", f"gain over {short} epochs, 95 % interval")
    handles, labels = cost.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, frameon=False, loc="outside lower center", ncols=4)
    return figure
