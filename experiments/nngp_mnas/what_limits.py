"""What limits the NNGP here: noise, images, members, or what it measures? (behind the rest)"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments import figures
from experiments.nngp_mnas.study import ACCEL, MACRO, TOPOLOGY, Benchmark, Study
from experiments.pool import joined
from experiments.reproduction import Finding
from experiments.scores import MEASURES, Scores
from experiments.statistics import Estimate, correlations, estimate, tau, tau_gain
from nasproxy import metrics

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
    ranked = pd.concat([table for table, _, _ in found], ignore_index=True)
    agreement = pd.concat([table for _, table, _ in found], ignore_index=True)
    members = pd.concat([table for table, _ in drawn], ignore_index=True)
    return Finding(
        " ".join(f"{a}; {b}." for (_, _, a), (_, b) in zip(found, drawn, strict=True)),
        {"rankings": ranked, "agreement": agreement, "members": members},
        _figure(ranked, members),
        (
            "Settings are (n_train, n_valid, ensemble); all rows of a space are of the same "
            "architectures. 'At a given size' is the partial Kendall τ: what a score and the truth "
            "share beyond what both share with parameters. Reliability is τ between two seeds "
            "(other images, other weights): a score that agrees with itself and not with the truth "
            "measures something else than accuracy after training.",
        ),
    )


def _limits(benchmark: Benchmark) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    scores = {label: benchmark.scores(label) for label in ("nngp", "again", "more")}
    small, large = scores["nngp"].largest, scores["more"].largest
    measures = list(MEASURES)
    columns = [
        scores[label].column(measure=measure)
        for label in ("nngp", "again", "more")
        for measure in measures
    ]
    others = [_each(scores["more"], measure) for measure in measures]
    *values, params, truth = joined(
        benchmark.truth,
        *columns,
        *(column for group in others for column in group.values()),
        benchmark.pool.sizes["params"],
    )
    ranked, agreement = [], []
    first, again, more = (values[i : i + len(measures)] for i in (0, 3, 6))
    rest = iter(values[9:])
    for measure, a, b, c, group in zip(measures, first, again, more, others, strict=True):
        about = {"space": benchmark.name, "measure": MEASURES[measure]}
        named = {str(small): a, f"{small}, other seed": b}
        named |= {name: next(rest) for name in group} | {str(large): c}
        for name, value in named.items():
            ranked.append(
                about
                | {"setting": name, **correlations(value, truth)}
                | {
                    "at a given size": estimate(_partial, value, truth, params).value,
                    "mean": float(np.mean(value)),
                }
            )
        agreement.append(about | {"between": "two seeds"} | tau(a, b)._asdict())
        agreement.append(about | {"between": "few and many images"} | tau(a, c)._asdict())
        agreement.append(about | {"between": "many images and parameters"} | _with(c, params))
    gain = tau_gain(more[0], first[0], truth)
    reliable, ranks = tau(first[0], again[0]), tau(more[0], truth)
    return (
        pd.DataFrame(ranked),
        pd.DataFrame(agreement),
        f"{benchmark.name} ({len(truth)} architectures): two seeds of NNGP accuracy {small} agree "
        f"with τ {reliable}; {large} ranks with τ {ranks}, a gain of {gain}{_said(gain)}; at a "
        f"given size, {estimate(_partial, more[0], truth, params)}",
    )


def _members(benchmark: Benchmark) -> tuple[pd.DataFrame, str]:
    """The ranking by ever more draws of the same networks."""
    scores = benchmark.scores("members")
    rows, taus = [], {}
    for measure, text in MEASURES.items():
        columns = {s.ensemble: scores.column(s, measure) for s in scores.settings}
        *values, truth = joined(benchmark.truth, *columns.values())
        for ensemble, value in zip(columns, values, strict=True):
            about = {"space": benchmark.name, "measure": text, "members": ensemble}
            rows.append(about | correlations(value, truth))
        taus[measure] = tau_gain(values[-1], values[0], truth)
    few, many = scores.settings[0].ensemble, scores.settings[-1].ensemble
    gain = taus["accuracy"]
    last = next(r for r in rows if r["members"] == many)
    return pd.DataFrame(rows), (
        f"{many} members instead of {few} (n_train {scores.largest.n_train}, n_valid "
        f"{scores.largest.n_valid}, {last['cells']} architectures) change τ by {gain} to "
        f"{last['τ']:.3f} [{last['τ low']:.3f}, {last['τ high']:.3f}]"
    )


def _each(scores: Scores, measure: str) -> dict[str, pd.Series]:
    """Settings between the small score and the largest, so that each step is seen alone."""
    between = scores.settings[:-1]
    return {str(s): scores.column(s, measure) for s in between}


def _with(value: np.ndarray, params: np.ndarray) -> dict[str, float]:
    return tau(value, params)._asdict()


def _said(gain: Estimate) -> str:
    return "" if gain.low > 0 or gain.high < 0 else ", not measurable"


def _partial(value: np.ndarray, truth: np.ndarray, size: np.ndarray) -> float:
    """Kendall's partial τ (Kendall, Biometrika 32, 1942)."""
    vt = metrics.kendall_tau(value, truth)
    vs = metrics.kendall_tau(value, size)
    ts = metrics.kendall_tau(truth, size)
    return (vt - vs * ts) / float(np.sqrt((1 - vs**2) * (1 - ts**2)))


def _figure(ranked: pd.DataFrame, members: pd.DataFrame) -> Figure:
    spaces = list(dict.fromkeys(ranked["space"]))
    figure, axes = figures.panels(len(spaces), 2, sharey=True)
    for one, space in zip(axes[len(spaces) :], spaces, strict=True):
        groups = members[members["space"] == space].groupby("measure", sort=False)
        for colour, (_, part) in zip(figures.COLOURS, groups, strict=False):
            x, value, low, high = part[["members", "τ", "τ low", "τ high"]].to_numpy(float).T
            figures.band(one, x, value, low, high, colour, "")
        one.axhline(0, color="0.5", ls=":", lw=1)
        figures.logarithmic(one)
        figures.label(one, "members", "")
    axes[len(spaces)].set_ylabel("Kendall τ with the truth", fontsize=9)
    for one, space in zip(axes, spaces, strict=False):
        rows = ranked[ranked["space"] == space]
        names = list(dict.fromkeys(rows["setting"]))
        groups = rows.groupby("measure", sort=False)
        for number, (colour, (measure, part)) in enumerate(
            zip(figures.COLOURS, groups, strict=False)
        ):
            places = np.arange(len(part)) + 0.15 * number
            taus = part[["τ", "τ low", "τ high"]].to_numpy(float)
            figures.intervals(one, places, taus, colour, label=str(measure))
        one.axhline(0, color="0.5", ls=":", lw=1)
        one.set_xticks(
            range(len(names)), [n.replace(", other", "\nother") for n in names], rotation=45,
            ha="right", fontsize=6,
        )  # fmt: skip
        figures.label(one, "", "", space)
    axes[0].set_ylabel("Kendall τ with the truth", fontsize=9)
    figures.legend(axes[0])
    return figure
