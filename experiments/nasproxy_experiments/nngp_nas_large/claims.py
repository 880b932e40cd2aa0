"""Claims of Park et al. 2020 that speak of large settings, judged there alone, and the rules.

Committed before any of their scores was made: n_t 8,000 at width 128 asks for an accelerator, and
without its report a claim is not tested. Those without a g in their number are judged by smaller
settings, which cannot refute.
"""

from functools import partial

from nasproxy.reproduce import claims, evidence
from nasproxy.reproduce.claims import Rule
from nasproxy.reproduce.evidence import cell
from nasproxy_experiments.nngp_nas.claims import (
    FIG1,
    FIG2,
    FIG6,
    FIG9,
    MATCHES,
    NEGATIVE,
    PAPER,
    POSITIVE,
)
from nasproxy_experiments.nngp_nas_large.at_paper_size import NNGP, SIZE
from nasproxy_experiments.nngp_nas_large.study import NAME

REPORT = f"{NAME}/at_paper_size"
HARDLY = Rule(-0.1, 0.1)

ruled = partial(claims.ruled, PAPER)


def _found(name: str) -> evidence.Find:
    return cell(f"{REPORT}/ranking.csv", {"score": NNGP}, name, n="cells", seeds="seeds")


CLAIMS = (
    *(
        ruled(
            f"{number}g", FIG1, f"NNGP matches or beats the τ of {epochs} epochs, at n_t 8,000",
            "matched or bested", f"the gain in τ of accuracy over {epochs} epochs", MATCHES,
            _found(f"τ over {epochs} epochs"), REPORT,
        )
        for number, epochs in (("1", 4), ("2", 12))
    ),
    ruled(
        "4g", FIG2, "it tells better than 12 epochs whether a network is above the median, there",
        "figure only", "the gain in AUROC over 12 epochs at the median", POSITIVE,
        _found("AUROC 50% over 12 epochs"), REPORT,
    ),
    ruled(
        "5g", FIG2, "better than 4 epochs up to the 92nd percentile, there", "92",
        "the gain in AUROC over 4 epochs where 92 % are better", POSITIVE,
        _found("AUROC 92% over 4 epochs"), REPORT,
    ),
    ruled(
        "6g", FIG2, "12 epochs tell the top 5 % better, there", "figure only",
        "the gain in AUROC over 12 epochs at the top 5 %", NEGATIVE,
        _found("AUROC 5% over 12 epochs"), REPORT,
    ),
    ruled(
        "16g", FIG6, "NNGP hardly correlates with size, at n_t 8,000", "very low",
        "the τ of NNGP accuracy with parameters", HARDLY, _found(f"τ with {SIZE}"), REPORT,
    ),
    ruled(
        "20g", FIG6, "size ranks poorly over all: NNGP ranks better, at n_t 8,000", "figure only",
        "the gain in τ of NNGP over size", POSITIVE, _found(f"τ over {SIZE}"), REPORT,
    ),
    *(
        ruled(
            f"33{letter}g", FIG9, f"NNGP is complementary to {epochs} epochs, at n_t 8,000", "none",
            f"the gain in τ of the mean rank of both over {epochs} epochs", POSITIVE,
            _found(f"{epochs} epochs +"), REPORT,
        )
        for letter, epochs in (("a", 4), ("b", 12))
    ),
)  # fmt: skip
