"""Empirical NTK against NNGP at equal settings: τ for every regulariser, and cost (figure 5)."""

import numpy as np
import pandas as pd

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.scores import MEASURES
from experiments.statistics import correlations, tau, tau_gain
from nasproxy.proxies.nngp import REGULARISERS

CLAIM = (
    "The NTK's validation accuracy peaks, over regularisers, at a Kendall τ below that of the NNGP "
    "for the same sizes, and costs more."
)
NEEDS = ("ntk", "nngp")
FURTHER = {
    "negative_log_condition": "−log condition number",
    "log_trace": "log trace",
    "alignment": "kernel-target alignment",
}
"""What else the NTK says, without solving; larger is predicted better."""


def run(study: Study) -> Finding:
    rows, by_epsilon = [], []
    for need in NEEDS:
        scores = study.scores(need)
        kernel = need.upper()
        measures = MEASURES | {m: t for m, t in FURTHER.items() if f"{need}[{m}]" in scores.frame}
        rows += [
            {
                "score": f"{kernel} {text}",
                **correlations(*study.joined(scores.column(measure=measure))),
                "seconds": scores.seconds,
                "PFLOPs": scores.costs[scores.largest] / 1e15,
            }
            for measure, text in measures.items()
        ]
        curves = study.curves(need)[scores.largest]
        for epsilon, (_, column) in zip(REGULARISERS, curves.items(), strict=True):
            value, low, high = tau(*study.joined(column))
            accuracy = float(column.mean())
            by_epsilon.append(
                {
                    "kernel": kernel,
                    "ε": epsilon,
                    "τ": value,
                    "low": low,
                    "high": high,
                    "mean accuracy": accuracy,
                }
            )
    table, curve = pd.DataFrame(rows), pd.DataFrame(by_epsilon)
    setting = study.scores("nngp").largest
    return Finding(
        _verdict(study, table, curve),
        {"scores": table, "regularisers": curve},
        _figure(curve),
        (
            f"Both kernels are of the same draws of the same networks at (n_train, n_valid, "
            f"ensemble) = {setting}, stem width 16; the paper's 1,000 cells, sizes and width are "
            "larger. The NTK is that of all parameters.",
        ),
    )


def _verdict(study: Study, table: pd.DataFrame, curve: pd.DataFrame) -> str:
    peaks = {k: rows.loc[rows["τ"].idxmax()] for k, rows in curve.groupby("kernel")}
    columns = []
    for need in NEEDS:
        kernel = need.upper()
        position = int(np.argmin(np.abs(REGULARISERS - peaks[kernel]["ε"])))
        columns.append(study.curves(need)[study.scores(need).largest][position])
    at_peak = tau_gain(*study.joined(*columns))
    best = tau_gain(*study.joined(*(study.scores(n).column() for n in NEEDS)))
    seconds = {
        k: table[table["score"].str.startswith(k)]["seconds"].iloc[0] for k in ("NTK", "NNGP")
    }
    holds = (
        "holds" if at_peak.high < 0 else "is contradicted" if at_peak.low > 0 else "is undecided"
    )
    shown = "; ".join(
        f"{k} peaks at τ {p['τ']:.3f} [{p['low']:.3f}, {p['high']:.3f}] for ε = {p['ε']:.2g}"
        for k, p in peaks.items()
    )
    return (
        f"The claim on τ {holds}: {shown}; NTK − NNGP at their peaks {at_peak}, with ε chosen by "
        f"each network's own accuracy {best}. The NTK takes {seconds['NTK'] / seconds['NNGP']:.1f} "
        f"times the NNGP's time ({seconds['NTK']:.2f} s against {seconds['NNGP']:.2f} s a cell)."
    )


def _figure(curve: pd.DataFrame):
    figure, axes = figures.panels(2)
    for colour, (kernel, rows) in zip(figures.COLOURS, curve.groupby("kernel"), strict=False):
        figures.band(
            axes[0],
            rows["ε"].to_numpy(float),
            *(rows[c].to_numpy(float) for c in ("τ", "low", "high")),
            colour,
            str(kernel),
        )
        axes[1].plot(rows["ε"], rows["mean accuracy"], color=colour, lw=1.3, label=str(kernel))
    for one, name in zip(
        axes, ("Kendall τ with the truth", "mean validation accuracy"), strict=True
    ):
        one.set_xscale("log")
        figures.label(one, "regulariser ε, relative to the mean eigenvalue", name)
        figures.legend(one)
    return figure
