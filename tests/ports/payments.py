"""An office where payments are requested, claimed, advanced and read, over any books."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from ledger.application.payment_ports import (
    Change,
    Line,
    Payment,
    PaymentKey,
    PaymentReader,
    PaymentStore,
    ProviderDirectory,
    Room,
)
from ledger.domain.commands import Event
from ledger.domain.payments.saga import Saga, State, Step
from ledger.domain.payments.steps import Verdict
from tests.builders import NOW, USD, event, event_id, transfer
from tests.ports.bench import Bench

LEASE = timedelta(seconds=30)
ROOM = Room(10_000, 10_000, {})
SOON = NOW + timedelta(seconds=5)


class Office:
    """Where payments of one tenant are requested, kept and read."""

    def __init__(
        self, bench: Bench, store: PaymentStore, reader: PaymentReader, providers: ProviderDirectory
    ) -> None:
        self.bench = bench
        self.store = store
        self.reader = reader
        self.providers = providers

    def key(self, name: object = "p") -> PaymentKey:
        return PaymentKey(self.bench.tenant, event_id(name))

    def request(self, name: object = "p", *, at: tuple[int, int] | None = None, **more: Any) -> Event:
        data = {"debit": "ann", "credit": "shop", "amount": 70, "asset": USD, "provider": "bank", **more}
        return event("payment.request.v1", data, name=name, tenant=self.bench.tenant, at=at)

    def closing(
        self, verb: str, name: object, payment: object = "p", *, under: str | None = None, **more: Any
    ) -> Event:
        data = {"hold": event_id(payment), **more}
        return event(f"hold.{verb}.v1", data, name=name, id=under or event_id(name), tenant=self.bench.tenant)

    async def accept(self, *names: object, **more: Any) -> list[Payment]:
        """Have payments accepted, with funds enough."""
        await self.providers.put(self.bench.tenant, more.get("provider", "bank"), {})
        funds = transfer("external:bank", "ann", 1000, name=f"funds {names}", tenant=self.bench.tenant)
        answers = await self.bench.answers(funds, *[self.request(name, **more) for name in names])
        assert set(answers) == {"posted"}
        return [await self.read(name) for name in names]

    async def accept_at(self, at: datetime) -> Payment:
        """Have a payment accepted whose id is of a time, with the funds that are there."""
        old = event_id("p", at)
        request = msgspec.structs.replace(self.request(), id=old)
        assert await self.bench.answers(request) == ["posted"]
        [payment] = await self.store.load([PaymentKey(self.bench.tenant, old)])
        return payment

    async def read(self, name: object = "p") -> Payment:
        [payment] = await self.store.load([self.key(name)])
        return payment

    async def claim(
        self, limit: int = 10, *, after: timedelta = timedelta(), room: Room | None = None
    ) -> list[Payment]:
        """Claim what is due, of this tenant alone: other tests share the table."""
        now = self.bench.clock.now() + after
        found = await self.store.claim(now, now + LEASE, room or ROOM)
        return [each for each in found if each.key.tenant == self.bench.tenant][:limit]

    async def move(self, before: Payment, line: Line | None = None, **facts: Any) -> Payment | None:
        saga = msgspec.structs.replace(before.saga, **facts)
        [stored] = await self.store.apply([Change(before, saga, line or told(saga))])
        return stored


def told(saga: Saga, **facts: Any) -> Line:
    line = Line(at=NOW, happening="woke_up", verdict=Verdict.MOVED, state=saga.state, next_at=saga.next_at)
    return msgspec.structs.replace(line, **facts)


CAPTURING: dict[str, Any] = {
    "state": State.CHARGED,
    "step": Step.CAPTURE,
    "event_id": event_id("capture"),
    "next_at": SOON,
}
RELEASING: dict[str, Any] = {
    "state": State.RELEASING,
    "step": Step.RELEASE,
    "event_id": event_id("void"),
    "next_at": SOON,
}
