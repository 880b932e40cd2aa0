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
    """Rows as a table, or where they are too wide as several, each with the first column.

    Args:
        title: of the first.
        columns: names; all but the first column's cells are numbers.
        rows: cells.
        width: characters of a line.
    """
    first, *others = (
        max(len(cell) for cell in cells) + BESIDE for cells in zip(columns, *rows, strict=True)
    )
    begin = 0
    while begin < max(len(others), 1):
        end, used = begin + 1, 1 + first + sum(others[begin : begin + 1])
        while end < len(others) and used + others[end] <= width:
            used += others[end]
            end += 1
        table = Table(title=title if begin == 0 else None)
        table.add_column(columns[0])
        for column in columns[1:][begin:end]:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(row[0], *row[1:][begin:end])
        yield table
        begin = end
