"""Tables that are read on narrow lines."""

import io

from rich.console import Console

from nasproxy.cli.printing import tables

NAMES = ["architecture", "l2_norm", "grad_norm", "snip", "zico"]
ROWS = [["|nor_conv_3x3~0|", "1234.56", "12.5", "3", "-0.25"], ["b", "1", "2", "3", "4"]]


def printed(width: int) -> str:
    out = Console(file=io.StringIO(), width=width)
    for table in tables("best", NAMES, ROWS, width):
        out.print(table)
    return out.file.getvalue()  # type: ignore[attr-defined]


def test_what_fits_is_one_table() -> None:
    text = printed(80)
    assert text.count("architecture") == 1
    assert all(cell in text for cell in (*NAMES, *ROWS[0]))


def test_what_is_too_wide_is_several_each_of_whole_cells() -> None:
    text = printed(44)
    assert text.count("architecture") == 2
    assert text.count("best") == 1
    assert all(cell in text for cell in (*NAMES, *ROWS[0]))
    assert max(map(len, text.splitlines())) <= 44


def test_a_column_wider_than_the_line_has_a_table_of_its_own() -> None:
    assert printed(20).count("b ") >= len(NAMES) - 1


def test_of_nothing_scored_the_names_remain() -> None:
    (table,) = tables("best", NAMES, [], 80)
    assert table.row_count == 0
