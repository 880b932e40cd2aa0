"""The ten best by NNGP, by shortened training and at random (figure 7, left panel)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.statistics import top
from nasproxy.reproduce.suites import Finding
from nasproxy.truth import known
from nasproxy_experiments.nngp_mnas.study import ACCEL, Benchmark, Study

CLAIM = (
    "The best networks by NNGP are worse than the best of ten random ones: NNGP tells that a "
    "network is reasonable, not which is best."
)
NEEDS = tuple(f"{ACCEL}/{label}" for label in ("nngp", "nngp, 10 labels", "more", "training"))
SHARE = "share of random choices below"
REPEATS = 2000
"""Random tens, for the distribution that a selection is compared with."""


def run(study: Study) -> Finding:
    benchmark = study.benchmarks[ACCEL]
    scores = benchmark.scores("nngp")
    classes = benchmark.pool.images.classes
    columns = {
        f"NNGP ({classes}, {s.n_train}, {s.n_valid}), M = {s.ensemble}": scores.column(s)
        for s in scores.settings
        if s.ensemble == scores.largest.ensemble
    }
    few = benchmark.scores("nngp, 10 labels")
    s = few.largest
    columns[f"NNGP (10, {s.n_train}, {s.n_valid}), M = {s.ensemble}"] = few.column()
    columns["parameters"] = benchmark.pool.sizes["params"]
    truth = benchmark.truth
    larger = benchmark.scores("more")
    s = larger.largest
    more = {f"NNGP ({classes}, {s.n_train}, {s.n_valid}), M = {s.ensemble}": larger.column()}
    trained = _shortened(benchmark)
    shared = known(trained.index, truth)
    # All of a group choose among the same: those that the dearest of their scores were made of.
    groups = {
        f"all {len(scores.frame)}": (columns, scores.frame.index),
        f"the {len(larger.frame)} scored on more images": (columns | more, larger.frame.index),
        f"the {len(shared)} trained": (columns | dict(trained.items()), shared),
    }
    rows, chosen = [], {}
    for group, (scored, keys) in groups.items():
        found, picked = _choices(scored, truth.reindex(known(keys, truth)))
        rows += [{"among": group} | row for row in found]
        chosen |= {(group, name): values for name, values in picked.items()}
    table = pd.DataFrame(rows)
    return Finding(
        _verdict(table, untrained=list(groups)[:-1]),
        {"top": table},
        _figure(chosen, table),
        (
            "Settings are (labels, n_train, n_valid). The paper's are (1000, 8k, 50k), (100, 1k, "
            "5k) and (100, 8k, 5k) with M = 4, its truth 400-epoch training, and it picks from "
            "10,000; here what two processors allow. 'Best' (the bar) is the best truth of those "
            "chosen, ties in the score averaged over their orders; the points are those of one "
            "order. The last column says which share of random choices of as many does worse: "
            "below .05 or above .95 a choice differs from a random one.",
        ),
    )


def _choices(
    scored: Mapping[str, pd.Series], truth: pd.Series
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """What each score chooses among the architectures of ``truth``: rows, and truths chosen."""
    k = top(len(truth))
    random = _random(truth.to_numpy(float), k)
    rows: list[dict[str, Any]] = [
        {"chosen by": f"random {k}", "best": random.mean(), "mean": truth.mean(), SHARE: 0.5}
    ]
    chosen = {}
    for name, column in scored.items():
        score = column.reindex(truth.index).dropna()
        order = score.sample(frac=1, random_state=0).sort_values(ascending=False, kind="stable")
        picked = truth.reindex(order.index[:k])
        best = metrics.discovered_performance(
            score.to_numpy(float), truth.reindex(score.index).to_numpy(float), top=k
        ).mean
        rows.append(
            {
                "chosen by": name,
                "best": best,
                "mean": float(picked.mean()),
                SHARE: float((random < best).mean()),
            }
        )
        chosen[name] = picked.to_numpy(float)
    chosen[f"random {k}"] = truth.sample(k, random_state=0).to_numpy(float)
    return rows, chosen


def _shortened(benchmark: Benchmark) -> pd.DataFrame:
    """Accuracy after shortened training and, where latency is known, its reward."""
    epochs = benchmark.requests["training"].proxy.epochs
    frame = benchmark.frame("training")[["training"]].dropna()
    columns = {f"{epochs} epochs": frame["training"]}
    if benchmark.latency is not None:
        latency = benchmark.latency.reindex(frame.index).dropna()
        target = float(benchmark.latency.median())
        reward = metrics.mnas_reward(frame["training"][latency.index], latency, target=target)
        columns[f"{epochs} epochs' reward"] = pd.Series(reward, index=latency.index)
    return pd.DataFrame(columns)


def _random(truth: np.ndarray, k: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([rng.choice(truth, k, replace=False).max() for _ in range(REPEATS)])


def _verdict(table: pd.DataFrame, untrained: list[str]) -> str:
    """Over all choices by NNGP; one differs from random ones beyond the middle 90 % of these.

    Numbers are given of the groups in which nothing was trained.
    """
    nngp = table["chosen by"].str.startswith("NNGP")
    shares = table.loc[nngp, SHARE]
    said = []
    for group in untrained:
        own = table[table["among"] == group]
        by, size, random = (
            own[own["chosen by"].str.startswith(name)] for name in ("NNGP", "parameters", "random")
        )
        said.append(
            f"Among {group} the best that a small NNGP chooses has {by['best'].min():.2f} to "
            f"{by['best'].max():.2f} by its setting (better than {by[SHARE].min():.0%} to "
            f"{by[SHARE].max():.0%} of random choices), by parameters {size['best'].iloc[0]:.2f}, "
            f"at random {random['best'].iloc[0]:.2f} on average."
        )
    judged = (
        "The claim holds."
        if (shares < 0.05).all()
        else "The claim does not hold."
        if (shares > 0.95).all()
        else f"The claim is not shown: of {len(shares)} choices by NNGP {(shares < 0.05).sum()} "
        f"are measurably worse than random ones, {(shares > 0.95).sum()} better."
    )
    return " ".join((judged, *said))


def _figure(chosen: dict[tuple[str, str], np.ndarray], table: pd.DataFrame) -> Figure:
    groups = list(dict.fromkeys(table["among"]))
    best = table.set_index(["among", "chosen by"])["best"]
    figure, axes = figures.panels(len(groups), sharey=True)
    for one, group in zip(axes, groups, strict=True):
        names = [name for among, name in chosen if among == group]
        for place, name in enumerate(names):
            values = chosen[group, name]
            one.plot([place] * len(values), values, "o", ms=3, alpha=0.6, color=figures.COLOURS[0])
            one.plot(place, best[group, name], "_", ms=14, mew=2, color=figures.COLOURS[1])
        one.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=6)
        figures.label(one, "", "", f"chosen among {group}")
    axes[0].set_ylabel("true accuracy (bar: best)", fontsize=9)
    return figure
