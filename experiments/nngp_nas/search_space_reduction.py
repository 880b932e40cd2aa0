"""Search-space reduction: NNGP keeps 30 or 10 %, shortened training picks among them (figure 8)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import figures
from experiments.nngp_nas.study import Study
from experiments.reproduction import Finding
from experiments.statistics import discovered, kind, mean, subsets, top

CLAIM = (
    "Keeping the best 30 % by NNGP loses nothing in a 12- or 36-epoch random search at a third of "
    "the cost, unlike a random 30 %; keeping 10 % loses as much as at random."
)
NEEDS = ("many",)
SHARES = (0.3, 0.1)
RANDOM_DRAWS = 20
"""Random reductions of each subset, averaged: one alone is noise."""


def run(study: Study) -> Finding:
    scores = study.scores("many")
    measures = {"NNGP accuracy": "accuracy", "NNGP leave-one-out": "loo_accuracy"}
    columns = [scores.column(measure=m) for m in measures.values()]
    budgets = study.budgets[1:]
    trained = [study.shortened[e] for e in budgets]
    *values, truth = study.joined(*columns, study.sizes["params"], *trained)
    screens = dict(zip([*measures, "parameters"], values, strict=False))
    drawn = subsets(len(truth))
    costs = dict.fromkeys(measures, scores.costs[scores.largest]) | {"parameters": 0.0}
    rows, gains = [], {}
    for epochs, accuracy in zip(budgets, values[len(screens) :], strict=True):
        train = study.training_cost(epochs)
        whole = _found(accuracy, truth, drawn)
        size = len(drawn[0])
        rows.append(_row(epochs, "none", 1.0, whole, size * train))
        rng = np.random.default_rng(0)
        for share in SHARES:
            kept = max(2, round(share * size))
            for name, screen in screens.items():
                reduced = [s[_best(screen[s], kept, rng)] for s in drawn]
                found = _found(accuracy, truth, reduced)
                gains[epochs, name, share] = mean(found - whole)
                cost = kept * train + size * costs[name]
                rows.append(_row(epochs, name, share, found, cost))
            random = np.mean(
                [
                    _found(accuracy, truth, [rng.choice(s, kept, replace=False) for s in drawn])
                    for _ in range(RANDOM_DRAWS)
                ],
                axis=0,
            )
            gains[epochs, "random", share] = mean(random - whole)
            rows.append(_row(epochs, "random", share, random, kept * train))
    table = pd.DataFrame(rows)
    return Finding(
        _verdict(gains, budgets),
        {"reduction": table, "gains": _gains(gains)},
        _figure(table, budgets),
        (
            f"Over {kind(len(truth))} of {len(truth):,}; NNGP at {scores.largest}; the top "
            f"{top(len(drawn[0]))} by shortened training of what is kept. Each gain is against no "
            "reduction on the same subset, so its error is smaller than the two means' own. Cost "
            f"is that of a whole search: {len(drawn[0])} scores and what is trained.",
        ),
    )


def _best(score: np.ndarray, kept: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the best, ties broken at random."""
    order = rng.permutation(len(score))
    return order[np.argsort(-score[order], kind="stable")[:kept]]


def _found(accuracy: np.ndarray, truth: np.ndarray, chosen: list[np.ndarray]) -> np.ndarray:
    """Discovered performance of each subset."""
    return np.array([discovered(accuracy, truth, [s, s]).value for s in chosen])


def _row(epochs: int, screen: str, share: float, found: np.ndarray, cost: float) -> dict:
    value, error = mean(found)
    return {
        "training": f"{epochs} epochs",
        "kept by": screen,
        "kept": share,
        "discovered": value,
        "error": error,
        "EFLOPs": cost / 1e18,
    }


def _gains(gains: dict) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"training": f"{e} epochs", "kept by": n, "kept": s, "gain": g.value, "error": g.error}
            for (e, n, s), g in gains.items()
        ]
    )


def _verdict(gains: dict, budgets: list[int]) -> str:
    said = []
    for epochs in budgets:
        for share in SHARES:
            shown = [
                f"{name} {1e4 * gains[epochs, name, share].value:+.1f} ± "
                f"{1e4 * gains[epochs, name, share].error:.1f}"
                for name in ("NNGP accuracy", "NNGP leave-one-out", "parameters", "random")
            ]
            said.append(f"{epochs} epochs among {share:.0%}: {', '.join(shown)}")
    thirty = [gains[e, "NNGP accuracy", SHARES[0]] for e in budgets]
    random = [gains[e, "random", SHARES[0]] for e in budgets]
    harmless = all(g.value > -2 * g.error for g in thirty)
    better = all(g.value > r.value for g, r in zip(thirty, random, strict=True))
    holds = "holds" if harmless and better else "does not hold as stated"
    return (
        f"That 30 % by NNGP accuracy loses nothing {holds}. Gain in discovered accuracy against no "
        f"reduction, in units of 0.0001 (mean ± standard error): {'; '.join(said)}."
    )


def _figure(table: pd.DataFrame, budgets: list[int]) -> Figure:
    figure, axes = figures.panels(len(budgets), sharey=True)
    screens = ["none", "NNGP accuracy", "NNGP leave-one-out", "parameters", "random"]
    for one, epochs in zip(axes, budgets, strict=True):
        rows = table[table["training"] == f"{epochs} epochs"]
        for colour, screen in zip(("black", *figures.COLOURS), screens, strict=False):
            part = rows[rows["kept by"] == screen]
            one.errorbar(
                part["EFLOPs"],
                part["discovered"],
                part["error"],
                color=colour,
                label=screen,
                marker="o",
                ms=4,
                lw=1,
                capsize=2,
                ls="-" if len(part) > 1 else "none",
            )
        figures.logarithmic(one)
        figures.label(one, "cost of the search, EFLOPs", "", f"random search by {epochs} epochs")
    axes[0].set_ylabel("discovered accuracy", fontsize=9)
    figures.legend(axes[0], title="30 % and 10 % kept by", title_fontsize=7)
    return figure
