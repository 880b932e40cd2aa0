"""Test error and time against depth, for several k and both losses (figures 4 and 5)."""

import time
from functools import cache

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import norm

from nasproxy import metrics
from nasproxy.kernels import FullyConnected
from nasproxy.reproduce import figures
from nasproxy.reproduce.suites import Finding, markdown
from nasproxy.reproduce.words import listed
from nasproxy_experiments.fc_ntk.study import LOSSES, NAMES, SOLVER_EPOCHS, STOP, Study

CLAIM = (
    "To 99 % training accuracy on CIFAR-10, error has a local optimum near depth 5 and is best at "
    "depth 200, whatever k (350, 500, 700); some depth between minimises the time."
)
NEEDS = ("eigenpro", "direct")
DEEPEST = 200
"""The depth that the claim calls best."""
ALIKE = 1.3
"""Times within this factor of the least are not told apart: each is of one run."""


def run(study: Study) -> Finding:
    seconds = kernel_seconds(study)
    rows = []
    for loss in LOSSES:
        for top in study.tops:
            frame = study.frame(f"eigenpro {loss} {top}")
            for depth, row in zip(frame.index.tolist(), frame.to_dict("records"), strict=True):
                rows.append(
                    {
                        "solver": NAMES[loss],
                        "k": top,
                        "depth": depth,
                        "error": 1 - row["infinite_width"],
                        "training error": 1 - row["infinite_width[train_accuracy]"],
                        "epochs": row["infinite_width[epochs]"],
                        "fit seconds": row["infinite_width[fit_seconds]"],
                        "kernel seconds": seconds[depth],
                    }
                )
    for kind in ("ntk", "nngp"):
        n, values = list(study.direct(kind).items())[-1]
        rows += [
            {
                "solver": _direct(kind, n),
                "depth": depth,
                "error": 1 - value,
                "kernel seconds": seconds[depth],
            }
            for depth, value in zip(values.index.tolist(), values.tolist(), strict=True)
        ]
    table = pd.DataFrame(rows).assign(validated=len(study.images.valid_labels))
    rankings = _rankings(table)
    return Finding(
        _verdict(table, rankings, study),
        {"depth": table, "rankings": rankings},
        _figure(table, study),
        (
            f"{study.points:,} training images, {len(study.images.valid_labels):,} validation "
            f"images: one standard error of an accuracy near one half is "
            f"{0.5 / np.sqrt(len(study.images.valid_labels)):.3f}. Kernel seconds are those of the "
            "training block up to that depth, float32, one pass; fit seconds those of "
            "preconditioner and iterations. Where the training error stays above "
            f"{1 - STOP:g}, {SOLVER_EPOCHS} epochs did not do.",
            "Is the ranking of depths robust to k?",
            markdown(rankings),
        ),
    )


def _direct(kind: str, images: int) -> str:
    return f"direct, {kind.upper()}, {images:,} images"


def kernel_seconds(study: Study) -> dict[int, float]:
    """Time to the kernel of the training images at each depth, in one pass."""
    return _kernel_seconds(study, tuple(study.frame("direct ntk").index))


@cache
def _kernel_seconds(study: Study, depths: tuple[int, ...]) -> dict[int, float]:
    x, _ = study.images.subset("train", study.points, 0, balanced=False)
    kernel = FullyConnected()
    next(iter(kernel.grid(x[:300], depths=depths)))  # Compiles.
    start, seconds = time.perf_counter(), {}
    for depth, block in zip(depths, kernel.grid(x, depths=depths), strict=True):
        np.asarray(block)
        seconds[depth] = time.perf_counter() - start
    return seconds


def _rankings(table: pd.DataFrame) -> pd.DataFrame:
    """Kendall's τ between the orders of depths that two values of k give."""
    wide = table[table["k"].notna()].pivot_table(
        index="depth", columns=["solver", "k"], values="error"
    )
    columns = list(wide.columns)
    rows = [
        {
            "one": f"{a[0]}, k = {a[1]:.0f}",
            "other": f"{b[0]}, k = {b[1]:.0f}",
            "τ of depths": metrics.kendall_tau(wide[a], wide[b]),
            "largest difference in error": float((wide[a] - wide[b]).abs().max()),
        }
        for i, a in enumerate(columns)
        for b in columns[i + 1 :]
    ]
    return pd.DataFrame(rows)


def _robust(rankings: pd.DataFrame) -> str:
    """Whether k changes the order of depths, within a loss and between the two."""
    losses = rankings[["one", "other"]].map(lambda text: text.split(",")[0])
    same = losses["one"] == losses["other"]
    within, between = (rankings.loc[chosen, "τ of depths"].min() for chosen in (same, ~same))
    largest = rankings.loc[same, "largest difference in error"].max()
    alike = "alike" if within > 0.8 else "differently"
    return (
        f"Any two k of one loss order the depths {alike} (τ of at least {within:.2f}, errors that "
        f"differ by at most {largest:.3f}); across the losses τ is at least {between:.2f}."
    )


def deepest_best(table: pd.DataFrame, n_valid: int) -> str:
    """Whether the claim's depth has the least error, for every loss and k.

    An error is a share of ``n_valid`` images, and two depths differ where theirs do by more than
    what chance makes of them, 95 % for all the other depths together (Bonferroni). Both are of the
    same images, which makes chance smaller than this.

    Args:
        table: ``solver``, ``k``, ``depth`` and ``error``; rows without k are not judged.
        n_valid: images that errors are measured on.
    """
    judged = table[table["k"].notna()]
    if DEEPEST not in set(judged["depth"]):
        return f"is not tested (depths up to {judged['depth'].max()})"
    least, largest = [], []
    for _, part in judged.groupby(["solver", "k"]):
        errors = part.set_index("depth")["error"]
        deep, others = errors[DEEPEST], errors.drop(DEEPEST)
        sure = norm.ppf(1 - 0.025 / len(others))
        chance = sure * np.sqrt((others * (1 - others) + deep * (1 - deep)) / n_valid)
        least.append(float((others - deep - chance).min()))
        largest.append(float((deep - others - chance).max()))
    if max(largest) > 0:
        return "does not hold"
    return "holds" if min(least) > 0 else "is undecided"


def _quickest(part: pd.DataFrame) -> str:
    """The depths of least time, as far as single runs tell them apart."""
    cost = (part["fit seconds"] + part["kernel seconds"]).set_axis(part["depth"])
    near = listed(cost.index[cost <= ALIKE * cost.min()])
    return f"depth {near} ({cost.min():.1f} s; {cost.iloc[-1]:.1f} s at depth {cost.index[-1]})"


def _verdict(table: pd.DataFrame, rankings: pd.DataFrame, study: Study) -> str:
    errors, times = [], []
    for loss in LOSSES:
        part = table[(table["solver"] == NAMES[loss]) & (table["k"] == study.tops[1])]
        best = part.nsmallest(1, "error").to_dict("records")[0]
        deepest = part.nlargest(1, "depth").to_dict("records")[0]
        errors.append(
            f"by {NAMES[loss]} depth {best['depth']} errs least ({best['error']:.3f}; depth "
            f"{deepest['depth']} {deepest['error']:.3f})"
        )
        times.append(f"by {NAMES[loss]} at {_quickest(part)}")
    direct = table[table["solver"] == _direct("ntk", study.points)].nsmallest(1, "error")
    row = direct.to_dict("records")[0]
    return (
        f"That depth {DEEPEST} is best {deepest_best(table, len(study.images.valid_labels))} here: "
        f"{', '.join(errors)}, both with k = {study.tops[1]}, and solved directly, by the best of "
        f"20 regularisers, depth {row['depth']} ({row['error']:.3f}). {_robust(rankings)} Time is "
        f"least {', '.join(times)}; depths within a factor of {ALIKE:g} are not told apart."
    )


def _figure(table: pd.DataFrame, study: Study) -> Figure:
    figure, axes = figures.panels(2)
    for colour, loss in zip(figures.COLOURS, LOSSES, strict=False):
        for style, top in zip(("-", "--", ":"), study.tops, strict=True):
            part = table[(table["solver"] == NAMES[loss]) & (table["k"] == top)]
            label = f"{NAMES[loss]}, k = {top}"
            look = {"color": colour, "lw": 1.3, "marker": "o", "ms": 3, "label": label}
            axes[0].plot(part["depth"], part["error"], style, **look)
            seconds = part["fit seconds"] + part["kernel seconds"]
            axes[1].plot(part["depth"], seconds, style, **look)
    for colour, (solver, part) in zip(
        figures.COLOURS[2:], table[table["k"].isna()].groupby("solver", sort=False), strict=False
    ):
        axes[0].plot(
            part["depth"], part["error"], color=colour, lw=1.3, marker="s", ms=3, label=str(solver)
        )
    for one, name in zip(axes, ("validation error, share", "seconds, kernel and fit"), strict=True):
        figures.logarithmic(one)
        figures.label(one, "depth, hidden layers", name)
    figures.logarithmic(axes[1], "y")
    figures.legend_below(axes[0])
    return figure
