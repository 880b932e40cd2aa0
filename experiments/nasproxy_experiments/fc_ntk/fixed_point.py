"""Cross-entropy's fixed point: does preconditioning leave it where it is?"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.kernels import FullyConnected
from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import Estimate, columns, mean, student
from nasproxy.reproduce.suites import Finding
from nasproxy.solvers import EigenProClassifier, Precomputed
from nasproxy_experiments.fc_ntk.spectrum import DEPTH
from nasproxy_experiments.fc_ntk.study import Study

CLAIM = (
    "The fixed points of gradient descent on cross-entropy, K σ(K α) = K Y, are unchanged by a "
    "preconditioner."
)
NEEDS = ()
MOST = 500
"""Images at most of a draw."""
DRAWS = 3
RIDGES = (0.1, 1.0)
TOLERANCE, EPOCHS = 1e-5, 50_000
WITHOUT = (250, 1000, 4000)
"""Iterations at which the function is looked at where nothing regularises it."""
SAME = 0.01
"""Relative difference of two functions that is none."""


def run(study: Study) -> Finding:
    n = min(MOST, study.points)
    raw = pd.concat([_draw(study, n, number) for number in range(DRAWS)], ignore_index=True)
    apart = raw[raw["λ"] > 0]
    rows = []
    for ridge, own in apart.groupby("λ"):
        rows.append(
            {"λ": ridge}
            | {name: own[name].median() for name in ("iterations, plain", "iterations, k")}
            | columns("apart", difference(own))
            | {"classes apart": own["classes apart"].max()}
        )
    table = pd.DataFrame(rows)
    free = raw[raw["λ"] == 0].groupby("iterations, k")["norm"].median()
    said = "; ".join(
        f"{row['apart']:.1e} at λ = {row['λ']:g} ({row['iterations, plain']:,.0f} iterations "
        f"plain, {row['iterations, k']:,.0f} preconditioned)"
        for row in table.to_dict("records")
    )
    return Finding(
        f"The two functions are apart by {said}. Without λ there is no fixed point to leave: "
        f"classes can be told apart, and the function's norm grows from {free.iloc[0]:.3g} after "
        f"{WITHOUT[0]:,} preconditioned iterations to {free.iloc[-1]:.3g} after {WITHOUT[-1]:,}.",
        {"fixed_point": table, "raw": raw},
        _figure(raw),
        (
            f"{n:,} class-balanced images, {DRAWS} draws; NTK of depth {DEPTH}, float64; full "
            f"batches, k = {n // 10} of all points or 0, until the gradient is {TOLERANCE:g} of "
            f"the first. `apart` is the norm of the two functions' difference on {n:,} validation "
            "images over the norm of one, with Student's interval over draws, unknown where one "
            f"had not ended after {EPOCHS:,} iterations; `classes apart` the share of "
            "these images that get another class. λ is a fraction of the mean of "
            "k(x, x); the paper has none, and its fixed points are then at infinity. Rule: the "
            f"claim holds if the difference is below {SAME:g} at every λ.",
        ),
    )


def _draw(study: Study, n: int, number: int) -> pd.DataFrame:
    source = study.pools["whole"].images
    x, labels = source.subset("train", n, number)
    shown, _ = source.subset("valid", min(n, len(source.valid_labels)), number, balanced=False)
    kernel = FullyConnected(DEPTH, dtype="float64")
    gram, cross = np.asarray(kernel(x)), np.asarray(kernel(shown, x))

    def fitted(top: int, ridge: float, epochs: int) -> tuple[np.ndarray, int, bool]:
        """The function at validation images, iterations, and whether they came to the end."""
        model = EigenProClassifier(
            Precomputed(gram),
            top=top,
            subsample=n,
            batch=n,
            ridge=ridge,
            epochs=epochs,
            tolerance=TOLERANCE,
            patience=epochs,
            loss="cross_entropy",
        ).fit(np.arange(n), labels)
        return cross @ model.dual_coef_, model.n_iter_, model.stopped_ == "tolerance"

    rows = []
    for ridge in RIDGES:
        (plain, slow, one), (preconditioned, quick, other) = (
            fitted(top, ridge, EPOCHS) for top in (0, n // 10)
        )
        apart = np.linalg.norm(plain - preconditioned) / np.linalg.norm(plain)
        rows.append(
            {
                "λ": ridge,
                "iterations, plain": slow,
                "iterations, k": quick,
                "apart": float(apart) if one and other else np.nan,
                "classes apart": float((plain.argmax(1) != preconditioned.argmax(1)).mean()),
                "norm": float(np.linalg.norm(plain)),
            }
        )
    for epochs in WITHOUT:
        values, made, _ = fitted(n // 10, 0.0, epochs)
        rows.append({"λ": 0.0, "iterations, k": made, "norm": float(np.linalg.norm(values))})
    return pd.DataFrame(rows).assign(draw=number, images=n)


def difference(own: pd.DataFrame) -> Estimate:
    """Of the two functions, over draws."""
    return student(mean(own["apart"]), len(own))


def _figure(raw: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(2)
    for ridge, colour in zip(RIDGES, figures.COLOURS, strict=False):
        own = raw[raw["λ"] == ridge]
        label = f"λ = {ridge:g}"
        axes[0].plot(own["iterations, plain"], own["apart"], "o", color=colour, label=label)
        axes[0].plot(own["iterations, k"], own["apart"], "s", mfc="none", color=colour)
    figures.logarithmic(axes[0])
    axes[0].axhline(SAME, color="black", lw=0.8, ls=":", label="the rule's bound")
    axes[0].set_yscale("log")
    axes[0].set_ylim(1e-5, 2 * SAME)
    figures.label(axes[0], "iterations: dots plain, squares preconditioned", "functions apart")
    figures.legend(axes[0])
    for _, own in raw[raw["λ"] == 0].groupby("draw"):
        axes[1].plot(own["iterations, k"], own["norm"], "o-", ms=3, color="black", lw=1)
    figures.logarithmic(axes[1])
    figures.label(axes[1], "iterations, preconditioned, λ = 0", "norm of the function")
    return figure
