"""Several measures as one score, unfitted and fitted, held against each of them alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nasproxy import metrics
from nasproxy.errors import SettingError, TruthError
from nasproxy.metrics.arrays import Vector
from nasproxy.ranking import beside
from nasproxy.ranking.aligned import numbers
from nasproxy.ranking.measures import Finder, Measure, split
from nasproxy.ranking.plots import MIN_FOR_INTERVAL
from nasproxy.ranking.pooled import pool
from nasproxy.store import Store
from nasproxy.store.columns import read_columns

RANK_MEAN, FITTED = "rank mean", "fitted"
FOLDS = 5


def hybrid_store(
    store: Store,
    truth: pd.Series | Mapping[Any, float],
    measures: str | Sequence[str | pd.Series],
    fit_on: str | pd.Series,
    *,
    key: str | None = None,
    where: Mapping[str, Any] | None = None,
    average: bool = False,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How much better measures rank together than each alone, on the same architectures.

    Two ways to put them together: the mean of their ranks, which fits nothing, and a linear fit of
    another label on their standardised values. That is cross-fitted in five parts
    (:func:`nasproxy.metrics.cross_fitted`), so that no architecture is judged by a fit that saw a
    label of it, even where the label is the truth.

    Args:
        store: of the scores.
        truth: by architecture key; larger is better, or lower where ``.attrs["lower"]`` says so.
        measures: two or more, of stored proxies, ``FILE:COLUMN``, and series of one's own; a
            string has them separated by commas.
        fit_on: the label, likewise.
        key, where, average: of tables that these name, see ``nasproxy.truth.read``.
        n_resamples, seed: of the bootstrap; the latter of the parts too.

    Returns:
        A row a measure, then one ``rank mean`` and one ``fitted``: ``measure``; ``n``
        architectures that have all measures, the label and the truth; ``seeds``, those that the
        measures with several have in common; ``kendall_tau`` with ``_low``, ``_high`` (over
        architectures and seeds, 95 %) and ``_seed_sd``; of the last two ``gain over NAME`` with
        ``_low`` and ``_high``, paired, for each measure, and of the last for the rank mean. Fits
        are made once and kept in the resamples. ``truth``, ``fit_on`` and ``folds`` say of what.

    Raises:
        SettingError: a name that fits no column or several, or fewer than two measures.
        TruthError: too few architectures have them all; seeds that have nothing in common.
    """
    finder = Finder(store, pool(read_columns(store)), key, where, average)
    names = split(measures) if isinstance(measures, str) else list(measures)
    if len(names) < 2:
        raise SettingError(f"hybrid of {measures!r}: give two measures or more")
    found = [_found(finder, name) for name in names]
    shown = [measure.name for measure in found]
    if len({*shown, RANK_MEAN, FITTED}) < len(shown) + 2:
        raise SettingError(f"hybrid of {', '.join(shown)}: give measures of different names")
    truth = numbers("truth", truth)
    if truth.attrs.get("lower"):
        truth = -truth
    truth = truth.set_axis(truth.index.astype(str))
    label = _found(finder, fit_on)
    seeds = _seeds(found)
    features, target, y = _joined(found, seeds, label, truth)
    n = len(y)
    if n < MIN_FOR_INTERVAL:
        raise TruthError(
            f"{n} architectures have {', '.join(shown)}, {label.name} and the truth: a hybrid "
            f"needs {MIN_FOR_INTERVAL}; score more of those that the tables hold"
        )
    # By name, (seeds, n).
    by_name = {
        measure.name: features[: measure.frame.shape[1], :, k] for k, measure in enumerate(found)
    }
    by_name[RANK_MEAN] = np.stack([metrics.rank_mean(one) for one in features])
    by_name[FITTED] = np.stack(
        [metrics.cross_fitted(one, target, folds=FOLDS, seed=seed) for one in features]
    )
    settings: dict[str, Any] = {"n_resamples": n_resamples, "seed": seed}
    rows = []
    for name, scores in by_name.items():
        tau = beside.bounded(metrics.over_seeds(metrics.kendall_tau, scores, y, **settings))
        row: dict[str, Any] = {"measure": name, "n": n, "seeds": len(scores)}
        ends = ("kendall_tau", "kendall_tau_low", "kendall_tau_high", "kendall_tau_seed_sd")
        row |= dict(zip(ends, tau, strict=True))
        over = [*shown, RANK_MEAN] if name == FITTED else shown if name == RANK_MEAN else []
        for other in [*shown, RANK_MEAN]:
            values = (math.nan,) * 3
            if other in over:
                values = metrics.paired_gain(scores, by_name[other], y, **settings)[:3]
            for end, value in zip(("", "_low", "_high"), values, strict=True):
                row[f"gain over {other}{end}"] = value
        rows.append(row)
    about = {"truth": str(truth.name or "truth"), "fit_on": label.name, "folds": FOLDS}
    return pd.DataFrame(rows).assign(**about)


def _found(finder: Finder, what: str | pd.Series) -> Measure:
    found = finder.one(what)
    assert found is not None, "without a row to be near to, there is one or an error"
    return found


def _seeds(found: list[Measure]) -> list[Any] | None:
    """Those that all measures of several seeds share; None where none has several."""
    several = [set(m.frame.columns) for m in found if m.frame.shape[1] > 1]
    if not several:
        return None
    shared = sorted(set.intersection(*several))
    if not shared:
        raise TruthError(
            f"the seeds of {', '.join(m.name for m in found if m.frame.shape[1] > 1)} have none in "
            "common: score them by the same seeds"
        )
    return shared


def _joined(
    found: list[Measure], seeds: list[Any] | None, label: Measure, truth: pd.Series
) -> tuple[Vector, Vector, Vector]:
    """Features (seeds, n, measures), label (n,), truth (n,), of the architectures that have all."""
    frames = [m.frame[seeds] if seeds and m.frame.shape[1] > 1 else m.frame for m in found]
    parts = [*frames, label.frame.dropna().mean(axis=1).to_frame(), truth.to_frame()]
    known = [part[np.isfinite(part.to_numpy(np.float64)).all(axis=1)] for part in parts]
    keys = known[0].index.astype(str)
    for part in known[1:]:
        keys = keys[keys.isin(part.index)]
    keys = keys.sort_values()
    values = [part.loc[keys].to_numpy(np.float64) for part in known]
    count = len(seeds) if seeds else 1
    features = np.stack([np.broadcast_to(v, (len(keys), count)).T for v in values[:-2]], axis=2)
    return features, values[-2][:, 0], values[-1][:, 0]
