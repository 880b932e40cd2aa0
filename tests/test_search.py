"""Search: strategies do what their paper says, and a killed search resumes as if nothing was."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.data import Dataset, from_arrays
from nasproxy.errors import SettingError
from nasproxy.proxies import Params
from nasproxy.proxies.base import Score
from nasproxy.scoring import Session
from nasproxy.search import (
    STRATEGIES,
    RandomSearch,
    RegularizedEvolution,
    Step,
    Strategy,
    make_strategy,
    search,
)
from nasproxy.store import Store
from search_spaces import NASBench101

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Bits:
    """Strings of `length` bits, one of which a mutation flips; the best has ones only."""

    length: int = 24
    width: int = 1

    name: ClassVar[str] = "bits"
    samplers: ClassVar[tuple[str, ...]] = ("uniform", "zeros")

    def sample(self, n: int, seed: int, sampler: str | None = None) -> list[str]:
        rng = np.random.default_rng(seed)
        high = 1 if sampler == "zeros" else 2
        return ["".join(map(str, rng.integers(high, size=self.length))) for _ in range(n)]

    def mutate(self, architecture: str, rng: np.random.Generator) -> str:
        spot = int(rng.integers(self.length))
        flipped = "10"[int(architecture[spot])]
        return architecture[:spot] + flipped + architecture[spot + 1 :]

    def key(self, architecture: str) -> str:
        return architecture

    def find(self, key: str) -> str:
        return key

    def to_json(self, architecture: str) -> str:
        return json.dumps(architecture)

    def from_json(self, text: str) -> str:
        return json.loads(text)

    def graph(self, architecture: str, image_shape: Any, classes: int) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Ones:
    """The number of ones; fails on strings that end in `fails`, kills the process when told to."""

    fails: str | tuple[str, ...] = ""

    name: ClassVar[str] = "ones"
    calls: ClassVar[list[str]] = []
    dies_at: ClassVar[int] = -1

    def prepare(self, space: Any, data: Dataset, seed: int) -> Any:
        def score(architecture: str) -> Score:
            if len(self.calls) == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.calls.append(architecture)
            if self.fails and architecture.endswith(self.fails):
                raise FloatingPointError("no features")
            return Score(float(architecture.count("1")), flops=1.0)

        return score


SPACE: Any = Bits()
CELLS: Any = NASBench101()
KINDS = [lambda rng: RandomSearch(SPACE, rng), lambda rng: RegularizedEvolution(SPACE, rng, 5, 2)]


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """What was computed, not read from a store."""
    Ones.calls.clear()
    yield Ones.calls
    Ones.calls.clear()


def run(**options: Any) -> pd.DataFrame:
    images = np.zeros((4, 2, 2, 1), np.float32)
    images[1::2] = 1
    data = from_arrays(images, np.arange(4) % 2, images, np.arange(4) % 2, name="none")
    options = {"proxy": Ones(), "space": SPACE, "budget": 60, "progress": False} | options
    return search(options.pop("space"), options.pop("proxy"), data, **options)


def loop(strategy: Strategy, steps: int) -> list[str]:
    asked = []
    for _ in range(steps):
        architecture = strategy.ask()
        strategy.tell(architecture, architecture.count("1"))
        asked.append(architecture)
    return asked


# Strategies


@pytest.mark.parametrize("make", KINDS)
def test_the_same_seed_asks_the_same_and_another_does_not(make: Any) -> None:
    runs = [loop(make(np.random.default_rng(seed)), 30) for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_the_oldest_dies_however_good() -> None:
    evolution = RegularizedEvolution(SPACE, np.random.default_rng(0), population=3, sample=2)
    for name, score in (("best", 9.0), ("b", 1.0), ("c", 2.0)):
        evolution.tell(name, score)
    assert [m.architecture for m in evolution.members] == ["best", "b", "c"]
    evolution.tell("d", 0.0)
    assert [m.architecture for m in evolution.members] == ["b", "c", "d"]
    evolution.tell("e", 0.5)
    assert [m.architecture for m in evolution.members] == ["c", "d", "e"]


def test_a_child_is_one_mutation_from_the_best_of_a_tournament() -> None:
    # A tournament so large that every member is in it: the parent must be the best alive.
    evolution = RegularizedEvolution(SPACE, np.random.default_rng(0), population=4, sample=200)
    asked: list[str] = []
    for step in range(60):
        child = evolution.ask()
        if step >= 4:
            best = max(asked[-4:], key=lambda a: a.count("1"))
            ties = [a for a in asked[-4:] if a.count("1") == best.count("1")]
            assert any(sum(x != y for x, y in zip(child, a, strict=True)) == 1 for a in ties)
        evolution.tell(child, child.count("1"))
        asked.append(child)


def test_a_tournament_draws_with_replacement() -> None:
    # Among P = 2 with S = 2 the worse one wins when drawn twice: a quarter of the time.
    evolution = RegularizedEvolution(SPACE, np.random.default_rng(0), population=2, sample=2)
    evolution.tell("1" * 24, 1.0)
    evolution.tell("0" * 24, 0.0)
    children = [evolution.ask() for _ in range(4000)]
    share = np.mean([child.count("1") == 1 for child in children])
    assert abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 4000)


def test_asking_ahead_is_random_until_the_population_is_told() -> None:
    evolution = RegularizedEvolution(SPACE, np.random.default_rng(0), 3, 2, sampler="zeros")
    assert {evolution.ask() for _ in range(10)} == {"0" * 24}
    for _ in range(3):
        evolution.tell("0" * 24, 0.0)
    assert {evolution.ask().count("1") for _ in range(10)} == {1}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.just(math.nan), st.floats(allow_nan=False)), min_size=1))
def test_failures_never_beat_anything(scores: list[float]) -> None:
    evolution = RegularizedEvolution(SPACE, np.random.default_rng(0), population=len(scores))
    for score in scores:
        evolution.tell("0" * 24, score)
    told = [member.score for member in evolution.members]
    assert told == [-math.inf if math.isnan(score) else score for score in scores]
    assert evolution.ask().count("1") == 1, "even of failures only"


def test_evolution_beats_random_search_where_the_optimum_is_known() -> None:
    best: dict[str, list[float]] = {}
    for kind in ("random", "evolution:population=20,sample=5"):
        best[kind] = [
            max(a.count("1") for a in loop(make_strategy(kind, SPACE, rng), 400))
            for rng in map(np.random.default_rng, range(5))
        ]
    random, evolution = best.values()
    assert min(evolution) > max(random)
    assert max(evolution) == 24, "the optimum"


def test_strategies_come_by_name_with_settings() -> None:
    rng = np.random.default_rng(0)
    assert set(STRATEGIES) == {"random", "evolution"}
    evolution = make_strategy("evolution:population=7,sample=3,sampler=zeros", SPACE, rng)
    assert isinstance(evolution, RegularizedEvolution)
    assert (evolution.population, evolution.sample, evolution.sampler) == (7, 3, "zeros")
    default = make_strategy("evolution", SPACE, rng)
    assert isinstance(default, RegularizedEvolution)
    assert (default.population, default.sample) == (50, 10)
    assert isinstance(make_strategy("random", SPACE, rng), RandomSearch)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("annealing", "choose one of random, evolution"),
        ("evolution:size=3", "has population, sample, sampler"),
        ("random:rng=3", "has sampler"),
        ("evolution:population=0", "at least 1"),
        ("evolution:sample=1.5", "at least 1"),
    ],
)
def test_wrong_strategies_say_what_there_is(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_strategy(text, SPACE, np.random.default_rng(0))


# The loop over a store


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_trace_says_what_happened(strategy: str, calls: list[str]) -> None:
    trace = run(strategy=strategy, budget=120)
    assert list(trace.columns) == [
        *("step", "architecture", "score", "best", "best_architecture", "seconds"),
        "architecture_json",
    ]
    assert trace["step"].tolist() == list(range(1, 121))
    assert trace["score"].tolist() == [a.count("1") for a in trace["architecture"]]
    assert trace["best"].tolist() == np.maximum.accumulate(trace["score"]).tolist()
    winners = trace["best_architecture"].tolist()
    assert [a.count("1") for a in winners] == trace["best"].tolist()
    first = trace.drop_duplicates("best")["architecture"].tolist()
    assert list(dict.fromkeys(winners)) == first, "the earliest of equals"
    assert calls == list(dict.fromkeys(trace["architecture"]))


def test_the_loop_of_the_docstring_is_what_search_does() -> None:
    evolution = RegularizedEvolution(SPACE, np.random.default_rng(3))
    assert run(seed=3, strategy="evolution")["architecture"].tolist() == loop(evolution, 60)


def test_repeats_count_towards_the_budget_and_cost_nothing(calls: list[str]) -> None:
    space: Any = Bits(length=3)
    trace = run(space=space, strategy="evolution:population=4,sample=2", budget=50)
    assert len(trace) == 50
    assert len(calls) == len(set(calls)) <= 8
    assert (trace.loc[trace["architecture"].duplicated(), "seconds"] == 0).all()
    assert (trace.loc[~trace["architecture"].duplicated(), "seconds"] > 0).all()


def test_failures_are_steps_that_never_win(calls: list[str]) -> None:
    trace = run(proxy=Ones(fails="1"), budget=100)
    failed = trace["architecture"].str.endswith("1")
    assert failed.any()
    assert trace["score"].isna().tolist() == failed.tolist()
    assert not trace["best_architecture"].dropna().str.endswith("1").any()
    assert trace["best"].dropna().is_monotonic_increasing


def test_a_search_in_which_all_fails_ends(calls: list[str]) -> None:
    space: Any = Bits(length=2)
    trace = run(space=space, proxy=Ones(fails="0"), strategy="random:sampler=zeros", budget=3)
    assert trace["best"].isna().all()
    assert trace["best_architecture"].isna().all()
    assert len(calls) == 1, "a failure is not tried again either"


@pytest.mark.parametrize("strategy", ["random", "evolution:population=10,sample=3"])
def test_a_killed_search_resumes_to_the_identical_trace(
    tmp_path: Path, strategy: str, calls: list[str]
) -> None:
    uninterrupted = run(strategy=strategy, seed=5)
    n_computed = len(calls)
    path = tmp_path / "scores.db"
    code = f"""
from tests.test_search import Ones, run
Ones.dies_at = 25
run(strategy={strategy!r}, seed=5, store={str(path)!r})
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    with Store(path) as store:
        assert store.groups()[0].ok == 25

    calls.clear()
    resumed = run(strategy=strategy, seed=5, store=path)
    assert len(calls) == n_computed - 25, "nothing is paid for twice"
    same = ["step", "architecture", "score", "best", "best_architecture"]
    pd.testing.assert_frame_equal(resumed[same], uninterrupted[same], check_exact=True)

    calls.clear()
    pd.testing.assert_frame_equal(run(strategy=strategy, seed=5, store=path), resumed)
    assert not calls
    longer = run(strategy=strategy, seed=5, store=path, budget=70)
    pd.testing.assert_frame_equal(longer[:60], resumed, check_exact=True)


def test_a_callback_sees_each_step_and_may_end_the_search(calls: list[str]) -> None:
    steps: list[Step] = []
    trace = run(callback=steps.append, strategy="random")
    assert [step.step for step in steps] == list(range(1, 61))
    assert [step.architecture for step in steps] == trace["architecture"].tolist()
    assert [step.record.value for step in steps] == trace["score"].tolist()
    assert [step.best.value for step in steps if step.best] == trace["best"].tolist()
    assert [step.repeated for step in steps] == trace["architecture"].duplicated().tolist()
    short = run(callback=lambda step: step.step == 7, strategy="random")
    pd.testing.assert_frame_equal(short.drop(columns="seconds"), trace[:7].drop(columns="seconds"))
    assert len(run(callback=lambda step: "a word, not True", strategy="random")) == 60


def test_scores_of_a_search_say_how_they_were_drawn(calls: list[str]) -> None:
    with Store(None) as store:
        run(strategy="random", seed=2, budget=3, store=store)
        assert {r.info["drawn"] for r in store.records()} == {"search by random, seed=2"}


def test_a_strategy_of_ones_own_is_a_function_of_space_and_generator(calls: list[str]) -> None:
    trace = run(strategy=lambda space, rng: RandomSearch(space, rng, "zeros"), budget=2)
    assert trace["score"].tolist() == [0, 0]


@pytest.mark.parametrize("options", [{"budget": 0}, {"strategy": "annealing"}])
def test_wrong_settings_raise_before_the_store_is_made(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(SettingError):
        run(store=tmp_path / "scores.db", **options)
    assert not list(tmp_path.iterdir())


def test_cells_are_searched(tiny_data: Dataset) -> None:
    trace = search(
        CELLS,
        Params(),
        tiny_data,
        strategy="evolution:population=10,sample=5",
        budget=60,
        progress=False,
    )
    assert trace["best"].iloc[-1] > trace["score"][:10].max()
    best = CELLS.find(trace["best_architecture"].iloc[-1])
    assert CELLS.key(best) == trace["best_architecture"].iloc[-1]


def test_a_session_gives_each_record_once(calls: list[str], tiny_data: Dataset) -> None:
    with Store(None) as store:
        session = Session(Ones(fails="1"), SPACE, tiny_data, store, drawn="by hand")
        record, failed = session("0" * 24), session("1" * 24)
        assert (record.value, record.error) == (0.0, None)
        assert failed.error == "FloatingPointError: no features"
        assert session("0" * 24) == record
        assert list(store.records()) == [record, failed]
        assert record.info["drawn"] == "by hand"
        again = Session(Ones(fails="1"), SPACE, tiny_data, store, retry_failed=True)
        assert again("0" * 24) == record
        assert again("1" * 24) == again("1" * 24), "a retry is made once"
        assert len(calls) == 3


@pytest.mark.parametrize("kind", [RandomSearch, RegularizedEvolution])
@pytest.mark.parametrize("score", [None, "1", "x", True, 1j, [1.0], np.ones(1), object()])
def test_only_numbers_are_told(kind: type, score: Any) -> None:
    strategy = kind(Bits(), np.random.default_rng(0))
    with pytest.raises(SettingError, match="tell a number, NaN where scoring failed"):
        strategy.tell("0", score)
    for number in (1, 1.0, np.float32(1), np.array(1.0), math.nan):
        strategy.tell("0", number)
    if kind is RegularizedEvolution:
        told = [member.score for member in strategy.members]
        assert told == [1.0, 1.0, 1.0, 1.0, -math.inf]


@pytest.mark.parametrize("seed", [-1, 2.5, True, "3", None, 2**63])
def test_seeds_are_whole_numbers(seed: Any, tiny_data: Dataset) -> None:
    with pytest.raises(SettingError, match=r"seed=.* of search: give a whole number from 0 to"):
        search(NASBench101(), Params(), tiny_data, budget=1, seed=seed)
    with pytest.raises(SettingError, match=r"seed=.* of scoring: give a whole number from 0 to"):
        Session(Params(), NASBench101(), tiny_data, Store(None), seed=seed)
