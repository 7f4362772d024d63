"""The decisions of the books, streamed from the tables through the model."""

from collections.abc import AsyncIterator
from typing import Any

import orjson

from loadtests.chaos.checker.ahead import rows_ahead
from loadtests.chaos.checker.checks import sql
from loadtests.chaos.checker.events import Event, read_record
from loadtests.chaos.checker.judging import Decision, Entry, Judge
from loadtests.chaos.checker.model import Model
from loadtests.chaos.checker.report import Report
from loadtests.chaos.checker.state import Limits

AT_ONCE = 2_000
SAGAS = "ledger/payments"
"""The source of what sagas publish."""


async def judge_decisions(connection: Any, report: Report, topic: str, *, after_loss: bool = False) -> None:
    """Judge all decisions, in their order; without the log from its beginning there is nothing to judge them by.

    `after_loss`: sagas may have forgotten steps that they published, and that the books have.
    """
    if await connection.fetchval("select coalesce(max(first), 0) from spans"):
        report.note("O", "decisions were not judged: the log does not go back to its beginning")
        return
    judge = Judge(await make_model(connection, after_loss=after_loss))
    async for decision in decisions(connection, topic):
        report.add(judge.take(decision))
    report.add(judge.end())
    report.checked("O", judge.count)


async def make_model(connection: Any, limits: Limits | None = None, *, after_loss: bool = False) -> Model:
    """Make the model of books in which nothing has happened yet."""
    movers: dict[tuple[str, str], set[str]] = {}
    forgotten = await connection.fetch(sql("forgotten_movers"), SAGAS) if after_loss else []
    for row in [*await connection.fetch(sql("movers")), *forgotten]:
        movers.setdefault((row["tenant"], row["id"]), set()).add(row["event_id"])
    return Model(
        limits or Limits(),
        {
            row["code"]: row["auto_open"]
            for row in await connection.fetch("select code, auto_open from tenants")
        },
        {(row["tenant"], row["name"]) for row in await connection.fetch(sql("known_providers"))},
        {(row["tenant"], row["id"]) for row in await connection.fetch(sql("reversed_ids"))},
        movers,
    )


async def decisions(connection: Any, topic: str) -> AsyncIterator[Decision]:
    """Give what the books decided, in the order of time, partition and offset."""
    async for row in rows_ahead(connection, sql("decisions"), topic, at_once=AT_ONCE):
        yield Decision(
            row["tenant"],
            row["id"],
            row["kind"],
            row["reason"],
            row["posted_at"],
            row["partition"],
            _event(row["value"]),
            [Entry(*entry) for entry in orjson.loads(row["entries"] or "[]")],
        )


def _event(value: str | None) -> Event | None:
    found = read_record(value.encode()) if value is not None else None
    return found if isinstance(found, Event) else None
