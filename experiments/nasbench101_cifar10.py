"""NAS-Bench-101 ranked by the NNGP on CIFAR-10: 3,000 uniform cells at stem width 16.

    python -m experiments.nasbench101_cifar10 --data-dir DIR --truth nasbench101_cells.parquet

Truth is mean 108-epoch test accuracy. Costs about 2 processor-seconds a cell, so 50 minutes on two
cores; resumes from its store. For more processes, run it with --shard 0/N … first, then without.

Setting: 200 balanced training and 100 validation images, M up to 5, batch norm at momentum .997
after a pass over 32 images. The smaller sizes come out of the same features: they show what more
images and more members are worth.
"""

import argparse
import shlex
import sys
from pathlib import Path

from experiments.provenance import named, statement
from nasproxy import NNGP, Flops, Params, Store, data, ranking, score, truth
from search_spaces import NASBench101

PROXY = NNGP(n_train=(100, 200), n_valid=100, ensemble=(1, 2, 5), norm_images=32, width=16)
COLUMN = "test_accuracy_108"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", required=True, help="where TFDS keeps cifar10")
    parser.add_argument("--truth", required=True, help="table with module_hash and " + COLUMN)
    parser.add_argument("--store", default="nasbench101_cifar10.db", help="scores, resumable")
    parser.add_argument("--out", type=Path, default=Path("results/nasbench101_cifar10"))
    parser.add_argument("--cells", type=int, default=3000)
    parser.add_argument("--shard", default="0/1", help="I/N: score every N-th cell only, no table")
    args = parser.parse_args()

    space = NASBench101()
    cells = space.sample(args.cells, seed=0)
    index, count = map(int, args.shard.split("/"))
    with Store(args.store) as store:
        scores = score(
            cells[index::count],
            space,
            [PROXY, Params(), Flops()],
            data.load("cifar10", data_dir=args.data_dir),
            store=store,
            drawn=f"uniform, n={args.cells}, seed=0",
        )
        if count > 1:
            return
        published = truth.read(args.truth, COLUMN)
        table = ranking.rank_store(store, published)
        args.out.mkdir(parents=True, exist_ok=True)
        shown = ranking.render(table, "markdown")
        (args.out / "ranking.csv").write_text(ranking.render(table, "csv"), encoding="utf-8")
        truth.write_table(scores.join(published), args.out / "scores.parquet")
        ranking.plot_store(store, published, args.out / "ranking.png")
    command = shlex.join(["python", "-m", "experiments.nasbench101_cifar10", *named(sys.argv[1:])])
    lines = ["# NAS-Bench-101 by the NNGP on CIFAR-10", "", statement(command), shown]
    lines += ["", "![scores against truth](ranking.png)", ""]
    (args.out / "README.md").write_text("\n".join(lines), encoding="utf-8")
    print(ranking.render(table))


if __name__ == "__main__":
    main()
