"""The command line, called in this process."""

from typer.testing import CliRunner

from nasproxy import cli


def run(*words: str) -> str:
    """Output of a command that succeeds; the user's errors are raised."""
    result = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output
