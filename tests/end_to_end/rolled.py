"""Waits until windows workers have got through all entries."""

import asyncio
from time import monotonic

from ledger.adapters.kafka.group import KafkaGroup
from ledger.adapters.kafka.stream import KafkaStream
from tests.end_to_end.books import WAIT_S, Books

LOOK_S = 0.1


async def until_rolled(books: Books) -> None:
    """Wait until the group has committed all that is on the topic."""
    settings, deadline = books.settings, monotonic() + WAIT_S
    async with (
        KafkaStream.open(str(settings.kafka_bootstrap), settings.entries_topic) as entries,
        KafkaGroup.open(str(settings.kafka_bootstrap), settings.windows_group) as group,
    ):
        ends = {partition: end for partition, (_, end) in (await entries.bounds()).items()}
        while await group.committed(settings.entries_topic) != ends:
            assert monotonic() < deadline
            await asyncio.sleep(LOOK_S)
