"""The command line: one command a file, put together here."""

import typer

from streams.cli.demo import demo
from streams.cli.dlq import dlq
from streams.cli.doctor import doctor
from streams.cli.down import down
from streams.cli.migrate import migrate
from streams.cli.running import told_settings
from streams.cli.send import send
from streams.cli.status import status
from streams.cli.up import up
from streams.cli.verify import verify
from streams.cli.worker import worker

app = typer.Typer(
    name="ledger",
    help="A stream-processing double-entry ledger: payment events in from Kafka, provable books in PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (up, down, status, demo, migrate, worker, send, verify, doctor):
    app.command()(command)
app.add_typer(dlq, name="dlq")


def main() -> None:
    """Run the command line."""
    with told_settings():
        app()
