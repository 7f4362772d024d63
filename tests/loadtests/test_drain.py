"""A drain posts everything with real workers, and finds the books that the workload expects."""

from collections.abc import AsyncIterator, Iterable
from time import monotonic

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

from ledger.config import Settings
from ledger.contract.outgoing import CONTENT_TYPE
from loadtests.bench.drain import CLOCK, Drain, Goal, drain
from loadtests.bench.packing import INPUT
from loadtests.bench.results import EVENTS_ASKED
from loadtests.bench.stage import Servers, Stage, Wishes, servers, stage
from loadtests.expected import ExpectedBooks
from loadtests.workloads import Record
from loadtests.workloads.special import MultiEntry
from loadtests.workloads.transfers import Transfers, evenly
from streams.transport import publisher

COUNT = 5000
LZ4 = 3
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
    assert measured.notes == [CLOCK, INPUT]


async def test_the_clock_runs_until_all_is_published(
    shared: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    ends = Stage.ends

    async def late(self: Stage, topics: Iterable[str]) -> dict[str, int]:
        """Nothing is there at the first look, entries alone at the second, and then all."""
        found = await ends(self, topics)
        looks.append(monotonic())
        lacking = {1: found, 2: [self.settings.outcomes_topic]}.get(len(looks), [])
        return found | dict.fromkeys(lacking, 0)

    monkeypatch.setattr(Stage, "ends", late)
    measured = await drain(shared, Transfers("uniform", evenly, customers=50), 200, WISHES)

    assert measured.checked == []
    assert measured.seconds >= round(looks[2] - looks[0], 2)


async def test_the_clock_begins_anew_when_every_worker_is_there(
    shared: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def free(*_: object) -> dict[str, float]:
        return {}

    monkeypatch.setattr("loadtests.bench.drain.costs", free)
    made = Stage(shared, Wishes(workers=2), Settings())
    run = Drain(made, None, Transfers("uniform", evenly, customers=50), Goal(0, 100, ExpectedBooks()))

    begun = []
    for now, handled in enumerate([0, 10, 20, 20, 40, 40, 70]):
        run._are_all_there = now >= 3
        await run._note(now, handled)
        begun.append(run._seen.begun)
    assert begun == [(0, 0), (1, 10), (1, 10), (1, 10), (4, 40), (4, 40), (4, 40)]
    assert (run._seen.seconds, run._seen.handled) == (2, 30)


@pytest.mark.parametrize(
    ("payments", "begun", "ended", "counted"),
    [(0, 130, 600, 470), (500, 100, 1600, 500), (500, 130, 1600, 470), (500, 900, 1600, 0)],
)
def test_what_was_handled_before_the_clock_is_not_counted(
    payments: int, begun: int, ended: int, counted: int
) -> None:
    goal = Goal(preamble=100, count=500, expected=ExpectedBooks(payments=payments))

    assert goal.counted(begun, ended) == counted


async def test_the_input_is_packed_the_same_whatever_the_ledger_packs_with(
    shared: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    codecs, records = set(), [Record(b"acme/a", b"a" * 500), Record(b"acme/b", b"b" * 500)] * 50

    def unpacked(data: bytes) -> MemoryRecords:
        batches = MemoryRecords(data)
        while (batch := batches.next_batch()) is not None:
            codecs.add(batch.compression_type)
        return MemoryRecords(data)

    monkeypatch.setattr(publisher, "COMPRESSION", "gzip")
    monkeypatch.setattr(fetcher, "MemoryRecords", unpacked)
    async with stage(shared, Wishes(partitions=1)) as made:
        assert await made.fill(records) == len(records)
        consumer = AIOKafkaConsumer(bootstrap_servers=shared.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(made.settings.payments_topic, 0)])
            found = [await consumer.getone() for _ in records]
        finally:
            await consumer.stop()

    assert codecs == {LZ4}
    assert [(each.key, each.value) for each in found] == records
    assert {tuple(each.headers) for each in found} == {(CONTENT_TYPE,)}
