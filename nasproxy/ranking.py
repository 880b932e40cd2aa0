"""The ranking table: how well stored scores order architectures, and what they cost.

No correlation stands alone: each row says how many architectures it is over and how they were
drawn, and gives an interval. The same from a notebook, without a store::

    frame = score(cells, space, [NNGP(), Params()], data)
    pd.DataFrame([rank(frame[name], truth) for name in ("nngp", "params")])
"""

import math
import os
from typing import NamedTuple

import numpy as np
import pandas as pd

from nasproxy import metrics, plots
from nasproxy import truth as tables
from nasproxy.errors import SettingError
from nasproxy.proxies import PROXIES
from nasproxy.proxies.base import parse_settings
from nasproxy.rendering import render
from nasproxy.store import Store
from nasproxy.stored_columns import CONTEXT, agrees, means, opposed, parsed, place, read_columns
from search_spaces import SPACES
from search_spaces.base import Tabular

TOP = 10
_LISTED = 10  # candidates in an error message

__all__ = [
    "Ranking",
    "plot_store",
    "rank",
    "rank_store",
    "read_truth",
    "render",
    "truth_from_store",
]


class Ranking(NamedTuple):
    """How one column of scores ranks; NaN where `n` architectures are too few, or all tie.

    Attributes:
        n: architectures that have a score and a truth.
        kendall_tau: τ_b; `_low` and `_high` bound its 95 % bootstrap interval over architectures.
        pearson: r, likewise.
        spearman: ρ.
        pqetp: AUROC of the score as classifier of truth > `threshold`.
        threshold: λ, in truth's units.
        discovered: best truth among the `top` by score, mean over 10 random subsets of `subset`
            architectures, half of them all; truth's units.
        discovered_error: its standard error over those subsets. They overlap, so it understates how
            much another draw of architectures would differ.
        top, subset: see `discovered`; min(10, n // 5) and n // 2.
        failed: architectures without a finite score.
        unmatched: architectures with a score and no truth.
    """

    n: int
    kendall_tau: float = math.nan
    kendall_tau_low: float = math.nan
    kendall_tau_high: float = math.nan
    pearson: float = math.nan
    pearson_low: float = math.nan
    pearson_high: float = math.nan
    spearman: float = math.nan
    pqetp: float = math.nan
    threshold: float = math.nan
    discovered: float = math.nan
    discovered_error: float = math.nan
    top: int = 0
    subset: int = 0
    failed: int = 0
    unmatched: int = 0


def rank(
    scores: pd.Series,
    truth: pd.Series,
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Every measure of one column of scores against the truth, both indexed by architecture key.

    Scores and truths that are not finite are left out, and the scores counted as failed.

    Args:
        scores: larger means predicted better.
        truth: larger means better.
        threshold: λ of PQETP, in truth's units; or
        percentile: λ is this percentile of the truth ranked against; the median by default.
        n_resamples: bootstrap resamples of an interval, each O(n log n).
        seed: of the bootstrap and of the subsets of discovered performance.

    Raises:
        TruthError: no key is in both, or one occurs twice.
        SettingError: a λ that is none, or two.
    """
    present, known = (s[np.isfinite(s.to_numpy(np.float64))] for s in (scores, truth))
    joined = tables.join(present.sort_index(), known)  # so that no number depends on their order
    x, y = joined.scores.to_numpy(np.float64), joined.truth.to_numpy(np.float64)
    n = len(x)
    ranking = Ranking(n, failed=len(scores) - len(present), unmatched=joined.unmatched_scores)
    if n < 2:
        return ranking
    if percentile is None and threshold is None:
        percentile = 50.0
    pqetp = metrics.pqetp(x, y, threshold, percentile=percentile)
    if percentile is not None:
        threshold = float(np.percentile(y, percentile))
    assert threshold is not None
    ranking = ranking._replace(
        kendall_tau=metrics.kendall_tau(x, y),
        pearson=metrics.pearson(x, y),
        spearman=metrics.spearman(x, y),
        pqetp=pqetp,
        threshold=threshold,
    )
    if n >= plots.MIN_FOR_INTERVAL:
        tau, r = (
            metrics.bootstrap(statistic, x, y, n_resamples=n_resamples, seed=seed)
            for statistic in (metrics.kendall_tau, metrics.pearson)
        )
        ranking = ranking._replace(
            kendall_tau_low=tau.low,
            kendall_tau_high=tau.high,
            pearson_low=r.low,
            pearson_high=r.high,
        )
    top = min(TOP, n // plots.MIN_FOR_TOP)
    if top:
        found = metrics.discovered_performance(
            x, y, top=top, subset=n // 2, n_subsets=metrics.N_SUBSETS, seed=seed
        )
        ranking = ranking._replace(
            discovered=found.mean,
            discovered_error=found.standard_error,
            top=top,
            subset=n // 2,
        )
    return ranking


def rank_store(
    store: Store,
    truth: pd.Series,
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Ranks all that a store holds: a row each (space, proxy, data, seed) and further column.

    Args:
        store: what was scored.
        truth: indexed by architecture key; `.name` says what it is. The column that a truth of
            `truth_from_store` comes from is left out, others of the same computation are marked.
        threshold, percentile, n_resamples, seed: as in `rank`.

    Returns:
        Within each `space`, `data`, `seed` and `drawn` the best τ first, signs kept. Columns are
        those of `Ranking`, and:

        - ``proxy``, ``space``: with the settings that are not defaults; ``data``, ``seed``;
        - ``drawn``: how the ranked architectures were drawn, several ways separated by semicolons,
          ``unknown`` where the store does not say;
        - ``same_run``: whether the truth is of the same computation (test accuracy, say, beside a
          truth of validation accuracy), so that the row is no independent proxy;
        - ``truth``: its name;
        - ``seconds``, ``flops``: median and mean cost of scoring an architecture, of the whole
          computation where it gave several columns.

        A row without a match is there, with n = 0 and NaN.

    Raises:
        StoreError: there is nothing to rank.
        TruthError: no scored architecture at all has a truth.
        SettingError: a λ that is none, or two.
    """
    columns, truth, run = opposed(store, truth)
    matched = [column.series[tables.known(column.series.index, truth)] for column in columns]
    rows = []
    for column, known in zip(columns, matched, strict=True):
        ranking = Ranking(0, unmatched=len(column.series))
        if len(known):
            ranking = rank(
                column.series,
                truth,
                threshold=threshold,
                percentile=percentile,
                n_resamples=n_resamples,
                seed=seed,
            )
        ranking = ranking._replace(failed=column.failed)
        drawn = column.drawn(known.index if len(known) else column.series.index)
        cost = {"seconds": column.seconds, "flops": column.flops}
        about = {"drawn": drawn, "truth": str(truth.name or "truth"), "same_run": column.run == run}
        rows.append(column.about | about | ranking._asdict() | cost)
    frame = pd.DataFrame(rows)
    by = [*CONTEXT, "kendall_tau"]
    upwards = [*(True for _ in CONTEXT), False]
    return frame.sort_values(by, ascending=upwards, kind="stable", ignore_index=True)


def plot_store(store: Store, truth: pd.Series, path: str | os.PathLike[str]) -> None:
    """Draws the columns of `rank_store` against the truth, six at most, and says if there are more.

    Those of the truth's own computation come last, otherwise those of most architectures first.

    Raises:
        StoreError, TruthError: as `rank_store`.
        SettingError: the path cannot be written, or has another suffix than .png, .pdf and .svg.
    """
    columns, truth, run = opposed(store, truth)
    matched = [c for c in columns if len(tables.known(c.series.index, truth))]
    shown = sorted(matched, key=lambda c: (c.run == run, -len(c.series)))[: plots.MAX_PANELS]
    varying = [
        part for part in ("space", "data", "seed") if len({c.about[part] for c in columns}) > 1
    ]
    series, labels = {}, {}
    for column in shown:
        title = "\n".join([column.about["proxy"], *(f"{p} {column.about[p]}" for p in varying)])
        while title in series:  # one setting, scored alone and as a column of several
            title += " (again)"
        series[title] = column.series
        kind = column.about["proxy"].partition(":")[0].partition("[")[0]
        labels[title] = getattr(PROXIES.get(kind), "unit", "score")
    about = shown[0].about
    fixed = [
        f"{p} {about[p]}" if p == "seed" else str(about[p])
        for p in ("space", "data", "seed")
        if p not in varying
    ]
    drawn = {c.drawn(tables.known(c.series.index, truth)) for c in shown}
    left = f"{len(shown)} of {len(columns)} rows shown; " if len(columns) > len(shown) else ""
    plots.scatter(
        pd.DataFrame(series),
        truth,
        path,
        x_label=labels,
        y_label=str(truth.name or "truth"),
        title=", ".join(fixed),
        note=f"{left}drawn: {' / '.join(sorted(drawn))}; brackets: 95 % bootstrap intervals",
    )


def read_truth(text: str, store: Store, key: str | None = None) -> pd.Series:
    """A truth from ``FILE:COLUMN`` (.parquet or .csv) or from the store's own scores by a proxy.

    A table may name architectures by the columns of the scored spaces' own benchmarks.

    Raises:
        TruthError: see `nasproxy.truth.read`.
        SettingError: see `truth_from_store`.
    """
    if not any(suffix in text.lower() for suffix in (".parquet", ".csv")):
        return truth_from_store(store, text)
    path, column = tables.parse_spec(text)
    names = {parse_settings(group.space)[0] for group in store.groups()}
    scored = [kind() for name, kind in SPACES.items() if name in names]
    tabular = [space for space in scored if isinstance(space, Tabular)]
    return tables.read(path, column, key, tabular).rename(f"{path.name}:{column}")


def truth_from_store(
    store: Store,
    proxy: str,
    *,
    space: str | None = None,
    data: str | None = None,
    seed: int | None = None,
) -> pd.Series:
    """One column of a store's scores as truth, indexed by architecture key, failed ones left out.

    Args:
        store: where they are.
        proxy: as `rank_store` names them, ``training:epochs=4`` or ``training[test_accuracy]``; or
            as the store does, with every setting. Settings that leave one column may be left out.
        space, data, seed: narrow it down, likewise; data by its name or ``name@fingerprint``.

    Raises:
        SettingError: none or several columns fit; lists them.
    """
    columns = [c for c in read_columns(store) if len(c.series)]
    if not columns:
        raise SettingError(f"truth {proxy!r}: {place(store)} holds no scores; score first")
    fitting = [
        c
        for c in columns
        if (proxy == c.full or means(proxy, c))
        and (space is None or agrees(parse_settings(space), parsed(c.run[0])))
        and (data is None or data in (c.run[2], c.run[2].partition("@")[0]))
        and (seed is None or seed == c.run[3])
    ]
    exact = [c for c in fitting if proxy in (c.full, c.about["proxy"])]
    found = exact if len(exact) == 1 else fitting
    if len(found) != 1:
        listed = [
            "{proxy} ({space}, {data}, seed {seed})".format(**c.about) for c in found or columns
        ]
        more = [f"and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
        raise SettingError(
            f"truth {proxy!r} fits {len(found)} columns of {place(store)}: name one of "
            + "; ".join(listed[:_LISTED] + more)
        )
    (column,) = found
    about = column.about
    name = f"{about['proxy']}, {about['space']}, {about['data']}, seed {about['seed']}"
    truth = column.series.rename(name).rename_axis("architecture")
    truth.attrs["column"] = (column.run, column.column)
    return truth
