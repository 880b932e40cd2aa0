"""Whitening: does regularised ZCA help convolutional kernels?"""

import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import settled
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.kernel_scale.gains import Gain, gain
from nasproxy_experiments.kernel_scale.study import LEAST_DRAWS, Study

CLAIM = "Regularised ZCA of the images helps the kernels of convolutional networks."
NEEDS = ("FC3", "CV8", "Myrtle-10-flat", "Myrtle-10")
CONVOLUTIONAL = ("CV8", "Myrtle-10")
"""The paper's, which the claim is about."""


def run(study: Study) -> Finding:
    frame = study.frame(NEEDS)
    table = gains_by_kernel(frame)
    return Finding(
        verdict(frame),
        {"gains": table, "scores": frame},
        _figure(table),
        (
            "One regulariser, ε = 1 times the mean eigenvalue, which few images want; the paper "
            "tunes it. Images that are not whitened are brought to the same length.",
            f"Flips: {_flips(frame)}.",
        ),
    )


def verdict(frame: pd.DataFrame) -> str:
    """By the interval of each of the paper's kernels, at the largest n, without flips."""
    found = {name: _of(frame, name) for name in CONVOLUTIONAL}
    missing = [name for name, one in found.items() if one is None]
    others = {n: one for n in NEEDS if n not in found and (one := _of(frame, n))}
    said = ". ".join(f"{name}: {one}" for name, one in (found | others).items() if one)
    if missing:
        return f"Not tested: too few draws of {', '.join(missing)}. {said}".strip()
    word = settled(*(one.estimate for one in found.values() if one))
    return f"The claim {word} for {' and '.join(CONVOLUTIONAL)} alike. {said}."


def _of(frame: pd.DataFrame, name: str, flipped: bool = False) -> Gain | None:
    which = {"kernel": name, "flipped": flipped}
    return gain(frame, {**which, "whitened": True}, {**which, "whitened": False})


def _flips(frame: pd.DataFrame) -> str:
    """What fitting mirror images adds, by kernel, where it is added to the better images."""
    said = []
    for name in NEEDS:
        for whitened in (False, True):
            which = {"kernel": name, "whitened": whitened}
            one = gain(frame, {**which, "flipped": True}, {**which, "flipped": False})
            if one is not None:
                said.append(f"{name}{', whitened' if whitened else ''} {one}")
    return "; ".join(said) or f"fewer than {LEAST_DRAWS} draws"


def gains_by_kernel(frame: pd.DataFrame) -> pd.DataFrame:
    """What whitening adds by kernel, n and flips."""
    found = []
    for name in dict.fromkeys(frame["kernel"]):
        for flipped in (False, True):
            for n in sorted(set(frame["n"])):
                one = _of(frame[frame["n"] == n], name, flipped)
                if one is not None:
                    found.append(
                        {
                            "kernel": name,
                            "flipped": "yes" if flipped else "no",
                            "n": n,
                            "draws": one.draws,
                            "gain": one.estimate.value,
                            "low": one.estimate.low,
                            "high": one.estimate.high,
                        }
                    )
    columns = ["kernel", "flipped", "n", "draws", "gain", "low", "high"]
    return pd.DataFrame(found, columns=columns)


def _figure(table: pd.DataFrame) -> Figure:
    figure, (axes,) = figures.panels(1)
    for colour, (name, rows) in zip(
        figures.COLOURS, table[table["flipped"] == "no"].groupby("kernel", sort=False), strict=False
    ):
        estimates = rows[["gain", "low", "high"]].to_numpy()
        figures.intervals(axes, rows["n"], estimates, colour, ls="-", label=str(name))
    axes.axhline(0, color="black", lw=0.6)
    figures.logarithmic(axes)
    figures.label(axes, "training images", "accuracy, whitened less not")
    figures.legend(axes)
    return figure
