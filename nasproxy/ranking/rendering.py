"""The ranking table as text: for a terminal, for Markdown, for other programs."""

import io
import json
import math
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nasproxy import metrics
from nasproxy.errors import SettingError
from nasproxy.ranking import plots
from nasproxy.store.columns import CONTEXT

FORMATS = ("table", "markdown", "latex", "csv", "json")
_WIDTH = 100
_PROXY_WIDTH = 24
_LONG_ONLY = ("Pearson r", "ρ", "PQETP")
"""Left out of a terminal's table that holds scores against baselines; other formats have them."""


def render(table: pd.DataFrame, format: str = "table") -> str:
    """The table of ``rank_store`` as text.

    ``table`` fits a terminal of 100 columns; ``markdown`` and
    ``latex`` (for booktabs) hold the same; ``csv`` and ``json``, a
    list of rows, hold every column and digit, NaN as an empty cell or null.

    Raises:
        SettingError: another format.
    """
    match format:
        case "table":
            return _terminal(table)
        case "markdown":
            return _markdown(table)
        case "latex":
            return _latex(table)
        case "csv":
            return table.to_csv(index=False, lineterminator="\n").rstrip("\n")
        case "json":
            rows = [{k: None if v != v else v for k, v in row.items()} for row in _rows(table)]
            return json.dumps(rows, indent=2, ensure_ascii=False)
    raise SettingError(f"format {format!r}: choose one of {', '.join(FORMATS)}")


def plain(table: pd.DataFrame, format: str, title: str) -> str:
    """Another table, of numbers with the ends of their intervals, as :func:`render` writes its own.

    Raises:
        SettingError: another format.
    """
    if format in ("csv", "json"):
        return render(table, format)
    if format not in FORMATS:
        raise SettingError(f"format {format!r}: choose one of {', '.join(FORMATS)}")
    rows = [_with_ends(row) for row in _rows(table)]
    if format == "markdown":
        text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
        return f"**{title}**\n\n{text}"
    if format == "latex":
        return f"% {title}\n" + pd.DataFrame(rows).to_latex(index=False, escape=True).rstrip()
    text = io.StringIO()
    console = Console(file=text, width=_WIDTH, force_terminal=False, color_system=None)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(rows[0]):
        shown.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row.values()))
    console.print(Text(title))
    console.print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _with_ends(row: dict[str, Any]) -> dict[str, str]:
    """A number and its interval in one cell."""
    shown = {}
    for name, value in row.items():
        if name.endswith(("_low", "_high")):
            continue
        text = _number(value, ".4f") if isinstance(value, float) else str(value)
        low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
        if low is not None and high is not None and not math.isnan(low):
            text += f" [{low:.4f}, {high:.4f}]"
        shown[name.replace("_", " ")] = text
    return shown


Cell = tuple[str, ...]  # what is said, then what belongs beneath or behind it


def _cells(row: dict[str, Any]) -> dict[str, Cell]:
    def correlation(name: str) -> Cell:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        bounds = () if math.isnan(low) else (f"[{_signed(low, 2)}, {_signed(high, 2)}]",)
        return _signed(row[name], 3), *bounds

    counts = {"failed": row["failed"], "without truth": row["unmatched"]}
    left_out = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
    several = () if row["seeds"] == 1 else (f"{row['seeds']} seeds",)
    deviation = row["kendall_tau_seed_sd"]
    between = () if math.isnan(deviation) else (f"± {_unsigned(deviation, 3)}",)
    told: dict[str, Cell] = {}
    if row.get("given"):
        told["τ given"] = (_signed(row["given_tau"], 3), f"{row['given_pairs']:,} pairs")
    if row.get("against"):
        told["gain"] = correlation("gain")
    if row.get("ceiling_of"):
        share = row["kendall_tau"] / row["ceiling"] if row["ceiling"] > 0 else math.nan
        told["of ceiling"] = (_number(100 * share, ".0f") + " %",)
    return {
        "proxy": (
            row["proxy"] + " ↓" * row["lower"] + " *" * row["same_run"],
            *([f"({left_out})"] if left_out else []),
        ),
        "n": (str(row["n"]), *several),
        "Kendall τ": (*correlation("kendall_tau"), *between),
        **told,
        "Pearson r": correlation("pearson"),
        "ρ": (_signed(row["spearman"], 3),),
        "PQETP": (_number(row["pqetp"], ".3f"),),
        "discovered": _discovered(row["discovered"], row["discovered_error"]),
        "cost": (f"{_number(row['seconds'], '.2g')} s", f"{_scaled(row['flops'])}FLOP"),
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict(orient="records")]


def _terminal(table: pd.DataFrame) -> str:
    text = io.StringIO()
    console = Console(file=text, width=_WIDTH, force_terminal=False, color_system=None)
    console.print(Text(f"Ranking against {', '.join(table['truth'].unique())}"))
    for context, rows in table.groupby(list(CONTEXT), sort=False):
        console.print()
        console.print(Text(_context(dict(zip(CONTEXT, context, strict=True)))))
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        cells = [_cells(row) for row in _rows(rows)]
        if {"given", "against", "ceiling_of"} & set(table.columns):  # Else there is no room.
            cells = [{k: v for k, v in row.items() if k not in _LONG_ONLY} for row in cells]
        for name in cells[0]:
            justify = "left" if name == "proxy" else "right"
            shown.add_column(name, justify=justify, no_wrap=name != "proxy", overflow="fold")
        for row in cells:
            row["proxy"] = tuple(plots.wrapped(part, _PROXY_WIDTH) for part in row["proxy"])
            shown.add_row(*(Text("\n".join(cell)) for cell in row.values()))
        console.print(shown)
    for line in _notes(table):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _markdown(table: pd.DataFrame) -> str:
    rows, varying, said = _plain(table)
    shown = [{name: text.replace("|", "\\|") for name, text in row.items()} for row in rows]
    aligned = ["left"] * (1 + varying) + ["right"] * (len(rows[0]) - 1 - varying)
    text = pd.DataFrame(shown).to_markdown(index=False, disable_numparse=True, colalign=aligned)
    lines = [f"**{said[0]}**", "", *(line for one in said[1:] for line in (one, ""))]
    return "\n".join([*lines, text, "", *(f"- {note}" for note in _notes(table))])


def _latex(table: pd.DataFrame) -> str:
    rows, varying, said = _plain(table)
    form = "l" * (1 + varying) + "r" * (len(rows[0]) - 1 - varying)
    text = pd.DataFrame(rows).to_latex(index=False, escape=True, column_format=form)
    for sign, command in (("τ", "tau"), ("ρ", "rho"), ("±", "pm"), ("↓", "downarrow")):
        text = text.replace(sign, rf"$\{command}$")  # which not every engine has a letter for
    comments = [f"% {line}" for line in (*said, *_notes(table))]
    return "\n".join([*comments, text.rstrip()])


def _plain(table: pd.DataFrame) -> tuple[list[dict[str, str]], int, list[str]]:
    """Rows of text; how many columns behind the proxy say of what; and what all rows share."""
    varying = [part for part in CONTEXT if table[part].nunique() > 1]
    same = {part: table[part].iloc[0] for part in CONTEXT if part not in varying}
    rows = []
    for row in _rows(table):
        cells = _cells(row)
        cells = {"proxy": cells.pop("proxy"), **{v: (str(row[v]),) for v in varying}, **cells}
        rows.append({name: " ".join(cell) for name, cell in cells.items()})
    said = [f"Ranking against {', '.join(table['truth'].unique())}"]
    return rows, len(varying), [*said, *([_context(same)] if same else [])]


def _context(parts: dict[str, Any]) -> str:
    said = {"seed": "seed {}", "drawn": "drawn: {}"}
    return " · ".join(said.get(part, "{}").format(value) for part, value in parts.items())


def _notes(table: pd.DataFrame) -> list[str]:
    """How it was measured."""
    return [
        *_of_truth(table),
        *(["↓: lower is better, τ, r and ρ are of its negative."] if table["lower"].any() else []),
        *(["*: of the same computation as the truth."] if table["same_run"].any() else []),
        f"n: architectures with a score and a truth. Brackets: 95 % bootstrap intervals over them"
        f"{_of_seeds(table)}, from n = {plots.MIN_FOR_INTERVAL} on. ρ: Spearman's.",
        *_of_beside(table),
        *_of_failures(table),
        f"PQETP: AUROC of the score for truth {'<' if table['truth_lower'].any() else '>'} λ, "
        f"λ = {_range(table['threshold'])}.",
        _discovery(table[table["top"] > 0]),
        "cost: median time and mean operations of scoring an architecture.",
    ]


def _of_truth(table: pd.DataFrame) -> list[str]:
    """What became of the truth's rows, where anything did."""
    said = {
        "truth_missing": "without a number",
        "truth_repeated": "averaged with others of their key",
        "truth_mended": "with a key in another form, mended",
        "truth_foreign": "of keys that are none of the space",
    }
    row = table.iloc[0]
    counts = [f"{row[name]:,} {words}" for name, words in said.items() if row[name]]
    better = ["lower is better"] if row["truth_lower"] else []
    told = [*better, *([f"{row['truth_rows']:,} rows, " + ", ".join(counts)] if counts else [])]
    return [f"truth: {'; '.join(told)}."] if told else []


def _discovery(table: pd.DataFrame) -> str:
    """Of the rows that have architectures enough."""
    if table.empty:
        return f"discovered: needs more architectures, it is given from n = {plots.MIN_FOR_TOP} on."
    return (
        f"discovered: best truth of the {_range(table['top'])} best by score among"
        f" {_range(table['subset'])} architectures; mean ± standard error over disjoint random"
        f" parts, {metrics.N_SUBSETS} at most."
    )


def _of_seeds(table: pd.DataFrame) -> str:
    """What intervals are over besides architectures."""
    if table["seeds"].max() == 1:
        return " (one seed: another would give other numbers, by more than this)"
    return " and, of several seeds, over these too; ± the deviation between them"


def _of_beside(table: pd.DataFrame) -> list[str]:
    row = table.iloc[0]
    said = []
    if row.get("given"):
        said.append(f"τ given: of pairs of architectures that agree in all of {row['given']}.")
    if row.get("against"):
        said.append(f"gain: τ less that of {row['against']}, on the same architectures.")
    if row.get("ceiling_of"):
        taus = table["ceiling"].dropna()
        reached = f", τ = {_range(taus.round(3))}" if len(taus) else ""
        said.append(f"ceiling: {row['ceiling_of']}{reached}.")
    return said


def _of_failures(table: pd.DataFrame) -> list[str]:
    """What became of architectures without a score, if there are any."""
    if not table["failed"].any():
        return []
    if table["failures"].iloc[0] == "last":
        return ["failed: ranked below all others, tied."]
    return ["failed: left out; --failures last ranks them below all others."]


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    if pd.isna(low):
        return "–"
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _signed(value: float, digits: int) -> str:
    """A correlation: "+.51"."""
    return _number(value, f"+.{digits}f").replace("0.", ".", 1)


def _unsigned(value: float, digits: int) -> str:
    return _number(value, f".{digits}f").replace("0.", ".", 1)


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _scaled(value: float) -> str:
    """1.2e9 as "1.2 G"."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{1 if value < 10 * size else 0}f} {prefix}"
    return f"{_number(value, '.0f')} "


def _discovered(mean: float, error: float) -> Cell:
    """Rounded to two digits of the standard error."""
    if math.isnan(mean):
        return ("–",)
    if not error > 0:
        return (f"{mean:.5g}", *(() if math.isnan(error) else ("± 0",)))
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{mean:.{digits}f}", f"± {error:.{digits}f}"
