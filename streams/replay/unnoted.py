"""Finds what was published of lost commits, though the workers' group had not noted it yet."""

from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import UTC, datetime

import msgspec

from ledger.adapters.kafka.stream import KafkaStream
from ledger.application.replaying import Precedents
from ledger.config import Settings
from ledger.domain.books import EventKey
from ledger.domain.commands import Event
from streams.embedded.addresses import find_kafka
from streams.replay.read import Decoder, TopicLane
from streams.replay.wish import Source


async def with_unnoted(
    source: Source, there: Precedents, published: Precedents, settings: Settings
) -> Source:
    """Lengthen what the books have lost of each partition up to the last record of which an outcome is `published`.

    A worker notes its place in the group after it has published. What it had not noted is beyond the gap, and would
    be decided anew, maybe otherwise than the world was told. Only partitions with a gap are looked at: the workers of
    others go on. What the books have of events is `there`: another record of one tells nothing. Raises
    NotReplayableError, and what Kafka and the books raise.
    """
    async with KafkaStream.open(find_kafka(settings), source.topic or "") as stream:
        bounds = await stream.bounds()
    decoder = Decoder(settings.record_bytes_max, settings.dead_letter_bytes_max)

    def lane(at: int, first: int, end: int) -> TopicLane:
        return TopicLane(find_kafka(settings), source.topic or "", at, first, end)

    gaps = {at: gap for at, gap in source.lanes.items() if gap[0] < gap[1]}
    told = {
        at: await _firsts_told(lane(at, group, bounds[at][1]), there, published, decoder)
        for at, (_, group) in gaps.items()
    }
    if any(told.values()):
        # Of an event that came twice an outcome tells that one of its records was handled: the first.
        for at, gap in gaps.items():
            await _forget_repeated(told.values(), lane(at, *gap), decoder)
    noted = {at: gaps[at][1] for at, found in told.items() if found}
    lanes = {at: (gaps[at][0], max(told[at].values()) + 1) for at in noted}
    return msgspec.structs.replace(source, lanes={**source.lanes, **lanes}, noted=noted)


async def _firsts_told(
    lane: TopicLane, there: Precedents, published: Precedents, decoder: Decoder
) -> dict[EventKey, int]:
    """Give the first offset in a lane of each event that has an outcome, and is not `there`."""
    found: dict[EventKey, int] = {}
    async for events in _events(lane, decoder):
        lost = (await published.of(events)).keys() - (await there.of(events)).keys()
        for event in events:
            if event.identity in lost and event.offset is not None:
                found.setdefault(event.identity, event.offset)
    return found


async def _forget_repeated(told: Collection[dict[EventKey, int]], lane: TopicLane, decoder: Decoder) -> None:
    """Take out of what was `told` the events that are in a lane."""
    async for events in _events(lane, decoder):
        for event in events:
            for each in told:
                each.pop(event.identity, None)


async def _events(lane: TopicLane, decoder: Decoder) -> AsyncGenerator[Sequence[Event], None]:
    async for records in lane.read(lane.first):
        judged = decoder.judge(lane, records, lane.first, datetime.now(UTC))
        yield [each.event for each in judged if each.event is not None]
