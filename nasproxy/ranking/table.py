"""The ranking table: how well stored scores order architectures, and what they cost.

No correlation stands alone: each row says how many architectures it is over and how they were
drawn, and gives an interval. The same from a notebook, without a store::

    frame = score(cells, space, [NNGP(), Params()], data)
    pd.DataFrame([rank(frame[name], truth) for name in ("nngp", "params")])
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy import metrics
from nasproxy.checks import OneOf, Optional, Real, checked
from nasproxy.errors import SettingError, StoreError
from nasproxy.ranking import beside, plots
from nasproxy.ranking.aligned import FAILURES, Aligned, align, by_seed, numbers
from nasproxy.ranking.measures import Finder
from nasproxy.ranking.pooled import Pooled, pool
from nasproxy.ranking.shown import RankingTable
from nasproxy.store import Store
from nasproxy.store.columns import CONTEXT, Run, place, read_columns
from nasproxy.truth import tables

_LEFT_OUT = ("missing", "repeated", "mended", "foreign")


class Ranking(NamedTuple):
    """How one column of scores ranks; NaN where ``n`` architectures are too few, or all tie.

    Of several seeds every measure is the mean of the seeds' own, each over the same architectures.

    Attributes:
        n: architectures that have a truth and, by every seed, a score.
        seeds: how many. Of one, the intervals are over architectures alone, and too narrow for
            what another seed, of images and weights, does.
        kendall_tau: τ_b; ``_low`` and ``_high`` bound its 95 % bootstrap interval over
            architectures and seeds, see :func:`nasproxy.metrics.over_seeds`.
        kendall_tau_seed_sd: sample standard deviation of the seeds' τ; NaN of one.
        pearson: r, likewise.
        spearman: ρ.
        pqetp: AUROC of the score as classifier of truth > ``threshold``.
        threshold: λ, in truth's units.
        discovered: best truth among the ``top`` by score, mean over ``parts`` disjoint random parts
            of ``subset`` architectures; truth's units.
        discovered_error: its standard error over those parts and over seeds; NaN of one part.
        top, subset, parts: see ``discovered``: ten parts, or fewer of five architectures; the top
            thousandth of each, one at least, as the paper's 10 of 10,000.
        failures: whether failed architectures are left out, ``drop``, or rank below all others,
            ``last`` (in all but Pearson's r, which has no place for them).
        failed: architectures without a finite score by some seed.
        unmatched: architectures with a score and no truth.
        unshared: architectures that some seeds were asked for, and not all; left out.
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
    parts: int = 0
    failures: str = "drop"
    failed: int = 0
    unmatched: int = 0
    unshared: int = 0


def rank(
    scores: pd.Series,
    truth: pd.Series,
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    failures: str = "drop",
    n_resamples: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Every measure of one column of scores against the truth.

    Scores that are not finite are failures; truths that are not are left out.

    Args:
        scores: indexed by architecture key, or by (architecture, seed) as ``score`` returns several
            seeds; of these, architectures that all seeds have are ranked. Larger means predicted
            better; where ``.attrs["lower"]`` is true, smaller.
        truth: indexed by architecture key; larger means better; likewise.
        threshold: λ of PQETP, in truth's units; or
        percentile: λ is this percentile of the truth ranked against, from the worst; the median by
            default.
        failures: ``drop`` or ``last``, see :class:`Ranking`.
        n_resamples: bootstrap resamples of an interval, each O(n log n).
        seed: of the bootstrap and of the parts of discovered performance.

    Raises:
        TruthError: no key is in both, or one occurs twice; no keys at all, or values that are no
            numbers; seeds that share no architecture.
        SettingError: a λ that is none, or two; another word for failures.
    """
    checked("rank", "threshold", threshold, Optional(Real()))
    checked("rank", "failures", failures, OneOf(*FAILURES))
    frame, unshared = by_seed("scores", numbers("scores", scores))
    row = align(frame, numbers("truth", truth), failures=failures, unshared=unshared)
    return _ranking(row, threshold, percentile, failures, n_resamples, seed)


def _ranking(
    row: Aligned,
    threshold: float | None,
    percentile: float | None,
    failures: str,
    n_resamples: int,
    seed: int,
) -> Ranking:
    scores, y, sign = row.scores, row.truth, row.sign
    n, seeds = len(y), len(scores)
    ranking = Ranking(
        n,
        seeds,
        failures=failures,
        failed=row.failed,
        unmatched=row.unmatched,
        unshared=row.unshared,
    )
    if n < 2:
        return ranking
    if percentile is None and threshold is None:
        percentile = 50.0
    level = None if threshold is None else threshold * sign
    pqetp = [metrics.pqetp(x, y, level, percentile=percentile) for x in scores]
    if percentile is not None:
        threshold = float(np.percentile(y, percentile)) * sign
    assert threshold is not None
    count = n_resamples if n >= plots.MIN_FOR_INTERVAL else 1
    settings = {"n_resamples": count, "seed": seed}
    tau = beside.bounded(metrics.over_seeds(metrics.kendall_tau, scores, y, **settings))
    r = metrics.Estimate(math.nan, math.nan, math.nan)
    if row.scored.sum() >= 2:
        linear = scores[:, row.scored], y[row.scored]
        r = beside.bounded(metrics.over_seeds(metrics.pearson, *linear, **settings))
    if n < plots.MIN_FOR_INTERVAL:
        tau, r = (e._replace(low=math.nan, high=math.nan) for e in (tau, r))
    found: dict[str, Any] = {
        "kendall_tau": tau.value,
        "kendall_tau_low": tau.low,
        "kendall_tau_high": tau.high,
        "kendall_tau_seed_sd": tau.seed_deviation,
        "pearson": r.value,
        "pearson_low": r.low,
        "pearson_high": r.high,
        "spearman": float(np.mean([metrics.spearman(x, y) for x in scores])),
        "pqetp": float(np.mean(pqetp)),
        "threshold": threshold,
    }
    if n >= plots.MIN_FOR_TOP:
        found |= _discovered(row, seed)
    # One NaN, so that rankings without one compare equal.
    return ranking._replace(**{k: math.nan if v != v else v for k, v in found.items()})


def _discovered(row: Aligned, seed: int) -> dict[str, Any]:
    parts = beside.parts(len(row.truth), plots.MIN_FOR_TOP, seed)
    size = len(parts[0])
    top = max(1, round(beside.TOP_SHARE * size))
    best = [
        [metrics.discovered_performance(x[i], row.truth[i], top=top).mean for i in parts]
        for x in row.scores
    ]
    found = beside.parted(np.array(best))
    return {
        "discovered": found.mean * row.sign,  # in the truth's own units
        "discovered_error": found.error,
        "top": top,
        "subset": size,
        "parts": len(parts),
    }


def rank_store(
    store: Store,
    truth: pd.Series | Mapping[Any, float],
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    failures: str = "drop",
    given: str | pd.Series | pd.DataFrame | None = None,
    against: str | pd.Series | None = None,
    ceiling: str | pd.Series | None = None,
    keep: float | None = None,
    then: str | pd.Series | None = None,
    key: str | None = None,
    where: Mapping[str, Any] | None = None,
    average: bool = False,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Ranks all that a store holds: a row each (space, proxy, data) and further column.

    Seeds are ranked together where they share half of the architectures of the largest at least;
    others have a row each.

    Args:
        store: what was scored.
        truth: indexed by architecture key; ``.name`` says what it is. The columns of the store that
            a truth of ``nasproxy.ranking.reference`` comes from are left out, others of the same
            computation are marked.
        threshold, percentile, failures, n_resamples, seed: as in ``rank``.
        given: baselines whose values architectures must share to be compared: the name of a stored
            proxy, which stands for all that it reports (``counts``), or of a column
            (``counts[conv3x3]``), several separated by commas; or numbers by architecture key.
        against: a score whose τ the others should exceed: a stored proxy, ``FILE:COLUMN``, or a
            series of one's own. A stored one is that of the row's own space and data if there is
            one, else of its space.
        ceiling: a measure, likewise, whose τ is taken for what can be reached.
        keep: share in (0, 1] of the architectures that a search keeps by score; needs ``then``.
        then: the measure, likewise, by which it picks one of them.
        key, where, average: of tables that these name, see ``nasproxy.truth.read``.

    Returns:
        Within each ``space``, ``data`` and ``drawn`` the best τ first, signs kept.
        Columns are those of ``Ranking``, and:

        - ``proxy``, ``space``: with the settings that are not defaults; ``data``; ``seed_names``;
        - ``drawn``: how the ranked architectures were drawn, several ways separated by semicolons,
          ``unknown`` where the store does not say;
        - ``same_run``: whether the truth is of the same computation (test accuracy, say, beside a
          truth of validation accuracy), so that the row is no independent proxy;
        - ``lower``: whether the column is better the lower it is, so that its sign was turned;
        - ``truth``: its name; ``truth_lower``, likewise; ``truth_rows``, how many were read of a
          table, and ``truth_missing``, ``truth_repeated``, ``truth_mended``, ``truth_foreign``, how
          many of them had no number, were averaged, had a key that was brought to the spaces' form,
          or one that is none of theirs;
        - ``seconds``, ``flops``: median and mean cost of scoring an architecture by a seed, of the
          whole computation where it gave several columns;
        - where asked for, with ``_low`` and ``_high``: ``given``, ``tau_given``, ``given_pairs``,
          ``given_n``; ``against``, ``gain``, ``gain_n``; ``ceiling``, ``ceiling_tau``,
          ``ceiling_share``, ``ceiling_n``; ``keep``, ``then``, ``found``, ``found_error``,
          ``found_over_random``, ``found_over_all``, ``found_n``, ``found_parts``, ``found_kept``.
          See :mod:`nasproxy.ranking.beside`.

        A row without a match is there, with n = 0 and NaN.

    Raises:
        StoreError: there is nothing to rank.
        TruthError: no scored architecture at all has a truth, or a table cannot be read.
        SettingError: a λ that is none, or two; a name that fits no column or several; a share that
            is none.
    """
    checked("rank", "failures", failures, OneOf(*FAILURES))
    checked("rank", "keep", keep, Optional(Real(above=0, most=1)))
    if (keep is None) != (then is None):
        raise SettingError(f"keep={keep!r} and then={then!r}: give both, a share and what picks")
    truth = numbers("truth", truth)
    read, lower = truth, bool(truth.attrs.get("lower"))
    pools, every, truth, runs = opposed(store, truth)
    finder = Finder(store, every, key, where, average)
    asked = beside.Asked(given, against, ceiling, keep, then)
    rows = []
    for pooled in pools:
        frame = pooled.frame
        known = tables.known(frame.index, truth)
        row, ranking = None, Ranking(0, len(pooled.seeds), failures=failures)
        scored = frame if failures == "last" else frame.dropna()
        if len(tables.known(scored.index, truth)):
            row = align(frame, truth, failures=failures, unshared=pooled.unshared)
            ranking = _ranking(row, threshold, percentile, failures, n_resamples, seed)
            known = row.keys
        else:
            finite = frame.dropna()
            ranking = ranking._replace(
                failed=len(frame) - len(finite), unmatched=len(finite), unshared=pooled.unshared
            )
            row = _nothing(len(pooled.seeds))
        about = {
            "seed_names": pooled.seed_names,
            "drawn": pooled.drawn(known if len(known) else frame.index),
            "truth": str(truth.name or "truth"),
            "truth_lower": lower,
            "truth_rows": int(read.attrs.get("rows", len(read))),
            **{f"truth_{what}": int(read.attrs.get(what, 0)) for what in _LEFT_OUT},
            "same_run": bool(pooled.runs & runs),
            "lower": pooled.first.lower,
        }
        extra = beside.columns(row, pooled, finder, asked, n_resamples, seed)
        cost = {"seconds": pooled.seconds, "flops": pooled.flops}
        rows.append(pooled.about | about | ranking._asdict() | extra | cost)
    frame = pd.DataFrame(rows)
    by = [*CONTEXT, "kendall_tau"]
    upwards = [*(True for _ in CONTEXT), False]
    return RankingTable(frame.sort_values(by, ascending=upwards, kind="stable", ignore_index=True))


def _nothing(seeds: int) -> Aligned:
    nobody = np.empty(0)
    keys = pd.Index([], dtype=str)
    return Aligned(keys, np.empty((seeds, 0)), nobody, nobody.astype(bool), 1.0, 0, 0)


def opposed(
    store: Store, truth: pd.Series
) -> tuple[list[Pooled], list[Pooled], pd.Series, set[Run]]:
    """Rows to rank, all that they may be held against, the truth of what they score, its runs.

    Raises:
        StoreError: there is nothing to rank.
        TruthError: no scored architecture at all has a truth.
    """
    own = truth.attrs.get("columns", [])
    columns = [c for c in read_columns(store) if (c.run, c.column) not in own]
    every = pool(columns)
    pools = [p for p in every if p.first.directed]
    if not pools:
        raise StoreError(f"{place(store)} holds no scores to rank: run nasproxy score first")
    # Once, in plain Python: pandas looks up 423,624 Arrow strings in seconds, for each column.
    scored = {key for p in pools for column in p.columns for key in column.draws}
    keys = truth.index.astype(str).to_numpy(dtype=object)
    known = [key in scored for key in keys]
    if not any(known):
        tables.join(pools[0].mean, truth)  # raises, naming a key of either side
    found = truth.set_axis(keys)[known]
    found.attrs["lower"] = bool(truth.attrs.get("lower"))
    return pools, every, found, {run for run, _ in own}
