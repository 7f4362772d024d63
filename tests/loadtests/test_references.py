"""What the ledger is held against does real work, and its books are right."""

from collections.abc import AsyncIterator
from time import monotonic

import asyncpg
import pytest

from ledger.config import Settings
from loadtests.bench.check import check_books
from loadtests.bench.references import kafka_alone, pgbench, writing
from loadtests.bench.references.every import REFERENCES
from loadtests.bench.references.writing import ClaimedBeforeError, Claiming, prepared, writer
from loadtests.bench.results import Measured
from loadtests.bench.stage import Servers, Stage, Wishes, servers, stage
from loadtests.workloads import named


@pytest.fixture(scope="module")
async def shared(kafka: str, postgres_dsn: str) -> AsyncIterator[Servers]:
    async with servers(Settings(kafka_bootstrap=kafka, postgres_dsn=postgres_dsn)) as found:
        yield found


@pytest.fixture
async def empty(shared: Servers) -> AsyncIterator[Stage]:
    async with stage(shared, Wishes(partitions=2, settings={"batch_records_max": 100})) as made:
        yield made


async def measured(name: str, on: Stage, events: int) -> Measured:
    """Measure one, and see that its rate is of work that was done meanwhile."""
    begun = monotonic()
    found = await REFERENCES[name](on, events, 1)
    assert found.case == name
    assert 0 < found.seconds < monotonic() - begun
    assert found.rate == pytest.approx(found.events / found.seconds, rel=0.02)
    return found


@pytest.mark.parametrize("name", ["reference/raw", "reference/raw@floor"])
async def test_raw_writes_the_books_that_the_workload_expects(empty: Stage, name: str) -> None:
    found = await measured(name, empty, 450)

    assert found.checked == []
    packs = set() if name == "reference/raw@floor" else {"pack"}
    assert set(found.steps_s) == {"begin", "claim", "transactions", "entries", "balances", "commit"} | packs
    assert found.cost["wal_bytes"] > 450 * 500


@pytest.mark.parametrize("name", ["reference/stock_faust", "reference/stock_faust@isolated"])
async def test_stock_faust_posts_the_books_that_the_workload_expects(empty: Stage, name: str) -> None:
    assert (await measured(name, empty, 200)).checked == []


async def test_raw_tells_of_books_that_are_wrong(empty: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_UPDATE", writing._UPDATE.replace("= k.debits", "= k.debits + 1"))

    faults = (await measured("reference/raw", empty, 100)).checked or []

    assert any("debits, credits" in fault for fault in faults)


@pytest.mark.parametrize(
    ("claiming", "refused"),
    [(Claiming.COPY, asyncpg.UniqueViolationError), (Claiming.INSERT, ClaimedBeforeError)],
)
async def test_raw_posts_no_id_twice(empty: Stage, claiming: Claiming, refused: type[Exception]) -> None:
    workload = named("uniform")
    ready = await prepared(empty, workload, 50, seed=1)
    async with writer(empty, ready.place, claiming) as writing:
        await writing.write([*ready.preamble, *ready.batches])
        with pytest.raises(refused):
            await writing.write(ready.batches[:1])

    assert await check_books(empty, workload.expected(50, seed=1)) == []


async def test_kafka_alone_reads_and_decodes_all_that_was_written(empty: Stage) -> None:
    assert (await measured(kafka_alone.CASE, empty, 450)).checked == []


async def test_pgbench_leaves_a_line_of_history_for_each_transaction(empty: Stage) -> None:
    found = await pgbench.measure(empty, 300, seed=1, way=pgbench.Way(protocol="prepared", scale=1))

    assert found.checked == []
    assert found.events == 300
    assert found.rate == pytest.approx(300 / found.seconds)
