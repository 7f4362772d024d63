"""What a run costs: bytes in PostgreSQL and in Kafka, the write-ahead log, and what the worker's steps took."""

import re
from typing import Any

import aiohttp

from loadtests.bench.results import Point
from loadtests.bench.stage import Stage
from loadtests.cpu import CpuMeter

_TABLES = """
select coalesce(p.inhparent::regclass::text, c.oid::regclass::text) as name,
       sum(pg_relation_size(c.oid)) as rows, sum(pg_indexes_size(c.oid)) as indexes,
       sum(pg_total_relation_size(c.oid)) as total
from pg_class c left join pg_inherits p on p.inhrelid = c.oid
where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
group by 1
"""
_WAL = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
_STEP = re.compile(r'^ledger_step_seconds_sum\{step="(\w+)"\} (\S+)$', re.MULTILINE)

KAFKA, PAYMENTS = "kafka_bytes", "kafka_bytes.payments"
Costs = dict[str, float]


async def costs(stage: Stage, connection: Any) -> Costs:
    """Read all counters: `postgres_bytes`, the same of each table, `wal_bytes`, `kafka_bytes`, of each topic."""
    found: Costs = {"wal_bytes": float(await connection.fetchval(_WAL))}
    for row in await connection.fetch(_TABLES):
        if row["total"]:
            found[f"postgres_bytes.{row['name'].split('.')[-1]}"] = float(row["total"])
    found["postgres_bytes"] = sum(size for name, size in found.items() if name.startswith("postgres_bytes."))
    for topic in stage.topics:
        if (size := stage.servers.log_bytes([topic])) is not None:
            found[f"kafka_bytes.{topic.partition('.')[2]}"] = float(size)
    found["kafka_bytes"] = sum(size for name, size in found.items() if name.startswith("kafka_bytes."))
    return found


def spent(before: Costs, after: Costs, share: float = 1.0) -> Costs:
    """Give what was added. The topic of payments was filled before: of it, the share of the events that count."""
    added = {name: size - before.get(name, 0.0) for name, size in after.items() if name != KAFKA}
    if PAYMENTS in added:
        added[PAYMENTS] = round(after[PAYMENTS] * share)
    added[KAFKA] = sum(size for name, size in added.items() if name.startswith(f"{KAFKA}."))
    return {name: size for name, size in added.items() if size}


async def steps(stage: Stage) -> dict[str, float]:
    """Sum up what the steps of the posting workers' chunks took, in seconds, from their metrics."""
    found: dict[str, float] = {}
    async with aiohttp.ClientSession() as http:
        for number in range(1, stage.wishes.workers + 1):
            async with http.get(f"{stage.url(f'worker-{number}')}/metrics") as answer:
                for step, seconds in _STEP.findall(await answer.text()):
                    found[step] = round(found.get(step, 0.0) + float(seconds), 2)
    return found


def memory(meter: CpuMeter) -> dict[str, list[Point]]:
    """Give the memory of each process as series."""
    return {
        f"memory_mib.{name}": [Point(at_s, mib) for at_s, mib in points]
        for name, points in sorted(meter.memory_mib.items())
    }
