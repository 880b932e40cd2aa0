"""The command line: a thin shell over the functions of the package, a module a command."""

import sys
from importlib import import_module

from rich.text import Text

from nasproxy.cli.app import app
from nasproxy.cli.printing import console
from nasproxy.errors import NasproxyError

__all__ = ["app", "main"]

for _module in ("score", "rank", "search", "fit", "reproduce", "listing"):
    import_module(f"nasproxy.cli.{_module}")  # Adds its commands, in the order --help shows them.


def main() -> None:
    """The ``nasproxy`` command: the user's errors in one line, others with their traceback."""
    try:
        app()
    except NasproxyError as error:
        said = Text.assemble(("error:", "bold red"), f" {error}")
        console(stderr=True).print(said, soft_wrap=True)
        sys.exit(2)
