"""SVG as text: escaped, numbers of one decimal, and no ids that two drawings of a page share."""

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from nasproxy import files
from nasproxy.drawing.style import FONT, INK, LINE, Paint
from nasproxy.errors import SettingError

_FAMILY = "Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Drawing:
    """A picture as SVG; a notebook shows it.

    Attributes:
        width: pixels.
        height: pixels.
        body: SVG elements, in a frame of that size whose y points downwards.
        title: what a reader who does not see it is told.
    """

    width: float
    height: float
    body: str
    title: str = ""

    @property
    def svg(self) -> str:
        """The whole document, on white, so that it is legible on a dark page."""
        size = f'width="{number(self.width)}" height="{number(self.height)}"'
        box = f"0 0 {number(self.width)} {number(self.height)}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="{box}" '
            f'font-family="{_FAMILY}" font-size="{number(FONT)}" role="img">'
            f"<title>{safe(self.title)}</title>"
            f'<rect {size} fill="#ffffff"/>{self.body}</svg>'
        )

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the document to a .svg file, whole or not at all.

        Raises:
            SettingError: another suffix, or a path that cannot be written.
        """
        check_path(path)
        try:
            files.write_text(path, self.svg)
        except OSError as error:
            raise SettingError(f"{path} cannot be written ({error}): check the folder") from error


def check_path(path: str | os.PathLike[str]) -> None:
    """Raises SettingError where :meth:`Drawing.save` would, before there is a drawing."""
    if Path(path).suffix.lower() != ".svg":
        raise SettingError(f"{path}: drawings are SVG, give a .svg file")
    try:
        files.check_place(path)
    except OSError as error:
        raise SettingError(f"{path} cannot be written ({error}): check the folder") from error


def number(value: float) -> str:
    """With one decimal at most: ``12``, ``12.5``."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")  # + 0 turns −0 around


def safe(text: str) -> str:
    """Text of an element: markup escaped, and what no XML may hold written as U+FFFD."""
    return escape("".join(c if _is_xml(c) else "�" for c in text))


def _is_xml(character: str) -> bool:
    code = ord(character)
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or (code >= 0x10000)
    )


def measured(label: str, size: float = FONT) -> float:
    """About how wide a label is, in pixels: no font is asked."""
    wide = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.56 for c in label)
    return wide * size


def label(x: float, y: float, said: str, *, anchor: str = "middle", size: float = FONT) -> str:
    """A line of text whose middle is at height ``y``."""
    sized = "" if size == FONT else f' font-size="{number(size)}"'
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    at = f'x="{number(x)}" y="{number(y + 0.35 * size)}"'
    return f'<text {at}{anchored}{sized} fill="{INK}">{safe(said)}</text>'


def box(x: float, y: float, width: float, height: float, paint: Paint, round: float = 4) -> str:
    """A rectangle with its left upper corner at (x, y)."""
    at = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    return f'<rect {at} rx="{number(round)}" {painted(paint)}/>'


def painted(paint: Paint) -> str:
    dash = f' stroke-dasharray="{paint.dash}"' if paint.dash else ""
    return f'fill="{paint.fill}" stroke="{paint.stroke}"{dash}'


def line(path: str, *, stroke: str = LINE, dash: str = "") -> str:
    """An open path."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="1.2"{dashed}/>'


def head(x: float, y: float, direction: str = "down", *, fill: str = LINE) -> str:
    """An arrow's head whose tip is at (x, y)."""
    back = {"down": ((-3.2, -6), (3.2, -6)), "right": ((-6, -3.2), (-6, 3.2))}[direction]
    corners = " ".join(f"{number(x + dx)},{number(y + dy)}" for dx, dy in ((0, 0), *back))
    return f'<polygon points="{corners}" fill="{fill}"/>'
