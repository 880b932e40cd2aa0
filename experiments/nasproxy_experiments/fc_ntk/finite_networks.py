"""Finite networks against their kernels, by depth: error, time, ranking (figures 2, 3, 6, 7)."""

import itertools
import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import RESAMPLES
from nasproxy.reproduce.suites import Finding, markdown
from nasproxy_experiments.fc_ntk.study import (
    DEEPEST_TRAINED,
    EPOCHS,
    MOST_EPOCHS,
    SEEDS,
    WIDTHS,
    Study,
)

CLAIM = (
    "Kernels approximate how performance evolves over depth: finite networks trained for 5 epochs "
    "are best at depth 5 and fail when deep; trained to 80 % training accuracy, deeper is better."
)
NEEDS = ("epochs", "fitted", "direct")
KINDS = {"epochs": "5 epochs", "fitted": f"to 80 % training accuracy or {MOST_EPOCHS} epochs"}
FOR = {KINDS["epochs"]: f"for {KINDS['epochs']}", KINDS["fitted"]: KINDS["fitted"]}
"""As a sentence has it."""


def run(study: Study) -> Finding:
    raw = trained(study)
    table, rankings = by_depth(raw), ranked(raw)
    kernel = _kernel(raw)
    return Finding(
        _verdict(table, rankings, kernel),
        {"networks": table, "rankings": rankings},
        _figure(table, kernel),
        (
            f"The same {study.points:,} images for both; networks by RMSProp with a cosine decay, "
            f"batches of 32, {len(SEEDS)} seeds; kernels solved directly, with the best of 20 "
            "regularisers. τ is between the kernel's order of depths and that of the networks' "
            "mean error, with the range of 95 % of its values over depths and seeds drawn again; "
            "rankings.csv has each seed's own.",
            markdown(rankings[["trained", "width", "τ", "τ low", "τ high", "p", "depths"]]),
            f"`reached` counts the seeds that came to 80 % before the last of {MOST_EPOCHS} "
            "epochs; one that made them all counts as not, and is judged as it was then (hollow in "
            "the figure): its error says nothing about networks trained to 80 %. Depths beyond "
            f"{DEEPEST_TRAINED} are left out: their networks take hours on two processors and, "
            "without batch norm, do not train. Seconds were measured as the store was filled, "
            "beside other work: differences below a factor of two say nothing.",
        ),
        {"scores": raw},
    )


def trained(study: Study) -> pd.DataFrame:
    """A row a network: how it was trained, its depth, width and seed, and its kernel's error."""
    kernel = (1 - study.direct("ntk")[study.points]).rename("kernel error")
    parts = []
    for (kind, text), width, seed in itertools.product(KINDS.items(), WIDTHS, SEEDS):
        frame = study.frame(f"{kind} {width} {seed}")
        part = pd.DataFrame(
            {
                "error": 1 - frame["training"],
                "epochs": _made(kind, frame),
                "seconds": frame["training seconds"],
                "kernel error": kernel[frame.index],
            }
        )
        parts.append(part.reset_index().assign(trained=text, width=width, seed=seed))
    raw = pd.concat(parts, ignore_index=True)
    return raw[["trained", "width", "depth", "seed", "error", "epochs", "seconds", "kernel error"]]


def by_depth(raw: pd.DataFrame) -> pd.DataFrame:
    """A row a group of networks that differ by their seed alone."""
    rows = []
    for (text, width, depth), own in raw.groupby(["trained", "width", "depth"], sort=False):
        error = own["error"].to_numpy(float)
        rows.append(
            {
                "trained": text,
                "width": width,
                "depth": depth,
                "error": float(np.nanmean(error)),
                "standard error": float(np.nanstd(error, ddof=1) / np.sqrt(len(own))),
                "epochs": float(own["epochs"].mean()),
                "reached": _reached(str(text), own["epochs"]),
                "seconds": float(own["seconds"].median()),
                "failed": int(np.isnan(error).sum()),
                "kernel error": own["kernel error"].iloc[0],
            }
        )
    return pd.DataFrame(rows)


def ranked(raw: pd.DataFrame) -> pd.DataFrame:
    """τ between the kernel's order of depths and that of networks, by training and width."""
    rows = []
    for (text, width), own in raw.groupby(["trained", "width"], sort=False):
        errors = own.pivot_table(index="depth", columns="seed", values="error", dropna=False)
        rows.append({"trained": text, "width": width, **_tau(_kernel(own), errors)})
    return pd.DataFrame(rows)


def _kernel(raw: pd.DataFrame) -> pd.Series:
    """The kernel's error by depth."""
    return raw.groupby("depth")["kernel error"].first()


def _made(kind: str, frame: pd.DataFrame) -> pd.Series:
    """Epochs by depth."""
    if kind == "fitted":
        return frame["training[epochs_made]"]
    return pd.Series(float(EPOCHS), frame.index)


def _reached(text: str, made: pd.Series) -> str:
    """How many of the seeds stopped before all epochs; of a fixed budget, nothing."""
    if text != KINDS["fitted"]:
        return ""
    # A last epoch that is not whole, 14.995 of 15, is an epoch.
    return f"{int((made.round() < MOST_EPOCHS).sum())}/{len(made)}"


def short(reached: object, depth: int) -> str:
    """What to add to "networks" where not all of a depth came to the training accuracy asked for.

    Args:
        reached: a cell of the column, ``2/3``; empty of a fixed budget.
    """
    if not isinstance(reached, str) or len(set(reached.split("/"))) == 1:
        return ""
    made, _, asked = reached.partition("/")
    return f", {made} of {asked} at depth {depth} came to 80 %"


def _all(reached: pd.Series) -> pd.Series:
    """Where every seed did; true of a fixed budget."""
    return reached.map(lambda text: text in ("", f"{len(SEEDS)}/{len(SEEDS)}"))


def _tau(kernel: pd.Series, errors: pd.DataFrame) -> dict[str, float]:
    filled = errors.fillna(1.0)
    mean = filled.mean(axis=1)
    low, high = _interval(kernel, filled)
    return {
        "τ": metrics.kendall_tau(kernel, mean),
        "τ low": low,
        "τ high": high,
        **{f"τ, seed {s}": metrics.kendall_tau(kernel, filled[s]) for s in filled},
        "p": float(kendalltau(kernel, mean).pvalue),  # type: ignore[attr-defined]  # scipy has no stubs
        "depths": len(kernel),
    }


def _interval(kernel: pd.Series, errors: pd.DataFrame) -> tuple[float, float]:
    """95 % of τ over depths and seeds drawn again with replacement."""
    rng = np.random.default_rng(0)
    values, drawn = errors.to_numpy(float), []
    for _ in range(RESAMPLES):
        depths = rng.integers(len(values), size=len(values))
        seeds = rng.integers(values.shape[1], size=values.shape[1])
        mean = values[np.ix_(depths, seeds)].mean(axis=1)
        drawn.append(metrics.kendall_tau(kernel.to_numpy(float)[depths], mean))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _tested(table: pd.DataFrame) -> str:
    """Up to which depth networks came to 80 %, by width."""
    said = []
    fitted = table[table["trained"] == KINDS["fitted"]]
    for width, part in fitted.groupby("width"):
        missed = part.loc[~_all(part["reached"]), "depth"]
        first = missed.min() if len(missed) else math.inf
        within = part[part["depth"] < first].sort_values("depth")
        if within.empty:
            said.append(f"at width {width} not at any depth")
            continue
        best = within.nsmallest(1, "error").to_dict("records")[0]
        deepest = within.to_dict("records")[-1]
        said.append(
            f"at width {width} up to depth {deepest['depth']} (least error {best['error']:.3f} at "
            f"depth {best['depth']}, {deepest['error']:.3f} at depth {deepest['depth']})"
        )
    return (
        "All seeds come to 80 % training accuracy, so that the claim that deeper is then better "
        f"can be tested, {', '.join(said)}"
    )


def _verdict(table: pd.DataFrame, rankings: pd.DataFrame, kernel: pd.Series) -> str:
    said = []
    for row in rankings.to_dict("records"):
        part = table[(table["trained"] == row["trained"]) & (table["width"] == row["width"])]
        best = part.nsmallest(1, "error").to_dict("records")[0]
        said.append(
            f"{best['depth']} ({best['error']:.3f}) for networks of width {row['width']} trained "
            f"{FOR[row['trained']]}"
        )
    best = int(kernel.index.to_numpy()[kernel.to_numpy().argmin()])
    worst = table.loc[table.groupby(["trained", "width"])["error"].idxmax(), "depth"]
    hardest = kernel.index.to_numpy()[kernel.to_numpy().argmax()]
    agree = int((worst == hardest).sum())
    beyond = int(((rankings["τ"] > 0) & (rankings["p"] < 0.05)).sum())
    return (
        f"Kernel and networks order depths alike beyond chance (p < .05) in {beyond} of "
        f"{len(rankings)} groups, and have the same worst depth in {agree} "
        f"({rankings['depths'].iloc[0]} depths). The depth of least error is {best} "
        f"({kernel.min():.3f}) for the kernel, {', '.join(said)}. {_tested(table)}."
    )


def _figure(table: pd.DataFrame, kernel: pd.Series) -> Figure:
    figure, axes = figures.panels(2)
    styles = dict(zip(KINDS.values(), ("-", "--"), strict=True))
    for text, style in styles.items():
        for colour, width in zip(figures.COLOURS, WIDTHS, strict=False):
            part = table[(table["trained"] == text) & (table["width"] == width)]
            label = f"width {width}, {text.replace('training accuracy ', '')}"
            look = {"color": colour, "ls": style, "lw": 1.2, "marker": "o", "ms": 3, "label": label}
            axes[0].errorbar(
                part["depth"], part["error"], part["standard error"], capsize=1.5, **look
            )
            missed = part[~_all(part["reached"])]
            axes[0].plot(
                missed["depth"], missed["error"], "o", ms=4, mfc="white", mec=colour, zorder=3
            )
            axes[1].plot(part["depth"], part["seconds"], **look)
    axes[0].plot(kernel.index, kernel, color="black", lw=1.6, marker="s", ms=3, label="NTK, direct")
    for one, name in zip(axes, ("validation error, share", "training time, seconds"), strict=True):
        figures.logarithmic(one)
        figures.label(one, "depth, hidden layers", name)
    figures.logarithmic(axes[1], "y")
    figures.legend_below(axes[0])
    return figure
