"""Ports of payments: where sagas and providers' settings are kept, and the way to the log of events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from ledger.domain.payments.saga import HoldFact, Saga, State
from ledger.domain.payments.steps import Verdict
from ledger.domain.payments.terms import Terms as Terms


class PaymentKey(NamedTuple):
    """Names a payment; its id is that of its request and of its hold."""

    tenant: str
    id: str


class EventKey(NamedTuple):
    """Names an event."""

    tenant: str
    id: str


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as it is stored. `version` counts what was stored of its saga: 1 with the request."""

    saga: Saga
    terms: Terms
    version: int
    created_at: datetime

    @property
    def key(self) -> PaymentKey:
        """Name it."""
        return PaymentKey(self.saga.tenant, self.saga.id)

    @property
    def facts(self) -> Mapping[str, str | None]:
        """Say in a signal which payment it is about, and whose trace it belongs to."""
        return {
            "tenant": self.saga.tenant,
            "payment": self.saga.id,
            "correlation_id": self.saga.correlation_id,
            "traceparent": self.saga.traceparent,
        }


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a payment's timeline, written with the saga: what happened, and what is done about it.

    A line that `begins` a call is the record before it, the line of its answer the record after it.
    """

    at: datetime
    happening: str
    """The kind of what happened, as the table of verdicts names it; `requested` in the first line."""
    verdict: Verdict
    state: State
    """Where the payment is after it."""
    commands: tuple[str, ...] = ()
    """The kinds of what is done about it, without `wake_at`."""
    attempt: int | None = None
    """Of a call, the number of which this line tells: that it begins, or what came of it."""
    begins: bool = False
    """Whether the call with that number begins here."""
    event_id: str | None = None
    """The capture or void that is published, or that was posted or refused."""
    next_at: datetime | None = None
    """When it is tried again, or asked again."""
    detail: str | None = None
    """Why, in words: the reason of a decline, what the connection said, why an operator decided so."""
    by: str | None = None
    """The operator who decided."""


class NumberedLine(msgspec.Struct, frozen=True):
    """A line as it is stored; its number is the version of the saga that was stored with it."""

    number: int
    line: Line


class Change(msgspec.Struct, frozen=True):
    """What is to be stored of a payment that was read as `before`."""

    before: Payment
    saga: Saga
    line: Line


class BooksSay(msgspec.Struct, frozen=True):
    """The one outcome of a capture or void, and how the hold of its payment stands now."""

    event_id: str
    posted: bool
    reason: str | None
    """Why it was refused."""
    hold: HoldFact


class Answered(NamedTuple):
    """A payment, and what the books say about the event that it waits for; None while they have said nothing."""

    payment: Payment
    said: BooksSay | None


class EventOutcome(msgspec.Struct, frozen=True):
    """The one outcome of an event: posted, or refused with a reason."""

    posted: bool
    reason: str | None
    fingerprint: bytes | None
    """Of the content that has this outcome: the same id may have been used for another. None where nothing is known
    any more but that it was posted."""


LaneName = tuple[str, str]
"""A tenant, and the provider that its payment asks next; for one that asks none, the name is empty."""


class LaneRoom(NamedTuple):
    """How many payments of one lane may be taken; `only_new`: of those that the provider was never asked about."""

    payments: int
    only_new: bool = False


class Room(NamedTuple):
    """How many payments may be taken."""

    in_all: int
    a_lane: int
    """Of each provider's lane that has no room of its own."""
    lanes: Mapping[LaneName, LaneRoom]


class StateCount(NamedTuple):
    """How many payments are in a state, and since when the oldest of them exists."""

    state: State
    payments: int
    oldest: datetime
    contradicted: int = 0
    """Of those, the ones of which a person was told that what is known contradicts itself."""


class PaymentStore(Protocol):
    """Sagas, where they are kept. Every method may raise TransientFaultError; what it did can be done again."""

    async def claim(self, now: datetime, until: datetime, room: Room) -> Sequence[Payment]:
        """Take payments whose `next_at` is at or before `now`, for oneself until `until`.

        Of each lane those first that their provider was asked about before, then the longest due, no more than
        there is room for; where there are more in all, of lanes drawn by chance. Beside them, and as many, those
        that are past their deadline and would only begin a charge: nobody is asked for these, so they need no room
        in their lane. All are given the longest due first. Nobody else gets them before, unless `apply` sets
        another time; no two callers get the same at once, and nobody waits for a lock.
        """
        ...

    async def load(self, keys: Sequence[PaymentKey]) -> Sequence[Payment]:
        """Read payments; those that do not exist are left out. Any order."""
        ...

    async def answered(
        self, keys: Sequence[PaymentKey], events: Sequence[EventKey] = ()
    ) -> Sequence[Answered]:
        """Read payments with the outcome of the event that each one's stored saga waits for (`Saga.event_id`).

        Beside those that are named, those that wait for one of `events`; each comes once, in any order. A payment
        is left out that waits for none, or whose event has no outcome yet. Of an id that was used for another
        event, it is that event's, as refused with `event_id_reused`.
        """
        ...

    async def outcomes(self, keys: Sequence[EventKey]) -> Mapping[EventKey, EventOutcome]:
        """Read the outcomes of any events, those that have one. For legs that are posted in another tenant."""
        ...

    async def apply(self, changes: Sequence[Change]) -> Sequence[Payment | None]:
        """Store sagas, each with its line, in one transaction; gives each payment as stored, in the order given.

        None where the stored version is not that of `before`, or the call that the line begins was begun before:
        of such a change nothing is stored. Ends the claim, and sets when it is due: `saga.next_at`. Payments
        differ from one another.
        """
        ...

    async def counts(self) -> Sequence[StateCount]:
        """Count payments that are not at an end, by state."""
        ...


class PaymentReader(Protocol):
    """Reads for the API and for operators; rows are seen with the rights of their tenant.

    Methods may raise TransientFaultError.
    """

    async def payment(self, key: PaymentKey) -> Payment | None:
        """Read one payment."""
        ...

    async def payments(
        self, tenant: str | None, states: Sequence[State], before: PaymentKey | None, limit: int
    ) -> Sequence[Payment]:
        """List payments, the newest id first, of a tenant (None: of all, for operators); no states: all states.

        `before`: only those that come after it in this order, which is by id, then by tenant, both descending.
        """
        ...

    async def tenants_of(self, payment_id: str) -> Sequence[str]:
        """Name the tenants that have a payment of this id, by name; a few at most."""
        ...

    async def timeline(self, key: PaymentKey, after: int, limit: int) -> Sequence[NumberedLine]:
        """Read lines of a payment, the oldest first, with numbers above `after`."""
        ...


class SealError(Exception):
    """Secrets cannot be sealed, or what is stored does not open; the message tells why, and nothing secret."""


class ProviderDirectory(Protocol):
    """The providers of each tenant, by name. Methods may raise TransientFaultError.

    The member `secrets` of their settings is kept sealed.
    """

    async def find(self, tenant: str, name: str) -> Mapping[str, Any] | None:
        """Read the settings of a provider; None if the tenant has none of that name. Raises SealError."""
        ...

    async def put(self, tenant: str, name: str, settings: Mapping[str, Any]) -> None:
        """Store the settings of a provider, new or in place of others. Raises SealError."""
        ...

    async def remove(self, tenant: str, name: str) -> bool:
        """Forget a provider: nothing new is accepted for it. Says whether there was one."""
        ...

    async def all(self) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
        """List tenant, name and settings of every provider, without their secrets."""
        ...


class PaymentLog(Protocol):
    """The topic `payments`."""

    async def publish(self, key: bytes, value: bytes) -> None:
        """Write an event; returns when every in-sync replica has it.

        Raises LogAwayError where that did not happen in time: it may have been written. The same again is safe.
        """
        ...
