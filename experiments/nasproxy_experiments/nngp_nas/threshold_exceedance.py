"""PQETP(λ): is a network better than λ? NNGP against shortened training (figures 2 and S6)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import Estimate, interval, resampled, settled, verdict
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "NNGP tells better than 12-epoch training whether a network is above the median, better "
    "than 4-epoch training for thresholds that up to 92 % exceed; for the best 1, 5 or 20 % "
    "12-epoch training is better."
)
NEEDS = ("many",)
PAPER = f"NNGP {MEASURES['accuracy']}"
MEDIAN = 0.5
SHARES = (0.92, MEDIAN, 0.2, 0.05, 0.01)
"""Of networks above λ, those that the claim names."""
PAPER_THRESHOLDS = np.arange(0.78, 0.9501, 0.003)
FEWEST = 10
"""Cells that must lie on either side of a threshold: AUROC of fewer is noise."""


def run(study: Study) -> Finding:
    scores = study.scores("many")
    compared = {f"NNGP {text}": scores.column(measure=m) for m, text in MEASURES.items()}
    compared |= {f"{e} epochs": study.shortened[e] for e in study.budgets}
    compared["parameters"] = study.sizes["params"]
    drawn = list(compared)
    smaller = scores.settings[:-1]
    compared |= {f"{PAPER} {setting}": scores.column(setting) for setting in smaller}
    *columns, truth = study.joined(*compared.values())
    thresholds = (
        PAPER_THRESHOLDS
        if study.published is not None
        else np.linspace(np.percentile(truth, 5), np.percentile(truth, 99), 40)
    )
    shares = [
        share for share in SHARES if share == MEDIAN or min(share, 1 - share) * len(truth) >= FEWEST
    ]
    better = (truth > thresholds[:, None]).sum(1)
    thresholds = thresholds[(better >= FEWEST) & (len(truth) - better >= FEWEST)]
    levels = np.concatenate([np.quantile(truth, 1 - np.array(shares)), thresholds])
    resamples = {
        name: resampled(lambda s, t: metrics.pqetp_curve(s, t, levels), column, truth)
        for name, column in zip(compared, columns, strict=True)
    }
    curves = {name: values[:, len(shares) :] for name, values in resamples.items()}
    above = (truth > thresholds[:, None]).mean(1)
    wide = {"λ": thresholds, "share above λ": above}
    wide |= {name: curve[0] for name, curve in curves.items()}
    gains = {
        (name, epochs): dict(
            zip(shares, map(interval, (values - resamples[f"{epochs} epochs"]).T), strict=False)
        )
        for name, values in resamples.items()
        for epochs in study.budgets
        if not name.endswith("epochs")
    }
    rows = []
    for (name, epochs), some in gains.items():
        gain = curves[name] - curves[f"{epochs} epochs"]
        row = {
            "score": name,
            "against": f"{epochs} epochs",
            "better above shares": _spans(above, gain[0] > 0),
            "surely better": _spans(above, np.nanquantile(gain[1:], 0.025, axis=0) > 0),
        }
        rows.append(row | {f"gain at {share:.0%}": str(g) for share, g in some.items()})
    return Finding(
        _verdict(study, gains, str(scores.largest)),
        {"ranges": pd.DataFrame(rows), "curves": pd.DataFrame(wide)},
        _figure({name: curves[name] for name in drawn}, thresholds, above),
        (
            f"{len(truth):,} cells; NNGP at (n_train, n_valid, ensemble) = {scores.largest} where "
            "no other is said. A share is that of networks above λ, so that 50 % is the median and "
            "small numbers are the best networks. Ranges are where the AUROC is higher, and where "
            "the 95 % interval of the difference, from the same bootstrap resamples, excludes 0. "
            "Pointwise, not corrected for the number of thresholds.",
        ),
    )


def _spans(above: np.ndarray, holds: np.ndarray) -> str:
    """Runs of thresholds as shares of networks above them: "0.12–0.80, 0.95–0.99"."""
    spans, start = [], None
    for i, held in enumerate([*holds, False]):
        if held and start is None:
            start = i
        if not held and start is not None:
            spans.append(f"{above[i - 1]:.2f}–{above[start]:.2f}")
            start = None
    return ", ".join(spans) or "nowhere"


def _verdict(
    study: Study, gains: dict[tuple[str, int], dict[float, Estimate]], largest: str
) -> str:
    """The claim's three parts, by the paper's measure."""
    early, late = study.budgets[:2]
    over_late, over_early = gains[PAPER, late], gains[PAPER, early]
    best = {share: gain for share, gain in over_late.items() if share < MEDIAN}
    parts = [settled(over_late[MEDIAN]), settled(*over_early.values())]
    said = [
        f"At the median it {verdict(over_late[MEDIAN])} {late} epochs (gain in AUROC "
        f"{over_late[MEDIAN]:+.3f}).",
        f"That it beats {early} epochs where up to {max(over_early):.0%} are better {parts[1]} "
        f"({over_early[MEDIAN]:+.3f} at the median).",
    ]
    if best:
        parts.append(settled(*(-gain for gain in best.values())))
        share = max(best, key=lambda share: best[share].value)
        said.append(
            f"That {late} epochs are better for the best {parts[2]} (least at {share:.0%}: "
            f"{best[share]:+.3f})."
        )
    whole = next((one for one in ("does not hold", "is undecided") if one in parts), "holds")
    return f"By NNGP validation accuracy at {largest} the claim {whole}. {' '.join(said)}"


def _figure(curves: dict[str, np.ndarray], thresholds: np.ndarray, above: np.ndarray) -> Figure:
    figure, axes = figures.panels(2, sharey=True)
    for one, x in zip(axes, (thresholds, above), strict=True):
        for colour, (name, curve) in zip(figures.COLOURS, curves.items(), strict=False):
            low, high = np.nanquantile(curve[1:], [0.025, 0.975], axis=0)
            figures.band(one, x, curve[0], low, high, colour, name)
        one.axhline(0.5, color="0.5", lw=0.8, ls=":")
    axes[1].invert_xaxis()
    figures.label(axes[0], "λ, accuracy after long training", "PQETP-λ, AUROC")
    figures.label(axes[1], "share of networks better than λ", "")
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=7, frameon=False, loc="outside lower center", ncols=4)
    return figure
