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


def test_what_is_too_wide_is_several_of_whole_cells() -> None:
    """The architectures once, numbered as they are in the tables of numbers."""
    text = printed(34)
    assert text.count("architecture") == text.count("best") == 1
    assert all(cell in text for cell in (*NAMES, *ROWS[0]))
    assert max(map(len, text.splitlines())) <= 34
    assert text.count("│ 2 ") == 3


def test_a_key_longer_than_the_line_is_folded_not_cut() -> None:
    key = "x" * 50
    out = Console(file=io.StringIO(), width=30)
    for table in tables("best", ["architecture", "snip"], [[key, "1"]], 30):
        out.print(table)
    assert out.file.getvalue().count("x") == 50  # type: ignore[attr-defined]


def test_of_nothing_scored_the_names_remain() -> None:
    (table,) = tables("best", NAMES, [], 80)
    assert table.row_count == 0
