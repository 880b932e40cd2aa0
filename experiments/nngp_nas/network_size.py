"""Network size: NNGP's correlation with it, size as a predictor, models under 10M (6, S7–S10)."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.scores import MEASURES
from experiments.statistics import correlations, discovered, kind, sort, subsets, tau

CLAIM = (
    "NNGP hardly correlates with network size; size is a poor ranker overall but finds the best "
    "networks, and among models under 10M parameters it loses most."
)
NEEDS = ("many",)
LIMIT = 10_000_000


def run(study: Study) -> Finding:
    scores = study.scores("many")
    columns = {
        f"NNGP {text} {setting}": scores.column(setting, m)
        for setting in (scores.settings[0], scores.largest)
        for m, text in MEASURES.items()
    }
    columns |= {f"{e} epochs": study.shortened[e] for e in study.budgets}
    columns["parameters"] = study.sizes["params"]
    *values, truth = study.joined(*columns.values())
    by_name = dict(zip(columns, values, strict=True))
    params = by_name["parameters"]
    groups = {"all": np.ones(len(truth), bool), "under 10M": params < LIMIT}
    rows = []
    for group, chosen in groups.items():
        drawn = subsets(int(chosen.sum()))
        for name, value in by_name.items():
            found = discovered(value[chosen], truth[chosen], drawn)
            with_size = tau(value[chosen], params[chosen])
            rows.append(
                {
                    "among": group,
                    "score": name,
                    **correlations(value[chosen], truth[chosen]),
                    "discovered": found.value,
                    "error": found.error,
                    "τ with size": with_size.value,
                    "τ with size low": with_size.low,
                    "τ with size high": with_size.high,
                }
            )
    table = sort(pd.DataFrame(rows), "τ").sort_values("among", kind="stable").reset_index(drop=True)
    accuracy = f"NNGP {MEASURES['accuracy']} {scores.largest}"
    return Finding(
        _verdict(table, accuracy, study),
        {"size": table, "clusters": _clusters(params, truth)},
        _figure(params, truth, by_name, accuracy, study),
        (
            f"{len(truth):,} cells, {int(groups['under 10M'].sum()):,} of them under 10M "
            f"parameters; parameters at the benchmark's width. Discovered performance over "
            f"{kind(len(truth))} (all) and {kind(int(groups['under 10M'].sum()))} (under 10M).",
        ),
    )


def _clusters(params: np.ndarray, truth: np.ndarray) -> pd.DataFrame:
    """Sizes fall into clusters by how many vertices share a stage's channels."""
    edges = np.array([0, 2, 5, 10, 15, 20, 30, 60]) * 1e6
    rows = [
        {
            "parameters from": low,
            "to": high,
            "cells": int(chosen.sum()),
            "mean truth": float(truth[chosen].mean()),
            "best truth": float(truth[chosen].max()),
        }
        for low, high in pairwise(edges)
        if (chosen := (params >= low) & (params < high)).any()
    ]
    return pd.DataFrame(rows)


def _verdict(table: pd.DataFrame, accuracy: str, study: Study) -> str:
    def row(group: str, score: str) -> pd.Series:
        return table[(table["among"] == group) & (table["score"] == score)].iloc[0]

    def shown(line: pd.Series, name: str) -> str:
        return f"{line[name]:.3f} [{line[f'{name} low']:.3f}, {line[f'{name} high']:.3f}]"

    def found(line: pd.Series) -> str:
        return f"{line['discovered']:.4f} ± {line['error']:.4f}"

    every, small = row("all", accuracy), row("under 10M", accuracy)
    size, small_size = row("all", "parameters"), row("under 10M", "parameters")
    return (
        f"NNGP accuracy's τ with size is {shown(every, 'τ with size')}, and with the truth "
        f"{shown(every, 'τ')} against size's own {shown(size, 'τ')}; discovered {found(every)} "
        f"against {found(size)}. Under 10M parameters: NNGP {shown(small, 'τ')}, discovered "
        f"{found(small)}; size {shown(small_size, 'τ')}, discovered {found(small_size)}."
    )


def _figure(
    params: np.ndarray,
    truth: np.ndarray,
    by_name: dict[str, np.ndarray],
    accuracy: str,
    study: Study,
) -> Figure:
    figure, axes = figures.panels(2, 2)
    floor = np.percentile(truth, 2)
    shown = truth >= floor
    dots = {"s": 4, "alpha": 0.35, "color": figures.COLOURS[0], "lw": 0, "rasterized": True}
    axes[0].scatter(params[shown] / 1e6, truth[shown], **dots)
    figures.logarithmic(axes[0])
    figures.label(
        axes[0],
        "parameters, millions",
        "accuracy after long training",
        f"{(~shown).sum()} cells below {floor:.3f} are left out",
    )
    axes[1].scatter(params / 1e6, by_name[accuracy], **dots)
    figures.logarithmic(axes[1])
    figures.label(
        axes[1],
        "parameters, millions",
        "NNGP validation accuracy",
        f"τ = {tau(by_name[accuracy], params)}",
    )
    axes[2].hist(
        params / 1e6,
        bins=np.geomspace(params.min(), params.max(), 60) / 1e6,
        color=figures.COLOURS[0],
    )
    figures.logarithmic(axes[2])
    axes[2].axvline(LIMIT / 1e6, color="0.4", ls="--", lw=1)
    figures.label(axes[2], "parameters, millions", "cells")
    names = ["parameters", accuracy, *(f"{e} epochs" for e in study.budgets)]
    for offset, (group, chosen, colour) in enumerate(
        (
            ("all", np.ones(len(truth), bool), figures.COLOURS[0]),
            ("under 10M", params < LIMIT, figures.COLOURS[1]),
        )
    ):
        values = [tau(by_name[n][chosen], truth[chosen]) for n in names]
        places = np.arange(len(names)) + (offset - 0.5) * 0.25
        figures.intervals(axes[3], places.tolist(), values, colour, label=group)
    axes[3].set_xticks(range(len(names)), ["size", "NNGP", *(f"{e} ep." for e in study.budgets)])
    figures.label(axes[3], "", "Kendall τ with the truth")
    figures.legend(axes[3], loc="upper left")
    return figure
