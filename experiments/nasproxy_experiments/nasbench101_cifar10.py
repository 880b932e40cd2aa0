"""NAS-Bench-101 ranked by the NNGP on CIFAR-10: 3,000 uniform cells at stem width 16.

    python -m nasproxy_experiments.nasbench101_cifar10 --data-dir DIR --truth CELLS.parquet

Truth is mean 108-epoch test accuracy. Every cell gets a cheap setting (200 balanced training and
100 validation images, M = 5), every eighth also a dearer one (300 validation images, M = 8).
Smaller sizes come out of the same features, and show what more images and members are worth. Beside
them stand size and counts. Batch norm is the paper's: momentum .997, a pass over 32 images.
Resumes from its store; --shard I/N shares the scoring out among processes, then a run without it
writes the tables.
"""

import argparse
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nasproxy import NNGP, Counts, Flops, Params, Store, data, files, ranking, score, truth
from nasproxy.ranking import plots
from nasproxy.reproduce.provenance import statement
from nasproxy.reproduce.scores import MEASURES, spelled
from nasproxy.reproduce.statistics import Estimate, tau_gain
from nasproxy.reproduce.suites import markdown
from nasproxy.reproduce.words import listed
from search_spaces import NASBench101

PAPER = NNGP.presets["paper"] | {"norm_images": 32, "width": 16}
CHEAP = spelled(NNGP, PAPER, n_train=(100, 200), n_valid=100, ensemble=(1, 2, 5))
DEAR = spelled(NNGP, PAPER, n_train=200, n_valid=(100, 300), ensemble=(1, 2, 4, 8))
EVERY = 8
COLUMN = "test_accuracy_108"
SHOWN = {
    "NNGP accuracy": "validation accuracy",
    "NNGP leave-one-out": "leave-one-out accuracy",
    "params": "trainable parameters",
    "weight layers": "number that the output depends on",
}
BASELINES = (
    "params",
    "flops",
    "counts",
    *(f"counts[{name}]" for name in ("depth", "conv3x3", "input_edges")),
)
"""What costs nothing and ranks the better the more there is of it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", required=True, help="where TFDS keeps cifar10")
    parser.add_argument("--truth", required=True, help="table with module_hash and " + COLUMN)
    parser.add_argument("--store", default="nasbench101_cifar10.db", help="scores, resumable")
    parser.add_argument("--out", type=Path, default=Path("results/nasbench101_cifar10"))
    parser.add_argument("--cells", type=int, default=3000)
    parser.add_argument("--shard", default="0/1", help="I/N: score every N-th cell only, no table")
    args = parser.parse_args()

    space, images = NASBench101(), data.load("cifar10", data_dir=args.data_dir)
    index, count = map(int, args.shard.split("/"))
    drawn = f"uniform, n={args.cells}, seed=0"
    cells = space.sample(args.cells, seed=0)
    sparse = cells[::EVERY]
    with Store(args.store) as store:
        cheap = score(
            cells[index::count],
            space,
            [CHEAP, Params(), Flops(), Counts()],
            images,
            store=store,
            drawn=drawn,
        )
        every = f"{drawn}, every {EVERY}th"
        dear = score(sparse[index::count], space, DEAR, images, store=store, drawn=every)
    if count > 1:
        return

    cheap, dear = _few_measures(cheap), _few_measures(dear)
    published = truth.read(args.truth, COLUMN)
    published = published[published.index.isin(cheap.index)]
    args.out.mkdir(parents=True, exist_ok=True)
    shared = {column: f"{column} dear" for column in dear.columns.intersection(cheap.columns)}
    both = cheap.join(dear.rename(columns=shared)).join(published)
    truth.write_table(both, args.out / "scores.parquet")
    tables = {
        f"All {len(cheap)} cells": _table(cheap, published),
        f"Every {EVERY}th cell, {len(dear)}": pd.concat(
            [_table(dear, published), _table(cheap.loc[dear.index], published)]
        ),
    }
    panels = cheap[["nngp", "nngp[loo_accuracy]", "params", "counts"]].set_axis(
        list(SHOWN), axis="columns"
    )
    plots.scatter(
        panels,
        published,
        args.out / "ranking.png",
        x_label=SHOWN,
        y_label="mean test accuracy after 108 epochs",
        note=f"NAS-Bench-101, {drawn}; CIFAR-10, stem width 16, n_t = 200, n_v = 100, M = 5",
    )
    lines = [
        "# NAS-Bench-101 by the NNGP on CIFAR-10",
        "",
        statement("python -m nasproxy_experiments.nasbench101_cifar10"),
        f"Cells are drawn: {drawn}. Brackets hold 95 % bootstrap intervals over cells, of one seed "
        "of images and weights. Seconds are medians of one process on one core; FLOPs are means, "
        "as the paper counts them (equation 4), of the largest setting of the row's run. "
        "`counts` is the number of weight layers of a network. scores.parquet has three measures "
        "of the solves, and the truth.",
        "",
    ]
    lines += [f"{_finding(*tables.values())} {_worth(cheap, published)}", ""]
    for title, table in tables.items():
        name = title.split()[0].lower()
        truth.write_table(table, args.out / f"{name}.csv")
        lines += [f"## {title}", "", markdown(_shown(table)), "", _discovered(table), ""]
    lines += ["![scores against truth](ranking.png)", ""]
    files.write_text(args.out / "README.md", "\n".join(lines))
    print("\n".join(lines))


def _finding(every_cell: pd.DataFrame, subset: pd.DataFrame) -> str:
    """What the tables say of the best measures, of size as a baseline, and of the ensemble."""

    def tau(table: pd.DataFrame, proxy: str) -> str:
        row = table[table["proxy"] == proxy].iloc[0]
        low, high = row["kendall_tau_low"], row["kendall_tau_high"]
        return f"{row['kendall_tau']:.3f} [{low:.3f}, {high:.3f}]"

    def best(table: pd.DataFrame, nngp: bool) -> str:
        own = table[table["proxy"].str.startswith(CHEAP.name) == nngp]
        return str(own.sort_values("kendall_tau").iloc[-1]["proxy"])

    accuracies = [f"nngp[n_train=200,n_valid=100,ensemble={m}]" for m in (1, 2, 5)]
    members = listed(tau(every_cell, name).partition(" ")[0] for name in accuracies)
    score, baseline, dearest = best(every_cell, True), best(every_cell, False), best(subset, True)
    return (
        f"Of the NNGP's scores {score} ranks best, with τ {tau(every_cell, score)}; of what costs "
        f"nothing {baseline} does, with {tau(every_cell, baseline)}, where parameters have "
        f"{tau(every_cell, 'params').partition(' ')[0]}. On the subset it is {dearest}: "
        f"{tau(subset, dearest)}, and {baseline} has {tau(subset, baseline)}. Validation accuracy "
        f"with 1, 2 and 5 members: {members}."
    )


def _worth(scores: pd.DataFrame, published: pd.Series) -> str:
    """What more members, and measures that tie less, are worth: paired gains over accuracy."""
    one, many = "nngp[n_train=200,n_valid=100,ensemble=1]", "nngp"
    pairs = {
        "five members over one": (many, one),
        "−MSE over accuracy": ("nngp[negative_mse]", many),
        "leave-one-out over accuracy": ("nngp[loo_accuracy]", many),
        "leave-one-out over the number of layers": ("nngp[loo_accuracy]", "counts"),
    }
    gains = {}
    for name, columns in pairs.items():
        both = scores[list(columns)].dropna()
        both = both[both.index.isin(published.index)]
        first, second = both.to_numpy(float).T
        gains[name] = tau_gain(first, second, published.loc[both.index])
    return worth(gains)


def worth(gains: Mapping[str, Estimate]) -> str:
    """A sentence on which choices rank better or worse, each by its interval.

    Args:
        gains: in τ, on the same cells, by name.
    """
    groups: dict[str, list[str]] = {}
    for name, gain in gains.items():
        told = "better" if gain.low > 0 else "worse" if gain.high < 0 else "not told apart"
        groups.setdefault(told, []).append(f"{name} ({gain.value:+.3f})")
    said = "; ".join(f"{told}: {', '.join(names)}" for told, names in groups.items())
    return f"Ranked at the same images, {said}."


def _table(scores: pd.DataFrame, published: pd.Series) -> pd.DataFrame:
    """A row of measures for each column of scores, the best τ first."""
    rows = []
    for column in scores.columns:
        proxy = column.split("[")[0]
        if column.endswith((" seconds", " flops")) or not (
            proxy == CHEAP.name or column in BASELINES
        ):
            continue
        cost = {
            "seconds": scores[f"{proxy} seconds"].median(),
            "flops": scores[f"{proxy} flops"].mean(),
        }
        ranked = ranking.rank(scores[column], published)
        rows.append({"proxy": _named(column, scores), **ranked._asdict(), **cost})
    return pd.DataFrame(rows).sort_values("kendall_tau", ascending=False)


def _named(column: str, scores: pd.DataFrame) -> str:
    """A column's name with the sizes that it leaves out, those of the largest setting."""
    dear = "nngp[n_train=200,n_valid=100,ensemble=8]" in scores.columns
    largest = "n_train=200,n_valid=300,ensemble=8" if dear else "n_train=200,n_valid=100,ensemble=5"
    if column == "nngp":
        return f"nngp[{largest}]"
    if column in {f"nngp[{measure}]" for measure in MEASURES}:
        return column.replace("[", f"[{largest},")
    return column


def _few_measures(scores: pd.DataFrame) -> pd.DataFrame:
    """Without the measures of a solve that this report does not compare."""
    of_solves = re.compile(r"nngp\[(?:.*,)?(\w+)\]")
    return scores[
        [
            column
            for column in scores.columns
            if (found := of_solves.fullmatch(column)) is None or found[1] in MEASURES
        ]
    ]


def _discovered(table: pd.DataFrame) -> str:
    parts, subset, top = table[["parts", "subset", "top"]].iloc[0].astype(int)
    return (
        f"Discovered: the best truth of the {top} best by score, mean ± standard error over "
        f"{parts} disjoint random parts of {subset} cells."
    )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    def interval(row: dict[Hashable, Any], name: str) -> str:
        return f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"

    return pd.DataFrame(
        {
            "proxy": row["proxy"],
            "cells": row["n"],
            "Kendall τ": interval(row, "kendall_tau"),
            "Pearson r": interval(row, "pearson"),
            "Spearman": f"{row['spearman']:.3f}",
            "PQETP": f"{row['pqetp']:.3f}",
            "discovered": f"{row['discovered']:.4f} ± {row['discovered_error']:.4f}",
            "s": f"{row['seconds']:.2g}",
            "GFLOPs": f"{row['flops'] / 1e9:.3g}",
        }
        for row in table.to_dict("records")
    )


if __name__ == "__main__":
    main()
