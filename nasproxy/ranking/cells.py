"""What stands in a cell of the ranking table, and the notes beneath it."""

import math
from typing import Any

import pandas as pd

from nasproxy.ranking import plots

Cell = tuple[str, ...]  # what is said, then what belongs beneath or behind it


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict(orient="records")]


def measures(row: dict[str, Any], seeds_apart: bool) -> dict[str, Cell]:
    """Of the row itself."""
    failed = "failed, ranked last" if row["failures"] == "last" else "failed"
    counts = {
        failed: row["failed"],
        "without truth": row["unmatched"],
        "not of all seeds": row["unshared"],
    }
    left_out = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
    seeds = row["seeds"]
    deviation = row["kendall_tau_seed_sd"]
    return {
        "proxy": (
            row["proxy"] + " ↓" * row["lower"] + " *" * row["same_run"],
            *([row["seed_names"]] if seeds_apart else []),
            *([f"({left_out})"] if left_out else []),
        ),
        "n": (str(row["n"]), f"{seeds} seed{'s' * (seeds > 1)}"),
        "Kendall τ": (
            *estimate(row, "kendall_tau"),
            *(() if math.isnan(deviation) else (f"sd {unsigned(deviation, 3)}",)),
        ),
        "Pearson r": estimate(row, "pearson"),
        "ρ": (signed(row["spearman"], 3),),
        "PQETP": (number(row["pqetp"], ".3f"),),
        "discovered": with_error(row["discovered"], row["discovered_error"]),
        "cost": (f"{number(row['seconds'], '.2g')} s", f"{scaled(row['flops'])}FLOP"),
    }


def beside(row: dict[str, Any]) -> dict[str, Cell]:
    """What the row is held against, where that was asked for."""
    found: dict[str, Cell] = {}
    if "tau_given" in row:
        found["τ given"] = (*estimate(row, "tau_given"), f"{row['given_pairs']:,} pairs")
    if "gain" in row:
        over = (f"n {row['gain_n']:,}",) if row["gain_n"] else ()
        found["gain"] = (*estimate(row, "gain"), *over)
    if "ceiling_share" in row:
        share, low, high = (row[f"ceiling_share{end}"] for end in ("", "_low", "_high"))
        bounds = () if math.isnan(low) else (f"[{number(low, '.0%')}, {number(high, '.0%')}]",)
        found["of ceiling"] = (number(share, ".0%"), *bounds, f"n {row['ceiling_n']:,}")
    if "found" in row:
        found["found"] = (
            *with_error(row["found"], row["found_error"]),
            f"{row['found_kept']:,} kept, n {row['found_n']:,}",
        )
        for name in ("random", "all"):
            found[f"over {name}"] = difference(row, f"found_over_{name}")
    return found


def notes(table: pd.DataFrame) -> list[str]:
    """How it was measured."""
    alone, several = (table["seeds"] == 1).any(), (table["seeds"] > 1).any()
    over = " and seeds" if several and not alone else ""
    failed = int(table["failed"].sum())
    last = (table["failures"] == "last").any()
    said = [
        *_of_truth(table),
        *(["↓: lower is better, τ, r and ρ are of its negative."] if table["lower"].any() else []),
        *(["*: of the same computation as the truth."] if table["same_run"].any() else []),
        f"n: architectures with a score and a truth. Brackets: 95 % bootstrap intervals over them"
        f"{over}, from n = {plots.MIN_FOR_INTERVAL} on. ρ: Spearman's.",
    ]
    if several:
        said.append(
            "seeds: measures are means over them, intervals resample architectures and seeds; sd: "
            "deviation between the seeds' τ."
        )
    if alone:
        said.append(
            "1 seed: the interval is over architectures alone, too narrow for what another seed "
            "would give, of a score that depends on it."
        )
    if failed or last:
        what = "rank below all others (r is without them)" if last else "are left out"
        said.append(f"failed architectures {what}; how many stands beneath a proxy.")
    return [
        *said,
        f"PQETP: AUROC of the score for truth {'<' if table['truth_lower'].any() else '>'} λ, "
        f"λ = {spread(table['threshold'])}.",
        _discovery(table[table["top"] > 0]),
        *_beside(table),
        "cost: median time and mean operations of scoring an architecture"
        f"{' by one seed' if several else ''}.",
    ]


def _beside(table: pd.DataFrame) -> list[str]:
    said = []
    if "given" in table:
        said.append(
            f"τ given: among architectures of equal {table['given'].iloc[0]}, over so many pairs"
            + (" (0: no two are equal)." if (table["given_pairs"] == 0).any() else ".")
        )
    if "against" in table:
        said.append(
            f"gain: τ over that of {table['against'].iloc[0]}, paired: same architectures and "
            "resamples."
        )
    if "ceiling" in table:
        held = table[table["ceiling_n"] > 0].drop_duplicates(["ceiling_tau", "ceiling_n"])
        own = [
            f"τ {' '.join(estimate(row, 'ceiling_tau'))} on {row['ceiling_n']:,} architectures"
            for row in rows_of(held)
        ]
        shown = own[:4] + [f"and {len(own) - 4} others"] * (len(own) > 4)
        said.append(
            f"ceiling: {table['ceiling'].iloc[0]}, {'; '.join(shown) or 'of no architecture'}; the "
            "share of it that a row's τ has, on the same architectures."
        )
    if "keep" in table:
        counted = table[table["found_parts"] > 0]
        parts = spread(counted["found_parts"]) if len(counted) else "–"
        said.append(
            f"found: truth of the best by {table['then'].iloc[0]} among the best "
            f"{table['keep'].iloc[0]:.3g} by score of a part, mean ± standard error of {parts} "
            "disjoint parts, ties in expectation; over random: more than among a random share of "
            "the same size; over all: than in the whole part (Student's t)."
        )
    return said


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
        f"discovered: best truth of the {spread(table['top'])} best by score among "
        f"{spread(table['subset'])} architectures; mean ± standard error of "
        f"{spread(table['parts'])} disjoint random parts."
    )


def spread(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    if pd.isna(low):
        return "–"
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def estimate(row: dict[str, Any], name: str) -> Cell:
    """A correlation or a difference of two, and its interval."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    bounds = () if math.isnan(low) else (f"[{signed(low, 2)}, {signed(high, 2)}]",)
    return signed(row[name], 3), *bounds


def difference(row: dict[str, Any], name: str) -> Cell:
    """A difference in the truth's units, to two digits of its interval."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(value):
        return ("–",)
    if math.isnan(low):
        return (f"{value:+.3g}",)
    digits = max(0, 1 - math.floor(math.log10((high - low) / 2))) if high > low else 3
    return f"{value:+.{digits}f}", f"[{low:+.{digits}f}, {high:+.{digits}f}]"


def signed(value: float, digits: int) -> str:
    """A correlation: "+.51"."""
    return number(value, f"+.{digits}f").replace("0.", ".", 1)


def unsigned(value: float, digits: int) -> str:
    return number(value, f".{digits}f").replace("0.", ".", 1)


def number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def scaled(value: float) -> str:
    """1.2e9 as "1.2 G"."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{1 if value < 10 * size else 0}f} {prefix}"
    return f"{number(value, '.0f')} "


def with_error(mean: float, error: float) -> Cell:
    """Rounded to two digits of the standard error."""
    if math.isnan(mean):
        return ("–",)
    if not error > 0:
        return (f"{mean:.5g}", *(() if math.isnan(error) else ("± 0",)))
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{mean:.{digits}f}", f"± {error:.{digits}f}"
