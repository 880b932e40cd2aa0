"""The command and its groups; the other modules of this package add to them."""

from typing import Annotated

import typer

app = typer.Typer(
    help="Score neural architectures without training them, and say how good the signal is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
truth_app = typer.Typer(help="Benchmark tables: published accuracies to rank proxies against.")
app.add_typer(truth_app, name="truth", no_args_is_help=True)


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
