"""How a default is chosen: by some cells and seeds, and judged by others.

The rule of the suite, written before a score was read. A setting that is picked from many has its
own luck where it was picked, so that the half that judges shares neither cells nor seeds with the
half that chooses.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from nasproxy import metrics
from nasproxy.errors import SettingError
from nasproxy.proxies.kernel_regression import OF_VALIDATION
from nasproxy.reproduce.scores import Scores, Setting

WITHIN = 0.01
"""τ that is given up for a lower cost."""
TODAY = (512, 512, 1)
"""n_t, n_v and M of the default that is judged, whose measure is accuracy."""
PAIRS = (
    ("negative_loo_mse", "loo_accuracy"),
    ("negative_gcv", "loo_accuracy"),
    ("negative_gcv", "negative_mse"),
)
"""Measures whose rank means are tried too."""
RESAMPLES, OF_GAINS = 200, 1000
"""Of intervals of τ, and of gains, which decide."""


class Candidate(NamedTuple):
    """A measure, or the mean rank of several, at a setting."""

    measures: tuple[str, ...]
    n_train: int
    ensemble: int
    width: int = 16
    pixels: int = 32

    @property
    def name(self) -> str:
        return " + ".join(self.measures)

    @property
    def validated(self) -> bool:
        """Whether validation images are needed."""
        return any(measure in OF_VALIDATION for measure in self.measures)


class Half(NamedTuple):
    """Scores by candidate ``[seeds, cells]``, the truth ``[cells]``, and the cells' keys."""

    scores: dict[Candidate, np.ndarray]
    truth: np.ndarray
    keys: list[str]


class Decision(NamedTuple):
    """What the rule says.

    Attributes:
        winner: chosen by one half.
        usual: what it has to beat.
        tau: the winner's τ on the other half.
        gain: of the winner over the usual, there.
        share: the winner's cost as a share of the limit.
    """

    winner: Candidate
    usual: Candidate
    tau: metrics.Estimate
    gain: metrics.Estimate
    share: float

    @property
    def changed(self) -> bool:
        """Whether the default changes."""
        return self.gain.low > 0


def decide(
    choosing: Half,
    judging: Half,
    costs: Mapping[Candidate, float],
    usual: Candidate,
    limit: float,
) -> Decision:
    """The cheapest candidate within ``WITHIN`` of the best on the choosing half, if it holds.

    The default changes if, on the judging half, the candidate's τ is above that of the usual one by
    a 95 % interval over cells and seeds; otherwise it stays.

    Args:
        choosing, judging: with the same candidates, ``usual`` among them.
        costs: of each candidate, in any unit.
        usual: today's measure at the setting of the experiment that is nearest to today's.
        limit: the most that a candidate may cost, likewise: what today's default does.

    Raises:
        SettingError: no candidate costs so little.
    """
    winner = chosen(choosing, costs, limit)
    over = gain(judging, winner, usual)
    return Decision(winner, usual, tau(judging, winner), over, costs[winner] / limit)


def chosen(half: Half, costs: Mapping[Candidate, float], limit: float) -> Candidate:
    """The cheapest of those up to ``limit`` that is within ``WITHIN`` of their best τ.

    Raises:
        SettingError: there is none.
    """
    taus = {c: mean_tau(half, c) for c in half.scores if costs[c] <= limit}
    if not taus:
        raise SettingError(
            f"no candidate costs {limit:.3g} or less, the least costs {min(costs.values()):.3g}: "
            "give smaller settings"
        )
    enough = max(taus.values()) - WITHIN
    return min((c for c in taus if taus[c] >= enough), key=lambda c: (costs[c], -taus[c]))


def tau(half: Half, candidate: Candidate) -> metrics.Estimate:
    """Mean over seeds, with its interval over cells and seeds."""
    return metrics.over_seeds(
        metrics.kendall_tau, half.scores[candidate], half.truth, n_resamples=RESAMPLES
    )


def gain(half: Half, candidate: Candidate, other: Candidate) -> metrics.Estimate:
    """How much larger the candidate's τ is than the other's, likewise, on the same cells."""
    return metrics.paired_gain(
        half.scores[candidate], half.scores[other], half.truth, n_resamples=OF_GAINS
    )


def mean_tau(half: Half, candidate: Candidate) -> float:
    return float(np.mean([metrics.kendall_tau(s, half.truth) for s in half.scores[candidate]]))


def measured(
    found: Sequence[Scores], keys: list[str], measures: Sequence[str], pixels: int = 32
) -> dict[Candidate, np.ndarray]:
    """Every measure at every setting, ``[seeds, cells]``; NaN where there is none.

    Args:
        found: the scores of one request, a seed each.
        keys: cells, in the order of the columns of what is returned.
        measures: names of columns.
        pixels: a side of the images.
    """
    width = found[0].request.proxy.width
    return {
        Candidate((m,), setting.n_train, setting.ensemble, width, pixels): np.stack(
            [one.column(setting, m).reindex(keys).to_numpy(float) for one in found]
        )
        for setting in found[0].settings
        for m in measures
    }


def half(scores: Mapping[Candidate, np.ndarray], truth: pd.Series) -> Half:
    """Those cells that every candidate and seed has a score of; rank means of ``PAIRS`` join.

    Args:
        scores: ``[seeds, cells]``, NaN where there is none.
        truth: of the cells, in the same order, by key.
    """
    there = np.all([np.isfinite(s).all(0) for s in scores.values()], axis=0)
    found = {candidate: s[:, there] for candidate, s in scores.items()}
    for one in dict.fromkeys(candidate._replace(measures=()) for candidate in scores):
        for pair in PAIRS:
            if all(one._replace(measures=(m,)) in found for m in pair):
                both = [found[one._replace(measures=(m,))] for m in pair]
                ranks = [metrics.rank_mean(np.column_stack(s)) for s in zip(*both, strict=True)]
                found[one._replace(measures=pair)] = np.stack(ranks)
    return Half(found, truth.to_numpy(float)[there], truth.index[there].tolist())


def nearest(settings: Sequence[Setting], n_train: int = TODAY[0]) -> int:
    """The number of training images that is nearest, by its logarithm."""
    return min((s.n_train for s in settings), key=lambda n: abs(np.log(n / n_train)))


def sentence(decision: Decision, judging: Half, cost: str, *, full: bool) -> str:
    """The verdict; ``full`` names width and pixels too."""
    winner, own, gain = decision.winner, decision.tau, decision.gain
    seeds, cells = next(iter(judging.scores.values())).shape
    return (
        f"{'The default becomes' if decision.changed else 'The default stays; chosen was'} "
        f"{winner.name} at {where(winner, full=full)}: τ {own.value:.3f} [{own.low:.3f}, "
        f"{own.high:.3f}] on {cells} other cells by {seeds} other seeds, {gain.value:+.3f} "
        f"[{gain.low:.3f}, {gain.high:.3f}] over {decision.usual.name} at "
        f"{where(decision.usual, full=full)}, at {decision.share:.2f} of the default's {cost}."
    )


def where(candidate: Candidate, *, full: bool) -> str:
    """A candidate's setting in words."""
    look = f", width {candidate.width}, {candidate.pixels}×{candidate.pixels} pixels"
    return f"n_t {candidate.n_train}, M {candidate.ensemble}" + (look if full else "")
