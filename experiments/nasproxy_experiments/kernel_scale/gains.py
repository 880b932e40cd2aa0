"""Accuracies and their differences by draw, with Student's intervals."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nasproxy.reproduce.statistics import Estimate, mean, student
from nasproxy_experiments.kernel_scale.study import LEAST_DRAWS

Which = Mapping[str, Any]
"""Values of some columns of a study's frame."""


class Gain(NamedTuple):
    """A difference of accuracies.

    Attributes:
        estimate: mean over draws, with its interval.
        n: training images.
        draws: pairs of draws.
    """

    estimate: Estimate
    n: int
    draws: int

    def __str__(self) -> str:
        points = Estimate(*(100 * value for value in self.estimate))
        return f"{points:+.1f} points at n = {self.n:,}, {self.draws} draws"


def by_draw(frame: pd.DataFrame, which: Which) -> pd.Series:
    """Accuracies of the rows that have some values, by draw."""
    chosen = frame
    for column, value in which.items():
        chosen = chosen[chosen[column] == value]
    return chosen.set_index("draw")["accuracy"].sort_index()


def gain(frame: pd.DataFrame, better: Which, than: Which) -> Gain | None:
    """Of the largest n that both have in enough draws; None where there is none."""
    for n in sorted(set(frame["n"]), reverse=True):
        apart = by_draw(frame, {**better, "n": n}) - by_draw(frame, {**than, "n": n})
        apart = apart.dropna()
        if len(apart) >= LEAST_DRAWS:
            return Gain(student(mean(apart), len(apart)), int(n), len(apart))
    return None


def accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy with its interval, by kernel, size, whitening and flips."""
    found = []
    for key, part in frame.groupby(["kernel", "n", "whitened", "flipped"], sort=False):
        of = student(mean(part["accuracy"]), len(part))
        seconds = part["kernel_seconds"].sum() / part["pairs"].sum()
        found.append(
            {
                **dict(zip(("kernel", "n", "whitened", "flipped"), key, strict=True)),
                "draws": len(part),
                "accuracy": of.value,
                "low": of.low,
                "high": of.high,
                "MSE": float(part["mse"].mean()),
                "ε, median": float(part["epsilon"].median()),
                "µs a pair": 1e6 * float(seconds),
            }
        )
    table = pd.DataFrame(found)
    order = {name: place for place, name in enumerate(dict.fromkeys(frame["kernel"]))}
    table["place"] = table["kernel"].map(order)
    table = table.sort_values(["flipped", "whitened", "n", "place"]).drop(columns="place")
    yes = np.array(["no", "yes"])
    for column in ("whitened", "flipped"):
        table[column] = yes[table[column].to_numpy(int)]
    return table
