"""The ranking table: how well stored scores order architectures, and what they cost.

No correlation stands alone: each row says how many architectures it is over and how they were
drawn, and gives an interval. The same from a notebook, without a store::

    frame = score(cells, space, [NNGP(), Params()], data)
    pd.DataFrame([rank(frame[name], truth) for name in ("nngp", "params")])
"""

import io
import json
import math
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nasproxy import metrics, plots
from nasproxy import truth as tables
from nasproxy.errors import SettingError, StoreError
from nasproxy.proxies import PROXIES
from nasproxy.proxies.base import describe, make, parse_settings
from nasproxy.store import Record, Store
from search_spaces import SPACES

N_SUBSETS = 10  # random halves of the architectures, for discovered performance
TOP = 10
FORMATS = ("table", "markdown", "csv", "json")
_WIDTH = 100
_PROXY_WIDTH = 24
_CONTEXT = ("space", "data", "seed", "drawn")
_LISTED = 10  # candidates in an error message

Run = tuple[str, str, str, int]
Scores = dict[str, float]


class Ranking(NamedTuple):
    """How one column of scores ranks; NaN where `n` architectures are too few, or all tie.

    Attributes:
        n: architectures that have a score and a truth.
        kendall_tau: τ_b; `_low` and `_high` bound its 95 % bootstrap interval over architectures.
        pearson: r, likewise.
        spearman: ρ.
        pqetp: AUROC of the score as classifier of truth > `threshold`.
        threshold: λ, in truth's units.
        discovered: best truth among the `top` by score, mean over 10 random subsets of `subset`
            architectures, half of them all; truth's units.
        discovered_error: its standard error over those subsets. They overlap, so it understates how
            much another draw of architectures would differ.
        top, subset: see `discovered`; min(10, n // 5) and n // 2.
        failed: architectures without a finite score.
        unmatched: architectures with a score and no truth.
    """

    n: int
    kendall_tau: float = math.nan
    kendall_tau_low: float = math.nan
    kendall_tau_high: float = math.nan
    pearson: float = math.nan
    pearson_low: float = math.nan
    pearson_high: float = math.nan
    spearman: float = math.nan
    pqetp: float = math.nan
    threshold: float = math.nan
    discovered: float = math.nan
    discovered_error: float = math.nan
    top: int = 0
    subset: int = 0
    failed: int = 0
    unmatched: int = 0


def rank(
    scores: pd.Series,
    truth: pd.Series,
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Every measure of one column of scores against the truth, both indexed by architecture key.

    Scores and truths that are not finite are left out, and the scores counted as failed.

    Args:
        scores: larger means predicted better.
        truth: larger means better.
        threshold: λ of PQETP, in truth's units; or
        percentile: λ is this percentile of the truth ranked against; the median by default.
        n_resamples: bootstrap resamples of an interval, each O(n log n).
        seed: of the bootstrap and of the subsets of discovered performance.

    Raises:
        TruthError: no key is in both, or one occurs twice.
        SettingError: a λ that is none, or two.
    """
    present, known = (s[np.isfinite(s.to_numpy(np.float64))] for s in (scores, truth))
    joined = tables.join(present.sort_index(), known)  # so that no number depends on their order
    x, y = joined.scores.to_numpy(np.float64), joined.truth.to_numpy(np.float64)
    n = len(x)
    ranking = Ranking(n, failed=len(scores) - len(present), unmatched=joined.unmatched_scores)
    if n < 2:
        return ranking
    if percentile is None and threshold is None:
        percentile = 50.0
    pqetp = metrics.pqetp(x, y, threshold, percentile=percentile)
    if percentile is not None:
        threshold = float(np.percentile(y, percentile))
    assert threshold is not None
    ranking = ranking._replace(
        kendall_tau=metrics.kendall_tau(x, y),
        pearson=metrics.pearson(x, y),
        spearman=metrics.spearman(x, y),
        pqetp=pqetp,
        threshold=threshold,
    )
    if n >= plots.MIN_FOR_INTERVAL:
        tau, r = (
            metrics.bootstrap(statistic, x, y, n_resamples=n_resamples, seed=seed)
            for statistic in (metrics.kendall_tau, metrics.pearson)
        )
        ranking = ranking._replace(
            kendall_tau_low=tau.low,
            kendall_tau_high=tau.high,
            pearson_low=r.low,
            pearson_high=r.high,
        )
    top = min(TOP, n // 5)
    if top:
        found = metrics.discovered_performance(
            x, y, top=top, subset=n // 2, n_subsets=N_SUBSETS, seed=seed
        )
        ranking = ranking._replace(
            discovered=found.mean,
            discovered_error=found.standard_error,
            top=top,
            subset=n // 2,
        )
    return ranking


def rank_store(
    store: Store,
    truth: pd.Series,
    *,
    threshold: float | None = None,
    percentile: float | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Ranks all that a store holds: a row each (space, proxy, data, seed) and further column.

    Args:
        store: what was scored.
        truth: indexed by architecture key; `.name` says what it is. The column that a truth of
            `truth_from_store` comes from is left out, others of the same computation are marked.
        threshold, percentile, n_resamples, seed: as in `rank`.

    Returns:
        Within each `space`, `data`, `seed` and `drawn` the best τ first, signs kept. Columns are
        those of `Ranking`, and:

        - ``proxy``, ``space``: with the settings that are not defaults; ``data``, ``seed``;
        - ``drawn``: how the ranked architectures were drawn, several ways separated by semicolons,
          ``unknown`` where the store does not say;
        - ``same_run``: whether the truth is of the same computation (test accuracy, say, beside a
          truth of validation accuracy), so that the row is no independent proxy;
        - ``truth``: its name;
        - ``seconds``, ``flops``: median and mean cost of scoring an architecture, of the whole
          computation where it gave several columns.

        A row without a match is there, with n = 0 and NaN.

    Raises:
        StoreError: there is nothing to rank.
        TruthError: no scored architecture at all has a truth.
        SettingError: a λ that is none, or two.
    """
    columns, truth, run = _opposed(store, truth)
    matched = [column.series[column.series.index.isin(truth.index)] for column in columns]
    rows = []
    for column, known in zip(columns, matched, strict=True):
        ranking = Ranking(0, unmatched=len(column.series))
        if len(known):
            ranking = rank(
                column.series,
                truth,
                threshold=threshold,
                percentile=percentile,
                n_resamples=n_resamples,
                seed=seed,
            )
        ranking = ranking._replace(failed=column.failed)
        drawn = column.drawn(known.index if len(known) else column.series.index)
        cost = {"seconds": column.seconds, "flops": column.flops}
        about = {"drawn": drawn, "truth": str(truth.name or "truth"), "same_run": column.run == run}
        rows.append(column.about | about | ranking._asdict() | cost)
    frame = pd.DataFrame(rows)
    by = [*_CONTEXT, "kendall_tau"]
    upwards = [*(True for _ in _CONTEXT), False]
    return frame.sort_values(by, ascending=upwards, kind="stable", ignore_index=True)


def plot_store(store: Store, truth: pd.Series, path: str | os.PathLike[str]) -> None:
    """Draws the columns of `rank_store` against the truth, six at most, and says if there are more.

    Those of the truth's own computation come last, otherwise those of most architectures first.

    Raises:
        StoreError, TruthError: as `rank_store`.
        SettingError: the path cannot be written, or has another suffix than .png, .pdf and .svg.
    """
    columns, truth, run = _opposed(store, truth)
    matched = [c for c in columns if c.series.index.isin(truth.index).any()]
    shown = sorted(matched, key=lambda c: (c.run == run, -len(c.series)))[: plots.MAX_PANELS]
    varying = [
        part for part in ("space", "data", "seed") if len({c.about[part] for c in columns}) > 1
    ]
    series, labels = {}, {}
    for column in shown:
        title = "\n".join([column.about["proxy"], *(f"{p} {column.about[p]}" for p in varying)])
        while title in series:  # one setting, scored alone and as a column of several
            title += " (again)"
        series[title] = column.series
        kind = column.about["proxy"].partition(":")[0].partition("[")[0]
        labels[title] = getattr(PROXIES.get(kind), "unit", "score")
    about = shown[0].about
    fixed = [
        f"{p} {about[p]}" if p == "seed" else str(about[p])
        for p in ("space", "data", "seed")
        if p not in varying
    ]
    drawn = {c.drawn(c.series.index[c.series.index.isin(truth.index)]) for c in shown}
    left = f"{len(shown)} of {len(columns)} rows shown; " if len(columns) > len(shown) else ""
    plots.scatter(
        pd.DataFrame(series),
        truth,
        path,
        x_label=labels,
        y_label=str(truth.name or "truth"),
        title=", ".join(fixed),
        note=f"{left}drawn: {' / '.join(sorted(drawn))}; brackets: 95 % bootstrap intervals",
    )


def read_truth(text: str, store: Store, key: str | None = None) -> pd.Series:
    """A truth from ``FILE:COLUMN`` (.parquet or .csv) or from the store's own scores by a proxy.

    Raises:
        TruthError: see `nasproxy.truth.read`.
        SettingError: see `truth_from_store`.
    """
    if not any(suffix in text.lower() for suffix in (".parquet", ".csv")):
        return truth_from_store(store, text)
    path, column = tables.parse_spec(text)
    return tables.read(path, column, key).rename(f"{path.name}:{column}")


def truth_from_store(
    store: Store,
    proxy: str,
    *,
    space: str | None = None,
    data: str | None = None,
    seed: int | None = None,
) -> pd.Series:
    """One column of a store's scores as truth, indexed by architecture key, failed ones left out.

    Args:
        store: where they are.
        proxy: as `rank_store` names them, ``training:epochs=4`` or ``training[test_accuracy]``; or
            as the store does, with every setting. Settings that leave one column may be left out.
        space, data, seed: narrow it down, likewise; data by its name or ``name@fingerprint``.

    Raises:
        SettingError: none or several columns fit; lists them.
    """
    columns = [c for c in _columns(store) if len(c.series)]
    if not columns:
        raise SettingError(f"truth {proxy!r}: {_place(store)} holds no scores; score first")
    fitting = [
        c
        for c in columns
        if (proxy == c.full or _means(proxy, c))
        and (space is None or _agrees(parse_settings(space), _parsed(c.run[0])))
        and (data is None or data in (c.run[2], c.run[2].partition("@")[0]))
        and (seed is None or seed == c.run[3])
    ]
    exact = [c for c in fitting if proxy in (c.full, c.about["proxy"])]
    found = exact if len(exact) == 1 else fitting
    if len(found) != 1:
        listed = [
            "{proxy} ({space}, {data}, seed {seed})".format(**c.about) for c in found or columns
        ]
        more = [f"and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
        raise SettingError(
            f"truth {proxy!r} fits {len(found)} columns of {_place(store)}: name one of "
            + "; ".join(listed[:_LISTED] + more)
        )
    (column,) = found
    about = column.about
    name = f"{about['proxy']}, {about['space']}, {about['data']}, seed {about['seed']}"
    truth = column.series.rename(name).rename_axis("architecture")
    truth.attrs["column"] = (column.run, column.column)
    return truth


def render(table: pd.DataFrame, format: str = "table") -> str:
    """The table of `rank_store` as text.

    ``table`` fits a terminal of 100 columns; ``markdown`` holds the same; ``csv`` and ``json``, a
    list of rows, hold every column and digit, NaN as an empty cell or null.

    Raises:
        SettingError: another format.
    """
    match format:
        case "table":
            return _terminal(table)
        case "markdown":
            return _markdown(table)
        case "csv":
            return table.to_csv(index=False, lineterminator="\n").rstrip("\n")
        case "json":
            rows = [{k: None if v != v else v for k, v in row.items()} for row in _rows(table)]
            return json.dumps(rows, indent=2, ensure_ascii=False)
    raise SettingError(f"format {format!r}: choose one of {', '.join(FORMATS)}")


# From records to columns of scores


class _Meaning(NamedTuple):
    """What a column's name says: a proxy, its settings, and what it reports besides its score."""

    proxy: str
    settings: dict[str, Any]
    besides: str = ""


@dataclass
class _Column:
    """One column of scores of a group: `column` is empty for the score itself."""

    run: Run
    column: str
    meaning: _Meaning
    series: pd.Series
    failed: int
    seconds: float
    flops: float
    draws: dict[str, str]

    @property
    def full(self) -> str:
        """The name of the column within its group, with every setting."""
        return f"{self.run[1]}[{self.column}]" if self.column else self.run[1]

    @property
    def about(self) -> dict[str, Any]:
        space, _, data, seed = self.run
        proxy, settings, besides = self.meaning
        name = _short(proxy, settings, PROXIES)
        if name is not None and besides:
            name = f"{name}[{besides}]"
        return {
            "proxy": name or self.full,
            "space": _short(*_parsed(space), SPACES) or space,
            "data": data,
            "seed": seed,
        }

    def drawn(self, keys: pd.Index) -> str:
        """How those architectures were drawn; all of them if there are none."""
        return "; ".join(sorted({self.draws[key] for key in keys} or set(self.draws.values())))


@dataclass
class _Group:
    """What is kept of the records of a group: numbers, so that memory stays small."""

    values: dict[str, Scores] = field(default_factory=lambda: defaultdict(dict, {"": {}}))
    seconds: Scores = field(default_factory=dict)
    flops: Scores = field(default_factory=dict)
    draws: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        key = record.key.architecture
        self.draws[key] = str(record.info.get("drawn", "unknown"))
        if record.value is None:
            return
        self.seconds[key], self.flops[key] = record.seconds, record.flops
        for column, value in {"": record.value, **record.info.get("columns", {})}.items():
            if value is not None:
                self.values[column][key] = value

    def columns(self, run: Run) -> list[_Column]:
        meanings = _meanings(run[1], list(self.values))
        found = []
        for (column, values), meaning in zip(self.values.items(), meanings, strict=True):
            seconds = [self.seconds[key] for key in values]
            flops = [self.flops[key] for key in values]
            found.append(
                _Column(
                    run,
                    column,
                    meaning,
                    pd.Series(values, dtype=np.float64, index=pd.Index(values, dtype=str)),
                    failed=len(self.draws) - len(values),
                    seconds=float(np.median(seconds)) if seconds else math.nan,
                    flops=float(np.mean(flops)) if flops else math.nan,
                    draws=self.draws,
                )
            )
        return found


def _columns(store: Store) -> list[_Column]:
    """All columns of a store, by one pass over it."""
    groups: dict[Run, _Group] = defaultdict(_Group)
    for record in store.records():
        key = record.key
        groups[key.space, key.proxy, key.data, key.seed].add(record)
    return [column for run in sorted(groups) for column in groups[run].columns(run)]


def _opposed(store: Store, truth: pd.Series) -> tuple[list[_Column], pd.Series, Run | None]:
    """All columns but the truth's own, the truth of what they score, and the run it comes from."""
    run, own = truth.attrs.get("column", (None, None))
    columns = [c for c in _columns(store) if (c.run, c.column) != (run, own)]
    if not columns:
        raise StoreError(f"{_place(store)} holds no scores to rank: run nasproxy score first")
    # Once, in plain Python: pandas looks up 423,624 Arrow strings in seconds, for each column.
    scored = {key for column in columns for key in column.series.index}
    keys = truth.index.astype(str).to_numpy(dtype=object)
    known = [key in scored for key in keys]
    if not any(known):
        tables.join(columns[0].series, truth)  # raises, naming a key of either side
    return columns, truth.set_axis(keys)[known], run


def _place(store: Store) -> str:
    return "the store in memory" if store.path is None else store.path.name


def _meanings(stored: str, columns: list[str]) -> list[_Meaning]:
    """What the columns of a proxy stand for.

    A column is named by settings that it replaces (``n_train=100``), by what it reports besides
    (``test_accuracy``), or both. Of several sizes at once, a proxy's own score is that
    of the largest.
    """
    proxy, settings = _parsed(stored)
    parted = []
    for column in columns:
        parts = column.split(",") if column else []
        replacing = [part for part in parts if part.partition("=")[0] in settings]
        _, replaced = _parsed(f"_:{','.join(replacing)}")
        parted.append((replaced, ",".join(p for p in parts if p not in replacing)))
    swept = {key for replaced, _ in parted for key in replaced}
    own = {k: _largest(v) if k in swept else v for k, v in settings.items()}
    return [_Meaning(proxy, own | replaced, besides) for replaced, besides in parted]


def _parsed(stored: str) -> tuple[str, dict[str, Any]]:
    """`parse_settings`, but anything that a store may hold is a name."""
    try:
        return parse_settings(stored)
    except SettingError:
        return stored, {}


def _largest(value: Any) -> Any:
    return max(value) if isinstance(value, tuple) else value


def _means(spec: str, column: _Column) -> bool:
    """Whether a name with some settings fits a column; a store keeps the width with the space."""
    name, _, besides = spec.removesuffix("]").partition("[")
    proxy, settings = _parsed(name)
    if "width" in settings and "width" not in column.meaning.settings:
        stored = _parsed(column.run[0])[1]
        if settings.pop("width") != stored.get("width"):
            return False
    own, has, reports = column.meaning
    return besides == reports and _agrees((proxy, settings), (own, has))


def _agrees(spec: tuple[str, dict[str, Any]], stored: tuple[str, dict[str, Any]]) -> bool:
    return spec[0] == stored[0] and all(
        _largest(stored[1].get(key)) == _largest(value) for key, value in spec[1].items()
    )


def _short(name: str, settings: dict[str, Any], kinds: Mapping[str, type]) -> str | None:
    """A name with the settings that are no defaults; None where it is of no known kind."""
    try:
        return describe(make(kinds[name], name, settings), name, full=False)
    except (KeyError, TypeError, ValueError):
        return None


# From the table to text


Cell = tuple[str, ...]  # what is said, then what belongs beneath or behind it


def _cells(row: dict[str, Any]) -> dict[str, Cell]:
    def correlation(name: str) -> Cell:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        bounds = () if math.isnan(low) else (f"[{_signed(low, 2)}, {_signed(high, 2)}]",)
        return _signed(row[name], 3), *bounds

    counts = {"failed": row["failed"], "without truth": row["unmatched"]}
    left_out = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
    return {
        "proxy": (row["proxy"] + " *" * row["same_run"], *([f"({left_out})"] if left_out else [])),
        "n": (str(row["n"]),),
        "Kendall τ": correlation("kendall_tau"),
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
    for context, rows in table.groupby(list(_CONTEXT), sort=False):
        console.print()
        console.print(Text(_context(dict(zip(_CONTEXT, context, strict=True)))))
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        cells = [_cells(row) for row in _rows(rows)]
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
    varying = [part for part in _CONTEXT if table[part].nunique() > 1]
    same = {part: table[part].iloc[0] for part in _CONTEXT if part not in varying}
    lines = [f"**Ranking against {', '.join(table['truth'].unique())}**", ""]
    if same:
        lines += [_context(same), ""]
    for index, row in enumerate(_rows(table)):
        cells = _cells(row)
        proxy = cells.pop("proxy")
        cells = {"proxy": proxy, **{part: (str(row[part]),) for part in varying}, **cells}
        if index == 0:
            lines.append(f"| {' | '.join(cells)} |")
            lines.append("| --- |" + " --- |" * len(varying) + " ---: |" * 7)
        texts = (" ".join(cell).replace("|", "\\|") for cell in cells.values())
        lines.append(f"| {' | '.join(texts)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in _notes(table))])


def _context(parts: dict[str, Any]) -> str:
    said = {"seed": "seed {}", "drawn": "drawn: {}"}
    return " · ".join(said.get(part, "{}").format(value) for part, value in parts.items())


def _notes(table: pd.DataFrame) -> list[str]:
    """How it was measured."""
    return [
        *(["*: of the same computation as the truth."] if table["same_run"].any() else []),
        f"n: architectures with a score and a truth. Brackets: 95 % bootstrap intervals over them,"
        f" from n = {plots.MIN_FOR_INTERVAL} on. ρ: Spearman's.",
        f"PQETP: AUROC of the score for truth > λ, λ = {_range(table['threshold'])}.",
        f"discovered: best truth of the {_range(table['top'])} best by score among"
        f" {_range(table['subset'])} architectures, a random half; mean ± standard error of"
        f" {N_SUBSETS} halves.",
        "cost: median time and mean operations of scoring an architecture.",
    ]


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    if pd.isna(low):
        return "–"
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _signed(value: float, digits: int) -> str:
    """A correlation: "+.51"."""
    return _number(value, f"+.{digits}f").replace("0.", ".", 1)


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
