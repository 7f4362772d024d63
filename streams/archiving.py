"""Compose the archive: topics read without a group, and the store that their segments go to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiokafka.errors import KafkaError

from ledger.adapters.kafka.stream import KafkaStream
from ledger.application.archive_ports import Objects, ObjectsAwayError
from ledger.application.archive_topic import SEGMENT_BYTES, SEGMENT_S, ArchiveTopic, Progress
from ledger.config import Settings
from ledger.observability.signals import Signals
from streams.embedded.addresses import find_kafka

LOOK_S = 1.0
AWAY: tuple[type[Exception], ...] = (KafkaError, ObjectsAwayError, OSError)


@asynccontextmanager
async def archiving(
    settings: Settings,
    objects: Objects,
    topics: Sequence[str],
    signals: Signals,
    *,
    segment_bytes: int = SEGMENT_BYTES,
    segment_s: float = SEGMENT_S,
    progress: Progress | None = None,
) -> AsyncIterator[list[ArchiveTopic]]:
    """The use case for each topic, on the Kafka that is set or that `ledger up` started."""
    kafka = find_kafka(settings)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(KafkaStream.open(kafka, topic)) for topic in topics]
        yield [
            ArchiveTopic(
                stream,
                objects,
                signals,
                segment_bytes=segment_bytes,
                segment_s=segment_s,
                progress=progress,
            )
            for stream in streams
        ]


async def follow(archives: Sequence[ArchiveTopic], signals: Signals, stopped: asyncio.Event) -> None:
    """Archive what comes until `stopped`, waiting out whatever is away; then write what was gathered."""
    while not stopped.is_set():
        try:
            for archive in archives:
                await archive.catch_up(close=False)
        except AWAY as error:
            signals.emit("archive.delayed", fault=f"{type(error).__name__}: {error}")
        with suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), LOOK_S)
    for archive in archives:
        await archive.finish()
