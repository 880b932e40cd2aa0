"""Conjugate gradients against four approximations, and a subset of the data, by size.

One exact answer, by conjugate gradients on all points, against subset of regressors, Nyström's
approximation, block-diagonal and the Bayesian committee machine at each rank or partition size.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import Estimate, columns
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.kernel_solvers import methods
from nasproxy_experiments.kernel_solvers.rules import above, all_of, gain
from nasproxy_experiments.kernel_solvers.study import KERNELS, RIDGES, Judged, Study

CLAIM = (
    "All four approximations improve with the rank or the partition's size, subset of regressors "
    "and Nyström's are the best of them, and all are clearly below conjugate gradients on all "
    "points at every size (1.6 million CIFAR-5m images, Myrtle10, sizes to 50,000). Less data is "
    "worse than the full kernel."
)
NEEDS = ()
SHARES = (60, 20, 6, 2)
"""Sizes are the training points over these."""
RANK = 300
LOW_RANK, PARTITIONED = methods.APPROXIMATE[:2], methods.APPROXIMATE[2:]
SUBSET = "subset of the data"

Cases = dict[tuple[str, str, int], list[Judged]]
"""By kernel, method and size, one of each draw."""


def run(study: Study) -> Finding:
    sizes = [study.points // share for share in SHARES]
    cases = scored(study, sizes)
    verdicts, rows, compared = [], [], []
    for kernel in KERNELS:
        exact = right(cases[kernel, "conjugate gradients", study.points])
        others = (*methods.APPROXIMATE, SUBSET)
        behind = {
            (m, s): gain(exact - right(cases[kernel, m, s]), len(sizes) * len(methods.APPROXIMATE))
            for m in others
            for s in sizes
        }
        verdicts.append(f"{kernel}: " + " ".join(sentences(kernel, cases, behind, sizes)))
        compared += differences(kernel, cases, sizes)
        for (name, method, size), judged in cases.items():
            if name == kernel:
                rows.append(row(kernel, method, size, judged, behind.get((method, size))))
    table = pd.DataFrame(rows)
    return Finding(
        " ".join(verdicts),
        {
            "approximations": table,
            "differences": pd.DataFrame(compared),
            "raw": raw(cases),
        },
        _figure(table, study.points),
        (
            "Accuracy on the test images, by the regulariser of least squared error on the images "
            "kept apart, one for each method, size and draw. `behind` is the accuracy of conjugate "
            "gradients minus this one's, on the same images and draws, and its interval holds for "
            f"all {len(sizes) * len(methods.APPROXIMATE)} of a kernel at once (Bonferroni; two-way "
            "bootstrap over draws and images). Rules: claim 6 holds if every such interval is "
            "above 0, and does not if one is below; 7 by the mean over sizes of each low-rank "
            "method minus each partitioned one's; 8 by the largest size against the "
            "smallest, of each method; 24 as 6, of the subset. A method that fails at a "
            "regulariser counts as chance there; `failed` is how often, over draws.",
        ),
    )


def scored(study: Study, sizes: list[int]) -> Cases:
    """Each method at each size on each draw."""
    cases: Cases = {}
    for kernel in KERNELS:
        for number in range(study.draws):
            given = study.draw(kernel, number)

            def keep(method: str, size: int, predictions: np.ndarray, kernel: str = kernel) -> None:
                cases.setdefault((kernel, method, size), []).append(study.judge(predictions))

            exact = methods.conjugate_gradients(given, min(RANK, study.points // 4))
            keep("conjugate gradients", study.points, exact)
            for size in sizes:
                keep(SUBSET, size, methods.subset(given, size, number))
                for method in methods.APPROXIMATE:
                    keep(method, size, methods.approximate(method, given, size, number))
    return cases


def right(judged: list[Judged]) -> np.ndarray:
    """``[draws, images]``."""
    return np.stack([one.right for one in judged]).astype(float)


def sentences(kernel: str, cases: Cases, behind: dict, sizes: list[int]) -> list[str]:
    """The verdicts on one kernel."""
    largest = max(sizes)

    def worst(names: tuple[str, ...]) -> tuple[tuple[str, int], object]:
        at = min(((m, s) for m in names for s in sizes), key=lambda case: behind[case].value)
        return at, behind[at]

    beaten = all_of([above(behind[m, s], 0) for m in methods.APPROXIMATE for s in sizes])
    (nearest, size), apart = worst(methods.APPROXIMATE)
    best, grown = low_rank(kernel, cases, sizes), growth(kernel, cases, sizes)
    least = min(best, key=lambda pair: best[pair].value)
    slowest = min(grown, key=lambda m: grown[m].value)
    _, subset = worst((SUBSET,))
    smaller = all_of([above(behind[SUBSET, s], 0) for s in sizes])
    return [
        f"That conjugate gradients beat all four at every size {beaten} (nearest is {nearest} at "
        f"{size:,}, behind by {apart:.3f}).",
        f"That the low-rank two are the best {all_of([above(g, 0) for g in best.values()])} (least "
        f"apart are {least[0]} and {least[1]}, by {best[least]:.3f}).",
        f"That each improves with size {all_of([above(g, 0) for g in grown.values()])} (least "
        f"{slowest}, by {grown[slowest]:.3f} from {min(sizes):,} to {largest:,}).",
        f"That less data is worse {smaller} (a share of {largest / (largest * min(SHARES)):.2g} of "
        f"it by {behind[SUBSET, largest]:.3f}, least {subset:.3f}).",
    ]


def low_rank(kernel: str, cases: Cases, sizes: list[int]) -> dict[tuple[str, str], Estimate]:
    """Gains, in the mean over sizes, of each low-rank method over each partitioned one."""

    def mean(method: str) -> np.ndarray:
        return np.mean([right(cases[kernel, method, size]) for size in sizes], 0)

    return {(a, b): gain(mean(a) - mean(b), 4) for a in LOW_RANK for b in PARTITIONED}


def growth(kernel: str, cases: Cases, sizes: list[int]) -> dict[str, Estimate]:
    """Gains of each method's largest size over its smallest."""

    def at(method: str, size: int) -> np.ndarray:
        return right(cases[kernel, method, size])

    return {m: gain(at(m, max(sizes)) - at(m, min(sizes)), 4) for m in methods.APPROXIMATE}


def differences(kernel: str, cases: Cases, sizes: list[int]) -> list[dict[str, object]]:
    """The gains of both, a row each."""
    pairs = low_rank(kernel, cases, sizes).items()
    found = [("method", a, b, one) for (a, b), one in pairs]
    found += [
        ("size", f"{method} at {max(sizes):,}", f"{method} at {min(sizes):,}", one)
        for method, one in growth(kernel, cases, sizes).items()
    ]
    return [
        {"kernel": kernel, "by": by, "of": of, "over": over, **columns("gain", one)}
        for by, of, over, one in found
    ]


def row(kernel: str, method: str, size: int, judged: list[Judged], behind: object) -> dict:
    """A line of the table."""
    accuracy = gain(right(judged))
    line = {"kernel": kernel, "method": method, "size": size}
    line |= columns("accuracy", accuracy)
    line |= {"squared error": float(np.mean([one.error.mean() for one in judged]))}
    ridges = [RIDGES[one.chosen] for one in judged]
    line |= {"ridge": float(np.median(ridges)), "failed": sum(one.failed for one in judged)}
    if behind is not None:
        line |= columns("behind", behind)  # type: ignore[arg-type]
    return line


def raw(cases: Cases) -> pd.DataFrame:
    """One row a case and draw."""
    return pd.DataFrame(
        [
            {
                "kernel": kernel,
                "method": method,
                "size": size,
                "draw": number,
                "images": len(one.right),
                "accuracy": float(one.right.mean()),
                "squared error": float(one.error.mean()),
                "ridge": RIDGES[one.chosen],
                "failed": one.failed,
            }
            for (kernel, method, size), judged in cases.items()
            for number, one in enumerate(judged)
        ]
    )


def _figure(table: pd.DataFrame, points: int) -> Figure:
    figure, axes = figures.panels(len(KERNELS))
    for axis, kernel in zip(axes, KERNELS, strict=True):
        own = table[table["kernel"] == kernel]
        exact = own[own["size"] == points].iloc[0]
        axis.axhline(
            exact["accuracy"], color="black", lw=1, label="conjugate gradients, all points"
        )
        axis.axhspan(exact["accuracy low"], exact["accuracy high"], color="black", alpha=0.1, lw=0)
        names = (*methods.APPROXIMATE, SUBSET)
        for method, colour in zip(names, figures.COLOURS, strict=False):
            rows = own[own["method"] == method].sort_values("size")
            at = ["accuracy", "accuracy low", "accuracy high"]
            figures.intervals(axis, rows["size"], rows[at], colour, label=method)
            axis.plot(rows["size"], rows["accuracy"], color=colour, lw=0.8)
        figures.logarithmic(axis)
        figures.label(axis, "rank, or points of a part", "test accuracy", kernel)
    figures.legend(axes[0], loc="lower right")
    return figure
