"""What providers write: verdicts in their answers, and webhooks, read strictly."""

from enum import StrEnum
from typing import Literal

import msgspec

from ledger.application.providers import Accepted, Declined, check_key
from ledger.domain.ids import has_id_form

WEBHOOK_BYTES_MAX = 64 * 1024
NAME_MAX = 256
DETAIL_MAX = 500


class MessageRefusedError(Exception):
    """It is not what a provider may say; the message tells where."""


class Step(StrEnum):
    """Which call is answered."""

    CHARGE = "charge"
    REFUND = "refund"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that came by itself. `id` is the same when it is told again; the key says what it answers."""

    id: str
    idempotency_key: str
    payment: str
    tenant: str
    step: Step
    answer: Accepted | Declined
    amount: int | None = None
    asset: str | None = None
    """What it says that it is about, if it says so: about anything else it is not believed."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider writes that a charge or refund was accepted or declined, before it is checked."""

    state: Literal["accepted", "declined"]
    reference: str | None = None
    reason: str | None = None
    detail: str = ""


class _WebhookBody(Verdict, frozen=True, kw_only=True):
    id: str
    key: str
    payment: str
    tenant: str
    kind: Step
    amount: int | None = None
    asset: str | None = None


def answer_of(verdict: Verdict) -> Accepted | Declined:
    """Read a verdict; raises MessageRefusedError where a reference or a reason is missing or not a name."""
    if verdict.state == "accepted":
        return Accepted(_name(verdict.reference, "reference"))
    return Declined(_name(verdict.reason, "reason"), plain(verdict.detail))


def decode_webhook(body: bytes) -> Webhook:
    """Read the body of a webhook whose signature was verified; raises MessageRefusedError."""
    if len(body) > WEBHOOK_BYTES_MAX:
        raise MessageRefusedError(f"a webhook of more than {WEBHOOK_BYTES_MAX} bytes")
    try:
        found = msgspec.json.decode(body, type=_WebhookBody)
        check_key(found.key)
    except (msgspec.DecodeError, ValueError, RecursionError) as fault:
        raise MessageRefusedError(str(fault)) from fault
    return Webhook(
        id=_name(found.id, "id"),
        idempotency_key=found.key,
        payment=_payment(found.payment),
        tenant=_name(found.tenant, "tenant"),
        step=found.kind,
        answer=answer_of(found),
        amount=found.amount,
        asset=found.asset,
    )


def plain(text: str) -> str:
    """Cut what a stranger wrote to a length, and blank out what cannot be shown or stored."""
    return "".join(each if each.isprintable() else " " for each in text[:DETAIL_MAX])


def _payment(text: str) -> str:
    if not has_id_form(text):
        raise MessageRefusedError("payment is no id")
    return text


def _name(text: str | None, member: str) -> str:
    if not text or len(text) > NAME_MAX or not text.isprintable():
        raise MessageRefusedError(f"{member} is missing, longer than {NAME_MAX}, or cannot be printed")
    return text
