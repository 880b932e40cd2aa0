"""What limits the NNGP here: noise, images, members, or what it measures? (behind the rest)"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.reproduce import figures
from nasproxy.reproduce.pool import joined
from nasproxy.reproduce.scores import MEASURES
from nasproxy.reproduce.statistics import Estimate, correlations, estimate, tau, tau_gain
from nasproxy.reproduce.suites import Finding
from nasproxy.reproduce.words import listed
from nasproxy_experiments.nngp_mnas.against_size import cross_fitted
from nasproxy_experiments.nngp_mnas.study import ACCEL, MACRO, TOPOLOGY, Benchmark, Study

CLAIM = (
    "(Not the paper's.) A score of few images and members is noisy: if that is what hides the "
    "signal, another seed disagrees with the first, and more images or members rank better."
)
SPACES = (ACCEL, MACRO, TOPOLOGY)
NEEDS = tuple(
    f"{space}/{label}" for space in SPACES for label in ("nngp", "again", "more", "members")
)


def run(study: Study) -> Finding:
    found = [_limits(study.benchmarks[name]) for name in SPACES]
    drawn = [_members(study.benchmarks[name]) for name in SPACES]
    ranked = pd.concat([f.rankings for f in found], ignore_index=True)
    agreement = pd.concat([f.agreement for f in found], ignore_index=True)
    members = pd.concat([f.rankings for f in drawn], ignore_index=True)
    return Finding(
        _verdict([f.agree for f in found], drawn),
        {"rankings": ranked, "members": members, "agreement": agreement},
        _figure(members),
        (
            "Settings are (n_train, n_valid, ensemble); all rows of a space are of the same "
            "architectures, and so are those of members, which are fewer. 'At a given "
            "size' is the partial Kendall τ: what a score and the truth share beyond what both "
            "share with parameters. Agreement is τ between two seeds (other images, other "
            "weights): a score that agrees with itself and not with the truth measures something "
            "else than accuracy after training.",
            *(f.note for f in found + drawn),
        ),
    )


class On(NamedTuple):
    """A number on a space."""

    space: str
    number: Estimate


@dataclass(frozen=True)
class Limits:
    """What another seed and more images show on one space: tables, two seeds' τ, and a note."""

    rankings: pd.DataFrame
    agreement: pd.DataFrame
    agree: On
    note: str


@dataclass(frozen=True)
class Members:
    """What more members show on one space, by accuracy: gain over the fewest, and over size."""

    rankings: pd.DataFrame
    most: int
    tau: Estimate
    gain: On
    added: On
    note: str


def _limits(benchmark: Benchmark) -> Limits:
    """Another seed of the small score, and more images and members."""
    scores = {label: benchmark.scores(label) for label in ("nngp", "again", "more")}
    small, large = scores["nngp"].largest, scores["more"].largest
    # The settings between the two are kept, so that each step is seen alone.
    wanted = [("nngp", small), ("again", small), *(("more", s) for s in scores["more"].settings)]
    columns = {
        (label, s, measure): scores[label].column(s, measure)
        for measure in MEASURES
        for label, s in wanted
    }
    *values, params, truth = joined(
        benchmark.truth, *columns.values(), benchmark.pool.sizes["params"]
    )
    by = dict(zip(columns, values, strict=True))
    ranked = [
        {
            "space": benchmark.name,
            "measure": MEASURES[measure],
            "setting": f"{s}, other seed" if label == "again" else str(s),
            **correlations(value, truth),
            "at a given size": metrics.partial_kendall(value, truth, params),
            "mean": float(np.mean(value)),
        }
        for (label, s, measure), value in by.items()
    ]
    agreement = []
    for measure, text in MEASURES.items():
        a, b, c = (by[k, s, measure] for k, s in (*wanted[:2], ("more", large)))
        about = {"space": benchmark.name, "measure": text}
        agreement += [
            about | {"between": "two seeds"} | tau(a, b)._asdict(),
            about | {"between": "few and many images"} | tau(a, c)._asdict(),
            about | {"between": "many images and parameters"} | tau(c, params)._asdict(),
        ]
    first, again, more = (by[k, s, "accuracy"] for k, s in (*wanted[:2], ("more", large)))
    gain = tau_gain(more, first, truth)
    return Limits(
        pd.DataFrame(ranked),
        pd.DataFrame(agreement),
        On(benchmark.name, tau(first, again)),
        f"- {benchmark.name}, {len(truth)} architectures: accuracy {large} ranks with τ "
        f"{tau(more, truth)}, {_said(gain)} than {small} ({gain}); at a given size, "
        f"{estimate(metrics.partial_kendall, more, truth, params)}. Two seeds of "
        f"accuracy {small} agree with τ {tau(first, again)}.",
    )


def _members(benchmark: Benchmark) -> Members:
    """The ranking by ever more draws of the same networks, and what it adds to size."""
    scores = benchmark.scores("members")
    columns = {
        (measure, s): scores.column(s, measure) for measure in MEASURES for s in scores.settings
    }
    sizes = benchmark.pool.sizes
    *values, params, flops, truth = joined(
        benchmark.truth, *columns.values(), sizes["params"], sizes["flops"]
    )
    by = dict(zip(columns, values, strict=True))
    rows = [
        {"space": benchmark.name, "measure": MEASURES[measure], "members": s.ensemble}
        | correlations(value, truth)
        | {
            "at a given size": metrics.partial_kendall(value, truth, params),
            "τ of parameters": metrics.kendall_tau(params, truth),
        }
        for (measure, s), value in by.items()
    ]
    few, many = scores.settings[0], scores.settings[-1]
    gain = tau_gain(by["accuracy", many], by["accuracy", few], truth)
    size = [np.log(params), np.log(flops)]
    alone = cross_fitted(size, truth)
    added = cross_fitted([*size, *(by[measure, many] for measure in MEASURES)], truth)
    mixed = tau_gain(added, alone, truth)
    at_size = estimate(metrics.partial_kendall, by["accuracy", many], truth, params)
    return Members(
        pd.DataFrame(rows),
        many.ensemble,
        tau(by["accuracy", many], truth),
        On(benchmark.name, gain),
        On(benchmark.name, mixed),
        f"- {benchmark.name}, {len(truth)} architectures with {many.ensemble} members, n_train "
        f"{many.n_train}, n_valid {many.n_valid}: parameters rank with τ {tau(params, truth)}, "
        f"accuracy with {tau(by['accuracy', many], truth)}, {_said(gain)} than with {few.ensemble} "
        f"({gain}), at a given size with {at_size}; "
        f"a cross-fit on parameters and multiply-adds with {tau(alone, truth)}, the three measures "
        f"added change that by {mixed}.",
    )


def _said(gain: Estimate) -> str:
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "not measurably other"


def _verdict(agree: Sequence[On], members: Sequence[Members]) -> str:
    """A sentence on seeds, on members and on size; intervals are in the notes."""
    sure = [one.space for one in agree if one.number.low > 0]
    seeds = listed(f"{one.number.value:.3f} on {one.space}" for one in agree)
    most = {one.gain.space: f"τ {one.tau.value:.2f} by {one.most}" for one in members}
    better = _apart([one.gain for one in members], lambda on: most[on.space])
    added = _apart([one.added for one in members], lambda on: f"{on.number.value:+.3f}")
    words = ("adds to a fit on size", "takes from it", "does not measurably change it")
    return (
        f"Two seeds of the small score's accuracy agree with τ {seeds}, surely above 0 on "
        f"{listed(sure) or 'none'}. By more members accuracy ranks "
        + _joined(better, ("better than by one", "worse", "not measurably otherwise"))
        + ". With all of them the NNGP "
        + _joined(added, words)
        + "."
    )


def _apart(numbers: Sequence[On], text: Callable[[On], str]) -> tuple[str, ...]:
    """Spaces on which a number is surely above 0, below 0, or neither."""
    parts: dict[str, list[str]] = {"better": [], "worse": [], "not measurably other": []}
    for one in numbers:
        parts[_said(one.number)].append(f"{one.space} ({text(one)})")
    return tuple(listed(part) for part in parts.values())


def _joined(parts: Sequence[str], words: Sequence[str]) -> str:
    return "; ".join(f"{word} on {part}" for part, word in zip(parts, words, strict=True) if part)


def _figure(members: pd.DataFrame) -> Figure:
    """A panel a space: what ever more members rank like, and size."""
    spaces = list(dict.fromkeys(members["space"]))
    figure, axes = figures.panels(len(spaces), sharey=True)
    for one, space in zip(axes, spaces, strict=True):
        groups = members[members["space"] == space].groupby("measure", sort=False)
        for colour, (measure, part) in zip(figures.COLOURS, groups, strict=False):
            x, value, low, high = part[["members", "τ", "τ low", "τ high"]].to_numpy(float).T
            figures.band(one, x, value, low, high, colour, f"NNGP {measure}")
        one.axhline(0, color="0.5", ls=":", lw=1)
        size = members.loc[members["space"] == space, "τ of parameters"].iloc[0]
        one.axhline(size, color="0.3", ls="--", lw=1, label="parameters")
        figures.logarithmic(one)
        figures.label(one, "members", "Kendall τ with the truth", space)
    figures.legend_below(axes[0], 4)
    return figure
