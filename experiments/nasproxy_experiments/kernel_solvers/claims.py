"""Claims of Adlam et al. on solvers, by the tables of the suite, for each of its two kernels.

Written, as the suite's own rules were, before its numbers were made. Of several differences that a
claim is about, the one that is worst for it is judged; their intervals hold together.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from nasproxy.reproduce.claims import Claim, Evidence, Rule, ruled
from nasproxy.reproduce.evidence import estimate_of
from nasproxy.reproduce.statistics import Estimate
from nasproxy_experiments.kernel_solvers import approximations, cost, methods, nystrom
from nasproxy_experiments.kernel_solvers import preconditioners as preconditioning
from nasproxy_experiments.kernel_solvers.residual import LARGE
from nasproxy_experiments.kernel_solvers.rules import MARGIN
from nasproxy_experiments.kernel_solvers.study import KERNELS

PAPER, SECTION = "Adlam et al. (002)", "Solvers of kernel systems"
SMALLER = "thousands of points, where the paper has millions"
POSITIVE = Rule(above=0)

Judged = Callable[[pd.DataFrame], Estimate]
"""From the rows of a table that are of one kernel."""


def least(rows: pd.DataFrame, name: str) -> Estimate:
    """Of several: above a bound if all are, below it if one is."""
    ends = name, f"{name} low", f"{name} high"
    return Estimate(*(float(rows[end].min()) for end in ends))


def most(rows: pd.DataFrame, name: str) -> Estimate:
    """Of several: above a bound if one is, below it if all are."""
    ends = name, f"{name} low", f"{name} high"
    return Estimate(*(float(rows[end].max()) for end in ends))


def behind(*names: str) -> Judged:
    """How far the nearest of some methods is behind conjugate gradients."""
    return lambda rows: least(rows[rows["method"].isin(names)], "behind")


def gain(by: str) -> Judged:
    return lambda rows: least(rows[rows["by"] == by], "gain")


def over_shared(of: str) -> Judged:
    """What subset of regressors or tuning gains over Nyström at the shared regulariser."""
    return lambda rows: least(rows[rows["gain of"] == of], "gain")


def critical(rows: pd.DataFrame) -> Estimate:
    """Iterations without a preconditioner over those with, at the regulariser where least."""
    found = [preconditioning.without(own) for _, own in rows.groupby("ridge")]
    return Estimate(*(min(values) for values in zip(*found, strict=True)))


def lost(arm: str) -> Judged:
    """The most accuracy that an arm of float32 loses, over regularisers."""
    return lambda rows: most(rows[rows["arm"] == arm], "accuracy lost")


def unsettled(rows: pd.DataFrame) -> Estimate:
    """Accuracy lost at the large residual, at the regulariser where it may be farthest from 0."""
    found = [
        estimate_of(r, "accuracy lost") for _, r in rows.iterrows() if r["residual to"] == LARGE
    ]
    return max(found, key=lambda one: max(-one.low, one.high))


ROWS: tuple[tuple[str, str, str, str, Rule, str, str, Judged], ...] = (
    (
        "6", "conjugate gradients beat all four approximations at every size", "figure only",
        "how far the nearest approximation is behind", POSITIVE,
        "approximations", "approximations", behind(*methods.APPROXIMATE),
    ),
    (
        "7", "subset of regressors and Nyström are the best of the four", "figure only",
        "the least gain of one of the two over another, in the mean over sizes,", POSITIVE,
        "approximations", "differences", gain("method"),
    ),
    (
        "8", "each of the four improves with its size", "figure only",
        "the least gain of a largest size over the smallest", POSITIVE,
        "approximations", "differences", gain("size"),
    ),
    (
        "9a", "at the shared regulariser Nyström is poor", "none",
        "the gain of subset of regressors over it there", POSITIVE,
        "nystrom", "gains", over_shared(nystrom.PEER),
    ),
    (
        "9b", "and tuned it is not", "none", "what tuning gains", POSITIVE,
        "nystrom", "gains", over_shared(nystrom.ARMS[2]),
    ),
    (
        "10", "partial pivoted Cholesky is critical to conjugate gradients", "none",
        "by how much iterations are multiplied without it, at the regulariser where least,",
        Rule(above=preconditioning.CRITICAL),
        "preconditioners", "raw", critical,
    ),
    (
        "12a", "float64 is necessary: for the kernel and the products with it", "none",
        "the most accuracy that both in float32 lose, over regularisers,", Rule(above=MARGIN),
        "precision", "precision", lost("computed and multiplied in float32"),
    ),
    (
        "12b", "float64 is necessary: for a Cholesky factorisation", "none",
        "the most accuracy that float32 loses there, over regularisers,", Rule(above=MARGIN),
        "precision", "precision", lost("Cholesky in float32"),
    ),
    (
        "13", "accuracy settles while the residual is still large", "none",
        f"accuracy that is lost at a residual of {LARGE:g}, at the regulariser where most,",
        Rule(-MARGIN, MARGIN),
        "residual", "residual", unsettled,
    ),
    (
        "22", "computing the kernel takes far more time than solving with it", "none",
        "the kernel's time over that of conjugate gradients", Rule(above=cost.FAR),
        "cost", "raw", cost.times,
    ),
    (
        "24", "less data is worse than the full kernel", "none",
        "how far the nearest subset of the data is behind", POSITIVE,
        "approximations", "approximations", behind(approximations.SUBSET),
    ),
)  # fmt: skip
"""Number, claim, the paper's number, what is judged, rule, experiment, table, and how."""


def _stated() -> Iterator[Claim]:
    for number, text, published, quantity, rule, experiment, table, judged in ROWS:
        for kernel in KERNELS:

            def find(
                results: Path,
                place: str = f"kernel_solvers/{experiment}",
                table: str = table,
                kernel: str = kernel,
                judged: Judged = judged,
            ) -> Evidence:
                rows = pd.read_csv(results / place / f"{table}.csv")
                draws = pd.read_csv(results / place / "raw.csv")["draw"].nunique()
                own = rows[rows["case" if "case" in rows else "kernel"] == kernel]
                return Evidence(judged(own), draws, "draws", draws)

            yield ruled(
                PAPER, f"{number} {kernel}", SECTION, text, published,
                f"{quantity.removesuffix(',')}, {kernel},", rule, find,
                f"kernel_solvers/{experiment}", SMALLER,
            )  # fmt: skip


CLAIMS = tuple(_stated())
