"""Search-space reduction: NNGP keeps 30 or 10 %, shortened training picks among them (figure 8)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import (
    DRAWS,
    Estimate,
    found,
    kind,
    over_subsets,
    settled,
    subset_mean,
    subsets,
    top,
)
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "Keeping the best 30 % by NNGP loses nothing in a 12- or 36-epoch random search at a third of "
    "the cost, unlike a random 30 %; keeping 10 % loses as much as at random."
)
NEEDS = ("many",)
SHARES = (0.3, 0.1)
NNGP, RANDOM = f"NNGP {MEASURES['accuracy']}", "random"
TIES = 20
"""Orders of what a score ties, averaged; the random reduction ties everything."""
UNIT = 1e-4
"""Of accuracy, in the gains' table, figure and verdict."""

Gains = dict[tuple[int, str, float, str], Estimate]
"""By epochs, screen, share kept, and what the gain is over."""


def run(study: Study) -> Finding:
    scores = study.scores("many")
    screened = {f"NNGP {text}": scores.column(measure=m) for m, text in MEASURES.items()}
    screened["parameters"] = study.sizes["params"]
    budgets = study.budgets[1:]
    *values, truth = study.joined(*screened.values(), *(study.shortened[e] for e in budgets))
    n = len(truth)
    screens = dict(zip(screened, values, strict=False)) | {RANDOM: np.zeros(n)}
    trained = dict(zip(budgets, values[len(screened) :], strict=True))
    costs = dict.fromkeys(screens, scores.costs[scores.largest]) | {"parameters": 0.0, RANDOM: 0.0}
    draws = [subsets(n, seed=seed) for seed in range(DRAWS)]
    size = len(draws[0][0])
    rows, gains = [], {}
    for epochs, accuracy in trained.items():
        train = study.training_cost(epochs)
        whole = searched(np.zeros(n), size, accuracy, truth, draws)
        rows.append(_row(epochs, "none", 1.0, whole, n, size * train))
        for share in SHARES:
            kept = max(2, round(share * size))
            values = {
                name: searched(s, kept, accuracy, truth, draws) for name, s in screens.items()
            }
            for name, value in values.items():
                row = _row(epochs, name, share, value, n, kept * train + size * costs[name])
                for other, against in (("none", whole), (RANDOM, values[RANDOM])):
                    if name != other:
                        gain = over_subsets((value - against) / UNIT, n)
                        gains[epochs, name, share, other] = gain
                        ends = (f"over {other}{end}" for end in ("", " low", " high"))
                        row |= dict(zip(ends, gain, strict=True))
                rows.append(row)
    table = pd.DataFrame(rows)
    return Finding(
        judge(gains, budgets),
        {"reduction": table},
        _figure(gains, table, budgets),
        (
            f"Means ± standard errors over {kind(n)} of {n:,}, averaged over {DRAWS} draws of the "
            f"subsets; NNGP at {scores.largest}; of what is kept the top {top(size)} by shortened "
            "training (all, where fewer are kept). Ties are broken at random, "
            f"{TIES} times. Gains, in units of {UNIT:.4f} of accuracy, are over no reduction and "
            "over the random reduction of the same subsets, with 95 % intervals by Student's t "
            "over the subsets of one draw; no loss shown is not none. Cost is that of a search: "
            f"{size} scores and what is trained.",
        ),
    )


def searched(
    score: np.ndarray,
    kept: int,
    accuracy: np.ndarray,
    truth: np.ndarray,
    draws: list[list[np.ndarray]],
) -> np.ndarray:
    """What shortened training finds among the best by score, ``[draws, subsets]``.

    It may look at as many of them as of the whole subset.
    """
    rng = np.random.default_rng(0)
    most = top(len(draws[0][0]))
    return np.array(
        [
            np.mean(
                [
                    found(accuracy, truth, [s[_best(score[s], kept, rng)] for s in drawn], most)
                    for _ in range(TIES)
                ],
                axis=0,
            )
            for drawn in draws
        ]
    )


def _best(score: np.ndarray, kept: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the best, ties broken at random."""
    order = rng.permutation(len(score))
    return order[np.argsort(-score[order], kind="stable")[:kept]]


def _row(epochs: int, screen: str, share: float, values: np.ndarray, n: int, cost: float) -> dict:
    value, error = subset_mean(values, n)
    return {
        "epochs": epochs,
        "kept by": screen,
        "kept": share,
        "discovered": value,
        "error": error,
        "EFLOPs": cost / 1e18,
    }


def judge(gains: Gains, budgets: list[int]) -> str:
    """Of both halves of the claim, by the paper's measure; a loss not shown is bounded."""

    def of(share: float, other: str) -> list[Estimate]:
        return [gains[epochs, NNGP, share, other] for epochs in budgets]

    def shown(estimates: list[Estimate]) -> str:
        return " and ".join(f"{estimate:+.1f}" for estimate in estimates)

    most, least = SHARES
    kept, over, few = of(most, "none"), of(most, RANDOM), of(least, RANDOM)
    loses = any(gain.high < 0 for gain in kept)
    first = "does not hold" if loses else settled(*over)
    differs = any(gain.low > 0 or gain.high < 0 for gain in few)
    second = "does not hold" if differs else "is not contradicted"
    bound = max(-gain.low for gain in kept)
    return (
        f"The claim's first half {first} and its second {second}. Keeping {most:.0%} by NNGP "
        f"accuracy {'loses' if loses else f'shows no loss (at most {bound:.1f})'}, {shown(kept)} "
        f"in {UNIT:.4f} of accuracy at {' and '.join(map(str, budgets))} epochs. It finds "
        f"{shown(over)} more than a random {most:.0%}. Keeping {least:.0%} finds {shown(few)} more "
        f"than a random {least:.0%}."
    )


def _figure(gains: Gains, table: pd.DataFrame, budgets: list[int]) -> Figure:
    figure, axes = figures.panels(len(budgets), sharey=True)
    screens = list(dict.fromkeys(name for _, name, *_ in gains))
    for one, epochs in zip(axes, budgets, strict=True):
        rows = table[table["epochs"] == epochs]
        for number, (colour, screen) in enumerate(zip(figures.COLOURS, screens, strict=False)):
            cost = rows[rows["kept by"] == screen]["EFLOPs"]
            aside = 1.08 ** (number - (len(screens) - 1) / 2)
            points = [gains[epochs, screen, share, "none"] for share in SHARES]
            figures.intervals(one, cost * aside, points, colour, label=screen)
        one.axhline(0, color="black", lw=0.8)
        one.plot(rows[rows["kept by"] == "none"]["EFLOPs"], [0], "ks", ms=4, label="no reduction")
        figures.logarithmic(one)
        figures.label(one, "cost of the search, EFLOPs", "", f"random search by {epochs} epochs")
    axes[0].set_ylabel(f"gain in discovered accuracy, {UNIT:.4f}", fontsize=9)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        title="best 10 % (left) and 30 % kept by, shifted apart; 95 % intervals",
        title_fontsize=7,
        fontsize=7,
        frameon=False,
        ncols=3,
        loc="outside lower center",
    )
    return figure
