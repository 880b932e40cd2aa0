"""Tables as HTML, for what notebooks show of our objects; every text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape


def table(head: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> str:
    """A table of texts, by themselves harmless whatever they hold.

    Args:
        head: a title a column; all empty for none.
        rows: an entry a column.
        left: columns that are aligned to the left, the first ones; numbers stand to the right.
    """

    def line(cells: Sequence[object], tag: str) -> str:
        shown = []
        for place, cell in enumerate(cells):
            side = "left" if place < left else "right"
            text = escape(str(cell)).replace("\n", "<br>")
            shown.append(f'<{tag} style="text-align:{side};vertical-align:top">{text}</{tag}>')
        return f"<tr>{''.join(shown)}</tr>"

    titles = f"<thead>{line(head, 'th')}</thead>" if any(head) else ""
    return f"<table>{titles}<tbody>{''.join(line(row, 'td') for row in rows)}</tbody></table>"
