"""Puts the finished parts together, checks them hard, and says how the table ranks.

    python -m nasproxy_experiments.nasbench101_space.assemble --truth CELLS.parquet
    python -m nasproxy_experiments.nasbench101_space.assemble --truth … --data-dir DIR --check 200

With --check so many cells of all finished parts are computed again, and must agree to TOLERANCE.
While parts are missing the report is of those that are there: a uniform draw. Once all are there,
one file takes their place.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import data, files, metrics, score, truth
from nasproxy.errors import StoreError
from nasproxy.named import as_proxy
from nasproxy.proxies.nngp import NNGP
from nasproxy.reproduce import figures
from nasproxy.reproduce.provenance import statement
from nasproxy_experiments.nasbench101_space import parts, setting
from search_spaces import NASBench101
from search_spaces.nasbench101.enumeration import all_cells

COLUMN, SIZE = "test_accuracy_108", "trainable_parameters"
TOLERANCE = 1e-3
"""Of a score computed again, relative to its standard deviation over cells; a leave-one-out
accuracy may differ by one image of the n_t. The same processor repeats every bit; another adds in
another order, and 2e-4 was seen between two."""
FURTHER = "by_seed"
"""Folder of the same cells by further seeds, see
:mod:`nasproxy_experiments.nngp_nas.seeds_of_space`."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--truth", required=True, help="table with module_hash and " + COLUMN)
    parser.add_argument("--data-dir", default=None, help="where TFDS keeps cifar10, for --check")
    parser.add_argument("--check", type=int, default=0, help="cells to compute again")
    parser.add_argument("--out", type=Path, default=setting.OUT)
    args = parser.parse_args()
    if args.check and args.data_dir is None:
        parser.error("--check computes: give --data-dir")
    whole, about, failures = joined(args.out)
    checked = again(whole, about, args.check, args.data_dir) if args.check else None
    report(args.out, whole, about, failures, checked, args.truth)


Joined = tuple[pd.DataFrame, dict[str, Any], dict[str, int]]
"""Cells in the space's own order, what made them, and reasons of failures."""


def joined(folder: Path) -> Joined:
    """The whole table, or all finished parts of it.

    Raises:
        StoreError: no part, a damaged one, or parts of different settings; a damaged table.
    """
    if (folder / parts.TABLE).exists():
        return _table(folder / parts.TABLE)
    done = parts.finished(folder)
    if not done:
        raise StoreError(f"{folder.name} has no part yet: run compute")
    frames = [parts.read(folder, part) for part in done]
    made = [{key: one.attrs[key] for key in ("proxy", "data", "seed")} for one in frames]
    if any(one != made[0] for one in made):
        raise StoreError("parts are of different settings: keep one setting's in a folder")
    failures: dict[str, int] = {}
    for one in frames:
        for reason, count in one.attrs["failures"].items():
            failures[reason] = failures.get(reason, 0) + count
    about = made[0] | {
        "commits": sorted({one.attrs["commit"] for one in frames}),
        "versions": frames[0].attrs["versions"],
        "seconds": float(np.mean([one.attrs["seconds"] for one in frames])),
        "parts": len(done),
    }
    whole = pd.concat([one.assign() for one in frames], ignore_index=True)
    whole = whole.sort_values(parts.ROW, ignore_index=True)
    if whole[parts.ROW].duplicated().any():
        raise StoreError("a cell is in two parts: the parts' order has changed")
    _explained(whole, failures)
    return whole, about, failures


def _explained(whole: pd.DataFrame, failures: dict[str, int]) -> None:
    missing = int(whole[parts.MEASURED[0]].isna().sum())
    if missing != sum(failures.values()):
        raise StoreError(f"{missing} cells have no score, {sum(failures.values())} say why")


def _table(path: Path) -> Joined:
    try:
        whole = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # Arrow's own are ValueErrors.
        raise StoreError(f"{path.name} is damaged ({error}): restore it, or delete it") from error
    about = {str(name): value for name, value in whole.attrs.items()}
    wrong = list(whole.columns) != [parts.ROW, *parts.MEASURED] or "failures" not in about
    if wrong or not np.array_equal(whole[parts.ROW], np.arange(parts.CELLS)):
        raise StoreError(f"{path.name} is not the whole table: delete it and assemble the parts")
    failures = about.pop("failures")
    _explained(whole, failures)
    whole.attrs.clear()
    return whole, about, failures


def settle(folder: Path, found: Joined) -> None:
    """Writes a complete table, and removes the parts when it reads back as they were.

    Raises:
        StoreError: it does not.
    """
    whole, about, failures = found
    made = whole.copy()
    made.attrs.update(about | {"failures": failures})
    truth.write_table(made, folder / parts.TABLE)
    again, *others = _table(folder / parts.TABLE)
    if not again.equals(whole) or others != [about, failures]:
        raise StoreError(f"{parts.TABLE} reads back otherwise than its parts: check the disk")
    for part in parts.finished(folder):
        parts.path(folder, part).unlink()


def again(whole: pd.DataFrame, about: dict[str, Any], count: int, data_dir: str) -> dict[str, Any]:
    """Computes cells drawn from the table again.

    Raises:
        StoreError: one differs by more than the tolerance.
    """
    drawn = np.sort(np.random.default_rng().choice(len(whole), count, replace=False))
    there = whole.iloc[drawn]
    proxy = as_proxy(about["proxy"])
    assert isinstance(proxy, NNGP)
    pool = int(about["data"].rpartition("=")[2])
    images = data.load("cifar10", data_dir=data_dir, **({"pool": pool} if pool > 1 else {}))
    table = all_cells()
    cells = [table[int(row)] for row in there[parts.ROW]]
    scored = score(cells, NASBench101(), [proxy], images, seeds=about["seed"])
    worst: dict[str, float] = {}
    for measure in parts.MEASURED:
        column = proxy.name if measure == proxy.measure else f"{proxy.name}[{measure}]"
        old, new = there[measure].to_numpy(), scored[column].to_numpy(np.float32)
        if not np.array_equal(np.isnan(old), np.isnan(new)):
            raise StoreError(f"{measure}: a cell has a score once and none again")
        if measure == "loo_accuracy":
            least = 1.001 / max(np.atleast_1d(proxy.n_train))
        else:
            least = TOLERANCE * float(np.nanstd(whole[measure]))
        worst[measure] = float(np.nanmax(np.abs(old - new)))
        if worst[measure] > least:
            raise StoreError(
                f"{measure}: a cell differs by {worst[measure]:.3g} when computed again"
            )
    return {"cells": count, "worst": worst}


def report(
    out: Path,
    whole: pd.DataFrame,
    about: dict[str, Any],
    failures: dict[str, int],
    checked: dict[str, Any] | None,
    table: str,
) -> None:
    """Writes the table, when it is complete, its README and a figure."""
    cells = all_cells()
    hashes = cells.hashes[whole[parts.ROW].to_numpy()].astype(str)
    true = truth.read(table, COLUMN).reindex(hashes).to_numpy(float)
    size = truth.read(table, SIZE).reindex(hashes).to_numpy(float)
    told = whole[list(parts.MEASURED)].notna().all(axis=1).to_numpy()
    rows = []
    columns = {m: whole[m].to_numpy(float) for m in parts.MEASURED} | {"parameters": size}
    for name, column in columns.items():
        first = metrics.kendall_tau(column[told], true[told])
        deviation = _deviation(column[told], true[told])
        rows.append({"score": name, "τ": first, "± (95 %)": 1.96 * deviation, "n": int(told.sum())})
    ranking = pd.DataFrame(rows)
    complete = len(whole) == parts.CELLS
    best = ranking.iloc[:-1].sort_values("τ", ascending=False).iloc[0]
    state = (
        "Every cell is in it." if complete else f"{about['parts']} of {parts.PARTS} parts are done."
    )
    sure = (
        "No cell was computed again for this report."
        if checked is None
        else f"{checked['cells']} cells drawn at random were computed again and agree: the largest "
        "differences are "
        + ", ".join(f"{v:.2g} ({name})" for name, v in checked["worst"].items())
        + "."
    )
    lines = [
        "# The NNGP of NAS-Bench-101, cell by cell",
        "",
        f"One kernel each of {len(whole):,} of {parts.CELLS:,} cells. {state} By {best['score']} "
        f"they rank with τ {best['τ']:.3f}, by parameters with τ {rows[-1]['τ']:.3f}.",
        "",
        f"`{about['proxy']}` on `{about['data']}`, seed {about['seed']}; "
        f"{about['seconds']:.4f} s a cell on one core beside other work; made by "
        f"{', '.join(about['commits'])}, "
        + ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        + ". The choice of the setting is in [choice.md](choice.md). One seed alone: an interval "
        "here is over cells, and says nothing of another seed"
        + (f"; [{FURTHER}]({FURTHER}/README.md) does." if (out / FURTHER).is_dir() else "."),
        "",
        ranking.to_markdown(index=False, floatfmt=".4f"),
        "",
        f"Failed cells: {sum(failures.values())}"
        + "".join(f"; {count} × {reason}" for reason, count in failures.items())
        + ".",
        "",
        sure,
        "",
        (f"`{parts.TABLE}` has" if complete else f"`parts/`, later `{parts.TABLE}`, have")
        + " a row a cell, `row` its number in the space's own order: "
        "`search_spaces.nasbench101.enumeration.all_cells()[row]`, whose `.key` is the module "
        "hash. To continue it at another setting:",
        "",
        "```",
        "python -m nasproxy_experiments.nasbench101_space.compute --data-dir DIR --workers 2 \\",
        "  --proxy nngp:… --pool 1 --seed 1 --out another_folder",
        "```",
        "",
        statement("python -m nasproxy_experiments.nasbench101_space.assemble"),
    ]
    if complete:
        settle(out, (whole, about, failures))
    _figure(whole[best["score"]].to_numpy(float)[told], true[told], str(best["score"])).savefig(
        out / "ranking.png", dpi=150
    )
    files.write_text(out / "README.md", "\n".join(lines))


def _deviation(column: np.ndarray, true: np.ndarray) -> float:
    """Standard error of τ over cells, from 40 disjoint parts."""
    order = np.random.default_rng(0).permutation(len(column))
    taus = [metrics.kendall_tau(column[p], true[p]) for p in np.array_split(order, 40)]
    return float(np.std(taus, ddof=1) / np.sqrt(len(taus)))


def _figure(column: np.ndarray, true: np.ndarray, name: str) -> Figure:
    figure, (axis,) = figures.panels(1, 1)
    seen = (column >= np.percentile(column, 1)) & (true >= np.percentile(true, 2))
    axis.hexbin(column[seen], true[seen], gridsize=60, bins="log", cmap="viridis", lw=0.1)
    figures.label(axis, f"NNGP, {name}", "test accuracy after 108 epochs")
    axis.set_title(f"{seen.sum():,} cells (worst 2 % by truth left out)", fontsize=9)
    return figure


if __name__ == "__main__":
    main()
