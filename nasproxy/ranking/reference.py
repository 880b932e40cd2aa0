"""What scores are ranked against: a table's column, a store's own, or MNAS's reward of two."""

import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nasproxy import metrics
from nasproxy.errors import SettingError, TruthError
from nasproxy.plugins import SPACES
from nasproxy.proxies import Latency
from nasproxy.ranking.pooled import Pooled, pool
from nasproxy.settings import parse_settings
from nasproxy.space import Tabular
from nasproxy.store import Store
from nasproxy.store.columns import agrees, means, parsed, place, read_columns
from nasproxy.truth import tables

_LISTED = 10  # candidates in an error message


def read_truth(
    text: str,
    store: Store,
    key: str | None = None,
    *,
    where: Mapping[str, Any] | None = None,
    average: bool = False,
) -> pd.Series:
    """A truth from ``FILE:COLUMN`` (.parquet or .csv) or from the store's own scores by a proxy.

    A table may name architectures by the columns of the scored spaces' own benchmarks, and its keys
    are brought to their form. ``FILE:COLUMN:lower`` is one whose lower values are better.

    Args:
        text: what to read.
        store: of the scores; other than a table's, the truth's too.
        key, where, average: of a table, see ``nasproxy.truth.read``.

    Raises:
        TruthError: see ``nasproxy.truth.read``.
        SettingError: see ``truth_from_store``; or ``where`` without a table.
    """
    if not is_table(text):
        if where or average:
            raise SettingError(f"--where and --average choose rows of a table; {text!r} is none")
        return truth_from_store(store, text)
    path, column, lower = tables.parse_spec(text)
    names = {parse_settings(group.space)[0] for group in store.groups()}
    scored = [SPACES[name]() for name in SPACES if name in names]
    spaces = scored if len(scored) == len(names) else [s for s in scored if isinstance(s, Tabular)]
    found = tables.read(path, column, key, spaces, where=where, lower=lower, average=average)
    chosen = "".join(f", {name} {value}" for name, value in (where or {}).items())
    return found.rename(f"{path.name}:{column}{chosen}")


def truth_from_store(
    store: Store,
    proxy: str,
    *,
    space: str | None = None,
    data: str | None = None,
    seed: int | None = None,
) -> pd.Series:
    """One column of a store's scores as truth, indexed by architecture key, failed ones left out.

    Of several seeds that share their architectures it is the mean.

    Args:
        store: where they are.
        proxy: as ``rank_store`` names them, ``training:epochs=4`` or ``training[test_accuracy]``;
            or as the store does, with every setting. Settings that leave one column may be left
            out.
        space, data, seed: narrow it down, likewise; data by its name or ``name@fingerprint``.

    Raises:
        SettingError: none or several columns fit; lists them.
    """
    columns = [c for c in read_columns(store) if len(c.series)]
    if not columns:
        raise SettingError(f"{proxy!r}: {place(store)} holds no scores; score first")
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
    if len(found) > 1 and len(pools := pool(found)) == 1:
        return _mean_of_seeds(pools[0])
    if len(found) != 1:
        listed = [
            "{proxy} ({space}, {data}, seed {seed})".format(**c.about) for c in found or columns
        ]
        more = [f"and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
        raise SettingError(
            f"{proxy!r} fits {len(found)} columns of {place(store)}: name one of "
            + "; ".join(listed[:_LISTED] + more)
        )
    (column,) = found
    about = column.about
    name = f"{about['proxy']}, {about['space']}, {about['data']}, seed {about['seed']}"
    truth = column.series.rename(name).rename_axis("architecture")
    truth.attrs["columns"] = [(column.run, column.column)]
    truth.attrs["lower"] = column.lower
    return truth


def _mean_of_seeds(pooled: Pooled) -> pd.Series:
    """Of the architectures that all seeds scored: what is left of their noise is less."""
    about = pooled.about
    name = f"{about['proxy']}, {about['space']}, {about['data']}, mean of {pooled.seed_names}"
    truth = pooled.mean.rename(name).rename_axis("architecture")
    truth.attrs["columns"] = [(column.run, column.column) for column in pooled.columns]
    truth.attrs["lower"] = pooled.first.lower
    return truth


def read_latency(
    text: str,
    store: Store,
    key: str | None = None,
    *,
    where: Mapping[str, Any] | None = None,
    average: bool = False,
) -> pd.Series:
    """Milliseconds by architecture key, of ``FILE:COLUMN`` or of the store's own ``latency``.

    Raises:
        TruthError: see ``nasproxy.truth.read``.
        SettingError: see ``truth_from_store``; or a stored proxy that measures no latency.
    """
    if is_table(text):
        return read_truth(text, store, key, where=where, average=average)
    if text.partition(":")[0].partition("[")[0] != Latency.name:
        raise SettingError(
            f"latency {text!r}: give FILE:COLUMN with a .parquet or .csv file, or a stored latency "
            "such as latency or latency[images=32]"
        )
    return -truth_from_store(store, text)


def reward(
    accuracy: pd.Series, latency: pd.Series, *, target: float = 75.0, exponent: float = -0.07
) -> pd.Series:
    """MNAS's reward as truth, of the architectures that have both.

    Args:
        accuracy: from 0, in any unit, by architecture key; of ``read_truth`` or one's own.
        latency: milliseconds, likewise; of ``read_latency`` or one's own.
        target, exponent: see :func:`nasproxy.metrics.mnas_reward`.

    Raises:
        TruthError: no architecture has both, or one has a negative accuracy or no positive latency.
        MetricError, SettingError: see :func:`nasproxy.metrics.mnas_reward`.
    """
    names = f"{accuracy.name or 'accuracy'}", f"{latency.name or 'latency'}"
    if accuracy.attrs.get("lower"):
        raise TruthError(f"{names[0]} is better the lower it is: a reward is of an accuracy")
    keys = tables.known(accuracy.index, latency)
    if keys.empty:
        examples = " and ".join(repr(s.index[0]) if len(s) else "none" for s in (accuracy, latency))
        raise TruthError(
            f"no architecture has both {names[0]} and {names[1]}: their keys are such as "
            f"{examples}; give columns of one space"
        )
    accuracies, milliseconds = accuracy[keys], latency[keys]
    for name, wrong, accepted in (
        (names[0], accuracies[accuracies < 0], "an accuracy, 0 or more"),
        (names[1], milliseconds[milliseconds <= 0], "milliseconds, more than 0"),
    ):
        if len(wrong):
            raise TruthError(
                f"{name} of {wrong.index[0]} is {wrong.iloc[0]:g}: a reward needs {accepted}; "
                "name such a column"
            )
    values = metrics.mnas_reward(accuracies, milliseconds, target, exponent)
    name = f"reward of {names[0]}, with {names[1]}, target {target:g} ms, exponent {exponent:g}"
    found = pd.Series(values, index=keys, name=name)
    found.attrs["columns"] = [c for s in (accuracy, latency) for c in s.attrs.get("columns", [])]
    return found


def is_table(text: str) -> bool:
    """Whether a file is meant, one that is there or not, and no stored proxy."""
    return ".parquet" in text.lower() or ".csv" in text.lower() or os.sep in text.partition(":")[0]
