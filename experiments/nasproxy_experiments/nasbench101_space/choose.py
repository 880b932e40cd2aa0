"""Which setting ranks best for what a cell of the whole space may cost.

    python -m nasproxy_experiments.nasbench101_space.choose --data-dir DIR --truth CELLS.parquet

Rule, written before a score was read. A cell may cost PRICE processor-seconds on one core. Every
setting below and every measure that needs no validation image, and two rank means of them, is a
candidate; its price is the mean over TIMED cells of the processor time of that setting alone. Of
those within the price the one with the largest Kendall τ, a mean over CHOOSING seeds, is taken on
CELLS cells drawn uniformly; of several within WITHIN of it, the cheapest. It is judged on as many
other cells by the JUDGING seeds, beside the proxy's default setting and the number of parameters.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasproxy import NNGP, Params, data, files, metrics, score, truth
from nasproxy.data import Dataset
from nasproxy.progress import bar
from nasproxy.proxies.base import on_width
from nasproxy.proxies.kernel_regression import MEASURES, OF_VALIDATION
from nasproxy.reproduce.provenance import statement
from nasproxy.reproduce.scores import spelled
from nasproxy_experiments.nasbench101_space.family import Family
from search_spaces import NASBench101
from search_spaces.nasbench101.cell import Cell

COLUMN = "test_accuracy_108"
PRICE = 0.1
"""Processor-seconds a cell on the machine at hand: 12 core-hours for the whole space."""
CELLS, DRAW = 200, 423_624
CHOOSING, JUDGING = (0, 1), (2, 3)
TIMED = 24
WITHIN = 0.01
ALONE = tuple(measure for measure in MEASURES if measure not in OF_VALIDATION)
PAIRS = (("loo_accuracy", "negative_gcv"), ("negative_loo_mse", "loo_accuracy"))
DEFAULT = spelled(NNGP, NNGP.presets["paper"], width=16)


FAMILIES = (
    Family(1, 16, 32, (100, 150), (1,)),
    Family(2, 16, 128, (200, 400, 600), (1, 2)),
    Family(2, 16, 32, (200, 400, 700), (1, 2)),
    Family(2, 8, 64, (400, 800, 1200), (1, 2)),
    Family(2, 32, 64, (100, 200), (1,)),
)


@dataclass(frozen=True)
class Candidate:
    """One setting with one measure, or the mean rank of two."""

    family: Family
    n_train: int
    ensemble: int
    measures: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """As the table shows it."""
        family = self.family
        return {
            "pixels": 32 // family.pool,
            "width": family.width,
            "norm images": family.norm_images,
            "n_train": self.n_train,
            "M": self.ensemble,
            "measure": " + ".join(self.measures),
        }


def candidates() -> Iterator[Candidate]:
    """All of them."""
    for family in FAMILIES:
        for n_train in family.n_train:
            for ensemble in family.ensemble:
                for measures in (*((m,) for m in ALONE), *PAIRS):
                    yield Candidate(family, n_train, ensemble, measures)


def choose(taus: dict[Candidate, float], prices: dict[Candidate, float]) -> Candidate:
    """The rule: the cheapest of those within ``WITHIN`` of the best that ``PRICE`` buys.

    Raises:
        ValueError: none is within the price.
    """
    affordable = [c for c in taus if prices[c] <= PRICE]
    enough = max(taus[c] for c in affordable) - WITHIN
    return min((c for c in affordable if taus[c] >= enough), key=lambda c: (prices[c], -taus[c]))


def values(frame: pd.DataFrame, candidate: Candidate, seed: int) -> np.ndarray:
    """A candidate's scores of one seed, in the order of the frame's architectures."""
    family = candidate.family
    largest = (max(family.n_train), max(family.ensemble))
    at = (candidate.n_train, candidate.ensemble)
    size = "" if at == largest else f"n_train={at[0]},n_valid=0,ensemble={at[1]}"
    columns = []
    for measure in candidate.measures:
        own = "" if measure == "loo_accuracy" else measure
        inside = ",".join(filter(None, (size, own)))
        columns.append(frame.xs(seed, level="seed")[f"nngp[{inside}]" if inside else "nngp"])
    if len(columns) == 1:
        return columns[0].to_numpy(float)
    both = np.column_stack([column.to_numpy(float) for column in columns])
    told = np.isfinite(both).all(axis=1)  # A cell whose network fails has no rank.
    ranks = np.full(len(both), np.nan)
    ranks[told] = metrics.rank_mean(both[told])
    return ranks


def price(family: Family, images: Dataset, cells: list[Cell]) -> dict[tuple[int, int], float]:
    """Mean processor-seconds a cell of each size on its own, once programs are compiled."""
    found = {}
    for n_train in family.n_train:
        for ensemble in family.ensemble:
            proxy, space = on_width(family.proxy(n_train, ensemble), NASBench101())
            scorer = proxy.prepare(space, images, 0)
            scorer(cells[0])
            start = time.process_time()
            for cell in cells:
                scorer(cell)
            found[n_train, ensemble] = (time.process_time() - start) / len(cells)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, help="where TFDS keeps cifar10")
    parser.add_argument("--truth", required=True, help="table with module_hash and " + COLUMN)
    parser.add_argument("--store", default="nasbench101_space_choice.db", help="scores, resumable")
    parser.add_argument("--workers", type=int, default=None, help="processes, one thread each")
    parser.add_argument("--out", type=Path, default=Path("results/nasbench101_space"))
    args = parser.parse_args()
    os.environ["NPROC"] = "1"  # before anything counts threads: prices are of one core

    space = NASBench101()
    cells = space.sample(2 * CELLS, DRAW)
    halves = {CHOOSING: cells[:CELLS], JUDGING: cells[CELLS:]}
    images = {
        pool: data.load("cifar10", data_dir=args.data_dir, **({"pool": pool} if pool > 1 else {}))
        for pool in (1, 2)
    }
    drawn = f"uniform, n={2 * CELLS}, seed={DRAW}"
    frames: dict[tuple[Family, tuple[int, ...]], pd.DataFrame] = {}
    usual = pd.DataFrame()
    prices: dict[Candidate, float] = {}
    for seeds, half in halves.items():
        keep: dict[str, Any] = {"seeds": seeds, "store": args.store, "drawn": drawn}
        keep["workers"] = args.workers
        if seeds == JUDGING:
            usual = score(half, space, [DEFAULT, Params()], images[1], **keep)
        for family in FAMILIES:
            proxy = family.proxy(family.n_train, family.ensemble)
            frames[family, seeds] = score(half, space, [proxy], images[family.pool], **keep)
    with bar("prices", len(FAMILIES), 0) as advance:
        for family in FAMILIES:
            found = price(family, images[family.pool], cells[:TIMED])
            prices |= {c: found[c.n_train, c.ensemble] for c in candidates() if c.family == family}
            advance()
    accuracy = truth.read(args.truth, COLUMN)
    _report(args.out, frames, usual, prices, halves, accuracy)


def _report(
    out: Path,
    frames: dict[tuple[Family, tuple[int, ...]], pd.DataFrame],
    usual: pd.DataFrame,
    prices: dict[Candidate, float],
    halves: dict[tuple[int, ...], list[Cell]],
    accuracy: pd.Series,
) -> None:
    """The table of candidates, and what the rule says of them."""
    stacked: dict[tuple[Candidate, tuple[int, ...]], np.ndarray] = {}
    true: dict[tuple[int, ...], np.ndarray] = {}
    default = size = np.empty(0)
    for seeds, half in halves.items():
        keys = [cell.key for cell in half]
        whole = {
            c: np.stack([values(frames[c.family, seeds], c, s) for s in seeds])
            for c in candidates()
        }
        told = np.all([np.isfinite(v).all(0) for v in whole.values()], axis=0)
        if seeds == JUDGING:
            default = np.stack([usual.xs(s, level="seed")["nngp"] for s in seeds])
            told &= np.isfinite(default).all(0)
            default = default[:, told]
            size = usual.xs(seeds[0], level="seed")["params"].to_numpy()[told]
        stacked |= {(c, seeds): v[:, told] for c, v in whole.items()}
        true[seeds] = accuracy.reindex(keys).to_numpy(float)[told]
    taus = {
        c: float(np.mean([metrics.kendall_tau(v, true[CHOOSING]) for v in stacked[c, CHOOSING]]))
        for c in candidates()
    }
    winner = choose(taus, prices)
    rows = []
    for c in candidates():
        judged = [metrics.kendall_tau(v, true[JUDGING]) for v in stacked[c, JUDGING]]
        rows.append(
            c.row()
            | {
                "processor-seconds": round(prices[c], 4),
                "τ, choosing": round(taus[c], 4),
                "τ, judging": round(float(np.mean(judged)), 4),
            }
        )
    table = pd.DataFrame(rows).sort_values("τ, choosing", ascending=False, ignore_index=True)
    own, truth_there = stacked[winner, JUDGING], true[JUDGING]
    of_winner = metrics.over_seeds(metrics.kendall_tau, own, truth_there)
    of_default = metrics.over_seeds(metrics.kendall_tau, default, truth_there)
    gain = metrics.paired_gain(own, default, truth_there)
    share = metrics.share_of_ceiling(own, default, truth_there)
    against = metrics.paired_gain(own, size, truth_there)
    said = ", ".join(f"{name} {value}" for name, value in winner.row().items())
    lines = [
        "# A setting for all of NAS-Bench-101",
        "",
        f"Taken: {said}; {prices[winner]:.3f} processor-seconds a cell.",
        f"On {len(truth_there)} other cells by seeds {JUDGING} its τ is {_shown(of_winner)}; the "
        f"default's, {DEFAULT.n_train} training and {DEFAULT.n_valid} validation images at 32×32 "
        f"by accuracy, is {_shown(of_default)}: the setting reaches {_shown(share)} times as much.",
        f"The difference is {_shown(gain, '+')}; over the number of parameters (τ "
        f"{metrics.kendall_tau(size, truth_there):.3f}) it gains {_shown(against, '+')}.",
        "",
        f"Chosen on {len(true[CHOOSING])} cells by seeds {CHOOSING}; all cells drawn uniformly. "
        f"Rule: see `choose.py`. Intervals (95 %) are over cells and seeds.",
        "",
        statement("python -m nasproxy_experiments.nasbench101_space.choose"),
        "The twenty candidates with the largest τ on the choosing cells, at any price; all are in "
        "`choice.csv`.",
        "",
        table.head(20).to_markdown(index=False),
        "",
    ]
    out.mkdir(parents=True, exist_ok=True)
    truth.write_table(table, out / "choice.csv")
    files.write_text(out / "choice.md", "\n".join(lines))
    raw = pd.concat(
        [
            pd.DataFrame(
                {
                    "module_hash": [cell.key for cell in halves[seeds]],
                    "seed": seed,
                    **{
                        str(tuple(c.row().values())): values(
                            frames[c.family, seeds], c, seed
                        ).astype(np.float32)
                        for c in candidates()
                        if len(c.measures) == 1
                    },
                }
            )
            for seeds in halves
            for seed in seeds
        ]
    )
    truth.write_table(raw, out / "choice_scores.parquet")


def _shown(estimate: Any, sign: str = "") -> str:
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


if __name__ == "__main__":
    main()
