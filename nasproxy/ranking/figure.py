"""The columns of a store against a truth, as a figure."""

import os
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from nasproxy.errors import SettingError
from nasproxy.ranking import plots
from nasproxy.ranking.labels import labels as labels_of
from nasproxy.ranking.labels import unit
from nasproxy.ranking.measures import Finder
from nasproxy.ranking.pooled import Pooled
from nasproxy.ranking.table import opposed
from nasproxy.store import Store
from nasproxy.store.columns import Run
from nasproxy.truth import tables


def plot_store(
    store: Store,
    truth: pd.Series,
    path: str | os.PathLike[str] | None = None,
    *,
    proxies: Sequence[str] = (),
    labels: Sequence[str] = (),
    truth_label: str = "",
    size: tuple[float, float] | None = None,
    columns: int | None = None,
) -> Figure:
    """Draws the columns of ``rank_store`` against the truth, a panel each.

    Of several seeds each architecture's mean is drawn, which may rank better than they do.

    Args:
        store: what was scored.
        truth: indexed by architecture key.
        path: .png, .pdf or .svg to write, if any.
        proxies: what to draw, in order, as the ranking names it: ``nngp[loo_accuracy]``; six at
            most. By default the columns of most architectures, those of the truth's own computation
            last; the note says if there are more.
        labels: above the panels, one each; by default what tells the columns apart, in words.
        truth_label: of the truth's axis, with units; by default the truth's name.
        size: (width, height) of the figure in inches, as it will stand in print.
        columns: panels in a row; 1 stacks them.

    Returns:
        The figure.

    Raises:
        StoreError, TruthError: as ``rank_store``.
        SettingError: a proxy that fits no column or several; labels that are more or fewer than
            panels; or see :func:`nasproxy.ranking.plots.scatter`.
    """
    lower = bool(truth.attrs.get("lower"))
    pools, every, truth, runs = opposed(store, truth)
    shown = _named(store, every, proxies) if proxies else _first(pools, truth, runs)
    if labels and len(labels) != len(shown):
        raise SettingError(f"{len(labels)} labels of {len(shown)} panels: give one each, or none")
    names = list(labels) or labels_of(shown)
    if len(set(names)) < len(names):
        raise SettingError("two panels have one label: give different ones")
    series = {name: pooled.mean for name, pooled in zip(names, shown, strict=True)}
    abouts = [pooled.about | {"seeds": _seeds(pooled)} for pooled in shown]
    shared = [
        str(abouts[0][part])
        for part in ("space", "data", "seeds")
        if len({about[part] for about in abouts}) == 1
    ]
    drawn = {p.drawn(tables.known(p.mean.index, truth)) for p in shown}
    more = not proxies and len(pools) > len(shown)
    left = f"{len(shown)} of {len(pools)} rows shown; " if more else ""
    return plots.scatter(
        pd.DataFrame(series),
        truth,
        path,
        x_label={n: unit(p.first.meaning.proxy) for n, p in zip(names, shown, strict=True)},
        y_label=(truth_label or str(truth.name or "truth")) + " (lower is better)" * lower,
        lower=[name for name, pooled in zip(names, shown, strict=True) if pooled.first.lower],
        note=f"{left}{', '.join(shared)}; drawn: {' / '.join(sorted(drawn))}; brackets: 95 % "
        "bootstrap intervals over architectures",
        size=size,
        columns=columns,
    )


def _named(store: Store, every: list[Pooled], proxies: Sequence[str]) -> list[Pooled]:
    finder = Finder(store, every)
    found = [measure.source for name in proxies if (measure := finder.one(name))]
    if any(pooled is None for pooled in found):
        raise SettingError("panels show stored proxies: name those that the ranking lists")
    return [pooled for pooled in found if pooled is not None]


def _first(pools: list[Pooled], truth: pd.Series, runs: set[Run]) -> list[Pooled]:
    matched = [p for p in pools if len(tables.known(p.mean.index, truth))]
    matched.sort(key=lambda p: (bool(p.runs & runs), -len(p.mean)))
    return matched[: plots.MAX_PANELS]


def _seeds(pooled: Pooled) -> str:
    return f"mean of {pooled.seed_names}" if len(pooled.seeds) > 1 else pooled.seed_names
