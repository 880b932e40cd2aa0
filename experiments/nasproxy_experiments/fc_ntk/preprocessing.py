"""Spectrum by preprocessing: how far the ratio of eigenvalues depends on how pixels are scaled."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy.linalg import eigvalsh

from nasproxy.data import Dataset
from nasproxy.kernels import FullyConnected
from nasproxy.reproduce import figures
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.fc_ntk.spectrum import DEPTH, MOST
from nasproxy_experiments.fc_ntk.study import Study

CLAIM = (
    "Setting the first 1,000 of 5,000 eigenvalues of the 2-layer ReLU NTK to the last of them "
    "accelerates gradient descent by λ_1/λ_1000, of the order of 10⁴. The paper does not say how "
    "it scales pixels."
)
NEEDS = ()
Images = Float[np.ndarray, "n d"]


def unit(x: Images) -> Images:
    """Each image of norm √d, which a standardised one has on average."""
    return x * math.sqrt(x.shape[1]) / np.linalg.norm(x, axis=1, keepdims=True)


SCALINGS: dict[str, Callable[[Images, Images], Images]] = {
    "standardised": lambda x, pixels: x,
    "standardised, unit norm": lambda x, pixels: unit(x),
    "0 to 1": lambda x, pixels: pixels,
    "0 to 1, unit norm": lambda x, pixels: unit(pixels),
}
"""Of standardised images, and of the same with pixels from 0 to 1."""


def run(study: Study) -> Finding:
    n = min(MOST, study.points)
    top = n // 5
    given, pixels = images(study.pools["whole"].images, n)
    rows, spectra = [], {}
    for name, scaled in SCALINGS.items():
        matrix = np.asarray(FullyConnected(DEPTH)(scaled(given, pixels)), np.float64)
        spectra[name] = spectrum = eigvalsh(matrix)[::-1]
        rows.append(
            {
                "preprocessing": name,
                "images": n,
                "k": top,
                "λ_1/λ_k": spectrum[0] / spectrum[top - 1],
                "log10": math.log10(spectrum[0] / spectrum[top - 1]),
                "λ_1's share of the trace": spectrum[0] / spectrum.sum(),
            }
        )
    table = pd.DataFrame(rows)
    said = "; ".join(
        f"{row['λ_1/λ_k']:,.0f} for {row['preprocessing']}" for row in table.to_dict("records")
    )
    return Finding(
        f"λ_1/λ_k is {said} (k = {top:,} of {n:,} images). {spread(table['log10'])}",
        {
            "preprocessing": table,
            "spectra": pd.DataFrame({"index": np.arange(1, n + 1), **spectra}),
        },
        _figure(spectra, top),
        (
            "The same images in each row, class-balanced. Standardised: less the mean, by the "
            "deviation, of each channel over all training images. 0 to 1: the pixels as they are "
            "stored, over the largest. Unit norm: each image then scaled to norm √d, for d "
            f"numbers. Kernel: NTK of depth {DEPTH}, σ_w² = 2, σ_b² = .01, so that the bias "
            "weighs more where pixels are small. Rule: the order is 10⁴ if log10 lies between "
            "3.5 and 4.5 by every preprocessing, is not if it does by none, and is undecided "
            "otherwise, since the paper does not say which is its.",
        ),
    )


def images(source: Dataset, n: int) -> tuple[Images, Images]:
    """Standardised, and with pixels from 0 to 1; ``[n, d]`` both."""
    x, _ = source.subset("train", n, 0)
    pixels = x * source.std + source.mean
    return x.reshape(n, -1), (pixels / pixels.max()).reshape(n, -1)


def spread(logarithms: pd.Series) -> str:
    """How far preprocessing moves the ratio."""
    factor = 10 ** (logarithms.max() - logarithms.min())
    return f"Preprocessing alone moves it by a factor of {factor:,.1f}."


def _figure(spectra: dict[str, np.ndarray], top: int) -> Figure:
    figure, (axis,) = figures.panels(1)
    for (name, spectrum), colour in zip(spectra.items(), figures.COLOURS, strict=False):
        index = np.arange(1, len(spectrum) + 1)
        axis.loglog(index, spectrum / spectrum[0], color=colour, lw=1.3, label=name)
    axis.axvline(top, color="black", lw=0.8, ls=":")
    figures.label(axis, "index", "eigenvalue, over the largest")
    figures.legend(axis)
    return figure
