"""Batch-norm momentum: .997, 0, and between (figure S1)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.scores import MEASURES
from experiments.statistics import correlations, estimate, tau_gain

CLAIM = (
    "With momentum 0 (batch statistics) the NNGP is more accurate but ranks networks near chance; "
    "with the benchmark's .997 (batch norm almost the identity) it ranks them."
)
MOMENTA = (0.997, 0.99, 0.9, 0.5, 0.0)
NEEDS = tuple(f"momentum {m:g}" for m in MOMENTA)


def run(study: Study) -> Finding:
    rows = []
    for momentum, need in zip(MOMENTA, NEEDS, strict=True):
        scores = study.scores(need)
        for measure, text in MEASURES.items():
            column, truth = study.joined(scores.column(measure=measure))
            mean, low, high = estimate(lambda a: float(np.mean(a)), column)
            rows.append(
                {
                    "momentum": momentum,
                    "score": text,
                    **correlations(column, truth),
                    "mean score": mean,
                    "mean low": low,
                    "mean high": high,
                }
            )
    table = pd.DataFrame(rows)
    return Finding(
        _verdict(study, table),
        {"momentum": table},
        _figure(table),
        (
            f"(n_train, n_valid, ensemble) = {study.scores(NEEDS[0]).largest}; one pass in "
            "training mode over 64 images, then features in inference mode.",
        ),
    )


def _verdict(study: Study, table: pd.DataFrame) -> str:
    rows = table[table["score"] == MEASURES["accuracy"]].to_dict("records")
    high, none = rows[0], rows[-1]
    gain = tau_gain(
        *study.joined(study.scores(NEEDS[0]).column(), study.scores(NEEDS[-1]).column())
    )
    chance = none["τ low"] <= 0 <= none["τ high"]
    more = "more" if none["mean low"] > high["mean high"] else "not clearly more"
    return (
        f"Momentum 0 is {more} accurate (mean {none['mean score']:.3f} against "
        f"{high['mean score']:.3f}), and ranks "
        f"{'at chance' if chance else 'not at chance'}: τ {none['τ']:.3f} [{none['τ low']:.3f}, "
        f"{none['τ high']:.3f}] against {high['τ']:.3f} [{high['τ low']:.3f}, "
        f"{high['τ high']:.3f}] at .997, a difference of {gain}."
    )


def _figure(table: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(2)
    for colour, (text, rows) in zip(
        figures.COLOURS, table.groupby("score", sort=False), strict=False
    ):
        places = np.arange(len(rows))
        figures.intervals(
            axes[0],
            places.tolist(),
            rows[["τ", "τ low", "τ high"]].to_numpy(float),
            colour,
            label=str(text),
            ls="-",
        )
        if text != MEASURES["negative_mse"]:
            figures.intervals(
                axes[1],
                places.tolist(),
                rows[["mean score", "mean low", "mean high"]].to_numpy(float),
                colour,
                label=str(text),
                ls="-",
            )
    for one in axes:
        one.set_xticks(range(len(MOMENTA)), [f"{m:g}" for m in MOMENTA])
        figures.legend(one)
    axes[0].axhline(0, color="0.5", lw=0.8, ls=":")
    figures.label(axes[0], "batch-norm momentum", "Kendall τ with the truth")
    figures.label(axes[1], "batch-norm momentum", "mean accuracy")
    return figure
