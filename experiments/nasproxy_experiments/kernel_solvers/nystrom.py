"""Nyström's approximation at the shared regulariser, and at its own.

It divides what its columns leave by the regulariser: the one that is right for the whole kernel may
be far too small for it.
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import Estimate, columns
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.kernel_solvers import methods
from nasproxy_experiments.kernel_solvers.rules import above, all_of, gain
from nasproxy_experiments.kernel_solvers.study import KERNELS, RIDGES, Study

CLAIM = (
    "Nyström's approximation divides by the regulariser, so that its jitter had to be tuned; the "
    "default shared with the other methods gave poor results."
)
NEEDS = ()
SHARES = (60, 20, 6)
JITTERS = (0.0, 1e-3, 1e-2, 1e-1)
ARMS = ("shared", "own regulariser", "own regulariser and jitter")
PEER = "subset of regressors"

Found = dict[tuple[str, str, int], list[np.ndarray]]
"""Which images are right, by kernel, arm and size, one of each draw."""


def run(study: Study) -> Finding:
    sizes = [study.points // share for share in SHARES]
    found: Found = {}
    raw = []
    for kernel in KERNELS:
        for number in range(study.draws):
            given = study.draw(kernel, number)
            exact = methods.conjugate_gradients(given, min(300, study.points // 4))
            shared = study.judge(exact).chosen
            for size in sizes:
                tried = np.stack(
                    [
                        methods.approximate("Nyström", given, size, number, jitter=jitter)
                        for jitter in JITTERS
                    ]
                )
                peer = methods.approximate(PEER, given, size, number, (RIDGES[shared],))
                every = tried.reshape(-1, *tried.shape[2:])
                arms = {
                    ARMS[0]: tried[0, shared : shared + 1],
                    ARMS[1]: tried[0],
                    ARMS[2]: every,
                    PEER: peer,
                }
                for arm, predictions in arms.items():
                    judged = study.judge(predictions)
                    found.setdefault((kernel, arm, size), []).append(judged.right.astype(float))
                    raw.append(
                        {
                            "kernel": kernel,
                            "arm": arm,
                            "size": size,
                            "draw": number,
                            "ridge": _chosen(arm, judged.chosen, shared)[0],
                            "jitter": _chosen(arm, judged.chosen, shared)[1],
                            "accuracy": float(judged.right.mean()),
                            "squared error": float(judged.error.mean()),
                            "failed": judged.failed,
                        }
                    )
    rows = [
        {"kernel": kernel, "arm": arm, "size": size} | columns("accuracy", gain(np.stack(right)))
        for (kernel, arm, size), right in found.items()
    ]
    table = pd.DataFrame(rows)
    gained = [
        {"kernel": kernel, "gain of": of} | columns("gain", one)
        for kernel in KERNELS
        for of, one in gains(kernel, found, sizes).items()
    ]
    return Finding(
        " ".join(_sentence(kernel, found, sizes) for kernel in KERNELS),
        {"nystrom": table, "gains": pd.DataFrame(gained), "raw": pd.DataFrame(raw)},
        _figure(table),
        (
            "The shared regulariser is the best of conjugate gradients on all points. Rule, of the "
            "mean over sizes: the claim holds if Nyström's accuracy there is below that of subset "
            "of regressors at the same regulariser and columns, and below its own with a tuned "
            "regulariser and jitter, both by intervals that hold together.",
        ),
    )


def _chosen(arm: str, place: int, shared: int) -> tuple[float, float]:
    """Ridge and jitter."""
    if arm in (ARMS[0], PEER):
        return RIDGES[shared], 0.0
    return RIDGES[place % len(RIDGES)], JITTERS[place // len(RIDGES)]


def gains(kernel: str, found: Found, sizes: list[int]) -> dict[str, Estimate]:
    """Over Nyström at the shared regulariser, in the mean over sizes."""

    def mean(arm: str) -> np.ndarray:
        return np.mean([np.stack(found[kernel, arm, size]) for size in sizes], 0)

    return {arm: gain(mean(arm) - mean(ARMS[0]), 2) for arm in (PEER, ARMS[2])}


def _sentence(kernel: str, found: Found, sizes: list[int]) -> str:
    behind, gained = both = list(gains(kernel, found, sizes).values())
    return (
        f"{kernel}: that the shared regulariser fails and a tuned one works {judged(both)}: at "
        f"the shared one Nyström is {behind:.3f} behind subset of regressors, tuning gains "
        f"{gained:.3f}."
    )


def judged(gains: list[Estimate]) -> str:
    """The verdict: both differences lie above 0."""
    return all_of([above(one, 0) for one in gains])


def _figure(table: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(len(KERNELS))
    for axis, kernel in zip(axes, KERNELS, strict=True):
        for arm, colour in zip((*ARMS, PEER), figures.COLOURS, strict=False):
            rows = table[(table["kernel"] == kernel) & (table["arm"] == arm)].sort_values("size")
            at = ["accuracy", "accuracy low", "accuracy high"]
            figures.intervals(axis, rows["size"], rows[at], colour, label=arm)
            axis.plot(rows["size"], rows["accuracy"], color=colour, lw=0.8)
        figures.logarithmic(axis)
        figures.label(axis, "rank", "test accuracy", kernel)
    figures.legend(axes[0], loc="lower right")
    return figure
