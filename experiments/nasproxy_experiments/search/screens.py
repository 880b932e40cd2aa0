"""Random search and evolution, alone and behind a screen, at equal training cost

In each of ten disjoint pools twenty searches of every kind; all kinds start from the same random
numbers. A screen keeps the best 30 % of the pool by a score, and the search goes on among these.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy.reproduce import figures
from nasproxy.reproduce.claims import FAILS, HOLDS, Rule
from nasproxy.reproduce.statistics import Estimate, columns, mean, student
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.search import simulation
from nasproxy_experiments.search.study import Drawn, Study

CLAIM = (
    "None is published: it is what users plug a proxy in for. Rule, written before a score was "
    "made: a screen helps a search if its regret, in points of final accuracy below the best of "
    "the pool, is less at a budget of 10 mean trainings than the same search's without a screen, "
    "by the whole 95 % interval over ten disjoint pools; it hurts if the interval lies on the "
    "other side, and is undecided otherwise. The NNGP's screen is compared with size's and "
    "counts' by the same rule."
)
NEEDS = ("nasbench101", "nasbench201")
SEARCHES = {"random": simulation.random_search, "evolution": simulation.evolution}
NAMED = {"random": "random search", "evolution": "evolution"}
SCREENS = ("none", "nngp", "size", "counts")
KEPT, REPEATS = 0.3, 20
BUDGETS = (4.0, 10.0, 25.0)
DECIDING = 10.0
"""Budgets in mean trainings of the pool."""
GRID = np.geomspace(1, 40, 40)
HELPS = Rule(above=0)


class Searched(NamedTuple):
    """What all searches of a space found.

    Attributes:
        found: final accuracy, ``[pools, repeats, GRID and BUDGETS]``, by search and screen.
        best: of each pool, ``[pools]``.
    """

    found: dict[tuple[str, str], np.ndarray]
    best: np.ndarray

    def regrets(self, search: str, screen: str, budget: float) -> np.ndarray:
        """Each pool's mean over its searches, ``[pools]``."""
        at = len(GRID) + BUDGETS.index(budget)
        return self.best - np.nanmean(self.found[search, screen][:, :, at], axis=1)

    def gain(self, search: str, screen: str, other: str, budget: float) -> Estimate:
        """How much less a screen's regret is than another's."""
        less = self.regrets(search, other, budget) - self.regrets(search, screen, budget)
        return over_pools(less)


def over_pools(values: np.ndarray) -> Estimate:
    """Mean of one value a pool, with Student's t interval."""
    return student(mean(values), len(values))


def run(study: Study) -> Finding:
    searched = {name: searches(drawn.table, study.drawn[name]) for name, drawn in _drawn(study)}
    raw = pd.concat(
        [drawn.table.reset_index().assign(space=name) for name, drawn in _drawn(study)],
        ignore_index=True,
    )
    table = pd.DataFrame([row for name, one in searched.items() for row in _rows(name, one)])
    return Finding(
        verdict(table), {"gains": table, "pools": raw}, _figure(searched), _notes(searched, raw)
    )


def _drawn(study: Study) -> Iterator[tuple[str, Drawn]]:
    return ((name, study.drawn[name]) for name in NEEDS)


def searches(table: pd.DataFrame, drawn: Drawn) -> Searched:
    """All searches of a space's pools; see :attr:`Drawn.table`."""
    made: dict[tuple[str, str], list[np.ndarray]] = {}
    architectures = drawn.pool.architectures
    best = []
    for pool, rows in table.groupby("pool", sort=True):
        distances = drawn.bench.distances([architectures[key] for key in rows.index])
        found, own = one_pool(rows, distances, int(str(pool)))
        best.append(own)
        for kind, values in found.items():
            made.setdefault(kind, []).append(values)
    return Searched({kind: np.stack(values) for kind, values in made.items()}, np.array(best))


def one_pool(
    rows: pd.DataFrame, distances: np.ndarray, pool: int
) -> tuple[dict[tuple[str, str], np.ndarray], float]:
    """Final accuracies ``[repeats, GRID and BUDGETS]`` by search and screen; the pool's best."""
    cost = rows["cost"].to_numpy(float) / rows["cost"].mean()
    reward, final = (rows[name].to_numpy(float) for name in ("reward", "final"))
    table = simulation.Table(reward, final, cost, distances)
    spent = {"nngp": float(np.nansum(rows["screening"]))}
    at = np.array([*GRID, *BUDGETS])
    found = {}
    for search, strategy in SEARCHES.items():
        for screen in SCREENS:
            values = []
            for repeat in range(REPEATS):
                rng = np.random.default_rng([pool, repeat])
                kept = np.arange(len(rows))
                if screen != "none":
                    kept = simulation.screened(rows[screen].to_numpy(float), KEPT, rng)
                order = strategy(table, kept, rng)
                values.append(simulation.found(table, order, at, spent.get(screen, 0.0)))
            found[search, screen] = np.stack(values)
    return found, float(final.max())


def _rows(space: str, one: Searched) -> Iterator[dict[str, object]]:
    for search in SEARCHES:
        for screen in SCREENS:
            for budget in BUDGETS:
                row: dict[str, object] = {"space": space, "search": search, "screen": screen}
                row |= {"budget": budget}
                row |= columns("regret", over_pools(one.regrets(search, screen, budget)))
                for other in SCREENS:
                    gain = one.gain(search, screen, other, budget)
                    row |= columns(f"over {other}", gain if other != screen else _NONE)
                yield row


_NONE = Estimate(float("nan"), float("nan"), float("nan"))


def gain_of(table: pd.DataFrame, space: str, search: str, screen: str, other: str) -> Estimate:
    """A row's gain over another screen at the budget that decides."""
    rows = table[
        (table["space"] == space)
        & (table["search"] == search)
        & (table["screen"] == screen)
        & (table["budget"] == DECIDING)
    ]
    name = f"over {other}"
    return Estimate(*(float(rows[c].iloc[0]) for c in (name, f"{name} low", f"{name} high")))


def verdict(table: pd.DataFrame) -> str:
    """By the rule, of each space and search: over no screen, then over a screen by counts."""
    sentences = []
    for space in dict.fromkeys(table["space"]):
        for search in SEARCHES:
            gain, beside = (gain_of(table, space, search, "nngp", o) for o in ("none", "counts"))
            sentences.append(
                f"On {space} an NNGP screen of {NAMED[search]} {_word(gain)}: {gain:+.2f} points; "
                f"against a screen by counts it {_word(beside)}: {beside:+.2f}."
            )
    return " ".join(sentences)


def _word(gain: Estimate) -> str:
    return {HOLDS: "helps", FAILS: "hurts"}.get(HELPS.verdict(gain), "is undecided")


def _notes(searched: dict[str, Searched], raw: pd.DataFrame) -> Sequence[str]:
    seconds = raw["nngp seconds"].median()
    share = raw.groupby(["space", "pool"])["screening"].sum().max()
    return (
        f"The table's `over` columns say how much less the regret is than behind another screen "
        f"({KEPT:.0%} kept). A budget is in mean trainings of a pool; scoring a pool by the NNGP "
        f"({seconds:.2g} s a network) is charged by its FLOPs, {share:.2g} of a training at most. "
        f"{REPEATS} searches in each pool, {REPEATS * searched[NEEDS[0]].best.size} of each kind.",
        f"Evolution keeps {simulation.POPULATION}, and mutates to one of the "
        f"{simulation.NEAREST} nearest that are not trained: by paths on nasbench101, by edges on "
        "nasbench201. `pools.csv` holds every score and what was looked up.",
    )


def _figure(searched: dict[str, Searched]) -> Figure:
    figure, axes = figures.panels(len(SEARCHES), len(searched))
    for row, (space, one) in enumerate(searched.items()):
        for column, search in enumerate(SEARCHES):
            axis = axes[row * len(SEARCHES) + column]
            for screen, colour in zip(SCREENS, figures.COLOURS, strict=False):
                values = one.best[:, None, None] - one.found[search, screen][:, :, : len(GRID)]
                usable = ~np.isnan(values).all(axis=1).any(axis=0)
                curves = np.nanmean(values[:, :, usable], axis=1)
                ends = [over_pools(curve) for curve in curves.T]
                value, low, high = np.array(ends).T
                figures.band(axis, GRID[usable], value, low, high, colour, screen)
            figures.logarithmic(axis)
            figures.label(axis, "cost, mean trainings", "regret, points", f"{space}, {search}")
            figures.legend(axis)
    return figure
