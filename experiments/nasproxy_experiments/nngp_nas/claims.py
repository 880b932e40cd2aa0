"""Claims of Park et al. 2020, and the rules that judge them.

Bounds are the paper's own where it has some. These rules were written when the reports that they
read had been made (those of the notebook, 40 and 41, before), at n_t of a few hundred for most
cells: what only the paper's sizes could refute is not refuted here.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import pandas as pd

from nasproxy.reproduce import claims, evidence
from nasproxy.reproduce.claims import Evidence, Rule
from nasproxy.reproduce.evidence import cell, difference, estimate_of, exact, row
from nasproxy.reproduce.statistics import Estimate, mean, student
from nasproxy_experiments.kernel_scale import finite_width

PAPER = "Park et al. 2020 (001)"
HERE = "nngp_nas"
ACCURACY, MSE = "NNGP validation accuracy", "NNGP −validation MSE"
LARGEST, MANY = "(8000, 500, 1)", "(200, 100, 4)"
SMALL = "n_t 200, M 4, where the paper goes to 8,000"
SUBSETS = "the top 10 of subsets of 500, where the paper's are of 10,000"
POSITIVE, NEGATIVE = Rule(above=0), Rule(below=0)
MATCHES = Rule(above=-0.02)
"""Equal or better, but for a margin that was chosen here: the paper's figure has no intervals."""
LOSES_NOTHING = Rule(above=-5)
"""In 1e-4 of accuracy: a third of what 36 epochs find beyond 12."""
NEAR_CELL = Rule(0.38 - 0.07, 0.38 + 0.07)
"""Two standard errors of a share of 200 images."""
NEAR_TAU = Rule(0.183 - 0.12, 0.183 + 0.12)
"""Two standard errors of the difference of two draws of 250 cells, .043 each."""
SQUARE_ROOT = Rule(finite_width.SLOPE - finite_width.NEAR, finite_width.SLOPE + finite_width.NEAR)
"""Of exponents, by the law of large numbers; the rule of the experiment, written before it ran."""

_COSTS = f"{HERE}/kendall_vs_cost"
_ABOVE = f"{HERE}/threshold_exceedance"
_FOUND = f"{HERE}/discovered_performance"
_LINEAR = f"{HERE}/linear_networks"
_NTK = f"{HERE}/ntk_against_nngp"
_SIZE = f"{HERE}/network_size"
_LESS = f"{HERE}/search_space_reduction"
_WHOLE = f"{HERE}/whole_table"
_NOTEBOOK = "nngp_nas_notebook/width128"
_KERNELS = "NTK", "NNGP"
_WIDTHS = "kernel_scale/finite_width"
_NETWORKS = {
    "relu-3-flatten": "3 convolutions, flattened",
    "relu-3-pool": "3 convolutions, pooled",
    "relu-8-pool": "8 convolutions, pooled",
}


ruled, unjudged = partial(claims.ruled, PAPER), partial(claims.unjudged, PAPER)


def _cost(name: str, **where: object) -> evidence.Find:
    chosen: evidence.Where = {"of": "images", "score": ACCURACY, "setting": LARGEST} | where
    return cell(f"{_COSTS}/settings.csv", chosen, name, n="cells")


def _pearson(epochs: int) -> evidence.Find:
    def find(results: Path) -> Evidence:
        table = f"{_COSTS}/settings.csv"
        nngp = row(results, table, {"of": "images", "score": ACCURACY, "setting": LARGEST})
        training = row(results, table, {"of": "images", "score": f"{epochs} epochs", "setting": ""})
        gain = difference(estimate_of(nngp, "r"), estimate_of(training, "r"))
        return Evidence(gain, int(nngp["cells"]))

    return find


def _exponent(network: str, of: str) -> evidence.Find:
    """Of the Monte-Carlo kernel's error in the networks' width, or in how many there are."""

    def find(results: Path) -> Evidence:
        frame = pd.read_csv(results / _WIDTHS / "ensembles.csv")
        frame = frame[frame["network"] == network]
        seeds = frame["ensemble"].nunique()
        return Evidence(getattr(finite_width.slopes(frame), of), seeds, "ensembles", seeds)

    return find


def _counted(report: str, every: bool = False) -> Callable[[Path], int]:
    """Cells with a finite score at the largest setting, or at every one, of a report's own."""

    def count(results: Path) -> int:
        raw = pd.read_parquet(results / report / "scores_many.parquet")
        own = [n for n in raw if str(n).startswith("nngp") and (every or "n_train" not in str(n))]
        return len(raw[own].dropna())

    return count


def _exceeds(epochs: int, percent: int) -> evidence.Find:
    where: evidence.Where = {"score": ACCURACY, "against": f"{epochs} epochs"}
    return cell(
        f"{_ABOVE}/ranges.csv", where, f"gain at {percent}%", n=_counted(_ABOVE, every=True)
    )


def _discovers(epochs: int, score: str = ACCURACY, setting: str = MANY) -> evidence.Find:
    where: evidence.Where = {"score": score, "setting": setting}
    return cell(
        f"{_FOUND}/discovered.csv", where, f"over {epochs} epochs", n=_counted(_FOUND, every=True)
    )


def _peaks(results: Path) -> Evidence:
    table = f"{_NTK}/regularisers.csv"
    peaks = [_extreme(results, table, kernel, True) for kernel in _KERNELS]
    return Evidence(difference(*peaks), min(int(_kernel(results, k)["cells"]) for k in _KERNELS))


def _kernel(results: Path, kernel: str) -> pd.Series:
    return row(results, f"{_NTK}/scores.csv", {"score": f"{kernel}: validation accuracy"})


def _extreme(results: Path, table: str, kernel: str, largest: bool) -> Estimate:
    frame = pd.read_csv(results / table)
    own = frame[frame["kernel"] == kernel].sort_values("τ")
    return estimate_of(own.iloc[-1 if largest else 0], "τ", "low", "high")


def _spread(results: Path) -> Evidence:
    table = f"{_NTK}/regularisers.csv"
    ends = [_extreme(results, table, "NNGP", largest) for largest in (True, False)]
    return Evidence(difference(*ends), int(_kernel(results, "NNGP")["cells"]))


def _dearer(results: Path) -> Evidence:
    own = [_kernel(results, kernel) for kernel in _KERNELS]
    ratio = float(own[0]["PFLOPs"]) / float(own[1]["PFLOPs"])
    return Evidence(exact(ratio), min(int(one["cells"]) for one in own))


def _within_clusters(results: Path) -> Evidence:
    frame = pd.read_csv(results / f"{_SIZE}/clusters.csv")
    own = frame[frame["cells"] >= 50][f"τ {ACCURACY}"].to_numpy(float)
    return Evidence(student(mean(own), len(own)), len(own), "clusters of 50 cells and more")


def _reduced(epochs: int, kept: float, over: str) -> evidence.Find:
    where: evidence.Where = {"epochs": epochs, "kept by": ACCURACY, "kept": kept}
    return cell(f"{_LESS}/reduction.csv", where, f"over {over}", n=_counted(_LESS))


def _hybrid(name: str) -> evidence.Find:
    def find(results: Path) -> Evidence:
        table = f"{HERE}/hybrid/hybrids.csv"
        cells = _counted(f"{HERE}/hybrid")(results)
        both = row(results, table, {"score": f"4 epochs + {ACCURACY}"})
        if name != "τ":
            return Evidence(estimate_of(both, name), cells)
        alone = row(results, table, {"score": "4 epochs"})
        return Evidence(difference(estimate_of(both, "τ"), estimate_of(alone, "τ")), cells)

    return find


def _ratio(results: Path) -> Evidence:
    frame = pd.read_csv(results / f"{HERE}/raw_scores/ratios.csv", index_col=0)
    values = (float(str(frame.loc[name, "products"])) for name in ("mean", "min", "max"))
    return Evidence(Estimate(*values), int(float(str(frame.loc["count", "products"]))), seeds=None)


def _number(name: str) -> evidence.Find:
    table = f"{_WHOLE}/numbers.csv"
    return cell(table, {"number": name}, "value", n="n", of="networks", seeds=None)


_SIZES = (
    ("17", "parameters and FLOPs correlate almost perfectly", "almost perfectly",
     "r of parameters and FLOPs", Rule(above=0.95)),
    ("18a", "the smallest has 2M parameters", "2M", "fewest parameters, millions", Rule(1.5, 2.5)),
    ("18b", "the largest has 50M", "50M", "most parameters, millions", Rule(49.5, 50.5)),
    ("18c", "20 times as many", "20", "most over fewest parameters", Rule(19.5, 25.5)),
    ("24", "297,000 networks have fewer than 10M parameters", "297k",
     "under 10M parameters, thousands", Rule(296.5, 297.5)),
)  # fmt: skip

FIG1, FIG2 = "Figure 1, rank and linear correlation", "Figures 2 and S6, thresholds"
FIG3, FIG4 = "Figure 3, discovered performance", "Figure 4, linear networks"
FIG5, FIG6 = "Figure 5, NTK", "Figures 6 and S7–S10, size"
FIG8, FIG9 = "Figure 8, search-space reduction", "Figure 9 and section 5, hybrids"
_SUPPLEMENT = "Supplement A, B and D"
_MOMENTUM = f"{HERE}/batch_norm_momentum/momentum.csv"
_CAUSES = f"{HERE}/batch_norm_momentum/causes.csv"

CLAIMS = (
    ruled(
        "1", FIG1, "NNGP matches or beats the τ of 4 epochs at a tenth of the FLOPs",
        "matched or bested",
        f"the gain in τ of accuracy at {LARGEST} over 4 epochs", MATCHES, _cost("τ over 4 epochs"),
        _COSTS,
    ),
    ruled(
        "2", FIG1, "and 12 epochs' τ", "matched or bested",
        f"the gain in τ of accuracy at {LARGEST} over 12 epochs", MATCHES,
        _cost("τ over 12 epochs"), _COSTS,
    ),
    ruled(
        "3a", FIG1, "the same for Pearson's r, 4 epochs", "figure only",
        f"the gain in r of accuracy at {LARGEST} over 4 epochs, not paired,", MATCHES, _pearson(4),
        _COSTS,
    ),
    ruled(
        "3b", FIG1, "the same for Pearson's r, 12 epochs", "figure only",
        f"the gain in r of accuracy at {LARGEST} over 12 epochs, not paired,", MATCHES,
        _pearson(12), _COSTS,
    ),
    ruled(
        "4", FIG2, "many NNGPs tell better than 12 epochs whether a network is above the median",
        "figure only", "the gain in AUROC over 12 epochs at the median", POSITIVE, _exceeds(12, 50),
        _ABOVE, SMALL,
    ),
    ruled(
        "5", FIG2, "most tell better than 4 epochs up to the 92nd percentile", "92",
        "the gain in AUROC over 4 epochs where 92 % are better", POSITIVE, _exceeds(4, 92), _ABOVE,
        SMALL,
    ),
    *(
        ruled(
            f"6{letter}", FIG2, f"12 epochs tell the top {percent} % better", "figure only",
            f"the gain in AUROC over 12 epochs at the top {percent} %", NEGATIVE,
            _exceeds(12, percent), _ABOVE,
        )
        for letter, percent in (("a", 20), ("b", 5), ("c", 1))
    ),
    ruled(
        "8", FIG3, "NNGP discovers at most what 4 epochs do", "figure only",
        "the gain in discovered accuracy over 4 epochs", NEGATIVE, _discovers(4), _FOUND, SUBSETS,
    ),
    ruled(
        "9", FIG3, "and less than 12 epochs", "figure only",
        "the gain in discovered accuracy over 12 epochs", NEGATIVE, _discovers(12), _FOUND, SUBSETS,
    ),
    ruled(
        "10", FIG4, "competitive networks with poor NNGP are mostly linear", "mostly",
        "the linear share of competitive cells with poor NNGP", Rule(above=0.5),
        cell(
            f"{_LINEAR}/competitive.csv", {"poor by": ACCURACY}, "linear poor", low="low",
            high="high", n="poor",
        ),
        _LINEAR, "there are two linear cells among the competitive",
    ),
    ruled(
        "12", FIG4, "NNGP predicts poor performance for them", "figure only",
        "the mean relative rank, by NNGP, of cells with one residual connection", Rule(below=0.5),
        cell(
            f"{_LINEAR}/ranks.csv", {"ranked by": ACCURACY, "residual connections": 1},
            "mean relative rank", low="low", high="high", n="cells",
        ),
        _LINEAR,
    ),
    ruled(
        "13", FIG5, "the NTK's τ is not trivial", "peak in the figure",
        "the τ of the NTK's validation accuracy", POSITIVE,
        cell(f"{_NTK}/scores.csv", {"score": "NTK: validation accuracy"}, "τ", n="cells"), _NTK,
    ),
    ruled(
        "14", FIG5, "its peak over ε is below the NNGP's", "figure only",
        "the NTK's peak less the NNGP's, not paired,", NEGATIVE, _peaks, _NTK,
    ),
    ruled(
        "15", FIG5, "it is dearer", "none", "the NTK's cost over the NNGP's", Rule(above=1),
        _dearer, _NTK,
    ),
    ruled(
        "16", FIG6, "NNGP hardly correlates with size", "very low",
        "the τ of NNGP accuracy with parameters", Rule(-0.1, 0.1),
        cell(
            f"{_SIZE}/size.csv", {"score": f"{ACCURACY} {MANY}"}, "τ with size", n="cells"
        ),
        _SIZE, SMALL,
    ),
    *(
        ruled(number, FIG6, text, published, number_of, rule, _number(number_of), _WHOLE)
        for number, text, published, number_of, rule in _SIZES
    ),
    ruled(
        "20a", FIG6, "size ranks poorly over all: NNGP ranks better", "figure only",
        "the τ of size less that of NNGP accuracy, not paired,", NEGATIVE,
        lambda results: Evidence(
            difference(
                estimate_of(row(results, f"{_SIZE}/size.csv", {"score": "parameters"}), "τ"),
                estimate_of(
                    row(results, f"{_SIZE}/size.csv", {"score": f"{ACCURACY} {MANY}"}), "τ"
                ),
            ),
            _counted(_SIZE, every=True)(results),
        ),
        _SIZE, SMALL,
    ),
    ruled(
        "20b", FIG6, "yet it finds the best networks", "figure only",
        "the gain in discovered accuracy of size over 4 epochs", POSITIVE,
        _discovers(4, "parameters", ""), _FOUND,
    ),
    ruled(
        "21", FIG6, "within clusters of like size NNGP tells networks apart", "figure only",
        "the mean τ of NNGP accuracy within clusters", POSITIVE, _within_clusters, _SIZE,
    ),
    *(
        ruled(
            number, FIG6, f"under 10M parameters size's finds decline more than those of {score}",
            "figure only", f"how much more they decline than those of {score}", POSITIVE,
            cell(
                f"{HERE}/small_networks/declines.csv", {"score": score}, "size's more",
                n=_counted(f"{HERE}/small_networks"),
            ),
            f"{HERE}/small_networks", SUBSETS,
        )
        for number, score in (("22", ACCURACY), ("23", "4 epochs"))
    ),
    ruled(
        "28a", FIG8, "keeping 30 % by NNGP loses nothing, 12 epochs", "figure only",
        "the gain, in 1e-4 of accuracy, over keeping all", LOSES_NOTHING,
        _reduced(12, 0.3, "none"), _LESS, SUBSETS,
    ),
    ruled(
        "28b", FIG8, "keeping 30 % by NNGP loses nothing, 36 epochs", "figure only",
        "the gain, in 1e-4 of accuracy, over keeping all", LOSES_NOTHING,
        _reduced(36, 0.3, "none"), _LESS, SUBSETS,
    ),
    ruled(
        "29a", FIG8, "and finds more than a random 30 %, 12 epochs", "figure only",
        "the gain, in 1e-4 of accuracy, over a random 30 %", POSITIVE,
        _reduced(12, 0.3, "random"), _LESS,
    ),
    ruled(
        "29b", FIG8, "and finds more than a random 30 %, 36 epochs", "figure only",
        "the gain, in 1e-4 of accuracy, over a random 30 %", POSITIVE,
        _reduced(36, 0.3, "random"), _LESS,
    ),
    ruled(
        "30", FIG8, "keeping 10 % is no better than a random 10 %", "similar",
        "the gain, in 1e-4 of accuracy, over a random 10 %, 12 epochs,", Rule(below=5),
        _reduced(12, 0.1, "random"), _LESS, SUBSETS,
    ),
    ruled(
        "31a", FIG9, "a hybrid of 4 epochs and NNGP finds more than 4 epochs", "figure only",
        "the gain in discovered accuracy over 4 epochs", POSITIVE, _hybrid("over 4 epochs"),
        f"{HERE}/hybrid", SUBSETS,
    ),
    ruled(
        "31b", FIG9, "and ranks better", "none", "the gain in τ over 4 epochs, not paired,",
        POSITIVE, _hybrid("τ"), f"{HERE}/hybrid",
    ),
    ruled(
        "32", FIG9, "hybrids with larger n_t are better", "statistically significant",
        "the gain in τ of a linear hybrid from n_t 100 to 8,000", POSITIVE,
        cell(
            f"{HERE}/hybrid_sizes/hybrids.csv", {"hybrid": "linear fit", "n_t": 8000},
            "over least", n="cells",
        ),
        f"{HERE}/hybrid_sizes", "200 cells",
    ),
    *(
        ruled(
            f"42{letter}", FIG9,
            f"Monte-Carlo kernels of finite width approximate the NNGP: {_NETWORKS[network]}, {of}",
            "none", f"the exponent of their error in {of}, {_NETWORKS[network]},", SQUARE_ROOT,
            _exponent(network, of), _WIDTHS,
        )
        for letter, (network, of) in zip(
            "abcdef", product(_NETWORKS, ("width", "members")), strict=True
        )
    ),
    ruled(
        "35", _SUPPLEMENT, "momentum 0 is more accurate", "in expectation",
        "the gain in mean accuracy of momentum 0", POSITIVE,
        cell(
            _CAUSES, {"changed": "nothing"}, "more accurate", low="more low", high="more high",
            n="cells",
        ),
        f"{HERE}/batch_norm_momentum", "n_t 100, M 2",
    ),
    ruled(
        "36a", _SUPPLEMENT, "and ranks near chance", "close to 0", "τ at momentum 0",
        Rule(-0.1, 0.1),
        cell(_MOMENTUM, {"momentum": 0.0, "score": "validation accuracy"}, "τ", n="cells"),
        f"{HERE}/batch_norm_momentum",
    ),
    ruled(
        "36b", _SUPPLEMENT, "far below the default momentum", "far below",
        "the gain in τ of momentum 0", NEGATIVE,
        cell(
            _CAUSES, {"changed": "nothing"}, "τ gain", low="gain low", high="gain high", n="cells"
        ),
        f"{HERE}/batch_norm_momentum",
    ),
    ruled(
        "37", _SUPPLEMENT, "F_train/F is about 3 for all networks", "3",
        "the mean ratio, with the least and the largest,", Rule(2.7, 3.3), _ratio,
        f"{HERE}/raw_scores",
    ),
    *(
        ruled(
            f"27{letter}", "Section 5", f"the worst of 10,000 networks after {epochs} epochs",
            f"{worst} %", f"worst accuracy after {epochs} epochs, %",
            Rule(worst - 0.5, worst + 0.5), _number(f"worst accuracy after {epochs} epochs, %"),
            _WHOLE,
        )
        for letter, epochs, worst in (
            ("a", 4, 4.37), ("b", 12, 9.12), ("c", 36, 9.49), ("d", 108, 9.49),
        )
    ),
    unjudged(
        "39", _SUPPLEMENT, "figures S3 to S5 show raw scores", "figures only",
        "they are shown, and claim nothing.",
    ),
    ruled(
        "40", "The notebook", "an Inception-like cell scores .38 at 500 + 200 images, M 4", ".38",
        "its accuracy, over seeds,", NEAR_CELL,
        cell(f"{_NOTEBOOK}/inception.csv", {}, "accuracy", n=1, of="cell", seeds=5),
        _NOTEBOOK,
    ),
    ruled(
        "41", "The notebook", "τ is .183 over 250 distinct random specs", ".183",
        "τ of another such draw", NEAR_TAU,
        cell(
            f"{_NOTEBOOK}/distinct.csv", {"proxy": "nngp"}, "kendall_tau",
            low="kendall_tau_low", high="kendall_tau_high", n="n",
        ),
        _NOTEBOOK,
    ),
    ruled(
        "38", "Section 2.1", "results vary strongly with ε", "strongly",
        "the largest less the least τ over ε, not paired,", Rule(above=0.05), _spread, _NTK,
    ),
)  # fmt: skip
"""By the number that they have in the list of the project."""
