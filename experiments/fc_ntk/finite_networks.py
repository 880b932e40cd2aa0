"""Finite networks against their kernels, by depth: error, time, ranking (figures 2, 3, 6, 7)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from experiments import figures
from experiments.fc_ntk.study import MOST_EPOCHS, SEEDS, WIDTHS, Study
from experiments.reproduction import Finding
from nasproxy import metrics

CLAIM = (
    "Kernels approximate how performance evolves over depth: finite networks trained for 5 epochs "
    "are best at depth 5 and fail when deep; trained to 80 % training accuracy, deeper is better."
)
NEEDS = ("epochs", "fitted", "direct")
KINDS = {"epochs": "5 epochs", "fitted": "to 80 % training accuracy"}


def run(study: Study) -> Finding:
    trained = study.frame(f"epochs {WIDTHS[0]} {SEEDS[0]}").index
    kernel = (1 - study.direct("ntk")[study.points])[trained]
    rows, taus = [], []
    for kind, text in KINDS.items():
        for width in WIDTHS:
            frames = {seed: study.frame(f"{kind} {width} {seed}") for seed in SEEDS}
            errors = pd.DataFrame({s: 1 - f["training"] for s, f in frames.items()})
            seconds = pd.DataFrame({s: f["training seconds"] for s, f in frames.items()})
            for depth in errors.index:
                error = errors.loc[depth].to_numpy(float)
                rows.append(
                    {
                        "trained": text,
                        "width": width,
                        "depth": depth,
                        "error": float(np.nanmean(error)),
                        "standard error": float(np.nanstd(error, ddof=1) / np.sqrt(len(SEEDS))),
                        "seconds": float(seconds.loc[depth].median()),
                        "failed": int(np.isnan(error).sum()),
                        "kernel error": kernel[depth],
                    }
                )
            taus.append({"trained": text, "width": width, **_tau(kernel, errors)})
    table, rankings = pd.DataFrame(rows), pd.DataFrame(taus)
    return Finding(
        _verdict(table, rankings, kernel),
        {"networks": table, "rankings": rankings},
        _figure(table, kernel),
        (
            f"The same {study.points:,} images for both; networks by RMSProp with a cosine decay, "
            f"batches of 32, {len(SEEDS)} seeds; kernels solved directly, with the best of 20 "
            "regularisers. τ is between the kernel's order of depths and the networks' mean, its "
            f"range over single seeds. A network that does not reach 80 % is judged after "
            f"{MOST_EPOCHS} epochs.",
        ),
    )


def _tau(kernel: pd.Series, errors: pd.DataFrame) -> dict[str, float]:
    mean = errors.fillna(1.0).mean(axis=1)
    singles = [metrics.kendall_tau(kernel, errors[s].fillna(1.0)) for s in errors]
    return {
        "τ": metrics.kendall_tau(kernel, mean),
        "τ low": float(np.nanmin(singles)),
        "τ high": float(np.nanmax(singles)),
        "p": float(kendalltau(kernel, mean).pvalue),  # type: ignore[attr-defined]  # scipy has no stubs
        "depths": len(kernel),
    }


def _verdict(table: pd.DataFrame, rankings: pd.DataFrame, kernel: pd.Series) -> str:
    said = []
    for row in rankings.to_dict("records"):
        part = table[(table["trained"] == row["trained"]) & (table["width"] == row["width"])]
        best = part.nsmallest(1, "error").to_dict("records")[0]
        deep = part.nlargest(1, "depth").to_dict("records")[0]
        said.append(
            f"{row['trained']}, width {row['width']}: τ {row['τ']:.2f} (single seeds "
            f"{row['τ low']:.2f} to {row['τ high']:.2f}), least error {best['error']:.3f} at depth "
            f"{best['depth']}, {deep['error']:.3f} at depth {deep['depth']}"
        )
    best = int(kernel.index.to_numpy()[kernel.to_numpy().argmin()])
    worst = table.loc[table.groupby(["trained", "width"])["error"].idxmax(), "depth"]
    hardest = kernel.index.to_numpy()[kernel.to_numpy().argmax()]
    agree = int((worst == hardest).sum())
    beyond = int(((rankings["τ"] > 0) & (rankings["p"] < 0.05)).sum())
    return (
        f"Kernel and networks order depths alike beyond chance (p < .05) in {beyond} of "
        f"{len(rankings)} groups, and have the same worst depth in {agree} "
        f"({rankings['depths'].iloc[0]} depths; the kernel's least error {kernel.min():.3f} is at "
        f"depth {best}). {'; '.join(said)}."
    )


def _figure(table: pd.DataFrame, kernel: pd.Series) -> Figure:
    figure, axes = figures.panels(2)
    styles = dict(zip(KINDS.values(), ("-", "--"), strict=True))
    for text, style in styles.items():
        for colour, width in zip(figures.COLOURS, WIDTHS, strict=False):
            part = table[(table["trained"] == text) & (table["width"] == width)]
            label = f"width {width}, {text}"
            axes[0].errorbar(
                part["depth"],
                part["error"],
                part["standard error"],
                color=colour,
                ls=style,
                lw=1.2,
                marker="o",
                ms=3,
                capsize=1.5,
                label=label,
            )
            axes[1].plot(
                part["depth"],
                part["seconds"],
                color=colour,
                ls=style,
                lw=1.2,
                marker="o",
                ms=3,
                label=label,
            )
    axes[0].plot(kernel.index, kernel, color="black", lw=1.6, marker="s", ms=3, label="NTK, direct")
    for one, name in zip(axes, ("validation error, share", "training time, seconds"), strict=True):
        figures.logarithmic(one)
        figures.label(one, "depth, hidden layers", name)
    figures.logarithmic(axes[1], "y")
    figures.legend(axes[0])
    return figure
