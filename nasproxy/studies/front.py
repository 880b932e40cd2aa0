"""The trials of a study as a table, and its Pareto front as a table and as a picture."""

import math
import os
from itertools import combinations
from typing import Any

import numpy as np
import optuna
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from optuna.study import StudyDirection
from optuna.trial import TrialState

from nasproxy.errors import SettingError
from nasproxy.metrics import pareto_front
from nasproxy.pictures import Picture
from nasproxy.ranking import plots
from nasproxy.studies import marks

_OTHER, _FRONT = "#9aa7b5", "#1f4e79"


def trials(study: optuna.Study) -> pd.DataFrame:
    """Every trial that is done, as a table.

    Returns:
        A row a trial: ``trial`` (its number), ``architecture`` (key), a column an objective (NaN
        of a trial that failed or was pruned), ``state`` (complete, pruned or failed), ``front``
        (whether nothing beats it in everything; the first of equal architectures alone),
        ``screened`` where there is a screen, ``seconds``, ``failed`` (the reason) and
        ``architecture_json``. Interrupted trials are left out. ``.attrs["names"]`` lists the
        objectives, ``.attrs["lower"]`` those of them that are minimised.

    Raises:
        SettingError: a column of the table already has an objective's name.
    """
    names = _names(study)
    done = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    rows: list[dict[str, Any]] = []
    for trial in study.get_trials(deepcopy=False, states=done):
        if marks.interrupted(trial):
            continue
        complete = trial.state == TrialState.COMPLETE
        values = trial.values if complete else [math.nan] * len(names)
        said = trial.user_attrs
        rows.append(
            {"trial": trial.number, "architecture": said.get(marks.ARCHITECTURE)}
            | dict(zip(names, values, strict=True))
            | {"state": "failed" if trial.state == TrialState.FAIL else trial.state.name.lower()}
            | {name: said.get(name) for name in (marks.SCREENED, marks.SECONDS, marks.FAILED)}
            | {marks.JSON: said.get(marks.JSON)}
        )
    columns = ["trial", "architecture", *names, "state", marks.SCREENED, marks.SECONDS]
    table = pd.DataFrame(rows, columns=pd.Index([*columns, marks.FAILED, marks.JSON]))
    floats = dict.fromkeys([*names, marks.SCREENED, marks.SECONDS], "float64")
    table = table.astype({"trial": "int64"} | floats)
    if table[marks.SCREENED].isna().all():
        table = table.drop(columns=marks.SCREENED)
    directions = study.directions
    lower = [n for n, d in zip(names, directions, strict=True) if d == StudyDirection.MINIMIZE]
    front = np.zeros(len(table), dtype=bool)
    first = table["architecture"].isna() | ~table["architecture"].duplicated()
    places = np.flatnonzero((table["state"] == "complete") & first)
    signs = np.array([-1.0 if name in lower else 1.0 for name in names])
    front[places] = pareto_front(table[names].to_numpy()[places] * signs)
    table.insert(list(table.columns).index("state") + 1, "front", front)
    table.attrs |= {"names": names, "lower": lower}
    return table


def front(study: optuna.Study) -> pd.DataFrame:
    """The Pareto front: trials that no other one beats in everything, by the first objective.

    Of one objective these are the best, and those that equal it.

    Returns:
        As :func:`trials`, without the columns ``front``, ``state`` and ``failed``.
    """
    table = trials(study)
    names, lower = table.attrs["names"], table.attrs["lower"]
    best = table[table["front"]].drop(columns=["front", "state", marks.FAILED])
    upwards = [name in lower for name in names]
    return best.sort_values(names, ascending=upwards, kind="stable", ignore_index=True)


def plot(study: optuna.Study, path: str | os.PathLike[str] | None = None) -> Picture:
    """Draws a study: objectives against each other with the front; or of one, its history.

    Args:
        study: with at least one trial that has a score.
        path: .png, .pdf or .svg to write as well.

    Returns:
        The figure, which a notebook shows.

    Raises:
        SettingError: nothing to draw, more than four objectives, another suffix, or a path that
            cannot be written.
    """
    table = trials(study)
    names: list[str] = table.attrs["names"]
    shown = table[table["state"] == "complete"]
    if shown.empty:
        raise SettingError(f"study {study.study_name!r} has no trial with a score: run it first")
    pairs = list(combinations(names, 2))
    if len(pairs) > plots.MAX_PANELS:
        raise SettingError(f"{len(names)} objectives: at most four can be drawn")
    panels = max(1, len(pairs))
    columns = min(3, panels)
    rows = math.ceil(panels / columns)
    figure = Picture(figsize=(max(4.8, 3.6 * columns), 3.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    if len(names) == 1:
        _history(grid[0, 0], shown, names[0], lower=names[0] in table.attrs["lower"])
    for (x, y), axes in zip(pairs, grid.flat, strict=False):
        _pair(axes, shown, x, y, table.attrs["lower"])
    for axes in grid.flat[panels:]:
        axes.remove()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if np.abs(axis.get_view_interval()).max() >= 1e4:
                axis.set_major_formatter(FuncFormatter(lambda value, _: plots.short(value)))
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    counts = table["state"].value_counts()
    said = ", ".join(f"{n:,} {state}" for state, n in counts.items())
    figure.supxlabel(f"{len(table):,} trials: {said}", fontsize=8, color="0.3")
    if path is not None:
        plots.save(figure, path)
    return figure


def _pair(axes: Axes, shown: pd.DataFrame, x: str, y: str, lower: list[str]) -> None:
    on = shown["front"]
    axes.scatter(shown.loc[~on, x], shown.loc[~on, y], s=12, color=_OTHER, linewidths=0)
    best = shown[on].sort_values([x, y])
    axes.scatter(best[x], best[y], s=22, color=_FRONT, linewidths=0, label="Pareto front")
    if len(shown.attrs.get("names", (x, y))) == 2:
        # Up to the next: nothing is known between two of the front.
        where = "post" if x in lower else "pre"
        axes.step(best[x], best[y], where=where, color=_FRONT, linewidth=0.8)
    axes.set_xlabel(_label(x, lower), fontsize=9)
    axes.set_ylabel(_label(y, lower), fontsize=9)
    axes.legend(fontsize=7, frameon=False)


def _history(axes: Axes, shown: pd.DataFrame, name: str, *, lower: bool) -> None:
    axes.scatter(shown["trial"] + 1, shown[name], s=12, color=_OTHER, linewidths=0)
    best = shown[name].cummin() if lower else shown[name].cummax()
    axes.step(shown["trial"] + 1, best, where="post", color=_FRONT, label="best so far")
    axes.set_xlabel("trial", fontsize=9)
    axes.set_ylabel(_label(name, [name] * lower), fontsize=9)
    axes.legend(fontsize=7, frameon=False)


def _label(name: str, lower: list[str]) -> str:
    said = plots.wrapped(name, 40).replace("$", r"\$")
    return f"{said} (lower is better)" if name in lower else said


def _names(study: optuna.Study) -> list[str]:
    names = study.metric_names or [f"value{i + 1}" for i in range(len(study.directions))]
    taken = {"trial", "architecture", "state", "front", *(marks.SCREENED, marks.SECONDS)}
    taken |= {marks.FAILED, marks.JSON}
    if clash := taken & set(names):
        raise SettingError(f"objective {min(clash)!r} has a column's name: give it another")
    return list(names)
