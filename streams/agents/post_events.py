"""The posting agent: decode a chunk, post it, publish what came of it; then its frontier may move."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter

from ledger.adapters.kafka.records import FetchedRecord
from ledger.adapters.kafka.stream import record_of
from ledger.application.faults import PositionGapError
from ledger.application.ports import Clock, Position
from ledger.application.post_events import Batch, PostEvents
from ledger.application.turns import LongWork
from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetter, NotAnEventError, cut_letter
from ledger.contract.decode import check_address, decode_event, header_traceparent
from ledger.contract.outgoing import dead_letter_message
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals
from streams.publishing import PatientPublisher, outgoing, to_topic
from streams.transport.chunk import Chunk
from streams.transport.publisher import Outgoing


class PostChunk:
    """Handles one chunk; safe to run again over the same records, in whole or in part."""

    def __init__(
        self,
        post: PostEvents,
        publisher: PatientPublisher,
        settings: Settings,
        signals: Signals,
        clock: Clock,
        long_work: LongWork | None = None,
    ) -> None:
        """`clock` is the one by which `post` dates what it decides, and it puts `long_work` off."""
        self._post = post
        self._clock = clock
        self._long_work = long_work or LongWork()
        self._publisher = publisher
        self._settings = settings
        self._signals = signals
        # Partitions share accounts: what one committed before another goes out before it, as far as one worker goes.
        self._in_order_of_commits = asyncio.Lock()

    async def __call__(self, chunk: Chunk) -> None:
        started, begun_at = perf_counter(), self._clock.now()
        events, letters = await self._sorted(chunk.records)
        decoded = perf_counter()
        position = Position(chunk.topic, chunk.partition, chunk.start_offset, chunk.end_offset)
        outcomes = await self._posted(Batch(events, letters, position))
        posted = perf_counter()
        crash_point("before_publish")
        # The books have every dead letter, so one that no topic takes may be missing there; nothing else may.
        forgo = (self._settings.dead_letters_topic,)
        async with self._in_order_of_commits:
            await self._publisher.publish(await self._outgoing(outcomes, letters), forgo)
        crash_point("published")
        self._signals.emit(
            "chunk.handled",
            partition=chunk.partition,
            records=len(chunk.records),
            outcomes=outcomes,
            letters=letters,
            taken=chunk.records,
            begun_at=begun_at,
            steps_s={
                "decode": decoded - started,
                "post": posted - decoded,
                "publish": perf_counter() - posted,
            },
        )

    async def _posted(self, batch: Batch) -> Sequence[Outcome]:
        try:
            return await self._post(batch)
        except PositionGapError as gap:
            self._signals.emit(
                "position.gap",
                topic=gap.topic,
                partition=gap.partition,
                books=gap.expected,
                stream=gap.first,
                remedy=str(gap),
            )
            raise

    async def _sorted(self, records: Sequence[FetchedRecord]) -> tuple[list[Event], list[DeadLetter]]:
        events: list[Event] = []
        letters: list[DeadLetter] = []
        bounds = self._settings.record_bytes_max, self._settings.dead_letter_bytes_max

        def sort(some: Sequence[FetchedRecord]) -> None:
            more, more_letters = sort_records(some, *bounds)
            events.extend(more)
            letters.extend(more_letters)

        await self._long_work.do(records, sort)
        return events, letters

    async def _outgoing(self, outcomes: Sequence[Outcome], letters: Sequence[DeadLetter]) -> list[Outgoing]:
        records: list[Outgoing] = []

        def write(some: Sequence[Outcome]) -> None:
            for outcome in some:
                records.extend(outgoing(outcome, self._settings))

        await self._long_work.do(outcomes, write)
        topic = self._settings.dead_letters_topic
        return [*records, *[to_topic(topic, dead_letter_message(letter)) for letter in letters]]


def sort_records(
    records: Sequence[FetchedRecord],
    bytes_max: int,
    kept_bytes_max: int,
) -> tuple[list[Event], list[DeadLetter]]:
    """Part what is an event from what is not."""
    events: list[Event] = []
    letters: list[DeadLetter] = []
    for record in records:
        try:
            check_address(record.key, record.headers)
            events.append(
                decode_event(
                    record.value,
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    key=record.key,
                    traceparent=header_traceparent(record.headers),
                    bytes_max=bytes_max,
                )
            )
        except NotAnEventError as fault:
            letter = DeadLetter(record_of(record), fault.reason, fault.detail, datetime.now(UTC))
            letters.append(cut_letter(letter, kept_bytes_max))
    return events, letters
