"""Accuracy against the residual: where it settles, and what the residual is then."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import columns
from nasproxy.reproduce.suites import Finding
from nasproxy.solvers import ConjugateGradient, KernelRidge, Precomputed
from nasproxy_experiments.kernel_solvers.rules import MARGIN, alike, all_of, gain
from nasproxy_experiments.kernel_solvers.study import KERNELS, Study

CLAIM = "Test accuracy settles while the residual of conjugate gradients is still large."
NEEDS = ()
RIDGES = (1e-4, 1e-2)
TOLERANCES = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4)
LARGE = 0.01
"""Residual at which accuracy is to have settled."""


def run(study: Study) -> Finding:
    labels = study.labels[study.pool :]
    right: dict[tuple[str, float, float], list[np.ndarray]] = {}
    raw = []
    for kernel in KERNELS:
        for number in range(study.draws):
            given = study.draw(kernel, number)
            points, gram = np.arange(study.points), Precomputed(given.gram)
            for ridge in RIDGES:
                exact = KernelRidge(gram, ridge=ridge).fit(points, given.y)
                wanted = given.cross @ exact.dual_coef_
                for tolerance in (*TOLERANCES, 0.0):
                    found, line = wanted, {"iterations": 0, "residual": 0.0}
                    if tolerance:
                        model = ConjugateGradient(
                            gram,
                            rank=study.points // 10,
                            ridge=ridge,
                            tolerance=tolerance,
                            iterations=3000,
                            seed=number,
                        ).fit(points, given.y)
                        found = given.cross @ model.dual_coef_
                        line = {"iterations": model.n_iter_, "residual": model.residual_}
                    hits = (found.argmax(1) == labels).astype(float)
                    right.setdefault((kernel, ridge, tolerance), []).append(hits)
                    apart = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
                    raw.append(
                        {"kernel": kernel, "ridge": ridge, "tolerance": tolerance, "draw": number}
                        | line
                        | {"accuracy": float(hits.mean()), "predictions apart": float(apart)}
                    )
    rows, verdicts = [], []
    for kernel in KERNELS:
        judged = []
        for ridge in RIDGES:
            exact = np.stack(right[kernel, ridge, 0.0])
            for tolerance in TOLERANCES:
                lost = gain(exact - np.stack(right[kernel, ridge, tolerance]), len(RIDGES))
                if tolerance == LARGE:
                    judged.append((ridge, lost))
                rows.append(
                    {"kernel": kernel, "ridge": ridge, "residual to": tolerance}
                    | columns("accuracy lost", lost)
                )
        said = ", ".join(f"{lost:.4f} at λ = {ridge:g}" for ridge, lost in judged)
        verdicts.append(
            f"{kernel}: that accuracy has settled at a residual of {LARGE:g} "
            f"{all_of([alike(lost) for _, lost in judged])}: it lacks {said}."
        )
    table, frame = pd.DataFrame(rows), pd.DataFrame(raw)
    medians = frame.groupby(["kernel", "ridge", "tolerance"])[["iterations", "predictions apart"]]
    table = table.merge(
        medians.median().reset_index().rename(columns={"tolerance": "residual to"}),
        on=["kernel", "ridge", "residual to"],
    )
    return Finding(
        " ".join(verdicts),
        {"residual": table, "raw": frame},
        _figure(table),
        (
            "Accuracy lost is that of the direct solve minus that of conjugate gradients stopped "
            "at a residual, on the same images and draws; the residual is the true one. Rule: "
            f"accuracy has settled if the interval lies within ±{MARGIN:g} at each regulariser, "
            "and has not if one lies beyond.",
        ),
    )


def _figure(table: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(len(KERNELS))
    for axis, kernel in zip(axes, KERNELS, strict=True):
        for ridge, colour in zip(RIDGES, figures.COLOURS, strict=False):
            rows = table[(table["kernel"] == kernel) & (table["ridge"] == ridge)]
            at = ["accuracy lost", "accuracy lost low", "accuracy lost high"]
            figures.intervals(axis, rows["residual to"], rows[at], colour, label=f"λ = {ridge:g}")
        axis.axhspan(-MARGIN, MARGIN, color="grey", alpha=0.15, lw=0)
        axis.set_xscale("log")
        axis.invert_xaxis()
        figures.label(axis, "residual", "accuracy lost", kernel)
    figures.legend(axes[0])
    return figure
