"""Where commands print what people read."""

from rich.console import Console

from nasproxy.errors import harmless, one_line

__all__ = ["console", "harmless", "one_line"]


def console(*, stderr: bool = False) -> Console:
    """Prints names, paths and messages as they are: brackets are no markup, colons no emoji."""
    return Console(stderr=stderr, markup=False, emoji=False)
