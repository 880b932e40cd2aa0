"""Accuracy at equal n: fully connected, then CNN-Vec, then Myrtle-10."""

import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import settled
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.kernel_scale.gains import accuracies, gain
from nasproxy_experiments.kernel_scale.study import LEAST_DRAWS, Study

CLAIM = (
    "With equally many images the kernel of a convolutional network (CNN-Vec) is more accurate "
    "than that of a fully-connected one, and that of Myrtle-10, which pools, more accurate still."
)
NEEDS = ("FC3", "CV8", "Myrtle-10-flat", "Myrtle-10")
STEPS = (("CV8", "FC3"), ("Myrtle-10", "CV8"))
"""The kernel that is claimed to be better, and that which it is compared with."""


def run(study: Study) -> Finding:
    frame = study.frame(NEEDS)
    return Finding(
        verdict(frame),
        {"accuracy": accuracies(frame), "scores": frame},
        _figure(frame),
        (
            "Differences are of images that are neither whitened nor mirrored, at the largest n at "
            "which both kernels were computed in at least "
            f"{LEAST_DRAWS} draws. Kernels are NNGPs; the paper's figure has NTKs of up to a "
            "thousand times as many images. Myrtle-10-flat is not the paper's.",
        ),
    )


def verdict(frame: pd.DataFrame) -> str:
    """By the intervals of both steps."""
    plain = {"whitened": False, "flipped": False}
    steps = {
        f"{better} less {than}": gain(frame, {"kernel": better, **plain}, {"kernel": than, **plain})
        for better, than in STEPS
    }
    missing = [name for name, found in steps.items() if found is None]
    said = "; ".join(f"{name} {found}" for name, found in steps.items() if found)
    if missing:
        return f"Not tested: too few draws of {', '.join(missing)}. {said}".strip()
    word = settled(*(found.estimate for found in steps.values() if found))
    return f"The claim {word}: {said}."


def _figure(frame: pd.DataFrame) -> Figure:
    figure, panels = figures.panels(2, sharey=True)
    for axes, whitened in zip(panels, (False, True), strict=True):
        part = accuracies(frame[~frame["flipped"] & (frame["whitened"] == whitened)])
        for colour, (name, rows) in zip(
            figures.COLOURS, part.groupby("kernel", sort=False), strict=False
        ):
            estimates = rows[["accuracy", "low", "high"]].to_numpy()
            figures.intervals(axes, rows["n"], estimates, colour, ls="-", label=str(name))
        figures.logarithmic(axes)
        title = "whitened, ε = 1" if whitened else "not whitened"
        figures.label(axes, "training images", "validation accuracy", title)
    figures.legend(panels[0])
    return figure
