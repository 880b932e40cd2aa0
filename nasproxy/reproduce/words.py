"""What sentences of reports share."""

from collections.abc import Iterable


def listed(items: Iterable[object]) -> str:
    """As a sentence lists them: "1, 2 and 3"."""
    words = [str(item) for item in items]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
