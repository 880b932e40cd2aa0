"""Checks of settings: what each rule keeps, what it says of the rest, and store keys."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasproxy import NNGP
from nasproxy.checks import Flag, OneOf, Optional, Real, Rule, Several, Whole, check, checked
from nasproxy.errors import SettingError
from nasproxy.proxies import Training
from nasproxy.settings import describe
from nasproxy.training import Recipe
from search_spaces import MNAS, NASBench101

SIZES = Several(Whole(), "100/200")
SHARE = Real(above=0, most=1, hint="such as 0.8")


def say(value: Any, rule: Rule) -> str:
    with pytest.raises(SettingError) as caught:
        checked("owner", "name", value, rule)
    return str(caught.value)


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        (Whole(), np.int16(3), 3),
        (Whole(0), 0, 0),
        (Whole(2, 4), 4, 4),
        (Real(), 1, 1.0),
        (Real(least=0, below=1), np.float32(0.5), 0.5),
        (Real(least=0), np.int64(2), 2.0),
        (SHARE, 1, 1.0),
        (Flag(), np.bool_(True), True),
        (OneOf("a", "b"), np.str_("b"), "b"),
        (SIZES, np.int64(100), 100),
        (SIZES, (100,), (100,)),
        (SIZES, [np.int64(100), 200], (100, 200)),
        (Several(Whole(), count=2), (1, 2), (1, 2)),
        (Optional(Whole()), None, None),
        (Optional(Whole()), np.int8(1), 1),
    ],
)
def test_keeps_the_value_in_one_form(rule: Rule, value: Any, kept: Any) -> None:
    read = checked("owner", "name", value, rule)
    assert read == kept
    assert type(read) is type(kept)
    if isinstance(kept, tuple):
        assert list(map(type, read)) == list(map(type, kept))


WORDS = [
    (Whole(), "give a whole number of at least 1"),
    (Whole(0, 4), "give a whole number from 0 to 4"),
    (Whole(2, hint="it needs a pair"), "give a whole number of at least 2, it needs a pair"),
    (Real(), "give a number"),
    (Real(hint="such as 3"), "give a number, such as 3"),
    (Real(above=0), "give a number above 0"),
    (Real(least=0, below=1), "give a number of at least 0 and below 1"),
    (Real(least=0, most=1), "give a number from 0 to 1"),
    (SHARE, "give a number above 0 and at most 1, such as 0.8"),
    (Flag(), "give true or false"),
    (OneOf("a", "b", "c"), "give a, b or c"),
    (OneOf("a"), "give a"),
    (SIZES, "give a whole number of at least 1, several as 100/200"),
    (Several(Whole(), count=7), "give 7 joined by slashes, each a whole number of at least 1"),
    (Optional(Whole()), "give a whole number of at least 1, or none"),
]
NONE_OF_ANY = ["?", object(), b"1", Decimal(-1), (), (1, "?"), [[1]], 1j, {"a": 1}]


@pytest.mark.parametrize(("rule", "words"), WORDS)
@pytest.mark.parametrize("value", NONE_OF_ANY)
def test_says_what_was_given_and_what_to_give(rule: Rule, words: str, value: Any) -> None:
    assert say(value, rule) == f"name={value!r} of owner: {words}"


@pytest.mark.parametrize("rule", [Whole(0), SIZES, Optional(Whole()), Several(Whole(), count=1)])
@pytest.mark.parametrize("value", [True, False, np.True_, (True,), 1.0, (np.float64(1.0),), "1"])
def test_no_boolean_and_no_fraction_is_a_whole_number(rule: Rule, value: Any) -> None:
    say(value, rule)


@pytest.mark.parametrize("value", [True, np.True_, math.nan, math.inf, -math.inf, 10**400, "0.5"])
def test_no_boolean_and_nothing_infinite_is_a_number(value: Any) -> None:
    say(value, Real())


@pytest.mark.parametrize("value", [0, 1, None, np.int64(1), "true"])
def test_no_number_is_a_flag(value: Any) -> None:
    say(value, Flag())


bound = st.integers(-5, 5)
WHOLES = (int, np.int32, np.int64)
REALS = (float, np.float64, np.float32)


@given(bound, st.integers(0, 5), st.integers(-20, 20), st.sampled_from(WHOLES))
def test_whole_is_what_its_bounds_say(least: int, span: int, value: int, form: type) -> None:
    rule = Whole(least, least + span)
    if least <= value <= least + span:
        read = checked("owner", "name", form(value), rule)
        assert read == value
        assert type(read) is int
    else:
        say(form(value), rule)


@given(bound, bound, st.booleans(), st.booleans(), st.floats(width=32), st.sampled_from(REALS))
def test_real_is_what_its_bounds_say(
    low: int, high: int, low_open: bool, high_open: bool, value: float, form: type
) -> None:
    bounds: dict[str, Any] = {"above" if low_open else "least": low}
    bounds |= {"below" if high_open else "most": high}
    rule = Real(**bounds)
    held = math.isfinite(value)
    held = held and (value > low if low_open else value >= low)
    held = held and (value < high if high_open else value <= high)
    if held:
        read = checked("owner", "name", form(value), rule)
        assert read == value
        assert type(read) is float
    else:
        say(form(value), rule)


@given(st.lists(st.integers(-1, 3), max_size=4), st.sampled_from([tuple, list]))
def test_several_is_each(values: list[int], form: type) -> None:
    if values and min(values) >= 1:
        assert checked("owner", "name", form(values), SIZES) == tuple(values)
    else:
        say(form(values), SIZES)


@given(st.one_of(st.integers(1, 10**9), st.lists(st.integers(1, 10**9), min_size=1)))
def test_reading_twice_is_reading_once(value: Any) -> None:
    once = checked("owner", "name", value, SIZES)
    assert checked("owner", "name", once, SIZES) == once


def test_check_keeps_what_it_read_and_stops_at_the_first_unfit() -> None:
    @dataclass(frozen=True)
    class Settings:
        a: Any
        b: Any
        c: Any = "untouched"

    settings = Settings(np.int64(1), [2, 3])
    check("owner", settings, a=Whole(), b=SIZES)
    assert settings == Settings(1, (2, 3))
    assert type(settings.a) is int
    with pytest.raises(SettingError, match="b='x' of owner"):
        check("owner", Settings(1, "x", "y"), a=Whole(), b=SIZES, c=SIZES)


# As stores wrote them before settings had one form.
NNGP_TEXT = (
    "n_train={},n_valid=512,ensemble=1,momentum={},batch_norm=inference,norm_images=128,"
    "balanced=true,valid_from=valid"
)


@pytest.mark.parametrize(
    ("proxy", "text"),
    [
        (NNGP(), "nngp:" + NNGP_TEXT.format(512, 0.997)),
        (NNGP(momentum=1), "nngp:" + NNGP_TEXT.format(512, 1)),
        (NNGP(momentum=1.0), "nngp:" + NNGP_TEXT.format(512, 1)),
        (NNGP(n_train=(100,)), "nngp:" + NNGP_TEXT.format(100, 0.997)),
        (NNGP((100, 200)), "nngp:" + NNGP_TEXT.format("100/200", 0.997)),
        (NASBench101(width=16), "nasbench101:width=16,stacks=3,cells=3"),
        (
            Training(weight_decay=0, learning_rate=1),
            "training:epochs=4,batch=256,learning_rate=1,weight_decay=0,momentum=0.9,trials=1",
        ),
        (
            MNAS(multipliers=1.0, ratios=(0, 0.25)),  # type: ignore[arg-type]  # as it is parsed
            "mnas:width=32,filters=16/24/40/80/96/192/320,layers=1/2/3/4/3/3/1,expansions=3/3/3/6/6"
            "/6/6,multipliers=1,ratios=0/0.25,head=1280,divisor=8,gate=sigmoid,activation=relu",
        ),
    ],
)
def test_names_in_stores_stay(proxy: Any, text: str) -> None:
    assert describe(proxy, proxy.name, full=True) == text


# NumPy's integers are taken for an int, and a list for a tuple, though not said to be.
@pytest.mark.parametrize(
    ("given", "same"),
    [
        (NNGP(np.int64(100)), NNGP(100)),  # type: ignore[arg-type]
        (NNGP(momentum=np.float64(0.9)), NNGP(momentum=0.9)),
        (NASBench101(np.int64(16)), NASBench101(16)),  # type: ignore[arg-type]
        (Training(epochs=[4, 12]), Training(epochs=(4, 12))),  # type: ignore[arg-type]
    ],
)
def test_a_notebook_s_numbers_have_the_command_line_s_names(given: Any, same: Any) -> None:
    assert describe(given, "", full=True) == describe(same, "", full=True)
    assert hash(given) == hash(same)


def test_hints_say_why() -> None:
    with pytest.raises(SettingError, match=r"batch=1 of training: .* 2, batch norm needs a var"):
        Recipe(batch=1)
    with pytest.raises(SettingError, match=r"learning_rate=0 of training: .* benchmark's is 0\.2"):
        Recipe(learning_rate=0)
    with pytest.raises(SettingError, match=r"n_train=0 of nngp: .*several as 100/200/400"):
        NNGP(n_train=0)
