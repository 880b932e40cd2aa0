"""Searches among architectures whose training is in a table: nothing is trained again.

A search trains architectures one after another and pays for each. What it has found is the one of
the best reward so far, the validation accuracy of its shortened training; what that is worth is its
accuracy after long training, which no search sees.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

POPULATION, TOURNAMENT, NEAREST = 10, 3, 5
"""Of ageing evolution: P, S, and among how many neighbours a mutation falls."""


class Table(NamedTuple):
    """Architectures of a pool, each trained.

    Attributes:
        reward: validation accuracy of shortened training, ``[n]``.
        final: accuracy after long training, ``[n]``.
        cost: of shortened training, ``[n]``, in any one unit.
        distances: between architectures, ``[n, n]``.
    """

    reward: Float[np.ndarray, " n"]
    final: Float[np.ndarray, " n"]
    cost: Float[np.ndarray, " n"]
    distances: Float[np.ndarray, "n n"]


def screened(
    score: Float[np.ndarray, " n"], kept: float, rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """The positions of the best ``kept`` of all, ⌈kept · n⌉; ties in random order, NaN last."""
    worst_last = np.where(np.isnan(score), -np.inf, score)
    order = np.lexsort((rng.random(len(score)), -worst_last))
    return np.sort(order[: int(np.ceil(kept * len(score)))])


def random_search(
    table: Table, kept: Int[np.ndarray, " k"], rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """Those that are kept, in random order."""
    return rng.permutation(kept)


def evolution(
    table: Table, kept: Int[np.ndarray, " k"], rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """The order in which ageing evolution (Real et al. 2019) trains those that are kept, all.

    A mutation is one of the ``NEAREST`` that are not trained yet, by distance from the parent, ties
    in random order: real mutations of a cell seldom lie in a pool.
    """
    order = [int(i) for i in rng.permutation(kept)[:POPULATION]]
    left = np.setdiff1d(kept, order)
    while len(left):
        drawn = rng.choice(order[-POPULATION:], TOURNAMENT)
        parent = drawn[np.argmax(table.reward[drawn])]
        away = table.distances[parent, left] + 0.5 * rng.random(len(left))
        near = np.argsort(away)[:NEAREST]
        chosen = int(rng.choice(near))
        order.append(int(left[chosen]))
        left = np.delete(left, chosen)
    return np.array(order)


def found(
    table: Table,
    order: Int[np.ndarray, " k"],
    at: Float[np.ndarray, " b"],
    spent: float = 0.0,
) -> Float[np.ndarray, " b"]:
    """Final accuracy of what a search has found when it has spent so much.

    Args:
        table: the pool.
        order: in which architectures are trained.
        at: budgets, in the unit of ``table.cost``.
        spent: what a screen cost before the first training.

    Returns:
        ``[b]``, NaN where not even the first training was paid for.
    """
    rewards = table.reward[order]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(rewards)[:-1]])
    # The first of equals stays.
    incumbent = np.maximum.accumulate(np.where(rewards > before, np.arange(len(order)), 0))
    ends = spent + np.cumsum(table.cost[order])
    trained = np.searchsorted(ends, at, side="right")
    values = table.final[order[incumbent[np.maximum(trained - 1, 0)]]]
    return np.where(trained > 0, values, np.nan)
