"""A network of stages: a row of blocks each, read like text."""

from collections.abc import Sequence
from typing import NamedTuple

from nasproxy.drawing import svg
from nasproxy.drawing.style import KINDS, LINE, paint
from nasproxy.drawing.svg import Drawing, number
from nasproxy.errors import SettingError

_HEIGHT = 32.0
_BETWEEN = 20.0
"""Pixels between blocks of a row."""
_GAP = 26.0
"""Pixels between rows."""
_MARGIN = 10.0
SKIPS = ("", "identity", "pool")


class Block(NamedTuple):
    """A box of a row.

    Attributes:
        label: short.
        note: a second, smaller line.
        kind: of ``nasproxy.drawing.KINDS``.
        skip: ``identity`` or ``pool`` where the input, or its average, is added to the output.
    """

    label: str
    note: str = ""
    kind: str = "other"
    skip: str = ""


class Row(NamedTuple):
    """A stage: what it is, and its blocks, one or more."""

    label: str
    blocks: Sequence[Block]


def rows(stages: Sequence[Row], title: str = "") -> Drawing:
    """Stages from the top, the blocks of each from the left; arrows lead through all of them.

    Args:
        stages: one or more.
        title: what a reader who does not see it is told.

    Raises:
        SettingError: no stage, one without blocks, or an unknown kind or skip.
    """
    if not stages or not all(stage.blocks for stage in stages):
        raise SettingError("rows of blocks cannot be drawn: give one stage or more, none empty")
    every = [block for stage in stages for block in stage.blocks]
    for block in every:
        if block.skip not in SKIPS:
            raise SettingError(f"skip {block.skip!r} of a block: choose one of {SKIPS}")
    said = max(svg.measured(stage.label) for stage in stages)
    left = _MARGIN + (said + 14 if said else 0)
    wide = max(56.0, *(max(svg.measured(b.label), svg.measured(b.note, 9)) + 12 for b in every))
    longest = max(len(stage.blocks) for stage in stages)
    parts: list[str] = []
    last = 0.0  # x of the middle of the block before
    for index, stage in enumerate(stages):
        top = _MARGIN + index * (_HEIGHT + _GAP) + 4
        first = left + wide / 2
        if stage.label:
            parts.append(svg.label(_MARGIN, top + _HEIGHT / 2, stage.label, anchor="start"))
        if index:
            parts.append(_down(last, first, top))
        for place, block in enumerate(stage.blocks):
            x = left + place * (wide + _BETWEEN)
            if place:
                middle = top + _HEIGHT / 2
                parts.append(svg.line(f"M{number(x - _BETWEEN)} {number(middle)}H{number(x - 2)}"))
                parts.append(svg.head(x, middle, "right"))
            parts.append(_block(block, x, top, wide))
            last = x + wide / 2
    width = left + longest * (wide + _BETWEEN) - _BETWEEN + _MARGIN
    height = 2 * _MARGIN + 4 + len(stages) * (_HEIGHT + _GAP) - _GAP
    return Drawing(width, height, "".join(parts), title)


def _down(start: float, end: float, top: float) -> str:
    """From the bottom of the last block of a row to the top of the first of the next."""
    leaves, turn = top - _GAP, top - _GAP + 8
    if start == end:
        path = f"M{number(start)} {number(leaves)}V{number(top - 2)}"
    else:
        path = f"M{number(start)} {number(leaves)}V{number(turn)}H{number(end)}V{number(top - 2)}"
    return svg.line(path) + svg.head(end, top)


def _block(block: Block, x: float, top: float, wide: float) -> str:
    drawn = svg.box(x, top, wide, _HEIGHT, paint(block.kind))
    centre, middle = x + wide / 2, top + _HEIGHT / 2
    if block.note:
        drawn += svg.label(centre, middle - 6, block.label)
        drawn += svg.label(centre, middle + 8, block.note, size=9)
    else:
        drawn += svg.label(centre, middle, block.label)
    if block.skip:  # around the box, from the arrow before it to where it ends
        pooled = block.skip == "pool"
        over, out = top - 6, 7
        path = (
            f"M{number(x - out)} {number(middle)}V{number(over + 4)}"
            f"Q{number(x - out)} {number(over)} {number(x - out + 4)} {number(over)}"
            f"H{number(x + wide + out - 4)}"
            f"Q{number(x + wide + out)} {number(over)} {number(x + wide + out)} {number(over + 4)}"
            f"V{number(middle)}H{number(x + wide)}"
        )
        stroke = KINDS["pool"].stroke if pooled else LINE
        drawn = svg.line(path, stroke=stroke, dash="4 2" if pooled else "") + drawn
    return drawn
