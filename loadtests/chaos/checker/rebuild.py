"""Books made anew from the topic by the ledger's own command; that they are equal is counted by us."""

import asyncio
import os
import sys
from typing import Any

from loadtests.chaos.checker.options import Options
from loadtests.chaos.checker.report import Finding, Report

REBUILD_S_MAX = 1800.0
_DIFFERENT = {
    "a balance is otherwise after a replay": """
        select t.code || '/' || a.code || ' ' || b.asset as subject, b.posted_debits, b.posted_credits, b.version
        from {schema}.balances b join {schema}.accounts a using (tenant_id, account_id)
        join {schema}.tenants t using (tenant_id)""",
    "an outcome is otherwise after a replay": """
        select t.code || '/' || p.event_id as subject, p.kind, p.reason, p.type
        from {schema}.processed_events p join {schema}.tenants t using (tenant_id)""",
    "an entry is otherwise after a replay": """
        select t.code || '/' || a.code || ' ' || e.asset || ' version ' || e.version as subject,
               e.event_id, e.amount, e.posted_at
        from {schema}.entries e join {schema}.balances b using (tenant_id, balance_id)
        join {schema}.accounts a using (tenant_id, account_id) join {schema}.tenants t using (tenant_id)""",
    "a hold is otherwise after a replay": """
        select t.code || '/' || h.event_id as subject, h.state, h.captured, h.released, h.amount_left
        from {schema}.holds h join {schema}.tenants t using (tenant_id)""",
}


async def check_rebuild(connection: Any, options: Options, report: Report, name: str) -> None:
    """Have the ledger replay the topic into the schema `name`, compare, and drop it."""
    code, said = await _replay(options, name)
    try:
        if code != 0:
            report.add([Finding("P", "the replay ended with a fault", name, f"exit {code}: {said[-500:]}")])
        if await connection.fetchval("select to_regnamespace($1) is not null", name):
            await compare_books(connection, report, options.schema, name)
    finally:
        await connection.execute(f'drop schema if exists "{name}" cascade')


async def compare_books(connection: Any, report: Report, ours: str, anew: str) -> None:
    """Compare two schemas row by row: balances, outcomes, entries, holds; times of what is left in them too."""
    for what, query in _DIFFERENT.items():
        first, second = (query.format(schema=f'"{schema}"') for schema in (ours, anew))
        report.checked("P", await connection.fetchval(f"select count(*) from ({first}) rows"))  # noqa: S608
        both = (
            f"select coalesce(l.subject, r.subject) as subject, l::text as ours, r::text as anew "  # noqa: S608
            f"from ({first}) l full join ({second}) r using (subject) where l::text is distinct from r::text"
        )
        async with connection.transaction():
            async for row in connection.cursor(both):
                detail = f"{row['ours']} and anew {row['anew']}"
                report.add([Finding("P", what, row["subject"], detail)])


async def _replay(options: Options, name: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams.cli", "replay", "--into", name, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(options),
    )
    said, _ = await asyncio.wait_for(process.communicate(), REBUILD_S_MAX)
    return process.returncode or 0, said.decode(errors="replace")


def _environment(options: Options) -> dict[str, str]:
    topics = options.topics
    return {
        **os.environ,
        "LEDGER_KAFKA_BOOTSTRAP": options.kafka,
        "LEDGER_POSTGRES_DSN": options.postgres,
        "LEDGER_POSTGRES_SCHEMA": options.schema,
        "LEDGER_PAYMENTS_TOPIC": topics.payments,
        "LEDGER_OUTCOMES_TOPIC": topics.outcomes,
        "LEDGER_ENTRIES_TOPIC": topics.entries,
        "LEDGER_DEAD_LETTERS_TOPIC": topics.dead_letters,
    }
