"""Hybrid metrics: 12-epoch accuracy fitted on 4-epoch accuracy and NNGP (figure 9), and further.

The fit's cells are kept apart from those it is judged on. One step further than the paper: fits on
every cheap signal, with and without the short training.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.scores import MEASURES
from experiments.statistics import correlations, discovered, kind, mean, sort, subsets, tau_gain

CLAIM = (
    "A linear fit of 12-epoch accuracy on 4-epoch accuracy and NNGP finds better networks than "
    "4-epoch training alone, for little more cost."
)
NEEDS = ("many",)
FITTED = 0.3
"""Share of cells that fits see."""


def run(study: Study) -> Finding:
    scores = study.scores("many")
    short, target = study.budgets[:2]
    accuracy, loo, mse = (scores.column(measure=m) for m in MEASURES)
    log_size = np.log(study.sizes["params"].astype(float))
    log_flops = np.log(study.sizes["flops"].astype(float))
    four, twelve = study.shortened[short], study.shortened[target]
    signals = {
        f"{short} epochs alone": [four],
        "NNGP accuracy alone": [accuracy],
        f"{short} epochs + NNGP accuracy": [four, accuracy],
        f"{short} epochs + NNGP leave-one-out": [four, loo],
        f"{short} epochs + parameters": [four, log_size],
        f"{short} epochs + all": [four, accuracy, loo, mse, log_size, log_flops],
        "all without training": [accuracy, loo, mse, log_size, log_flops],
    }
    flat = [s for columns in signals.values() for s in columns]
    *values, fitted_on, truth = study.joined(*flat, twelve)
    n_fit = round(FITTED * len(truth))
    order = np.random.default_rng(0).permutation(len(truth))
    fit, judge = order[:n_fit], order[n_fit:]
    drawn = subsets(len(judge))
    cost = scores.costs[scores.largest]
    rows, predictions = [], {}
    for name, columns in signals.items():
        features = np.column_stack([values.pop(0) for _ in columns])
        predictions[name] = _fitted(features, fitted_on, fit)[judge]
        found = discovered(predictions[name], truth[judge], drawn)
        spent = study.training_cost(short) if f"{short} epochs" in name else 0.0
        spent += cost if "NNGP" in name or "all" in name else 0.0
        rows.append(
            {
                "score": name,
                **correlations(predictions[name], truth[judge]),
                "discovered": found.value,
                "error": found.error,
                "PFLOPs": spent / 1e15,
            }
        )
    by_target = discovered(fitted_on[judge], truth[judge], drawn)
    rows.append(
        {
            "score": f"{target} epochs",
            **correlations(fitted_on[judge], truth[judge]),
            "discovered": by_target.value,
            "error": by_target.error,
            "PFLOPs": study.training_cost(target) / 1e15,
        }
    )
    table = sort(pd.DataFrame(rows), "τ")
    return Finding(
        _verdict(predictions, truth[judge], drawn, short),
        {"hybrids": table},
        _figure(table),
        (
            f"Least squares on standardised signals, fitted to {target}-epoch accuracy on "
            f"{len(fit):,} cells and judged on the other {len(judge):,}; discovered performance "
            f"over {kind(len(judge))} of these. NNGP at {scores.largest}. Cost leaves out the "
            f"{target}-epoch trainings that the fit needs once ({len(fit):,} × "
            f"{study.training_cost(target) / 1e15:.3g} PFLOPs), as the paper does.",
        ),
    )


def _fitted(features: np.ndarray, target: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Predictions for all cells of the least-squares fit on some, with a constant."""
    deviation = features[fit].std(0)
    scaled = (features - features[fit].mean(0)) / np.where(deviation > 0, deviation, 1.0)
    design = np.column_stack([scaled, np.ones(len(scaled))])
    weights, *_ = np.linalg.lstsq(design[fit], target[fit], rcond=None)
    return design @ weights


def _verdict(predictions: dict, truth: np.ndarray, drawn: list, short: int) -> str:
    alone = predictions[f"{short} epochs alone"]
    gains = {}
    for name in (
        f"{short} epochs + NNGP accuracy",
        f"{short} epochs + NNGP leave-one-out",
        f"{short} epochs + parameters",
        f"{short} epochs + all",
        "all without training",
    ):
        gain = tau_gain(predictions[name], alone, truth)
        found = mean(
            [
                discovered(predictions[name], truth, [s, s]).value
                - discovered(alone, truth, [s, s]).value
                for s in drawn
            ]
        )
        gains[name] = gain, found
    gain, found = next(iter(gains.values()))
    holds = "holds" if found.value > 2 * found.error else "is not shown"
    ranked = "ranks better" if gain.low > 0 else "does not rank better"
    said = [
        f"{name}: τ {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}], "
        f"discovered {found.value:+.4f} ± {found.error:.4f}"
        for name, (gain, found) in gains.items()
    ]
    return (
        f"That the hybrid finds better networks {holds}; it {ranked}. Gains over {short} epochs "
        f"alone: {'; '.join(said)}."
    )


def _figure(table: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(2, sharey=True)
    rows = table.iloc[::-1].reset_index(drop=True)
    places = np.arange(len(rows))
    axes[0].errorbar(
        rows["τ"],
        places,
        xerr=[rows["τ"] - rows["τ low"], rows["τ high"] - rows["τ"]],
        fmt="o",
        ms=4,
        color=figures.COLOURS[0],
        lw=0.8,
        capsize=2,
    )
    axes[1].errorbar(
        rows["discovered"],
        places,
        xerr=rows["error"],
        fmt="o",
        ms=4,
        color=figures.COLOURS[0],
        lw=0.8,
        capsize=2,
    )
    axes[0].set_yticks(places, rows["score"], fontsize=7)
    figures.label(axes[0], "Kendall τ with the truth, 95 % interval", "")
    figures.label(axes[1], "discovered accuracy ± standard error", "")
    return figure
