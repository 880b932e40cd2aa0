"""Pictures of scores against truth, by matplotlib's object interface: no window, no global state."""

import io
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nasproxy import metrics
from nasproxy import truth as tables
from nasproxy.errors import SettingError

MAX_PANELS = 6
LOG_FROM = 10.0
"""An axis of positive scores is logarithmic where the largest is so many times the smallest."""
_COLOUR = "#1f4e79"


def scatter(
    scores: pd.DataFrame | pd.Series,
    truth: pd.Series,
    path: str | os.PathLike[str],
    *,
    x_label: str | Mapping[str, str] = "score",
    y_label: str = "truth",
    title: str = "",
    note: str = "",
) -> None:
    """Draws truth against scores, a panel a proxy, titled with Kendall's τ and its 95 % interval.

    A score that spans a decade or more, all of it positive, gets a logarithmic axis, which leaves τ as
    it is. Where many architectures share a score their dots grow fainter, never displaced.

    Args:
        scores: indexed by architecture key, a column a panel; NaN is left out.
        truth: indexed likewise.
        path: .png, .pdf or .svg; written whole or not at all.
        x_label: of every panel, or by column; with units.
        y_label: with units.
        title: above everything.
        note: below everything: how the architectures were drawn, for one.

    Raises:
        SettingError: more than six columns or none, another suffix, a folder that cannot be written.
        TruthError: a column shares no key with the truth.
    """
    path = Path(path)
    form = path.suffix.lower().removeprefix(".")
    if form not in ("png", "pdf", "svg"):
        raise SettingError(f"{path.name} ends in {path.suffix!r}: give a .png, .pdf or .svg file")
    frame = scores.to_frame(scores.name or "score") if isinstance(scores, pd.Series) else scores
    if not 1 <= frame.shape[1] <= MAX_PANELS:
        raise SettingError(f"{frame.shape[1]} columns of scores: give 1 to {MAX_PANELS}")
    n_columns = min(3, frame.shape[1]) if frame.shape[1] != 4 else 2
    n_rows = math.ceil(frame.shape[1] / n_columns)
    figure = Figure(
        figsize=(max(4.8, 3.5 * n_columns), 3.4 * n_rows + 0.3 * bool(title) + 0.3 * bool(note)),
        layout="constrained",
    )
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= frame.shape[1]:
            axes.remove()
            continue
        name = str(frame.columns[index])
        label = x_label if isinstance(x_label, str) else x_label.get(name, "score")
        _panel(axes, frame.iloc[:, index], truth, name)
        axes.set_xlabel(_escaped(label))
        if index % n_columns == 0:
            axes.set_ylabel(_escaped(y_label))
    if title:
        figure.suptitle(_escaped(title), fontsize=11)
    if note:
        figure.supxlabel(_escaped(note), fontsize=8, color="0.3", wrap=True)
    _write(figure, path, form)


def _panel(axes: Axes, scores: pd.Series, truth: pd.Series, name: str) -> None:
    present, known = (s[np.isfinite(s.to_numpy(np.float64))] for s in (scores, truth))
    joined = tables.join(present, known)
    x, y = joined.scores.to_numpy(np.float64), joined.truth.to_numpy(np.float64)
    n = len(x)
    axes.scatter(
        x,
        y,
        s=float(np.clip(600 / n, 4, 16)),
        alpha=float(np.clip(12 / math.sqrt(n), 0.12, 0.8)),
        color=_COLOUR,
        linewidths=0,
        rasterized=n > 2000,  # a vector file stays small
    )
    if x.min() > 0 and x.max() >= LOG_FROM * x.min():
        axes.set_xscale("log")
        decades = math.log10(x.max() / x.min())
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if decades < 3 else (1.0,)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, labelleft=True)
    axes.set_title(_escaped(f"{name}\n{_agreement(x, y)}"), fontsize=9)


def _agreement(x: np.ndarray, y: np.ndarray) -> str:
    n = len(x)
    if n < 2:
        return f"n = {n}"
    tau = metrics.kendall_tau(x, y)
    low, high = metrics.bootstrap(metrics.kendall_tau, x, y, n_resamples=1000)
    if math.isnan(tau):
        return f"τ undefined, n = {n}"
    interval = "" if math.isnan(low) or n < 10 else f" [{low:+.2f}, {high:+.2f}]"
    return f"τ = {tau:+.2f}{interval}, n = {n:,}"


def _short(value: float) -> str:
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def _escaped(text: str) -> str:
    """So that a $ in a name starts no formula."""
    return text.replace("$", r"\$")


def _write(figure: Figure, path: Path, form: str) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=200)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(buffer.getvalue())
        os.replace(temporary, path)
    except OSError as error:
        raise SettingError(f"{path} cannot be written ({error}): check the folder") from error
    finally:
        temporary.unlink(missing_ok=True)
