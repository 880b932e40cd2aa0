"""Precision of the kernel, of what is stored, and of the solve, apart from each other."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from nasproxy.errors import DivergedError
from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import columns
from nasproxy.reproduce.suites import Finding
from nasproxy.solvers import ConjugateGradient, Precomputed
from nasproxy_experiments.kernel_solvers.rules import MARGIN, gain, needed
from nasproxy_experiments.kernel_solvers.study import KERNELS, Study, function

CLAIM = "Kernels of neural networks are so ill-conditioned that float64 is necessary."
NEEDS = ()
SHARE = 2
"""Part of the training points that the float64 kernels are computed of."""
RIDGES = (1e-7, 1e-5, 1e-3)
NOISE = 1e-3
"""Of near duplicates, relative to a pixel's deviation."""
TWICE = "FC3, near duplicates"
CASES = (*KERNELS, TWICE)
TOLERANCE = 1e-5
MOST = 3000
SINGLE, DOUBLE = np.float32, np.float64
ARMS = {
    "stored in float32": (DOUBLE, SINGLE, "cg, float64"),
    "stored and multiplied in float32": (DOUBLE, SINGLE, "cg, float32"),
    "computed in float32": (SINGLE, SINGLE, "cg, float64"),
    "computed and multiplied in float32": (SINGLE, SINGLE, "cg, float32"),
    "Cholesky in float32": (DOUBLE, SINGLE, "cholesky"),
}
"""Dtypes that the kernel is computed and stored in, and how it is solved with."""


def run(study: Study) -> Finding:
    right: dict[tuple[str, float, str], list[NDArray[Any]]] = {}
    raw = []
    for case in CASES:
        for number in range(study.draws):
            for line, hits in _draw(study, case, number):
                right.setdefault((case, line["ridge"], line["arm"]), []).append(hits)
                raw.append({"case": case, "draw": number} | line)
    frame = pd.DataFrame(raw)
    rows = []
    for (case, ridge, arm), hits in right.items():
        if arm == "float64":
            continue
        own = frame[(frame["case"] == case) & (frame["ridge"] == ridge) & (frame["arm"] == arm)]
        lost = gain(np.stack(right[case, ridge, "float64"]) - np.stack(hits), len(RIDGES))
        rows.append(
            {"case": case, "λ": ridge, "arm": arm}
            | columns("accuracy lost", lost)
            | {
                "predictions apart": own["apart"].median(),
                "iterations": own["iterations"].median(),
                "residual": own["residual"].median(),
                "failed": int(own["failed"].sum()),
                "float64 is needed": needed(lost),
            }
        )
    table = pd.DataFrame(rows)
    return Finding(
        " ".join(_sentence(table, case) for case in CASES),
        {"precision": table, "raw": frame},
        _figure(table),
        (
            f"{study.points // SHARE:,} training points of each draw. Accuracy lost is that of a "
            "kernel computed in float64 and solved by Cholesky in float64, minus an arm's, on the "
            "same images. Conjugate gradients, whose own vectors are float64, end at a true "
            f"residual of {TOLERANCE:g}, where it no more falls, or after {MOST:,} iterations; the "
            "residual is of the kernel as stored. Near duplicates: half of the points are the "
            f"others with noise of {NOISE:g} of a pixel's deviation. An arm that fails counts as "
            "chance. Rule: float64 is needed for what an arm does in float32 if accuracy falls by "
            f"more than {MARGIN:g} by an interval above 0; it is not if the interval's end is "
            f"below {MARGIN:g}.",
        ),
    )


def _draw(study: Study, case: str, number: int) -> list[tuple[dict[str, Any], NDArray[Any]]]:
    kernel = "FC3" if case == TWICE else case
    chosen = study.chosen(number)
    rng = np.random.default_rng((study.seed, number, 1))
    chosen = rng.permutation(chosen)[: study.points // SHARE]
    images, y = study.images[chosen], study.targets[chosen]
    if case == TWICE:
        half = len(images) // 2
        noise = rng.normal(0, NOISE, images[:half].shape).astype(np.float32)
        images = np.concatenate([images[:half], images[:half] + noise])
        y = np.concatenate([y[:half], y[:half]])
    test = slice(study.pool + study.chosen_on, None)
    labels = study.labels[test]
    matrices = {}
    for dtype in (SINGLE, DOUBLE):
        called = function(kernel, np.dtype(dtype).name)
        some, rest = called.prepare(images), called.prepare(study.images[test])
        matrices[dtype] = np.asarray(called(some)), np.asarray(called(rest, some))
    found = []
    for ridge in RIDGES:
        gram, cross = matrices[DOUBLE]
        exact = cross @ _cholesky(gram, y, ridge)
        found.append(_line(ridge, "float64", exact, exact, labels, 0, 0.0, False))
        for arm, (made, stored, how) in ARMS.items():
            gram, cross = (part.astype(stored) for part in matrices[made])
            values, iterations, residual, failed = np.zeros_like(exact), 0, np.nan, False
            try:
                if how == "cholesky":
                    values = cross @ _cholesky(gram, y.astype(stored), ridge).astype(DOUBLE)
                else:
                    kept = gram if how.endswith("32") else gram.astype(DOUBLE)
                    model = ConjugateGradient(
                        Precomputed(kept),
                        rank=len(y) // 5,
                        ridge=ridge,
                        tolerance=TOLERANCE,
                        iterations=MOST,
                        seed=number,
                    ).fit(np.arange(len(y)), y)
                    values = cross @ model.dual_coef_
                    iterations, residual = model.n_iter_, model.residual_
            except (LinAlgError, DivergedError):
                failed = True
            found.append(_line(ridge, arm, values, exact, labels, iterations, residual, failed))
    return found


def _cholesky(gram: NDArray[Any], y: NDArray[Any], ridge: float) -> NDArray[Any]:
    """α, all in the matrix's dtype.

    Raises:
        LinAlgError: rounding has left the system indefinite.
    """
    system = gram.copy()
    system.flat[:: len(system) + 1] += gram.dtype.type(ridge * gram.diagonal().mean())
    return cho_solve(cho_factor(system, lower=True, overwrite_a=True), y)


def _line(
    ridge: float,
    arm: str,
    values: NDArray[Any],
    exact: NDArray[Any],
    labels: NDArray[Any],
    iterations: int,
    residual: float,
    failed: bool,
) -> tuple[dict[str, Any], NDArray[Any]]:
    hits = (values.argmax(1) == labels).astype(float)
    apart = float(np.linalg.norm(values - exact) / np.linalg.norm(exact))
    line = {
        "ridge": ridge,
        "arm": arm,
        "accuracy": float(hits.mean()),
        "apart": apart,
        "iterations": iterations,
        "residual": residual,
        "failed": failed,
    }
    return line, hits


def _sentence(table: pd.DataFrame, case: str) -> str:
    """In how many of the arms float64 is needed, and the worst of all."""
    own = table[table["case"] == case]
    verdicts = {
        arm: next((v for v in ("holds", "is undecided") if v in list(rows)), "does not hold")
        for arm, rows in own.groupby("arm", sort=False)["float64 is needed"]
    }
    worst = own.iloc[int(own["accuracy lost"].argmax())]
    said = []
    for verdict, words in (("holds", "is needed"), ("is undecided", "may be needed")):
        arms = [str(arm) for arm, one in verdicts.items() if one == verdict]
        said += [f"float64 {words} instead of: {', '.join(arms)}"] if arms else []
    return (
        f"{case}: {'; '.join(said) or 'float64 is needed for no part'}. What is lost most is "
        f"{worst['accuracy lost']:.4f} [{worst['accuracy lost low']:.4f}, "
        f"{worst['accuracy lost high']:.4f}], {worst['arm']} at λ = {worst['λ']:g}; predictions "
        f"are apart by {own['predictions apart'].max():.0e} at most."
    )


def _figure(table: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(len(CASES), sharey=True)
    for axis, case in zip(axes, CASES, strict=True):
        for arm, colour in zip(ARMS, figures.COLOURS, strict=False):
            rows = table[(table["case"] == case) & (table["arm"] == arm)]
            axis.plot(rows["λ"], rows["predictions apart"], "o-", ms=3, color=colour, label=arm)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_ylim(1e-6, 1e-2)
        figures.label(axis, "λ", "predictions apart, relative", case)
    figures.legend(axes[0])
    return figure
