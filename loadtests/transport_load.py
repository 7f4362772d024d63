"""A steady stream of records into a topic while workers come and go, and the wait until all is handled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from aiokafka.admin import NewTopic

from loadtests.transport_fleet import Fleet
from loadtests.transport_truth import Verdict, judge, make_topics
from loadtests.transport_worker import table_name
from streams.transport import BatchPublisher, Outgoing, PublishError

TICK_S = 0.1


class Load:
    """Publishes at a rate; what is not acknowledged is published again, so more may be there than counted."""

    def __init__(self, bootstrap: str, topic: str, records_per_s: int) -> None:
        self.published = 0
        self._bootstrap = bootstrap
        self._topic = topic
        self._at_once = max(1, int(records_per_s * TICK_S))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """Publish until the block ends."""
        publisher = BatchPublisher(self._bootstrap)
        await publisher.start()
        task = asyncio.create_task(self._publish(publisher))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await publisher.stop()

    async def _publish(self, publisher: BatchPublisher) -> None:
        due = monotonic()
        while True:
            first = self.published
            records = [
                Outgoing(self._topic, b"key-%d" % number, b"record %d" % number)
                for number in range(first, first + self._at_once)
            ]
            try:
                await publisher.publish(records)
                self.published += len(records)
            except PublishError:
                continue
            due += TICK_S
            await asyncio.sleep(max(0.0, due - monotonic()))


async def make_scene(fleet: Fleet, partitions: int) -> None:
    """The topics that a fleet needs: its own, and its table's changelog with as many partitions."""
    topics = [NewTopic(fleet.topic, partitions, 1)]
    if fleet.table:
        changelog = f"{fleet.group}-{table_name(fleet.group)}-changelog"
        topics.append(NewTopic(changelog, partitions, 1, topic_configs={"cleanup.policy": "compact"}))
    await make_topics(fleet.bootstrap, *topics)


async def settled(fleet: Fleet, partitions: int, timeout_s: float = 60.0) -> Verdict:
    """Judge again and again until nothing is missing any more, or time is up."""
    deadline = monotonic() + timeout_s
    while True:
        verdict = await judge(fleet.bootstrap, fleet.group, fleet.topic, partitions, Path(fleet.directory))
        if verdict.sound or monotonic() > deadline:
            return verdict
        if not fleet.workers:
            fleet.start()
        await asyncio.sleep(0.5)
