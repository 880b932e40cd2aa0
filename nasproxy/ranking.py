"""The ranking table: how well stored scores order architectures, and what they cost.

No correlation stands alone: each row says how many architectures it is over and how they were drawn,
and gives an interval. The same from a notebook, without a store::

    frame = score(cells, space, [NNGP(), Params()], data)
    pd.DataFrame([rank(frame[name], truth) for name in ("nngp", "params")])
"""

import io
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
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
from nasproxy.store import Group, Record, Store
from search_spaces import SPACES

N_SUBSETS = 10  # random halves of the architectures, for discovered performance
TOP = 10
MIN_FOR_INTERVAL = 10
"""Below so many architectures there are no intervals: three in perfect order would get [1, 1]."""
FORMATS = ("table", "markdown", "csv", "json")
_WIDTH = 100

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
    joined = tables.join(present, known)
    x, y = joined.scores.to_numpy(np.float64), joined.truth.to_numpy(np.float64)
    left_out = {"failed": len(scores) - len(present), "unmatched": joined.unmatched_scores}
    n, top = len(x), min(TOP, len(x) // 5)
    if n < 2:
        return Ranking(n, **left_out)
    if threshold is None and percentile is None:
        percentile = 50.0
    pqetp = metrics.pqetp(x, y, threshold, percentile=percentile)
    if threshold is None:
        assert percentile is not None
        threshold = float(np.percentile(y, percentile))
    tau_interval, r_interval = (
        metrics.bootstrap(statistic, x, y, n_resamples=n_resamples, seed=seed)
        if n >= MIN_FOR_INTERVAL
        else metrics.Interval(math.nan, math.nan)
        for statistic in (metrics.kendall_tau, metrics.pearson)
    )
    found = (
        metrics.discovered_performance(
            x, y, top=top, subset=n // 2, n_subsets=N_SUBSETS, seed=seed
        )[:2]
        if top
        else (math.nan, math.nan)
    )
    return Ranking(
        n,
        *(metrics.kendall_tau(x, y), *tau_interval),
        *(metrics.pearson(x, y), *r_interval),
        metrics.spearman(x, y),
        *(pqetp, threshold),
        *(*found, top, n // 2 if top else 0),
        **left_out,
    )


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
        truth: indexed by architecture key; `.name` says what it is. The scores that a truth of
            `truth_from_store` comes from are left out.
        threshold, percentile, n_resamples, seed: as in `rank`.

    Returns:
        Within each space and data set the best τ first, signs kept. `Ranking`'s columns, and:

        - ``proxy``, ``space``: with the settings that are not defaults; ``data``, ``seed``;
        - ``drawn``: how the ranked architectures were drawn, several ways with their numbers,
          ``unknown`` where the store does not say;
        - ``truth``: its name;
        - ``seconds``, ``flops``: median and mean cost of scoring an architecture, of the whole
          computation where it gave several columns.

        A row without a match is there, with n = 0 and NaN.

    Raises:
        StoreError: there is nothing to rank.
        TruthError: no scored architecture at all has a truth.
        SettingError: a λ that is none, or two.
    """
    truth = truth.set_axis(truth.index.astype(str))
    columns = _columns(store, truth)
    matched = [column.series[column.series.index.isin(truth.index)] for column in columns]
    if not any(map(len, matched)):
        tables.join(columns[0].series, truth)  # raises, naming a key of either side
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
        name = {"truth": str(truth.name or "truth")}
        rows.append(column.name | {"drawn": drawn} | name | ranking._asdict() | cost)
    frame = pd.DataFrame(rows)
    by = ["space", "data", "kendall_tau"]
    return frame.sort_values(by, ascending=[True, True, False], kind="stable", ignore_index=True)


def plot_store(store: Store, truth: pd.Series, path: str | os.PathLike[str]) -> None:
    """Draws every column of `rank_store` against the truth, the six of most architectures at most.

    Raises:
        StoreError, TruthError: as `rank_store`.
        SettingError: the path cannot be written, or has another suffix than .png, .pdf and .svg.
    """
    truth = truth.set_axis(truth.index.astype(str))
    columns = _columns(store, truth)
    matched = [c for c in columns if c.series.index.isin(truth.index).any()]
    if not matched:
        tables.join(columns[0].series, truth)
    shown = sorted(matched, key=lambda c: -len(c.series))[: plots.MAX_PANELS]
    varying = [
        part for part in ("space", "data", "seed") if len({c.name[part] for c in columns}) > 1
    ]
    series = {}
    for column in shown:
        title = "\n".join([column.name["proxy"], *(f"{p} {column.name[p]}" for p in varying)])
        while title in series:  # one setting, scored alone and as a column of several
            title += " (again)"
        series[title] = column.series
    name = shown[0].name
    fixed = [
        f"{p} {name[p]}" if p == "seed" else str(name[p])
        for p in ("space", "data", "seed")
        if p not in varying
    ]
    drawn = {c.drawn(c.series.index[c.series.index.isin(truth.index)]) for c in shown}
    left = f"{len(shown)} of {len(columns)} rows shown; " if len(columns) > len(shown) else ""
    plots.scatter(
        pd.DataFrame(series),
        truth,
        path,
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
    """Scores of a store as truth, indexed by architecture key, failed ones left out.

    Args:
        store: where they are.
        proxy: a name, or one with settings, of one group of the store: ``training:epochs=4``. Not
            all settings need be given.
        space, data, seed: narrow it down, likewise; data by its name or ``name@fingerprint``.

    Raises:
        SettingError: none or several groups fit; lists the candidates.
    """
    groups = [group for group in store.groups() if group.ok]
    if not groups:
        raise SettingError(f"{_place(store)} holds no scores that {proxy!r} could mean: score first")
    fitting = [
        group
        for group in groups
        if _fits(proxy, group)
        and (space is None or _settings_fit(space, group.space))
        and (data is None or data in (group.data, group.data.partition("@")[0]))
        and (seed is None or seed == group.seed)
    ]
    if len(fitting) != 1:
        listed = "; ".join(
            f"{g.proxy} of {g.space}, data {g.data}, seed {g.seed} ({g.ok} scores)"
            for g in fitting or groups
        )
        raise SettingError(
            f"truth {proxy!r} fits {len(fitting)} groups of {_place(store)}: name exactly one, with "
            f"settings, of {listed}"
        )
    run = fitting[0][:4]
    values = {r.key.architecture: r.value for r in store.records(*run) if r.value is not None}
    name = [_short(run[1], PROXIES), _short(run[0], SPACES), run[2], f"seed {run[3]}"]
    truth = pd.Series(values, name=", ".join(name), dtype=np.float64)
    truth.index.name = "architecture"
    truth.attrs["run"] = run
    return truth


def render(table: pd.DataFrame, format: str = "table") -> str:
    """The table of `rank_store` as text.

    ``table`` fits a terminal of 100 columns; ``markdown`` holds the same; ``csv`` and ``json``, a list
    of rows, hold every column and digit, NaN as an empty cell or null.

    Raises:
        SettingError: another format.
    """
    match format:
        case "table":
            return _terminal(table)
        case "markdown":
            return _markdown(table)
        case "csv":
            return table.to_csv(index=False, lineterminator="\n")
        case "json":
            rows = [
                {k: None if v != v else v for k, v in row.items()}
                for row in table.to_dict(orient="records")
            ]
            return json.dumps(rows, indent=2, ensure_ascii=False)
    raise SettingError(f"format {format!r}: choose one of {', '.join(FORMATS)}")


# From records to columns of scores


@dataclass
class _Column:
    """One column of scores of a group, to be ranked."""

    name: dict[str, Any]
    series: pd.Series
    failed: int
    seconds: float
    flops: float
    draws: dict[str, str]

    def drawn(self, keys: pd.Index) -> str:
        counts = Counter(self.draws[key] for key in keys) or Counter(self.draws.values())
        if len(counts) == 1:
            return next(iter(counts))
        return "; ".join(f"{how} ({count})" for how, count in sorted(counts.items()))


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
        space, proxy, data, seed = run
        found = []
        for column, values in self.values.items():
            name = {"proxy": _proxy_name(proxy, column), "space": _short(space, SPACES)}
            seconds = [self.seconds[key] for key in values]
            flops = [self.flops[key] for key in values]
            found.append(
                _Column(
                    name | {"data": data, "seed": seed},
                    pd.Series(values, dtype=np.float64, index=pd.Index(values, dtype=str)),
                    failed=len(self.draws) - len(values),
                    seconds=float(np.median(seconds)) if seconds else math.nan,
                    flops=float(np.mean(flops)) if flops else math.nan,
                    draws=self.draws,
                )
            )
        return found


def _columns(store: Store, truth: pd.Series) -> list[_Column]:
    """All that there is to rank, by one pass over the store."""
    groups: dict[Run, _Group] = defaultdict(_Group)
    for record in store.records():
        key = record.key
        groups[key.space, key.proxy, key.data, key.seed].add(record)
    groups.pop(truth.attrs.get("run"), None)  # type: ignore[arg-type]  # a Run or None
    if not groups:
        raise StoreError(f"{_place(store)} holds no scores to rank: run nasproxy score first")
    return [column for run in sorted(groups) for column in groups[run].columns(run)]


def _place(store: Store) -> str:
    return "the store in memory" if store.path is None else store.path.name


def _fits(spec: str, group: Group) -> bool:
    """Whether a proxy's spec, whose width a store keeps with the space, means a group."""
    if spec == group.proxy:
        return True
    name, settings = parse_settings(spec)
    if "width" in settings:
        width = settings.pop("width")
        if width is not None and parse_settings(group.space)[1].get("width") != width:
            return False
    return _agree((name, settings), group.proxy)


def _settings_fit(spec: str, stored: str) -> bool:
    return spec == stored or _agree(parse_settings(spec), stored)


def _agree(spec: tuple[str, dict[str, Any]], stored: str) -> bool:
    name, settings = parse_settings(stored)
    return name == spec[0] and all(settings.get(k) == v for k, v in spec[1].items())


def _short(stored: str, kinds: Mapping[str, type], replaced: dict[str, Any] | None = None) -> str:
    """A stored name without the settings that are defaults; as it is where no such kind is known."""
    try:
        name, settings = parse_settings(stored)
        return describe(make(kinds[name], name, settings | (replaced or {})), name, full=False)
    except (KeyError, TypeError, ValueError):
        return stored


def _proxy_name(stored: str, column: str) -> str:
    """A further column by the settings that it stands for, if it is named after settings."""
    if not column:
        return _short(stored, PROXIES)
    try:
        name, settings = parse_settings(stored)
        _, replaced = parse_settings(f"{name}:{column}")
    except SettingError:
        settings, replaced = {}, {}
    if replaced and replaced.keys() <= settings.keys():
        return _short(stored, PROXIES, replaced)
    return f"{_short(stored, PROXIES)}[{column}]"


# From the table to text


def _cells(table: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """The shown columns: for each row what is said, and what belongs beneath or behind it."""
    rows = table.to_dict(orient="records")

    def each(cell: Callable[[dict[str, Any]], tuple[str, str]]) -> list[tuple[str, str]]:
        return [cell(row) for row in rows]

    def correlation(name: str) -> list[tuple[str, str]]:
        def cell(row: dict[str, Any]) -> tuple[str, str]:
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            bounds = "" if math.isnan(low) else f"[{_signed(low, 2)}, {_signed(high, 2)}]"
            return _signed(row[name], 3), bounds

        return each(cell)

    varying = _varying(table)
    shown = {
        "proxy": each(lambda r: (r["proxy"], ", ".join(f"{v} {r[v]}" for v in varying))),
        "n": each(lambda r: (f"{r['n']}", "")),
        "Kendall τ": correlation("kendall_tau"),
        "Pearson r": correlation("pearson"),
        "Spearman": each(lambda r: (_signed(r["spearman"], 3), "")),
        "PQETP": each(lambda r: (_number(r["pqetp"], ".3f"), "")),
        "discovered": each(lambda r: _discovered(r["discovered"], r["discovered_error"])),
        "s/arch.": each(lambda r: (_number(r["seconds"], ".2g"), "")),
        "FLOPs": each(lambda r: (_number(r["flops"], ".1e"), "")),
    }
    for column in ("failed", "unmatched"):
        if table[column].any():
            shown[column] = each(lambda r, column=column: (str(r[column]), ""))
    return shown


def _terminal(table: pd.DataFrame) -> str:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    shown.title = Text(f"Ranking against {', '.join(table['truth'].unique())}")
    cells = _cells(table)
    for name in cells:
        justify = "left" if name == "proxy" else "right"
        shown.add_column(name, justify=justify, overflow="fold", no_wrap=name != "proxy")
    for row in zip(*cells.values(), strict=True):
        shown.add_row(*(Text("\n".join(filter(None, cell))) for cell in row))
    text = io.StringIO()
    console = Console(file=text, width=_WIDTH, force_terminal=False, color_system=None)
    console.print(shown)
    for line in _notes(table):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _markdown(table: pd.DataFrame) -> str:
    cells = _cells(table)
    lines = [f"**Ranking against {', '.join(table['truth'].unique())}**", ""]
    lines.append(f"| {' | '.join(cells)} |")
    lines.append("| --- |" + " ---: |" * (len(cells) - 1))
    for row in zip(*cells.values(), strict=True):
        text = (" ".join(filter(None, cell)).replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(text)} |")
    lines += ["", *(f"{note}  " for note in _notes(table))]
    return "\n".join(line if line.endswith("  ") else line.rstrip() for line in lines)


def _notes(table: pd.DataFrame) -> list[str]:
    """What the rows have in common, and how they were measured."""
    fixed = [c for c in ("space", "data", "seed", "drawn") if c not in _varying(table)]
    return [
        *([" · ".join(f"{c}: {table[c].iloc[0]}" for c in fixed)] if fixed else []),
        f"n: architectures with a score and a truth, {_range(table['n'])}; brackets: 95 % bootstrap"
        f" intervals over them, from {MIN_FOR_INTERVAL} on.",
        f"PQETP: AUROC of the score for truth > {_range(table['threshold'])}.",
        f"discovered: best truth of the top {_range(table['top'])} by score among"
        f" {_range(table['subset'])} architectures, a random half; mean ± standard error of"
        f" {N_SUBSETS} halves.",
    ]


def _varying(table: pd.DataFrame) -> list[str]:
    return [c for c in ("space", "data", "seed", "drawn") if table[c].nunique() > 1]


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    if pd.isna(low):
        return "–"
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _signed(value: float, digits: int) -> str:
    return _number(value, f"+.{digits}f")


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _discovered(mean: float, error: float) -> tuple[str, str]:
    """Rounded to two digits of the standard error."""
    if math.isnan(mean):
        return "–", ""
    if not error > 0:
        return f"{mean:.5g}", "" if math.isnan(error) else "± 0"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{mean:.{digits}f}", f"± {error:.{digits}f}"
