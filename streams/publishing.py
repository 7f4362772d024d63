"""Publishing that does not give up: while Kafka is away the stream waits, says so, and goes on by itself."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import ExitStack
from typing import TypeVar

import stamina
from aiokafka import TopicPartition

from ledger.config import Settings
from ledger.contract.outgoing import HEADERS, Message, outcome_headers, texts_of
from ledger.domain.outcome import Outcome
from ledger.observability.signals import Signals
from streams.transport.errors import PublishError, RecordTooLargeError
from streams.transport.flow import Flow
from streams.transport.publisher import Appended, BatchPublisher, Outgoing

Published = TypeVar("Published")


class PatientPublisher:
    """Publishes until it is done; a record twice rather than never."""

    def __init__(self, publisher: BatchPublisher, flow: Flow, signals: Signals) -> None:
        self._publisher = publisher
        self._flow = flow
        self._signals = signals

    async def publish(self, records: Sequence[Outgoing], forgo: Collection[str] = ()) -> None:
        """Publish; a record too large for a topic of `forgo` is left out and told, for any other it raises."""
        while True:
            try:
                return await self._publish(records)
            except RecordTooLargeError as error:
                too_large = next((each for each in records if each is error.record), None)
                if too_large is None or too_large.topic not in forgo:
                    raise
                self._signals.emit("record.not_published", fault=str(error), **_facts(too_large))
                records = [each for each in records if each is not too_large]

    async def publish_to(self, place: TopicPartition, records: list[Outgoing]) -> Appended:
        """Publish to one partition, in order; gives where the records are."""
        return await self._until_done(records, lambda: self._publisher.publish_to(place, records))

    async def _publish(self, records: Sequence[Outgoing]) -> None:
        await self._until_done(records, lambda: self._publisher.publish(records))

    async def _until_done(
        self, records: Sequence[Outgoing], publish: Callable[[], Awaitable[Published]]
    ) -> Published:
        attempts = stamina.retry_context(
            on=PublishError, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0
        )
        with ExitStack() as waits:
            async for attempt in attempts:
                if attempt.num == 2:
                    waits.enter_context(self._flow.waiting_for("kafka"))
                with attempt:
                    try:
                        return await publish()
                    except PublishError as error:
                        told = {"attempt": attempt.num, "records": len(records), "fault": str(error)}
                        self._signals.emit("publishing.delayed", **told)
                        raise
        raise PublishError("no attempt was made")


def outgoing(outcome: Outcome, settings: Settings) -> list[Outgoing]:
    """Give the records that tell of an outcome: itself, and each of its entries."""
    event, (said, entries) = outcome.event, texts_of(outcome)
    first = Outgoing(settings.outcomes_topic, event.key, said, outcome_headers(event))
    topic = settings.entries_topic
    return [first, *[Outgoing(topic, key, value, HEADERS) for key, value in entries]]


def to_topic(topic: str, message: Message) -> Outgoing:
    """Give the record that has a message in a topic."""
    return Outgoing(topic, *message)


def _facts(record: Outgoing) -> dict[str, object]:
    """Where a dead letter came from, as its own headers say."""
    ours = {"ledger-topic": "from_topic", "ledger-partition": "partition", "ledger-offset": "offset"}
    told = {ours[name]: (value or b"").decode() for name, value in record.headers[-7:] if name in ours}
    return {"topic": record.topic, **told}
