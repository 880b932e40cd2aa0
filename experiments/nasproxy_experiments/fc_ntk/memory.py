"""Memory against the number of images: does stochastic descent take what grows with p, not p²?"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nasproxy.errors import SettingError
from nasproxy.kernels import FullyConnected
from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import Estimate, columns, mean, student
from nasproxy.reproduce.suites import Finding
from nasproxy.solvers import EigenProClassifier
from nasproxy_experiments.fc_ntk.spectrum import DEPTH
from nasproxy_experiments.fc_ntk.study import Study

CLAIM = (
    "Stochastic preconditioned descent reduces memory to O(ps + pk): s rows of the kernel at a "
    "time, and k eigenvectors."
)
NEEDS = ()
MOST, HALVED, FEWEST = 20_000, 4, 1000
"""Images at most, and numbers of them: each half of the one before, no fewer than the last."""
REPEATS = 3
BATCH, TOP, SUBSAMPLE = 256, 128, 512
"""The paper's s and k, and the points that eigenvectors come from, whatever p is."""
LINEAR = 1.25
"""Exponent of p below which memory is said to grow with it, and not with its square."""


def run(study: Study) -> Finding:
    images = study.pools["whole"].images
    most = min(MOST, len(images.balanced_order("train", 0)))
    sizes = [most >> halvings for halvings in reversed(range(HALVED))]
    sizes = [p for p in sizes if p >= FEWEST] if sizes[-2] >= FEWEST else sizes[-2:]
    x, labels = images.subset("train", most, 0)
    raw = measured(x, labels, sizes)
    rows = []
    for p in sizes:
        own = raw.loc[raw["images"] == p, "MiB"]
        found = columns("MiB", student(mean(own), len(own)))
        rows.append({"images": p} | found | {"whole kernel, MiB": 4 * p**2 / 2**20})
    table, power = pd.DataFrame(rows), exponent(raw)
    last = table.iloc[-1]
    return Finding(
        f"Memory grows as p to the power {power:.2f}; {int(last['images']):,} images take "
        f"{last['MiB']:.0f} MiB, their whole kernel {last['whole kernel, MiB']:.0f}.",
        {"memory": table, "raw": raw},
        _figure(raw),
        (
            f"NTK of depth {DEPTH}, float32; EigenPro for one epoch, batches of {BATCH} images "
            f"(the paper's s), k = {TOP} from {SUBSAMPLE} of the images, no kernel kept. Each "
            "fit has a process of its own, in which one of few images has run before; its memory "
            "is the most that was resident while it ran, less what was when it began: so beside "
            "kernel and coefficients it holds copies of the images, which grow with p too. Rule: "
            "the claim holds if the exponent of p, by Student's interval over repeats, is below "
            f"{LINEAR:g}.",
        ),
    )


def measured(x: NDArray[np.float32], labels: NDArray[np.int64], sizes: list[int]) -> pd.DataFrame:
    """The most memory of fits to the first so many images, a row each."""
    spawn = multiprocessing.get_context("spawn")
    rows = []
    for repeat in range(REPEATS):
        for p in sizes:
            with ProcessPoolExecutor(1, mp_context=spawn) as one:
                found = one.submit(_fit, x[:p], labels[:p], repeat).result()
            rows.append({"images": p, "repeat": repeat, "MiB": found})
    return pd.DataFrame(rows)


def _fit(x: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> float:
    few = SUBSAMPLE + BATCH

    def fit(images: NDArray[np.float32], given: NDArray[np.int64]) -> None:
        EigenProClassifier(
            FullyConnected(DEPTH),
            top=TOP,
            subsample=SUBSAMPLE,
            batch=BATCH,
            memory=0.0,
            epochs=1,
            tolerance=0.0,
            seed=seed,
        ).fit(images, given)

    fit(x[:few], labels[:few])  # Compiles.
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # The most so far is forgotten.
    fit(x, labels)
    return resident("VmHWM") - before


def resident(name: str) -> float:
    """MiB by Linux's name for it.

    Raises:
        SettingError: there is no such number.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    if not found:
        raise SettingError(f"{name}: only Linux says how much memory was resident: run it there")
    return int(found[0]) / 1024


def exponent(raw: pd.DataFrame) -> Estimate:
    """Of p, in the most memory, over repeats."""
    wide = raw.pivot_table(index="repeat", columns="images", values="MiB")
    logs = np.log(np.maximum(wide.to_numpy(), 1e-3))
    slopes = np.polyfit(np.log(wide.columns.to_numpy(float)), logs.T, 1)[0]
    return student(mean(slopes), len(slopes))


def _figure(raw: pd.DataFrame) -> Figure:
    figure, (axis,) = figures.panels(1)
    axis.plot(raw["images"], raw["MiB"], "o", ms=4, color=figures.COLOURS[0], label="descent")
    p = np.unique(raw["images"])
    axis.plot(p, 4 * p.astype(float) ** 2 / 2**20, color="black", lw=1, label="the whole kernel")
    figures.logarithmic(axis)
    figures.logarithmic(axis, "y")
    figures.label(axis, "images, p", "MiB")
    figures.legend(axis)
    return figure
