"""Whether lag has returned to zero: positions of the books and of the groups against the ends of the topics."""

import asyncio
from time import monotonic
from typing import Any

from loadtests.chaos.checker.checks import sql
from loadtests.chaos.checker.log import Log
from loadtests.chaos.checker.options import Options
from loadtests.chaos.checker.report import Finding, Report

LOOK_S = 0.5
_UNDER_WAY = """
select count(*) from payments
where state not in ('settled', 'declined', 'released', 'expired', 'refunded', 'needs_operator')
"""
_STUCK = """
select pid, state, now() - xact_start as since from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'
  and xact_start < now() - interval '60 seconds'
"""
Lag = dict[str, tuple[int, int]]
"""By what is behind: where it stands, and where it should."""


async def check_liveness(connection: Any, log: Log, options: Options, report: Report) -> None:
    """Wait until nothing is behind and no payment under way; what still is after the limit is a finding."""
    deadline = monotonic() + options.wait_s
    while behind := await lag(connection, log, options):
        if monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_S)
    report.add(
        Finding("V", "lag has not returned to zero", what, f"stands at {at} of {end}")
        for what, (at, end) in behind.items()
    )
    report.add(
        Finding("V", "a transaction stays open", str(row["pid"]), f"{row['state']} for {row['since']}")
        for row in await connection.fetch(_STUCK)
    )
    report.checked("V", len(await log.spans(options.topics.payments)) + len(options.groups))


async def lag(connection: Any, log: Log, options: Options) -> Lag:
    """Give what is behind; a group that never committed anything stands at 0."""
    ends = await log.spans(options.topics.payments)
    positions = {
        row["partition"]: row["next_offset"]
        for row in await connection.fetch(sql("positions"), options.topics.payments)
    }
    found = behind(f"the books in {options.topics.payments}", positions, ends)
    for group, topic in options.groups.items():
        committed = await log.committed(group)
        at = {partition: offset for (name, partition), offset in committed.items() if name == topic}
        found |= behind(f"group {group} in {topic}", at, await log.spans(topic))
    under_way = await connection.fetchval(_UNDER_WAY)
    return found | ({"payments under way": (under_way, 0)} if under_way else {})


def behind(what: str, positions: dict[int, int], ends: dict[int, tuple[int, int]]) -> Lag:
    """Compare positions with the ends of partitions, those that hold nothing left aside."""
    return {
        f"{what} {partition}": (positions.get(partition, 0), end)
        for partition, (first, end) in ends.items()
        if end > first and positions.get(partition, 0) != end
    }
