"""A drain posts everything with real workers, and finds the books that the workload expects."""

from collections.abc import AsyncIterator

import pytest

from ledger.config import Settings
from loadtests.bench.drain import drain
from loadtests.bench.results import EVENTS_ASKED
from loadtests.bench.stage import Servers, Wishes, servers
from loadtests.workloads.special import MultiEntry
from loadtests.workloads.transfers import Transfers, evenly

COUNT = 5000
WISHES = Wishes(partitions=2, settings={"batch_records_max": 500})


@pytest.fixture(scope="module")
async def shared(kafka: str, postgres_dsn: str) -> AsyncIterator[Servers]:
    async with servers(Settings(kafka_bootstrap=kafka, postgres_dsn=postgres_dsn)) as found:
        yield found


@pytest.mark.parametrize(
    "workload", [Transfers("uniform", evenly, customers=50), MultiEntry(50)], ids=lambda each: each.name
)
async def test_a_drain_ends_with_the_books_that_are_expected(
    shared: Servers, workload: Transfers | MultiEntry
) -> None:
    measured = await drain(shared, workload, COUNT, WISHES)

    assert measured.checked == []
    assert measured.case == f"drain/{workload.name}"
    assert 0 < measured.events <= COUNT
    assert measured.rate == pytest.approx(measured.events / measured.seconds, rel=0.05)
    assert {"decode", "post", "publish"} <= set(measured.steps_s)
    assert measured.cost["postgres_bytes.entries"] > 0
    assert measured.cpu_s["worker-1"] > 0
    assert measured.settings[EVENTS_ASKED] == COUNT
