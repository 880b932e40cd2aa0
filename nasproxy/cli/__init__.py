"""The command line: a thin shell over the functions of the package, a module a command."""

import contextlib
import io
import os
import sys
from importlib import import_module

from rich.text import Text

from nasproxy.cli.app import app
from nasproxy.cli.printing import console, one_line
from nasproxy.errors import NasproxyError

__all__ = ["app", "main"]

for _module in (
    "score",
    "rank",
    "page",
    "show",
    "search",
    "fit",
    "kernel",
    "reproduce",
    "store",
    "listing",
):
    import_module(f"nasproxy.cli.{_module}")  # Adds its commands, in the order --help shows them.


def main() -> None:
    """The ``nasproxy`` command: the user's errors in one line, others with their traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # τ and ± are not in every encoding
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except NasproxyError as error:
        _say(str(error))
        sys.exit(2)
    except OSError as error:
        if error.filename is not None:  # Not the output's: a fault of ours.
            raise
        _say(f"the output cannot be written: {error.strerror}")
        # What is left unwritten would fail once more when Python ends.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _say(message: str) -> None:
    said = Text.assemble(("error:", "bold red"), f" {one_line(message)}")
    console(stderr=True).print(said, soft_wrap=True)
