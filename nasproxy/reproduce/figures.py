"""One look for all figures: sizes for print, no frames, bands for intervals."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike

from nasproxy.ranking.plots import short
from nasproxy.reproduce.statistics import Estimate

COLOURS = ("#1f4e79", "#c8553d", "#3b8c5a", "#8d6cab", "#b08900", "#5b7f95", "#7a7a7a")
"""Told apart by colour-blind readers too, and in grey."""


def panels(columns: int, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of rows × columns panels, and its axes row by row."""
    figure = Figure(figsize=(max(4.6, 3.7 * columns), 3.3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for one in axes.flat:
        one.grid(alpha=0.25, linewidth=0.5)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8)
    return figure, list(axes.flat)


def logarithmic(axes: Axes, which: str = "x") -> None:
    """A logarithmic axis over few decades, its ticks written out: 200, 5k."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Axis labels, with units, and a title; y's at the first of panels that share it."""
    axes.set_xlabel(x, fontsize=9)
    place = axes.get_subplotspec()
    shared = len(axes.get_shared_y_axes().get_siblings(axes)) > 1
    if place is None or place.is_first_col() or not shared:
        axes.set_ylabel(y, fontsize=9)
    if title:
        axes.set_title(title, fontsize=9)


def legend(axes: Axes, **options: Any) -> None:
    """A small legend; nothing where nothing is labelled."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, frameon=False, **options)


def legend_below(axes: Axes, columns: int = 3) -> None:
    """A small legend under all panels, of one's labels: where lines leave no room for it."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    handles, labels = axes.get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": columns}
    figure.legend(handles, labels, fontsize=7, frameon=False, handlelength=3, **place)


def intervals(
    axes: Axes,
    x: ArrayLike,
    estimates: ArrayLike | Sequence[Estimate],
    colour: str,
    marker: str = "o",
    **options: Any,
) -> None:
    """Points with their intervals; estimates are (value, low, high)."""
    # NumPy's stubs do not take a list of named tuples for an array.
    value, low, high = np.asarray(cast(Any, estimates), float).T
    errors = np.maximum([value - low, high - value], 0)
    axes.errorbar(x, value, errors, fmt=marker, color=colour, ms=4, lw=0.8, capsize=1.5, **options)


def band(
    axes: Axes,
    x: ArrayLike,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    colour: str,
    name: str,
    **options: Any,
) -> None:
    """A line with its interval as a band."""
    axes.plot(x, value, color=colour, lw=1.3, label=name, **options)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
