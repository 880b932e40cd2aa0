"""Which measure, n_t and M rank best for their price

Chosen on some cells by two seeds, judged on the others by the other three: a setting that is picked
from many has its own luck where it was picked.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.networks.graph import Graph
from nasproxy.proxies.kernel_regression import MEASURES
from nasproxy.proxies.nngp import flops
from nasproxy.reproduce.scores import Scores, Setting
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_default import choice
from nasproxy_experiments.nngp_default.choice import Candidate, Half
from nasproxy_experiments.nngp_default.study import SEEDS, need
from nasproxy_experiments.nngp_nas.study import WIDTH, Study

CLAIM = (
    "None: the paper ranks by validation accuracy, and leaves n_t and M to the user. Rule, written "
    "before a score was read: of the measures at each (n_t, M), and of their rank means, the "
    "default is the cheapest whose τ on the choosing half is within .01 of the best there at no "
    "more than the cost of today's default, (512, 512, 1) with accuracy; if on the judging half "
    "its τ is not above that of accuracy at the nearest setting, (500, 200, 1), by an interval "
    "over cells and seeds, the default stays."
)
NEEDS = tuple(need(seed) for seed in SEEDS)
CHOOSING, JUDGING = SEEDS[:2], SEEDS[2:]


def run(study: Study) -> Finding:
    frames = {seed: study.scores(need(seed)) for seed in SEEDS}
    settings = frames[SEEDS[0]].settings
    chosen_on, judged_on = halves(frames, study.truth)
    graphs, classes = study.pool.graphs(WIDTH), study.images.classes
    costs, limit = charged(graphs, classes, settings, list(chosen_on.scores))
    usual = Candidate(("accuracy",), choice.nearest(settings), 1)
    decision = choice.decide(chosen_on, judged_on, costs, usual, limit)
    winner = decision.winner
    rows = []
    for candidate in chosen_on.scores:
        first, own = (choice.tau(half, candidate) for half in (chosen_on, judged_on))
        row = _named(candidate) | {"GFLOP": costs[candidate] / 1e9}
        row |= {"τ, choosing": first.value, "low": first.low, "high": first.high}
        row |= {"τ, judging": own.value, "low ": own.low, "high ": own.high}
        rows.append(row | {"between seeds": own.seed_deviation})
    table = pd.DataFrame(rows)
    size = study.sizes["params"].reindex(judged_on.keys).to_numpy(float)
    against = metrics.paired_gain(judged_on.scores[winner], size, judged_on.truth)
    return Finding(
        choice.sentence(decision, judged_on, "cost", full=False),
        {"candidates": table.sort_values("τ, choosing", ascending=False, ignore_index=True)},
        _figure(table, winner, limit),
        (
            f"Over parameters, the winner gains {against.value:+.3f} [{against.low:.3f}, "
            f"{against.high:.3f}] on the same cells; their τ is "
            f"{metrics.kendall_tau(size, judged_on.truth):.3f}.",
            f"Chosen on {len(chosen_on.truth)} cells by seeds {CHOOSING}, judged on "
            f"{len(judged_on.truth)} others by seeds {JUDGING}. τ is the mean over seeds; "
            "intervals (95 %) are over cells and seeds. A measure without validation images is "
            f"charged for none; those with it use {settings[0].n_valid}.",
        ),
    )


def halves(frames: Mapping[int, Scores], truth: pd.Series) -> tuple[Half, Half]:
    """The cells that all seeds have a score of, parted at random: to choose on, and to judge on."""
    keys = sorted(set.intersection(*(set(f.column().index) for f in frames.values())))
    keys = [key for key in keys if key in truth.index]
    order = np.random.default_rng(0).permutation(len(keys))
    first, second = (
        choice.half(
            choice.measured([frames[s] for s in seeds], [keys[i] for i in part], MEASURES),
            truth.reindex([keys[i] for i in part]),
        )
        for seeds, part in zip((CHOOSING, JUDGING), np.array_split(order, 2), strict=True)
    )
    return first, second


def charged(
    graphs: Sequence[Graph], classes: int, settings: list[Setting], candidates: list[Candidate]
) -> tuple[dict[Candidate, float], float]:
    """Mean operations a cell, of each candidate and of today's default."""

    def cost(n_train: int, n_valid: int, members: int) -> float:
        return float(np.mean([flops(g, classes, n_train, n_valid, members) for g in graphs]))

    unseen = settings[0].n_valid
    return {c: cost(c.n_train, unseen if c.validated else 0, c.ensemble) for c in candidates}, cost(
        *choice.TODAY
    )


def _named(candidate: Candidate) -> dict[str, object]:
    return {"measure": candidate.name, "n_t": candidate.n_train, "M": candidate.ensemble}


def _figure(table: pd.DataFrame, winner: Candidate, limit: float) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for measure, rows in table.groupby("measure", sort=False):
        ordered = rows.sort_values("GFLOP")
        alone = "+" not in str(measure)
        axes.plot(ordered["GFLOP"], ordered["τ, judging"], "o" if alone else "x", label=measure)
    chosen = table[(table["measure"] == winner.name) & (table["n_t"] == winner.n_train)]
    chosen = chosen[chosen["M"] == winner.ensemble]
    axes.plot(chosen["GFLOP"], chosen["τ, judging"], "ks", mfc="none", ms=12, label="chosen")
    axes.axvline(limit / 1e9, color="grey", lw=1, ls=":")
    axes.set(xscale="log", xlabel="GFLOP a cell", ylabel="Kendall τ on cells and seeds kept apart")
    axes.legend(fontsize=7, loc="lower right")
    return figure
