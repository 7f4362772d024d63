"""Whether what a worker kept of a changelog belongs to the changelog that there is now.

A topic that was deleted and made again begins with another edition; one that was cut ends before what was kept.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ledger.adapters.kafka.access import KafkaAccess, client_options
from ledger.adapters.kafka.connecting import start_client
from streams.windows.keys import EDITION_KEY

LOOK_S = 20.0
FETCH_MS = 500


class Kept(NamedTuple):
    """What a worker has of a partition of the changelog: up to which offset, and of which edition."""

    offset: int
    edition: bytes | None


async def find_foreign(kafka: KafkaAccess | str, topic: str, kept: Mapping[int, Kept]) -> dict[int, str]:
    """Give the partitions of which what was kept must not be used, and why; raises KafkaError."""
    if not kept:
        return {}
    consumer = AIOKafkaConsumer(
        **client_options(kafka), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        async with asyncio.timeout(LOOK_S):
            await start_client(consumer, kafka)
            return await _compare(consumer, topic, kept)
    except TimeoutError:
        raise KafkaError(f"{topic} gave nothing for {LOOK_S:g} s") from None
    finally:
        with suppress(KafkaError):
            await consumer.stop()


async def _compare(consumer: Any, topic: str, kept: Mapping[int, Kept]) -> dict[int, str]:
    places = {TopicPartition(topic, partition): each for partition, each in kept.items()}
    ends = await consumer.end_offsets(list(places))
    foreign = {
        place.partition: f"it ends at {ends[place]}, before {each.offset + 1}"
        for place, each in places.items()
        if ends[place] <= each.offset
    }
    left = {place: each for place, each in places.items() if place.partition not in foreign}
    first = await _first_records(consumer, set(left))
    for place, each in left.items():
        record = first[place]
        if record.key != EDITION_KEY or record.value != each.edition:
            foreign[place.partition] = "it is of another edition"
    return foreign


async def _first_records(consumer: Any, places: set[TopicPartition]) -> dict[TopicPartition, Any]:
    found: dict[TopicPartition, Any] = {}
    if places:
        consumer.assign(list(places))
        await consumer.seek_to_beginning()
    while places - found.keys():
        for place, records in (await consumer.getmany(timeout_ms=FETCH_MS)).items():
            if place not in found:
                found[place] = records[0]
                consumer.pause(place)
    return found
