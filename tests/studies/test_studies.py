"""Spaces as studies of Optuna's: what is proposed, screened, stored and resumed."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from nasproxy import ModuleSpace, Store
from nasproxy.data import Dataset
from nasproxy.errors import ScoringError, SettingError, StoreError
from nasproxy.proxies.base import NoScore
from nasproxy.space import Product
from nasproxy.studies import (
    ByChoices,
    ByMutation,
    Objective,
    distributions,
    front,
    plot,
    study,
    trials,
)
from search_spaces import MNAS, NASBench101, NASBench201, NASBenchMacro
from tests.test_search import Bits, Ones

ROOT = Path(__file__).parents[2]
MACRO: Any = NASBenchMacro(width=8)
BITS: Any = Bits()
SAME = ["architecture", "state", "front", "failed", "architecture_json"]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Other tests of this process find Optuna's verbosity as it was."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    Ones.calls.clear()
    CALLS.clear()
    yield
    optuna.logging.set_verbosity(before)


def ones(architecture: str) -> float:
    """How many blocks are of the kind 1; some have no number, when told so."""
    return float(architecture.count("1"))


def twos(architecture: str) -> float:
    return float(architecture.count("2"))


CALLS: list[str] = []


def dying(architecture: str) -> float:
    """Kills its process at the call that the environment names."""
    CALLS.append(architecture)
    if len(CALLS) == int(os.environ.get("DIES_AT", "0")):
        os.kill(os.getpid(), signal.SIGKILL)
    return ones(architecture)


def run(goals: Any, space: Any = MACRO, **options: Any) -> optuna.Study:
    return study(space, goals, **{"budget": 30, "progress": False} | options)


# Proposals


@pytest.mark.parametrize("space", [MACRO, NASBench201(), MNAS()], ids=lambda s: s.name)
def test_a_product_is_its_choices(space: Any) -> None:
    found: Any = distributions(space)
    assert len(found) == len(space.choices)
    for name, values in zip(space.positions, space.choices, strict=True):
        assert set(found[name].choices) == set(values)
    proposed = ByChoices(space)
    made = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    keys = set()
    for _ in range(10):
        trial = made.ask()
        architecture = proposed(trial)
        assert space.assemble(list(trial.params.values())) == architecture
        assert space.key(space.find(space.key(architecture))) == space.key(architecture)
        keys.add(space.key(architecture))
    assert len(keys) > 5


def test_modules_are_a_product_of_their_axes() -> None:
    space = ModuleSpace(dict, {"depth": (1, 3), "width": (8, 16)}, called="plain")
    assert isinstance(space, Product)
    found: Any = distributions(space)
    assert {n: d.choices for n, d in found.items()} == {
        "depth": (1, 3),
        "width": (8, 16),
    }
    assert space.assemble(space.values({"depth": 3, "width": 8})) == {"depth": 3, "width": 8}
    confused = ModuleSpace(dict, {"depth": (1, True)}, called="plain")
    with pytest.raises(SettingError, match="takes equal values for one"):
        distributions(confused)


def test_what_is_no_product_says_how_it_is_searched() -> None:
    with pytest.raises(SettingError, match="no product of choices: search it by evolution"):
        ByChoices(NASBench101())
    with pytest.raises(SettingError, match="no product of choices"):
        run(ones, NASBench101(), strategy="tpe")


def test_evolution_mutates_what_no_other_of_the_tournament_beats() -> None:
    """With all of the population in every tournament, parents are on its front."""
    propose = ByMutation(BITS, seed=3, population=4, sample=100)
    made = run(
        [lambda a: a[:12].count("1"), count_last],
        BITS,
        strategy="evolution:population=4,sample=100",
        seed=3,
        budget=40,
    )
    table = trials(made)
    keys = table["architecture"].tolist()
    for step in range(4, 40):
        values = [(key[:12].count("1"), key[12:].count("1")) for key in keys[step - 4 : step]]
        best = [
            key
            for key, (a, b) in zip(keys[step - 4 : step], values, strict=True)
            if not any(c >= a and d >= b and (c, d) != (a, b) for c, d in values)
        ]
        assert any(sum(x != y for x, y in zip(keys[step], p, strict=True)) == 1 for p in best)
    assert propose.population == 4


def count_last(architecture: str) -> float:
    return architecture[12:].count("1")


def test_evolution_reaches_a_known_optimum() -> None:
    space: Any = Bits(length=12)
    made = run(ones, space, strategy="evolution:population=10,sample=5", budget=150)
    assert front(made)["ones"].max() == 12


def test_loops_of_ones_own_ask_and_tell() -> None:
    made = optuna.create_study(direction="minimize")
    space: Any = Bits(length=12)
    propose = ByMutation(space, population=4, sample=50)
    for _ in range(100):
        trial = made.ask()
        made.tell(trial, ones(propose(trial)))
    assert made.best_value <= 1, "of 12 bits; 6 at random"
    trial = made.ask(distributions(MACRO))
    assert MACRO.find("".join(trial.params.values()))


# Studies


@pytest.mark.parametrize(
    ("goals", "strategy"),
    [(ones, "tpe"), ([ones, twos], "nsga2:population_size=8"), (ones, "random")],
)
def test_the_same_seed_finds_the_same_and_another_does_not(goals: Any, strategy: str) -> None:
    keys = [
        trials(run(goals, strategy=strategy, seed=seed))["architecture"].tolist()
        for seed in (0, 0, 1)
    ]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]
    assert len(set(keys[0])) > 15


@pytest.mark.parametrize("strategy", ["tpe", "evolution:population=5,sample=3"])
def test_a_killed_study_resumes_as_if_nothing_was(tmp_path: Path, strategy: str) -> None:
    whole = trials(run(dying, strategy=strategy, seed=4))
    code = f"""
from tests.studies.test_studies import *
optuna.logging.set_verbosity(optuna.logging.CRITICAL)
run(dying, strategy={strategy!r}, seed=4, storage={str(tmp_path / "study.db")!r})
"""
    command = [sys.executable, "-c", code]
    env = os.environ | {"DIES_AT": "18"}
    killed = subprocess.run(command, cwd=ROOT, env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    kept = optuna.load_study(study_name="nasproxy", storage=f"sqlite:///{tmp_path}/study.db")
    states = [t.state.name for t in kept.trials]
    assert states == ["COMPLETE"] * 17 + ["RUNNING"]

    path = tmp_path / "study.db"
    resumed = trials(run(dying, strategy=strategy, seed=4, storage=path))
    assert len(resumed) == 30
    columns = [*SAME, "dying"]
    pd.testing.assert_frame_equal(resumed[columns], whole[columns])
    assert len(CALLS) == 30 + 30 - 17, "nothing is paid for twice"
    run(dying, strategy=strategy, seed=4, storage=path)
    assert len(CALLS) == 30 + 30 - 17, "nothing is left to do"
    longer = trials(run(dying, strategy=strategy, seed=4, storage=path, budget=35))
    kept_columns = [column for column in columns if column != "front"]  # It may move on.
    pd.testing.assert_frame_equal(longer[kept_columns][:30], whole[kept_columns])
    assert len(longer) == 35


def test_proxies_are_scored_once_and_kept_in_the_store(tmp_path: Path, tiny_data: Dataset) -> None:
    path = tmp_path / "scores.db"
    options = {"storage": tmp_path / "study.db", "store": path, "budget": 12, "seed": 1}
    made = run(["params", "flops"], data=tiny_data, **options)
    table = trials(made)
    assert made.metric_names == ["params", "flops"]
    with Store(path) as store:
        kept = store.frame()
    assert set(kept["architecture"]) == set(table["architecture"])
    assert len(kept) == 2 * table["architecture"].nunique(), "repeats are not scored again"
    assert {info["drawn"] for info in kept["info"]} == {"a study of Optuna's"}
    by_key = kept[kept["proxy"] == "params"].set_index("architecture")["value"]
    assert table["params"].tolist() == by_key[table["architecture"]].tolist()


def test_failures_are_trials_with_a_reason(tiny_data: Dataset) -> None:
    made = run(Ones(fails="1"), BITS, data=tiny_data, budget=20)
    table = trials(made)
    failed = table["architecture"].str.endswith("1")
    assert 0 < failed.sum() < 20
    assert (table["state"] == "failed").tolist() == failed.tolist()
    assert set(table["failed"].dropna()) == {"ones: FloatingPointError: no features"}
    assert not front(made)["architecture"].str.endswith("1").any()


def test_a_function_may_have_nothing_to_say_and_its_faults_end_the_run() -> None:
    def choosy(architecture: str) -> float:
        if architecture.endswith("0"):
            raise NoScore("it ends in 0")
        return math.nan if architecture.endswith("1") else 1.0

    table = trials(run(choosy))
    said = dict(zip(table["architecture"].str[-1], table["failed"].fillna(""), strict=True))
    assert said == {
        "0": "choosy: it ends in 0",
        "1": "choosy: the score is nan: the proxy's number is not finite",
        "2": "",
    }

    def wrong(architecture: str) -> float:
        raise ZeroDivisionError(architecture)

    with pytest.raises(ZeroDivisionError):
        run(wrong)


def test_the_screen_passes_a_share_and_the_rest_costs_nothing(tiny_data: Dataset) -> None:
    asked = []

    def expensive(architecture: str) -> float:
        asked.append(architecture)
        return ones(architecture)

    options = {"screen": "params", "keep": 0.25, "reference": 200, "strategy": "random"}
    made = run(expensive, data=tiny_data, budget=60, **options)
    table = trials(made)
    passed = table["state"] == "complete"
    assert len(asked) == passed.sum()
    assert 5 <= passed.sum() <= 25, "a quarter of 60, within four standard deviations"
    lowest = table.loc[passed, "screened"].min()
    assert (table.loc[~passed, "screened"] < lowest).all()
    space = NASBenchMacro(width=8)
    from nasproxy import score

    drawn = score(space.sample(200, 0), space, "params", tiny_data, progress=False)["params"]
    threshold = np.quantile(drawn, 0.75)
    assert passed.tolist() == (table["screened"] >= threshold).tolist()


def test_a_screen_that_scores_nothing_is_refused(tiny_data: Dataset) -> None:
    space: Any = Bits(length=4)
    with pytest.raises(ScoringError, match="scores none of 2 architectures of bits"):
        run(ones, space, data=tiny_data, screen=Ones(fails=("0", "1")), reference=2)


def test_callbacks_see_each_trial_and_may_stop() -> None:
    seen: list[int] = []

    def watch(found: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        seen.append(trial.number)
        if len(seen) == 7:
            found.stop()

    made = run(ones, callbacks=[watch])
    assert seen == list(range(7)) == [t.number for t in made.trials]


def test_an_objective_goes_into_a_study_of_ones_own() -> None:
    made = optuna.create_study(directions=["maximize", "maximize"])
    made.optimize(Objective(MACRO, [ones, twos]), n_trials=5)
    table = trials(made)
    assert table["architecture"].str.len().eq(8).all()
    assert table["value1"].tolist() == [a.count("1") for a in table["architecture"]]


def test_a_study_is_found_by_its_settings(tmp_path: Path, tiny_data: Dataset) -> None:
    path = tmp_path / "study.db"
    run(ones, storage=path, budget=3)
    for options, message in (
        ({"goals": twos}, "has goals"),
        ({"seed": 1}, "has seed 0, not 1"),
        ({"strategy": "random"}, "has strategy 'tpe', not 'random'"),
        ({"space": NASBench201()}, "has space"),
    ):
        given = {"goals": ones, "storage": path, "budget": 3} | options
        with pytest.raises(SettingError, match=message):
            run(given.pop("goals"), **given)
    assert len(run(twos, storage=path, name="another", budget=3).trials) == 3
    optuna.create_study(storage=f"sqlite:///{path}", study_name="mine").ask()
    with pytest.raises(SettingError, match="not of nasproxy's making"):
        run(ones, storage=path, name="mine")


def test_a_journal_keeps_a_study_too(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    first = trials(run(ones, storage=path, budget=5)).drop(columns="front")
    longer = trials(run(ones, storage=path, budget=8)).drop(columns="front")
    pd.testing.assert_frame_equal(longer[:5], first)


def test_files_of_others_stay_as_they_are(tmp_path: Path) -> None:
    store, text = tmp_path / "scores.db", tmp_path / "text.db"
    Store(store).close()
    text.write_text("no database at all, and long enough to be taken for one" * 20)
    before = store.read_bytes(), text.read_bytes()
    with pytest.raises(SettingError, match="is a store of scores: give Optuna a file of its own"):
        run(ones, storage=store)
    with pytest.raises(SettingError, match="is a store of scores"):
        run(ones, storage=tmp_path / "new.db", store=tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
    with pytest.raises(StoreError, match="cannot be used as a storage of Optuna's"):
        run(ones, storage=text)
    assert (store.read_bytes(), text.read_bytes()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "annealing"}, "choose one of tpe, nsga2, random, evolution"),
        ({"strategy": "tpe:size=3"}, "tpe has no setting 'size'"),
        ({"strategy": "nsga2:population_size=0"}, "nsga2 of Optuna refuses"),
        ({"strategy": "evolution:seed=3"}, "seed of evolution is the study's"),
        ({"strategy": "evolution:population=0"}, "at least 1"),
        ({"budget": 0}, "budget=0 of a study"),
        ({"goals": []}, "goals is empty"),
        ({"goals": [ones, ones]}, "the same objective is given twice"),
        ({"goals": "params"}, "data is None: params needs some"),
        ({"screen": "params"}, "data is None: params needs some"),
    ],
)
def test_wrong_settings_raise_before_anything_is_made(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    options = {"goals": ones, "storage": tmp_path / "study.db"} | options
    with pytest.raises(SettingError, match=message):
        run(options.pop("goals"), **options)
    assert not list(tmp_path.iterdir())


# What is found


def test_the_front_is_what_nothing_beats_in_everything() -> None:
    made = run([ones, twos], budget=60)
    table, best = trials(made), front(made)
    values = table[["ones", "twos"]].to_numpy()
    beaten = [((values >= row).all(1) & (values > row).any(1)).any() for row in values]
    first = ~table["architecture"].duplicated()
    assert table["front"].tolist() == (~np.array(beaten) & first).tolist()
    assert best["architecture"].is_unique
    assert best["ones"].is_monotonic_decreasing
    # Its value for every trade: an identity is worse than either block.
    assert json.loads(best["architecture_json"][0]) == {"arch": best["architecture"][0]}


@pytest.mark.parametrize("goals", [[ones], [ones, twos], [ones, twos, count_last]])
def test_a_study_is_drawn(goals: list[Any], tmp_path: Path) -> None:
    made = run(goals, budget=12)
    figure = plot(made, tmp_path / "front.svg")
    panels = {1: 1, 2: 1, 3: 3}[len(goals)]
    assert len(figure.axes) == panels
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert (tmp_path / "front.svg").read_text().lstrip().startswith("<?xml")
    if len(goals) == 2:
        best = front(made)
        drawn = np.asarray(figure.axes[0].collections[1].get_offsets())
        assert sorted(map(tuple, drawn.tolist())) == sorted(
            zip(best["ones"], best["twos"], strict=True)
        )


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(SettingError, match="no trial with a score"):
        plot(optuna.create_study())
