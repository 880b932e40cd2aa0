"""Hybrid metrics: 12-epoch accuracy fitted on 4-epoch accuracy and NNGP (figure 9), and further.

The fit's cells are kept apart from those it is judged on. One step further than the paper: every
cheap signal by itself, and fits on all of them, with and without the short training.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import (
    DRAWS,
    Estimate,
    columns,
    found,
    kind,
    over_subsets,
    settled,
    sort,
    subset_mean,
    subsets,
)
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "A linear fit of 12-epoch accuracy on 4-epoch accuracy and NNGP finds better networks than "
    "4-epoch training alone, for little more cost."
)
NEEDS = ("many",)
FITTED = 0.3
"""Cells that a fit sees, as a share of all; none of them among those it is judged on."""
ACCURACY = f"NNGP {MEASURES['accuracy']}"
RIDGES = np.logspace(-3, 4, 15)


def run(study: Study) -> Finding:
    scores = study.scores("many")
    short, target = study.budgets[:2]
    cheap = {f"NNGP {text}": scores.column(measure=m) for m, text in MEASURES.items()}
    cheap["parameters"] = study.sizes["params"]
    trained = {f"{e} epochs": study.shortened[e] for e in (short, target)}
    *values, flops, truth = study.joined(*cheap.values(), *trained.values(), study.sizes["flops"])
    single = dict(zip([*cheap, *trained], values, strict=True))
    four, twelve = (single[name] for name in trained)
    sizes = [np.log(single["parameters"]), np.log(flops)]
    untrained = [*values[: len(MEASURES)], *sizes]
    fits = {f"{short} epochs + {name}": [four, single[name]] for name in cheap}
    fits[f"{short} epochs + parameters"] = [four, sizes[0]]
    fits |= {f"{short} epochs + all": [four, *untrained], "all without training": untrained}
    judged = _judged(single, fits, twelve, truth)
    n, rows = len(truth), []
    kernel = scores.costs[scores.largest]
    for name, (tau, best) in judged.items():
        spent = study.training_cost(target) if name == f"{target} epochs" else 0.0
        spent += study.training_cost(short) if name.startswith(f"{short} epochs") else 0.0
        spent += kernel if "NNGP" in name or "all" in name else 0.0
        row = {"score": name} | columns("τ", over_subsets(tau, n))
        row |= dict(zip(("discovered", "error"), subset_mean(best, n), strict=True))
        for other in (f"{short} epochs", ACCURACY):
            row |= columns(f"over {other}", over_subsets(best - judged[other][1], n))
        rows.append(row | {"PFLOPs": spent / 1e15})
    table = sort(pd.DataFrame(rows), "τ")
    n_fit = round(FITTED * n)
    return Finding(
        _verdict(judged, n, short, list(cheap)),
        {"hybrids": table},
        _figure(table),
        (
            f"Judged on {kind(n)}, each by fits to {n_fit:,} of the other cells, and averaged "
            f"over {DRAWS} draws of the subsets and of the fits' cells; intervals (95 %) are "
            "Student's t over the subsets of one draw, since draws share their cells. Fits are "
            f"ridge regressions on standardised signals (sizes as logarithms) to {target}-epoch "
            "accuracy, their ridge by leave-one-out; single signals are not fitted and keep their "
            f"sign. Gains are in discovered performance. NNGP at {scores.largest}. Cost leaves out "
            f"the {target}-epoch trainings that a fit needs once ({n_fit:,} × "
            f"{study.training_cost(target) / 1e15:.3g} PFLOPs), as the paper does.",
            f"Fits learn what {target}-epoch accuracy rewards. Its τ with size is "
            f"{metrics.kendall_tau(single['parameters'], twelve):.2f}, the truth's "
            f"{metrics.kendall_tau(single['parameters'], truth):.2f}: what size tells of long "
            "training is lost on them.",
        ),
    )


def _judged(
    single: dict[str, np.ndarray],
    fits: dict[str, list[np.ndarray]],
    target: np.ndarray,
    truth: np.ndarray,
) -> dict[str, np.ndarray]:
    """τ and discovered performance by score, ``[2, draws, subsets]``."""
    rng = np.random.default_rng(0)
    n = len(truth)
    features = {name: np.column_stack(columns) for name, columns in fits.items()}
    draws = [subsets(n, seed=seed) for seed in range(DRAWS)]
    judged = {name: np.empty((2, DRAWS, len(draws[0]))) for name in [*single, *fits]}
    for place in np.ndindex(DRAWS, len(draws[0])):
        subset = draws[place[0]][place[1]]
        others = np.setdiff1d(np.arange(n), subset)
        fit = rng.choice(others, round(FITTED * n), replace=False)
        for name, values in judged.items():
            score = single.get(name)
            if score is None:
                score = fitted(features[name], target, fit)
            values[:, *place] = (
                metrics.kendall_tau(score[subset], truth[subset]),
                found(score, truth, [subset])[0],
            )
    return judged


def fitted(features: np.ndarray, target: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Predictions for all cells by a ridge regression on some.

    Args:
        features: ``[cells, signals]``.
        target: ``[cells]``, read at ``fit`` only.
        fit: positions of the cells that the regression sees.
    """
    model = make_pipeline(StandardScaler(), RidgeCV(RIDGES))
    return model.fit(features[fit], target[fit]).predict(features)


def _verdict(judged: dict[str, np.ndarray], n: int, short: int, cheap: list[str]) -> str:
    def gain(name: str, other: str, of: int) -> Estimate:
        return over_subsets(judged[name][of] - judged[other][of], n)

    def best(names: list[str], of: int) -> str:
        return max(names, key=lambda name: judged[name][of].mean())

    alone, hybrid = f"{short} epochs", f"{short} epochs + {ACCURACY}"
    found_more = gain(hybrid, alone, 1)
    signal = best(cheap, 0)
    rival = best([name for name in judged if name.startswith(f"{short} epochs +")], 0)
    skipped = gain(signal, rival, 0)
    meaning = (
        "so the short training is worth having"
        if skipped.high < 0
        else "so a fit to 12-epoch accuracy does without short training"
        if skipped.low > 0
        else "so a fit to 12-epoch accuracy gains nothing from short training that shows"
    )
    finder = best(cheap, 1)
    return (
        f"That the hybrid with {ACCURACY} finds better networks {settled(found_more)}: "
        f"{found_more:+.4f} over {alone} (τ {gain(hybrid, alone, 0):+.3f}). Of single cheap "
        f"signals {signal} ranks best, τ {over_subsets(judged[signal][0], n)}, {skipped:+.3f} over "
        f"the best hybrid ({rival}), {meaning}. {finder} finds best, "
        f"{gain(finder, hybrid, 1):+.4f} over the hybrid."
    )


def _figure(table: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(2, sharey=True)
    figure.set_size_inches(7.4, 3.8)
    rows = table.iloc[::-1].reset_index(drop=True)
    places = np.arange(len(rows))
    style = {"fmt": "o", "ms": 4, "color": figures.COLOURS[0], "lw": 0.8, "capsize": 2}
    errors = [rows["τ"] - rows["τ low"], rows["τ high"] - rows["τ"]]
    axes[0].errorbar(rows["τ"], places, xerr=errors, **style)
    axes[1].errorbar(rows["discovered"], places, xerr=rows["error"], **style)
    axes[0].set_yticks(places, rows["score"], fontsize=7)
    figures.label(axes[0], "Kendall τ with the truth, 95 % interval", "")
    figures.label(axes[1], "discovered accuracy ± standard error", "")
    return figure
