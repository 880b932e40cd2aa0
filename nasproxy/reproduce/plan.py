"""What a run is going to compute, what of it is stored, and about how long the rest takes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

SMALLEST_RESOLVED = 0.2
"""Half-width of a 95 % interval of Kendall's τ from which on nothing is decided: the differences
that the papers' claims rest on are of .05 to .15."""
SHOWN = 3
"""Needs that a sentence names; the lines before it have them all."""


class Planned(NamedTuple):
    """Scores that experiments need.

    Attributes:
        need: what studies call them.
        run: as stores know them: space, proxy, data, seed.
        wanted: architectures to score.
        stored: of them, what the store holds.
        seconds: median of a score that is stored; None where none is.
    """

    need: str
    run: tuple[str, str, str, int]
    wanted: int
    stored: int
    seconds: float | None

    @property
    def left(self) -> int:
        return self.wanted - self.stored


class Plan(NamedTuple):
    """All of a run, each run of a proxy once.

    Attributes:
        scores: what is needed.
        ranked: architectures that rankings are of; None where nothing is ranked.
    """

    scores: Sequence[Planned]
    ranked: int | None

    @classmethod
    def of(cls, scores: Sequence[Planned], ranked: int | None) -> "Plan":
        """Where several needs ask for the same scores, those that ask for most of them."""
        most: dict[tuple[str, str, str, int], Planned] = {}
        for one in scores:
            if one.run not in most or one.wanted > most[one.run].wanted:
                most[one.run] = one
        return cls(list(most.values()), ranked)

    @property
    def unknown(self) -> list[str]:
        """Needs of which nothing says how long they take."""
        return [one.need for one in self.scores if one.left and one.seconds is None]

    @property
    def seconds(self) -> float:
        """What is left to compute, of what is known."""
        return sum(one.left * (one.seconds or 0.0) for one in self.scores)

    def lines(self) -> list[str]:
        """The plan in words."""
        wanted, left = (sum(getattr(p, what) for p in self.scores) for what in ("wanted", "left"))
        lines = [f"plan: {wanted:,} scores of {len(self.scores)} kinds, {left:,} to compute"]
        for one in self.scores:
            each = "" if one.seconds is None else f", {one.seconds:.2g} s each"
            lines.append(f"  {one.need}: {one.wanted:,}, {one.stored:,} stored{each}")
        return lines

    def estimate(self) -> str:
        """How long the rest takes, in words."""
        if not any(one.left for one in self.scores):
            return "estimate: nothing is left to compute"
        unknown = self.unknown
        if not unknown:
            return f"estimate: about {duration(self.seconds)} on this machine, one process"
        shown = unknown[:SHOWN]
        more = f" and {len(unknown) - SHOWN} more" if unknown[SHOWN:] else ""
        why = f"no score of {', '.join(shown)}{more} is stored, of which to read the seconds"
        if self.seconds == 0:
            return f"estimate: none yet: {why}"
        return (
            f"estimate: about {duration(self.seconds)} on this machine, one process, for a part: "
            f"{why}"
        )


def resolution(n: int) -> float:
    """Half-width of a 95 % interval of Kendall's τ of n architectures without relation.

    1.96 √(2 (2n + 5) / (9 n (n − 1))), the normal approximation of Kendall (1938).
    """
    return 1.96 * math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1))) if n > 1 else math.inf


def caution(ranked: int | None) -> str:
    """A sentence to put before verdicts of too few architectures, or nothing."""
    if ranked is None or resolution(ranked) <= SMALLEST_RESOLVED:
        return ""
    enough = next(n for n in range(2, 10_000) if resolution(n) <= SMALLEST_RESOLVED)
    return (
        f"Too few for a verdict: of {ranked} architectures τ is known to ±{resolution(ranked):.2f} "
        f"at best; what follows shows the form only. From {enough} on it is "
        f"±{SMALLEST_RESOLVED:.2f}."
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, to two digits."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} s"
