"""What moves τ: one thing changed at a time (seed, balance, order, batch norm, width, sampler)."""

import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import columns, correlations, tau_gain
from nasproxy.reproduce.suites import Finding
from nasproxy.truth import known
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "The paper's text and its notebook differ in balance, order and sampler; it does not say what "
    "they are worth."
)
RANDOM = "random matrices"
NEEDS = (
    "baseline",
    "other seed",
    "four members",
    "400 training images",
    "500 validation images",
    "128 batch-norm images",
    "not balanced",
    "notebook's order",
    "no batch-norm pass",
    "half the width",
    "twice the width",
    RANDOM,
)


def run(study: Study) -> Finding:
    rows = []
    for need in NEEDS:
        scores = study.scores(need)
        judged = known(scores.frame.index, study.truth)
        if len(judged) < 10:
            continue  # Published truth covers every cell; without it only those trained here.
        for measure, text in MEASURES.items():
            value, truth = study.joined(scores.column(measure=measure).reindex(judged))
            rows.append(
                {
                    "changed": need,
                    "score": text,
                    **correlations(value, truth),
                    **_gain(study, need, measure),
                }
            )
        if need == RANDOM:
            rows.append({"changed": need, "score": "parameters", **_size(study, need)})
        if need == "baseline":
            value, truth = study.joined(study.sizes["params"].reindex(judged))
            rows.append({"changed": need, "score": "parameters", **correlations(value, truth)})
    table = pd.DataFrame(rows)
    return Finding(
        _verdict(table),
        {"changes": table},
        _figure(table),
        (
            f"(n_train, n_valid, ensemble) = {study.scores('baseline').largest}. Differences to "
            "the baseline are on the same cells, but for the random matrices, which are other "
            "cells. Another seed means other images and other weights. For each change: is its "
            "interval apart from 0? Thirty-odd comparisons at 95 % bring one or two false alarms.",
        ),
    )


def _gain(study: Study, need: str, measure: str) -> dict[str, float]:
    if need in ("baseline", RANDOM):
        return {}
    own, base = (study.scores(n).column(measure=measure) for n in (need, "baseline"))
    return columns("gain", tau_gain(*study.joined(own, base)))


def _size(study: Study, need: str) -> dict[str, float]:
    request = study.requests[need]
    cells = study.space.sample(request.cells, request.seed, request.sampler)
    shape = study.images.image_shape
    params = {
        study.space.key(c): study.space.graph(c, shape, study.images.classes).parameters
        for c in cells
    }
    return correlations(*study.joined(pd.Series(params, dtype=float)))


def _verdict(table: pd.DataFrame) -> str:
    accuracy = table[table["score"] == MEASURES["accuracy"]].to_dict("records")
    base, others = accuracy[0], [row for row in accuracy[1:] if pd.notna(row["gain"])]
    told = [row for row in others if row["gain low"] > 0 or row["gain high"] < 0]
    rest = [row["changed"] for row in others if row not in told]
    said = ", ".join(f"{row['changed']} ({row['gain']:+.3f})" for row in told)
    text = (
        f"NNGP accuracy ranks with τ {base['τ']:.3f} [{base['τ low']:.3f}, {base['τ high']:.3f}]. "
        f"It is changed measurably by {said or 'nothing'}, not measurably by "
        f"{', '.join(rest) or 'none'}"
    )
    for row in accuracy:
        if row["changed"] == RANDOM:
            size = table[table["score"] == "parameters"]["τ"].tolist()
            text += (
                f". On random matrices instead of uniform cells τ is {row['τ']:.3f} "
                f"[{row['τ low']:.3f}, {row['τ high']:.3f}] over {row['cells']} distinct cells, "
                f"where size has {size[1]:.3f} against {size[0]:.3f}"
            )
    return text + "."


def _figure(table: pd.DataFrame) -> Figure:
    figure, (axes,) = figures.panels(1)
    figure.set_size_inches(7.4, 4.0)
    changed = list(dict.fromkeys(table["changed"]))
    for number, (colour, (text, rows)) in enumerate(
        zip(figures.COLOURS, table.groupby("score", sort=False), strict=False)
    ):
        places = [changed.index(c) + (number - 1) * 0.15 for c in rows["changed"]]
        figures.intervals(
            axes, places, rows[["τ", "τ low", "τ high"]].to_numpy(float), colour, label=str(text)
        )
    axes.set_xticks(range(len(changed)), changed, rotation=30, ha="right", fontsize=7)
    figures.label(axes, "", "Kendall τ with the truth")
    figures.legend(axes)
    return figure
