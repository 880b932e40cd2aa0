"""Scores the whole space, part by part; what is finished is never computed again.

    python -m nasproxy_experiments.nasbench101_space.compute --data-dir DIR --workers 2
    python -m nasproxy_experiments.nasbench101_space.compute --data-dir DIR --parts 0-127

A part's scores are kept one by one in a store under --scratch, so that a kill loses none; a
finished part is one file in --out. Several machines take parts of their own each. Another --seed
or --out with another setting continues the table at another setting.
"""

import argparse
import logging
from importlib.metadata import version
from pathlib import Path

from nasproxy import data, score
from nasproxy.cache import cache_dir
from nasproxy.named import as_proxy
from nasproxy.proxies.nngp import NNGP
from nasproxy.reproduce.provenance import commit
from nasproxy.settings import describe
from nasproxy_experiments.nasbench101_space import parts, setting
from search_spaces import NASBench101
from search_spaces.nasbench101.enumeration import all_cells

_log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, help="where TFDS keeps cifar10")
    parser.add_argument("--parts", default=f"0-{parts.PARTS - 1}", help="FIRST-LAST")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes, one thread each; 0: this one"
    )
    parser.add_argument("--proxy", default=None, help="another setting than the chosen")
    parser.add_argument("--pool", type=int, default=setting.POOL, help="pixels averaged by")
    parser.add_argument("--seed", type=int, default=parts.SEED)
    parser.add_argument("--out", type=Path, default=setting.OUT)
    parser.add_argument("--scratch", type=Path, default=None, help="folder of unfinished parts")
    parser.add_argument("--changed", action="store_true", help="even if the source has changes")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    made_by = commit()
    if "changes" in made_by and not args.changed:
        parser.error("the source has changes since its commit: commit them, or give --changed")
    first, _, last = args.parts.partition("-")
    wanted = range(int(first), int(last or first) + 1)
    if not wanted or wanted[0] < 0 or wanted[-1] >= parts.PARTS:
        parser.error(f"--parts {args.parts}: give FIRST-LAST within 0-{parts.PARTS - 1}")
    if (args.out / parts.TABLE).exists():
        parser.error(f"{parts.TABLE} has every cell: give another --out for another setting")
    proxy = as_proxy(args.proxy) if args.proxy else setting.PROXY
    if not isinstance(proxy, NNGP):
        parser.error(f"--proxy {args.proxy}: give nngp with settings")
    settings = {"pool": args.pool} if args.pool > 1 else {}
    images = data.load("cifar10", data_dir=args.data_dir, **settings)
    scratch = args.scratch or cache_dir() / "nasbench101_space"
    scratch.mkdir(parents=True, exist_ok=True)
    table = all_cells()
    about = {
        "proxy": describe(proxy, proxy.name, full=True),
        "data": f"cifar10:pool={args.pool}",
        "seed": args.seed,
        "commit": made_by,
        "versions": {name: version(name) for name in ("jax", "numba", "numpy", "scipy")},
    }
    for part in wanted:
        if parts.path(args.out, part).exists():
            continue
        store = scratch / f"part_{part:03d}_seed{args.seed}.db"
        scored = score(
            [table[int(row)] for row in parts.rows(part)],
            NASBench101(),
            [proxy],
            images,
            seeds=args.seed,
            store=store,
            workers=args.workers or None,
            drawn="all cells, in parts",
        )
        seconds = float(scored[f"{proxy.name} seconds"].median())
        parts.write(args.out, parts.frame(scored, proxy, part, about | {"seconds": seconds}))
        for file in scratch.glob(f"{store.name}*"):
            file.unlink()
        _log.info("part %d of %d: %.4f s a cell", part, parts.PARTS, seconds)


if __name__ == "__main__":
    main()
