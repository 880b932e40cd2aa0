"""Where commands print what people read, and what of a text a terminal gets to see."""

from rich.console import Console

LONGEST = 2_000
"""Characters of an error message: enough for what we write, few of what a file may hold."""


def console(*, stderr: bool = False) -> Console:
    """Prints names, paths and messages as they are: brackets are no markup, colons no emoji."""
    return Console(stderr=stderr, markup=False, emoji=False)


def harmless(text: str) -> str:
    """The text with control characters written out, but for line ends and tabs.

    Names come from stores and tables of others: an escape code in one would reach the terminal.
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def one_line(text: str) -> str:
    """A message as one line of bounded length."""
    line = harmless(" ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} … ({len(line):,} characters)"
