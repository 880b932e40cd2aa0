"""The notebook of Park et al. (2020) again: 250 random cells, n_t 100, n_v 200, M 2, CIFAR-10.

    python -m nasproxy_experiments.nngp_nas_notebook --data-dir DIR --truth CELLS.parquet

The notebook's published outputs: Kendall .1828, Pearson .2163, discovered performance .93376, and
5.44 s an architecture on a V100, against mean 108-epoch test accuracy, at the benchmark's width of
128. Its sampler draws random matrices and passes over those whose hash was drawn before: its 250
cells are distinct, and so are these. Costs about 15 processor-seconds a cell at width 128.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from nasproxy import NNGP, Flops, Params, data, files, metrics, score, truth
from nasproxy.reproduce.provenance import statement
from nasproxy.settings import make
from search_spaces import NASBench101

COLUMN = "test_accuracy_108"
PUBLISHED = {"kendall_tau": 0.1828, "pearson": 0.2163, "discovered": 0.93376, "seconds": 5.44}
DRAWS = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", required=True, help="where TFDS keeps cifar10")
    parser.add_argument("--truth", required=True, help="table with module_hash and " + COLUMN)
    parser.add_argument("--store", default="nngp_nas_notebook.db", help="scores, resumable")
    parser.add_argument("--out", type=Path, default=Path("results/nngp_nas_notebook"))
    parser.add_argument("--width", type=int, default=128, help="stem channels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    space = NASBench101()
    drawn = distinct(space, DRAWS, args.seed)
    proxy = make(NNGP, NNGP.name, {"preset": "colab", "width": args.width})
    scores = score(
        drawn,
        space,
        [Params(), Flops(), proxy],
        data.load("cifar10", data_dir=args.data_dir),
        seeds=args.seed,
        store=args.store,
        drawn=f"random_matrix without repeats, n={DRAWS}, seed={args.seed}",
    )
    table = _table(scores, truth.read(args.truth, COLUMN))
    args.out.mkdir(parents=True, exist_ok=True)
    truth.write_table(table, args.out / f"width{args.width}.csv")
    lines = [
        f"# The notebook's experiment at width {args.width}",
        "",
        statement("python -m nasproxy_experiments.nngp_nas_notebook"),
        "```",
        table.to_string(index=False, float_format="{:.4f}".format, na_rep=""),
        "```",
        "",
    ]
    files.write_text(args.out / f"width{args.width}.md", "\n".join(lines))
    print("\n".join(lines))


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
