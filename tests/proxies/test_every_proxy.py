"""What every proxy must do; a new one is tested the day it is registered."""

import json
import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasproxy.data import Dataset
from nasproxy.errors import DataError, SettingError
from nasproxy.plugins import PROXIES
from nasproxy.proxies import NNGP, Proxy, Score
from nasproxy.proxies.base import on_width
from nasproxy.settings import describe, make, parse_settings
from search_spaces import FullyConnectedNetworks, NASBench101

SPACE: Any = NASBench101(width=4, stacks=1, cells=1)
SPACES: Any = {"infinite_width": FullyConnectedNetworks(width=4)}
"""Spaces of proxies that do not score any space."""
SMALL = {"n_train": 16, "n_valid": 16, "norm_images": 8, "batch": 8, "epochs": 1}
"""Values that make a proxy fast, for whichever of these settings it has."""


def tiny(kind: type) -> Any:
    known = {entry.name for entry in fields(kind)}
    return kind(**{name: value for name, value in SMALL.items() if name in known})


@pytest.fixture(params=sorted(PROXIES))
def proxy(request: pytest.FixtureRequest) -> Any:
    return tiny(PROXIES[request.param])


def parsed(text: str) -> Any:
    name, given = parse_settings(text)
    return make(PROXIES[name], name, given)


def test_it_scores_at_its_width_however_it_is_prepared(proxy: Any, tiny_data: Dataset) -> None:
    if not hasattr(proxy, "width") or proxy.name in SPACES:
        pytest.skip(f"{proxy.name} has no width")
    (cell,) = SPACE.sample(1, 3)
    own = replace(proxy, width=8).prepare(SPACE, tiny_data, 0)(cell)
    assert own.flops == proxy.prepare(replace(SPACE, width=8), tiny_data, 0)(cell).flops
    assert own.flops > proxy.prepare(SPACE, tiny_data, 0)(cell).flops


def test_it_is_registered_under_its_name(proxy: Any) -> None:
    assert isinstance(proxy, Proxy)
    assert PROXIES[proxy.name] is type(proxy)


def test_it_is_a_value(proxy: Any) -> None:
    assert proxy == tiny(type(proxy))
    assert hash(proxy) == hash(tiny(type(proxy)))
    with pytest.raises(FrozenInstanceError):
        proxy.anything = 1


def test_scores_are_finite_and_can_be_stored(proxy: Any, tiny_data: Dataset) -> None:
    space = SPACES.get(proxy.name, SPACE)
    scorer = proxy.prepare(space, tiny_data, 0)
    for cell in space.sample(3, seed=0):
        score = scorer(cell)
        assert isinstance(score, Score)
        assert type(score.value) is float
        assert math.isfinite(score.value)
        assert math.isfinite(score.flops)
        assert score.flops >= 0
        assert all(type(v) is float and math.isfinite(v) for v in score.columns.values())
        assert json.loads(json.dumps(score.info, allow_nan=False)) == score.info


def test_a_seed_names_the_scores(proxy: Any, tiny_data: Dataset) -> None:
    """Also when other architectures came before."""
    if proxy.name == "latency":
        pytest.skip("a measurement, which no seed repeats")
    space = SPACES.get(proxy.name, SPACE)
    cells = space.sample(3, seed=0)
    forwards = [proxy.prepare(space, tiny_data, 7)(cell) for cell in cells]
    scorer = proxy.prepare(space, tiny_data, 7)
    backwards = [scorer(cell) for cell in reversed(cells)]
    assert [(s.value, s.columns, s.flops) for s in forwards] == [
        (s.value, s.columns, s.flops) for s in backwards[::-1]
    ]


def test_its_description_is_read_back(proxy: Any) -> None:
    for full in (True, False):
        assert parsed(describe(proxy, proxy.name, full=full)) == proxy
    default = type(proxy)()
    assert describe(default, proxy.name, full=False) == proxy.name
    assert parsed(proxy.name) == default


def test_an_unknown_setting_is_refused(proxy: Any) -> None:
    with pytest.raises(SettingError, match="no setting 'sharpness'"):
        parsed(f"{proxy.name}:sharpness=3")


def test_a_width_moves_to_the_space(proxy: Any) -> None:
    if "width" not in {entry.name for entry in fields(proxy)}:
        assert on_width(proxy, SPACE) == (proxy, SPACE)
        return
    wide = replace(proxy, width=12)
    assert on_width(wide, SPACE) == (replace(proxy, width=None), replace(SPACE, width=12))
    assert on_width(proxy, SPACE) == (proxy, SPACE)


def test_more_data_than_there_is_is_refused(proxy: Any, tiny_data: Dataset) -> None:
    if "n_train" not in {entry.name for entry in fields(proxy)}:
        pytest.skip("takes no number of images")
    with pytest.raises(DataError, match="10000"):
        replace(proxy, n_train=10_000).prepare(SPACES.get(proxy.name, SPACE), tiny_data, 0)


@settings(max_examples=50, deadline=None)
@given(
    momentum=st.floats(0, 1),
    sizes=st.lists(st.integers(1, 10**6), min_size=2, max_size=4),
    balanced=st.booleans(),
    width=st.none() | st.integers(1, 512),
)
def test_descriptions_lose_no_digit(
    momentum: float, sizes: list[int], balanced: bool, width: int | None
) -> None:
    """A store's key tells apart whatever gives other scores."""
    proxy = NNGP(n_train=tuple(sizes), momentum=momentum, balanced=balanced, width=width)
    assert parsed(describe(proxy, "nngp", full=True)) == proxy


def test_whole_floats_and_ints_share_a_key() -> None:
    one, other = NNGP(momentum=1), NNGP(momentum=1.0)
    assert describe(one, "nngp", full=True) == describe(other, "nngp", full=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nngp", ("nngp", {})),
        (" nngp: n_train=64 , momentum=.5", ("nngp", {"n_train": 64, "momentum": 0.5})),
        ("nngp:n_train=16/32,balanced=false", ("nngp", {"n_train": (16, 32), "balanced": False})),
        ("a:b=1e-7,c=none,d=True", ("a", {"b": 1e-7, "c": None, "d": True})),
        ("a:b=word", ("a", {"b": "word"})),
    ],
)
def test_settings_as_they_are_written(text: str, expected: tuple[str, dict[str, Any]]) -> None:
    assert parse_settings(text) == expected


@pytest.mark.parametrize("text", ["nngp:n_train", "nngp:=3", "nngp:n_train=", "nngp:a=1,a=2"])
def test_settings_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SettingError):
        parse_settings(text)
