"""`ledger reset`: what workers keep beside the books, made anew or set back while they are stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import typer

from ledger.application.gaps import GroupBusyError
from ledger.application.reset_positions import ForgottenError, Move, NoPartitionError, ResetPositions, To
from ledger.config import Settings
from streams.cli.asking import confirm
from streams.cli.commands import HELP
from streams.cli.moments import MomentFormatError, parse_moment
from streams.cli.running import FOUND_WRONG, as_sentence, complain, print_json, refuse, told_faults
from streams.cli.windows import rebuild
from streams.gaps import resetting

reset = typer.Typer(help=HELP["reset"], no_args_is_help=True)
reset.command("windows")(rebuild)

Answer = TypeVar("Answer")

_HINTS = {
    GroupBusyError: "Stop the workers. One that was killed is a member for LEDGER_SESSION_TIMEOUT_S more.",
    ForgottenError: "--to TIME goes back less far; `ledger replay --into NAME` can replay all of it.",
}


@reset.command("positions")
def positions(
    to: str = typer.Option(
        "books", "--to", metavar="WHERE", help="books, beginning, or a time: 2026-11-21T10:00:00Z, 2h ago."
    ),
    partition: list[int] = typer.Option(
        [], "--partition", min=0, help="Only this partition; may be repeated."
    ),
    yes: bool = typer.Option(False, "--yes", help="Do not ask whether it is meant."),
    json_output: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Set the posting workers back, never past the books: what was handled is recognised, and published again."""
    where = _where(to)
    meant = _run(lambda use_case: use_case.plan(where, partition))
    if meant and not yes:
        confirm(f"{'; '.join(map(_told, meant))}.")
    moved = _run(lambda use_case: use_case(where, partition)) if meant else meant
    if json_output:
        print_json({"moved": [_facts(each) for each in moved]})
        return
    for each in moved:
        print(f"{_told(each)}.")
    if not moved:
        print("Nothing to move: the group is there already.")


def _where(text: str) -> To:
    if text in ("books", "beginning"):
        return To(beginning=text == "beginning")
    try:
        return To(since=parse_moment(text, datetime.now(UTC)))
    except MomentFormatError as error:
        refuse(f"--to is books, beginning, or a time: {error}")


def _run(work: Callable[[ResetPositions], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        async with resetting(Settings()) as use_case:
            return await work(use_case)

    try:
        with told_faults():
            return asyncio.run(run())
    except NoPartitionError as error:
        refuse(str(error))
    except tuple(_HINTS) as error:
        complain(f"{as_sentence(str(error))}\n{_HINTS[type(error)]}")
        raise typer.Exit(FOUND_WRONG) from error


def _told(move: Move) -> str:
    before = "nowhere" if move.before is None else f"{move.before}"
    return f"{move.topic}/{move.partition} goes from {before} to {move.after}"


def _facts(move: Move) -> dict[str, Any]:
    return {"topic": move.topic, "partition": move.partition, "from": move.before, "to": move.after}
