"""The ranking table as text: for a terminal, for Markdown, for other programs."""

import io
import json
from html import escape
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nasproxy import markup
from nasproxy.errors import SettingError
from nasproxy.ranking import cells, plots
from nasproxy.ranking.cells import Cell, rows_of
from nasproxy.ranking.hybrid import FITTED, RANK_MEAN
from nasproxy.store.columns import CONTEXT

FORMATS = ("table", "markdown", "latex", "html", "csv", "json")
_WIDTH = 100
_PROXY_WIDTH = 24


def render(table: pd.DataFrame, format: str = "table") -> str:
    """The table of ``rank_store`` as text.

    ``table`` fits a terminal of 100 columns, what rows are held against in a second table;
    ``markdown``, ``latex`` (for booktabs) and ``html`` hold the same; ``csv`` and ``json``, a
    list of rows, hold every column and digit, NaN as an empty cell or null.

    Raises:
        SettingError: another format.
    """
    match format:
        case "table":
            return _terminal(table)
        case "markdown" | "latex" | "html":
            rows, varying, said = _plain(table)
            return _LAYS[format](rows, 1 + varying, said, cells.notes(table))
    return _raw(table, format)


def render_hybrid(table: pd.DataFrame, format: str = "table") -> str:
    """The table of ``hybrid_store`` as text, in the formats of ``render``.

    Raises:
        SettingError: another format.
    """
    rows = [_hybrid_cells(row) for row in rows_of(table)]
    said = [f"Hybrid against {table['truth'].iloc[0]}"]
    notes = [
        f"n: architectures that have all; {RANK_MEAN}: of unfitted ranks; {FITTED}: linear, on "
        f"{table['fit_on'].iloc[0]}, in {table['folds'].iloc[0]} parts, each scored by a fit to "
        "the others' labels.",
        "Gains: of τ, paired, with 95 % intervals over architectures"
        + (" and seeds." if (table["seeds"] > 1).any() else " alone: of 1 seed, they are narrow."),
    ]
    match format:
        case "table":
            console, text = _console()
            console.print(Text(said[0]))
            console.print(_laid(rows))
            return _ended(console, text, notes)
        case "markdown" | "latex" | "html":
            flat = [{name: " ".join(cell) for name, cell in row.items()} for row in rows]
            return _LAYS[format](flat, 1, said, notes)
    return _raw(table, format)


def _hybrid_cells(row: dict[str, Any]) -> dict[str, Cell]:
    seeds, deviation = row["seeds"], row["kendall_tau_seed_sd"]
    between = () if deviation != deviation else (f"sd {cells.unsigned(deviation, 3)}",)
    found: dict[str, Cell] = {
        "measure": (row["measure"],),
        "n": (str(row["n"]), f"{seeds} seed{'s' * (seeds > 1)}"),
        "Kendall τ": (*cells.estimate(row, "kendall_tau"), *between),
    }
    for name in row:
        if name.startswith("gain over ") and f"{name}_low" in row:
            found[name.removeprefix("gain ")] = cells.estimate(row, name)
    return found


def _raw(table: pd.DataFrame, format: str) -> str:
    if format == "csv":
        return table.to_csv(index=False, lineterminator="\n").rstrip("\n")
    if format == "json":
        rows = [{k: None if v != v else v for k, v in row.items()} for row in rows_of(table)]
        return json.dumps(rows, indent=2, ensure_ascii=False)
    raise SettingError(f"format {format!r}: choose one of {', '.join(FORMATS)}")


def _terminal(table: pd.DataFrame) -> str:
    console, text = _console()
    console.print(Text(f"Ranking against {', '.join(table['truth'].unique())}"))
    apart = _apart(table)
    for context, rows in table.groupby(list(CONTEXT), sort=False):
        console.print()
        console.print(Text(_context(dict(zip(CONTEXT, context, strict=True)))))
        own = [cells.measures(row, apart) for row in rows_of(rows)]
        console.print(_laid(own))
        beside = [cells.beside(row) for row in rows_of(rows)]
        if any(beside):
            named = [{"proxy": a["proxy"]} | b for a, b in zip(own, beside, strict=True)]
            console.print(_laid(named))
    return _ended(console, text, cells.notes(table))


def _console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=_WIDTH, force_terminal=False, color_system=None), text


def _ended(console: Console, text: io.StringIO, notes: list[str]) -> str:
    for line in notes:
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _laid(rows: list[dict[str, Cell]]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    first = next(iter(rows[0]))
    for name in rows[0]:
        long = len(name) > _PROXY_WIDTH // 2
        justify = "left" if name == first else "right"
        shown.add_column(name, justify=justify, no_wrap=name != first and not long, overflow="fold")
    for row in rows:
        row = row | {first: tuple(plots.wrapped(part, _PROXY_WIDTH) for part in row[first])}
        shown.add_row(*(Text("\n".join(cell)) for cell in row.values()))
    return shown


def _markdown(rows: list[dict[str, str]], left: int, said: list[str], notes: list[str]) -> str:
    shown = [
        {name.replace("|", "\\|"): text.replace("|", "\\|") for name, text in row.items()}
        for row in rows
    ]
    aligned = ["left"] * left + ["right"] * (len(rows[0]) - left)
    text = pd.DataFrame(shown).to_markdown(index=False, disable_numparse=True, colalign=aligned)
    lines = [f"**{said[0]}**", "", *(line for one in said[1:] for line in (one, ""))]
    return "\n".join([*lines, text, "", *(f"- {note}" for note in notes)])


def _latex(rows: list[dict[str, str]], left: int, said: list[str], notes: list[str]) -> str:
    form = "l" * left + "r" * (len(rows[0]) - left)
    text = pd.DataFrame(rows).to_latex(index=False, escape=True, column_format=form)
    for sign, command in (("τ", "tau"), ("ρ", "rho"), ("±", "pm"), ("↓", "downarrow")):
        text = text.replace(sign, rf"$\{command}$")  # which not every engine has a letter for
    comments = [f"% {line}" for line in (*said, *notes)]
    return "\n".join([*comments, text.rstrip()])


def _html(rows: list[dict[str, str]], left: int, said: list[str], notes: list[str]) -> str:
    head, *more = map(escape, said)
    lines = "".join(f"<p>{line}</p>" for line in more)
    body = markup.table(list(rows[0]), (list(row.values()) for row in rows), left)
    small = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<div><p><b>{head}</b></p>{lines}{body}<ul>{small}</ul></div>"


_LAYS = {"markdown": _markdown, "latex": _latex, "html": _html}


def _plain(table: pd.DataFrame) -> tuple[list[dict[str, str]], int, list[str]]:
    """Rows of text; how many columns behind the proxy say of what; and what all rows share."""
    varying = [part for part in CONTEXT if table[part].nunique() > 1]
    same = {part: table[part].iloc[0] for part in CONTEXT if part not in varying}
    apart, rows = _apart(table), []
    for row in rows_of(table):
        own = cells.measures(row, apart)
        own = {"proxy": own.pop("proxy"), **{v: (str(row[v]),) for v in varying}, **own}
        rows.append({name: " ".join(cell) for name, cell in (own | cells.beside(row)).items()})
    said = [f"Ranking against {', '.join(table['truth'].unique())}"]
    return rows, len(varying), [*said, *([_context(same)] if same else [])]


def _apart(table: pd.DataFrame) -> bool:
    """Whether rows of a proxy's seeds stand apart."""
    return bool(table.duplicated(["proxy", "space", "data"]).any())


def _context(parts: dict[str, Any]) -> str:
    said = {"drawn": "drawn: {}"}
    return " · ".join(said.get(part, "{}").format(value) for part, value in parts.items())
