"""What both clients can do: send events, and wait for what becomes of them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ledger.client.errors import NotAnsweredError, RejectedError
from ledger.client.events import NewEvent
from ledger.client.outcomes import Outcome

SOURCE = "ledger/client"
DEADLINE_S = 30.0
"""So long is tried again what the ledger cannot do now."""
WAIT_S = 30.0
"""So long outcomes are waited for, once the events are in Kafka."""


class Sender(Protocol):
    """Sends events, over Kafka or over HTTP."""

    async def send(self, *events: NewEvent) -> None:
        """Return when Kafka holds all events, on all in-sync replicas. Raises UnavailableError."""

    async def outcomes_of(
        self, events: Sequence[NewEvent], *, wait_s: float = WAIT_S
    ) -> Mapping[str, Outcome]:
        """Send events, and give the outcomes that came in time, by event id."""


class Posting:
    """Waiting for outcomes, over whatever sends: part of both clients."""

    async def post(self: Sender, event: NewEvent, *, wait_s: float = WAIT_S) -> Outcome:
        """Send an event and wait until it is posted.

        Raises RejectedError if the books refuse it, NotAnsweredError if its outcome does not come in time (it is in
        Kafka and will be handled), UnavailableError if it may not be in Kafka.
        """
        found = await self.outcomes_of([event], wait_s=wait_s)
        outcome = found.get(event.id)
        if outcome is None:
            raise NotAnsweredError(found, [event.id])
        if outcome.is_refused:
            raise RejectedError(outcome)
        return outcome

    async def post_all(self: Sender, events: Sequence[NewEvent], *, wait_s: float = WAIT_S) -> list[Outcome]:
        """Send events and wait for the outcome of each, refusals included; in the order of the events.

        They are not one transaction: each has an outcome of its own. Raises as `post` does, but for refusals.
        """
        found = await self.outcomes_of(events, wait_s=wait_s)
        pending = [event.id for event in events if event.id not in found]
        if pending:
            raise NotAnsweredError(found, pending)
        return [found[event.id] for event in events]
