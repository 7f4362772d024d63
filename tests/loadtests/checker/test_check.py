"""On a ledger that is right the checker finds nothing, and says what it looked at."""

import dataclasses

from loadtests.chaos.checker.run import check, connected
from tests.loadtests.checker.stage import Stage


async def test_a_ledger_that_is_right_is_found_right(stage: Stage) -> None:
    report = await check(dataclasses.replace(stage.options, rebuild=True))

    told = "\n".join(report.lines())
    assert report.ok, told
    assert all(each.checked for each in report.invariants.values()), told
    assert report.verdict() == "equal"
    assert await known_rows(stage, "tenants") > 0, (
        "how small tables are, PostgreSQL finds out only when told to"
    )


async def known_rows(stage: Stage, table: str) -> float:
    """Say how many rows the planner believes a table to have; less than none: it was never looked at."""
    async with connected(stage.options) as connection:
        return float(
            await connection.fetchval("select reltuples from pg_class where oid = $1::regclass", table)
        )
