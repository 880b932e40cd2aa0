"""One look for all drawings: what kinds of boxes there are, and how each is painted."""

from typing import NamedTuple

from nasproxy.errors import SettingError

FONT = 11.0
"""Pixels of a label."""
INK = "#1b1b1b"
LINE = "#5a5a5a"
FADED = 0.3
"""Opacity of what no path from input to output crosses."""


class Paint(NamedTuple):
    """Colours of a box; a dash where it is dashed."""

    fill: str
    stroke: str
    dash: str = ""


KINDS = {
    "end": Paint("#eeeeee", "#5a5a5a"),  # the input, the output
    "conv3": Paint("#d9e6f2", "#1f4e79"),  # 3×3 and larger
    "conv5": Paint("#b4cfe6", "#1f4e79"),
    "conv1": Paint("#e0f0e5", "#3b8c5a"),
    "pool": Paint("#fae3dc", "#c8553d"),
    "skip": Paint("#ffffff", "#7a7a7a", "3 2"),
    "sum": Paint("#ffffff", "#5a5a5a"),
    "dense": Paint("#ece4f5", "#8d6cab"),
    "other": Paint("#f7f0d8", "#b08900"),
}
"""By name; labels say the same, so that no reader depends on colours."""


def paint(kind: str) -> Paint:
    """Of a kind; raises SettingError for one that there is not."""
    if kind not in KINDS:
        raise SettingError(f"kind {kind!r} of a box: choose one of {', '.join(KINDS)}")
    return KINDS[kind]
