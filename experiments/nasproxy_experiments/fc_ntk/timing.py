"""Time against depth, of kernels and of networks, each timed several times."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import Training
from nasproxy.kernels import FullyConnected
from nasproxy.proxies import Score
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import spelled
from nasproxy.reproduce.statistics import Estimate, mean, student
from nasproxy.reproduce.suites import Finding
from nasproxy.solvers import EigenProClassifier
from nasproxy_experiments.fc_ntk.study import DEEPEST_TRAINED, MOST_EPOCHS, RECIPE, STOP, Study
from search_spaces import FullyConnectedNetworks

CLAIM = (
    "To 99 % training accuracy some depth between minimises a kernel's time; kernels converge "
    "faster than deep networks do, whose time is linear in depth."
)
NEEDS = ()
REPEATS = 4
WIDTH = 128
FIRST = 5
"""Depth from which on networks' time is looked at against depth: below it the fixed part shows."""
LINEAR = (0.9, 1.1)
"""Exponents of depth that are called linear."""


def run(study: Study) -> Finding:
    raw = pd.DataFrame(_timed(study))
    table = raw.groupby(["what", "depth"], sort=False)["seconds"].agg(["median", "min", "max"])
    least, faster, power = interior(raw), advantage(raw), exponent(raw)
    return Finding(
        f"The quicker of the shallowest and the deepest kernel takes {_found(least)} times as long "
        f"as the best between. The deepest network that is trained (depth {DEEPEST_TRAINED} at "
        f"most) takes {_found(faster)} times as long as its kernel. An epoch of a network takes "
        f"time as its depth to the power {_found(power)}, from depth {FIRST} on.",
        {"timing": table.reset_index(), "raw": raw},
        _figure(raw),
        (
            f"{study.points:,} training images; {REPEATS} repeats, one after the other, all depths "
            "in each; compiled before. Kernels: the training block up to a depth, and EigenPro on "
            f"the squared loss to {STOP:.0%} of the labels, k = {study.tops[1]}, its "
            f"preconditioner included. Networks of width {WIDTH}: the whole training to 80 % of "
            f"the labels or {MOST_EPOCHS} epochs, and one epoch of it. Rules, by Student's "
            "interval of logarithms over repeats: some depth minimises the time if that of the "
            "best depth between, chosen on the first repeat, is below both ends in the others, "
            "the nearer counting; kernels converge faster than deep networks if the ratio at "
            "the deepest network is above 1; time is linear in depth if the slope of log seconds "
            f"of an epoch in log depth, from depth {FIRST} on, is between {LINEAR[0]:g} and "
            f"{LINEAR[1]:g}.",
        ),
    )


def _timed(study: Study) -> Iterator[dict[str, Any]]:
    x, labels = study.images.subset("train", study.points, 0)
    depths = [network.depth for network in study.pools["kernel"].architectures.values()]
    space = FullyConnectedNetworks(width=WIDTH)
    recipe = RECIPE | {"width": None}
    whole = spelled(Training, recipe, epochs=MOST_EPOCHS, until=0.8)
    score = whole.prepare(space, study.images, 0)

    def network(depth: int) -> Score:
        return score(next(iter(space.grid(depth=(depth,)))))

    def kernel(depth: int) -> EigenProClassifier:
        return EigenProClassifier(
            FullyConnected(depth),
            top=study.tops[1],
            subsample=min(len(x), 2000),
            train_accuracy=STOP,
            tolerance=0.0,
            epochs=400,
        ).fit(x, labels)

    trained = [depth for depth in depths if depth <= DEEPEST_TRAINED]
    np.asarray(FullyConnected(1)(x[:300]))  # Compiles; networks of all depths share a program.
    network(trained[0])
    for repeat in range(REPEATS):
        for depth in depths:
            start = time.perf_counter()
            fitted = kernel(depth)
            seconds = time.perf_counter() - start
            made = {"epochs": float(fitted.n_iter_), "repeat": repeat, "depth": depth}
            yield {"what": "kernel", "seconds": seconds} | made
        for depth in trained:
            start = time.perf_counter()
            epochs = network(depth).columns["epochs_made"]
            seconds = time.perf_counter() - start
            made = {"epochs": epochs, "repeat": repeat, "depth": depth}
            yield {"what": "network", "seconds": seconds} | made
            yield {"what": "epoch", "seconds": seconds / epochs} | made


def _wide(raw: pd.DataFrame, what: str) -> pd.DataFrame:
    """Logarithms of seconds, a row a repeat and a column a depth."""
    wide = raw[raw["what"] == what].pivot_table(index="repeat", columns="depth", values="seconds")
    return wide.sort_index(axis=1).apply(np.log)


def _over(logarithms: Any) -> Estimate:
    """A ratio, by Student's interval of its logarithm over repeats."""
    return Estimate(*np.exp(student(mean(logarithms), len(logarithms))).tolist())


def interior(raw: pd.DataFrame) -> Estimate:
    """Seconds of the quicker end over those of the best depth between; unknown without one."""
    wide = _wide(raw, "kernel")
    if wide.shape[1] < 3 or len(wide) < 2:
        return Estimate(np.nan, np.nan, np.nan)
    best = wide.iloc[0, 1:-1].idxmin()
    ends = wide.iloc[1:, [0, -1]].min(axis=1)
    return _over(ends - wide.iloc[1:][best])


def advantage(raw: pd.DataFrame) -> Estimate:
    """Seconds of the deepest network over those of the kernel of that depth."""
    network = _wide(raw, "network")
    deepest = network.columns.max()
    return _over(network[deepest] - _wide(raw, "kernel")[deepest])


def exponent(raw: pd.DataFrame) -> Estimate:
    """Of depth, in the seconds of an epoch; unknown of fewer than three depths."""
    wide = _wide(raw, "epoch")
    wide = wide[[depth for depth in wide if depth >= FIRST]]
    if wide.shape[1] < 3:
        return Estimate(np.nan, np.nan, np.nan)
    slopes = np.polyfit(np.log(wide.columns.to_numpy(float)), wide.to_numpy().T, 1)[0]
    return student(mean(slopes), len(slopes))


def _found(estimate: Estimate) -> str:
    return f"{estimate:.2f}" if np.isfinite(estimate.value) else "(not tested)"


def _figure(raw: pd.DataFrame) -> Figure:
    figure, (axis,) = figures.panels(1)
    names = {"kernel": "kernel, to 99 %", "network": f"network, to 80 % or {MOST_EPOCHS} epochs"}
    for (what, name), colour in zip(names.items(), figures.COLOURS, strict=False):
        own = raw[raw["what"] == what]
        axis.plot(own["depth"], own["seconds"], "o", ms=3, color=colour)
        middle = own.groupby("depth")["seconds"].median()
        axis.plot(middle.index, middle, color=colour, lw=1.2, label=name)
    figures.logarithmic(axis)
    figures.logarithmic(axis, "y")
    figures.label(axis, "depth, hidden layers", "seconds")
    figures.legend(axis)
    return figure
