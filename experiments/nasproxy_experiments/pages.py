"""Pages of results, from the scores that stand beside them: nothing is computed but rankings.

    python -m nasproxy_experiments.pages

Writes docs/pages/nasbench101_cifar10.html from results/nasbench101_cifar10/scores.parquet; a minute
on one core.
"""

import argparse
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from nasproxy import Counts, Flops, Params, Store
from nasproxy.page import write_page
from nasproxy.reproduce.provenance import facts
from nasproxy.scoring import run_id
from nasproxy.store import Key, Record
from nasproxy_experiments.nasbench101_cifar10 import CHEAP, COLUMN
from search_spaces import NASBench101

NAME = "nasbench101_cifar10"
DATA = "cifar10"
DRAWN = "uniform, n=3000, seed=0"
RESAMPLES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("docs/pages"))
    args = parser.parse_args()
    folder, path = args.results / NAME, args.out / f"{NAME}.html"
    args.out.mkdir(parents=True, exist_ok=True)
    made = facts("python -m nasproxy_experiments.pages")
    told = {f"page, {name}": value for name, value in made.items()}
    publish(folder, path, {**provenance(folder / "README.md"), **told})
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def publish(folder: Path, path: Path, told: dict[str, str], n_resamples: int = RESAMPLES) -> None:
    """The page of a folder of results."""
    frame = pd.read_parquet(folder / "scores.parquet")
    with Store(None) as store:
        store.put_many(records(frame))
        write_page(
            store,
            frame[COLUMN].rename("mean test accuracy after 108 epochs"),
            path,
            title="NAS-Bench-101 by the NNGP on CIFAR-10, stem width 16",
            provenance=told,
            against="params",
            n_resamples=n_resamples,
        )


def records(frame: pd.DataFrame) -> Iterator[Record]:
    """The scores of the cheap setting, of size and of counts, as the run stored them."""
    space = NASBench101()
    cells = {key: space.to_json(space.find(key)) for key in map(str, frame.index)}
    for proxy in (CHEAP, Params(), Flops(), Counts()):
        stored, settings = run_id(space, proxy)
        name = proxy.name
        named = [str(column) for column in frame.columns]
        # What the dearer setting alone has is of every eighth cell.
        own = [c for c in named if c.startswith(f"{name}[") and 2 * frame[c].count() > len(frame)]
        besides = {column: column.removeprefix(f"{name}[")[:-1] for column in own}
        wanted = [name, f"{name} seconds", f"{name} flops", *own]
        for key, row in zip(map(str, frame.index), frame[wanted].to_dict("records"), strict=True):
            found = {besides[c]: float(row[c]) for c in own if not math.isnan(row[c])}
            info: dict[str, Any] = {"drawn": DRAWN, "columns": found}
            place = Key(stored, key, settings, DATA, 0)
            value = None if math.isnan(row[name]) else float(row[name])
            cost = float(row[f"{name} seconds"]), float(row[f"{name} flops"])
            error = "no finite score" if value is None else None
            yield Record(place, value, *cost, info, error, cells[key])


def provenance(report: Path) -> dict[str, str]:
    """What a result's README states of the run that made its scores."""
    text = report.read_text(encoding="utf-8")
    found = re.findall(
        r"^\| (command|commit|date|machine|versions) \| (.+) \|$", text, re.MULTILINE
    )
    return {f"scores, {name}": value.strip("`") for name, value in found}


if __name__ == "__main__":
    main()
