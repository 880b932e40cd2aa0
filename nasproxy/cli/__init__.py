"""The command line: a thin shell over the functions of the package, a module a command."""

import sys
from importlib import import_module

from rich.console import Console

from nasproxy.cli.app import app
from nasproxy.errors import NasproxyError

__all__ = ["app", "main"]

for _module in ("score", "rank", "search", "fit", "reproduce", "listing"):
    import_module(f"nasproxy.cli.{_module}")  # Adds its commands, in the order --help shows them.


def main() -> None:
    """The ``nasproxy`` command: the user's errors in one line, others with their traceback."""
    try:
        app()
    except NasproxyError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
