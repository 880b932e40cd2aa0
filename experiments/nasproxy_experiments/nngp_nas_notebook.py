"""The notebook of Park et al. (2020) again: 250 random cells, n_t 100, n_v 200, M 2, CIFAR-10.

    python -m nasproxy_experiments.nngp_nas_notebook --data-dir DIR --truth CELLS.parquet

The notebook's published outputs: Kendall .1828, Pearson .2163, discovered performance .93376, and
5.44 s an architecture on a V100, against mean 108-epoch test accuracy, at the benchmark's width of
128. Its sampler draws random matrices and passes over those whose hash was drawn before: its 250
cells are distinct, and so are these. Costs about 8 processor-seconds a cell at width 128.

It also scores one cell, like a module of Inception, at n_t 500, n_v 200, M 4: .38 there. Here by
five seeds.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from nasproxy import NNGP, Flops, Params, Store, data, files, metrics, score, truth
from nasproxy.data import Dataset
from nasproxy.reproduce.provenance import statement
from nasproxy.reproduce.statistics import columns, mean, student
from nasproxy.settings import make
from search_spaces import NASBench101
from search_spaces.nasbench101 import Cell
from search_spaces.nasbench101.cell import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OUTPUT

COLUMN = "test_accuracy_108"
PUBLISHED = {"kendall_tau": 0.1828, "pearson": 0.2163, "discovered": 0.93376, "seconds": 5.44}
DRAWS = 250
INCEPTION = Cell.create(
    [
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    [INPUT, CONV1X1, CONV3X3, CONV3X3, CONV3X3, MAXPOOL3X3, OUTPUT],
)
"""The benchmark's own example: its 5×5 convolution is two of 3×3."""
SEEDS = (0, 1, 2, 3, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", required=True, help="where TFDS keeps cifar10")
    parser.add_argument("--truth", required=True, help="table with module_hash and " + COLUMN)
    parser.add_argument("--store", default="nngp_nas_notebook.db", help="scores, resumable")
    parser.add_argument("--out", type=Path, default=Path("results/nngp_nas_notebook"))
    parser.add_argument("--width", type=int, default=128, help="stem channels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    space, images = NASBench101(), data.load("cifar10", data_dir=args.data_dir)
    published = truth.read(args.truth, COLUMN)
    with Store(args.store) as store:
        one = inception(space, images, args.width, store)
        scores = score(
            distinct(space, DRAWS, args.seed),
            space,
            [Params(), Flops(), _colab(args.width)],
            images,
            seeds=args.seed,
            store=store,
            drawn=f"random_matrix without repeats, n={DRAWS}, seed={args.seed}",
        )
    table, out = _table(scores, published), args.out / f"width{args.width}"
    out.mkdir(parents=True, exist_ok=True)
    truth.write_table(table, out / "distinct.csv")
    truth.write_table(one, out / "inception.csv")
    raw = scores.assign(**{COLUMN: published.reindex(scores.index)})
    truth.write_table(raw.rename_axis("module_hash").reset_index(), out / "raw.csv")
    files.write_text(out / "README.md", "\n".join(_lines(table, one, args.width)))
    print("\n".join(_lines(table, one, args.width)))


def _colab(width: int, **settings: object) -> NNGP:
    return make(NNGP, NNGP.name, {"preset": "colab", "width": width, **settings})


def inception(space: NASBench101, images: Dataset, width: int, store: Store) -> pd.DataFrame:
    """Validation accuracy of the one cell, by seeds, and their mean: one row."""
    proxy = _colab(width, n_train=500, n_valid=200, ensemble=4)
    values = [
        float(score([INCEPTION], space, [proxy], images, seeds=seed, store=store)["nngp"].iloc[0])
        for seed in SEEDS
    ]
    found = columns("accuracy", student(mean(values), len(values)))
    return pd.DataFrame([{"published": 0.38, **found, "seeds": len(values)}])


def _lines(table: pd.DataFrame, one: pd.DataFrame, width: int) -> list[str]:
    nngp, cell = table.iloc[1], one.iloc[0]
    narrow = "" if width == 128 else f" The notebook's width is 128; here it is {width}."
    return [
        f"# The notebook's experiment at width {width}",
        "",
        f"Over {DRAWS} distinct random cells τ is {nngp['kendall_tau']:.3f} "
        f"[{nngp['kendall_tau_low']:.3f}, {nngp['kendall_tau_high']:.3f}]; the notebook has "
        f"{PUBLISHED['kendall_tau']:.3f}. The Inception-like cell scores "
        f"{cell['accuracy']:.3f} [{cell['accuracy low']:.3f}, {cell['accuracy high']:.3f}] over "
        f"{cell['seeds']:.0f} seeds; the notebook has .38.{narrow}",
        "",
        statement("python -m nasproxy_experiments.nngp_nas_notebook"),
        "```",
        table.to_string(index=False, float_format="{:.4f}".format, na_rep=""),
        "```",
        "",
        "Intervals are 95 %: of τ a bootstrap's over cells, of one seed; of the cell Student's, "
        f"over seeds. In raw.csv every score stands beside {COLUMN}.",
        "",
    ]


def distinct(space: NASBench101, n: int, seed: int) -> list[Any]:
    """The first n distinct cells of random matrices, as the notebook's sampler keeps them.

    Raises:
        SettingError: n is negative.
    """
    draws = n
    while True:
        # A longer draw begins with the shorter one.
        found = {cell.key: cell for cell in space.sample(draws, seed, "random_matrix")}
        if len(found) >= n:
            return list(found.values())[:n]
        draws *= 2


def _table(scores: pd.DataFrame, published: pd.Series) -> pd.DataFrame:
    rows: list[dict[str, object]] = [{"proxy": "nngp, as published", "n": DRAWS, **PUBLISHED}]
    for name in ("nngp", "params", "flops"):
        x = scores[name].dropna()
        y = published.loc[x.index]
        low, high = metrics.bootstrap(metrics.kendall_tau, x, y)
        rows.append(
            {
                "proxy": name,
                "n": len(x),
                "kendall_tau": metrics.kendall_tau(x, y),
                "kendall_tau_low": low,
                "kendall_tau_high": high,
                "pearson": metrics.pearson(x, y),
                "discovered": metrics.discovered_performance(x, y).mean,
                "seconds": scores[f"{name} seconds"].median(),
            }
        )
    columns = ["proxy", "n", "kendall_tau", "kendall_tau_low", "kendall_tau_high"]
    return pd.DataFrame(rows, columns=[*columns, "pearson", "discovered", "seconds"])


if __name__ == "__main__":
    main()
