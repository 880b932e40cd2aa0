"""What a row is held against: baselines, another score, a ceiling, a search in two steps.

Every comparison is over the architectures that both sides have, and says how many these are.
"""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from nasproxy import metrics
from nasproxy.metrics.arrays import Vector
from nasproxy.ranking.aligned import Aligned
from nasproxy.ranking.measures import Finder, Measure
from nasproxy.ranking.plots import MIN_FOR_INTERVAL, MIN_FOR_TOP
from nasproxy.ranking.pooled import Pooled
from nasproxy.ranking.reference import is_table

TOP_SHARE = 1e-3
"""Of a part's architectures, how many a search looks at: the paper's 10 of 10,000."""


class Parted(NamedTuple):
    """The mean over disjoint parts of the architectures, and over seeds.

    Attributes:
        mean: of parts and seeds.
        error: standard error over parts and seeds; NaN of one part.
        low, high: 95 % interval by Student's t over the parts.
    """

    mean: float
    error: float
    low: float
    high: float


class Asked(NamedTuple):
    """What rows are to be held against; see ``rank_store``."""

    given: str | pd.Series | pd.DataFrame | None = None
    against: str | pd.Series | None = None
    ceiling: str | pd.Series | None = None
    keep: float | None = None
    then: str | pd.Series | None = None


def columns(
    row: Aligned, pooled: Pooled, finder: Finder, asked: Asked, n_resamples: int, seed: int
) -> dict[str, Any]:
    """All that is asked for, of one row of the ranking."""
    found: dict[str, Any] = {}
    if asked.given is not None:
        found["given"] = asked.given if isinstance(asked.given, str) else "given"
        found |= given(row, finder.joint(asked.given, pooled), n_resamples, seed)
    if asked.against is not None:
        baseline = finder.one(asked.against, pooled)
        if baseline is not None and baseline.source is pooled:
            baseline = None  # a row gains nothing over itself
        found["against"] = _name(asked.against, "against")
        found |= gain(row, baseline, n_resamples, seed)
    if asked.ceiling is not None:
        found["ceiling"] = _name(asked.ceiling, "ceiling")
        found |= ceiling(row, finder.one(asked.ceiling, pooled), n_resamples, seed)
    if asked.keep is not None and asked.then is not None:
        found |= {"keep": asked.keep, "then": _name(asked.then, "then")}
        found |= reduced(row, finder.one(asked.then, pooled), asked.keep, seed)
    return found


def _name(asked: str | pd.Series, otherwise: str) -> str:
    """No folder in what is printed."""
    if not isinstance(asked, str):
        return str(asked.name or otherwise)
    return asked.rpartition(os.sep)[2] if is_table(asked) else asked


def given(row: Aligned, baselines: Sequence[Measure], n_resamples: int, seed: int) -> dict:
    """τ within groups of equal baselines: ``tau_given``, its interval, ``given_pairs``, and n.

    Baselines of several seeds count by their mean.
    """
    nothing = {"tau_given": math.nan, "tau_given_low": math.nan, "tau_given_high": math.nan}
    columns = [measure.frame.dropna().mean(axis=1) for measure in baselines]
    if not columns:
        return nothing | {"given_pairs": 0, "given_n": 0}
    table = pd.concat(columns, axis=1, join="inner").reindex(row.keys)
    kept = table.notna().all(axis=1).to_numpy()
    n = int(kept.sum())
    if n < 2:
        return nothing | {"given_pairs": 0, "given_n": n}
    codes = np.unique(table[kept].to_numpy(np.float64), axis=0, return_inverse=True)[1].reshape(-1)
    pairs = metrics.group_pairs(codes)
    if pairs == 0:
        return nothing | {"given_pairs": 0, "given_n": n}
    found = _estimate(
        metrics.over_seeds,
        metrics.tau_within,
        row.scores[:, kept],
        row.truth[kept],
        codes,
        n_resamples=n_resamples,
        seed=seed,
    )
    return _named("tau_given", bounded(found)) | {"given_pairs": pairs, "given_n": n}


def gain(row: Aligned, baseline: Measure | None, n_resamples: int, seed: int) -> dict[str, Any]:
    """The τ that the row has more than the baseline: ``gain``, its interval, ``gain_n``."""
    both = _both(row, baseline)
    if both is None:
        return _named("gain", None) | {"gain_n": 0}
    scores, other, truth = both
    found = _estimate(metrics.paired_gain, scores, other, truth, n_resamples=n_resamples, seed=seed)
    return _named("gain", found) | {"gain_n": len(truth)}


def ceiling(row: Aligned, best: Measure | None, n_resamples: int, seed: int) -> dict[str, Any]:
    """The ceiling's own τ, ``ceiling_tau``, and the share of it that the row has, with intervals.

    Both over the ``ceiling_n`` architectures that have the row's score, the truth and the ceiling.
    """
    both = _both(row, best)
    if both is None:
        return _named("ceiling_tau", None) | _named("ceiling_share", None) | {"ceiling_n": 0}
    scores, other, truth = both
    settings = {"n_resamples": n_resamples, "seed": seed}
    own = bounded(_estimate(metrics.over_seeds, metrics.kendall_tau, other, truth, **settings))
    share = _estimate(metrics.share_of_ceiling, scores, other, truth, **settings)
    return _named("ceiling_tau", own) | _named("ceiling_share", share) | {"ceiling_n": len(truth)}


def reduced(row: Aligned, second: Measure | None, keep: float, seed: int) -> dict[str, Any]:
    """Search-space reduction of disjoint parts: ``found`` and its gains, in the truth's own units.

    In each part the share ``keep`` that the row scores best is kept, and the one of them is taken
    that is best by the second measure. ``found_over_random`` is what that finds more than the same
    in a random share, ``found_over_all`` than in the whole part.
    """
    both = _both(row, second)
    names = ("found", "found_over_random", "found_over_all")
    n = 0 if both is None else len(both[2])
    # So large that there is something to choose from among what is kept.
    least = max(MIN_FOR_TOP, math.ceil(1.5 / keep))
    if both is None or n < least:
        nothing = {f"found{end}": math.nan for end in ("", "_error")}
        for name in names[1:]:
            nothing |= _named(name, None)
        return nothing | {"found_n": n, "found_parts": 0, "found_kept": 0}
    scores, other, truth = both
    other = other.mean(axis=0)
    drawn = parts(n, least, seed)
    results = [
        [metrics.search_space_reduction(s[i], other[i], truth[i], keep=keep) for i in drawn]
        for s in scores
    ]
    found, random, everywhere = (
        np.array([[getattr(one, name) for one in of] for of in results])
        for name in ("found", "random", "everywhere")
    )
    mean = parted(row.sign * found)
    values = {"found": mean.mean, "found_error": mean.error}
    for name, against in zip(names[1:], (random, everywhere), strict=True):
        more = parted(found - against)
        values |= {name: more.mean, f"{name}_low": more.low, f"{name}_high": more.high}
    return values | {
        "found_n": n,
        "found_parts": len(drawn),
        "found_kept": results[0][0].kept,
    }


def parts(n: int, least: int, seed: int) -> list[np.ndarray]:
    """Ten disjoint parts, fewer where each would have less than ``least``."""
    count = max(1, min(metrics.N_SUBSETS, n // least))
    return metrics.disjoint_parts(n, n // count, count, seed)


def parted(values: Vector) -> Parted:
    """Of (seeds, parts): parts are independent draws of architectures, seeds run through all."""
    seeds, count = values.shape
    mean = float(values.mean())
    if count < 2:
        return Parted(mean, math.nan, math.nan, math.nan)
    variance = float(values.mean(axis=0).var(ddof=1)) / count
    if seeds > 1:
        variance += float(values.mean(axis=1).var(ddof=1)) / seeds
    error = math.sqrt(variance)
    half = float(stats.t.ppf(0.975, count - 1)) * error
    return Parted(mean, error, mean - half, mean + half)


def _both(row: Aligned, other: Measure | None) -> tuple[Vector, Vector, Vector] | None:
    """Scores, the other's, and truth, of the architectures that have all; None of less than 2."""
    if other is None or len(row.keys) == 0:
        return None
    frame = other.frame.dropna().reindex(row.keys)
    kept = frame.notna().all(axis=1).to_numpy()
    if kept.sum() < 2:
        return None
    return row.scores[:, kept], frame[kept].to_numpy(np.float64).T, row.truth[kept]


def _estimate(
    compare: Callable[..., metrics.Estimate], *arguments: Any, n_resamples: int, seed: int
) -> metrics.Estimate:
    """Without an interval where architectures are too few for one."""
    enough = len(arguments[-1]) >= MIN_FOR_INTERVAL
    found = compare(*arguments, n_resamples=n_resamples if enough else 1, seed=seed)
    return found if enough else found._replace(low=math.nan, high=math.nan)


def bounded(found: metrics.Estimate) -> metrics.Estimate:
    """A correlation's interval, cut at −1 and 1: few seeds are stretched beyond."""
    low, high = (float(np.clip(end, -1.0, 1.0)) for end in (found.low, found.high))
    return found._replace(low=low, high=high)


def _named(name: str, found: metrics.Estimate | None) -> dict[str, float]:
    value, low, high = (math.nan,) * 3 if found is None else found[:3]
    return {name: value, f"{name}_low": low, f"{name}_high": high}
