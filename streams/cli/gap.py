"""`ledger gap`: records that the books miss and the workers would pass by."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import typer

from ledger.application.gaps import (
    BooksMovedError,
    Gap,
    GapHeldError,
    Gaps,
    GroupBusyError,
    NoGapError,
    Remedy,
)
from ledger.config import Settings
from streams.cli.asking import asked, confirm, user_name
from streams.cli.commands import HELP
from streams.cli.given import check_texts
from streams.cli.running import FOUND_WRONG, as_sentence, complain, print_json, refuse, told_faults
from streams.gaps import gaps

gap = typer.Typer(help=HELP["gap"], no_args_is_help=True)

Answer = TypeVar("Answer")

_YES = typer.Option(False, "--yes", help="Do not ask whether it is meant.")
_JSON = typer.Option(False, "--json", help="Print JSON.")

_HINTS = {
    GapHeldError: "`ledger gap rewind` goes back to them, and nothing is lost.",
    BooksMovedError: "`ledger gap show` looks again.",
    GroupBusyError: "Stop the workers. One that was killed is a member for LEDGER_SESSION_TIMEOUT_S more.",
    NoGapError: "`ledger gap show` lists what there is.",
}


@gap.command("show")
def show(json_output: bool = _JSON) -> None:
    """Show each gap, and what leaves it behind. Exit 1 if there is one."""
    found = _run(lambda use_case: use_case.find())
    if json_output:
        print_json({"gaps": [_facts(each) for each in found]})
    elif found:
        for each in found:
            print(_told(each))
    else:
        print("No gap: the workers pass by nothing that the books have not seen.")
    if found:
        raise typer.Exit(FOUND_WRONG)


@gap.command("accept")
def accept(
    topic: str | None = typer.Option(None, "--topic", help="LEDGER_PAYMENTS_TOPIC if not given."),
    partition: int = typer.Option(..., "--partition", min=0, help="The partition, as `show` tells it."),
    why: str | None = typer.Option(None, "--why", help="Why the books go on without them; asked for."),
    yes: bool = _YES,
    json_output: bool = _JSON,
) -> None:
    """Go on without records that the log no longer holds. Kept with who said so, and why, in accepted_gaps."""
    named = Settings().payments_topic
    if topic not in (None, named):
        refuse(f"The workers read {named}, which LEDGER_PAYMENTS_TOPIC sets, and not {topic}.")
    reasoned = (why or asked("Why?", "--why TEXT says why the books go on without them.")).strip()
    if not reasoned:
        refuse("--why is empty.")
    check_texts("--why", reasoned)
    if not yes:
        confirm(f"The books would go on without the records that {named}/{partition} lost.")
    passed = _run(lambda use_case: use_case.accept(named, partition, reasoned, user_name()))
    if json_output:
        print_json({"accepted": _facts(passed)})
    else:
        print(
            f"The books go on at {passed.topic}/{passed.partition}/{passed.next}, without {_count(passed)}."
        )


@gap.command("rewind")
def rewind(yes: bool = _YES, json_output: bool = _JSON) -> None:
    """Move the workers' consumer group back to where the books stand; workers then post what is missing."""
    if not yes:
        confirm("The consumer group would go back to where the books stand.")
    closed = _run(lambda use_case: use_case.rewind())
    if json_output:
        print_json({"rewound": [_facts(each) for each in closed]})
        return
    for each in closed:
        print(f"The group goes back to {each.topic}/{each.partition}/{each.first}, by {_count(each)}.")
    if not closed:
        print("Nothing to go back to: the group is nowhere beyond the books.")


def _run(work: Callable[[Gaps], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        async with gaps(Settings()) as use_case:
            return await work(use_case)

    try:
        with told_faults():
            return asyncio.run(run())
    except tuple(_HINTS) as error:
        complain(f"{as_sentence(str(error))}\n{_HINTS[type(error)]}")
        raise typer.Exit(FOUND_WRONG) from error


def _told(each: Gap) -> str:
    where = f"{each.topic}/{each.partition}: {_count(each)} from {each.first} to before {each.next}"
    if each.remedy is Remedy.REWIND:
        return (
            f"{where}, which the log still holds: `ledger replay --live --since-books --why TEXT` posts them as "
            "they were decided; or stop the workers, and `ledger gap rewind`"
        )
    return f"{where}, which are gone: `ledger gap accept --partition {each.partition} --why TEXT`"


def _count(each: Gap) -> str:
    return "1 record" if each.records == 1 else f"{each.records:,} records"


def _facts(each: Gap) -> dict[str, Any]:
    return {
        "topic": each.topic,
        "partition": each.partition,
        "first_offset": each.first,
        "next_offset": each.next,
        "records": each.records,
        "remedy": each.remedy,
    }
