"""The webhooks agent: what providers tell by themselves is told to the payments that it is about."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from ledger.adapters.kafka.records import FetchedRecord
from ledger.application.advance_payments import AdvancePayments
from ledger.application.faults import TransientFaultError
from ledger.application.payment_calls import told
from ledger.application.payment_ports import Payment, PaymentKey, PaymentStore
from ledger.application.receive_webhooks import ReceivedWebhook
from ledger.domain.ids import has_id_form
from ledger.domain.payments.saga import Step
from ledger.observability.crash import crash_point
from ledger.observability.signals import Signals
from streams.patience import Patience
from streams.transport.chunk import Chunk

WEBHOOKS_AT_ONCE = 500

_received = msgspec.json.Decoder(ReceivedWebhook)

Found = Mapping[PaymentKey, Payment]


class HearWebhooks:
    """Handles one chunk of webhooks; whatever one of them is, it keeps no other from being heard.

    Nobody asks about a payment that has ended: so a webhook is heard, or waited with, before the next.
    """

    def __init__(
        self, advance: AdvancePayments, store: PaymentStore, signals: Signals, patience: Patience
    ) -> None:
        self._advance = advance
        self._store = store
        self._signals = signals
        self._patience = patience

    async def __call__(self, chunk: Chunk) -> None:
        received = [each for record in chunk.records if (each := self._read(record)) is not None]
        for start in range(0, len(received), WEBHOOKS_AT_ONCE):
            await self._hear(received[start : start + WEBHOOKS_AT_ONCE])
        crash_point("webhooks_heard")

    def _read(self, record: FetchedRecord) -> ReceivedWebhook | None:
        try:
            received = _received.decode(record.value or b"")
        except (msgspec.DecodeError, ValueError, RecursionError) as fault:
            self._signals.emit("webhook.not_heard", tenant=None, provider=None, fault=str(fault))
            return None
        if not has_id_form(received.webhook.payment):
            self._skip(received, "its payment is no id")
            return None
        return received

    async def _hear(self, received: Sequence[ReceivedWebhook]) -> None:
        left = received

        async def hear() -> None:
            nonlocal left
            left = await self._left_of(left)
            if left:
                raise TransientFaultError(f"{len(left)} webhooks could not be stored")

        def failed(fault: TransientFaultError) -> None:
            self._signals.emit("payments.not_heard", payments=len(left), fault=str(fault))

        await self._patience.until_done(hear, failed)

    async def _left_of(self, received: Sequence[ReceivedWebhook]) -> Sequence[ReceivedWebhook]:
        """Tell them, and give those that the database did not take."""
        found = await self._found(received)
        heard = await asyncio.gather(*(self._is_heard(each, found) for each in received))
        return [each for each, is_heard in zip(received, heard, strict=True) if not is_heard]

    async def _found(self, received: Sequence[ReceivedWebhook]) -> Found | None:
        """Read the payments together; None where one of them keeps the others from being read."""
        keys = list(dict.fromkeys(_key(each) for each in received))
        try:
            return {payment.key: payment for payment in await self._store.load(keys)}
        except TransientFaultError:
            raise
        except Exception as fault:
            self._signals.emit("payments.not_heard", payments=len(keys), fault=repr(fault))
            return None

    async def _is_heard(self, received: ReceivedWebhook, found: Found | None) -> bool:
        try:
            await self._tell(received, found)
        except TransientFaultError:
            return False
        except Exception as fault:
            # A fault of ours, or of the machine: the next delivery would fare no better, and others wait behind it.
            self._skip(received, repr(fault))
        return True

    async def _tell(self, received: ReceivedWebhook, found: Found | None) -> None:
        key = _key(received)
        if found is None:
            found = {payment.key: payment for payment in await self._store.load([key])}
        payment = found.get(key)
        if payment is None or not _is_about(received, payment):
            self._skip(received, "there is no such payment of this provider, or it is about another amount")
        else:
            await self._advance.tell(payment, told(received.webhook))

    def _skip(self, received: ReceivedWebhook, why: str) -> None:
        tenant, provider = received.webhook.tenant, received.provider
        self._signals.emit("webhook.not_heard", tenant=tenant, provider=provider, fault=why)


def _key(received: ReceivedWebhook) -> PaymentKey:
    return PaymentKey(received.webhook.tenant, received.webhook.payment.lower())


def _is_about(received: ReceivedWebhook, payment: Payment) -> bool:
    webhook, terms = received.webhook, payment.terms
    key = payment.saga.key(Step(webhook.step.value))
    return (
        (terms.provider, key) == (received.provider, webhook.idempotency_key)
        and webhook.amount in (None, terms.amount)
        and webhook.asset in (None, terms.asset)
    )
