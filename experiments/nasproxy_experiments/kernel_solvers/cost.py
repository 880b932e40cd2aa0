"""What the kernel takes against what conjugate gradients take."""

import time

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import Estimate
from nasproxy.reproduce.suites import Finding
from nasproxy.solvers import ConjugateGradient, Precomputed, sweep
from nasproxy_experiments.kernel_solvers.rules import above, ratio
from nasproxy_experiments.kernel_solvers.study import KERNELS, Study, function

CLAIM = "Computing the kernel takes far more time than solving with it by conjugate gradients."
NEEDS = ()
RIDGES = (1e-4, 1e-3, 1e-2)
TOLERANCE = 1e-2
FAR = 3.0
"""Times from which on it is far more."""


def run(study: Study) -> Finding:
    raw = pd.DataFrame(
        [_timed(study, kernel, number) for kernel in KERNELS for number in range(study.draws)]
    )
    found = {kernel: times(raw[raw["kernel"] == kernel]) for kernel in KERNELS}
    table = raw.groupby("kernel", sort=False)[["kernel seconds", "cg seconds", "iterations"]]
    return Finding(
        " ".join(
            f"{kernel}: that the kernel takes far more {above(one, FAR)}: {one:.2f} times the "
            "solve."
            for kernel, one in found.items()
        ),
        {"cost": table.median().reset_index(), "raw": raw},
        _figure(raw),
        (
            f"{study.points:,} points; the kernel of a draw with itself, without validation; one "
            f"sweep of {len(RIDGES)} regularisers and {study.data.classes} classes, all together, "
            f"to a residual of {TOLERANCE:g}, the preconditioner of rank {study.points // 10:,} "
            f"included; the matrix in memory. Rule: far more is more than {FAR:g} times, by "
            "Student's interval over draws of the logarithm, each timed once, one after the other. "
            "The kernel takes n² entries, an iteration likewise, and iterations grow with n: the "
            "ratio falls with n, slowly.",
        ),
    )


def _timed(study: Study, kernel: str, number: int) -> dict[str, object]:
    points = study.chosen(number)
    called = function(kernel)
    called(study.images[:8])  # The first call may compile.
    start = time.perf_counter()
    gram = np.asarray(called(study.images[points]))
    between = time.perf_counter()
    model = ConjugateGradient(
        Precomputed(gram), rank=study.points // 10, tolerance=TOLERANCE, iterations=3000
    )
    found = sweep(model, np.arange(len(points)), study.targets[points], RIDGES)
    return {
        "kernel": kernel,
        "draw": number,
        "kernel seconds": between - start,
        "cg seconds": time.perf_counter() - between,
        "iterations": len(found.solutions.history),
    }


def times(own: pd.DataFrame) -> Estimate:
    """Seconds of the kernel over those of the solve."""
    return ratio((own["kernel seconds"] / own["cg seconds"]).to_numpy(float))


def _figure(raw: pd.DataFrame) -> Figure:
    figure, (axis,) = figures.panels(1)
    for (kernel, own), colour in zip(raw.groupby("kernel"), figures.COLOURS, strict=False):
        axis.plot(own["cg seconds"], own["kernel seconds"], "o", ms=4, color=colour, label=kernel)
    axis.set_xscale("log")
    axis.set_yscale("log")
    figures.label(axis, "seconds of the solve", "seconds of the kernel")
    figures.legend(axis)
    return figure
