"""Does a narrow network rank as a wide one at equal rank of the kernel?

A kernel of M networks with d features each has rank d·M at most. A network of a quarter of the
width costs a sixteenth, so that four of them cost a quarter: if they rank alike, the width is worth
nothing by itself.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES, Scores
from nasproxy.reproduce.statistics import Estimate, columns
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_default.study import (
    EQUAL_RANK,
    RANK_SEEDS,
    WIDTHS,
    DefaultStudy,
    of_width,
)

MARGIN = 0.05
"""Gains in τ below it count as none; of the rule."""
CLAIM = (
    "The paper uses the benchmark's width, 128. Rule, written before a score was read: a narrow "
    "network ranks as a wide one if the interval of the gain in τ, by leave-one-out accuracy, over "
    f"cells and seeds, lies within ±{MARGIN:.2f}."
)
NEEDS = EQUAL_RANK
MEASURE = "loo_accuracy"
"""What the rule is of: it ties least of the accuracies and needs no further images."""
NARROW = WIDTHS[0].width


def run(study: DefaultStudy) -> Finding:
    scores = {need: study.scores(need) for need in NEEDS}
    kept = raw(scores, study.truth, study.sizes["params"])
    table = compared(kept)
    return Finding(
        _verdict(table),
        {"widths": table},
        _figure(table),
        (
            f"Images are {study.pool_of(NEEDS[0]).images.image_shape[0]} pixels a side, n_t "
            f"{scores[NEEDS[0]].largest.n_train:,}. τ is the mean over {len(RANK_SEEDS)} seeds, "
            "each with images and weights of its own, the same for all widths; intervals are over "
            f"cells and seeds. A gain is over width {NARROW} at as many features, on the cells "
            "that both have. Agreement is τ between the two scores of a seed, and of a width with "
            "itself between seeds: other images and other weights.",
        ),
        {"scores": kept},
    )


def raw(scores: Mapping[str, Scores], truth: pd.Series, params: pd.Series) -> pd.DataFrame:
    """A row a cell, width, M and seed, beside its truth and its parameters."""
    frames = []
    for wide in WIDTHS:
        for seed in RANK_SEEDS:
            own = scores[of_width(wide.width, seed)]
            for setting in own.settings:
                found = {name: own.column(setting, name) for name in MEASURES}
                frame = pd.DataFrame(found).rename_axis("architecture").reset_index()
                frames.append(frame.assign(width=wide.width, M=setting.ensemble, seed=seed))
    frame = pd.concat(frames, ignore_index=True)
    keys = frame["architecture"]
    frame["truth"] = truth.reindex(keys).to_numpy()
    frame["params"] = params.reindex(keys).to_numpy(float)
    floats = [*MEASURES, "truth", "params"]
    return frame.astype(dict.fromkeys(floats, np.float32)).dropna()


def compared(kept: pd.DataFrame) -> pd.DataFrame:
    """A row a measure, width and M: τ, its gain over the narrow at equal rank, agreement."""
    rows: list[dict[str, object]] = []
    truth = kept.drop_duplicates("architecture").set_index("architecture")["truth"]
    for measure, text in MEASURES.items():
        values = {
            (width, members): kept[(kept["width"] == width) & (kept["M"] == members)]
            .pivot_table(measure, "seed", "architecture")
            .dropna(axis="columns")
            for width, members in kept[["width", "M"]].drop_duplicates().to_numpy(int).tolist()
        }
        for (width, members), own in values.items():
            row: dict[str, object] = {"score": text, "width": width, "M": members}
            row |= {"features": 4 * width * members, "cells": own.shape[1], "seeds": len(own)}
            row |= columns("τ", _tau(own, truth))
            narrow = values.get((NARROW, width * members // NARROW))
            if width != NARROW and narrow is not None:
                shared = own.columns.intersection(narrow.columns)
                one, other = own[shared].to_numpy(), narrow[shared].to_numpy()
                found = metrics.paired_gain(one, other, truth[shared].to_numpy())
                row |= columns("gain", Estimate(*found[:3]))
                row["agreement"] = _agreement(zip(one, other, strict=True))
            row["with itself"] = _agreement(
                (own.iloc[i], own.iloc[j]) for i in range(len(own)) for j in range(i)
            )
            rows.append(row)
    params = kept.drop_duplicates("architecture").set_index("architecture")["params"]
    size = pd.DataFrame([params])
    last: dict[str, object] = {"score": "parameters", "cells": len(params), "seeds": 1}
    rows.append(last | columns("τ", _tau(size, truth)))
    return pd.DataFrame(rows)


def _tau(scores: pd.DataFrame, truth: pd.Series) -> Estimate:
    """Of ``[seeds, cells]``."""
    found = metrics.over_seeds(
        metrics.kendall_tau, scores.to_numpy(), truth[scores.columns].to_numpy()
    )
    return Estimate(*found[:3])


def _agreement(pairs: Iterable[tuple[ArrayLike, ArrayLike]]) -> float:
    """Mean τ of pairs of scores; NaN of none."""
    found = [metrics.kendall_tau(one, other) for one, other in pairs]
    return float(np.mean(found)) if found else float("nan")


def _judged(table: pd.DataFrame) -> Sequence[pd.Series]:
    """The rows that the rule is about: each wide network at its largest M."""
    own = table[(table["score"] == MEASURES[MEASURE]) & table["gain"].notna()]
    return [rows.sort_values("M").iloc[-1] for _, rows in own.groupby("width")]


def _verdict(table: pd.DataFrame) -> str:
    said = []
    for row in _judged(table):
        gain = Estimate(*(row[name] for name in ("gain", "gain low", "gain high")))
        narrow = row["width"] * row["M"] / NARROW
        said.append(
            f"{narrow:.0f} networks of width {NARROW} {_compared(gain)} {row['M']:.0f} of width "
            f"{row['width']:.0f} (τ {gain:+.3f} for the latter, on {row['cells']:.0f} cells)"
        )
    return (
        f"At equal rank of the kernel, by {MEASURES[MEASURE]}, {'; '.join(said)}. "
        "A network of a quarter of the width takes a sixteenth of the operations, so that at equal "
        "rank four of them take a quarter."
    )


def _compared(gain: Estimate) -> str:
    """How the narrow ones rank, by the interval of what the wide ones gain."""
    if gain.low > -MARGIN and gain.high < MARGIN:
        return "rank as well as"
    if gain.high < 0:
        return "rank better than"
    return "rank worse than" if gain.low > 0 else "are not told apart from"


def _figure(table: pd.DataFrame) -> Figure:
    figure, (axes,) = figures.panels(1)
    own = table[table["score"] == MEASURES[MEASURE]]
    for colour, (width, rows), aside in zip(
        figures.COLOURS, own.groupby("width"), (0.97, 1, 1.03), strict=False
    ):
        ends = rows[["τ", "τ low", "τ high"]].to_numpy(float)
        figures.intervals(axes, aside * rows["features"], ends, colour, label=f"width {width:.0f}")
    size = table[table["score"] == "parameters"]["τ"].iloc[0]
    axes.axhline(size, color="0.4", lw=0.8, ls=":", label="parameters")
    figures.logarithmic(axes)
    figures.label(axes, "features, all members'", f"Kendall τ, {MEASURES[MEASURE]}")
    figures.legend_below(axes, 4)
    return figure
