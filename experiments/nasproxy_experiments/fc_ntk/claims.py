"""Claims of Bordelon et al., kernels of wide fully-connected networks, and what judges them.

Most of these rules were written when the reports that they read had been made; those of
preprocessing, modes, fixed_point, timing, memory and of what stands for CIFAR-100 before; those of
paper_steps when the same networks had been trained by a tenth of the steps. There are 5,000
training images, 40,000 where it is said. Errors are on 5,000 validation images unless the table
says on how many, and intervals are a binomial's.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pandas as pd

from nasproxy.reproduce import claims, evidence
from nasproxy.reproduce.claims import Evidence, Rule
from nasproxy.reproduce.evidence import Find, difference, exact, row, share
from nasproxy.reproduce.statistics import Estimate
from nasproxy_experiments.fc_ntk import (
    finite_networks,
    fixed_point,
    memory,
    modes,
    paper_steps,
    timing,
)

PAPER = "Bordelon et al. (000)"
ruled = partial(claims.ruled, PAPER)
VALIDATED = 5000
SEEDS = 3
"""Of each finite network."""
T = 4.303
"""Student's t of 95 % at two degrees of freedom, for means of three networks."""
SQUARED: evidence.Where = {"solver": "squared loss", "k": 500.0}
STEPS = "5 epochs of 5,000 images are a tenth of the paper's steps"
HUNDRED = "5,000 images of 100 classes of Tiny ImageNet, at 32×32, in the place of CIFAR-100"
STAND_IN = "fc_ntk_tiny_imagenet100"
_SPECTRUM, _ACCURACY = "fc_ntk/spectrum", "fc_ntk/accuracy"
_DEPTH, _FINITE = "fc_ntk/depth", "fc_ntk/finite_networks"
_SCALINGS, _MODES = "fc_ntk/preprocessing", "fc_ntk/modes"
_STEPS = "fc_ntk/paper_steps"
_FIXED, _TIMING, _MEMORY = "fc_ntk/fixed_point", "fc_ntk/timing", "fc_ntk/memory"


def _eigenvalues(results: Path) -> pd.Series:
    return pd.read_csv(results / f"{_SPECTRUM}/spectrum.csv")["eigenvalue"]


def _decades(results: Path) -> Evidence:
    """log10 of the largest eigenvalue over the smallest."""
    found = _eigenvalues(results)
    return Evidence(exact(math.log10(found.iloc[0] / found.iloc[-1])), len(found), "images")


def _acceleration(results: Path) -> Evidence:
    """log10 of λ_1/λ_k on standardised pixels, and its range over preprocessings."""
    table = pd.read_csv(results / f"{_SCALINGS}/preprocessing.csv")
    found = table["log10"]
    of = "images, by several preprocessings"
    return Evidence(Estimate(found.iloc[0], found.min(), found.max()), int(table["images"][0]), of)


def _rates(results: Path) -> Evidence:
    raw = pd.read_csv(results / f"{_MODES}/raw.csv")
    worst = _worst(modes.deviation(own) for _, own in raw.groupby("descent"))
    return Evidence(worst, int(raw["mode"].max()), "images", modes.DRAWS)


def _unmoved(results: Path) -> Evidence:
    raw = pd.read_csv(results / f"{_FIXED}/raw.csv")
    parts = (raw[raw["λ"] == ridge] for ridge in fixed_point.RIDGES)
    worst = _worst(map(fixed_point.difference, parts))
    return Evidence(worst, int(raw["images"].iloc[0]), "images", fixed_point.DRAWS)


def _grows(results: Path) -> Evidence:
    raw = pd.read_csv(results / f"{_MEMORY}/raw.csv")
    return Evidence(memory.exponent(raw), raw["images"].nunique(), "sizes", memory.REPEATS)


def _worst(found: Iterable[Estimate]) -> Estimate:
    """The largest; one that is not known could be larger than any."""
    return max(found, key=lambda one: math.inf if math.isnan(one.value) else one.value)


def _timed(read: Callable[[pd.DataFrame], Estimate]) -> Find:
    """What repeated timings say."""

    def find(results: Path) -> Evidence:
        raw = pd.read_csv(results / f"{_TIMING}/raw.csv")
        return Evidence(read(raw), timing.REPEATS, "repeats")

    return find


def _iterations(results: Path) -> Evidence:
    table = f"{_SPECTRUM}/iterations.csv"
    plain, preconditioned = (
        float(row(results, table, {"descent": descent})["iterations to error 0.1"])
        for descent in ("plain", "k = 1000, all points")
    )
    return Evidence(exact(plain / preconditioned), len(_eigenvalues(results)), "images")


def _reached(results: Path, solver: str) -> Estimate:
    where = {"solver": f"EigenPro, {solver}", "images": 40_000}
    found = row(results, f"{_ACCURACY}/accuracy.csv", where)
    return share(float(found["accuracy"]), int(found["validated"]))


def _accuracy(solver: str, above: float = 0.0) -> Find:
    def find(results: Path) -> Evidence:
        found = _reached(results, solver)
        return Evidence(Estimate(*(value - above for value in found)), 40_000, "images")

    return find


def _losses(results: Path) -> Evidence:
    gain = difference(_reached(results, "cross_entropy"), _reached(results, "squared"))
    return Evidence(gain, 40_000, "images")


def _robust(results: Path) -> Evidence:
    """The largest difference in error between two k of one loss."""
    frame = pd.read_csv(results / f"{_DEPTH}/rankings.csv")
    loss = [frame[side].str.partition(",")[0] for side in ("one", "other")]
    same = frame[loss[0] == loss[1]]
    return Evidence(exact(same["largest difference in error"].max()), VALIDATED, "images")


def _error(results: Path, depth: int, suite: str = "fc_ntk") -> Estimate:
    found = row(results, f"{suite}/depth/depth.csv", SQUARED | {"depth": depth})
    return share(float(found["error"]), int(found.get("validated", VALIDATED)))


def _stands_in(results: Path) -> pd.DataFrame:
    """Depths by the squared loss and k = 500, of the data that stand for CIFAR-100."""
    frame = pd.read_csv(results / f"{STAND_IN}/depth/depth.csv")
    return frame[(frame["solver"] == SQUARED["solver"]) & (frame["k"] == SQUARED["k"])]


def _twenty(results: Path) -> Evidence:
    """The error at depth 20 less the least at any other."""
    others = _stands_in(results).set_index("depth")["error"].drop(20)
    best = int(others.index.to_numpy()[others.to_numpy().argmin()])
    ends = (_error(results, depth, STAND_IN) for depth in (20, best))
    return Evidence(difference(*ends), int(_stands_in(results)["validated"].iloc[0]), "images")


def _seconds(results: Path) -> Evidence:
    """The least time to a solution at any depth, kernel and fit."""
    frame = _stands_in(results)
    least = (frame["fit seconds"] + frame["kernel seconds"]).min()
    return Evidence(exact(float(least)), len(frame), "depths")


def _fifth(results: Path) -> Evidence:
    """By how much depth 5 errs less than the better of its neighbours, trained to 80 %."""
    trained = "to 80 % training accuracy or 15 epochs"
    gains = [_finite(trained, other, 5, suite=STAND_IN)(results) for other in (3, 10)]
    return min(gains, key=lambda one: one.estimate.value)


def _beyond(depth: int, other: int) -> Find:
    """By how much the error at one depth is above that at another."""

    def find(results: Path) -> Evidence:
        gain = difference(_error(results, depth), _error(results, other))
        return Evidence(gain, VALIDATED, "images")

    return find


def _finite(trained: str, depth: int, other: int, width: int = 128, suite: str = "fc_ntk") -> Find:
    def find(results: Path) -> Evidence:
        ends, of = [], "networks of each depth"
        for one in (depth, other):
            where = {"trained": trained, "width": width, "depth": one}
            found = row(results, f"{suite}/finite_networks/networks.csv", where)
            value, half = float(found["error"]), T * float(found["standard error"])
            ends.append(Estimate(value, value - half, value + half))
            of += finite_networks.short(found.get("reached"), one)
        return Evidence(difference(*ends), SEEDS, of, SEEDS)

    return find


def _after_steps(depth: int, other: int) -> Find:
    """By how much the error at one depth is above that at another, by the paper's steps."""

    def find(results: Path) -> Evidence:
        raw = pd.read_parquet(results / f"{_STEPS}/scores.parquet")
        gain = paper_steps.beyond(raw, depth, other)
        return Evidence(gain, SEEDS, "networks of each depth", SEEDS)

    return find


def _order(results: Path) -> Evidence:
    found = row(results, f"{_FINITE}/rankings.csv", {"trained": "5 epochs", "width": 128})
    order = Estimate(float(found["τ"]), float(found["τ low"]), float(found["τ high"]))
    return Evidence(order, int(found["depths"]), "depths", SEEDS)


_FIG1, _TABLE = "Figure 1 and section VII, preconditioning", "Table I, accuracy"
_FIG4, _FINITES = "Figures 4 and 5, depth", "Figures 2, 3, 6 to 8, finite networks"

CLAIMS = (
    ruled(
        "1", _FIG1, "eigenvalues range over four decades", "over 4 decades",
        "the range of the spectrum, in decades,", Rule(above=4), _decades, _SPECTRUM,
    ),
    ruled(
        "2", _FIG1, "preconditioning to λ_1000 accelerates by λ_1/λ_k of the order of 10⁴", "10⁴",
        "log10 of λ_1/λ_1000, over preprocessings,", Rule(3.5, 4.5), _acceleration, _SCALINGS,
    ),
    ruled(
        "3", _FIG1, "the gain in iterations is dramatic", "figure only",
        "the gain in iterations to error 0.1", Rule(above=10), _iterations, _SPECTRUM,
    ),
    ruled(
        "4", _FIG1, "each mode converges at the rate of its eigenvalue", "equation 5",
        "the largest relative deviation of a mode's rate", Rule(below=modes.EXACT), _rates, _MODES,
    ),
    ruled(
        "5", _FIG1, "preconditioning leaves the fixed point of cross-entropy", "none",
        "with a regulariser, the relative difference of the two functions",
        Rule(below=fixed_point.SAME), _unmoved, _FIXED,
    ),
    ruled(
        "23", _FIG1, "memory is O(ps + pk)", "O(ps + pk)", "the exponent of p in the most memory",
        Rule(below=memory.LINEAR), _grows, _MEMORY,
    ),
    ruled(
        "6a", _TABLE, "a fully-connected NTK reaches 84 % by squared loss", "84 %",
        "accuracy by squared loss at 40,000 images", Rule(0.83, 0.85), _accuracy("squared"),
        _ACCURACY,
    ),
    ruled(
        "6b", _TABLE, "and 87 % by cross-entropy", "87 %",
        "accuracy by cross-entropy at 40,000 images", Rule(0.86, 0.88), _accuracy("cross_entropy"),
        _ACCURACY,
    ),
    ruled(
        "7", _TABLE, "cross-entropy is more accurate than squared loss", "87 against 84 %",
        "the gain in accuracy of cross-entropy, not paired,", Rule(above=0), _losses, _ACCURACY,
    ),
    ruled(
        "8", _TABLE, "that is 10 % above the best stated before", "10 % above 77 %",
        "accuracy by cross-entropy less 77 %", Rule(above=0), _accuracy("cross_entropy", 0.77),
        _ACCURACY,
    ),
    ruled(
        "9", _FIG4, "results are robust to k", "350, 500, 700",
        "the largest difference in error between two k of one loss", Rule(below=0.014), _robust,
        _DEPTH,
    ),
    ruled(
        "10a", _FIG4, "depth 5 is a local optimum: depth 1 errs more", "figure only",
        "the error at depth 1 less that at depth 5, not paired,", Rule(above=0), _beyond(1, 5),
        _DEPTH,
    ),
    ruled(
        "10b", _FIG4, "depth 5 is a local optimum: depth 20 errs more", "figure only",
        "the error at depth 20 less that at depth 5, not paired,", Rule(above=0), _beyond(20, 5),
        _DEPTH,
    ),
    ruled(
        "11", _FIG4, "depth 200 is best", "figure only",
        "the error at depth 200 less that at depth 5, not paired,", Rule(below=0), _beyond(200, 5),
        _DEPTH,
    ),
    ruled(
        "12", _FIG4, "some depth minimises the time", "figure only",
        "seconds of the quicker end over those of the best depth between", Rule(above=1),
        _timed(timing.interior), _TIMING,
    ),
    ruled(
        "13", _FIG4, "CIFAR-100: depth 20 is best in error", "20",
        "the error at depth 20 less the least at any other, not paired,", Rule(below=0), _twenty,
        f"{STAND_IN}/depth", HUNDRED,
    ),
    ruled(
        "14", _FIG4, "CIFAR-100: a solution takes under a minute", "under a minute on a GPU",
        "the least seconds of any depth, on two processors,", Rule(below=60), _seconds,
        f"{STAND_IN}/depth", HUNDRED,
    ),
    ruled(
        "15", _FINITES, "after 5 epochs finite networks are best at depth 5", "5",
        "the error at depth 1 less that at depth 5, width 128,", Rule(above=0),
        _after_steps(1, 5), _STEPS,
    ),
    ruled(
        "16", _FINITES, "depth 50 is poor after few epochs", "figure only",
        "the error at depth 50 less that at depth 1, width 128,", Rule(above=0),
        _after_steps(50, 1), _STEPS,
    ),
    ruled(
        "18", _FINITES, "trained to 80 %, deeper networks are better", "figure only",
        "the error at depth 1 less that at depth 10, width 128,", Rule(above=0),
        _finite("to 80 % training accuracy or 15 epochs", 1, 10), _FINITE, STEPS,
    ),
    ruled(
        "20", _FINITES, "kernels approximate how networks evolve with depth", "none",
        "τ between the kernels' and the networks' order of depths, 5 epochs, width 128,",
        Rule(above=0), _order, _FINITE, STEPS,
    ),
    ruled(
        "21", _FINITES, "kernels converge faster than deep networks", "figure only",
        "seconds of the deepest network over its kernel's", Rule(above=1),
        _timed(timing.advantage), _TIMING,
    ),
    ruled(
        "22", _FINITES, "networks' time is linear in depth", "figure only",
        "the power of depth that an epoch's seconds grow by", Rule(*timing.LINEAR),
        _timed(timing.exponent), _TIMING,
    ),
    ruled(
        "17", _FINITES, "CIFAR-100: after 5 epochs deeper is worse", "figure only",
        "the error at depth 10 less that at depth 1, width 128,", Rule(above=0),
        _finite("5 epochs", 10, 1, suite=STAND_IN), f"{STAND_IN}/finite_networks", HUNDRED,
    ),
    ruled(
        "19", _FINITES, "CIFAR-100: at 80 % depth 5 is best on average", "5",
        "the lesser error at depths 3 and 10 less that at depth 5, width 128,", Rule(above=0),
        _fifth, f"{STAND_IN}/finite_networks", HUNDRED,
    ),
)  # fmt: skip
"""By the number that they have in the list of the project."""
