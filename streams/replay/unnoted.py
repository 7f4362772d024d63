"""Finds what was published of lost commits, though the workers' group had not noted it yet."""

from datetime import UTC, datetime

import msgspec

from ledger.adapters.kafka.stream import KafkaStream
from ledger.application.replaying import Precedents
from ledger.config import Settings
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
    lanes, noted = dict(source.lanes), {}
    for at, (first, group) in source.lanes.items():
        if first < group:
            lane = TopicLane(find_kafka(settings), source.topic or "", at, group, bounds[at][1])
            end = await _end_of_published(lane, there, published, decoder)
            if end > group:
                lanes[at], noted[at] = (first, end), group
    return msgspec.structs.replace(source, lanes=lanes, noted=noted)


async def _end_of_published(
    lane: TopicLane, there: Precedents, published: Precedents, decoder: Decoder
) -> int:
    """Give the offset after the last lost record of a lane that has an outcome; where the lane begins if none has."""
    end = lane.first
    async for records in lane.read(lane.first):
        judged = decoder.judge(lane, records, lane.first, datetime.now(UTC))
        events = [each.event for each in judged if each.event is not None]
        lost = (await published.of(events)).keys() - (await there.of(events)).keys()
        end = max([end, *(e.offset + 1 for e in judged if e.event is not None and e.event.identity in lost)])
    return end
