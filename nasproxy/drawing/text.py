"""What nothing else is known of: its name, in lines."""

import re

from nasproxy.drawing import svg
from nasproxy.drawing.style import paint
from nasproxy.drawing.svg import Drawing

LONGEST = 2_000
"""Characters that are drawn."""
_LINE = 32
_HEIGHT = 16.0
_MARGIN = 10.0


def text(said: str, title: str = "") -> Drawing:
    """A text in a box, in lines of 32 characters at most, broken behind punctuation if it may be.

    Args:
        said: of 2,000 characters at most; what is longer is cut, with dots.
        title: what a reader who does not see it is told; the text by default.
    """
    cut = said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
    lines = _lines(cut)
    wide = max(60.0, *(svg.measured(one) for one in lines)) + 2 * _MARGIN
    tall = len(lines) * _HEIGHT + _MARGIN
    body = svg.box(1, 1, wide - 2, tall - 2, paint("end"))
    for place, one in enumerate(lines):
        y = _MARGIN / 2 + (place + 0.5) * _HEIGHT
        body += svg.label(_MARGIN, y, one, anchor="start")
    return Drawing(wide, tall, body, title or cut)


def _lines(said: str) -> list[str]:
    lines = [""]
    for part in re.split(r"(?<=[\s,;|/+&-])", said.replace("\n", " ")):
        if lines[-1] and len(lines[-1]) + len(part) > _LINE:
            lines.append("")
        while len(part) > _LINE:
            lines[-1] = part[:_LINE]
            lines.append("")
            part = part[_LINE:]
        lines[-1] += part
    return lines
