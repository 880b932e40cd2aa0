"""Finite networks: how the Monte-Carlo NNGP comes to the kernel of infinite width."""

from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from nasproxy.kernels import CNNVec
from nasproxy.networks.initialised import Initialised
from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import Estimate, mean, student
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.kernel_scale.study import Study
from search_spaces import ConvolutionalNetworks
from search_spaces.convolutional import Convolutional

CLAIM = (
    "The NNGP of M networks of width w drawn at random, which architectures are scored by (Park et "
    "al.), comes to the kernel of infinite width; by the law of large numbers as 1/√(w·M)."
)
NEEDS = ()
NETWORKS = (Convolutional(3, "flatten"), Convolutional(3, "pool"), Convolutional(8, "pool"))
WIDTHS = (8, 16, 32, 64, 128)
MEMBERS = (1, 2, 4, 8, 16)
REPEATS = 4
"""Ensembles of the most members, none of whose networks is another's."""
IMAGES = 64
SLOPE, NEAR = -0.5, 0.1
"""Of the logarithm of the error by those of w and M, and how near it has to be."""


class Slopes(NamedTuple):
    """Exponents of the error in w and in M, with Student's intervals over ensembles."""

    width: Estimate
    members: Estimate


def run(study: Study) -> Finding:
    images, _ = study.images.subset("train", IMAGES, 0)
    found = pd.concat([errors(network, images) for network in NETWORKS], ignore_index=True)
    space = ConvolutionalNetworks()
    fitted = {space.key(n): slopes(found[found["network"] == space.key(n)]) for n in NETWORKS}
    table = found.groupby(["network", "width", "members"], sort=False)["error"].mean().reset_index()
    return Finding(
        verdict(fitted),
        {"errors": table, "ensembles": found},
        _figure(table),
        (
            f"Error: Frobenius norm of the difference over that of the kernel, {IMAGES} training "
            f"images, {REPEATS} ensembles of {max(MEMBERS)} networks each, seeds 0 to "
            f"{REPEATS * max(MEMBERS) - 1}; fewer members are the mean over the parts of an "
            "ensemble. ReLU, σ_w² = 2, σ_b = 0. Exponents are fitted to all widths and members "
            "together. Weights are truncated normals, as the networks' are: summed over the 27 "
            "numbers of a pixel of the first convolution that is not quite Gaussian, and leaves an "
            "error that no width takes away.",
        ),
    )


def errors(network: Convolutional, images: Float[np.ndarray, "n h w c"]) -> pd.DataFrame:
    """Relative errors of the Monte-Carlo NNGP, by width, members and ensemble."""
    space = ConvolutionalNetworks()
    _, settings = space.infinite_width(network)
    exact = CNNVec(kind="nngp", bias_variance=0.0, dtype="float64", **settings)(images)
    norm, placed, found = np.linalg.norm(exact), jax.device_put(images), []
    for width in WIDTHS:
        graph = ConvolutionalNetworks(width=width).graph(network, images.shape[1:], 2)
        for repeat in range(REPEATS):
            kernels = []
            for member in range(max(MEMBERS)):
                drawn = Initialised.draw(graph, (repeat * max(MEMBERS) + member, width))
                phi = np.asarray(drawn.features(placed), np.float64)[:, : graph.features]
                # The readout's variance is 2 over its inputs, as the kernel's is.
                kernels.append(2 * phi @ phi.T / phi.shape[1])
            for members in MEMBERS:
                parts = np.reshape(kernels, (-1, members, *exact.shape)).mean(1)
                apart = np.linalg.norm(parts - exact, axis=(1, 2)) / norm
                error = float(np.sqrt(np.square(apart).mean()))
                found.append((space.key(network), width, members, repeat, error))
    return pd.DataFrame(found, columns=["network", "width", "members", "ensemble", "error"])


def slopes(frame: pd.DataFrame) -> Slopes:
    """Of one network: least squares of log error on log w and log M, ensemble by ensemble."""
    fits = []
    for _, part in frame.groupby("ensemble"):
        columns = [np.ones(len(part)), np.log(part["width"]), np.log(part["members"])]
        solution = np.linalg.lstsq(np.stack(columns, 1), np.log(part["error"]), rcond=None)[0]
        fits.append(solution[1:])
    by_width, by_members = np.array(fits).T
    return Slopes(
        student(mean(by_width), len(by_width)), student(mean(by_members), len(by_members))
    )


def verdict(fitted: dict[str, Slopes]) -> str:
    """By whether the intervals of all exponents lie within ``NEAR`` of −½."""
    low, high = SLOPE - NEAR, SLOPE + NEAR
    every = [one for both in fitted.values() for one in both]
    if any(one.high < low or one.low > high for one in every):
        word = "does not hold"
    elif all(low <= one.low and one.high <= high for one in every):
        word = "holds"
    else:
        word = "is undecided"
    said = ". ".join(
        f"{name}: error ~ w^{both.width:.2f} M^{both.members:.2f}" for name, both in fitted.items()
    )
    return f"The claim {word}. {said}."


def _figure(table: pd.DataFrame) -> Figure:
    figure, panels = figures.panels(table["network"].nunique(), sharey=True)
    for axes, (name, part) in zip(panels, table.groupby("network", sort=False), strict=True):
        for colour, (members, rows) in zip(figures.COLOURS, part.groupby("members"), strict=False):
            product = rows["width"] * rows["members"]
            axes.plot(
                product, rows["error"], "o-", color=colour, ms=3, lw=1, label=f"M = {members}"
            )
        ends = np.array([part["width"].min(), (part["width"] * part["members"]).max()])
        start = part.loc[part["members"] == 1, "error"].to_numpy()[0]
        axes.plot(ends, start * (ends / ends[0]) ** SLOPE, "k--", lw=0.8, label="(w·M)^−½")
        figures.logarithmic(axes)
        axes.set_yscale("log")
        figures.label(axes, "w·M", "relative error", str(name))
    figures.legend(panels[0])
    return figure
