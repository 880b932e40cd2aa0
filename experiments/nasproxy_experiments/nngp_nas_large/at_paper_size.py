"""NNGP of 8,000 images and width 128 against training, size and counts (figures 1, 2, 6, 9)."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import Counts, metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES, Request
from nasproxy.reproduce.statistics import RESAMPLES, Estimate, columns
from nasproxy.reproduce.suites import Finding
from nasproxy.reproduce.words import listed
from nasproxy_experiments.nngp_nas.study import Study
from nasproxy_experiments.nngp_nas_large.study import SEEDS, of_seed

CLAIM = (
    "At its largest sizes NNGP matches or beats the τ of 4 and 12 epochs, tells better than 12 "
    "epochs whether a network is above the median, and hardly correlates with size. Rules, "
    "committed before a score was made: claims.py."
)
NEEDS = tuple(map(of_seed, SEEDS))
NNGP = f"NNGP {MEASURES['accuracy']}"
SIZE, LAYERS, COUNT = "parameters", "weight layers", "3×3 convolutions"
BUDGETS = (4, 12)
SHARES = (0.92, 0.5, 0.05, 0.01)
"""Of networks above a threshold."""
FEWEST = 10
"""Cells on either side of a threshold, at least."""
UNKNOWN = Estimate(math.nan, math.nan, math.nan)
SEED = "seed"


def run(study: Study) -> Finding:
    kept = raw(study)
    table = ranked(kept)
    setting = study.scores(NEEDS[0]).largest
    return Finding(
        _verdict(table),
        {"ranking": table},
        _figure(table),
        (
            f"NNGP at (n_train, n_valid, ensemble) = {setting}, width "
            f"{study.requests[NEEDS[0]].proxy.width}, by {len(SEEDS)} seeds of images and weights. "
            "A number is the mean over seeds, its interval (95 %) over cells and seeds (pigeonhole "
            "bootstrap); of size, counts and training over cells alone. `AUROC 50 % over 12 "
            "epochs` is the gain in telling whether a network is among the upper half; `12 epochs "
            "+` the τ that the mean rank of both gains over 12 epochs.",
        ),
        {"scores": kept},
    )


def raw(study: Study) -> pd.DataFrame:
    """A row a cell and seed, of the cells that all seeds scored, beside all that is known."""
    frames = []
    for seed in SEEDS:
        scores = study.scores(of_seed(seed))
        own = {f"NNGP {text}": scores.column(measure=name) for name, text in MEASURES.items()}
        frames.append(pd.DataFrame(own).dropna().rename_axis("architecture"))
    shared = sorted(set.intersection(*(set(frame.index) for frame in frames)))
    known = pd.DataFrame({"truth": study.truth.reindex(shared)})
    for epochs in study.budgets:
        known[f"{epochs} epochs"] = study.shortened[epochs].reindex(shared)
    known[SIZE] = study.sizes["params"].reindex(shared)
    counted = study.pool.frame(Request(Counts(), len(study.cells))).reindex(shared)
    known[LAYERS], known[COUNT] = counted["counts"], counted["counts[conv3x3]"]
    known = known.dropna()
    return pd.concat(
        [
            frame.loc[known.index].join(known).reset_index().assign(**{SEED: seed})
            for seed, frame in zip(SEEDS, frames, strict=True)
        ],
        ignore_index=True,
    )


def ranked(kept: pd.DataFrame) -> pd.DataFrame:
    """A row a score: τ, its gains over training, size and counts, and what it adds to training.

    Args:
        kept: of :func:`raw`.
    """
    wide = {
        str(name): kept.pivot_table(str(name), SEED, "architecture").to_numpy(float)
        for name in kept.columns.drop(["architecture", SEED])
    }
    truth = wide.pop("truth")[0]
    scores = {name: x if name.startswith("NNGP") else x[:1] for name, x in wide.items()}
    budgets = [f"{epochs} epochs" for epochs in BUDGETS if f"{epochs} epochs" in scores]
    rows = []
    for name, matrix in scores.items():
        row: dict[str, object] = {"score": name, "cells": len(truth), "seeds": len(matrix)}
        taus = metrics.over_seeds(metrics.kendall_tau, matrix, truth, n_resamples=RESAMPLES)
        row |= columns("τ", Estimate(*taus[:3])) | {"deviation of τ": taus.seed_deviation}
        for other in (*budgets, SIZE, LAYERS, COUNT):
            if other != name:
                gain = metrics.paired_gain(matrix, scores[other], truth, n_resamples=RESAMPLES)
                row |= columns(f"τ over {other}", Estimate(*gain[:3]))
        if name == NNGP:
            row |= _beside_training(matrix, {e: scores[e][0] for e in budgets}, truth)
            row |= _of_size(matrix, scores[SIZE][0])
        rows.append(row)
    return pd.DataFrame(rows)


def _beside_training(
    matrix: np.ndarray, trained: Mapping[str, np.ndarray], truth: np.ndarray
) -> dict[str, float]:
    """Gains of scores ``[seeds, cells]`` in AUROC, and of mean ranks with training in τ."""
    row: dict[str, float] = {}
    for epochs, column in trained.items():
        for share in SHARES:
            found = UNKNOWN  # A claim that rests on too few is undecided.
            if min(share, 1 - share) * len(truth) >= FEWEST:
                gain = metrics.paired_gain(
                    matrix, column[None], truth, statistic=_above(share), n_resamples=RESAMPLES
                )
                found = Estimate(*gain[:3])
            row |= columns(f"AUROC {share:.0%} over {epochs}", found)
        both = np.stack([metrics.rank_mean(np.column_stack([column, one])) for one in matrix])
        gain = metrics.paired_gain(both, column[None], truth, n_resamples=RESAMPLES)
        row |= columns(f"{epochs} +", Estimate(*gain[:3]))
    return row


def _above(share: float) -> Callable[[np.ndarray, np.ndarray], float]:
    """How well a score tells which networks are among the best so many, as a statistic."""

    def auroc(score: np.ndarray, truth: np.ndarray) -> float:
        return metrics.pqetp(score, truth, percentile=100 * (1 - share))

    return auroc


def _of_size(matrix: np.ndarray, size: np.ndarray) -> dict[str, float]:
    found = metrics.over_seeds(metrics.kendall_tau, matrix, size, n_resamples=RESAMPLES)
    return columns(f"τ with {SIZE}", Estimate(*found[:3]))


def _verdict(table: pd.DataFrame) -> str:
    by_name = {str(row["score"]): row for row in table.to_dict("records")}
    nngp = by_name.pop(NNGP)
    others = listed(
        f"{row['τ']:.2f} by {name}" for name, row in by_name.items() if "NNGP" not in name
    )
    gains = [
        f"{nngp[f'{epochs} epochs +']:+.3f} to {epochs} epochs"
        for epochs in BUDGETS
        if f"{epochs} epochs +" in nngp
    ]
    added = f" A mean rank with it adds {listed(gains)} in τ." if gains else ""
    return (
        f"Validation accuracy ranks with τ {nngp['τ']:.3f} [{nngp['τ low']:.3f}, "
        f"{nngp['τ high']:.3f}], which differs between seeds by a deviation of "
        f"{nngp['deviation of τ']:.3f}; τ is {others}.{added}"
    )


def _figure(table: pd.DataFrame) -> Figure:
    figure, (axes,) = figures.panels(1)
    shown = table.sort_values("τ")
    error = np.abs(shown[["τ low", "τ high"]].to_numpy(float).T - shown["τ"].to_numpy(float))
    places = np.arange(len(shown))
    axes.errorbar(shown["τ"], places, xerr=error, fmt="o", ms=4, lw=1, color=figures.COLOURS[0])
    axes.set_yticks(places, [str(name) for name in shown["score"]], fontsize=7)
    figures.label(axes, "Kendall τ with long training (95 % interval)", "")
    return figure
