"""The ranking table: how well stored scores order architectures, and what they cost.

No correlation stands alone: each row says how many architectures it is over and how they were
drawn, and gives an interval. The same from a notebook, without a store::

    frame = score(cells, space, [NNGP(), Params()], data)
    pd.DataFrame([rank(frame[name], truth) for name in ("nngp", "params")])
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy import metrics
from nasproxy.checks import OneOf, Optional, Real, checked
from nasproxy.errors import StoreError, TruthError
from nasproxy.plugins import PROXIES
from nasproxy.ranking import plots, seeded
from nasproxy.ranking.seeded import together
from nasproxy.store import Store
from nasproxy.store.columns import CONTEXT, Column, Run, place, read_columns
from nasproxy.truth import tables

TOP = 10
SMALLEST_PART = 20
"""Architectures of a part that discovered performance is of; of few architectures a half."""
_LEFT_OUT = ("missing", "repeated", "mended", "foreign")


class Ranking(NamedTuple):
    """How one column of scores ranks; NaN where ``n`` architectures are too few, or all tie.

    Of several seeds every measure is the mean of each seed's own, over the architectures that all
    seeds scored.

    Attributes:
        n: architectures that have a score and a truth.
        seeds: that scored them.
        kendall_tau: τ_b; ``_low`` and ``_high`` bound its 95 % bootstrap interval over
            architectures and, where there are several, seeds.
        kendall_tau_seed_sd: standard deviation of τ between seeds; NaN of one, whose interval says
            nothing of what another seed would give.
        pearson: r, likewise.
        spearman: ρ.
        pqetp: AUROC of the score as classifier of truth > ``threshold``.
        threshold: λ, in truth's units.
        discovered: best truth among the ``top`` by score, mean over at most 10 disjoint random
            parts of ``subset`` architectures; truth's units.
        discovered_error: its standard error over the parts.
        top, subset: see ``discovered``: min(10, subset // 5), and a tenth of the architectures, or
            20, or a half where there are fewer than 40.
        given_tau, given_pairs: τ_b over the pairs of architectures that agree in all baselines
            ``given``, and how many there are.
        gain: τ less that of the baseline ``against``, on the same architectures; with ``_low`` and
            ``_high`` of the same resamples.
        ceiling: τ of the measurement ``ceiling`` on the same architectures: what noise leaves to
            reach.
        failed: architectures without a finite score, left out or ranked last.
        unmatched: architectures with a score and no truth.
    """

    n: int
    seeds: int = 1
    kendall_tau: float = math.nan
    kendall_tau_low: float = math.nan
    kendall_tau_high: float = math.nan
    kendall_tau_seed_sd: float = math.nan
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
    given_tau: float = math.nan
    given_pairs: int = 0
    gain: float = math.nan
    gain_low: float = math.nan
    gain_high: float = math.nan
    ceiling: float = math.nan
    failed: int = 0
    unmatched: int = 0


@dataclass(frozen=True)
class Beside:
    """What rankings are held against, each indexed by architecture key.

    Attributes:
        given: baselines; τ is also told among architectures that agree in all of them.
        against: a baseline that the gain is over.
        ceiling: another measurement of the truth, such as a single training.
    """

    given: Sequence[pd.Series] = ()
    against: pd.Series | None = None
    ceiling: pd.Series | None = None

    @property
    def names(self) -> dict[str, str]:
        """Of what there is."""
        named = {"against": self.against, "ceiling_of": self.ceiling}
        said = {name: str(one.name) for name, one in named.items() if one is not None}
        given = {"given": ", ".join(str(one.name) for one in self.given)} if self.given else {}
        return given | said


NOTHING = Beside()


def rank(
    scores: pd.Series,
    truth: pd.Series,
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    beside: Beside = NOTHING,
    failures: str = "drop",
    n_resamples: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Every measure of one column of scores against the truth.

    Scores and truths that are not finite are left out, and the scores counted as failed.

    Args:
        scores: larger means predicted better; where ``.attrs["lower"]`` is true, smaller. By
            architecture key, or by key and seed, as :func:`nasproxy.score` gives them.
        truth: larger means better; likewise. By architecture key.
        threshold: λ of PQETP, in truth's units; or
        percentile: λ is this percentile of the truth ranked against, from the worst; the median by
            default.
        beside: baselines and a ceiling, of which the architectures that lack one are left out.
        failures: ``drop``, or ``last``: architectures without a score tie below all others, as a
            search that meets them would see it.
        n_resamples: bootstrap resamples of an interval, each O(n log n).
        seed: of the bootstrap and of the subsets of discovered performance.

    Raises:
        TruthError: no key is in both, or one occurs twice; no keys at all, or values that are no
            numbers.
        SettingError: a λ that is none, or two; or another word for ``failures``.
    """
    checked("rank", "threshold", threshold, Optional(Real()))
    checked("rank", "failures", failures, OneOf(*seeded.FAILURES))
    scores, truth = _numbers("scores", scores), _numbers("truth", truth)
    sign = -1.0 if truth.attrs.get("lower") else 1.0
    found = seeded.scores(scores, failures)
    known = truth[np.isfinite(truth.to_numpy(np.float64))]
    places = pd.Series(np.arange(len(found.keys)), index=found.keys)
    joined = tables.join(places, known)
    x = found.values[:, joined.scores.to_numpy(int)]
    y = joined.truth.to_numpy(np.float64) * sign
    n = len(y)
    ranking = Ranking(n, len(x), failed=found.failed, unmatched=joined.unmatched_scores)
    if n < 2:
        return ranking
    if percentile is None and threshold is None:
        percentile = 50.0
    level = None if threshold is None else threshold * sign
    exceeding = [metrics.pqetp(row, y, level, percentile=percentile) for row in x]
    if percentile is not None:
        threshold = float(np.percentile(y, percentile)) * sign
    assert threshold is not None
    resamples = n_resamples if n >= plots.MIN_FOR_INTERVAL else 0
    tau, r = (_estimate(of, x, y, resamples, seed) for of in (metrics.kendall_tau, metrics.pearson))
    ranking = ranking._replace(
        kendall_tau=tau.value,
        kendall_tau_low=tau.low,
        kendall_tau_high=tau.high,
        kendall_tau_seed_sd=tau.seed_deviation,
        pearson=r.value,
        pearson_low=r.low,
        pearson_high=r.high,
        spearman=float(np.mean([metrics.spearman(row, y) for row in x])),
        pqetp=float(np.mean(exceeding)),
        threshold=threshold,
    )
    ranking = ranking._replace(**_held_against(beside, joined.scores.index, x, y, resamples, seed))
    if n >= plots.MIN_FOR_TOP:
        subset = max(n // metrics.N_SUBSETS, min(n // 2, SMALLEST_PART))
        top = max(1, min(TOP, subset // 5))
        best = [
            metrics.discovered_performance(
                row, y, top=top, subset=subset, n_subsets=metrics.N_SUBSETS, seed=seed
            )
            for row in x
        ]
        ranking = ranking._replace(
            discovered=float(np.mean([b.mean for b in best])) * sign,  # in the truth's own units
            discovered_error=float(np.mean([b.standard_error for b in best])),
            top=top,
            subset=subset,
        )
    return ranking._replace(**{f: math.nan for f, v in ranking._asdict().items() if v != v})


def _estimate(
    statistic: Any, x: np.ndarray, y: np.ndarray, n_resamples: int, seed: int
) -> metrics.Estimate:
    """With an interval, if there are resamples to take it from."""
    found = metrics.over_seeds(statistic, x, y, n_resamples=n_resamples or 1, seed=seed)
    return found if n_resamples else found._replace(low=math.nan, high=math.nan)


def _held_against(
    beside: Beside, keys: pd.Index, x: np.ndarray, y: np.ndarray, n_resamples: int, seed: int
) -> dict[str, Any]:
    """Measures that need another column of the same architectures."""
    measured: dict[str, Any] = {}
    if beside.given:
        baselines, there = _beside(beside.given, keys)
        if there.sum() >= 2:
            found = [metrics.tau_given(row[there], y[there], baselines[:, there].T) for row in x]
            measured["given_tau"] = float(np.mean([one.tau for one in found]))
            measured["given_pairs"] = found[0].pairs
    if beside.against is not None:
        (baseline,), there = _beside([beside.against], keys)
        if there.sum() >= 2:
            gain = metrics.paired_gain(
                x[:, there], baseline[there], y[there], n_resamples=n_resamples or 1, seed=seed
            )
            ends = (gain.low, gain.high) if n_resamples else (math.nan, math.nan)
            measured |= {"gain": gain.value, "gain_low": ends[0], "gain_high": ends[1]}
    if beside.ceiling is not None:
        (ceiling,), there = _beside([beside.ceiling], keys)
        if there.sum() >= 2:
            measured["ceiling"] = metrics.kendall_tau(ceiling[there], y[there])
    return measured


def _beside(columns: Sequence[pd.Series], keys: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Columns ``[k, n]`` for those architectures, and which of them have them all."""
    rows = []
    for column in columns:
        sign = -1.0 if column.attrs.get("lower") else 1.0
        by_key = column.set_axis(column.index.astype(str))
        rows.append(sign * by_key.reindex(keys).to_numpy(np.float64))
    values = np.stack(rows)
    return values, np.asarray(np.isfinite(values).all(0))


def rank_store(
    store: Store,
    truth: pd.Series | Mapping[Any, float],
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    beside: Beside = NOTHING,
    failures: str = "drop",
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Ranks all that a store holds: a row each (space, proxy, data) and further column.

    Args:
        store: what was scored.
        truth: indexed by architecture key; ``.name`` says what it is. The columns of the store that
            a truth of ``nasproxy.ranking.reference`` comes from are left out, others of the same
            computation are marked.
        threshold, percentile, beside, failures, n_resamples, seed: as in ``rank``.

    Returns:
        Within each ``space``, ``data`` and ``drawn`` the best τ first, signs kept. Columns are
        those of ``Ranking``, and:

        - ``proxy``, ``space``: with the settings that are not defaults; ``data``; ``seed``, those
          that the row is over, as text;
        - ``drawn``: how the ranked architectures were drawn, several ways separated by semicolons,
          ``unknown`` where the store does not say;
        - ``same_run``: whether the truth is of the same computation (test accuracy, say, beside a
          truth of validation accuracy), so that the row is no independent proxy;
        - ``lower``: whether the column is better the lower it is, so that its sign was turned;
        - ``truth``: its name; ``truth_lower``, likewise; ``truth_rows``, how many were read of a
          table, and ``truth_missing``, ``truth_repeated``, ``truth_mended``, ``truth_foreign``, how
          many of them had no number, were averaged, had a key that was brought to the spaces' form,
          or one that is none of theirs;
        - ``failures``, and where they were asked for ``given``, ``against``, ``ceiling_of``: names;
        - ``seconds``: median cost of scoring an architecture, of the whole computation where it
          gave several columns; ``flops``: mean cost of what the column stands for.

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
    rows = []
    for column in together(columns):
        series = column.series
        scored = seeded.scores(series, failures)
        keys, failed = scored.keys, scored.failed
        known = tables.known(keys, truth)
        ranking = Ranking(0, len(column.columns), failed=failed, unmatched=len(keys))
        if len(known):
            ranking = rank(
                series,
                truth,
                threshold=threshold,
                percentile=percentile,
                beside=beside,
                failures=failures,
                n_resamples=n_resamples,
                seed=seed,
            )
        about = {
            "drawn": column.drawn(known if len(known) else keys),
            "truth": str(truth.name or "truth"),
            "truth_lower": lower,
            "truth_rows": int(read.attrs.get("rows", len(read))),
            **{f"truth_{what}": int(read.attrs.get(what, 0)) for what in _LEFT_OUT},
            "same_run": any(one.run in runs for one in column.columns),
            "lower": column.first.lower,
            "failures": failures,
        } | beside.names
        cost = {"seconds": column.seconds, "flops": column.flops}
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
