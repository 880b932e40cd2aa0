"""The best of a ranking, drawn."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from nasproxy import drawing
from nasproxy.checks import Whole, checked
from nasproxy.drawing import Drawing
from nasproxy.errors import NasproxyError, SettingError
from nasproxy.metrics import kendall_tau
from nasproxy.named import space_of
from nasproxy.ranking.aligned import align
from nasproxy.ranking.labels import labels
from nasproxy.ranking.measures import Finder
from nasproxy.ranking.plots import wrapped
from nasproxy.ranking.pooled import Pooled
from nasproxy.ranking.table import opposed
from nasproxy.space import SearchSpace, draw
from nasproxy.store import Store
from nasproxy.store.columns import Run
from nasproxy.truth import tables

MOST = 100
"""Drawings of a sheet."""
_SAID = 26  # characters of a caption's line


def draw_store(
    store: Store,
    truth: pd.Series,
    n: int = 10,
    by: str | None = None,
    columns: int | None = None,
) -> Drawing:
    """The n best architectures by a stored score, each with its key, score and truth.

    Ties are in the order of their keys. Architectures without a truth are drawn too: a search does
    not know it either.

    Args:
        store: what was scored.
        truth: indexed by architecture key.
        n: how many, 1 to 100; fewer where fewer are scored.
        by: a stored proxy as the ranking names it; by default the one whose τ is highest, other
            than of the truth's own computation.
        columns: drawings a row.

    Raises:
        StoreError, TruthError: as ``rank_store``.
        SettingError: a number out of its range, or a name that fits no column or several.
    """
    n = checked("draw", "n", n, Whole(1, MOST))
    pools, every, known, runs = opposed(store, truth)
    pooled = _best(pools, known, runs) if by is None else _named(store, every, by)
    label = labels([pooled])[0]
    scores = pooled.mean.sort_index()
    scores = scores.sort_values(ascending=pooled.first.lower, kind="stable")[:n]
    keys = [str(key) for key in scores.index]
    captions = []
    for place, (key, score) in enumerate(zip(keys, scores, strict=True), start=1):
        name = key if len(key) <= _SAID else f"{key[: _SAID - 1]}…"
        told = f"; truth {known[key]:.5g}" if key in known.index else ""
        captions.append(f"{place}. {name}\n{score:.5g}{told}")
    title = f"The {len(scores)} best by {wrapped(label, 80)}"
    drawn = drawings_of(store, keys, pooled.first.run[0])
    return drawing.sheet(drawn, captions, columns, title)


def drawings_of(store: Store, keys: Sequence[str], space: str | None = None) -> list[Drawing]:
    """Stored architectures as their space draws them, in order.

    Of a space that is not installed, or has changed since, the key stands as text.

    Args:
        store: what was scored.
        keys: of architectures.
        space: as the store names it; by default the first that has the key.
    """
    wanted, found = set(keys), dict[str, Drawing]()
    spaces: dict[str, SearchSpace[Any] | None] = {}
    for record in store.records():
        stored, key = record.key.space, record.key.architecture
        if key not in wanted or key in found or (space is not None and stored != space):
            continue
        if stored not in spaces:
            spaces[stored] = _space(stored)
        found[key] = _drawing(spaces[stored], key, record.architecture_json)
    return [found[key] for key in keys]


def _space(stored: str) -> SearchSpace[Any] | None:
    try:
        return space_of(stored)
    except NasproxyError:
        return None


def _drawing(space: SearchSpace[Any] | None, key: str, json: str) -> Drawing:
    if space is None:
        return drawing.text(key)
    try:
        return draw(space, space.from_json(json))
    except NasproxyError:
        return drawing.text(key)


def _best(pools: list[Pooled], truth: pd.Series, runs: set[Run]) -> Pooled:
    """Of the highest τ, the mean over its seeds, other than of the truth's own runs."""

    def tau(pooled: Pooled) -> float:
        if not len(tables.known(pooled.frame.dropna().index, truth)):
            return -math.inf
        row = align(pooled.frame, truth)
        found = [kendall_tau(scores, row.truth) for scores in row.scores]
        return -math.inf if any(map(math.isnan, found)) else sum(found) / len(found)

    return max([p for p in pools if not p.runs & runs] or pools, key=tau)


def _named(store: Store, every: list[Pooled], by: str) -> Pooled:
    found = Finder(store, every).one(by)
    if found is None or found.source is None:
        raise SettingError(f"draw by {by!r}: name a stored proxy, as the ranking lists them")
    return found.source
