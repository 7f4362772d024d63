"""`ledger down`: stops the stack of `ledger up`."""

import typer
from rich.console import Console

from ledger.config import Settings
from streams.embedded.errors import EmbeddedError
from streams.embedded.serve import shut_down
from streams.embedded.state import StateDirectory

SERVICE_AWAY = 3


def down() -> None:
    """Stop the stack that `ledger up` started, whatever state it is in; its data stays."""
    state = StateDirectory(Settings().state_dir)
    try:
        stopped = shut_down(state)
    except EmbeddedError as error:
        Console(stderr=True).print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(SERVICE_AWAY) from error
    print(f"The stack in {state} has stopped." if stopped else f"No stack runs in {state}.")
