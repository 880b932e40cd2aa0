"""Claims of Park et al. 2020 that subsets of the whole space judge, and the rules.

Those with a w in their number were judged before, on smaller subsets or with another measure: here
a search looks at the paper's own share of the cells. The score is the one that the setting of the
table was chosen with; see :mod:`nasproxy_experiments.nngp_nas.subsets`. These rules were
committed before any subset was judged, but for 11, whose direction was known. Those with an s are
by several seeds (:mod:`nasproxy_experiments.nngp_nas.seeds_of_space`), committed when the first
seed's numbers were known and before any other seed was run.
"""

from functools import partial

from nasproxy.reproduce import claims, evidence
from nasproxy.reproduce.claims import Rule
from nasproxy.reproduce.evidence import cell
from nasproxy_experiments.nngp_nas.claims import (
    FIG2,
    FIG3,
    FIG4,
    FIG6,
    FIG8,
    FIG9,
    LOSES_NOTHING,
    MATCHES,
    NEGATIVE,
    PAPER,
    POSITIVE,
)
from nasproxy_experiments.nngp_nas.seeds_of_space import FOLDER, GIVEN, LESS, TOGETHER
from nasproxy_experiments.nngp_nas.subsets import COUNTS, NNGP, SIZE

REPORT = "nasbench101_space/subsets"
BY_SEED = f"nasbench101_space/{FOLDER}"
SETTING = "700 images of 16×16 pixels, width 16, M 1, where the paper goes to 8,000 and width 128"
TELLS = Rule(above=0.8)
"""Excellent discrimination by the usual reading of an AUROC (Hosmer and Lemeshow 2000)."""

ruled = partial(claims.ruled, PAPER)


def _final(score: str, name: str) -> evidence.Find:
    return cell(f"{REPORT}/final.csv", {"score": score}, name, n="cells")


def _trained(score: str, name: str) -> evidence.Find:
    return cell(f"{REPORT}/trained.csv", {"score": score}, name, n="cells")


def _range(epochs: int) -> evidence.Find:
    where: evidence.Where = {"score": NNGP, "against": f"{epochs} epochs"}
    return cell(f"{REPORT}/ranges.csv", where, "least gain", n="cells")


def _reduced(epochs: int, kept: float, over: str) -> evidence.Find:
    where: evidence.Where = {"kept by": NNGP, "kept": kept, "epochs": f"{epochs} epochs"}
    return cell(f"{REPORT}/reduction.csv", where, f"over {over}", n="cells")


def _residual(of: str) -> evidence.Find:
    return cell(f"{REPORT}/residual.csv", {"epochs": 4, "of": of}, "slope", n="cells", seeds=None)


def _over_seeds(score: str, name: str, table: str = "ranking") -> evidence.Find:
    return cell(f"{BY_SEED}/{table}.csv", {"score": score}, name, n="cells", seeds="seeds")


CLAIMS = (
    *(
        ruled(
            f"7{letter}", FIG2,
            f"NNGP is competitive with {epochs} epochs from the top 29 to 92 %", "29 to 92",
            f"the least gain in AUROC over {epochs} epochs at thresholds between them", MATCHES,
            _range(epochs), REPORT, SETTING,
        )
        for letter, epochs in (("a", 4), ("b", 12))
    ),
    *(
        ruled(
            f"{number}w", FIG3, f"NNGP discovers {text}, by the best of 1,000", "figure only",
            f"the gain in discovered accuracy over {epochs} epochs", NEGATIVE,
            _trained(NNGP, f"discovered over {epochs} epochs"), REPORT, SETTING,
        )
        for number, text, epochs in (
            ("8", "at most what 4 epochs do", 4), ("9", "less than 12 epochs", 12),
        )
    ),
    ruled(
        "11a", FIG4, "networks with few residual connections are poor early in training",
        "figure only",
        "what a connection adds to a competitive cell's relative rank after 4 epochs", POSITIVE,
        _residual("rank"), REPORT,
    ),
    ruled(
        "11b", FIG4, "and improve with extensive training", "figure only",
        "what a connection adds to the rank that a competitive cell gains after them", NEGATIVE,
        _residual("improvement"), REPORT,
    ),
    ruled(
        "19", FIG6, "size is a very strong discriminator of the top percentile", "figure only",
        "the AUROC of parameters at the top 1 %", TELLS, _final(SIZE, "AUROC 1 %"), REPORT,
    ),
    ruled(
        "20aw", FIG6, "size ranks poorly over all: NNGP ranks better, in 10,000", "figure only",
        "the gain in τ of NNGP over size", POSITIVE, _final(NNGP, f"τ over {SIZE}"), REPORT,
        SETTING,
    ),
    ruled(
        "20bw", FIG6, "yet it finds the best networks, by the best of 1,000", "figure only",
        "the gain in discovered accuracy of size over 4 epochs", POSITIVE,
        _trained(SIZE, "discovered over 4 epochs"), REPORT,
    ),
    *(
        ruled(
            f"28{letter}w", FIG8,
            f"keeping 30 % of 1,000 by NNGP loses nothing, {epochs} epochs", "figure only",
            "the gain, in 1e-4 of accuracy, over keeping all", LOSES_NOTHING,
            _reduced(epochs, 0.3, "all"), REPORT, SETTING,
        )
        for letter, epochs in (("a", 12), ("b", 36))
    ),
    *(
        ruled(
            f"29{letter}w", FIG8, f"and finds more than a random 30 % of 1,000, {epochs} epochs",
            "figure only", "the gain, in 1e-4 of accuracy, over a random 30 %", POSITIVE,
            _reduced(epochs, 0.3, "random"), REPORT, SETTING,
        )
        for letter, epochs in (("a", 12), ("b", 36))
    ),
    ruled(
        "30w", FIG8, "keeping 10 % of 1,000 is no better than a random 10 %", "similar",
        "the gain, in 1e-4 of accuracy, over a random 10 %, 12 epochs,", Rule(below=5),
        _reduced(12, 0.1, "random"), REPORT, SETTING,
    ),
    ruled(
        "31w", FIG9, "a mean rank of 4 epochs and NNGP finds more than 4 epochs, in 1,000",
        "figure only", "the gain in discovered accuracy over 4 epochs", POSITIVE,
        _trained(f"4 epochs + {NNGP}", "discovered over 4 epochs"), REPORT, SETTING,
    ),
    *(
        ruled(
            f"33{letter}", FIG9, f"NNGP is complementary to training: to {epochs} epochs", "none",
            f"the gain in τ of the mean rank of both over {epochs} epochs", POSITIVE,
            _trained(f"{epochs} epochs + {NNGP}", f"τ over {epochs} epochs"), REPORT,
        )
        for letter, epochs in (("a", 4), ("b", 12))
    ),
    ruled(
        "34", FIG9, "NNGP tells whether a network is reasonable, not which is best", "none",
        "its AUROC at the median less that at the top 1 %", POSITIVE,
        _final(NNGP, "AUROC 50 % less 1 %"), REPORT, SETTING,
    ),
    ruled(
        "20as", FIG6, "size ranks poorly over all: NNGP ranks better, whatever the seed",
        "figure only", "the gain in τ of NNGP over size", POSITIVE,
        _over_seeds(NNGP, f"τ over {SIZE}"), BY_SEED, SETTING,
    ),
    *(
        ruled(
            f"33{letter}s", FIG9,
            f"NNGP is complementary to training: to {epochs} epochs, whatever the seed", "none",
            f"the gain in τ of the mean rank of both over {epochs} epochs", POSITIVE,
            _over_seeds(f"{epochs} epochs + {NNGP}", "gain", "complementary"), BY_SEED,
        )
        for letter, epochs in (("a", 4), ("b", 12))
    ),
    ruled(
        "34s", FIG9, "NNGP tells whether a network is reasonable, not which is best, "
        "whatever the seed", "none", "its AUROC at the median less that at the top 1 %", POSITIVE,
        _over_seeds(NNGP, LESS), BY_SEED, SETTING,
    ),
    *(
        claims.ruled(
            "Ours", number, "All of NAS-Bench-101", text, "", quantity, POSITIVE, find, REPORT
        )
        for number, text, quantity, find in (
            ("n1", "NNGP ranks better than the best count", "its gain in τ over that",
             _final(NNGP, f"τ over {COUNTS}")),
            ("n2", "NNGP ranks cells of equal counts", "its τ among them",
             _final(NNGP, "τ given counts")),
            ("n3", "counts are complementary to 12 epochs, too",
             "the gain in τ of the mean rank of both over 12 epochs",
             _trained(f"12 epochs + {COUNTS}", "τ over 12 epochs")),
        )
    ),
    *(
        claims.ruled(
            "Ours", number, "All of NAS-Bench-101", text, "", quantity, POSITIVE, find, BY_SEED
        )
        for number, text, quantity, find in (
            ("n1s", "NNGP ranks better than the best count, whatever the seed",
             "its gain in τ over that", _over_seeds(NNGP, f"τ over {COUNTS}")),
            ("n2s", "NNGP ranks cells of equal counts, whatever the seed",
             "its τ among them", _over_seeds(NNGP, GIVEN)),
            ("n4", "several seeds together rank better than one",
             "the gain in τ of their mean rank", _over_seeds(TOGETHER, f"τ over {NNGP}")),
        )
    ),
)  # fmt: skip
"""In the order of the paper's sections."""
