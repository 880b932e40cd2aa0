"""Iterations of conjugate gradients by the preconditioner's rank and pivots."""

import time

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import Estimate
from nasproxy.reproduce.suites import Finding
from nasproxy.solvers import ConjugateGradient, Precomputed
from nasproxy.solvers.low_rank import PIVOTS
from nasproxy_experiments.kernel_solvers.rules import above, all_of, ratio
from nasproxy_experiments.kernel_solvers.study import KERNELS, Study

CLAIM = (
    "Partial pivoted Cholesky is critical to conjugate gradients on these kernels. (An earlier "
    "trial of ours: greedy pivots took 5–15 % more iterations than random or uniform ones.)"
)
NEEDS = ()
SHARES = (100, 30, 10, 3)
"""Ranks are the training points over these, and 0."""
RIDGES = (1e-4, 1e-2)
TOLERANCE = 1e-3
MOST = 3000
CRITICAL = 2.0
"""Times fewer iterations from which on it is critical."""


def run(study: Study) -> Finding:
    ranks = sorted({0, *(study.points // share for share in SHARES)})
    raw = pd.DataFrame(
        [
            _solved(study, kernel, number, rank, pivot, ridge)
            for kernel in KERNELS
            for number in range(study.draws)
            for ridge in RIDGES
            for rank in ranks
            for pivot in (PIVOTS if rank and ridge == RIDGES[0] else ("random",))
        ]
    )
    by = ["kernel", "ridge", "pivot", "rank"]
    names = ["iterations", "seconds", "factor seconds", "residual"]
    table = raw.groupby(by, sort=False)[names].median().reset_index()
    return Finding(
        " ".join(sentence(raw, kernel) for kernel in KERNELS),
        {"preconditioners": table, "raw": raw},
        _figure(table),
        (
            f"Iterations until the true residual of every class is {TOLERANCE:g} of its target, "
            f"at most {MOST:,}; medians over the draws. Seconds include the preconditioner's, "
            "which stand beside them. Rules: the preconditioner is critical if its iterations "
            f"without it are more than {CRITICAL:g} times those with the best rank of random "
            "pivots, at each regulariser, by Student's interval over draws of the logarithm; "
            "greedy pivots are worse if, at the smaller regulariser and in the mean over ranks, "
            "they take more than random and than uniform ones, likewise. A run that reached the "
            "most iterations counts with that number.",
        ),
    )


def _solved(
    study: Study, kernel: str, number: int, rank: int, pivot: str, ridge: float
) -> dict[str, object]:
    given = study.draw(kernel, number)
    model = ConjugateGradient(
        Precomputed(given.gram),
        rank=rank,
        ridge=ridge,
        tolerance=TOLERANCE,
        iterations=MOST,
        seed=number,
        pivot=pivot,
    )
    start = time.perf_counter()
    model.fit(np.arange(len(given.y)), given.y)
    seconds = time.perf_counter() - start
    return {
        "kernel": kernel,
        "ridge": ridge,
        "pivot": pivot if rank else "none",
        "rank": rank,
        "draw": number,
        "iterations": model.n_iter_,
        "seconds": seconds,
        "factor seconds": seconds - model.history_[-1]["seconds"],
        "residual": model.residual_,
        "stopped": model.stopped_,
    }


def sentence(raw: pd.DataFrame, kernel: str) -> str:
    """The verdicts on a kernel, from a row a run."""
    own = raw[raw["kernel"] == kernel]
    gains = {ridge: without(own[own["ridge"] == ridge]) for ridge in sorted(set(own["ridge"]))}
    said = ", ".join(f"{one:.1f} at {ridge:g}" for ridge, one in gains.items())
    against = {pivot: greedy(own, pivot) for pivot in ("random", "uniform")}
    more = ", ".join(f"{one:.2f} times {pivot} ones" for pivot, one in against.items())
    return (
        f"{kernel}: that preconditioning is critical "
        f"{all_of([above(one, CRITICAL) for one in gains.values()])}: without it, iterations are "
        f"multiplied by {said}. That greedy pivots take more "
        f"{all_of([above(one, 1.0) for one in against.values()])}: {more}."
    )


def without(own: pd.DataFrame) -> Estimate:
    """Iterations without a preconditioner over those of the best rank of random pivots."""
    plain = own[own["pivot"] == "none"].set_index("draw")["iterations"]
    ranked = own[own["pivot"] == "random"].pivot(index="draw", columns="rank", values="iterations")
    best = ranked[ranked.mean().idxmin()]
    return ratio((plain / best).sort_index().to_numpy(float), 2)


def greedy(own: pd.DataFrame, pivot: str) -> Estimate:
    """Iterations with greedy pivots over those with others, the geometric mean over ranks."""
    smallest = own[own["ridge"] == own["ridge"].min()]
    logs = {
        name: np.log(
            smallest[smallest["pivot"] == name].pivot(
                index="draw", columns="rank", values="iterations"
            )
        ).mean(axis=1)
        for name in ("greedy", pivot)
    }
    return ratio(np.exp((logs["greedy"] - logs[pivot]).to_numpy(float)), 2)


def _figure(table: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(len(KERNELS))
    for axis, kernel in zip(axes, KERNELS, strict=True):
        own = table[(table["kernel"] == kernel) & (table["ridge"] == RIDGES[0])]
        plain = own[own["pivot"] == "none"]["iterations"].iloc[0]
        axis.axhline(plain, color="black", lw=1, ls=":", label="no preconditioner")
        for pivot, colour in zip(PIVOTS, figures.COLOURS, strict=False):
            rows = own[own["pivot"] == pivot].sort_values("rank")
            axis.plot(rows["rank"], rows["iterations"], "o-", ms=3, color=colour, label=pivot)
        figures.logarithmic(axis)
        figures.logarithmic(axis, "y")
        figures.label(axis, "rank", f"iterations to {TOLERANCE:g}", f"{kernel}, λ = {RIDGES[0]:g}")
    figures.legend(axes[0])
    return figure
