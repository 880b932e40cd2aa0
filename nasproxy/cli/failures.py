"""Why architectures could not be scored."""

from collections.abc import Mapping


def commonest(reasons: Mapping[str, int]) -> str:
    """The commonest of the reasons that `score` and `search` count: its number and first line."""
    reason, count = next(iter(reasons.items()))
    return f"{count} of them because of {reason.splitlines()[0]}"
