"""Settings of MNAS, from Python and as they are written on the command line."""

from typing import Any

import pytest

from nasproxy.errors import SettingError
from nasproxy.named import space_of
from nasproxy.settings import describe
from search_spaces import MNAS


@pytest.mark.parametrize(
    "settings",
    [
        {"filters": (16, 24)},
        {"multipliers": (0.755,)},
        {"multipliers": (0.0,)},
        {"multipliers": ()},
        {"ratios": (-0.25,)},
        {"layers": (0,) * 7},
        {"gate": "none"},
        {"activation": "gelu"},
        {"divisor": 0},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=f"{next(iter(settings))}=.* of mnas"):
        MNAS(**settings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("multipliers=0.755", "multipliers=0.755 of mnas: keys are written in hundredths"),
        ("multipliers=1/0.001", r"multipliers=\(1, 0.001\) of mnas: .* at least 0\.01"),
        ("multipliers=half", "multipliers='half' of mnas: give a number"),
        ("multipliers=true", "multipliers=True of mnas: give a number"),
        ("multipliers=inf", "multipliers=inf of mnas: give a number"),
        ("ratios=2.5", "ratios=2.5 of mnas: give a number from 0 to 1"),
        ("ratios=nan", "ratios=nan of mnas: give a number"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(text: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        space_of(f"mnas:{text}")


def test_one_value_is_several_of_one() -> None:
    space = space_of("mnas:multipliers=1,ratios=0.25")
    assert space == MNAS(multipliers=(1,), ratios=(0.25,))
    blocks = [block for drawn in space.sample(5, 0) for block in drawn]
    assert {(block.multiplier, block.se) for block in blocks} == {(1, 0.25)}
    assert space_of(describe(space, "mnas", full=True)) == space
