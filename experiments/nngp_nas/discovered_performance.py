"""Discovered performance against FLOPs: the best of the ten that a score puts first (figure 3)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.scores import MEASURES
from experiments.statistics import discovered, kind, mean, sort, subsets, top

CLAIM = "By discovered performance NNGP is at most as good as 4-epoch training, and worse than 12."
NEEDS = ("many",)


def run(study: Study) -> Finding:
    scores = study.scores("many")
    columns = {
        (f"NNGP {MEASURES[m]}", str(s)): (scores.column(s, m), scores.costs[s])
        for s in scores.settings
        for m in MEASURES
    }
    for epochs in study.budgets:
        columns[f"{epochs} epochs", ""] = study.shortened[epochs], study.training_cost(epochs)
    columns["parameters", ""] = study.sizes["params"], 0.0
    *values, truth = study.joined(*(column for column, _ in columns.values()))
    drawn = subsets(len(truth))
    rows = []
    for (name, setting), (_, cost), value in zip(
        columns.keys(), columns.values(), values, strict=True
    ):
        found = discovered(value, truth, drawn)
        rows.append(
            {
                "score": name,
                "setting": setting,
                "discovered": found.value,
                "error": found.error,
                "PFLOPs": cost / 1e15,
            }
        )
    random = discovered(np.zeros(len(truth)), truth, drawn)
    best = mean([truth[s].max() for s in drawn])
    rows.append(
        {"score": "random", "setting": "", "discovered": random.value, "error": random.error}
    )
    rows.append(
        {"score": "best there is", "setting": "", "discovered": best.value, "error": best.error}
    )
    table = sort(pd.DataFrame(rows), "discovered")
    by_name = dict(zip(columns, values, strict=True))
    return Finding(
        _verdict(study, table, by_name, truth, drawn),
        {"discovered": table},
        _figure(study, table),
        (
            f"Mean ± standard error over {kind(len(truth))} of {len(truth):,} scored; the paper "
            f"draws subsets of 10,000 from all 423,624, where the best are better. The top "
            f"{top(len(drawn[0]))} by each score; ties are averaged over their orders.",
        ),
    )


def _verdict(
    study: Study,
    table: pd.DataFrame,
    values: dict[tuple[str, str], np.ndarray],
    truth: np.ndarray,
    drawn: list[np.ndarray],
) -> str:
    nngp = table[table["score"].str.startswith("NNGP")]
    said = []
    for label, rows in (
        ("accuracy", nngp[nngp["score"].str.endswith(MEASURES["accuracy"])]),
        ("best measure", nngp),
    ):
        best = rows.iloc[0]
        chosen = values[best["score"], best["setting"]]
        parts = []
        for epochs in study.budgets[:2]:
            other = values[f"{epochs} epochs", ""]
            gain = mean(
                [
                    discovered(chosen, truth, [s] * 2).value
                    - discovered(other, truth, [s] * 2).value
                    for s in drawn
                ]
            )
            parts.append(f"{gain.value:+.4f} ± {gain.error:.4f} against {epochs} epochs")
        said.append(
            f"by {label} ({best['score']}, {best['setting']}) NNGP finds {best['discovered']:.4f} "
            f"± {best['error']:.4f}: {', '.join(parts)}"
        )
    random = table[table["score"] == "random"].iloc[0]
    size = table[table["score"] == "parameters"].iloc[0]
    return (
        f"{'; '.join(said)}. Ten at random: {random['discovered']:.4f}; the ten largest: "
        f"{size['discovered']:.4f} ± {size['error']:.4f}."
    )


def _figure(study: Study, table: pd.DataFrame) -> Figure:
    figure, (axes,) = figures.panels(1)
    for colour, measure in zip(figures.COLOURS, MEASURES.values(), strict=False):
        rows = table[table["score"] == f"NNGP {measure}"]
        axes.errorbar(
            rows["PFLOPs"],
            rows["discovered"],
            rows["error"],
            fmt="o",
            ms=4,
            color=colour,
            lw=0.8,
            capsize=1.5,
            label=f"NNGP {measure}",
        )
    cost = table["PFLOPs"][table["PFLOPs"] > 0]
    ends = [cost.min() / 1.5, cost.max() * 1.5]
    for name, colour in [
        *(
            (f"{e} epochs", c)
            for e, c in zip(study.budgets, ("black", "0.35", "0.6"), strict=False)
        ),
        ("parameters", figures.COLOURS[4]),
        ("random", figures.COLOURS[3]),
    ]:
        row = table[table["score"] == name].iloc[0]
        low, high = row["discovered"] - row["error"], row["discovered"] + row["error"]
        axes.fill_between(ends, low, high, color=colour, alpha=0.15, lw=0)
        axes.plot(ends, [row["discovered"]] * 2, color=colour, lw=1, ls="--", label=name)
        if row["PFLOPs"] > 0:
            axes.plot(row["PFLOPs"], row["discovered"], "^", color=colour, ms=5)
    axes.set_xscale("log")
    figures.label(axes, "cost of scoring one network, PFLOPs", "discovered accuracy")
    figures.legend(axes, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
