"""Another tenant of this ledger as a provider: a charge is a transfer in its books, a refund its reversal.

The two tenants never share a transaction: each has its own leg over a `transit:` account, which stands for the other.
"""

import asyncio
from typing import Any, Protocol

import orjson

from ledger.application.faults import LogAwayError, TransientFaultError
from ledger.application.payment_ports import EventOutcome, PaymentLog
from ledger.application.providers import (
    Accepted,
    Answer,
    ChargeRequest,
    Declined,
    NotFound,
    RefundRequest,
    RetryLater,
    StatusAnswer,
    Unknown,
    check_key,
)
from ledger.contract.outgoing import record_key
from ledger.domain.commands import TRANSIT_PREFIX
from ledger.domain.ids import derived_id, time_ms_of

SOURCE = "ledger/transit"
REFUNDS_MAX = 100
"""So many reversals are tried under one key; each that the books refused stays refused."""
LOOK_S = 0.05
LOOKS = 60


class Outcomes(Protocol):
    async def outcome(self, tenant: str, event_id: str) -> EventOutcome | None:
        """Read the outcome of an event; may raise TransientFaultError."""
        ...


class LedgerProvider:
    """A PaymentProvider: accepted is posted, declined is rejected.

    The ids of its events are derived from the key, so a key posts once. A tenant that used them up beforehand would
    only decline what it may decline anyway: they are ids in its own books.
    """

    def __init__(self, target: str, outcomes: Outcomes, log: PaymentLog) -> None:
        self._target = target
        self._outcomes = outcomes
        self._log = log

    async def charge(self, request: ChargeRequest) -> Answer:
        transit = TRANSIT_PREFIX + request.tenant
        data: dict[str, Any] = {
            "debit": transit,
            "credit": request.account,
            "amount": request.amount,
            "asset": request.asset,
        }
        if request.reference is not None:
            data["reference"] = request.reference
        event_id = _id(request.payment, request.idempotency_key, 0)
        return await self._answered(event_id, "transfer.post.v1", data, transit, _charged)

    async def refund(self, request: RefundRequest) -> Answer:
        """Reverse the transfer. A reversal takes back at most what was posted, so another try is harmless."""
        key = request.idempotency_key
        try:
            tried = await self._reversals(request.payment, key)
        except TransientFaultError as fault:
            return RetryLater(str(fault))
        if tried and _is_back(tried[-1]):
            return Accepted(_reference(key))
        if len(tried) >= REFUNDS_MAX:
            return Declined(tried[-1].reason or "refused")
        event_id = _id(request.payment, key, len(tried))
        data = {"transaction": request.charge}
        transit = TRANSIT_PREFIX + request.tenant
        return await self._answered(event_id, "transaction.reverse.v1", data, transit, _refunded(key))

    async def status(self, idempotency_key: str) -> StatusAnswer:
        check_key(idempotency_key)
        _, payment, step = idempotency_key.rsplit(":", 2)
        try:
            if step == "refund":
                return await self._refund_status(payment, idempotency_key)
            event_id = _id(payment, idempotency_key, 0)
            found = await self._outcomes.outcome(self._target, event_id)
        except TransientFaultError as fault:
            return RetryLater(str(fault))
        return NotFound() if found is None else _charged(event_id, found)

    async def _refund_status(self, payment: str, key: str) -> StatusAnswer:
        tried = await self._reversals(payment, key)
        return _refunded(key)("", tried[-1]) if tried else NotFound()

    async def _reversals(self, payment: str, key: str) -> list[EventOutcome]:
        """Read the outcomes of the reversals so far: all but the last were refused."""
        tried: list[EventOutcome] = []
        while len(tried) < REFUNDS_MAX:
            found = await self._outcomes.outcome(self._target, _id(payment, key, len(tried)))
            if found is None:
                break
            tried.append(found)
            if _is_back(found):
                break
        return tried

    async def _answered(
        self, event_id: str, event_type: str, data: dict[str, Any], account: str, read: "_Reading"
    ) -> Answer:
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": SOURCE,
            "type": event_type,
            "tenant": self._target,
            "data": data,
        }
        try:
            await self._log.publish(record_key(self._target, account), orjson.dumps(event))
            for _ in range(LOOKS):
                if (found := await self._outcomes.outcome(self._target, event_id)) is not None:
                    return read(event_id, found)
                await asyncio.sleep(LOOK_S)
        except (LogAwayError, TransientFaultError) as fault:
            return Unknown(str(fault))
        return Unknown("not posted yet")


class _Reading(Protocol):
    def __call__(self, event_id: str, found: EventOutcome, /) -> Accepted | Declined: ...


def _charged(event_id: str, found: EventOutcome, /) -> Accepted | Declined:
    return Accepted(event_id) if found.posted else Declined(found.reason or "refused")


def _refunded(key: str) -> _Reading:
    def read(event_id: str, found: EventOutcome, /) -> Accepted | Declined:
        return Accepted(_reference(key)) if _is_back(found) else Declined(found.reason or "refused")

    return read


def _is_back(found: EventOutcome) -> bool:
    """Whether the money is back: also if somebody there reversed the transfer by hand."""
    return found.posted or found.reason == "already_reversed"


def _reference(key: str) -> str:
    return f"reversed:{key}"


def _id(payment: str, key: str, number: int) -> str:
    return derived_id(time_ms_of(payment), "transit", key, str(number))
