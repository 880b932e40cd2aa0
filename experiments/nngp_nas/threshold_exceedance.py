"""PQETP(λ): is a network better than λ? NNGP against shortened training (figures 2 and S6)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.scores import MEASURES
from experiments.statistics import RESAMPLES, Estimate, verdict
from nasproxy import metrics

CLAIM = (
    "NNGP tells better than 12-epoch training whether a network is above the median, better "
    "than 4-epoch training for thresholds that up to 92 % exceed; for the best 1, 5 or 20 % "
    "12-epoch training is better."
)
NEEDS = ("many",)
PAPER_THRESHOLDS = np.arange(0.78, 0.9501, 0.003)
FEWEST = 10
"""Cells that must lie on either side of a threshold: AUROC of fewer is noise."""


def run(study: Study) -> Finding:
    scores = study.scores("many")
    compared = {f"NNGP {text}": scores.column(measure=m) for m, text in MEASURES.items()}
    compared |= {f"{e} epochs": study.shortened[e] for e in study.budgets}
    compared["parameters"] = study.sizes["params"]
    *columns, truth = study.joined(*compared.values())
    thresholds = (
        PAPER_THRESHOLDS
        if study.published is not None
        else np.linspace(np.percentile(truth, 5), np.percentile(truth, 99), 40)
    )
    better = (truth > thresholds[:, None]).sum(1)
    thresholds = thresholds[(better >= FEWEST) & (len(truth) - better >= FEWEST)]
    curves = {
        name: _resampled(column, truth, thresholds)
        for name, column in zip(compared, columns, strict=True)
    }
    above = (truth > thresholds[:, None]).mean(1)
    wide = {"λ": thresholds, "share above λ": above}
    wide |= {name: curve[0] for name, curve in curves.items()}
    ranges = _ranges(study, dict(zip(compared, columns, strict=True)), truth, thresholds, curves)
    figure = _figure(curves, thresholds, above)
    return Finding(
        _verdict(study, ranges),
        {"ranges": ranges, "curves": pd.DataFrame(wide)},
        figure,
        (
            f"{len(truth):,} cells; NNGP at (n_train, n_valid, ensemble) = {scores.largest}. "
            "Ranges are of the share of networks above λ, so that 0.5 is the median and small "
            "numbers are the best networks: where the AUROC is higher, and where the 95 % interval "
            "of the difference, from the same bootstrap resamples, excludes 0. Pointwise, not "
            "corrected for the number of thresholds.",
        ),
    )


def _resampled(score: np.ndarray, truth: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """``[1 + resamples, thresholds]``, all cells first; the same resamples for every score."""
    rng = np.random.default_rng(0)
    n = len(truth)
    draws = [np.arange(n), *(rng.integers(n, size=n) for _ in range(RESAMPLES))]
    return np.array([metrics.pqetp_curve(score[i], truth[i], thresholds) for i in draws])


def _ranges(
    study: Study,
    columns: dict[str, np.ndarray],
    truth: np.ndarray,
    thresholds: np.ndarray,
    curves: dict[str, np.ndarray],
) -> pd.DataFrame:
    above = (truth > thresholds[:, None]).mean(1)
    rows = []
    for name in columns:
        for epochs in study.budgets:
            other = f"{epochs} epochs"
            if name == other or name.endswith("epochs"):
                continue
            gain = curves[name] - curves[other]
            low = np.nanquantile(gain[1:], 0.025, axis=0)
            middle = np.argmin(np.abs(above - 0.5))
            best = np.argmin(np.abs(above - 0.05))
            rows.append(
                {
                    "score": name,
                    "against": other,
                    "better above shares": _spans(above, gain[0] > 0),
                    "surely better": _spans(above, low > 0),
                    "gain at the median": gain[0, middle],
                    "low": low[middle],
                    "high": np.nanquantile(gain[1:, middle], 0.975),
                    "gain at the best 5 %": gain[0, best],
                }
            )
    return pd.DataFrame(rows)


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


def _verdict(study: Study, ranges: pd.DataFrame) -> str:
    said = []
    for epochs in study.budgets[:2]:
        for measure in ("accuracy", "loo_accuracy"):
            name = f"NNGP {MEASURES[measure]}"
            row = ranges[
                (ranges["score"] == name) & (ranges["against"] == f"{epochs} epochs")
            ].iloc[0]
            gain = Estimate(row["gain at the median"], row["low"], row["high"])
            said.append(
                f"{name} {verdict(gain)} {epochs}-epoch training ({gain}; it is ahead where the "
                f"share above λ is {row['better above shares']}, significantly so: "
                f"{row['surely better']})"
            )
    return f"At telling whether a network is above the median, {'; '.join(said)}."


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
    figures.legend(axes[1], loc="lower right", ncols=2)
    return figure
