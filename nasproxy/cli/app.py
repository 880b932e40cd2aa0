"""The command and its groups; the other modules of this package add to them."""

import typer

app = typer.Typer(
    help="Score neural architectures without training them, and say how good the signal is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
truth_app = typer.Typer(help="Benchmark tables: published accuracies to rank proxies against.")
app.add_typer(truth_app, name="truth", no_args_is_help=True)
