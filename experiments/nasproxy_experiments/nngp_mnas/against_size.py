"""A kernel's ranking against that of mere size, alone and together; shared by the experiments."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.pool import joined
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import (
    Estimate,
    correlations,
    discovered,
    kind,
    settled,
    sort,
    subsets,
    tau,
    tau_gain,
)
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_mnas.study import Benchmark

FOLDS = 10


def compare(
    benchmark: Benchmark, truth: pd.Series, predicted: str
) -> tuple[pd.DataFrame, str, Estimate]:
    """A row a score; a sentence: does the NNGP beat size, alone and with it; by how much alone.

    Args:
        benchmark: scored by a request named ``nngp``.
        truth: by key.
        predicted: what the truth is called.
    """
    scores = benchmark.scores("nngp")
    sizes = benchmark.pool.sizes
    columns = {
        f"NNGP {text} {setting}": scores.column(setting, measure)
        for setting in scores.settings
        for measure, text in MEASURES.items()
    }
    columns |= {"parameters": sizes["params"], "multiply-adds": sizes["flops"] / 2}
    *values, y = joined(truth, *columns.values())
    by_name = dict(zip(columns, values, strict=True))
    measured = [f"NNGP {text} {scores.largest}" for text in MEASURES.values()]
    accuracy = measured[0]
    size = [np.log(by_name[name]) for name in ("parameters", "multiply-adds")]
    kernel = [by_name[name] for name in measured]
    by_name["mean rank of parameters and NNGP accuracy"] = rankdata(
        by_name["parameters"]
    ) + rankdata(by_name[accuracy])
    by_name["fit on size"] = cross_fitted(size, y)
    by_name["fit on size and NNGP"] = cross_fitted([*size, *kernel], y)
    drawn = subsets(len(y))
    rows = []
    for name, value in by_name.items():
        found = discovered(value, y, drawn)
        rows.append(
            {
                "score": name,
                "predicts": predicted,
                **correlations(value, y),
                "ρ": metrics.spearman(value, y),
                "discovered": found.value,
                "error": found.error,
            }
        )
    table = sort(pd.DataFrame(rows), "τ")
    taus = table.set_index("score")["τ"]
    size_best = "parameters" if taus["parameters"] >= taus["multiply-adds"] else "multiply-adds"
    alone = tau_gain(by_name[accuracy], by_name[size_best], y)
    best = max((name for name in columns if name.startswith("NNGP")), key=lambda n: taus[n])
    best_alone = tau_gain(by_name[best], by_name[size_best], y)
    mixed = tau_gain(by_name["fit on size and NNGP"], by_name["fit on size"], y)
    return (
        table,
        (
            f"Predicting {predicted} ({len(y)} architectures), NNGP accuracy has "
            f"τ {tau(by_name[accuracy], y)} and {_said(alone)} {size_best} ({taus[size_best]:.3f}, "
            f"difference {alone}). The best of its measures and sizes, picked after looking, "
            f"{best.removeprefix('NNGP ')}, {_said(best_alone)} it ({taus[best]:.3f}, difference "
            f"{best_alone}). Added to a fit on parameters and multiply-adds the NNGP "
            f"{added(mixed)} ({mixed})."
        ),
        alone,
    )


def added(gain: Estimate) -> str:
    """What the kernel's measures do to a fit on size, by the interval of the change in τ."""
    if gain.low > 0:
        return "gains"
    return "loses" if gain.high < 0 else "does not measurably change it"


def _said(gain: Estimate) -> str:
    return "beats" if gain.low > 0 else "loses to" if gain.high < 0 else "is not told apart from"


def cross_fitted(features: list[np.ndarray], target: np.ndarray) -> np.ndarray:
    """Least squares of the target's ranks on standardised features, each fold from the others.

    Ranks, since the truth of some spaces has a long tail of failures that squares would follow.
    """
    return metrics.cross_fitted(np.column_stack(features), rankdata(target), folds=FOLDS)


def report(benchmark: Benchmark) -> Finding:
    """The finding for one benchmark whose only truth is accuracy."""
    table, said, alone = compare(benchmark, benchmark.truth, "accuracy")
    verdict = f"That the NNGP's accuracy ranks better than counting {settled(alone)}. {said}"
    return Finding(verdict, {"scores": table}, draw(benchmark, [table]), notes(benchmark))


def notes(benchmark: Benchmark) -> list[str]:
    scores = benchmark.scores("nngp")
    failed = int(scores.frame["nngp"].isna().sum())
    return [
        f"{len(scores.frame)} architectures, {failed} without a finite score (features that "
        f"vanish) left out; median {scores.seconds:.2f} s each for all settings. Settings are "
        f"(n_train, n_valid, ensemble). Fits are of the truth's ranks by least squares, each of "
        f"{FOLDS} folds predicted from the others. Discovered: the best truth of the ten best over "
        f"{kind(len(scores.frame) - failed)}, mean ± standard error. Larger scores, and what they "
        "add to size, are in [what_limits](../what_limits/README.md)."
    ]


def draw(benchmark: Benchmark, compared: list[pd.DataFrame]) -> Figure:
    """τ of every score, and the largest setting's accuracy and size against the truth."""
    scores = benchmark.scores("nngp")
    figure, axes = figures.panels(3)
    names = list(compared[0]["score"])[::-1]
    for number, (colour, table) in enumerate(zip(figures.COLOURS, compared, strict=False)):
        rows = table.set_index("score").loc[names]
        places = np.arange(len(names)) + 0.2 * number
        axes[0].errorbar(
            rows["τ"],
            places,
            xerr=[rows["τ"] - rows["τ low"], rows["τ high"] - rows["τ"]],
            fmt="o",
            ms=3,
            lw=0.8,
            color=colour,
            label=f"with {table['predicts'].iloc[0]}",
        )
    axes[0].set_yticks(range(len(names)), names, fontsize=5)
    figures.label(axes[0], "Kendall τ, 95 % interval", "")
    figures.legend(axes[0], loc="lower right")
    column, params, truth = joined(benchmark.truth, scores.column(), benchmark.pool.sizes["params"])
    floor = np.percentile(truth, 1) - 0.02
    seen = truth >= floor
    style = {"s": 8, "alpha": 0.4, "color": figures.COLOURS[0], "lw": 0}
    left = f"{(~seen).sum()} below {floor:.2f} left out" if (~seen).any() else ""
    axes[1].scatter(column[seen], truth[seen], **style)
    figures.label(axes[1], f"NNGP accuracy {scores.largest}", "true accuracy", left)
    axes[2].scatter(params[seen] / 1e6, truth[seen], **style)
    figures.logarithmic(axes[2])
    figures.label(axes[2], "parameters, millions", "true accuracy", left)
    return figure
