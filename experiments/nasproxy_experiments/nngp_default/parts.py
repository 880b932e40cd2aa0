"""Members, widths and pixels at equal cost in seconds

What :mod:`~nasproxy_experiments.nngp_default.measures` leaves open, on other cells and by other
seeds: ensembles of 8, of small images of 16, narrower and wider networks, images of half the side.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nasproxy import metrics
from nasproxy.errors import DataError
from nasproxy.proxies.base import NoScore, Scorer, on_width
from nasproxy.proxies.kernel_regression import MEASURES, sizes
from nasproxy.reproduce import figures
from nasproxy.reproduce.scores import Scores
from nasproxy.reproduce.suites import Finding, markdown
from nasproxy_experiments.nngp_default import choice
from nasproxy_experiments.nngp_default.choice import Candidate, Decision, Half
from nasproxy_experiments.nngp_default.study import HALVES, LOOKS, PARTS, DefaultStudy, part

CLAIM = (
    "None. Rule, that of the suite with more candidates, written before a score of these was read: "
    "of the measures and their rank means at each width, number of pixels, n_t and M, the default "
    "is the cheapest in seconds whose τ on the choosing half is within .01 of the best there at no "
    "more than today's default, (512, 512, 1), takes; if on the judging half its τ is not above "
    "that of accuracy at (500, 200, 1), width 16, full resolution, by an interval over cells and "
    "seeds, the default stays. At equal cost, by the mean rank of GCV and leave-one-out accuracy, "
    "which ranked best in the first experiment, a setting wins or loses where the interval of its "
    "gain on the judging half leaves out 0."
)
NEEDS = PARTS
MEASURE = ("negative_gcv", "loo_accuracy")
"""What settings are compared by: the best of the first experiment at most of its sizes."""
SHARES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
"""Costs, of today's default, up to which the best of the choosing half is judged."""
TIMED = 8
"""Cells that are timed."""
ALIKE = 1.5
"""Settings cost about as much up to this factor."""
BASE = next(iter(LOOKS))
RATE = "seconds an image"
INDEX = ["part", "half", "architecture", "seed"]
SHOWN = (MEASURE, ("accuracy",))
"""Measures that the figure has a panel of."""


class Compared(NamedTuple):
    """A setting beside the one of full resolution and width 16 that costs most nearly as much.

    Attributes:
        setting, other: by ``MEASURE``.
        choosing, judging: gain in τ of the setting over the other, on each half.
    """

    setting: Candidate
    other: Candidate
    choosing: metrics.Estimate
    judging: metrics.Estimate


def run(study: DefaultStudy) -> Finding:
    scores = {name: study.scores(name) for name in NEEDS}
    return report(study, scores, timed(study), raw(study, scores))


def report(
    study: DefaultStudy, scores: Mapping[str, Scores], times: pd.DataFrame, kept: pd.DataFrame
) -> Finding:
    """The finding, from scores, and from seconds that were measured."""
    choosing, judging = (_half(study, scores, half) for half in HALVES)
    unseen = scores[NEEDS[0]].largest.n_valid
    costs = seconds(times, list(choosing.scores), unseen)
    n_train = choice.nearest(scores[NEEDS[0]].settings)
    full = study.images.image_shape[0]
    usual = Candidate(("accuracy",), n_train, 1, LOOKS[BASE].width, full)
    most_train, most_valid, members = choice.TODAY
    limit = members * (most_train + most_valid) * _rate(times, usual)
    decision = choice.decide(choosing, judging, costs, usual, limit)
    pairs = compared(choosing, judging, costs, usual)
    settings = _settings(pairs, costs)
    table = _table(choosing, judging, costs)
    return Finding(
        f"{choice.sentence(decision, judging, 'seconds', full=True)} At equal cost, by the mean "
        f"rank of {' and '.join(MEASURE)}: {outcomes(pairs, usual)}.",
        {
            "equal_cost": _levels(choosing, judging, costs, usual, limit),
            "settings": settings,
            "candidates": table,
            "seconds": times,
        },
        _figure(table, decision, limit),
        (
            "Which ranks best for its seconds: of all candidates up to a share of the seconds of "
            "today's default, the one that ranked best on the choosing half, judged on the other. "
            f"Gains are over accuracy at {choice.where(usual, full=True)}, and over the best of "
            f"width {usual.width} at {full}×{full} pixels alone, chosen likewise.",
            f"Settings by the mean rank of {' and '.join(MEASURE)}, each over that of width "
            f"{usual.width}, {full}×{full} pixels and n_t {n_train} which takes most nearly as "
            f"long, if it is within a factor of {ALIKE}; of so many intervals of 95 % one in "
            "twenty leaves out 0 by chance:",
            markdown(settings),
            f"Chosen on {len(choosing.truth)} cells by seeds {HALVES['choosing']}, judged on "
            f"{len(judging.truth)} others by seeds {HALVES['judging']}; none of the cells and "
            "seeds are the first experiment's. τ is the mean over seeds; intervals (95 %) are over "
            "cells and seeds, and rest on two of these. Seconds are the processor's for one cell: "
            "those of one image and one network, measured side by side on the same "
            f"{TIMED} cells, a regression's share in them, times images and M. A measure without "
            f"validation images is charged for none; those with it use {unseen}.",
        ),
        {"scores": kept},
    )


def _half(study: DefaultStudy, scores: Mapping[str, Scores], half: str) -> Half:
    seeds = HALVES[half]
    keys = [k for k in study.pool_of(part(BASE, seeds[0])).architectures if k in study.truth.index]
    found: dict[Candidate, np.ndarray] = {}
    for look in LOOKS:
        pixels = study.pool_of(part(look, seeds[0])).images.image_shape[0]
        own = [scores[part(look, seed)] for seed in seeds]
        found |= choice.measured(own, keys, MEASURES, pixels)
    return choice.half(found, study.truth.reindex(keys))


def timed(study: DefaultStudy) -> pd.DataFrame:
    """Processor seconds of an image and a network, by width and pixels.

    Means over the same cells, one after the other in turn, of one network of the largest n_t and no
    validation images; each is run once before, for what compiles.

    Raises:
        DataError: no cell has a score by all of them.
    """
    seed = HALVES["judging"][0]
    scorers = {}
    for look in LOOKS:
        pool, proxy = study.pool_of(part(look, seed)), study.requests[part(look, seed)].proxy
        largest = max(sizes(proxy.n_train))
        one = replace(proxy, n_train=largest, n_valid=0, ensemble=1, measure=MEASURE[-1])
        plain, space = on_width(one, pool.space)
        about = (proxy.width, pool.images.image_shape[0], largest)
        scorers[about] = plain.prepare(space, pool.images, seed)
    spent: list[list[float]] = []
    for cell in study.pool_of(part(BASE, seed)).architectures.values():
        own = [_processor_seconds(scorer, cell) for scorer in scorers.values()]
        spent += [own] if np.isfinite(own).all() else []
        if len(spent) == TIMED:
            break
    if not spent:
        raise DataError("no cell has a score by every part, so that none is timed: give more cells")
    return pd.DataFrame(
        [
            {"width": width, "pixels": pixels, RATE: float(np.mean(own)) / images}
            for (width, pixels, images), own in zip(scorers, zip(*spent, strict=True), strict=True)
        ]
    )


def _processor_seconds(scorer: Scorer, cell: Any) -> float:
    """Of a second run, the first of which compiles; NaN of a cell without a score."""
    try:
        scorer(cell)
        start = time.process_time()
        scorer(cell)
    except NoScore:
        return math.nan
    return time.process_time() - start


def raw(study: DefaultStudy, scores: Mapping[str, Scores]) -> pd.DataFrame:
    """All scores by part, architecture and seed, float32, beside truth and size."""
    frames = []
    for half, seeds in HALVES.items():
        for look, seed in product(LOOKS, seeds):
            own = scores[part(look, seed)].frame.select_dtypes("number").astype(np.float32)
            levels = pd.MultiIndex.from_product([[look], [half], own.index, [seed]], names=INDEX)
            frames.append(own.set_axis(levels))
    frame = pd.concat(frames)
    keys = frame.index.get_level_values("architecture")
    frame["truth"] = study.truth.reindex(keys).to_numpy(np.float32)
    return frame.assign(params=study.sizes["params"].reindex(keys).to_numpy(np.float32))


def seconds(
    times: pd.DataFrame, candidates: Sequence[Candidate], n_valid: int
) -> dict[Candidate, float]:
    """Seconds a cell of each candidate; one that needs no validation images is charged for none."""
    return {
        c: _rate(times, c) * c.ensemble * (c.n_train + (n_valid if c.validated else 0))
        for c in candidates
    }


def _rate(times: pd.DataFrame, candidate: Candidate) -> float:
    return float(times.set_index(["width", "pixels"])[RATE][candidate.width, candidate.pixels])


def compared(
    choosing: Half, judging: Half, costs: Mapping[Candidate, float], usual: Candidate
) -> list[Compared]:
    """Every setting that has one of the usual width, pixels and n_t which costs about as much."""
    settings = [c for c in judging.scores if c.measures == MEASURE]
    base = [c for c in settings if c[1:2] + c[3:] == usual[1:2] + usual[3:]]
    found = []
    for setting in settings:
        other = min(base, key=lambda b: abs(math.log(costs[b] / costs[setting])))
        apart = costs[setting] / costs[other]
        if setting not in base and 1 / ALIKE <= apart <= ALIKE:
            gains = [choice.gain(half, setting, other) for half in (choosing, judging)]
            found.append(Compared(setting, other, *gains))
    return found


def outcomes(pairs: Sequence[Compared], usual: Candidate) -> str:
    """How often each width and number of pixels wins and loses, by the judging half's intervals."""
    if not pairs:
        return "no two settings cost alike"
    groups: dict[str, list[metrics.Estimate]] = {}
    for pair in pairs:
        one = pair.setting
        look = f"width {one.width} at {one.pixels}×{one.pixels} pixels"
        same = (one.width, one.pixels) == (usual.width, usual.pixels)
        name = f"n_t {one.n_train} with more members" if same else look
        groups.setdefault(name, []).append(pair.judging)
    said = []
    for name, gains in groups.items():
        wins, losses = sum(g.low > 0 for g in gains), sum(g.high < 0 for g in gains)
        of = f"of {len(gains)} settings"
        if wins and losses:
            outcome = f"wins at {wins} and loses at {losses} {of}"
        elif wins or losses:
            outcome = f"{'wins' if wins else 'loses'} at {wins or losses} {of}"
        else:
            outcome = f"is not told apart at any {of}"
        least, most = (f"{f(g.value for g in gains):+.3f}" for f in (min, max))
        said.append(f"{name} {outcome} ({least} to {most})")
    return "; ".join(said)


def _levels(
    choosing: Half,
    judging: Half,
    costs: Mapping[Candidate, float],
    usual: Candidate,
    limit: float,
) -> pd.DataFrame:
    """The best of the choosing half up to each cost, judged on the other."""
    taus = {c: choice.mean_tau(choosing, c) for c in choosing.scores}
    plain = [c for c in taus if c[3:] == usual[3:]]
    rows = []
    for share in SHARES:
        up_to = [c for c in taus if costs[c] <= share * limit]
        own = [c for c in plain if costs[c] <= share * limit]
        if not own:
            continue
        best, other = (max(some, key=taus.__getitem__) for some in (up_to, own))
        over = [choice.gain(judging, best, c) for c in (usual, other)]
        rows.append(
            {"of today's seconds": share}
            | _about(best)
            | {"seconds": costs[best], "τ": _shown(choice.tau(judging, best))}
            | {"over accuracy": _shown(over[0]), "over the best plain": _shown(over[1])}
            | {"the best plain": f"{other.name}, {choice.where(other, full=False)}"}
        )
    return pd.DataFrame(rows)


def _settings(pairs: Sequence[Compared], costs: Mapping[Candidate, float]) -> pd.DataFrame:
    rows = [
        {k: v for k, v in _about(pair.setting).items() if k != "measure"}
        | {"seconds": costs[pair.setting], "against": f"M {pair.other.ensemble}"}
        | {"its seconds": costs[pair.other]}
        | {"gain, choosing": _shown(pair.choosing), "gain, judging": _shown(pair.judging)}
        for pair in pairs
    ]
    return pd.DataFrame(rows)


def _table(choosing: Half, judging: Half, costs: Mapping[Candidate, float]) -> pd.DataFrame:
    rows = []
    for candidate in choosing.scores:
        first, own = (choice.tau(half, candidate) for half in (choosing, judging))
        row = _about(candidate) | {"seconds": costs[candidate]}
        row |= {"τ, choosing": first.value, "low": first.low, "high": first.high}
        row |= {"τ, judging": own.value, "low ": own.low, "high ": own.high}
        rows.append(row | {"between seeds": own.seed_deviation})
    table = pd.DataFrame(rows)
    return table.sort_values("τ, choosing", ascending=False, ignore_index=True)


def _about(candidate: Candidate) -> dict[str, object]:
    return {
        "measure": candidate.name,
        "width": candidate.width,
        "pixels": candidate.pixels,
        "n_t": candidate.n_train,
        "M": candidate.ensemble,
    }


def _shown(gain: metrics.Estimate) -> str:
    return f"{gain.value:.3f} [{gain.low:.3f}, {gain.high:.3f}]"


def _figure(table: pd.DataFrame, decision: Decision, limit: float) -> Figure:
    figure, axes = figures.panels(len(SHOWN), sharex=True, sharey=True)
    for axis, measures in zip(axes, SHOWN, strict=True):
        name = " + ".join(measures)
        groups = table[table["measure"] == name].groupby(["width", "pixels"], sort=True)
        for colour, (look, rows) in zip(figures.COLOURS, groups, strict=False):
            for style, (n_train, line) in zip(("-", "--"), rows.groupby("n_t"), strict=False):
                ordered = line.sort_values("seconds")
                label = f"width {look[0]}, {look[1]}×{look[1]}, n_t {n_train}"
                axis.plot(
                    ordered["seconds"],
                    ordered["τ, judging"],
                    style,
                    marker="o",
                    ms=3,
                    color=colour,
                    label=label,
                )
        axis.axvline(limit, color="0.5", lw=1, ls=":")
        figures.logarithmic(axis)
        figures.label(axis, "processor seconds a cell", "", name)
    axes[0].set_ylabel("Kendall τ on cells and seeds kept apart", fontsize=9)
    winner, own = decision.winner, decision.tau
    axes[0].plot(
        decision.share * limit, own.value, "ks", mfc="none", ms=10, label=f"chosen, {winner.name}"
    )
    figures.legend_below(axes[0])
    return figure
