"""Another tenant of this ledger as a provider: a charge is a transfer in its books, a refund its reversal.

The two tenants never share a transaction: each has its own leg over a `transit:` account, which stands for the other.
"""

from ledger.application.faults import LogAwayError, TransientFaultError
from ledger.application.leg_desk import LegDesk
from ledger.application.legs import REVERSALS_MAX, Leg, LegIds, reversal_leg, transfer_leg
from ledger.application.payment_ports import EventOutcome
from ledger.application.providers import (
    Accepted,
    Answer,
    ChargeRequest,
    Declined,
    MoneyRequest,
    Pending,
    RefundRequest,
    RetryLater,
    StatusAnswer,
    Unknown,
)
from ledger.domain.commands import TRANSIT_PREFIX
from ledger.domain.rejection import Reason

TOGETHER = 10
"""So many reversals are looked for at once."""


class LedgerProvider:
    """A PaymentProvider: accepted is posted, declined is rejected.

    A leg may lie in the log for as long as posting lags: so no status is ever "not found". Whoever asks for one that
    has no outcome has it published, the same under the same id, and it is pending until the books say what became
    of it.
    """

    def __init__(self, target: str, desk: LegDesk, ids: LegIds) -> None:
        self._target = target
        self._desk = desk
        self._ids = ids

    async def charge(self, request: ChargeRequest) -> Answer:
        try:
            found = await self._desk.post(self._transfer(request))
        except (LogAwayError, TransientFaultError) as fault:
            return Unknown(str(fault))
        return Unknown("not posted yet") if found is None else self._charged(request, found)

    async def refund(self, request: RefundRequest) -> Answer:
        """Reverse the transfer. A reversal takes back at most what was posted, so another try is harmless."""
        if request.charge != self._charge_id(request):
            return Declined("charge_not_found", "Only the transfer that this payment made is taken back.")
        try:
            tried = await self._reversals(request)
        except TransientFaultError as fault:
            return RetryLater(str(fault))
        try:
            found = await self._reversed(request, tried)
        except (LogAwayError, TransientFaultError) as fault:
            return Unknown(str(fault))
        return Unknown("not posted yet") if found is None else _refunded(request, found)

    async def status(self, request: MoneyRequest) -> StatusAnswer:
        try:
            if isinstance(request, RefundRequest):
                found = await self._reversed(request, await self._reversals(request))
                return Pending() if found is None else _refunded(request, found)
            leg = self._transfer(request)
            [found] = await self._desk.find([leg])
            if found is None:
                await self._desk.publish(leg)
                return Pending()
        except TransientFaultError as fault:
            return RetryLater(str(fault))
        except LogAwayError as fault:
            return Unknown(str(fault))
        return self._charged(request, found)

    async def _reversals(self, request: RefundRequest) -> list[EventOutcome]:
        """Read the outcomes of the reversals so far: all but the last were refused."""
        tried: list[EventOutcome] = []
        while len(tried) < REVERSALS_MAX:
            numbers = range(len(tried), min(len(tried) + TOGETHER, REVERSALS_MAX))
            for found in await self._desk.find([self._reversal(request, number) for number in numbers]):
                if found is None:
                    return tried
                tried.append(found)
                if _is_back(found):
                    return tried
        return tried

    async def _reversed(self, request: RefundRequest, tried: list[EventOutcome]) -> EventOutcome | None:
        """Publish the next reversal, unless one did it or all were refused; None while it has no outcome."""
        if len(tried) >= REVERSALS_MAX or (tried and _is_back(tried[-1])):
            return tried[-1]
        return await self._desk.post(self._reversal(request, len(tried)))

    def _transfer(self, request: ChargeRequest) -> Leg:
        return transfer_leg(
            self._target,
            request.tenant,
            self._charge_id(request),
            credit=request.account,
            amount=request.amount,
            asset=request.asset,
            reference=request.reference,
            traceparent=request.traceparent,
        )

    def _reversal(self, request: RefundRequest, number: int) -> Leg:
        event_id = self._ids.reversal(request.tenant, request.payment, number)
        charge = self._charge_id(request)
        return reversal_leg(
            self._target, request.tenant, event_id, of=charge, traceparent=request.traceparent
        )

    def _charge_id(self, request: MoneyRequest) -> str:
        """Name the one transfer of a payment: a refund takes back nothing else, whatever reference it was told."""
        return self._ids.charge(request.tenant, request.payment)

    def _charged(self, request: ChargeRequest, found: EventOutcome) -> Accepted | Declined:
        if found.posted:
            return Accepted(self._charge_id(request))
        reason = found.reason or "refused"
        if reason == Reason.INSUFFICIENT_FUNDS:
            account = TRANSIT_PREFIX + request.tenant
            return Declined(reason, f"{self._target} has not agreed that {account} owes so much")
        return Declined(reason, f"in the books of {self._target}")


def _refunded(request: RefundRequest, found: EventOutcome) -> Accepted | Declined:
    if _is_back(found):
        return Accepted(f"reversed:{request.idempotency_key}")
    return Declined(found.reason or "refused")


def _is_back(found: EventOutcome) -> bool:
    """Whether the money is back: also if somebody there reversed the transfer by hand."""
    return found.posted or found.reason == Reason.ALREADY_REVERSED
