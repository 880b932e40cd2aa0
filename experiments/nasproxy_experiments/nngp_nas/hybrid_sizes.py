"""Hybrids by n_t: do NNGPs of more training images make better ones (figure 9)?"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import columns, tau, tau_gain
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "Hybrids of 4-epoch training and NNGP, fitted to 12-epoch accuracy, are better by a "
    "statistically significant amount where n_t is larger."
)
NEEDS = ("images",)
KINDS = ("linear fit", "mean rank")


def run(study: Study) -> Finding:
    scores = study.scores("images")
    n_valid = max(setting.n_valid for setting in scores.settings)
    settings = [s for s in scores.settings if s.n_valid == n_valid]
    short, target = study.budgets[:2]
    named = {s.n_train: scores.column(s, "accuracy") for s in settings}
    *values, four, twelve, truth = study.joined(
        *named.values(), study.shortened[short], study.shortened[target]
    )
    by_size = dict(zip(named, values, strict=True))
    raw = pd.DataFrame({f"n_t {n}": column for n, column in named.items()}).assign(
        **{f"{epochs} epochs": study.shortened[epochs] for epochs in (short, target)},
        truth=study.truth,
    )
    table = compared(by_size, four, twelve, truth)
    first, last = min(by_size), max(by_size)
    gains = table[table["n_t"] == last].set_index("hybrid")
    said = ", ".join(
        f"{gains.loc[kind, 'over least']:+.3f} [{gains.loc[kind, 'over least low']:+.3f}, "
        f"{gains.loc[kind, 'over least high']:+.3f}] by {kind}"
        for kind in KINDS
    )
    return Finding(
        f"From n_t {first:,} to {last:,} the hybrid's τ gains {said}, on {len(truth)} cells.",
        {"hybrids": table, "raw": raw.dropna().rename_axis("architecture").reset_index()},
        _figure(table),
        (
            f"NNGP is {MEASURES['accuracy']} on {n_valid} images, M = 1, its images nested. A "
            f"linear fit is of {target}-epoch accuracy to {short}-epoch accuracy and NNGP, by "
            "least squares on the other four fifths of the cells; a mean rank is of no fit. Gains "
            "are paired, over cells. Rule: the claim holds if the linear fit's gain from the least "
            "to the largest n_t is positive.",
        ),
    )


def compared(
    by_size: dict[int, np.ndarray], four: np.ndarray, twelve: np.ndarray, truth: np.ndarray
) -> pd.DataFrame:
    """A row a number of images and kind of hybrid, with its gain over that of fewest images.

    Args:
        by_size: NNGP by n_t, ``[cells]`` each.
        four, twelve: accuracy after shortened training, ``[cells]``.
        truth: ``[cells]``.
    """
    rows = []
    for kind in KINDS:
        made = {n: _hybrid(kind, four, nngp, twelve) for n, nngp in by_size.items()}
        for n, hybrid in made.items():
            row: dict[str, object] = {"hybrid": kind, "n_t": n, "cells": len(truth)}
            row |= columns("τ", tau(hybrid, truth))
            row |= columns("over 4 epochs", tau_gain(hybrid, four, truth))
            if n > min(made):
                row |= columns("over least", tau_gain(hybrid, made[min(made)], truth))
            rows.append(row)
    return pd.DataFrame(rows)


def _hybrid(kind: str, four: np.ndarray, nngp: np.ndarray, twelve: np.ndarray) -> np.ndarray:
    features = np.column_stack([four, nngp])
    if kind == "mean rank":
        return metrics.rank_mean(features)
    return metrics.cross_fitted(features, twelve)


def _figure(table: pd.DataFrame) -> Figure:
    figure, (axis,) = figures.panels(1)
    for colour, kind, aside in zip(figures.COLOURS, KINDS, (0.96, 1.04), strict=False):
        own = table[table["hybrid"] == kind]
        ends = own[["over 4 epochs", "over 4 epochs low", "over 4 epochs high"]]
        figures.intervals(axis, aside * own["n_t"], ends, colour, label=kind)
        axis.plot(aside * own["n_t"], ends.iloc[:, 0], color=colour, lw=0.8)
    axis.axhline(0, color="0.4", lw=0.8, ls=":")
    figures.logarithmic(axis)
    figures.label(axis, "n_t", "gain in Kendall τ over 4 epochs alone")
    figures.legend_below(axis)
    return figure
