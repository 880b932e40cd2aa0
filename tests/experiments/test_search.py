"""Searches by table: what they train and find, and a verdict that comes out each way."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasproxy.errors import SettingError
from nasproxy.reproduce.suites import Options
from nasproxy_experiments.search import prepare, screens, simulation, study
from nasproxy_experiments.search.simulation import Table
from search_spaces import NASBench201
from search_spaces.nasbench101 import Cell


def line(n: int, seed: int = 0) -> Table:
    """Architectures on a line, better to the right; final accuracies are rewards with noise."""
    rng = np.random.default_rng(seed)
    place = np.arange(n, dtype=float)
    reward = place / n
    distances = abs(place[:, None] - place)
    return Table(reward, reward + 0.01 * rng.normal(size=n), rng.uniform(0.5, 1.5, n), distances)


def test_a_screen_keeps_the_best() -> None:
    score = np.array([0.3, np.nan, 0.9, 0.1, 0.5])
    kept = simulation.screened(score, 0.4, np.random.default_rng(0))
    assert kept.tolist() == [2, 4]
    assert 1 not in simulation.screened(score, 0.8, np.random.default_rng(0))
    tied = {
        tuple(simulation.screened(np.ones(4), 0.5, np.random.default_rng(s))) for s in range(60)
    }
    assert len(tied) == 6


@pytest.mark.parametrize("strategy", [simulation.random_search, simulation.evolution])
@pytest.mark.parametrize("n", [4, 12, 50])
def test_every_architecture_that_is_kept_is_trained_once(strategy: Any, n: int) -> None:
    kept = np.arange(n)[::2]
    orders = [strategy(line(n), kept, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert sorted(orders[0]) == kept.tolist()
    assert orders[0].tolist() == orders[1].tolist()
    assert n < 12 or orders[0].tolist() != orders[2].tolist()


def test_evolution_climbs() -> None:
    """From its first random ones on, its next thirty lie further right than random ones do."""
    table, kept = line(300), np.arange(300)
    first, then = simulation.POPULATION, simulation.POPULATION + 30
    places = [simulation.evolution(table, kept, np.random.default_rng(seed)) for seed in range(10)]
    assert np.mean([p[:first] for p in places]) == pytest.approx(150, abs=30)
    assert np.mean([p[first:then] for p in places]) > 200


def test_what_is_found_is_paid_for() -> None:
    """Against a loop over trainings, one by one, also where rewards tie."""
    table = line(40, seed=3)
    table = table._replace(reward=np.round(table.reward, 1))
    rng = np.random.default_rng(1)
    for spent in (0.0, 2.5):
        order = rng.permutation(40)
        at = np.sort(rng.uniform(0, 50, 25))
        got = simulation.found(table, order, at, spent)
        for budget, value in zip(at, got, strict=True):
            paid, best, expected = spent, -np.inf, np.nan
            for i in order:
                paid += table.cost[i]
                if paid > budget:
                    break
                if table.reward[i] > best:
                    best, expected = table.reward[i], table.final[i]
            np.testing.assert_equal(value, expected)


def gains(quality: float, n: int = 60) -> pd.DataFrame:
    """The table of a made-up space whose scores know this much of the final accuracy."""
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    best = []
    for pool in range(study.POOLS):
        rng = np.random.default_rng(pool)
        final = rng.normal(90, 1, n)
        noise = rng.normal(size=(4, n))
        rows = pd.DataFrame(
            {
                "reward": final + 0.5 * noise[0],
                "final": final,
                "cost": rng.uniform(0.5, 1.5, n),
                "nngp": quality * (final - 90) + (1 - abs(quality)) * noise[1],
                "size": noise[2],
                "counts": np.round(noise[3]),
                "screening": 1e-5,
            }
        )
        made, own = screens.one_pool(rows, abs(final[:, None] - final), pool)
        best.append(own)
        for kind, values in made.items():
            found.setdefault(kind, []).append(values)
    stacked = {kind: np.stack(values) for kind, values in found.items()}
    searched = screens.Searched(stacked, np.array(best))
    return pd.DataFrame(list(screens._rows("made up", searched)))


@pytest.mark.parametrize(
    ("quality", "word"), [(0.9, "helps"), (-0.9, "hurts"), (0.0, "is undecided")]
)
def test_a_verdict_follows_from_what_a_score_knows(quality: float, word: str) -> None:
    """A good score helps and one upside down hurts; of noise, no gain is in the interval."""
    table = gains(quality)
    gain = screens.gain_of(table, "made up", "random", "nngp", "none")
    assert f"of random search {word}: {gain:+.2f} points" in screens.verdict(table)


def test_a_gain_is_the_regret_that_is_saved() -> None:
    table = gains(0.9)
    rows = table[(table["search"] == "evolution") & (table["budget"] == screens.DECIDING)]
    regret = rows.set_index("screen")["regret"]
    gain = screens.gain_of(table, "made up", "evolution", "nngp", "size")
    assert gain.value == pytest.approx(regret["size"] - regret["nngp"])
    assert gain.low < gain.value < gain.high


def test_cells_of_201_are_as_far_apart_as_edges_differ() -> None:
    space = NASBench201()
    one, other = ("none",) * 6, ("none", "skip_connect", "none", "none", "nor_conv_3x3", "none")
    assert study.edges_apart([space.assemble(one), space.assemble(other)]).tolist() == [
        [0, 2],
        [2, 0],
    ]


def test_cells_of_101_are_as_far_apart_as_paths_differ() -> None:
    """A 3×3 convolution beside a skip; a pool beside a skip; two convolutions in a row."""
    skip = [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    row = [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    cells = [
        Cell.create(skip, ["input", "conv3x3-bn-relu", "output"]),
        Cell.create(skip, ["input", "maxpool3x3", "output"]),
        Cell.create(row, ["input", "conv3x3-bn-relu", "conv3x3-bn-relu", "output"]),
    ]
    assert sorted(study.paths(cells[0])) == ["/conv3x3-bn-relu/output", "/output"]
    assert study.paths_apart(cells).tolist() == [[0, 2, 3], [2, 0, 3], [3, 3, 0]]


def test_without_a_table_there_is_nothing_to_look_up() -> None:
    with pytest.raises(SettingError, match="--truth"):
        prepare(Options())


def test_half_of_the_pools_are_scored_by_each_seed() -> None:
    keys = {str(i): str(i) for i in range(study.POOLS * 3)}
    pool = study.Pool(NASBench201(), keys, SimpleNamespace(), SimpleNamespace(), "")  # type: ignore[arg-type]
    drawn = study.Drawn(study.BENCHES[1], pool, pd.DataFrame(), 3)
    parts = [(request.seed, list(one.architectures)) for one, request in drawn.requests()]
    assert [seed for seed, _ in parts] == [0, 1]
    assert parts[0][1] + parts[1][1] == list(keys)
    assert len(parts[0][1]) == len(parts[1][1])
