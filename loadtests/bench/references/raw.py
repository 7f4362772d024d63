"""The yardstick: one connection that writes the rows of `uniform` by the fastest means found, and does nothing else.

The tables, columns, indexes, constraints and triggers are those of the product's migrations, the server is the
same with the same durability, and a transaction has as many events as a worker's at most. Everything is known
beforehand: values are worked out, balances added up, accounts open. Nothing is read from Kafka, decided, locked, or
published, and no position is kept. What remains is what it takes one connection to write these rows: they are packed
for COPY while the server writes those before, and ids are claimed as a ledger can, by `insert … on conflict do nothing`
from a temporary table.

`floor=True` leaves out what can be left out of that as well, so that PostgreSQL alone remains: rows are packed before
anything is measured, and ids go by COPY straight into processed_events. Its primary key refuses one that is there,
and with it the whole batch, so that no ledger could go on with the others.

Tried, and slower, by the processor time of server and client together: claims from arrays, balances handed over as
arrays that asyncpg encodes, rows that asyncpg encodes instead of a packer that knows them. Without a difference that
could be shown: balances handed over by COPY into a temporary table, entries in the order of their key, other joins of
the update. Waiting for the disk at the end of a batch is a small part: without it (`synchronous_commit = off`)
nothing is gained that shows.
"""

from time import perf_counter

from loadtests.bench.check import check_books
from loadtests.bench.cost import costs, spent
from loadtests.bench.references.writing import Claiming, prepared, writer
from loadtests.bench.results import Measured
from loadtests.bench.stage import Stage
from loadtests.cpu import CpuMeter
from loadtests.workloads import named

CASE = "reference/raw"
FLOOR_CASE = f"{CASE}@floor"


async def measure(stage: Stage, events: int, seed: int, *, floor: bool = False) -> Measured:
    """Write the preamble of `uniform`, then measure `events` of its transfers."""
    workload, claiming = named("uniform"), Claiming.COPY if floor else Claiming.INSERT
    ready = (await prepared(stage, workload, events, seed))._replace(records=[])
    meter = CpuMeter(stage)
    async with stage.connection() as looking, writer(stage, ready.place, claiming) as writing:
        await looking.execute("checkpoint")
        await writing.write(ready.preamble)
        batches = [writing.packed(each) for each in ready.batches] if floor else ready.batches
        writing.steps_s.clear()
        before = await costs(stage, looking)
        meter.start()
        begun = perf_counter()
        await writing.write(batches)
        seconds = perf_counter() - begun
        meter.stop()
        cost = spent(before, await costs(stage, looking))
    return Measured(
        case=FLOOR_CASE if floor else CASE,
        rate=events / seconds,
        seconds=seconds,
        events=events,
        cpu_s=meter.told(),
        steps_s={name: round(spent_s, 3) for name, spent_s in writing.steps_s.items()},
        cost=cost,
        checked=await check_books(stage, workload.expected(events, seed)),
        settings={"batch_records_max": stage.settings.batch_records_max, "claiming": claiming.value},
    )
