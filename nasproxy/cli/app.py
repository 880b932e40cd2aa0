"""The command and its groups; the other modules of this package add to them."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from nasproxy.errors import SettingError


class Command(TyperCommand):
    """A command that takes an option once, unless it is one for several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuses what is repeated: the last would win in silence."""
        given = [word.partition("=")[0] for word in args]
        for option in self.params:
            names = [*getattr(option, "opts", ()), *getattr(option, "secondary_opts", ())]
            count = sum(given.count(name) for name in names if name.startswith("-"))
            if count > 1 and not getattr(option, "multiple", False):
                raise SettingError(f"{names[0]} is given {count} times: give it once")
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Score neural architectures without training them, and say how good the signal is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
truth_app = typer.Typer(help="Benchmark tables: published accuracies to rank proxies against.")
app.add_typer(truth_app, name="truth", no_args_is_help=True)
store_app = typer.Typer(help="Stores of scores: what they hold, whether they are whole, merging.")
app.add_typer(store_app, name="store", no_args_is_help=True)
kernel_app = typer.Typer(help="Kernels beyond memory: tiles on disk, by any number of machines.")
app.add_typer(kernel_app, name="kernel", no_args_is_help=True)


def _say_version(asked: bool) -> None:
    if asked:
        import nasproxy

        typer.echo(f"nasproxy {nasproxy.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say it and exit."),
    ] = False,
) -> None:
    pass
