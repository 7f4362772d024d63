"""Another tenant of this ledger as a provider: a charge is a transfer in its books, a refund its reversal.

The two tenants never share a transaction: each has its own leg over a `transit:` account, which stands for the other.
"""

import asyncio
from typing import NamedTuple, Protocol

import msgspec
import orjson
from msgspec import UNSET

from ledger.application.faults import LogAwayError, TransientFaultError
from ledger.application.payment_ports import EventOutcome, PaymentLog
from ledger.application.providers import (
    Accepted,
    Answer,
    ChargeRequest,
    Declined,
    MoneyRequest,
    NotFound,
    RefundRequest,
    RetryLater,
    StatusAnswer,
    Unknown,
)
from ledger.contract.fingerprint import fingerprint_of
from ledger.contract.outgoing import record_key
from ledger.domain.commands import TRANSIT_PREFIX, PostTransfer, ReverseTransaction
from ledger.domain.ids import derived_id, time_ms_of
from ledger.domain.rejection import Reason

SOURCE = "ledger/transit"
REFUNDS_MAX = 100
"""So many reversals are tried under one key; each that the books refused stays refused."""
LOOK_S = 0.05
LOOKS = 60


class Outcomes(Protocol):
    async def outcome(self, tenant: str, event_id: str) -> EventOutcome | None:
        """Read the outcome of an event; may raise TransientFaultError."""
        ...


class _Leg(NamedTuple):
    """An event in the other tenant's books."""

    id: str
    type: str
    command: PostTransfer | ReverseTransaction

    def read(self, found: EventOutcome) -> EventOutcome:
        """Give what became of this very event: one of other content that took up its id is a refusal."""
        if found.fingerprint == fingerprint_of(self.type, self.command):
            return found
        return EventOutcome(False, Reason.EVENT_ID_REUSED, found.fingerprint)


class LedgerProvider:
    """A PaymentProvider: accepted is posted, declined is rejected.

    The ids of its events are derived from the key, so a key posts once. Either tenant can work them out and use them
    up beforehand: an outcome counts only for the content that is asked for.
    """

    def __init__(self, target: str, outcomes: Outcomes, log: PaymentLog) -> None:
        self._target = target
        self._outcomes = outcomes
        self._log = log

    async def charge(self, request: ChargeRequest) -> Answer:
        leg = _transfer(request)
        try:
            found = await self._posted(leg, request)
        except (LogAwayError, TransientFaultError) as fault:
            return Unknown(str(fault))
        return Unknown("not posted yet") if found is None else _charged(leg, found)

    async def refund(self, request: RefundRequest) -> Answer:
        """Reverse the transfer. A reversal takes back at most what was posted, so another try is harmless."""
        if request.charge != _charge_id(request):
            return Declined("charge_not_found", "Only the transfer that this payment made is taken back.")
        try:
            tried = await self._reversals(request)
        except TransientFaultError as fault:
            return RetryLater(str(fault))
        if len(tried) >= REFUNDS_MAX or (tried and _is_back(tried[-1])):
            return _refunded(request, tried[-1])
        try:
            found = await self._posted(_reversal(request, len(tried)), request)
        except (LogAwayError, TransientFaultError) as fault:
            return Unknown(str(fault))
        return Unknown("not posted yet") if found is None else _refunded(request, found)

    async def status(self, request: MoneyRequest) -> StatusAnswer:
        try:
            if isinstance(request, RefundRequest):
                tried = await self._reversals(request)
                return _refunded(request, tried[-1]) if tried else NotFound()
            leg = _transfer(request)
            found = await self._outcome(leg)
        except TransientFaultError as fault:
            return RetryLater(str(fault))
        return NotFound() if found is None else _charged(leg, found)

    async def _reversals(self, request: RefundRequest) -> list[EventOutcome]:
        """Read the outcomes of the reversals so far: all but the last were refused."""
        tried: list[EventOutcome] = []
        while len(tried) < REFUNDS_MAX:
            found = await self._outcome(_reversal(request, len(tried)))
            if found is None:
                break
            tried.append(found)
            if _is_back(found):
                break
        return tried

    async def _posted(self, leg: _Leg, request: MoneyRequest) -> EventOutcome | None:
        """Publish a leg and wait a moment for its outcome; raises LogAwayError, TransientFaultError."""
        event = {
            "specversion": "1.0",
            "id": leg.id,
            "source": SOURCE,
            "type": leg.type,
            "tenant": self._target,
            "data": msgspec.to_builtins(leg.command),
        }
        await self._log.publish(
            record_key(self._target, TRANSIT_PREFIX + request.tenant), orjson.dumps(event)
        )
        for _ in range(LOOKS):
            if (found := await self._outcome(leg)) is not None:
                return found
            await asyncio.sleep(LOOK_S)
        return None

    async def _outcome(self, leg: _Leg) -> EventOutcome | None:
        found = await self._outcomes.outcome(self._target, leg.id)
        return None if found is None else leg.read(found)


def _transfer(request: ChargeRequest) -> _Leg:
    command = PostTransfer(
        debit=TRANSIT_PREFIX + request.tenant,
        credit=request.account,
        amount=request.amount,
        asset=request.asset,
        reference=UNSET if request.reference is None else request.reference,
    )
    return _Leg(_charge_id(request), "transfer.post.v1", command)


def _reversal(request: RefundRequest, number: int) -> _Leg:
    event_id = _id(request.payment, request.idempotency_key, number)
    return _Leg(event_id, "transaction.reverse.v1", ReverseTransaction(_charge_id(request)))


def _charged(leg: _Leg, found: EventOutcome) -> Accepted | Declined:
    return Accepted(leg.id) if found.posted else Declined(found.reason or "refused")


def _refunded(request: RefundRequest, found: EventOutcome) -> Accepted | Declined:
    if _is_back(found):
        return Accepted(f"reversed:{request.idempotency_key}")
    return Declined(found.reason or "refused")


def _is_back(found: EventOutcome) -> bool:
    """Whether the money is back: also if somebody there reversed the transfer by hand."""
    return found.posted or found.reason == Reason.ALREADY_REVERSED


def _charge_id(request: MoneyRequest) -> str:
    """Name the one transfer of a payment: a refund takes back nothing else, whatever reference it was told."""
    return _id(request.payment, f"{request.tenant}:{request.payment}:charge", 0)


def _id(payment: str, key: str, number: int) -> str:
    return derived_id(time_ms_of(payment), "transit", key, str(number))
