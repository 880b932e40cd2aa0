"""Rates by eigenmode: does each converge as its eigenvalue says (equation 5)?"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.linalg import eigh

from nasproxy.kernels import FullyConnected
from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import Estimate, columns, mean, student
from nasproxy.reproduce.suites import Finding
from nasproxy.solvers import EigenPro, Precomputed
from nasproxy_experiments.fc_ntk.spectrum import DEPTH
from nasproxy_experiments.fc_ntk.study import Study

CLAIM = (
    "Gradient descent on the squared loss converges along each eigenvector of K with its own "
    "exponential constant, 1 − ηλ_k; preconditioning sets the largest eigenvalues to one."
)
NEEDS = ()
MOST = 1000
"""Images at most of a draw."""
DRAWS = 3
ITERATIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
MEASURED = (0.02, 0.98)
"""Share of its error that a mode has kept where its rate is measured: nearest to a half."""
EXACT = 0.05
"""Relative deviation from the predicted rate that is none."""


def run(study: Study) -> Finding:
    n = min(MOST, study.points)
    raw = pd.concat(
        [modes(*_drawn(study, n, number), n // 5).assign(draw=number) for number in range(DRAWS)],
        ignore_index=True,
    )
    rows = []
    for descent, own in raw.groupby("descent", sort=False):
        found = deviation(own)
        rows.append(
            {
                "descent": descent,
                "modes measured": len(own) // DRAWS,
                "fastest rate": own["predicted"].max(),
                "slowest rate": own["predicted"].min(),
                "median deviation": (own["measured"] / own["predicted"] - 1).abs().median(),
                **columns("largest deviation", found),
            }
        )
    table = pd.DataFrame(rows)
    said = "; ".join(
        f"{row['descent']}: rates from {row['slowest rate']:.2g} to {row['fastest rate']:.2g} an "
        f"iteration, at most {row['largest deviation']:.1e} apart from what is predicted"
        for row in table.to_dict("records")
    )
    return Finding(
        f"Rates of {table['modes measured'].min():,} modes and more were measured. {said}.",
        {"modes": table, "raw": raw},
        _figure(raw),
        (
            f"{n:,} class-balanced images, {DRAWS} draws; NTK of depth {DEPTH}; full batches from "
            "α = 0, with the step that the solver takes by itself. A mode's error after t "
            "iterations is the norm, over classes, of the part of Y − Kα along its eigenvector; "
            "its rate is −log(error / error at first) / t, at the t where it has kept the share "
            f"nearest to a half, and within {MEASURED[0]:g} and {MEASURED[1]:g}: faster modes are "
            f"done, and slower have not moved in {ITERATIONS[-1]:,}. Predicted is −log|1 − ηλ|, "
            "with λ_k+1 in the place of the larger ones where they are set to it. Rule: the claim "
            "holds if the largest relative deviation of any mode is below "
            f"{EXACT:g} by Student's interval over draws.",
        ),
    )


def _drawn(study: Study, n: int, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """A draw's kernel ``[n, n]``, in float64, and its targets ``[n, c]``."""
    x, labels = study.pools["whole"].images.subset("train", n, number)
    matrix = np.asarray(FullyConnected(DEPTH, dtype="float64")(x))
    classes = study.images.classes
    return matrix, np.eye(classes)[labels] - 1 / classes


def modes(matrix: NDArray[Any], y: NDArray[Any], top: int) -> pd.DataFrame:
    """Each mode's measured and predicted rate, by plain and by preconditioned descent.

    Args:
        matrix: the kernel, ``[n, n]``.
        y: targets, ``[n, c]``.
        top: k, of the preconditioned descent.
    """
    n = len(y)
    values, vectors = (part[..., ::-1] for part in eigh(matrix))
    first = np.linalg.norm(vectors.T @ y, axis=1)
    found = []
    for damped in (0, top):
        kept, step = [], 0.0
        for iterations in ITERATIONS:
            model = EigenPro(
                Precomputed(matrix),
                top=damped,
                subsample=n,
                batch=n,
                epochs=iterations,
                tolerance=0.0,
                patience=iterations,
            ).fit(np.arange(n), y)
            step = model.step_
            error = np.linalg.norm(vectors.T @ (y - matrix @ model.dual_coef_), axis=1)
            kept.append(error / first)
        flat = np.minimum(values, values[damped]) if damped else values
        predicted = -np.log(np.abs(1 - step / n * flat))
        found.append(
            _rates(np.stack(kept), values, predicted).assign(
                descent=f"k = {damped:,}" if damped else "plain"
            )
        )
    return pd.concat(found, ignore_index=True)


def _rates(
    kept: NDArray[np.float64], values: NDArray[np.float64], predicted: NDArray[np.float64]
) -> pd.DataFrame:
    """Rates of the modes that can be measured, of the shares ``[iterations, modes]`` they keep."""
    nearest = np.abs(kept - 0.5).argmin(0)
    share = np.take_along_axis(kept, nearest[None], 0)[0]
    measurable = (share > MEASURED[0]) & (share < MEASURED[1])
    rates = -np.log(share) / np.array(ITERATIONS)[nearest]
    frame = pd.DataFrame(
        {
            "mode": np.arange(1, len(values) + 1),
            "eigenvalue": values,
            "predicted": predicted,
            "measured": rates,
        }
    )
    return frame[measurable]


def deviation(own: pd.DataFrame) -> Estimate:
    """The largest relative deviation of a rate, over draws."""
    apart = (own["measured"] / own["predicted"] - 1).abs()
    return student(mean(apart.groupby(own["draw"]).max()), DRAWS)


def _figure(raw: pd.DataFrame) -> Figure:
    figure, axes = figures.panels(2)
    kinds = raw[raw["draw"] == 0].groupby("descent", sort=False)
    for axis, (descent, own), colour in zip(axes, kinds, figures.COLOURS, strict=False):
        axis.loglog(own["eigenvalue"], own["measured"], "o", ms=3, color=colour, label="measured")
        axis.loglog(own["eigenvalue"], own["predicted"], color="black", lw=1, label="predicted")
        figures.label(axis, "eigenvalue of K", "rate an iteration", str(descent))
    figures.legend(axes[0])
    return figure
