"""The whole check, in its order: lag first, then the log beside the books, then what others show of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from loadtests.chaos.checker.chain import check_chain
from loadtests.chaos.checker.checks import run_checks, sql
from loadtests.chaos.checker.deciding import judge_decisions
from loadtests.chaos.checker.history import check_history
from loadtests.chaos.checker.liveness import check_liveness
from loadtests.chaos.checker.loading import (
    INDEXES,
    STATISTICS,
    TABLES,
    load_entries,
    load_letters,
    load_outcomes,
    load_payments,
    load_sent,
)
from loadtests.chaos.checker.log import Log
from loadtests.chaos.checker.options import Options
from loadtests.chaos.checker.providers import check_provider
from loadtests.chaos.checker.reading import check_reads
from loadtests.chaos.checker.rebuild import check_rebuild
from loadtests.chaos.checker.report import Report
from loadtests.chaos.checker.tenancy import check_tenancy

API_WAIT_S = 15.0


async def check(options: Options, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Check everything that the options name; what they leave out is noted as not run.

    `tell` hears what is looked at next.
    """
    report = Report(tell)
    async with connected(options) as connection, Log.open(options.kafka) as log:
        await check_liveness(connection, log, options, report)
        await connection.execute(STATISTICS)
        async with connection.transaction(isolation="repeatable_read"):
            await load(connection, log, options, tell)
            await check_loaded(
                connection,
                options.topics.payments,
                report,
                after_loss=options.after_loss,
                chained=options.chained,
            )
            await check_tenancy(connection, options.schema, report)
            await _check_reads(connection, options, report)
            if options.provider is None:
                report.note("S", "the provider's book was not read: no --provider")
            else:
                await check_provider(connection, options.provider, options.provider_name, report)
        await _check_rebuild(connection, options, report)
    return report


async def load(
    connection: Any, log: Log, options: Options, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Put what Kafka holds, and what was sent, into temporary tables."""
    topics = options.topics
    tell("reading the topics")
    await connection.execute(TABLES)
    spans = await log.spans(topics.payments)
    await connection.copy_records_to_table(
        "spans", records=[(partition, *span) for partition, span in spans.items()]
    )
    await load_payments(connection, log.read(topics.payments))
    await load_outcomes(connection, log.read(topics.outcomes))
    await load_entries(connection, log.read(topics.entries))
    await load_letters(connection, log.read(topics.dead_letters))
    await load_sent(connection, options.sent, topics.payments)
    tell("making indexes")
    await connection.execute(INDEXES)


async def check_loaded(
    connection: Any, topic: str, report: Report, *, after_loss: bool = False, chained: bool = False
) -> None:
    """Compare what was loaded with the books, by SQL and by the model."""
    await run_checks(connection, report, topic, chained=chained)
    report.tell("walking the audit chain")
    await check_chain(connection, report)
    report.tell("judging decisions")
    await judge_decisions(connection, report, topic, after_loss=after_loss)
    report.figures = dict(await connection.fetchrow(sql("figures"), topic))
    report.checked("L", report.figures["records"] + report.figures["acknowledged"])


async def _check_reads(connection: Any, options: Options, report: Report) -> None:
    if options.reads:
        await check_history(connection, options.reads, report)
    if options.api is None or not options.api_keys:
        for invariant in ("R", "W"):
            report.note(invariant, "nothing was read through the API: no --api and --api-key")
        return
    for key in options.api_keys:
        await check_reads(connection, options.api, key, options.sample, API_WAIT_S, report)


async def _check_rebuild(connection: Any, options: Options, report: Report) -> None:
    if not options.rebuild:
        report.note("P", "nothing was replayed: no --rebuild")
        return
    report.tell("making books anew")
    pid = await connection.fetchval("select pg_backend_pid()")
    await check_rebuild(connection, options, report, f"{options.schema}_anew_{pid}")


@asynccontextmanager
async def connected(options: Options) -> AsyncIterator[Any]:
    """Connect to the books, as one who sees every tenant's rows."""
    settings = {"search_path": options.schema, "statement_timeout": "0", "work_mem": "128MB", "jit": "off"}
    connection = await asyncpg.connect(options.postgres, server_settings=settings)
    try:
        sees_all = await connection.fetchval(
            "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
        )
        if not sees_all:
            await connection.execute("set role ledger_worker")
        yield connection
    finally:
        await connection.close()
