"""Publishing that does not give up: while Kafka is away the stream waits, says so, and goes on by itself."""

from collections.abc import Sequence
from contextlib import ExitStack

import stamina

from ledger.observability.signals import Signals
from streams.transport.errors import PublishError
from streams.transport.flow import Flow
from streams.transport.publisher import BatchPublisher, Outgoing


class PatientPublisher:
    """Publishes until it is done; a record twice rather than never."""

    def __init__(self, publisher: BatchPublisher, flow: Flow, signals: Signals) -> None:
        self._publisher = publisher
        self._flow = flow
        self._signals = signals

    async def publish(self, records: Sequence[Outgoing]) -> None:
        attempts = stamina.retry_context(
            on=PublishError, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0
        )
        with ExitStack() as waits:
            async for attempt in attempts:
                if attempt.num == 2:
                    waits.enter_context(self._flow.waiting_for("kafka"))
                if attempt.num > 1:
                    self._signals.emit("publishing.delayed", attempt=attempt.num, records=len(records))
                with attempt:
                    await self._publisher.publish(records)
