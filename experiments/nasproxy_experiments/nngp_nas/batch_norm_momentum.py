"""Batch-norm momentum: .997, 0, and between (figure S1)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import correlations, estimate, tau, tau_gain
from nasproxy.reproduce.suites import Finding, markdown
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "With momentum 0 (batch statistics) the NNGP is more accurate but ranks networks near chance; "
    "with the benchmark's .997 (batch norm almost the identity) it ranks them."
)
MOMENTA = (0.997, 0.99, 0.9, 0.5, 0.0)
SWEPT = tuple(f"momentum {m:g}" for m in MOMENTA)
CAUSES = ("512 images in the pass", "500 training images", "width 64")
"""What might explain momentum 0: noisy batch statistics, few training images, few channels."""
NEEDS = (*SWEPT, *(f"{SWEPT[i]}, {cause}" for cause in CAUSES for i in (0, -1)))


def run(study: Study) -> Finding:
    table = pd.DataFrame(
        [
            {"momentum": momentum, "score": text} | _row(study, need, measure)
            for momentum, need in zip(MOMENTA, SWEPT, strict=True)
            for measure, text in MEASURES.items()
        ]
    )
    causes = pd.DataFrame([_cause(study, cause) for cause in (None, *CAUSES)])
    return Finding(
        _verdict(causes),
        {"momentum": table, "causes": causes},
        _figure(table, causes),
        (
            f"(n_train, n_valid, ensemble) = {study.scores(NEEDS[0]).largest}; one pass in "
            f"training mode over {study.requests[NEEDS[0]].proxy.norm_images} images, then "
            "features in inference mode. Below, one thing changed at either momentum, each pair on "
            "the same cells (interval of paired differences):",
            markdown(causes),
        ),
    )


def _row(study: Study, need: str, measure: str) -> dict[str, float]:
    column, truth = study.joined(study.scores(need).column(measure=measure))
    mean, low, high = estimate(lambda a: float(np.mean(a)), column)
    return {
        **correlations(column, truth),
        "mean score": mean,
        "mean low": low,
        "mean high": high,
    }


def _cause(study: Study, cause: str | None) -> dict[str, object]:
    """Momentum 0 against the benchmark's, with one thing changed."""
    needs = (SWEPT[-1], SWEPT[0])
    none, high, truth = study.joined(
        *(study.scores(f"{need}, {cause}" if cause else need).column() for need in needs)
    )
    more = estimate(lambda a, b: float(np.mean(a - b)), none, high)
    gain = tau_gain(none, high, truth)
    ranked = tau(none, truth)
    return {
        "changed": cause or "nothing",
        "cells": len(truth),
        "accuracy at 0": float(none.mean()),
        "accuracy at .997": float(high.mean()),
        "more accurate": more.value,
        "more low": more.low,
        "more high": more.high,
        "τ at 0": ranked.value,
        "τ low": ranked.low,
        "τ high": ranked.high,
        "τ at .997": metrics.kendall_tau(high, truth),
        "τ gain": gain.value,
        "gain low": gain.low,
        "gain high": gain.high,
    }


def _verdict(causes: pd.DataFrame) -> str:
    first, *rest = causes.to_dict("records")

    def accurate(row: dict[Any, Any]) -> str:
        said = (
            "more" if row["more low"] > 0 else "less" if row["more high"] < 0 else "not measurably"
        )
        return f"{said} accurate ({row['accuracy at 0']:.3f} against {row['accuracy at .997']:.3f})"

    beside = "above" if first["τ low"] > 0 else "below" if first["τ high"] < 0 else "at"
    gain = (
        "below"
        if first["gain high"] < 0
        else "above"
        if first["gain low"] > 0
        else "not apart from"
    )
    others = "; ".join(f"{row['changed']}, {accurate(row)}" for row in rest)
    return (
        f"Momentum 0 is {accurate(first)}, and ranks {beside} chance: τ "
        f"{first['τ at 0']:.3f} [{first['τ low']:.3f}, {first['τ high']:.3f}], "
        f"{gain} .997's {first['τ at .997']:.3f} "
        f"({first['τ gain']:+.3f} [{first['gain low']:+.3f}, {first['gain high']:+.3f}]). "
        f"With one thing changed at both: {others}."
    )


def _figure(table: pd.DataFrame, causes: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(3)
    for colour, (text, rows) in zip(
        figures.COLOURS, table.groupby("score", sort=False), strict=False
    ):
        shown = {0: ["τ", "τ low", "τ high"]}
        if text != MEASURES["negative_mse"]:
            shown[1] = ["mean score", "mean low", "mean high"]
        for i, columns in shown.items():
            figures.intervals(
                axes[i],
                list(range(len(rows))),
                rows[columns].to_numpy(float),
                colour,
                label=str(text),
                ls="-",
            )
    for one in axes[:2]:
        one.set_xticks(range(len(MOMENTA)), [f"{m:g}" for m in MOMENTA])
        figures.legend(one)
    axes[0].axhline(0, color="0.5", lw=0.8, ls=":")
    figures.label(axes[0], "batch-norm momentum", "Kendall τ with the truth")
    figures.label(axes[1], "batch-norm momentum", "mean accuracy")
    places = np.arange(len(causes))
    for shift, momentum, colour in ((-0.1, "0", 0), (0.1, ".997", 1)):
        axes[2].plot(
            places + shift,
            causes[f"accuracy at {momentum}"],
            "o",
            color=figures.COLOURS[colour],
            label=f"momentum {momentum}",
        )
    axes[2].set_xticks(places, causes["changed"].str.replace(" images", "\nimages"), fontsize=7)
    figures.label(axes[2], "changed", "mean validation accuracy")
    figures.legend(axes[2])
    return figure
