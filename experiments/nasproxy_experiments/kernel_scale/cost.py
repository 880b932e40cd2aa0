"""Cost and error: a Myrtle kernel against a Gaussian (RBF) kernel of the same images."""

import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.kernel_scale.gains import accuracies, gain
from nasproxy_experiments.kernel_scale.study import Study

CLAIM = (
    "A Myrtle kernel of CIFAR-10 costs about 300 GPU-hours where an RBF kernel costs less than one "
    "GPU-minute, and errs on about 10 % of the test images where that errs on about 40 %."
)
NEEDS = ("RBF", "FC3", "CV8", "Myrtle-10-flat", "Myrtle-10")
DEARER = 100
"""How many times dearer a pair has to be for “far dearer”; the paper's numbers are 18,000 times."""


def run(study: Study) -> Finding:
    frame = study.frame(NEEDS)
    table = accuracies(frame[~frame["flipped"]])
    return Finding(
        verdict(frame),
        {"cost": table, "scores": frame},
        _figure(table),
        (
            "Time is the processor's, of all threads, for the kernel alone with what makes images "
            "ready; RBF is in float64, by a product of matrices. As in the paper, Myrtle's images "
            "are whitened and RBF's are not. The paper's errors are of 60,000 images and more.",
        ),
    )


def verdict(frame: pd.DataFrame) -> str:
    """By processor time a pair, and by the interval of the difference in accuracy at equal n."""
    whole = frame[~frame["flipped"]]
    found = gain(
        whole, {"kernel": "Myrtle-10", "whitened": True}, {"kernel": "RBF", "whitened": False}
    )
    if found is None:
        return "Not tested: too few draws of Myrtle-10 and RBF."
    ratio = dearer(frame)
    said = (
        f"a pair of Myrtle-10 takes {ratio:,.0f} times the processor time of one of RBF; accuracy "
        f"Myrtle-10 less RBF {found}"
    )
    if ratio < DEARER or found.estimate.high < 0:
        return f"The claim's direction does not hold: {said}."
    if found.estimate.low > 0:
        return f"The claim's direction holds: {said}."
    return f"The claim's direction is undecided: {said}."


def dearer(frame: pd.DataFrame) -> float:
    """Processor time of a pair by Myrtle-10 over that by RBF, without flips."""
    whole = frame[~frame["flipped"]].groupby("kernel")[["kernel_seconds", "pairs"]].sum()
    each = whole["kernel_seconds"] / whole["pairs"]
    return float(each["Myrtle-10"] / each["RBF"])


def _figure(table: pd.DataFrame) -> Figure:
    figure, (axes,) = figures.panels(1)
    for colour, (name, rows) in zip(
        figures.COLOURS, table.groupby("kernel", sort=False), strict=False
    ):
        for whitened, marker in (("no", "o"), ("yes", "s")):
            part = rows[rows["whitened"] == whitened]
            estimates = part[["accuracy", "low", "high"]].to_numpy()
            label = {"label": str(name)} if whitened == "no" else {}
            figures.intervals(axes, part["µs a pair"], estimates, colour, marker, **label)
    figures.logarithmic(axes)
    figures.label(
        axes, "µs of processor time a pair", "validation accuracy", "squares: whitened images"
    )
    figures.legend(axes)
    return figure
