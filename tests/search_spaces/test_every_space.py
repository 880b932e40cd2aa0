"""What every search space must do; a new one is tested the day it is registered."""

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from nasproxy.errors import ArchitectureError, DataError, SettingError
from nasproxy.networks import execution
from nasproxy.plugins import SPACES
from nasproxy.space import SearchSpace

SPACE_NAMES = sorted(SPACES)
IMAGE, CLASSES = (32, 32, 3), 10


@pytest.fixture(params=SPACE_NAMES)
def space(request: pytest.FixtureRequest) -> Any:
    return SPACES[request.param]()


@pytest.fixture(params=[(name, s) for name in SPACE_NAMES for s in SPACES[name].samplers], ids=str)
def sampled(request: pytest.FixtureRequest) -> tuple[Any, str]:
    """A space and each of its samplers."""
    name, sampler = request.param
    return SPACES[name](), sampler


def test_it_is_registered_under_its_name(space: Any) -> None:
    assert SPACES[space.name] is type(space)
    assert "width" in {entry.name for entry in fields(space)}
    assert isinstance(space, SearchSpace)
    assert len(set(space.samplers)) == len(space.samplers) > 0


def test_it_is_a_value(space: Any) -> None:
    """Equal settings make equal spaces, whose settings nobody changes."""
    assert space == type(space)()
    assert hash(space) == hash(type(space)())
    with pytest.raises(FrozenInstanceError):
        space.width = 8


@pytest.mark.parametrize("n", [0, 1, 25])
def test_samples_have_their_size_and_are_named_by_the_seed(
    sampled: tuple[Any, str], n: int
) -> None:
    space, sampler = sampled
    drawn = space.sample(n, 0, sampler)
    assert len(drawn) == n
    assert drawn == space.sample(n, 0, sampler)
    if n > 1:
        assert drawn != space.sample(n, 1, sampler)
        assert len({space.key(a) for a in drawn}) > n // 2


def test_the_first_sampler_is_the_default(space: Any) -> None:
    assert space.sample(5, 3) == space.sample(5, 3, space.samplers[0])


def test_an_unknown_sampler_is_refused_with_those_it_has(space: Any) -> None:
    with pytest.raises(SettingError, match="'none such'") as caught:
        space.sample(1, 0, "none such")
    assert all(sampler in str(caught.value) for sampler in space.samplers)


def test_a_negative_size_is_refused(sampled: tuple[Any, str]) -> None:
    space, sampler = sampled
    with pytest.raises(SettingError, match="-1"):
        space.sample(-1, 0, sampler)


def test_json_round_trips_in_one_line(sampled: tuple[Any, str]) -> None:
    space, sampler = sampled
    for architecture in space.sample(25, 1, sampler):
        text = space.to_json(architecture)
        assert "\n" not in text
        json.loads(text)
        assert space.from_json(text) == architecture
        assert space.key(space.from_json(text)) == space.key(architecture)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"architecture": 1}'])
def test_other_json_is_refused(space: Any, text: str) -> None:
    with pytest.raises(ArchitectureError):
        space.from_json(text)


def test_keys_are_found_again(sampled: tuple[Any, str]) -> None:
    """What is found is the architecture up to isomorphism, in the order that the truth counts."""
    space, sampler = sampled
    for architecture in space.sample(10, 2, sampler):
        key = space.key(architecture)
        assert isinstance(key, str)
        assert space.key(space.find(key)) == key


@pytest.mark.parametrize("key", ["", "none such", "0" * 32])
def test_a_key_of_nothing_is_refused(space: Any, key: str) -> None:
    with pytest.raises(ArchitectureError):
        space.find(key)


def test_mutants_differ_belong_and_are_named_by_the_generator(sampled: tuple[Any, str]) -> None:
    space, sampler = sampled
    for seed, architecture in enumerate(space.sample(25, 4, sampler)):
        mutant = space.mutate(architecture, np.random.default_rng(seed))
        assert space.key(mutant) != space.key(architecture)
        assert mutant == space.mutate(architecture, np.random.default_rng(seed))
        assert space.key(space.find(space.key(mutant))) == space.key(mutant)


def test_mutation_wanders(space: Any) -> None:
    (architecture,) = space.sample(1, 0)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        architecture = space.mutate(architecture, rng)
        seen.add(space.key(architecture))
    assert len(seen) > 20


def test_graphs_are_counted_without_being_built(sampled: tuple[Any, str]) -> None:
    space, sampler = sampled
    for architecture in space.sample(10, 5, sampler):
        graph = space.graph(architecture, IMAGE, CLASSES)
        arrays = [
            drawn | fixed
            for drawn, fixed in zip(
                execution.initialise(space.graph(architecture, IMAGE, CLASSES), rng()),
                execution.constants(graph),
                strict=True,
            )
        ]
        assert graph.parameters == sum(a.size for step in arrays for a in step.values())
        assert graph.shapes[0] == IMAGE
        assert graph.shapes[-1] == (CLASSES,)
        assert graph.shapes[-2] == (graph.features,)
        assert graph.flops > 2 * graph.features * CLASSES
        assert graph == space.graph(architecture, IMAGE, CLASSES)


def test_width_is_the_stems_channels(space: Any) -> None:
    architecture = space.sample(1, 0)[0]
    stem = 3 if space.name == "nasbench301" else 1  # DARTS' stem is three times as wide
    sizes = []
    for width in (space.width // 2, space.width):
        graph = type(space)(width=width).graph(architecture, IMAGE, CLASSES)
        assert graph.shapes[1][-1] == stem * width
        sizes.append(graph.parameters)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("width", [0, -8, 1.5, "wide"])
def test_a_width_that_is_none_is_refused(space: Any, width: object) -> None:
    with pytest.raises(SettingError, match="width"):
        type(space)(width=width)


def test_images_too_small_are_refused(space: Any) -> None:
    if space.name == "fully_connected":
        pytest.skip("flattens images of any size")
    with pytest.raises(DataError, match="1×1"):
        space.graph(space.sample(1, 0)[0], (1, 1, 3), CLASSES)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)
