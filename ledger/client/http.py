"""The client over HTTP: sends events, waits for their outcomes, reads the books."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec

from ledger.client.calling import Caller
from ledger.client.errors import ClientError, MissingError, carrying
from ledger.client.events import NewEvent
from ledger.client.outcomes import Outcome
from ledger.client.reading import Reading
from ledger.client.sending import DEADLINE_S, SOURCE, WAIT_S, Posting
from ledger.domain.rejection import Reason

EVENTS_AT_ONCE = 500
WAIT_S_MAX = 30
LOOK_S = 0.5
LOOK_S_MIN = 0.05
BATCH = "application/cloudevents-batch+json"


class _Submitted(msgspec.Struct):
    outcomes: list[Outcome]


class HttpClient(Posting, Reading):
    """Asks the API at `url` with a key: the tenant is the key's.

    With `tenant`, which must be the key's, a capture, void or reversal keeps its place behind its hold or
    transaction even if another API process took that.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        tenant: str | None = None,
        source: str = SOURCE,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        super().__init__(Caller(url, key, deadline_s))
        self._tenant = tenant
        self._source = source

    async def __aenter__(self) -> Self:
        await self._caller.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._caller.close()

    async def send(self, *events: NewEvent) -> None:
        """Return when Kafka holds all events, on all in-sync replicas.

        Raises UnavailableError if it did not in time: some may have been written, and sending them again is safe.
        """
        for part in _parts_of(events):
            await self._submitted(part, 0)

    async def outcomes_of(
        self, events: Sequence[NewEvent], *, wait_s: float = WAIT_S
    ) -> Mapping[str, Outcome]:
        """Send events, five hundred at once, and give the outcomes that came in time, by event id.

        All of them together are waited for `wait_s`. Raises UnavailableError, with the outcomes that are known, if
        some may not be in Kafka.
        """
        found: dict[str, Outcome] = {}
        parts = _parts_of(events)
        until, left_s = monotonic() + wait_s, wait_s
        for number, part in enumerate(parts):
            # Of several parts each waits for a share of what is left, so that some is left for those that are late.
            shares = min(len(parts) - number + 1, len(parts))
            with carrying(found):
                found |= await self._submitted(part, left_s / shares)
            left_s = max(0.0, until - monotonic())
        return found | await self._awaited([each for each in events if each.id not in found], until)

    async def outcome(self, event_id: str) -> Outcome:
        """Read what became of an event; raises MissingError while it is on its way, and of one never sent.

        Of two contents under one id it tells what became of the first; `post` never confuses them.
        """
        return await self._caller.ask("GET", f"/v1/events/{quote(event_id)}", Outcome)

    async def _submitted(self, events: Sequence[NewEvent], wait_s: float) -> dict[str, Outcome]:
        values = [each.value(source=self._source, tenant=self._tenant) for each in events]
        headers = {"Content-Type": BATCH}
        if wait_s >= 1:
            headers["Prefer"] = f"wait={min(int(wait_s), WAIT_S_MAX)}"
        body = b"[" + b",".join(values) + b"]"
        answer = await self._caller.ask(
            "POST", "/v1/events", _Submitted, body=body, headers=headers, wait_s=wait_s
        )
        return {each.event_id: each for each in answer.outcomes}

    async def _awaited(self, events: Sequence[NewEvent], until: float) -> dict[str, Outcome]:
        """Look for outcomes that did not come with the answer, less and less often, and not for longer than asked.

        The events are in Kafka: whatever goes wrong now, they are on their way.
        """
        found: dict[str, Outcome] = {}
        waiting, pause_s = list(events), LOOK_S
        while waiting and (left_s := until - monotonic()) > LOOK_S_MIN:
            await asyncio.sleep(min(pause_s, left_s / 2))
            # Half of the time is left for telling whether what was found is their own.
            hits = await self._looked_up(waiting, (until - monotonic()) / 2)
            found |= await self._confirmed(hits, until - monotonic())
            waiting = [each for each in waiting if each.id not in found]
            pause_s *= 2
        return found

    async def _looked_up(self, events: Sequence[NewEvent], bound_s: float) -> list[tuple[NewEvent, Outcome]]:
        """Give the outcomes that are under the ids of events, as many as can be read in time."""
        hits: list[tuple[NewEvent, Outcome]] = []
        with suppress(TimeoutError, ClientError):
            async with asyncio.timeout(bound_s):
                for each in events:
                    with suppress(MissingError):
                        hits.append((each, await self.outcome(each.id)))
        return hits

    async def _confirmed(
        self, hits: Sequence[tuple[NewEvent, Outcome]], bound_s: float
    ) -> dict[str, Outcome]:
        """Give the outcomes of events themselves.

        An id may have been used before, with other content: so the events are sent once more, and the answer to that
        tells whether an outcome is its event's own.
        """
        again: dict[str, Outcome] = {}
        with suppress(TimeoutError, ClientError):
            async with asyncio.timeout(bound_s):
                for part in _parts_of([event for event, _ in hits]):
                    again |= await self._submitted(part, max(1.0, bound_s))
        told = [(again[event.id], outcome) for event, outcome in hits if event.id in again]
        return {
            its.event_id: its if its.reason == Reason.EVENT_ID_REUSED else outcome for its, outcome in told
        }


def _parts_of(events: Sequence[NewEvent]) -> Sequence[Sequence[NewEvent]]:
    """Part events into what one request may hold."""
    return [events[begin : begin + EVENTS_AT_ONCE] for begin in range(0, len(events), EVENTS_AT_ONCE)]
