"""NNGP of large sizes by several seeds against size, counts and the ceiling; shared by spaces.

What figure 7 has on MNAS; a search's share is scaled with the subset.
"""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.proxies import Counts
from nasproxy.reproduce import evidence, figures
from nasproxy.reproduce.scores import MEASURES, Request
from nasproxy.reproduce.statistics import Estimate, columns, mean, student
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_mnas.study import (
    SEEDS,
    TARGET_RANGE,
    Benchmark,
    of_seed,
)

SUBSET, TOP = 100, 3
"""Networks of a subset, and how many of them a search looks at."""
OVER = "over the best of size and counts"
MIXED = "mean rank of the best of size and counts with"
REWARD, ACCURACY = "reward", "accuracy"
Seeds = dict[str, np.ndarray]
"""Scores by name, ``[seeds, networks]``; one seed of what no seed changes."""


def needs(space: str) -> tuple[str, ...]:
    """The scores of a space that a report reads."""
    return tuple(f"{space}/{of_seed(seed)}" for seed in SEEDS)


def report(benchmark: Benchmark) -> Finding:
    """What the scores by all seeds say of one space."""
    scores, frame = _scores(benchmark)
    tables = []
    for predicted, truth in truths(benchmark).items():
        keys = frame.index.intersection(truth.dropna().index)
        places = frame.index.get_indexer(keys)
        own = {name: matrix[:, places] for name, matrix in scores.items()}
        table = ranked(own, truth[keys].to_numpy(float))
        table.insert(0, "predicts", predicted)
        tables.append(table)
        frame[predicted] = truth.reindex(frame.index)
    table = pd.concat(tables, ignore_index=True)
    top = ceiling(benchmark.repeats)
    written, said = {"ranking": table}, _verdict(table)
    if benchmark.repeats is not None and top is not None:
        written["ceiling"] = _ceiling(benchmark.repeats, top, frame.index)
        said.append(agreement(written["ceiling"].iloc[0]))
    return Finding(
        " ".join(said),
        written,
        _figure(table, top),
        (
            f"Scores are by {len(SEEDS)} seeds, each with images and weights of its own; τ is the "
            "mean over seeds, and intervals are over networks and seeds. The best count is the one "
            "that ranks best on these very networks, which flatters it. A mean rank is that of "
            "NNGP and of the best of parameters, multiply-adds and counts, the gain of everything "
            "over that one.",
            f"`finds more than random`: the best of the {TOP} that a score puts first, of "
            f"{SUBSET} networks, less the best of {TOP} random ones (expected), over disjoint "
            "subsets; a quarter of what ten are of a thousand. Intervals are Student's t over the "
            f"subsets. {TARGET_RANGE if REWARD in frame else ''}".strip(),
            "The ceiling is τ between single trainings of the same networks, which no score of "
            "theirs can be sure to pass; `ceiling.csv` has it, and of how many of these networks.",
        ),
        {"scores": frame.reset_index()},
    )


def truths(benchmark: Benchmark) -> dict[str, pd.Series]:
    """Accuracy, and the MNAS reward where latency is known."""
    found = {ACCURACY: benchmark.truth}
    if benchmark.latency is not None:
        pair = pd.concat([benchmark.truth, benchmark.latency], axis=1, join="inner").dropna()
        target = float(benchmark.latency.median())
        reward = metrics.mnas_reward(pair.iloc[:, 0], pair.iloc[:, 1], target=target)
        found[REWARD] = pd.Series(reward, index=pair.index)
    return found


def _scores(benchmark: Benchmark) -> tuple[Seeds, pd.DataFrame]:
    """Scores of networks that have them all, and the same as columns."""
    by_seed = {seed: benchmark.scores(of_seed(seed)) for seed in SEEDS}
    frame = pd.DataFrame(
        {
            f"NNGP {text} {setting}, seed {seed}": scores.column(setting, measure)
            for seed, scores in by_seed.items()
            for setting in scores.settings
            for measure, text in MEASURES.items()
        }
    )
    sizes = benchmark.pool.sizes
    counts = benchmark.pool.frame(Request(Counts(), len(frame))).select_dtypes("number")
    counts = counts.drop(columns=[c for c in counts if str(c).endswith((" seconds", " flops"))])
    lower = tuple(f"[{name}]" for name in Counts.lower)
    counts = counts.apply(lambda column: -column if column.name.endswith(lower) else column)
    singles = counts.assign(**{"parameters": sizes["params"], "multiply-adds": sizes["flops"] / 2})
    frame = frame.join(singles).dropna().rename_axis("architecture")
    scores = {
        f"NNGP {text} {setting}": np.stack(
            [frame[f"NNGP {text} {setting}, seed {seed}"].to_numpy(float) for seed in SEEDS]
        )
        for setting in by_seed[SEEDS[0]].settings
        for text in MEASURES.values()
    }
    scores |= {name: frame[[name]].to_numpy(float).T for name in map(str, singles)}
    return scores, frame


def ranked(scores: Mapping[str, np.ndarray], truth: np.ndarray) -> pd.DataFrame:
    """A row a score: τ, its gain over the best of size and counts, what a search finds by it.

    Args:
        scores: ``[seeds, networks]`` by name; those that begin with NNGP are by several seeds.
        truth: ``[networks]``.
    """
    singles = {n: m[0] for n, m in scores.items() if not n.startswith("NNGP")}
    taus = {name: metrics.kendall_tau(values, truth) for name, values in singles.items()}
    rival = max(taus, key=taus.__getitem__)
    sizes = [n for n in ("parameters", "multiply-adds") if n in singles]
    count = max((n for n in singles if n not in sizes), key=taus.__getitem__, default=None)
    shown = {n: m for n, m in scores.items() if n.startswith("NNGP") or n in (*sizes, count)}
    mixed = {
        f"{MIXED} {n}": np.stack(
            [metrics.rank_mean(np.column_stack([one, singles[rival]])) for one in m]
        )
        for n, m in scores.items()
        if n.startswith("NNGP")
    }
    rows = []
    for name, matrix in (shown | mixed).items():
        row: dict[str, object] = {"score": name, "networks": len(truth), "seeds": len(matrix)}
        row |= columns("τ", Estimate(*metrics.over_seeds(metrics.kendall_tau, matrix, truth)[:3]))
        if name != rival:
            gain = metrics.paired_gain(matrix, singles[rival], truth)
            row |= columns(OVER, Estimate(*gain[:3]))
        rows.append(row | columns("finds more than random", found(matrix, truth)))
    return pd.DataFrame(rows).sort_values("τ", ascending=False, ignore_index=True)


def found(scores: np.ndarray, truth: np.ndarray) -> Estimate:
    """By how much the best of the first is better than the best of as many random ones.

    Args:
        scores: ``[seeds, networks]``; a subset's gain is the mean over seeds.
        truth: ``[networks]``.
    """
    size = min(SUBSET, len(truth) // 2)
    gains = []
    for part in metrics.disjoint_parts(len(truth), size, len(truth) // size):
        best = [_best(one[part], truth[part]) for one in scores]
        gains.append(np.mean(best) - _best(np.zeros(len(part)), truth[part]))
    return student(mean(gains), len(gains))


def _best(score: np.ndarray, truth: np.ndarray) -> float:
    """The best truth of the first ``TOP``, expected over the orders of ties."""
    return metrics.discovered_performance(score, truth, top=TOP).mean


def ceiling(repeats: pd.DataFrame | None) -> Estimate | None:
    """Mean τ between single trainings, ``[networks, trainings]``; over networks."""
    if repeats is None:
        return None
    whole = repeats.dropna().to_numpy(float)
    pairs = [(i, j) for i in range(whole.shape[1]) for j in range(i)]

    def between(*trainings: np.ndarray) -> float:
        return float(np.mean([metrics.kendall_tau(trainings[i], trainings[j]) for i, j in pairs]))

    low, high = metrics.bootstrap(between, *whole.T, n_resamples=200)
    return Estimate(between(*whole.T), low, high)


def _ceiling(repeats: pd.DataFrame, top: Estimate, scored: pd.Index) -> pd.DataFrame:
    whole = repeats.dropna()
    row = {"networks": len(whole), "of them scored here": len(whole.index.intersection(scored))}
    return pd.DataFrame([row | {"trainings": whole.shape[1]} | columns("τ of two trainings", top)])


def agreement(row: pd.Series) -> str:
    """How well trainings agree, of a row of the ceiling's table."""
    same = "the same networks" if row["of them scored here"] else f"{int(row['networks'])} others"
    top = evidence.estimate_of(row, "τ of two trainings")
    return f"Two trainings of {same} agree with τ {top}."


def _verdict(table: pd.DataFrame) -> list[str]:
    said = []
    for predicts, rows in table.groupby("predicts", sort=False):
        nngp = rows[rows["score"].str.startswith("NNGP")]
        both = rows[rows["score"].str.startswith(MIXED)].iloc[0]
        own = nngp[nngp["score"].str.contains(MEASURES["accuracy"], regex=False)]
        largest = max(own.to_dict("records"), key=lambda row: _sizes(str(row["score"])))
        tau = evidence.estimate_of(pd.Series(largest), "τ")
        gain = evidence.estimate_of(both, OVER)
        single = rows[~rows["score"].str.startswith(("NNGP", MIXED))].iloc[0]
        said.append(
            f"{largest['score']} ranks {predicts} with τ {tau}, {single['score']} with "
            f"{single['τ']:.3f}. A mean rank of both changes the latter's by {gain:+.3f} at best, "
            f"with {both['score'].removeprefix(MIXED)[1:]}."
        )
        if predicts == REWARD:
            more = evidence.estimate_of(pd.Series(largest), "finds more than random")
            said.append(
                f"Of {SUBSET} networks, the best of the {TOP} that its accuracy puts first has a "
                f"reward {more:+.2f} above that of the best of {TOP} random ones."
            )
    return said


def _sizes(score: str) -> tuple[int, ...]:
    """The setting that ends a score's name."""
    return tuple(map(int, re.findall(r"\d+", score.rpartition("(")[2])))


def _figure(table: pd.DataFrame, top: Estimate | None) -> Figure:
    predicted = list(dict.fromkeys(table["predicts"]))
    figure, axes = figures.panels(len(predicted), sharey=True)
    for one, name in zip(axes, predicted, strict=True):
        rows = table[(table["predicts"] == name) & ~table["score"].str.startswith(MIXED)]
        rows = rows.iloc[::-1]
        estimates = rows[["τ", "τ low", "τ high"]].to_numpy(float)
        figures.intervals(one, np.arange(len(rows)), estimates, figures.COLOURS[0])
        names = rows["score"].str.replace("NNGP ", "")
        one.set_xticks(range(len(rows)), names, rotation=60, ha="right", fontsize=6)
        if top is not None and name == ACCURACY:
            one.axhline(top.value, color="0.3", ls="--", lw=1, label="between two trainings")
        one.axhline(0, color="0.5", ls=":", lw=1)
        several = len(predicted) > 1
        truth = "the truth" if several else name
        figures.label(one, "", f"Kendall τ with {truth}", name if several else "")
    figures.legend(axes[0], loc="upper left")
    return figure
