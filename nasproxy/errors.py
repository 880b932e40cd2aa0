"""The errors that a user can cause, each naming the value, what is accepted and what to do next."""

LONGEST = 2_000
"""Characters of a message: enough for what we write, few of what a file or a setting may hold."""


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


class NasproxyError(Exception):
    """Base of every error that is the input's fault; the command line prints no traceback.

    What it says is one line of bounded length, whatever of the input it quotes.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(str(message)))


class ArchitectureError(NasproxyError, ValueError):
    """An architecture that its search space does not contain."""


class DataError(NasproxyError, ValueError):
    """A data set that cannot be scored on as it is."""


class TruthError(NasproxyError, ValueError):
    """A benchmark table or file that cannot be read or joined."""


class StoreError(NasproxyError, RuntimeError):
    """A store that cannot be used; it is left as it was found."""


class ScoringError(NasproxyError, RuntimeError):
    """What ends a run of scores and is no architecture's fault; what was scored is stored."""


class SettingError(NasproxyError, ValueError):
    """A setting out of its range, or one that does not exist."""


class DependencyError(NasproxyError, ImportError):
    """A package that only some features need, and that is not installed or does not work."""


class DivergedError(NasproxyError, ArithmeticError):
    """An iteration whose loss is no longer finite, or grows where it should fall."""
