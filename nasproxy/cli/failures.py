"""Why architectures could not be scored, and what the exit code says of it."""

from collections.abc import Mapping

NOTHING_SCORED = 1
"""Exit code of a run in which no architecture has a score."""


def commonest(reasons: Mapping[str, int]) -> str:
    """The commonest of the reasons that `score` and `search` count: its number and the reason."""
    reason, count = next(iter(reasons.items()))
    return f"{count} of them because of {reason}"


def old(before: Mapping[str, int]) -> str:
    """What to do about failures that the store held already, or nothing."""
    if not before:
        return ""
    return f" ({sum(before.values())} are of earlier runs: --retry-failed computes them again)"
