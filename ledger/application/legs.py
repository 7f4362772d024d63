"""Legs: the events by which a payment moves money in another tenant's books, and their ids."""

from typing import Any, NamedTuple

import msgspec
import orjson
from msgspec import UNSET

from ledger.application.payment_ports import EventKey, EventOutcome
from ledger.contract.fingerprint import fingerprint_of
from ledger.contract.outgoing import record_key
from ledger.domain.commands import TRANSIT_PREFIX, PostTransfer, ReverseTransaction
from ledger.domain.ids import derived_id, time_ms_of
from ledger.domain.rejection import Reason

SOURCE = "ledger/transit"
REVERSALS_MAX = 100
"""So many reversals are tried of one transfer; each that the books refused stays refused."""


class LegIds:
    """Derives the ids of legs from the payment's, so that each is posted once.

    The secret is that of the database: no tenant can work an id out, and use it up beforehand.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def charge(self, tenant: str, payment: str) -> str:
        """Name the one transfer of a payment."""
        return self._derived(tenant, payment, "charge", 0)

    def reversal(self, tenant: str, payment: str, number: int) -> str:
        """Name a reversal of it; numbers are 0 … REVERSALS_MAX - 1."""
        return self._derived(tenant, payment, "refund", number)

    def _derived(self, tenant: str, payment: str, step: str, number: int) -> str:
        time_ms = time_ms_of(payment)
        return derived_id(time_ms, "transit", self._secret, f"{tenant}:{payment}:{step}", str(number))


class Leg(NamedTuple):
    """An event in the books of `tenant`, where the transit account of `payer` stands for who pays."""

    tenant: str
    payer: str
    id: str
    type: str
    command: PostTransfer | ReverseTransaction
    traceparent: str | None = None
    """Of the call that is answered by it: that of another try is another, and the event is the same."""

    @property
    def event(self) -> EventKey:
        """Name it."""
        return EventKey(self.tenant, self.id)

    @property
    def key(self) -> bytes:
        """Give the key of its record."""
        return record_key(self.tenant, TRANSIT_PREFIX + self.payer)

    def value(self) -> bytes:
        """Give its record: but for the trace the same however often it is made."""
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": SOURCE,
            "type": self.type,
            "tenant": self.tenant,
            "data": msgspec.to_builtins(self.command),
        }
        if self.traceparent is not None:
            event["traceparent"] = self.traceparent
        return orjson.dumps(event)

    def read(self, found: EventOutcome) -> EventOutcome:
        """Give what became of this very event: one of other content that took up its id is a refusal."""
        if found.fingerprint in (None, fingerprint_of(self.type, self.command)):
            return found
        return EventOutcome(False, Reason.EVENT_ID_REUSED, found.fingerprint)


def transfer_leg(
    tenant: str,
    payer: str,
    event_id: str,
    *,
    credit: str,
    amount: int,
    asset: str,
    reference: str | None,
    traceparent: str | None = None,
) -> Leg:
    """Make the leg of a charge, from the account that stands for the payer."""
    command = PostTransfer(
        debit=TRANSIT_PREFIX + payer,
        credit=credit,
        amount=amount,
        asset=asset,
        reference=UNSET if reference is None else reference,
    )
    return Leg(tenant, payer, event_id, "transfer.post.v1", command, traceparent)


def reversal_leg(tenant: str, payer: str, event_id: str, *, of: str, traceparent: str | None = None) -> Leg:
    """Make the leg of a refund: it takes back what is left of the transfer `of`."""
    command = ReverseTransaction(of)
    return Leg(tenant, payer, event_id, "transaction.reverse.v1", command, traceparent)
