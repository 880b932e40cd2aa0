"""What a score is worth as a screen before a dearer measure, and in a linear mix with others."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from nasproxy import metrics
from nasproxy.checks import Real, checked
from nasproxy.errors import TruthError
from nasproxy.ranking import seeded

PARTS = 10
"""Disjoint parts of the architectures that screens are judged on, so that errors are honest."""
SMALLEST = 20
"""Architectures of a part; of fewer there are fewer parts."""
RANDOM = "random"
EVERYTHING = "no screen"


class Joint(NamedTuple):
    """Columns and labels of the architectures that have them all.

    Attributes:
        keys: sorted.
        columns: by name, ``[seeds, n]``, larger being better; of one seed ``[1, n]``.
        labels: by name, ``[n]``, likewise.
    """

    keys: pd.Index
    columns: dict[str, Float64[np.ndarray, "seeds n"]]
    labels: dict[str, Float64[np.ndarray, " n"]]


def joint(
    columns: Mapping[str, pd.Series], labels: Mapping[str, pd.Series], failures: str = "drop"
) -> Joint:
    """Scores by key or by (key, seed), and labels by key.

    Raises:
        TruthError: fewer than 2 architectures have them all.
    """
    read = {name: seeded.scores(series, failures) for name, series in columns.items()}
    known: dict[str, pd.Series] = {}
    for name, series in labels.items():
        sign = -1.0 if series.attrs.get("lower") else 1.0
        known[name] = sign * series.set_axis(series.index.astype(str)).astype(np.float64).dropna()
    keys = None
    for index in [*(one.keys for one in read.values()), *(one.index for one in known.values())]:
        keys = index if keys is None else keys.intersection(index)
    if keys is None or len(keys) < 2:
        raise TruthError(
            f"{0 if keys is None else len(keys)} architectures have all of "
            f"{', '.join([*columns, *labels])}: give columns of the same architectures"
        )
    keys = keys.sort_values()
    return Joint(
        keys,
        {name: one.values[:, one.keys.get_indexer(keys)] for name, one in read.items()},
        {name: one.loc[keys].to_numpy() for name, one in known.items()},
    )


def reduction(
    columns: Mapping[str, pd.Series],
    truth: pd.Series,
    then: pd.Series,
    *,
    keep: float = 0.3,
    failures: str = "drop",
) -> pd.DataFrame:
    """Search-space reduction: what a second measure finds in the share that each score keeps.

    The architectures are cut into disjoint parts at random; in each the score keeps its share, and
    of these the best by the second measure is taken: see
    :func:`nasproxy.metrics.search_space_reduction`.

    Args:
        columns: scores by name, by key or by (key, seed).
        truth, then: by key.
        keep: share, over 0 and at most 1.
        failures: as for :func:`nasproxy.ranking.rank`.

    Returns:
        A row a score, then a random share and no screen; ``found`` in truth's units, with its gain
        over a random share (``gain``, ``gain_low``, ``gain_high``: 95 % by Student's t over the
        parts, of each the mean over seeds), ``parts``, ``n`` and ``seeds``.

    Raises:
        TruthError: fewer than 2 architectures have everything.
        SettingError: another share.
    """
    keep = checked("rank", "keep", keep, Real(above=0, most=1))
    read = joint(columns, {"truth": truth, "then": then}, failures)
    y, second, n = read.labels["truth"], read.labels["then"], len(read.keys)
    sign = -1.0 if truth.attrs.get("lower") else 1.0
    count = max(1, min(PARTS, n // SMALLEST))
    parts = metrics.disjoint_parts(n, n // count, count)

    def found(values: np.ndarray, share: float) -> np.ndarray:
        """``[parts]``, mean over seeds."""

        def of(row: np.ndarray, part: np.ndarray) -> float:
            arrays = (row[part], second[part], y[part])
            return metrics.search_space_reduction(*arrays, keep=share).found

        return np.array([np.mean([of(row, part) for row in values]) for part in parts])

    nothing = np.zeros((1, n))
    screens = {name: (values, keep) for name, values in read.columns.items()}
    screens |= {RANDOM: (nothing, keep), EVERYTHING: (nothing, 1.0)}
    at_random = found(*screens[RANDOM])
    rows = []
    for name, (values, share) in screens.items():
        own = found(values, share)
        gain = sign * (own - at_random)
        half = math.nan
        if count > 1:
            half = float(stats.t.ppf(0.975, count - 1) * gain.std(ddof=1) / np.sqrt(count))
        row: dict[str, Any] = {"score": name, "found": sign * float(own.mean())}
        if name != RANDOM:
            middle = float(gain.mean())
            row |= {"gain": middle, "gain_low": middle - half, "gain_high": middle + half}
        rows.append(row | {"n": n, "parts": count, "seeds": len(values)})
    return pd.DataFrame(rows)


def hybrid(
    columns: Mapping[str, pd.Series],
    truth: pd.Series,
    labels: pd.Series,
    *,
    failures: str = "drop",
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Several scores alone, their mean rank, and a linear fit to labels, judged by the truth.

    Fits are cross-fitted (:func:`nasproxy.metrics.cross_fitted`): no architecture is judged by a
    fit that has seen its label.

    Args:
        columns: two or more scores by name, by key or by (key, seed).
        truth: what is judged by, by key.
        labels: what is fitted to, by key.
        failures, n_resamples, seed: as for :func:`nasproxy.ranking.rank`.

    Returns:
        A row a score: τ with its interval over architectures and seeds, its gain over the best of
        the scores alone, ``n`` and ``seeds``.

    Raises:
        TruthError: fewer than 2 architectures have everything, or fewer than two scores.
    """
    if len(columns) < 2:
        raise TruthError(f"a hybrid of {', '.join(columns) or 'nothing'}: give two scores or more")
    read = joint(columns, {"truth": truth, "labels": labels}, failures)
    y, fitted_to = read.labels["truth"], read.labels["labels"]
    seeds = max(len(values) for values in read.columns.values())
    by_seed = [
        np.column_stack([values[i % len(values)] for values in read.columns.values()])
        for i in range(seeds)
    ]
    scores = dict(read.columns)
    scores["mean rank"] = np.stack([metrics.rank_mean(table) for table in by_seed])
    scores[f"fit to {labels.name or 'labels'}"] = np.stack(
        [metrics.cross_fitted(table, fitted_to, folds=min(5, len(y) // 2)) for table in by_seed]
    )
    options: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}
    alone = {
        name: metrics.over_seeds(metrics.kendall_tau, values, y, **options)
        for name, values in scores.items()
    }
    best = max(read.columns, key=lambda name: np.nan_to_num(alone[name].value, nan=-2))
    rows = []
    for name, tau in alone.items():
        row: dict[str, Any] = {"score": name, "kendall_tau": tau.value}
        row |= {"kendall_tau_low": tau.low, "kendall_tau_high": tau.high}
        if name != best:
            gain = metrics.paired_gain(scores[name], scores[best], y, **options)
            row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
        rows.append(row | {"over": best, "n": len(y), "seeds": len(scores[name])})
    return pd.DataFrame(rows)
