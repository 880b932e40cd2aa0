"""Claims of Adlam et al. that accuracies judge: by the differences, draw by draw, of the suite.

Written, as the suite's own rules were, before its scores were made.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from nasproxy.reproduce import claims
from nasproxy.reproduce.claims import Evidence, Rule
from nasproxy.reproduce.evidence import Find, exact
from nasproxy.reproduce.statistics import Estimate
from nasproxy_experiments.kernel_scale import gains
from nasproxy_experiments.kernel_scale.cost import DEARER, dearer
from nasproxy_experiments.kernel_scale.gains import Gain, Which

PAPER = "Adlam et al. (002)"
HERE = "kernel_scale"
POSITIVE = Rule(above=0)
PLAIN = {"whitened": False, "flipped": False}
"""Images as they are."""

ruled = partial(claims.ruled, PAPER)
_ORDER, _WHITENING, _COST = (f"{HERE}/{name}" for name in ("order", "whitening", "cost"))
_SECTION = "Accuracies of kernels"


def _points(found: Gain | None) -> Evidence:
    if found is None:
        return Evidence(Estimate(*[float("nan")] * 3), 0, "draws")
    points = Estimate(*(100 * value for value in found.estimate))
    return Evidence(points, found.n, "training images", found.draws)


def _gain(folder: str, better: Which, than: Which) -> Find:
    def find(results: Path) -> Evidence:
        frame = pd.read_csv(results / folder / "scores.csv")
        return _points(gains.gain(frame, better, than))

    return find


def _more_accurate(better: str, than: str) -> Find:
    sides: list[Mapping[str, object]] = [{"kernel": name} | PLAIN for name in (better, than)]
    return _gain(_ORDER, *sides)


def _whitened(kernel: str) -> Find:
    which = {"kernel": kernel, "flipped": False}
    return _gain(_WHITENING, {**which, "whitened": True}, {**which, "whitened": False})


def _dearer(results: Path) -> Evidence:
    frame = pd.read_csv(results / _COST / "scores.csv")
    pairs = int(frame[frame["kernel"] == "Myrtle-10"]["pairs"].sum())
    return Evidence(exact(dearer(frame)), pairs, "pairs of Myrtle-10", None)


CLAIMS = (
    ruled(
        "1a", _SECTION, "with equally many images a CNN-Vec kernel beats a fully-connected one",
        "figure only", "the gain in accuracy of CV8 over FC3, in points,", POSITIVE,
        _more_accurate("CV8", "FC3"), _ORDER,
    ),
    ruled(
        "1b", _SECTION, "and Myrtle-10 beats CNN-Vec", "figure only",
        "the gain in accuracy of Myrtle-10 over CV8, in points,", POSITIVE,
        _more_accurate("Myrtle-10", "CV8"), _ORDER,
    ),
    ruled(
        "17a", _SECTION, "regularised ZCA helps convolutional kernels: CNN-Vec", "none",
        "the gain in accuracy of whitening, CV8, in points,", POSITIVE,
        _whitened("CV8"), _WHITENING, "one ε, where the paper tunes it",
    ),
    ruled(
        "17b", _SECTION, "regularised ZCA helps convolutional kernels: Myrtle-10", "none",
        "the gain in accuracy of whitening, Myrtle-10, in points,", POSITIVE,
        _whitened("Myrtle-10"), _WHITENING, "one ε, where the paper tunes it",
    ),
    ruled(
        "23a", _SECTION, "a Myrtle kernel is far dearer than an RBF kernel",
        "300 GPU-hours against a minute", "the processor time of a pair of Myrtle-10 over RBF's",
        Rule(above=DEARER), _dearer, _COST,
    ),
    ruled(
        "23b", _SECTION, "and far more accurate", "errors of 10 against 40 %",
        "the gain in accuracy of Myrtle-10, whitened, over RBF, in points,", POSITIVE,
        _gain(
            _COST,
            {"kernel": "Myrtle-10", "whitened": True, "flipped": False},
            {"kernel": "RBF", "whitened": False, "flipped": False},
        ),
        _COST,
    ),
)  # fmt: skip
