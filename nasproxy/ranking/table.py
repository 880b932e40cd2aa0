"""The ranking table: how well stored scores order architectures, and what they cost.

No correlation stands alone: each row says how many architectures it is over and how they were
drawn, and gives an interval. The same from a notebook, without a store::

    frame = score(cells, space, [NNGP(), Params()], data)
    pd.DataFrame([rank(frame[name], truth) for name in ("nngp", "params")])
"""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy import metrics
from nasproxy.checks import Optional, Real, checked
from nasproxy.errors import StoreError, TruthError
from nasproxy.plugins import PROXIES
from nasproxy.ranking import plots
from nasproxy.store import Store
from nasproxy.store.columns import CONTEXT, Column, Run, place, read_columns
from nasproxy.truth import tables

TOP = 10
_LEFT_OUT = ("missing", "repeated", "mended", "foreign")


class Ranking(NamedTuple):
    """How one column of scores ranks; NaN where ``n`` architectures are too few, or all tie.

    Attributes:
        n: architectures that have a score and a truth.
        kendall_tau: τ_b; ``_low`` and ``_high`` bound its 95 % bootstrap interval over
            architectures.
        pearson: r, likewise.
        spearman: ρ.
        pqetp: AUROC of the score as classifier of truth > ``threshold``.
        threshold: λ, in truth's units.
        discovered: best truth among the ``top`` by score, mean over 10 random subsets of ``subset``
            architectures, half of them all; truth's units.
        discovered_error: its standard error over those subsets. They overlap, so it understates how
            much another draw of architectures would differ.
        top, subset: see ``discovered``; min(10, n // 5) and n // 2.
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
        scores: larger means predicted better; where ``.attrs["lower"]`` is true, smaller.
        truth: larger means better; likewise.
        threshold: λ of PQETP, in truth's units; or
        percentile: λ is this percentile of the truth ranked against, from the worst; the median by
            default.
        n_resamples: bootstrap resamples of an interval, each O(n log n).
        seed: of the bootstrap and of the subsets of discovered performance.

    Raises:
        TruthError: no key is in both, or one occurs twice; no keys at all, or values that are no
            numbers.
        SettingError: a λ that is none, or two.
    """
    checked("rank", "threshold", threshold, Optional(Real()))
    scores, truth = _numbers("scores", scores), _numbers("truth", truth)
    signs = [-1.0 if s.attrs.get("lower") else 1.0 for s in (scores, truth)]
    present, known = (s[np.isfinite(s.to_numpy(np.float64))] for s in (scores, truth))
    joined = tables.join(present.sort_index(), known)  # so that no number depends on their order
    x, y = (s.to_numpy(np.float64) * sign for s, sign in zip(joined[:2], signs, strict=True))
    n = len(x)
    ranking = Ranking(n, failed=len(scores) - len(present), unmatched=joined.unmatched_scores)
    if n < 2:
        return ranking
    if percentile is None and threshold is None:
        percentile = 50.0
    level = None if threshold is None else threshold * signs[1]
    pqetp = metrics.pqetp(x, y, level, percentile=percentile)
    if percentile is not None:
        threshold = float(np.percentile(y, percentile)) * signs[1]
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
            discovered=found.mean * signs[1],  # in the truth's own units
            discovered_error=found.standard_error,
            top=top,
            subset=n // 2,
        )
    return ranking


def rank_store(
    store: Store,
    truth: pd.Series | Mapping[Any, float],
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Ranks all that a store holds: a row each (space, proxy, data, seed) and further column.

    Args:
        store: what was scored.
        truth: indexed by architecture key; ``.name`` says what it is. The columns of the store that
            a truth of ``nasproxy.ranking.reference`` comes from are left out, others of the same
            computation are marked.
        threshold, percentile, n_resamples, seed: as in ``rank``.

    Returns:
        Within each ``space``, ``data``, ``seed`` and ``drawn`` the best τ first, signs kept.
        Columns are those of ``Ranking``, and:

        - ``proxy``, ``space``: with the settings that are not defaults; ``data``, ``seed``;
        - ``drawn``: how the ranked architectures were drawn, several ways separated by semicolons,
          ``unknown`` where the store does not say;
        - ``same_run``: whether the truth is of the same computation (test accuracy, say, beside a
          truth of validation accuracy), so that the row is no independent proxy;
        - ``lower``: whether the column is better the lower it is, so that its sign was turned;
        - ``truth``: its name; ``truth_lower``, likewise; ``truth_rows``, how many were read of a
          table, and ``truth_missing``, ``truth_repeated``, ``truth_mended``, ``truth_foreign``, how
          many of them had no number, were averaged, had a key that was brought to the spaces' form,
          or one that is none of theirs;
        - ``seconds``, ``flops``: median and mean cost of scoring an architecture, of the whole
          computation where it gave several columns.

        A row without a match is there, with n = 0 and NaN.

    Raises:
        StoreError: there is nothing to rank.
        TruthError: no scored architecture at all has a truth.
        SettingError: a λ that is none, or two.
    """
    truth = _numbers("truth", truth)
    read, lower = truth, bool(truth.attrs.get("lower"))
    columns, truth, runs = _opposed(store, truth)
    truth.attrs["lower"] = lower
    matched = [column.series[tables.known(column.series.index, truth)] for column in columns]
    rows = []
    for column, known in zip(columns, matched, strict=True):
        ranking = Ranking(0, unmatched=len(column.series))
        if len(known):
            column.series.attrs["lower"] = column.lower
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
        about = {
            "drawn": drawn,
            "truth": str(truth.name or "truth"),
            "truth_lower": lower,
            "truth_rows": int(read.attrs.get("rows", len(read))),
            **{f"truth_{what}": int(read.attrs.get(what, 0)) for what in _LEFT_OUT},
            "same_run": column.run in runs,
            "lower": column.lower,
        }
        rows.append(column.about | about | ranking._asdict() | cost)
    frame = pd.DataFrame(rows)
    by = [*CONTEXT, "kendall_tau"]
    upwards = [*(True for _ in CONTEXT), False]
    return frame.sort_values(by, ascending=upwards, kind="stable", ignore_index=True)


def plot_store(store: Store, truth: pd.Series, path: str | os.PathLike[str]) -> None:
    """Draws the columns of ``rank_store`` against the truth, six at most; says if there are more.

    Those of the truth's own computation come last, otherwise those of most architectures first.

    Raises:
        StoreError, TruthError: as ``rank_store``.
        SettingError: the path cannot be written, or has another suffix than .png, .pdf and .svg.
    """
    lower = bool(truth.attrs.get("lower"))
    columns, truth, runs = _opposed(store, truth)
    truth.attrs["lower"] = lower
    matched = [c for c in columns if len(tables.known(c.series.index, truth))]
    shown = sorted(matched, key=lambda c: (c.run in runs, -len(c.series)))[: plots.MAX_PANELS]
    varying = [
        part for part in ("space", "data", "seed") if len({c.about[part] for c in columns}) > 1
    ]
    series, labels, flipped = {}, {}, []
    for column in shown:
        title = "\n".join([column.about["proxy"], *(f"{p} {column.about[p]}" for p in varying)])
        while title in series:  # one setting, scored alone and as a column of several
            title += " (again)"
        series[title] = column.series
        if column.lower:
            flipped.append(title)
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
        y_label=str(truth.name or "truth") + " (lower is better)" * lower,
        lower=flipped,
        title=", ".join(fixed),
        note=f"{left}drawn: {' / '.join(sorted(drawn))}; brackets: 95 % bootstrap intervals",
    )


def _numbers(name: str, given: Any) -> pd.Series:
    """A series of float64 with the attributes of what was given, a series or a mapping."""
    if isinstance(given, Mapping):
        given = pd.Series(given)
    if not isinstance(given, pd.Series):
        raise TruthError(
            f"{name} is {type(given).__name__}, which names no architectures: give a pandas Series "
            "indexed by architecture key, or arrays in one order to nasproxy.metrics"
        )
    if pd.api.types.is_complex_dtype(given):
        raise TruthError(f"{name} are complex numbers, which have no order: give real ones")
    if not isinstance(given.dtype, np.dtype) or given.dtype == object:
        given = given.astype(object).where(given.notna(), math.nan)  # pd.NA is no float
    try:
        return given.astype(np.float64)
    except (TypeError, ValueError):
        key, value = next((k, v) for k, v in given.items() if not _is_number(v))
        raise TruthError(
            f"{name} has {value!r:.80} at {key!r:.80}: give a number, or NaN where there is none"
        ) from None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _opposed(store: Store, truth: pd.Series) -> tuple[list[Column], pd.Series, set[Run]]:
    """All columns but the truth's own, the truth of what they score, and the runs it comes from."""
    own = truth.attrs.get("columns", [])
    columns = [c for c in read_columns(store) if (c.run, c.column) not in own and c.directed]
    if not columns:
        raise StoreError(f"{place(store)} holds no scores to rank: run nasproxy score first")
    # Once, in plain Python: pandas looks up 423,624 Arrow strings in seconds, for each column.
    scored = {key for column in columns for key in column.series.index}
    keys = truth.index.astype(str).to_numpy(dtype=object)
    known = [key in scored for key in keys]
    if not any(known):
        tables.join(columns[0].series, truth)  # raises, naming a key of either side
    return columns, truth.set_axis(keys)[known], {run for run, _ in own}
