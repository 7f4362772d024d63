"""The command line: one command a file, put together here."""

from importlib.metadata import version

import typer

from streams.cli.commands import Commands
from streams.cli.running import told_settings

app = typer.Typer(
    name="ledger",
    cls=Commands,
    help="A stream-processing double-entry ledger: payment events in from Kafka, provable books in PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"stream-ledger {version('stream-ledger')}")
        raise typer.Exit


# Without a callback of its own, typer takes an application that lists no commands for a mistake.
@app.callback()
def options(
    asked: bool = typer.Option(
        False, "--version", callback=_tell_version, is_eager=True, help="Print the version, and end."
    ),
) -> None:
    """Take the options that belong to no command."""


def main() -> None:
    """Run the command line."""
    with told_settings():
        app()
