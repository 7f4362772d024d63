"""The checks in SQL: a file each, whose rows (subject, detail) are what breaks the invariant."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.chaos.checker.report import SHOWN_MAX, Finding, Report

DIRECTORY = Path(__file__).parent / "sql"


class Check(NamedTuple):
    """One file `sql/{file}.sql`: which invariant it is of, and what its rows are."""

    invariant: str
    what: str
    file: str
    needs_log: bool = True
    """False: it looks at the books alone."""
    needs_chain: bool = False
    """True: it holds where a worker of the audit chain has come to the end."""


CHECKS = (
    Check("Z", "a transaction does not sum to zero", "zero_transactions", needs_log=False),
    Check("Z", "a tenant does not sum to zero", "zero_tenants", needs_log=False),
    Check("O", "a transaction without a posted event", "once_strays", needs_log=False),
    Check("O", "a posted event without its transaction", "once_unposted", needs_log=False),
    Check("O", "an event has two outcomes", "once_two_outcomes"),
    Check("O", "a repeated outcome differs", "once_repeats"),
    Check("O", "an outcome is told otherwise than it is in the books", "once_told_otherwise"),
    Check("O", "an outcome was told of what is not in the books", "once_told_unknown"),
    Check("O", "an outcome was never told as it stands", "once_untold"),
    Check("O", "a repeated event was not answered as one", "once_unanswered"),
    Check("O", "an event that came once was answered as a duplicate", "once_called_duplicate"),
    Check("L", "less: an event left no trace", "loss_events"),
    Check("L", "less: a record that is no event is no dead letter", "loss_letters"),
    Check("L", "less: an acknowledged record is not in the log", "loss_acked"),
    Check("L", "less: an entry was never published", "loss_entries"),
    Check("L", "less: a dead letter was never published", "loss_letters_told"),
    Check("L", "more: the books know of a record that is not there", "more_events"),
    Check("L", "more: a dead letter of a record that is not there", "more_letters"),
    Check("L", "more: the log holds what nobody sent", "more_records"),
    Check("L", "less: a transaction has no link", "chain_unlinked", needs_log=False, needs_chain=True),
    Check("L", "more: a link of no transaction", "chain_strays", needs_log=False),
    Check("L", "changed: the books know a record otherwise", "changed_events"),
    Check("L", "changed: a dead letter is not its record", "changed_letters"),
    Check("L", "changed: the log holds other bytes than were acknowledged", "changed_records"),
    Check("B", "a balance is not the sum of its entries", "balances_sums", needs_log=False),
    Check("B", "a balance is not its last entry", "balances_last", needs_log=False),
    Check("B", "versions have a gap", "balances_versions", needs_log=False),
    Check("B", "running totals do not follow", "balances_running", needs_log=False),
    Check("B", "a balance is below its overdraft", "balances_floor", needs_log=False),
    Check("B", "what is held is not the sum of open holds", "balances_held", needs_log=False),
    Check("B", "a closed account is not empty", "balances_closed", needs_log=False),
    Check("B", "an entry was published otherwise than it is in the books", "balances_told"),
    Check("S", "a hold is not captured + released + left", "sagas_holds", needs_log=False),
    Check("S", "a hold was not captured as its transactions say", "sagas_captured", needs_log=False),
    Check("S", "more was reversed than was posted", "sagas_reversed", needs_log=False),
    Check("S", "a payment is not at an end", "sagas_open", needs_log=False),
    Check("S", "a payment and its hold end otherwise", "sagas_ends", needs_log=False),
    Check("S", "a hold outlived its time", "sagas_expired", needs_log=False),
    Check("T", "a row refers to another tenant's", "tenants_rows", needs_log=False),
    Check("T", "an outcome or entry was told under another tenant", "tenants_told"),
)

COUNTS = {
    "Z": "select count(*) from transactions",
    "O": "select count(*) from processed_events",
    "B": "select count(*) from balances",
    "S": "select (select count(*) from holds) + (select count(*) from payments)",
    "T": "select count(*) from entries",
}


async def run_checks(
    connection: Any, report: Report, topic: str, *, with_log: bool = True, chained: bool = False
) -> None:
    """Run them on a connection whose search path is the schema of the books."""
    for check in CHECKS:
        if (with_log or not check.needs_log) and (chained or not check.needs_chain):
            report.tell(check.file)
            report.add([finding async for finding in run(connection, check, topic)])
    for invariant, query in COUNTS.items():
        report.checked(invariant, await connection.fetchval(query))


async def run(connection: Any, check: Check, topic: str) -> Any:
    """Give the findings of one check; beyond the first many, they are counted only."""
    query = sql(check.file)
    arguments = [topic] if "$1" in query else []
    number = 0
    async for row in connection.cursor(query, *arguments, prefetch=1000):
        number += 1
        detail = str(row["detail"]) if number <= SHOWN_MAX else ""
        yield Finding(check.invariant, check.what, str(row["subject"]), detail)


def sql(name: str) -> str:
    """Read a statement."""
    return (DIRECTORY / f"{name}.sql").read_text()


def files() -> Iterator[str]:
    """Name all statements."""
    return (path.stem for path in sorted(DIRECTORY.glob("*.sql")))
