"""The client over Kafka: writes to the topic of payments itself, and hears the topic of outcomes."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from types import TracebackType
from typing import Self

from ledger.adapters.kafka.access import KafkaAccess
from ledger.adapters.kafka.feed import KafkaFeed
from ledger.adapters.kafka.submit import KafkaEventLog
from ledger.application.faults import LogAwayError, RecordRefusedError
from ledger.application.outcome_feed import Notice, OutcomeFeed, outcome_of
from ledger.application.submit_events import InvalidEventsError, Submission, SubmitEvents, WrongTenantError
from ledger.client.errors import InvalidEventError, UnavailableError, carrying
from ledger.client.events import NewEvent
from ledger.client.outcomes import Outcome, outcome_from
from ledger.client.patience import patiently
from ledger.client.sending import DEADLINE_S, SOURCE, WAIT_S, Posting
from ledger.observability.signals import Signals

EVENTS_AT_ONCE = 1000
WAITERS_MAX = 8 * EVENTS_AT_ONCE
LOOK_S = 0.05


class KafkaClient(Posting):
    """Sends the events of one tenant with `acks=all`, each under the key that keeps its account's order.

    Outcomes are heard from before the first event is sent. All outcomes of the ledger pass by this client: for a few
    events now and then, or for many clients, HTTP is cheaper. `listens=False` leaves them out.

    `kafka`: host:port[,host:port] of servers that ask nobody and encrypt nothing, or a KafkaAccess.
    """

    def __init__(
        self,
        kafka: KafkaAccess | str,
        tenant: str,
        *,
        source: str = SOURCE,
        deadline_s: float = DEADLINE_S,
        listens: bool = True,
        payments_topic: str = "payments",
        outcomes_topic: str = "ledger.outcomes",
    ) -> None:
        self._tenant = tenant
        self._source = source
        self._deadline_s = deadline_s
        self._listens = listens
        signals = Signals()
        self._log = KafkaEventLog(kafka, payments_topic, signals)
        # One tenant may take a quarter of the waiters, and here is only one.
        self._feed = OutcomeFeed(waiters_max=4 * WAITERS_MAX)
        self._outcomes = KafkaFeed(kafka, outcomes_topic, self._feed, signals)
        self._submit = SubmitEvents(self._log, self._feed)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            opening.push_async_callback(self._log.stop)
            await self._log.start()
            if self._listens:
                opening.push_async_callback(self._outcomes.stop)
                await self._outcomes.start()
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def send(self, *events: NewEvent) -> None:
        """Return when Kafka holds all events, on all in-sync replicas.

        Raises UnavailableError if it did not in time: some may have been written, and sending them again is safe.
        """
        for begin in range(0, len(events), EVENTS_AT_ONCE):
            submissions = await self._checked(events[begin : begin + EVENTS_AT_ONCE])
            await self._sent(submissions, 0.0)

    async def outcomes_of(
        self, events: Sequence[NewEvent], *, wait_s: float = WAIT_S
    ) -> Mapping[str, Outcome]:
        """Send events, and give the outcomes that came in time, by event id; a thousand are waited for at once.

        Raises UnavailableError, with the outcomes that are known, if some may not be in Kafka.
        """
        found: dict[str, Outcome] = {}
        for begin in range(0, len(events), EVENTS_AT_ONCE):
            submissions = await self._checked(events[begin : begin + EVENTS_AT_ONCE])
            with carrying(found):
                await self._until_listening()
                notices = await self._sent(submissions, wait_s)
            for notice in notices:
                if notice is not None:
                    outcome = outcome_from(outcome_of(notice))
                    found[outcome.event_id] = outcome
        return found

    async def _checked(self, events: Sequence[NewEvent]) -> list[Submission]:
        values = [each.value(source=self._source, tenant=self._tenant) for each in events]
        try:
            return await self._submit.check(self._tenant, values)
        except InvalidEventsError as invalid:
            first = invalid.faults[0]
            raise InvalidEventError(first.reason, first.detail) from invalid
        except WrongTenantError as wrong:
            raise InvalidEventError("invalid_envelope", str(wrong)) from wrong

    async def _sent(self, submissions: Sequence[Submission], wait_s: float) -> Sequence[Notice | None]:
        async def ask() -> Sequence[Notice | None]:
            try:
                return await self._submit.send(submissions, wait_s)
            except LogAwayError as away:
                raise UnavailableError(str(away)) from away
            except RecordRefusedError as refused:
                raise InvalidEventError("too_large", str(refused)) from refused

        return await patiently(ask, self._deadline_s)

    async def _until_listening(self) -> None:
        """What is sent before the outcomes are heard could be answered unheard."""
        if not self._listens:
            raise RuntimeError("this client was made with listens=False: it cannot wait for outcomes")
        deadline = monotonic() + self._deadline_s
        while not self._feed.is_following:
            if monotonic() > deadline:
                raise UnavailableError("the topic of outcomes cannot be followed; nothing was sent")
            await asyncio.sleep(LOOK_S)
