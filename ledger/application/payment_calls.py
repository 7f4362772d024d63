"""A saga's calls as requests to a provider, and the provider's answers as what happens to the saga."""

from typing import NamedTuple

from ledger.application import providers as said
from ledger.application.payment_ports import Payment
from ledger.application.provider_messages import Step, Webhook
from ledger.application.providers import ChargeRequest, PaymentProvider, RefundRequest
from ledger.domain.commands import LEDGER_PREFIX
from ledger.domain.payments import happenings as happened
from ledger.domain.payments.commands import Call, Charge, QueryRefund, Refund
from ledger.domain.payments.happenings import Happening

DETAIL_MAX = 500
PUT_OFF_S = 30.0
"""So long a call waits that something of ours kept from being made."""


class Heard(NamedTuple):
    """What happened, and words about it for the timeline."""

    happening: Happening
    detail: str | None = None
    attempt: int | None = None
    """The call that was answered."""
    by: str | None = None
    """The operator who decided."""


async def ask(
    provider: PaymentProvider, payment: Payment, call: Call, traceparent: str | None = None
) -> said.AnyAnswer:
    """Carry out a call; whatever comes of it is an answer."""
    if isinstance(call, Charge):
        return await provider.charge(_charge(payment, call.key, traceparent))
    if isinstance(call, Refund):
        return await provider.refund(_refund(payment, call.key, traceparent))
    asked = _refund if isinstance(call, QueryRefund) else _charge
    return await provider.status(asked(payment, call.key, traceparent))


def heard(answer: said.AnyAnswer, call: Call) -> Heard:
    """Say what an answer to a call means; a status tells what became of the charge or refund it asks about."""
    happening, detail = _meaning(answer, call)
    return Heard(happening, detail, call.attempt)


def not_called(call: Call, why: str) -> Heard:
    """Say that a call was certainly not made, by a fault of ours: no try is spent on it."""
    return heard(said.RetryLater(why, PUT_OFF_S, counts=False), call)


def _meaning(answer: said.AnyAnswer, call: Call) -> tuple[Happening, str | None]:
    refunds = isinstance(call, Refund | QueryRefund)
    match answer:
        case said.Accepted():
            return _accepted(answer.reference, refunds), answer.reference
        case said.Declined():
            return _declined(answer.reason, refunds), _words(answer.reason, answer.detail)
        case said.RetryLater():
            return happened.RetryLater(call, answer.after_s, answer.counts), _words(answer.detail)
        case said.Pending():
            return happened.Pending(call), None
        case said.NotFound():
            return happened.NotFound(call), None
        case said.Unknown():
            return happened.Unknown(call), _words(answer.detail)


def told(webhook: Webhook) -> Heard:
    """Say what a webhook means."""
    refunds = webhook.step is Step.REFUND
    if isinstance(webhook.answer, said.Accepted):
        return Heard(_accepted(webhook.answer.reference, refunds), f"webhook {webhook.id}")
    return Heard(_declined(webhook.answer.reason, refunds), f"webhook {webhook.id}: {webhook.answer.reason}")


def _accepted(reference: str, refunds: bool) -> Happening:
    return happened.RefundAccepted(reference) if refunds else happened.ChargeAccepted(reference)


def _declined(reason: str, refunds: bool) -> Happening:
    return happened.RefundDeclined(reason) if refunds else happened.ChargeDeclined(reason)


def _charge(payment: Payment, key: str, traceparent: str | None) -> ChargeRequest:
    terms = payment.terms
    # Another tenant of this ledger is paid on the account that is credited there.
    account = terms.credit if _is_tenant(payment) else terms.debit
    return ChargeRequest(
        idempotency_key=key,
        payment=payment.saga.id,
        tenant=payment.saga.tenant,
        amount=_amount(payment),
        asset=terms.asset,
        account=account,
        reference=terms.reference,
        traceparent=traceparent,
    )


def _refund(payment: Payment, key: str, traceparent: str | None) -> RefundRequest:
    terms = payment.terms
    return RefundRequest(
        idempotency_key=key,
        payment=payment.saga.id,
        tenant=payment.saga.tenant,
        amount=_amount(payment),
        asset=terms.asset,
        charge=payment.saga.charge_reference or "",
        reference=terms.reference,
        traceparent=traceparent,
    )


def _amount(payment: Payment) -> int:
    """Give what is charged: another tenant gets what the capture puts on the account that stands for it."""
    fee = payment.terms.fee_amount if _is_tenant(payment) else 0
    return payment.terms.amount - fee


def _is_tenant(payment: Payment) -> bool:
    return payment.terms.provider.startswith(LEDGER_PREFIX)


def _words(*parts: str) -> str:
    return ": ".join(part for part in parts if part)[:DETAIL_MAX]
