"""The posting agent: decode a chunk, post it, publish what came of it; then its frontier may move."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from aiokafka import ConsumerRecord

from ledger.application.ports import Position
from ledger.application.post_events import Batch, PostEvents
from ledger.config import Settings
from ledger.contract.dead_letter import DeadLetter, NotAnEventError, Record
from ledger.contract.decode import decode_event
from ledger.contract.outgoing import Message, dead_letter_message, entry_messages, outcome_message
from ledger.domain.commands import Event
from ledger.domain.outcome import Outcome
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals
from streams.publishing import PatientPublisher
from streams.transport.chunk import Chunk
from streams.transport.publisher import Outgoing


class PostChunk:
    """Handles one chunk; safe to run again over the same records, in whole or in part."""

    def __init__(
        self, post: PostEvents, publisher: PatientPublisher, settings: Settings, signals: Signals
    ) -> None:
        self._post = post
        self._publisher = publisher
        self._settings = settings
        self._signals = signals

    async def __call__(self, chunk: Chunk) -> None:
        started = perf_counter()
        events, letters = sort_records(chunk.records, self._settings.record_bytes_max)
        decoded = perf_counter()
        position = Position(chunk.topic, chunk.partition, chunk.start_offset, chunk.end_offset)
        outcomes = await self._post(Batch(events, letters, position))
        posted = perf_counter()
        crash_point("before_publish")
        await self._publisher.publish(list(self._outgoing(outcomes, letters)))
        crash_point("published")
        self._signals.emit(
            "chunk.handled",
            partition=chunk.partition,
            records=len(chunk.records),
            outcomes=outcomes,
            letters=letters,
            steps_s={
                "decode": decoded - started,
                "post": posted - decoded,
                "publish": perf_counter() - posted,
            },
        )

    def _outgoing(self, outcomes: Sequence[Outcome], letters: Sequence[DeadLetter]) -> Iterator[Outgoing]:
        settings = self._settings
        for outcome in outcomes:
            yield _to(settings.outcomes_topic, outcome_message(outcome))
            if outcome.entries:
                for message in entry_messages(outcome):
                    yield _to(settings.entries_topic, message)
        for letter in letters:
            yield _to(settings.dead_letters_topic, dead_letter_message(letter))


def _to(topic: str, message: Message) -> Outgoing:
    return Outgoing(topic, message.key, message.value, message.headers)


def sort_records(
    records: Sequence[ConsumerRecord[Any, Any]], bytes_max: int
) -> tuple[list[Event], list[DeadLetter]]:
    """Part what is an event from what is not."""
    events: list[Event] = []
    letters: list[DeadLetter] = []
    for record in records:
        try:
            events.append(
                decode_event(
                    record.value,
                    partition=record.partition,
                    offset=record.offset,
                    key=record.key,
                    bytes_max=bytes_max,
                )
            )
        except NotAnEventError as fault:
            kept = record_of(record)
            letters.append(DeadLetter(kept, fault.reason, fault.detail, datetime.now(UTC)))
    return events, letters


def record_of(record: ConsumerRecord[Any, Any]) -> Record:
    """Keep what a dead letter keeps of a record."""
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        record.timestamp,
    )
