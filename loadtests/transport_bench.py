"""Measures the transport: publishing, chunks through an agent, and one event from publish to handled."""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, process_time, time_ns
from typing import Any

from aiokafka.admin import NewTopic
from faust.types import StreamT

from ledger.config import Settings
from ledger.observability.signals import Signals
from loadtests.transport_truth import make_topics
from streams.embedded.stack import EmbeddedStack
from streams.transport import BatchPublisher, Chunk, Outgoing, PartitionLanes, chunked_app, chunked_topic

PARTITIONS = 4
PUBLISHED_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Measured:
    """Rates in records a second of wall time, and of this process's own processor time; times in ms."""

    published_per_s: float
    published_per_cpu_s: float
    chunked_per_s: float
    chunked_per_cpu_s: float
    latency_ms_median: float
    latency_ms_p99: float


async def measure(bootstrap: str, state_dir: Path, records: int) -> Measured:
    """Fill a topic, read it through an agent, then send single events through the same agent."""
    topic = f"bench-{time_ns()}"
    await make_topics(bootstrap, NewTopic(topic, PARTITIONS, 1))
    publisher = BatchPublisher(bootstrap)
    await publisher.start()
    try:
        published = await _rates(records, lambda: _fill(publisher, topic, records))
        reader = Reader(bootstrap, state_dir, topic)
        chunked = await _rates(records, lambda: reader.read(records))
        latencies = await reader.latencies(publisher, topic, count=200, pause_s=0.03)
        await reader.app.stop()
    finally:
        await publisher.stop()
    return Measured(*published, *chunked, median(latencies), quantiles(latencies, n=100)[98])


class Reader:
    """An app in this process whose handler only counts, and keeps when single events arrived."""

    def __init__(self, bootstrap: str, state_dir: Path, topic: str) -> None:
        state_dir.joinpath("workers").mkdir(parents=True, exist_ok=True)
        settings = Settings(kafka_bootstrap=bootstrap, state_dir=state_dir)
        self.app = chunked_app(f"bench-{os.getpid()}-{time_ns()}", settings, Signals(), [topic])
        self._seen = 0
        self._latencies: list[float] = []
        self._changed = asyncio.Event()
        lanes = PartitionLanes(self.app, self._handle)

        @self.app.agent(chunked_topic(self.app, topic), name="count_records")
        async def count_records(stream: StreamT[Any]) -> None:
            await lanes.run(stream)

    async def _handle(self, chunk: Chunk) -> None:
        self._seen += len(chunk)
        if len(chunk) == 1:
            self._latencies.append((time_ns() - int(chunk.records[0].value)) / 1e6)
        self._changed.set()

    async def read(self, records: int) -> None:
        """Start the app, and read until that many records were seen."""
        await self.app.start()
        await self._until(records)

    async def latencies(
        self, publisher: BatchPublisher, topic: str, count: int, pause_s: float
    ) -> list[float]:
        """Milliseconds from publishing to the handler for single events at a low rate."""
        self._latencies.clear()
        for index in range(count):
            await publisher.publish([Outgoing(topic, b"%d" % index, b"%d" % time_ns())])
            await asyncio.sleep(pause_s)
        await self._until(self._seen)
        return self._latencies

    async def _until(self, records: int) -> None:
        while self._seen < records:
            self._changed.clear()
            await self._changed.wait()


async def _fill(publisher: BatchPublisher, topic: str, records: int) -> None:
    """Two calls at a time, as two lanes make them."""
    value = os.urandom(200).hex().encode()
    made = [
        Outgoing(topic, b"tenant-%d/account-%d" % (i % 7, i % 5000), value) for i in range(PUBLISHED_AT_ONCE)
    ]

    async def publish(times: int) -> None:
        for _ in range(times):
            await publisher.publish(made)

    times = records // PUBLISHED_AT_ONCE // 2
    await asyncio.gather(publish(times), publish(times))


async def _rates(records: int, work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    started, used = monotonic(), process_time()
    await work()
    return records / (monotonic() - started), records / (process_time() - used)


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--bootstrap", help="a Kafka that runs already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(kafka_bootstrap=options.bootstrap, postgres_dsn=None)
        async with EmbeddedStack(Path(directory) / "stack", settings=settings, postgres=False) as stack:
            measured = await measure(stack.kafka, Path(directory) / "state", options.records)
    print(json.dumps({name: round(value, 1) for name, value in asdict(measured).items()}, indent=2))


if __name__ == "__main__":
    asyncio.run(_main())
