"""A network of layers in a row, as bars: how many, and how wide each."""

import math
from collections.abc import Sequence

from nasproxy.drawing import svg
from nasproxy.drawing.style import paint
from nasproxy.drawing.svg import Drawing
from nasproxy.errors import SettingError

_MOST = 48
"""Bars; of deeper networks the first and last half of these."""
_PITCH, _BAR = 7.0, 5.0
_TALLEST, _LOWEST = 60.0, 8.0
_MARGIN = 10.0


def bars(widths: Sequence[int], label: str, kind: str = "dense", title: str = "") -> Drawing:
    """A bar a layer from the left, its height by the logarithm of its width.

    Of more than 48 layers the first and the last 24 are drawn, with dots between.

    Args:
        widths: units of each layer, one or more, 1 or more units.
        label: what stands beneath.
        kind: of ``nasproxy.drawing.KINDS``.
        title: what a reader who does not see it is told.

    Raises:
        SettingError: no layer, a width below 1, or an unknown kind.
    """
    if not len(widths) or min(widths) < 1:
        raise SettingError("bars are of one layer or more, each of one unit or more")
    colours = paint(kind)
    cut = len(widths) > _MOST
    half = _MOST // 2
    shown = [*widths[:half], *widths[-half:]] if cut else list(widths)
    parts, foot = [], _MARGIN + _TALLEST
    for place, width in enumerate(shown):
        height = min(_TALLEST, _LOWEST + 4.5 * math.log2(width))
        x = _MARGIN + place * _PITCH + (24 if cut and place >= half else 0)
        parts.append(svg.box(x, foot - height, _BAR, height, colours, 1))
    if cut:
        parts.append(svg.label(_MARGIN + half * _PITCH + 11, foot - 8, "…"))
    across = len(shown) * _PITCH - (_PITCH - _BAR) + (24 if cut else 0)
    parts.append(svg.label(_MARGIN, foot + 14, label, anchor="start"))
    width = max(across, svg.measured(label)) + 2 * _MARGIN
    return Drawing(width, foot + 24 + _MARGIN / 2, "".join(parts), title)
