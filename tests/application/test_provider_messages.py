"""What providers write, read strictly."""

import json
from typing import Any

import pytest

from ledger.application.provider_messages import MessageRefusedError, Step, Webhook, decode_webhook
from ledger.application.providers import Accepted, Declined
from tests.builders import event_id
from tests.provider import charge, refund

PAYMENT = event_id("p")
ACCEPTED = {
    "id": "wh_1",
    "key": "k1",
    "payment": PAYMENT,
    "tenant": "acme",
    "kind": "charge",
    "state": "accepted",
    "reference": "ch_1",
}


def webhook(**changes: Any) -> bytes:
    """Write a webhook; a member that is None is left out."""
    body = {**ACCEPTED, **changes}
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def test_a_webhook_tells_what_was_accepted() -> None:
    assert decode_webhook(webhook(more="later")) == Webhook(
        id="wh_1",
        idempotency_key="k1",
        payment=PAYMENT,
        tenant="acme",
        step=Step.CHARGE,
        answer=Accepted("ch_1"),
    )


def test_a_webhook_tells_why_it_was_declined() -> None:
    found = decode_webhook(
        webhook(kind="refund", state="declined", reason="closed", detail="a\0b" + "c" * 900)
    )
    assert found.step is Step.REFUND
    assert found.answer == Declined("closed", "a b" + "c" * 497)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"[" * 60_000,
        b'{"id": "' + b"a" * 70_000 + b'"}',
        webhook(id=None),
        webhook(id=""),
        webhook(id="a" * 257),
        webhook(key="with a space"),
        webhook(key=None),
        webhook(payment="a\0b"),
        webhook(payment="x" * 36),
        webhook(payment=f"{{{PAYMENT}}}"),
        webhook(payment=f"urn:uuid:{PAYMENT}"),
        webhook(payment=PAYMENT.replace("-", "")),
        webhook(payment=f"{PAYMENT}\n"),
        webhook(tenant=7),
        webhook(kind="transfer"),
        webhook(state="pending"),
        webhook(reference=None),
        webhook(reference=5),
        webhook(state="declined"),
        webhook(state="declined", reason="\x1b[31m"),
    ],
)
def test_what_is_no_webhook_is_refused(body: bytes) -> None:
    with pytest.raises(MessageRefusedError):
        decode_webhook(body)


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX: 1", "../admin", "é", "a" * 129, "a\n"])
def test_a_key_fits_into_a_header_and_a_path(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        charge(key)


@pytest.mark.parametrize("amount", [0, -1, 2**63])
def test_an_amount_can_be_moved(amount: int) -> None:
    with pytest.raises(ValueError, match="amount"):
        refund("k1", "ch_1", amount=amount)
