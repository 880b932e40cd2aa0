"""Finite networks by as many steps as the paper's five epochs (figures 2, 3)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.evidence import difference
from nasproxy.reproduce.statistics import Estimate, columns, mean, student
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.fc_ntk.study import PASSES, RECIPE, SEEDS, STEPS_WIDTH, Study

CLAIM = (
    "After 5 epochs finite networks are best at depth 5, and depth 50 is poor. Rules, committed "
    "before a network was trained: depth 5 is better than depth 1, and depth 50 worse, if the "
    "interval of the difference of mean errors, by Student's t over seeds, is above 0."
)
NEEDS = ("steps",)
BATCH: int = RECIPE["batch"]
PAIRS = ((1, 5), (50, 1))
"""Depths that the rules are about: the first errs more than the other, as the paper has it."""


def run(study: Study) -> Finding:
    raw = trained(study)
    table = by_depth(raw)
    images = study.pools["steps"].images
    steps = PASSES * len(images.train_labels) // BATCH
    return Finding(
        _verdict(raw, table, len(images.train_labels), steps),
        {"networks": table},
        _figure(raw, table),
        (
            f"{len(SEEDS)} networks of each depth, width {STEPS_WIDTH}, by RMSProp with a cosine "
            f"decay in batches of {BATCH}; {len(images.valid_labels):,} validation images. "
            f"{PASSES} passes over these images are {steps:,} steps; 5 epochs of CIFAR-10's "
            "50,000 are 7,812. The paper states neither optimiser nor learning rate. Intervals are "
            "Student's t over seeds; those of differences are not paired.",
        ),
        {"scores": raw},
    )


def trained(study: Study) -> pd.DataFrame:
    """A row a depth and seed: error and seconds; networks that diverged have no error."""
    frames = []
    for seed in SEEDS:
        frame = study.frame(f"steps {seed}")
        found = pd.DataFrame({"error": 1 - frame["training"], "seconds": frame["training seconds"]})
        frames.append(found.reset_index().assign(seed=seed))
    return pd.concat(frames, ignore_index=True)


def by_depth(raw: pd.DataFrame) -> pd.DataFrame:
    """A row a depth; a depth of which a network diverged has that said and no interval."""
    rows = []
    for depth, own in raw.groupby("depth"):
        errors = own["error"]
        row: dict[str, object] = {"depth": depth, **columns("error", _mean(own))}
        row |= {"seeds": len(errors), "failed": int(errors.isna().sum())}
        rows.append(row | {"seconds": float(own["seconds"].median())})
    return pd.DataFrame(rows)


def beyond(raw: pd.DataFrame, depth: int, other: int) -> Estimate:
    """By how much the mean error at one depth is above that at another; NaN where one is not."""
    return difference(*(_mean(raw[raw["depth"] == one]) for one in (depth, other)))


def _mean(own: pd.DataFrame) -> Estimate:
    errors = own["error"].to_numpy(float)
    if not len(errors) or np.isnan(errors).any():
        return Estimate(float("nan"), float("nan"), float("nan"))
    return student(mean(errors), len(errors))


def _verdict(raw: pd.DataFrame, table: pd.DataFrame, images: int, steps: int) -> str:
    known = table.dropna(subset=["error"])
    if known.empty:
        return f"After {steps:,} steps not one depth has {len(SEEDS)} networks that converged."
    best = known.nsmallest(1, "error").to_dict("records")[0]
    said = (
        f"After {steps:,} steps on {images:,} images the least error, {best['error']:.3f}, is at "
        f"depth {best['depth']:.0f}."
    )
    found = {(one, other): beyond(raw, one, other) for one, other in PAIRS}
    parts = [
        f"against depth {other}, depth {depth} errs by {gain:+.3f}"
        for (depth, other), gain in found.items()
        if not np.isnan(gain.value)
    ]
    joined = "; ".join(parts)
    return f"{said} {joined[:1].upper()}{joined[1:]}{'.' if joined else ''}".strip()


def _figure(raw: pd.DataFrame, table: pd.DataFrame) -> Figure:
    figure, (axes,) = figures.panels(1)
    axes.plot(table["depth"], table["error"], color=figures.COLOURS[0], lw=1.2, label="mean")
    axes.plot(raw["depth"], raw["error"], "o", ms=3, color=figures.COLOURS[1], label="a network")
    figures.logarithmic(axes)
    figures.label(axes, "depth, hidden layers", "validation error, share")
    figures.legend(axes)
    return figure
