"""What the table of all cells says of the paper's claims, in subsets as the paper draws them.

    python -m nasproxy_experiments.nngp_nas.subsets --truth DIR

Subsets are random and disjoint: up to ten of 10,000 scored cells against accuracy after 108 epochs,
of which a search looks at the ten best; and up to twenty of 1,000 of those whose shortened training
is published, of which it looks at one. Intervals (95 %) are Student's t over subsets, of one seed
of images and weights. Of cells that training has among the best, all 20,001 are used.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nasproxy import files, metrics, truth
from nasproxy.errors import SettingError
from nasproxy.reproduce import figures
from nasproxy.reproduce.provenance import statement
from nasproxy.reproduce.statistics import Estimate, columns, estimate, mean, student
from nasproxy_experiments.nasbench101_space import assemble, parts, setting
from nasproxy_experiments.nngp_nas.published import EPOCHS, Published, read_published
from search_spaces import NASBench101
from search_spaces.nasbench101.cell import Cell
from search_spaces.nasbench101.enumeration import all_cells

LARGE, SMALL = (10, 10_000, 10), (20, 1_000, 1)
"""Most subsets, the cells of each, and how many of them a search looks at."""
NNGP = "NNGP, mean rank of leave-one-out −MSE and accuracy"
"""What the rule of the setting took; see
:mod:`nasproxy_experiments.nasbench101_space.choose`."""
OWN = {
    "NNGP leave-one-out accuracy": "loo_accuracy",
    "NNGP −leave-one-out MSE": "negative_loo_mse",
    "NNGP −GCV": "negative_gcv",
    "NNGP log evidence": "log_evidence",
}
TAKEN = ("negative_loo_mse", "loo_accuracy")
SIZE, CONVOLUTIONS = "parameters", "3×3 convolutions − pools"
COUNTS = f"mean rank of {CONVOLUTIONS} and edges leaving the input"
"""The best counts that are known; they were found by ranking these very cells."""
TOPS = (50, 20, 5, 1)
"""Per cent; a network is told to be among the best so many."""
RANGE = tuple(range(29, 93, 7))
"""Per cent: from the top 29 to the top 92."""
KEPT = (0.3, 0.1)
QUARTER = 0.25
"""Competitive is the best quarter by long training."""
OUT = setting.OUT / "subsets"

Parts = list[np.ndarray]


def asked(text: str | None, out: Path) -> tuple[Path, Path, Published, pd.Series]:
    """What a page on the table is asked for: its folder, where to write, truth and parameters.

    Args:
        text: what ``--help`` says.
        out: where to write by default.

    Raises:
        SettingError: the truth counts no parameters.
    """
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--truth", type=Path, required=True, help="folder of published accuracies")
    parser.add_argument("--parts", type=Path, default=setting.OUT, help="folder of the table")
    parser.add_argument("--out", type=Path, default=out)
    args = parser.parse_args()
    published = read_published(args.truth)
    if published.parameters is None:
        raise SettingError(f"{args.truth.name} counts no parameters: give a table that does")
    return args.parts, args.out, published, published.parameters


def main() -> None:
    folder, out, published, parameters = asked(__doc__, OUT)
    whole, about, _ = assemble.joined(folder)
    table = all_cells()
    whole = whole.set_index(table.hashes[whole[parts.ROW].to_numpy()].astype(str))
    cells = [table[int(row)] for row in whole[parts.ROW]]
    scores = signals(whole, cells, parameters.reindex(whole.index))
    trained = truth_of(table.hashes.astype(str), published)
    found = {
        "final": final(scores, published.truth.reindex(scores.index)),
        **shortened(scores, published),
        "residual": residual(trained, {key: table.find(key) for key in trained.index}),
    }
    write(out, found, about)


def signals(whole: pd.DataFrame, cells: list[Cell], parameters: pd.Series) -> pd.DataFrame:
    """A column a score, larger being better; a cell whose network fails is ranked last by NNGP.

    Args:
        whole: the table's measures, by hash.
        cells: of its rows.
        parameters: likewise.
    """
    scores = pd.DataFrame(index=whole.index)
    measures = whole[list(OWN.values())].astype(float)
    measures = measures.fillna(measures.min() - 1)
    scores[NNGP] = metrics.rank_mean(measures[list(TAKEN)].to_numpy())
    for name, measure in OWN.items():
        scores[name] = measures[measure]
    scores[SIZE] = parameters.to_numpy(float)
    space = NASBench101()
    counted = pd.DataFrame([space.counts(cell) for cell in cells], index=whole.index)
    scores["3×3 convolutions"] = counted["conv3x3"]
    scores[CONVOLUTIONS] = counted["conv3x3"] - counted["pools"]
    scores[COUNTS] = metrics.rank_mean(
        np.column_stack([scores[CONVOLUTIONS], counted["input_edges"]])
    )
    scores.attrs["counts"] = counted.to_numpy()
    return scores


def drawn(n: int, of: tuple[int, int, int]) -> Parts:
    """As many disjoint random subsets of n cells as there are, none of too few."""
    most, size, _ = of
    return metrics.disjoint_parts(n, size, min(most, n // size)) if n >= size else []


def _about(chosen: Parts) -> dict[str, int]:
    return {"subsets": len(chosen), "cells": sum(map(len, chosen))}


def over(values: list[float]) -> Estimate:
    """Mean over subsets; without an interval of one, and nothing of none.

    Nor is there one where all are alike: that a few subsets give the same cell says nothing of
    others.
    """
    told = np.array(values, float)
    if not len(told):
        return Estimate(np.nan, np.nan, np.nan)
    if np.ptp(told) == 0:
        return Estimate(float(told[0]), np.nan, np.nan)
    return student(mean(told), len(told))


def gains(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    score: np.ndarray,
    others: dict[str, np.ndarray],
    true: np.ndarray,
    chosen: Parts,
    name: str,
) -> dict[str, float]:
    """Columns: the statistic of a score, and how much it is above that of others, by subsets."""
    own = [statistic(score[i], true[i]) for i in chosen]
    found = over(own)
    # Of two subsets Student's interval is so wide that it leaves what τ, AUROC and shares can be.
    ends = np.clip(found[1:], -1.0 if name == "τ" else 0.0, 1.0).tolist()
    made = columns(name, Estimate(found.value, *ends))
    for other, values in others.items():
        apart = [o - statistic(values[i], true[i]) for o, i in zip(own, chosen, strict=True)]
        made |= columns(f"{name} over {other}", over(apart))
    return made


def statistics(top: int) -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """Of a score and the truth, by name; a search looks at so many cells."""
    found: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"τ": metrics.kendall_tau}
    for percent in TOPS:
        found[f"AUROC {percent} %"] = lambda score, true, percent=percent: metrics.pqetp(
            score, true, percentile=100 - percent
        )
    found["discovered"] = lambda score, true: (
        metrics.discovered_performance(score, true, top=top).mean
    )
    return found


def final(scores: pd.DataFrame, true: pd.Series) -> pd.DataFrame:
    """Every score against accuracy after 108 epochs, in the large subsets."""
    chosen, y = drawn(len(scores), LARGE), true.to_numpy(float)
    counted = scores.attrs["counts"]
    rows = []
    for name in scores:
        score = scores[name].to_numpy(float)
        others = {o: scores[o].to_numpy(float) for o in (SIZE, COUNTS) if o != name}
        row: dict[Any, Any] = {"score": name} | _about(chosen)
        for label, statistic in statistics(LARGE[2]).items():
            row |= gains(statistic, score, others, y, chosen, label)
        given = [metrics.tau_given(score[i], y[i], counted[i]).tau for i in chosen]
        row |= columns("τ given counts", over([g for g in given if np.isfinite(g)]))
        median_over_best = [
            metrics.pqetp(score[i], y[i], percentile=50)
            - metrics.pqetp(score[i], y[i], percentile=99)
            for i in chosen
        ]
        row |= columns("AUROC 50 % less 1 %", over(median_over_best))
        rows.append(row)
    return pd.DataFrame(rows)


def shortened(scores: pd.DataFrame, published: Published) -> dict[str, pd.DataFrame]:
    """Beside shortened training, in the small subsets: ranking, ranges of thresholds, reduction."""
    both = scores.index.intersection(published.shortened.index)
    mine = scores.loc[both]
    true = published.truth.reindex(both).to_numpy(float)
    training = {f"{e} epochs": published.shortened.loc[both, e].to_numpy(float) for e in EPOCHS}
    single = {name: mine[name].to_numpy(float) for name in mine} | training
    joined = {
        f"{other} + {name}": metrics.rank_mean(np.column_stack([single[other], single[name]]))
        for other in list(training)[:2]
        for name in (NNGP, SIZE, COUNTS)
    }
    chosen = drawn(len(both), SMALL)
    against = {name: training[name] for name in list(training)[:2]}
    about = _about(chosen)
    ranked, ranges, kept = [], [], []
    for name, score in (single | joined).items():
        row: dict[Any, Any] = {"score": name} | about
        for label, statistic in statistics(SMALL[2]).items():
            others = {o: v for o, v in against.items() if o != name}
            row |= gains(statistic, score, others, true, chosen, label)
        ranked.append(row)
        for other, values in against.items():
            if name not in training:
                own: dict[Any, Any] = {"score": name, "against": other} | about
                ranges.append(own | columns("least gain", least(score, values, true, chosen)))
    for name, score in single.items():
        if name in training:
            continue
        for epochs in list(training)[1:]:
            for keep in KEPT:
                row = {"kept by": name, "kept": keep, "epochs": epochs} | about
                reduced = [
                    metrics.search_space_reduction(
                        score[i], training[epochs][i], true[i], keep=keep
                    )
                    for i in chosen
                ]
                row |= columns("over all", over([1e4 * (r.found - r.everywhere) for r in reduced]))
                row |= columns("over random", over([1e4 * (r.found - r.random) for r in reduced]))
                kept.append(row)
    return {
        "trained": pd.DataFrame(ranked),
        "ranges": pd.DataFrame(ranges),
        "reduction": pd.DataFrame(kept),
    }


def least(score: np.ndarray, other: np.ndarray, true: np.ndarray, chosen: Parts) -> Estimate:
    """The least gain in AUROC over thresholds from the top 29 to the top 92 %.

    That all gains exceed a bound is shown where each does by its own interval; that one does not,
    by intervals that hold together (Bonferroni).
    """
    if len(chosen) < 2:
        return Estimate(np.nan, np.nan, np.nan)
    levels = 100 - np.array(RANGE)
    apart = np.array(
        [
            metrics.pqetp_curve(score[i], true[i], np.percentile(true[i], levels))
            - metrics.pqetp_curve(other[i], true[i], np.percentile(true[i], levels))
            for i in chosen
        ]
    )
    middle, error = apart.mean(0), apart.std(0, ddof=1) / np.sqrt(len(apart))
    alone, together = stats.t.ppf([1 - 0.025, 1 - 0.025 / len(RANGE)], len(apart) - 1)
    return Estimate(
        float(middle.min()),
        float((middle - alone * error).min()),
        float((middle + together * error).min()),
    )


def truth_of(hashes: np.ndarray, published: Published) -> pd.DataFrame:
    """Accuracies of all cells of the space whose shortened training is published."""
    keys = published.shortened.index.intersection(pd.Index(hashes))
    return published.shortened.loc[keys].assign(truth=published.truth.reindex(keys)).dropna()


def residual(trained: pd.DataFrame, cells: dict[str, Cell]) -> pd.DataFrame:
    """How competitive cells' relative ranks move with their residual connections, by training.

    A residual connection is an edge that skips a vertex, see
    :mod:`nasproxy_experiments.nngp_nas.linear_networks`. A slope is of the relative rank (0 worst,
    1 best, among all cells) in the number of connections; of what long training adds to it, too.
    """
    ranks = trained.rank(pct=True)
    good = ranks["truth"] > 1 - QUARTER
    edges = np.array(
        [np.triu(np.array(cells[key].adjacency), 2).sum() for key in ranks.index[good]], float
    )
    last = ranks.loc[good, "truth"].to_numpy()
    rows = []
    for epochs in EPOCHS:
        own = ranks.loc[good, epochs].to_numpy()
        for name, values in (("rank", own), ("improvement", last - own)):
            row: dict[Any, Any] = {"epochs": epochs, "of": name, "cells": int(good.sum())}
            rows.append(row | columns("slope", estimate(_slope, values, edges)))
    return pd.DataFrame(rows)


def _slope(values: np.ndarray, edges: np.ndarray) -> float:
    return float(np.polyfit(edges, values, 1)[0])


def write(out: Path, found: dict[str, pd.DataFrame], about: dict[str, object]) -> None:
    """The tables, a figure and a page that says what they say."""
    out.mkdir(parents=True, exist_ok=True)
    for name, table in found.items():
        truth.write_table(table, out / f"{name}.csv")
    ranking, trained = (found[name].set_index("score") for name in ("final", "trained"))
    figure, axes = figures.panels(2)
    for axis, table, title in (
        (axes[0], ranking, f"{_many(ranking)} of 10,000"),
        (axes[1], trained, f"{_many(trained)} of 1,000"),
    ):
        shown = table.sort_values("τ")
        error = np.abs(shown[["τ low", "τ high"]].to_numpy().T - shown["τ"].to_numpy())
        places = np.arange(len(shown))
        axis.errorbar(shown["τ"], places, xerr=error, fmt="o", ms=3, lw=0.8)
        axis.set_yticks(places, [short(name) for name in shown.index], fontsize=6)
        figures.label(axis, "Kendall τ", "", title)
    figure.set_size_inches(8.5, 3.6)
    figure.savefig(out / "figure.png", dpi=150)
    lines = [
        "# What the table of all cells says, in subsets as the paper draws them",
        "",
        f"{about['parts']} of {parts.PARTS} parts of the table are done: {_many(ranking)} of "
        f"10,000 cells, and {_many(trained)} of 1,000 of those with published shortened training.",
        _sentence(ranking, trained),
        "",
        "![figure](figure.png)",
        "",
        f"One seed of images and weights; others are in [{assemble.FURTHER}]"
        f"(../{assemble.FURTHER}/README.md). Intervals (95 %) are Student's t over disjoint "
        "subsets; a cell whose network fails is ranked last. Of 10,000 cells a search looks at "
        "the ten best by score, of 1,000 at the best. `τ given counts` is over pairs with equal "
        "counts of 3×3 convolutions, pools and edges leaving the input. Mean ranks are of no fit.",
        "",
        "## Against accuracy after 108 epochs",
        "",
        markdown(ranking, ("τ", "τ given counts", "AUROC 50 %", "AUROC 1 %", "discovered")),
        "",
        "## Beside shortened training",
        "",
        markdown(trained, ("τ", "τ over 12 epochs", "AUROC 1 %", "discovered")),
        "",
        "All columns, thresholds between the top 29 and 92 % (`ranges.csv`), what keeping a share "
        "costs (`reduction.csv`, 1e-4 of accuracy) and residual connections of competitive cells "
        "(`residual.csv`) are beside this page.",
        "",
        statement("python -m nasproxy_experiments.nngp_nas.subsets"),
    ]
    files.write_text(out / "README.md", "\n".join(lines))


def _many(table: pd.DataFrame) -> str:
    count = int(table["subsets"].iloc[0])
    return f"{count} subset{'s' * (count != 1)}"


def short(name: str) -> str:
    """A score's name where there is little room."""
    return name.replace(NNGP, "NNGP, mean rank").replace(COUNTS, "counts, mean rank")


def _sentence(ranking: pd.DataFrame, trained: pd.DataFrame) -> str:
    def said(table: pd.DataFrame, name: str, of: str) -> str:
        return interval(table.loc[[name]].iloc[0], of)

    best = ranking["τ"].idxmax()
    return (
        f"Against long training NNGP ranks with τ {said(ranking, NNGP, 'τ')}, size with "
        f"{said(ranking, SIZE, 'τ')}; {short(str(best))} ranks best. Over 12 epochs alone the "
        f"mean rank with NNGP gains {said(trained, f'12 epochs + {NNGP}', 'τ over 12 epochs')}, "
        f"that with counts {said(trained, f'12 epochs + {COUNTS}', 'τ over 12 epochs')}."
    )


def interval(row: pd.Series, of: str) -> str:
    """A number with its interval; a dash where it is unknown."""
    if np.isnan(row[of]):
        return "–"
    if np.isnan(row[f"{of} low"]):
        return f"{row[of]:.3f}"
    digits = 4 if of == "discovered" else 3
    return f"{row[of]:.{digits}f} [{row[f'{of} low']:.{digits}f}, {row[f'{of} high']:.{digits}f}]"


def markdown(table: pd.DataFrame, shown: tuple[str, ...]) -> str:
    """These columns of a table by score with their intervals, the best τ first."""
    ordered = table.sort_values("τ", ascending=False)
    made = pd.DataFrame(
        {
            short(of): [interval(row, of) if of in row else "–" for _, row in ordered.iterrows()]
            for of in shown
        },
        index=[short(str(name)) for name in ordered.index],
    )
    return made.rename_axis("score").reset_index().to_markdown(index=False)


if __name__ == "__main__":
    main()
