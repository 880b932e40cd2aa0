"""Several drawings as one, each with what is said of it."""

from collections.abc import Sequence
from itertools import pairwise

from nasproxy.drawing import svg
from nasproxy.drawing.svg import Drawing, number
from nasproxy.errors import SettingError

_GAP = 18.0
_LINE = 15.0
_MARGIN = 12.0
_NARROWEST = 110.0


def sheet(
    drawings: Sequence[Drawing],
    captions: Sequence[str] = (),
    columns: int | None = None,
    title: str = "",
) -> Drawing:
    """Drawings in rows, at their own size; the caption stands above its drawing.

    Args:
        drawings: one or more.
        captions: one a drawing, its lines parted by line ends; none at all by default.
        columns: drawings a row, 1 or more; about as many as make a square by default, 5 at most.
        title: above everything.

    Raises:
        SettingError: no drawing, captions that are more or fewer, or columns below 1.
    """
    if not drawings:
        raise SettingError("a sheet of no drawings: give one or more")
    if captions and len(captions) != len(drawings):
        raise SettingError(
            f"{len(captions)} captions of {len(drawings)} drawings: give one each, or none"
        )
    if columns is not None and columns < 1:
        raise SettingError(f"columns={columns} of a sheet: give 1 or more")
    n = min(len(drawings), columns or min(5, max(1, round(len(drawings) ** 0.5 + 0.5))))
    said = [caption.split("\n") for caption in captions] or [[] for _ in drawings]
    across = [
        max(
            _NARROWEST,
            *(d.width for d in drawings[i::n]),
            *(svg.measured(one) for lines in said[i::n] for one in lines),
        )
        for i in range(n)
    ]
    lines_above = max(map(len, said)) * _LINE
    parts: list[str] = []
    y = _MARGIN
    if title:
        parts.append(svg.label(_MARGIN, y + 8, title, anchor="start", size=14))
        y += 28
    bounds = [*range(0, len(drawings), n), len(drawings)]
    for first, last in pairwise(bounds):
        x, tallest = _MARGIN, max(d.height for d in drawings[first:last])
        for place in range(first, last):
            for line, one in enumerate(said[place]):
                parts.append(svg.label(x, y + (line + 0.5) * _LINE, one, anchor="start"))
            at = f"translate({number(x)} {number(y + lines_above)})"
            parts.append(f'<g transform="{at}">{drawings[place].body}</g>')
            x += across[place - first] + _GAP
        y += lines_above + tallest + _GAP
    width = sum(across) + _GAP * (n - 1) + 2 * _MARGIN
    if title:
        width = max(width, svg.measured(title, 14) + 2 * _MARGIN)
    return Drawing(width, y - _GAP + _MARGIN, "".join(parts), title)
