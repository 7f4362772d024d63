"""Commands that are imported when they are used: each file needs other libraries, and all of them take seconds."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from keyword import iskeyword
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# In the order of `ledger --help`. A test compares the sentences with the commands' own.
HELP = {
    "up": "Start Kafka, PostgreSQL, the workers, the API and a provider here; a running stack is left as it is.",
    "down": "Stop the stack that `ledger up` started, whatever state it is in; its data stays.",
    "status": "Show each process of the stack: whether it is ready, and how often it was started again.",
    "demo": "Start a stack of its own, send payments, kill a worker on the way, and check the books. "
    "Exit 1 if wrong.",
    "migrate": "Make missing topics, migrate the books, and make partitions of time ahead. Safe to run again.",
    "worker": "Run a worker until SIGTERM, which finishes the running batches and commits.",
    "api": "Serve the HTTP API until SIGTERM, which lets running requests finish.",
    "key": "Keys of the API: create, list or revoke them.",
    "send": "Send events to the topic of payments, under the keys that keep each account's order.",
    "import": "Send the rows of a CSV as events. The same row is the same event: importing it again changes nothing.",
    "export": "Write entries, balances, a statement or a trial balance to a file, from one moment of the books.",
    "verify": "Check the books in SQL and against the topic itself. May run beside live traffic. "
    "Exit 1 on a violation.",
    "replay": "Run history again: dry, into a schema of its own, or into the live books. "
    "Exit 1 if it comes out otherwise.",
    "digest": "Print the digest of the books and of each tenant: equal where every account stands equal.",
    "compare": "Compare the books in two schemas, and name each account that differs. Exit 1 if one does.",
    "windows": "What the stream keeps for readers: rebuild it from the books when its changelog was lost.",
    "doctor": "Look for what is wrong with the set-up. Exit 1 if something is, 3 if a service is away.",
    "payments": "Payments that a provider makes: list or show them, retry or resolve those that need an operator.",
    "provider": "Providers of the tenants: set, list, show, check or remove them; seal their secrets anew.",
    "dlq": "Records that could not be events: list, show, edit, requeue or drop them.",
    "archive": "What Kafka will delete, kept in a directory or an object store: write, verify or list it.",
    "reset": "Make windows anew from the books, or set the workers' positions back. Refused while they run.",
    "chain": "The audit chain: make a key, export signed checkpoints, verify. Exit 1 if something was changed.",
    "gap": "Records that the books miss and the workers would pass by: show, rewind to them, or accept their loss.",
}


class Commands(TyperGroup):
    """The commands of HELP: their sentence for a list of them, the command itself for anything more."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = LoadedCommands()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(HELP)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Give what a list shows of it."""
        return TyperCommand(cmd_name, help=HELP[cmd_name]) if cmd_name in HELP else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, self.commands[name] if name else None, rest


class LoadedCommands(MutableMapping[str, Any]):
    """The commands themselves, each imported when it is asked for."""

    def __iter__(self) -> Iterator[str]:
        return iter(HELP)

    def __len__(self) -> int:
        return len(HELP)

    def __getitem__(self, name: str) -> Any:
        if name not in HELP:
            raise KeyError(name)
        return _load(name)

    def __setitem__(self, name: str, command: Any) -> None:
        raise TypeError("a command is a file in this folder, and a sentence in HELP")

    def __delitem__(self, name: str) -> None:
        raise TypeError("a command is a file in this folder, and a sentence in HELP")


def _load(name: str) -> Any:
    # A word that Python keeps for itself has a line behind it.
    module = f"{name}_" if iskeyword(name) else name
    found = getattr(import_module(f"streams.cli.{module}"), module)
    holder = typer.Typer(add_completion=False, callback=lambda: None)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    group: Any = typer.main.get_command(holder)
    return group.commands[name]
