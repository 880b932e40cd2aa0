"""Scores against truth, drawn by matplotlib's object interface: no window, no global state."""

import math
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nasproxy import files, metrics
from nasproxy.checks import Optional, Real, Several, Whole, checked
from nasproxy.errors import SettingError
from nasproxy.pictures import Picture
from nasproxy.truth import tables

MAX_PANELS = 6
MIN_FOR_INTERVAL = 10
"""Below so many architectures there are no intervals: three in perfect order would get [1, 1]."""
MIN_FOR_TOP = 5
"""Below so many there is no discovered performance: its top is one architecture in so many."""
LOG_FROM = 10.0
"""Positive scores get a logarithmic axis from this ratio of their 95th to their 5th percentile."""
_COLOUR = "#1f4e79"
_TITLE_CHARACTERS = 40


def scatter(
    scores: pd.DataFrame | pd.Series,
    truth: pd.Series,
    path: str | os.PathLike[str] | None = None,
    *,
    x_label: str | Mapping[str, str] = "score",
    y_label: str = "truth",
    title: str = "",
    note: str = "",
    lower: Collection[str] = (),
    size: tuple[float, float] | None = None,
    columns: int | None = None,
) -> Figure:
    """Draws truth against scores, a panel a proxy, titled with Kendall's τ and its 95 % interval.

    Positive scores that span decades (see ``LOG_FROM``) get a logarithmic axis, which leaves τ as
    it is. Where many architectures tie, their dots lie over each other. Truths far below the
    others, those of diverged trainings, are counted and marked at the foot of the panel by
    triangles.

    Args:
        scores: indexed by architecture key, a column a panel; NaN is left out.
        truth: indexed likewise.
        path: .png, .pdf or .svg, written whole or not at all; None writes nothing.
        x_label: of every panel, or by column; with units.
        y_label: with units.
        title: above everything.
        note: below everything: how the architectures were drawn, for one.
        lower: columns of scores that are better the lower they are, as a truth is whose
            ``.attrs["lower"]`` is true: τ counts such as turned around.
        size: (width, height) of the figure in inches, 1 to 40; by the number of panels if None.
        columns: panels in a row, 1 or more; three at most if None.

    Returns:
        The figure, which notebooks show.

    Raises:
        SettingError: more than six columns of scores or none, a size out of range, another suffix,
            or a path that cannot be written.
        TruthError: a column shares no key with the truth.
    """
    if path is not None:
        _form(Path(path))
    checked("plot", "size", size, Optional(Several(Real(least=1, most=40), "7/3", count=2)))
    checked("plot", "columns", columns, Optional(Whole()))
    frame = scores.to_frame(scores.name or "score") if isinstance(scores, pd.Series) else scores
    if not 1 <= frame.shape[1] <= MAX_PANELS:
        raise SettingError(f"{frame.shape[1]} columns of scores: give 1 to {MAX_PANELS}")
    panels = [_joined(frame.iloc[:, index], truth) for index in range(frame.shape[1])]
    n_columns = min(len(panels), columns or (2 if len(panels) == 4 else 3))
    n_rows = math.ceil(len(panels) / n_columns)
    own = max(4.8, 3.5 * n_columns), 3.4 * n_rows + 0.3 * bool(title) + 0.3 * bool(note)
    figure = Picture(figsize=size or own, layout="constrained")
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    floor = _floor(np.concatenate([y for _, y in panels]))
    for index, axes in enumerate(grid.flat):
        if index >= len(panels):
            axes.remove()
            continue
        name = str(frame.columns[index])
        label = x_label if isinstance(x_label, str) else x_label.get(name, "score")
        turned = (name in lower) != bool(truth.attrs.get("lower"))
        _panel(axes, *panels[index], name, floor, -1 if turned else 1)
        axes.set_xlabel(_escaped(label), fontsize=9)
        if index % n_columns == 0:
            axes.set_ylabel(_escaped(wrapped(y_label, _TITLE_CHARACTERS)), fontsize=9)
    if title:
        figure.suptitle(_escaped(title), fontsize=11)
    if note:
        figure.supxlabel(_escaped(note), fontsize=8, color="0.3", wrap=True)
    if path is not None:
        save(figure, path)
    return figure


def _joined(scores: pd.Series, truth: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    present, known = (s[np.isfinite(s.to_numpy(np.float64))] for s in (scores, truth))
    joined = tables.join(present.sort_index(), known)
    return joined.scores.to_numpy(np.float64), joined.truth.to_numpy(np.float64)


def _panel(axes: Axes, x: np.ndarray, y: np.ndarray, name: str, floor: float, sign: int) -> None:
    n, low = len(x), y < floor
    if low.any():
        foot = axes.get_xaxis_transform()  # x in its own units, y as a fraction of the panel
        at = np.zeros(low.sum())
        style = {"color": _COLOUR, "ms": 4, "mfc": "none", "mew": 0.6, "clip_on": False}
        axes.plot(x[low], at, "v", transform=foot, **style)
        text = f"▽ {low.sum()} lower, to {y.min():.3g}"
        axes.annotate(text, (0.98, 0.05), xycoords="axes fraction", ha="right", fontsize=7)
    axes.scatter(
        x[~low],
        y[~low],
        s=float(np.clip(600 / n, 4, 16)),
        alpha=float(np.clip(12 / math.sqrt(n), 0.2, 0.8)),
        color=_COLOUR,
        linewidths=0,
        rasterized=n > 2000,  # a vector file stays small
    )
    low, high = np.percentile(x, [5, 95])
    if x.min() > 0 and high >= LOG_FROM * low:
        axes.set_xscale("log")
        subs = (1.0, 3.0) if x.max() < 1000 * x.min() else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
        axes.xaxis.set_minor_formatter(NullFormatter())
    if axes.get_xscale() == "log" or np.abs(x).max() >= 1e4:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, labelleft=True)
    axes.set_title(
        _escaped(f"{wrapped(name, _TITLE_CHARACTERS)}\n{_agreement(sign * x, y)}"), fontsize=9
    )


def _floor(truth: np.ndarray) -> float:
    """Truths below are outliers, as of diverged trainings."""
    low, high = np.percentile(truth, [5, 95])
    return float(low - (high - low) / 2)


def _agreement(x: np.ndarray, y: np.ndarray) -> str:
    n = len(x)
    if n < 2:
        return f"n = {n}"
    tau = metrics.kendall_tau(x, y)
    low, high = metrics.bootstrap(metrics.kendall_tau, x, y, n_resamples=1000)
    if math.isnan(tau):
        return f"τ undefined, n = {n}"
    interval = "" if math.isnan(low) or n < MIN_FOR_INTERVAL else f" [{low:+.2f}, {high:+.2f}]"
    return f"τ = {tau:+.2f}{interval}, n = {n:,}"


def short(value: float) -> str:
    """A number for an axis: 50000 as 50k."""
    for size, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size <= abs(value) < 1e18:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def wrapped(name: str, width: int) -> str:
    """Broken after commas and before brackets into lines of ``width``, where that goes."""
    lines = [""]
    for part in re.split(r"(?<=[,\n])|(?=\[)", name):
        if lines[-1] and (len(lines[-1] + part) > width or lines[-1].endswith("\n")):
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip("\n") for line in lines)


def _escaped(text: str) -> str:
    """So that a $ in a name starts no formula."""
    return text.replace("$", r"\$")


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure to a .png, .pdf or .svg file, whole or not at all.

    Raises:
        SettingError: another suffix, or a path that cannot be written.
    """
    path = Path(path)
    form = _form(path)
    try:
        with files.replacing(path) as file:
            figure.savefig(file, format=form, dpi=200)
    except OSError as error:
        raise SettingError(f"{path} cannot be written ({error}): check the folder") from error


def check_path(path: str | os.PathLike[str]) -> None:
    """Raises SettingError where :func:`save` would, before there is a figure."""
    path = Path(path)
    _form(path)
    try:
        files.check_place(path)
    except OSError as error:
        raise SettingError(f"{path} cannot be written ({error}): check the folder") from error


def _form(path: Path) -> str:
    form = path.suffix.lower().removeprefix(".")
    if form not in ("png", "pdf", "svg"):
        raise SettingError(f"{path.name} ends in {path.suffix!r}: give a .png, .pdf or .svg file")
    return form
