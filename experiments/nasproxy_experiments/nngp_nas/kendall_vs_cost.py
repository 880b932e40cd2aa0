"""Kendall τ and Pearson r against FLOPs, beside shortened training (figure 1).

Settings that need few images and members are over all cells; those with more over fewer. Gains are
over training's τ of all cells that it is known of: τ of a kernel and τ of training hardly covary
over cells, so that training on the few cells of a group would add its own luck and cancel none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.ranking.plots import short
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import MEASURES, Scores, Setting
from nasproxy.reproduce.statistics import Estimate, interval, resampled, simultaneous, sort
from nasproxy.reproduce.suites import Finding
from nasproxy_experiments.nngp_nas.study import Study

CLAIM = (
    "Kendall's τ of 4- or 12-epoch training can be matched or bested by NNGP inference with an "
    "order of magnitude fewer FLOPs."
)
NEEDS = ("many", "images", "members")
STATISTICS = {"τ": metrics.kendall_tau, "r": metrics.pearson}
PAPER = "accuracy"
"""The paper's measure."""
CHEAPER = 10
"""An order of magnitude."""
LINE = 5
"""Settings that a line is drawn through, or more."""

Key = tuple[str, Setting | None]
"""A measure and its setting, or a column that has none."""


@dataclass(frozen=True)
class Group:
    """One need's scores beside shortened training, all on the same cells.

    Attributes:
        need: its name.
        scores: its settings and their costs.
        cells: how many have all scores.
        values: every score's statistics, ``[1 + resamples, STATISTICS]``, resampled alike.
        population: τ of shortened training over all cells that have it, by epochs.
    """

    need: str
    scores: Scores
    cells: int
    values: dict[Key, np.ndarray]
    population: Mapping[int, float]

    def estimate(self, key: Key, statistic: str = "τ") -> Estimate:
        return interval(self.values[key][:, list(STATISTICS).index(statistic)])

    def gain(self, key: Key, epochs: int, count: int = 1) -> Estimate:
        """How much larger τ is than the population's by shortened training.

        Args:
            key: the score.
            epochs: of the training.
            count: intervals of 95 % that are to hold together.
        """
        return simultaneous(self.values[key][:, 0] - self.population[epochs], count)

    def dearest(self, cost: float) -> Setting | None:
        """The largest setting that costs at most so many FLOPs; no result chooses it."""
        within = [s for s in self.scores.settings if self.scores.costs[s] <= cost]
        return max(within, key=self.scores.costs.__getitem__, default=None)

    @property
    def ensembles(self) -> list[int]:
        return sorted({setting.ensemble for setting in self.scores.settings})

    def line(self, ensemble: int) -> list[Setting]:
        """Settings of one ensemble at the largest n_valid, by n_train."""
        n_valid = self.scores.largest.n_valid
        found = [s for s in self.scores.settings if (s.n_valid, s.ensemble) == (n_valid, ensemble)]
        return sorted(found)


def run(study: Study) -> Finding:
    groups = [_group(study, need) for need in NEEDS]
    table = pd.concat([_table(study, group) for group in groups], ignore_index=True)
    return Finding(
        _verdict(study, groups), {"settings": table}, _figure(study, groups), _notes(study)
    )


def _trained(epochs: int) -> Key:
    return f"{epochs} epochs", None


def _group(study: Study, need: str) -> Group:
    scores = study.scores(need)
    columns: dict[Key, pd.Series] = {
        (measure, setting): scores.column(setting, measure)
        for setting in scores.settings
        for measure in MEASURES
    }
    columns |= {_trained(epochs): study.shortened[epochs] for epochs in study.budgets}
    columns["parameters", None] = study.sizes["params"]
    *found, truth = study.joined(*columns.values())
    values = {
        key: resampled(lambda s, t: [f(s, t) for f in STATISTICS.values()], column, truth)
        for key, column in zip(columns, found, strict=True)
    }
    return Group(need, scores, len(truth), values, study.population)


def _table(study: Study, group: Group) -> pd.DataFrame:
    costs = {_trained(epochs): study.training_cost(epochs) for epochs in study.budgets}
    rows = []
    for name, setting in group.values:
        row: dict[str, object] = {
            "of": group.need,
            "cells": group.cells,
            "score": f"NNGP {MEASURES[name]}" if setting else name,
            "setting": str(setting or ""),
            "PFLOPs": (group.scores.costs[setting] if setting else costs.get((name, None), 0.0))
            / 1e15,
        }
        for statistic in STATISTICS:
            value, low, high = group.estimate((name, setting), statistic)
            row |= {statistic: value, f"{statistic} low": low, f"{statistic} high": high}
        for epochs in study.budgets:
            gain = "" if (name, setting) in costs else str(group.gain((name, setting), epochs))
            row[f"τ over {epochs} epochs"] = gain
        rows.append(row)
    return sort(pd.DataFrame(rows), "τ")


def _verdict(study: Study, groups: list[Group]) -> str:
    """At each group's dearest setting of a tenth of the shortest training's cost, or less."""
    budgets = study.budgets[:2]
    cost = study.training_cost(budgets[0])
    chosen = [(group, group.dearest(cost / CHEAPER)) for group in groups]
    chosen = [(group, setting) for group, setting in chosen if setting is not None]
    if not chosen:
        return f"Undecided: no setting costs a tenth of {budgets[0]}-epoch training or less."
    ratio = cost / max(group.scores.costs[setting] for group, setting in chosen)
    paper, others = (
        {
            (m, f"{s} on {group.cells:,} cells"): [
                group.gain((m, s), e, len(chosen) * len(measures)) for e in budgets
            ]
            for m in measures
            for group, s in chosen
        }
        for measures in ((PAPER,), [m for m in MEASURES if m != PAPER])
    )
    known = " and ".join(f"{study.population[e]:.3f} after {e} epochs" for e in budgets)
    return (
        f"By validation accuracy the claim {outcomes(budgets, [*paper.values()])}, by the kernels' "
        f"other measures it {outcomes(budgets, [*others.values()])}. Judged are the largest "
        f"settings run, at 1/{ratio:,.0f} of {budgets[0]} epochs' cost or less, against training's "
        f"τ on all cells, {known}. {_best(paper, budgets)} {_best(others, budgets)}"
    )


def _best(gains: dict[tuple[str, str], list[Estimate]], budgets: list[int]) -> str:
    """The setting and measure that are nearest to training."""
    (measure, setting), best = max(gains.items(), key=lambda item: item[1][0].value)
    said = " and ".join(f"{g:+.3f} over {e} epochs" for g, e in zip(best, budgets, strict=True))
    return f"By {MEASURES[measure]} the most is gained at {setting}, {said}."


def outcomes(budgets: list[int], gains: list[list[Estimate]]) -> str:
    """The claim is that some setting does as well: one that is better settles it.

    Args:
        budgets: epochs.
        gains: of each setting and measure that is looked at, by budget, with intervals that hold
            together, so that the luckiest of several is no evidence by itself.
    """
    said = []
    for epochs, some in zip(budgets, zip(*gains, strict=True), strict=True):
        if any(gain.low > 0 for gain in some):
            outcome = "holds"
        elif all(gain.high < 0 for gain in some):
            outcome = "does not hold"
        else:
            outcome = "is undecided"
        said.append(f"{outcome} against {epochs} epochs")
    return " and ".join(said)


def _notes(study: Study) -> list[str]:
    return [
        "FLOPs are those of what was run, as the paper counts them: kernels of networks with a "
        "stem of 16 channels, where the paper's have 128 (64 times the operations); published "
        "training at 128 channels. Accuracy is the paper's measure; leave-one-out accuracy and "
        "mean squared error come out of the same solve and tie less.",
        "Settings are (n_train, n_valid, ensemble). Cells of one group are the first of the draw, "
        "so that a smaller group is part of a larger; τ of two groups differs by the cells too. "
        "Gains are over training's τ on all cells that it is known of, whose own error is small; "
        "the rows of training are of the group's cells, and differ from it by their luck. The "
        "claim is that NNGP can match training, so the verdict takes one setting that gains for "
        "sure as enough, by intervals that hold together (Bonferroni, over groups, and over the "
        "measures too where there are several); the settings it judges are the largest that cost "
        "little enough, not the best. Intervals are over cells, of one draw of images and weights.",
        "In the figure n_train labels the largest ensemble's points, all at the largest n_valid; "
        "bars are 95 % intervals. Horizontal lines are what training reaches on all cells that it "
        "is known of, and what the number of parameters reaches on the group's.",
    ]


def _figure(study: Study, groups: list[Group]) -> Figure:
    """A panel a group: the paper's measure by cost, between what training and size reach."""
    figure, axes = figures.panels(len(groups), sharey=True)
    ensembles = sorted({ensemble for group in groups for ensemble in group.ensembles})
    colours = dict(zip(ensembles, cycle(figures.COLOURS), strict=False))
    for one, group in zip(axes, groups, strict=True):
        for ensemble in group.ensembles:
            _settings(one, group, ensemble, colours[ensemble])
        for epochs, style in zip(study.budgets, ("--", "-.", ":"), strict=False):
            cost = short(float(f"{study.training_cost(epochs):.2g}"))
            label = f"{epochs} epochs, {cost} FLOPs"
            one.axhline(study.population[epochs], color="0.3", ls=style, lw=0.9, label=label)
        size = group.estimate(("parameters", None)).value
        one.axhline(size, color="#b08900", lw=0.9, label="parameters")
        figures.label(
            one,
            "FLOPs of a network's score",
            f"Kendall τ, {MEASURES[PAPER]}",
            f"{group.cells:,} cells, {group.scores.largest.n_valid} validation images",
        )
    named: dict[str, Any] = {}
    for one in axes:
        named |= dict(zip(*reversed(one.get_legend_handles_labels()), strict=True))
    order = sorted(named, key=lambda name: not name.startswith("ensemble"))
    figure.legend(
        [named[name] for name in order],
        order,
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        frameon=False,
    )
    return figure


def _settings(axes: Axes, group: Group, ensemble: int, colour: str) -> None:
    """An ensemble's settings by cost; a line joins them where they are enough to have a shape."""
    settings = group.line(ensemble)
    cost = [group.scores.costs[setting] for setting in settings]
    estimates = [group.estimate((PAPER, setting)) for setting in settings]
    figures.intervals(axes, cost, estimates, colour, label=f"ensemble of {ensemble}")
    if len(settings) >= LINE:
        axes.plot(cost, [one.value for one in estimates], color=colour, lw=0.8)
    if ensemble == group.ensembles[-1]:
        for setting, x, one in zip(settings, cost, estimates, strict=True):
            axes.annotate(
                short(setting.n_train),
                (x, one.high),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
    figures.logarithmic(axes)
    axes.margins(x=0.12)
