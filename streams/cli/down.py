"""`ledger down`: stops the stack of `ledger up`."""

import typer

from ledger.config import Settings
from streams.cli.running import SERVICE_AWAY, complain
from streams.embedded.errors import EmbeddedError
from streams.embedded.serve import shut_down
from streams.embedded.state import StateDirectory


def down() -> None:
    """Stop the stack that `ledger up` started, whatever state it is in; its data stays."""
    state = StateDirectory(Settings().state_dir)
    try:
        stopped = shut_down(state)
    except EmbeddedError as error:
        complain(str(error))
        raise typer.Exit(SERVICE_AWAY) from error
    print(f"The stack in {state} has stopped." if stopped else f"No stack runs in {state}.")
