"""Where commands print what people read."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from nasproxy.errors import harmless, one_line

__all__ = ["console", "harmless", "one_line", "tables"]

BESIDE = 3
"""Characters that a column takes beside what is in it."""


def console(*, stderr: bool = False) -> Console:
    """Prints names, paths and messages as they are: brackets are no markup, colons no emoji."""
    return Console(stderr=stderr, markup=False, emoji=False)


def tables(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> Iterator[Table]:
    """Rows as a table, or where that is too wide as several: the first column, then the others.

    Args:
        title: of the first.
        columns: names; all but the first column's cells are numbers.
        rows: cells.
        width: characters of a line.
    """
    widths = [max(map(len, cells)) + BESIDE for cells in zip(columns, *rows, strict=True)]
    if 1 + sum(widths) <= width:
        yield _table(title, columns, rows)
        return
    names = [str(place) for place in range(1, len(rows) + 1)]
    yield _table(title, ["", columns[0]], [(n, row[0]) for n, row in zip(names, rows, strict=True)])
    own = 1 + max((len(name) for name in names), default=0) + BESIDE
    begin = 1
    while begin < len(columns):
        end, used = begin + 1, own + widths[begin]
        while end < len(columns) and used + widths[end] <= width:
            used += widths[end]
            end += 1
        some = [(n, *row[begin:end]) for n, row in zip(names, rows, strict=True)]
        yield _table(None, ["", *columns[begin:end]], some)
        begin = end


def _table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for place, column in enumerate(columns):
        if place == 0 or column == "architecture":
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
