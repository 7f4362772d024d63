"""The command line: one command a file, put together here."""

import typer

from streams.cli.commands import Commands
from streams.cli.running import told_settings

app = typer.Typer(
    name="ledger",
    cls=Commands,
    # Without one of its own, typer takes an application that lists no commands for a mistake.
    callback=lambda: None,
    help="A stream-processing double-entry ledger: payment events in from Kafka, provable books in PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    with told_settings():
        app()
